"""Plain and binary files, over HTTP; tests/test_golden.py has what a real server answers."""

import base64
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer, running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ConfigRepository:
    repository = ConfigRepository(tmp_path_factory.mktemp("files") / "config.git")
    repository.commit(
        {
            "application.yml": "port: 80\n",
            "cycle.yml": "port: ${port}\n",
            "note.txt": "port ${port}",
            "note-dev.txt": "dev ${port}",
            "shared/note-qa.txt": "shared qa",
            "shared/only.txt": "shared",
            "deep/a.b.conf": "deep",
            "deep/a.b-dev.conf": "deep dev",
            "motd": "${port}",
            "motd-dev": "dev",
            "latin.txt": "ž".encode(),
            "page.html": "<script>",
            "order-service/secret.txt": "order's",
            "payment-service/secret.txt": "payment's",
            "payment-service.yml": "a: payment's",
            "payment-service-notes.txt": "payment's",
        }
    )
    repository.add_link("link.txt", "/etc/passwd")
    repository.add_link("up", "..")
    return repository


@pytest.fixture(scope="module")
def reader(files: ConfigRepository) -> Iterator[RunningServer]:
    with running(git_uri=str(files.path), git_search_paths="shared,{application}", anonymous="true") as server:
        yield server


@pytest.fixture(scope="module")
def guarded(files: ConfigRepository) -> Iterator[RunningServer]:
    passwords = {"order-service": "o", "payment-service": "p"}
    with running(git_uri=str(files.path), git_search_paths="{application}", credentials=passwords) as server:
        yield server


class TestWhichFile:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/app/default/main/note.txt", "port 80"),
            ("/app/dev/main/note.txt", "dev 80"),
            ("/app/prod,dev/main/note.txt", "dev 80"),
            ("/app/default,dev/main/note.txt", "port 80"),
            ("/app/qa/main/note.txt", "port 80"),  # the root comes before the search paths
            ("/app/dev/main/only.txt", "shared"),
            ("/app/dev/main/deep/a.b.conf", "deep dev"),
            ("/app/dev/main/motd", "dev"),
            ("/app/default/main/deep//a.b.conf", "deep"),
            ("/app/default/note.txt?useDefaultLabel", "port 80"),
            ("/app/default/note.txt?useDefaultLabel=false&resolvePlaceholders=no", "port ${port}"),
        ],
    )
    def test_the_first_that_is_there_is_served(self, path: str, body: str, reader: RunningServer) -> None:
        assert reader.ask(path).body.decode() == body


class TestHowItIsSent:
    def test_bytes_are_sent_as_they_are(self, reader: RunningServer) -> None:
        answer = reader.ask("/app/default/main/note.txt", headers={"Accept": "text/plain, application/octet-stream"})

        assert answer.body == b"port ${port}"
        assert answer.headers["content-type"] == "application/octet-stream"

    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            ("*/*", "text/plain;charset=UTF-8"),
            ("application/json", "application/json"),
            ("text/plain;q=0.5, application/xml", "application/xml;charset=UTF-8"),
            ("text/html", "text/html;charset=UTF-8"),
        ],
    )
    def test_a_text_has_the_type_that_is_asked_for_and_never_runs(
        self, accept: str, content_type: str, reader: RunningServer
    ) -> None:
        answer = reader.ask("/app/default/main/page.html", headers={"Accept": accept})

        assert answer.headers["content-type"] == content_type
        assert answer.headers["content-security-policy"] == "sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"] == "inline;filename=f.txt"

    @pytest.mark.parametrize(("charset", "text"), [("iso-8859-1", "Å¾"), ("no-such", "ž"), ("rot13", "ž")])
    def test_the_accepted_charset_is_that_of_the_file(self, charset: str, text: str, reader: RunningServer) -> None:
        answer = reader.ask("/app/default/main/latin.txt", headers={"Accept-Charset": charset})

        assert answer.body.decode() == text

    def test_who_has_it_is_told_so(self, reader: RunningServer) -> None:
        path = "/app/default/main/note.txt"
        first = reader.ask(path)

        def status(**headers: str) -> int:
            return reader.ask(path, headers={name.replace("_", "-"): value for name, value in headers.items()}).status

        # The date is the commit's.
        assert first.headers["last-modified"] == formatdate(1_700_000_000, usegmt=True)
        assert status(If_Modified_Since=first.headers["last-modified"]) == 304
        assert status(If_Modified_Since=formatdate(1_699_999_999, usegmt=True)) == 200
        assert status(If_Modified_Since="yesterday") == 200
        assert status(If_None_Match=first.headers["etag"]) == 304
        assert status(If_None_Match='"x"', If_Modified_Since=first.headers["last-modified"]) == 200

    def test_a_file_tells_nothing_of_the_commits_that_can_be_served(
        self, repository: ConfigRepository, server: RunningServer
    ) -> None:
        # Given a good commit that was served, and a broken one of which a file was sent that needs no values
        repository.commit({"app.yml": "a: 1\n", "note.txt": "old ${a}"})
        server.ask("/app/default")
        repository.commit({"app.yml": "a: [\n", "note.txt": "new ${a}"})
        plain = server.ask("/app/default/main/note.txt", headers={"Accept": "application/octet-stream"})

        # When the values are needed
        environment = server.ask("/app/default")
        text = server.ask("/app/default/note.txt?useDefaultLabel")

        # Then the good commit is still known
        assert plain.body == b"new ${a}"
        assert environment.values() == {"a": 1}
        assert text.body == b"old 1"
        assert text.headers["x-config-stale"] == "true"

    def test_a_cycle_is_400_where_the_file_needs_it(self, reader: RunningServer) -> None:
        assert reader.ask("/cycle/default/main/note.txt").status == 400
        assert reader.ask("/cycle/default/main/only.txt").status == 200


class TestWhatIsNotServed:
    @pytest.mark.parametrize("accept", ["*/*", "application/octet-stream"])
    @pytest.mark.parametrize(
        "path",
        [
            "/app/default/main/none.txt",
            "/app/default/main/deep",
            "/app/default/main/",
            "/app/default/nope/note.txt",
            "/app/default/main,main/note.txt",
            "/app/-dev/main/note.txt",
            "/app/default/main/.git/config",
            "/app/default/main/.git/HEAD",
            "/app/default/main/link.txt",
            "/app/default/main/up/config.git/HEAD",
            "/app/default/main/..%252F..%252Fetc%252Fpasswd",
            "/app/default/main/%252e%252e/etc/passwd",
            "/app/default/main/..(_)..(_)etc(_)passwd",
            "/app/default/main/file:/etc/passwd",
            "/app/default/main//etc/passwd",
            "/app/default/none.txt?useDefaultLabel",
        ],
    )
    def test_what_is_not_in_the_commit_is_404_without_a_body(
        self, path: str, accept: str, reader: RunningServer
    ) -> None:
        answer = reader.ask(path, headers={"Accept": accept})

        assert (answer.status, answer.body) == (404, b"")
        assert answer.headers["x-config-reason"]

    @pytest.mark.parametrize(
        "path",
        [
            "/app/default/main/../note.txt",
            "/app/default/main/%2e%2e/note.txt",
            "/app/default/main/..%2Fnote.txt",
            "/app/default/main/..%5Cnote.txt",
            "/app/default/main/note.txt%00.png",
            "/app/default/main/..;/note.txt",
            "/..(_)..(_)etc/default/main/passwd",
            "/app/default/..(_)..(_)etc/passwd",
            "/app/default/main/note.txt?resolvePlaceholders=maybe",
        ],
    )
    def test_what_tries_to_get_out_is_400(self, path: str, reader: RunningServer) -> None:
        answer = reader.ask(path)

        assert answer.status == 400
        assert answer.json()["message"]


class TestWhoMayRead:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/order-service/default/main/note.txt", 200),
            ("/order-service/default/main/secret.txt", 200),
            ("/application/default/main/note.txt", 200),
            ("/payment-service/default/main/note.txt", 403),
            ("/order-service/default/main/payment-service.yml", 403),
            ("/order-service/default/main/payment-service-notes.txt", 403),
            ("/order-service/default/main/payment-service/secret.txt", 403),
            ("/order-service/service/main/payment.yml", 403),
            ("/order-service/default/payment-service.yml?useDefaultLabel", 403),
        ],
    )
    def test_an_application_reads_its_own_files_and_the_shared_ones(
        self, path: str, status: int, guarded: RunningServer
    ) -> None:
        credential = base64.b64encode(b"order-service:o").decode()

        assert guarded.ask(path, headers={"Authorization": f"Basic {credential}"}).status == status
        assert guarded.ask(path).status == 401
