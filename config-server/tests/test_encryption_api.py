"""/encrypt, /decrypt, /key: as recorded from Spring's server, and who may call them."""

import base64
import logging
from collections.abc import Iterator

import pytest
from support.repositories import ConfigRepository
from support.server import Answer, RunningServer, running

from config_server.encryption import Key

ENCRYPTED = "44113916a7a20c6818771d7008b8aaff75b2ce4dcfc1a57b7a161f97adb22f2c5f64d877bb23c72166e0ff16ed98fa6e"
TEXT = "s3cr3t-pässwörd"
PLAIN = "text/plain"
FORM = "application/x-www-form-urlencoded"
KEY = Key("", "flotilla-golden-key-2026", "deadbeef")
INVALID = {"description": "Text not encrypted with this key", "status": "INVALID"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ConfigRepository:
    repository = ConfigRepository(tmp_path_factory.mktemp("encryption") / "config.git")
    repository.commit({"application.yml": "a: 1\n"})
    return repository


@pytest.fixture(scope="module")
def open_server(served: ConfigRepository) -> Iterator[RunningServer]:
    with running(git_uri=str(served.path), anonymous="true", encrypt_key="flotilla-golden-key-2026") as server:
        yield server


@pytest.fixture(scope="module")
def guarded_server(served: ConfigRepository) -> Iterator[RunningServer]:
    with running(
        git_uri=str(served.path),
        credentials={"order-service": "pw-1"},
        admin_credentials="pw-admin",
        encrypt_key="flotilla-golden-key-2026",
    ) as server:
        yield server


def _post(
    server: RunningServer,
    path: str,
    text: str | bytes,
    content_type: str = PLAIN,
    headers: dict[str, str] | None = None,
) -> Answer:
    body = text.encode() if isinstance(text, str) else text
    return server.ask(path, method="POST", headers={"Content-Type": content_type, **(headers or {})}, body=body)


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class TestEncrypt:
    @pytest.mark.parametrize(
        ("sent", "content_type", "path", "prefix", "meant"),
        [
            ("hello", PLAIN, "/encrypt", "", "hello"),
            ("hello=world", FORM, "/encrypt", "", "hello=world"),
            ("hello=", FORM, "/encrypt", "", "hello"),
            ("a%20b+c%C3%A4=", FORM, "/encrypt", "", "a b cä"),
            ("{key:mine}hello", PLAIN, "/encrypt", "{key:mine}", "hello"),
            ('{"a":1}', "application/json", "/encrypt", '{"a":1}', ""),
            ("x", PLAIN, "/encrypt/order-service/prod", "", "x"),
            ("c2VjcmV0+/A=", PLAIN, "/encrypt", "", "c2VjcmV0+/A="),
            ("c2VjcmV0+/A=", "text/plain; charset=utf-8", "/encrypt", "", "c2VjcmV0+/A="),
            ("päss\n", PLAIN, "/encrypt", "", "päss\n"),
        ],
    )
    def test_the_text_that_was_meant_is_encrypted(
        self, sent: str, content_type: str, path: str, prefix: str, meant: str, open_server: RunningServer
    ) -> None:
        answer = _post(open_server, path, sent, content_type)

        assert answer.status == 200
        assert answer.headers["content-type"].lower() == "text/plain;charset=utf-8"
        encrypted = answer.body.decode()
        assert encrypted.startswith(prefix)
        assert KEY.decrypt(encrypted.removeprefix(prefix)) == meant

    @pytest.mark.parametrize("path", ["/encrypt", "/decrypt"])
    @pytest.mark.parametrize("body", [b"", b"\xff\xfe"])
    def test_what_is_no_text_is_400(self, path: str, body: bytes, open_server: RunningServer) -> None:
        answer = _post(open_server, path, body)

        assert answer.status == 400
        assert answer.json()["error"] == "Bad Request"
        assert answer.json()["path"] == path

    def test_a_large_body_is_413(self, open_server: RunningServer) -> None:
        assert _post(open_server, "/encrypt", b"x" * 1_100_000).status == 413

    @pytest.mark.parametrize("path", ["/encrypt/order-service/..%2f", "/encrypt/a/-b", "/encrypt/.git/prod"])
    def test_a_name_that_can_be_none_is_4xx(self, path: str, open_server: RunningServer) -> None:
        assert 400 <= _post(open_server, path, "x").status < 500


class TestDecrypt:
    @pytest.mark.parametrize(
        ("sent", "content_type", "path", "text"),
        [
            (ENCRYPTED, PLAIN, "/decrypt", TEXT),
            (ENCRYPTED, PLAIN, "/decrypt/order-service/prod", TEXT),
            (ENCRYPTED, FORM, "/decrypt", TEXT),
            (ENCRYPTED + "=", FORM, "/decrypt", TEXT),
            ("{key:other}" + ENCRYPTED, PLAIN, "/decrypt", TEXT),
            (
                "cf7d04a883f81f26a412c7478b828ff30dce13c98b629b80820634d215259544debc0ba8af1880e61a6cedf8907c8095",
                *(PLAIN, "/decrypt", "line one\nline two"),
            ),
        ],
    )
    def test_what_spring_encrypted_is_decrypted(
        self, sent: str, content_type: str, path: str, text: str, open_server: RunningServer
    ) -> None:
        answer = _post(open_server, path, sent, content_type)

        assert (answer.status, answer.body.decode()) == (200, text)
        assert answer.headers["content-type"].lower() == "text/plain;charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("sent", ["{cipher}" + ENCRYPTED, "not-a-cipher", "00" * 32, ENCRYPTED + "\n", "0123"])
    def test_what_no_key_fits_is_refused_as_spring_does(self, sent: str, open_server: RunningServer) -> None:
        answer = _post(open_server, "/decrypt", sent)

        assert answer.status == 400
        assert answer.headers["content-type"] == "application/json"
        assert list(answer.json().items()) == list(INVALID.items())

    @pytest.mark.parametrize("path", ["/encrypt", "/decrypt", "/decrypt/order-service/prod"])
    def test_get_is_405_and_post_is_said_to_be_allowed(self, path: str, open_server: RunningServer) -> None:
        answer = open_server.ask(path)

        # With two names behind it, it is an environment's address with a label, as in Spring: but of no application.
        assert (answer.status, answer.headers.get("allow")) == ((405, "POST") if path.count("/") == 1 else (404, None))

    def test_a_path_with_dots_is_no_route(self, open_server: RunningServer) -> None:
        answer = _post(open_server, "/encrypt/../app/prod", "x")

        assert (answer.status, answer.headers["allow"]) == (405, "GET")
        assert answer.json()["path"] == "/encrypt/../app/prod"


class TestKey:
    def test_there_is_a_status(self, open_server: RunningServer) -> None:
        answer = open_server.ask("/encrypt/status")

        assert (answer.status, answer.json()) == (200, {"status": "OK"})

    @pytest.mark.parametrize("path", ["/key", "/key/order-service/prod"])
    def test_there_is_no_public_key(self, path: str, open_server: RunningServer) -> None:
        answer = open_server.ask(path)

        assert answer.status == 404
        assert answer.body == b'{"description":"No public key available","status":"NOT_FOUND"}'

    def test_without_a_key_everything_says_so(self, server: RunningServer) -> None:
        answers = [server.ask("/encrypt/status"), _post(server, "/encrypt", "x"), _post(server, "/decrypt", ENCRYPTED)]

        for answer in answers:
            assert answer.status == 404
            assert answer.json()["status"] == "NO_KEY"


class TestWhoMay:
    def test_c5_only_the_admin_decrypts(self, guarded_server: RunningServer) -> None:
        for path in ("/decrypt", "/decrypt/order-service/default"):
            assert _post(guarded_server, path, ENCRYPTED).status == 401
            assert _post(guarded_server, path, ENCRYPTED, headers=_basic("order-service", "pw-1")).status == 403
            answer = _post(guarded_server, path, ENCRYPTED, headers=_basic("admin", "pw-admin"))
            assert answer.body.decode() == TEXT

    def test_who_is_known_encrypts(self, guarded_server: RunningServer) -> None:
        assert _post(guarded_server, "/encrypt", "x").status == 401
        assert _post(guarded_server, "/encrypt", "x", headers=_basic("order-service", "pw-1")).status == 200
        assert _post(guarded_server, "/encrypt/other/prod", "x", headers=_basic("admin", "pw-admin")).status == 200

    @pytest.mark.parametrize("path", ["/encrypt/status", "/key", "/key/a/b"])
    def test_the_rest_is_for_who_is_known_too(self, path: str, guarded_server: RunningServer) -> None:
        assert guarded_server.ask(path).status == 401
        assert guarded_server.ask(path, headers=_basic("order-service", "pw-1")).status != 401

    def test_each_decryption_is_written_down_without_the_value(
        self, guarded_server: RunningServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            _post(guarded_server, "/decrypt/order-service/prod", ENCRYPTED, headers=_basic("admin", "pw-admin"))
            _post(guarded_server, "/decrypt/order-service/prod", ENCRYPTED, headers=_basic("admin", "pw-admin"))
            _post(guarded_server, "/encrypt", "new-s3cr3t", headers=_basic("admin", "pw-admin"))

        lines = [vars(record) for record in caplog.records if record.name == "config_server.audit"]
        assert [(line["reader"], line["application"], line["profile"]) for line in lines] == [
            ("admin", "order-service", "prod")
        ] * 2
        for line in map(str, map(vars, caplog.records)):
            for secret in (TEXT, ENCRYPTED, "new-s3cr3t", "pw-admin", "flotilla-golden-key-2026"):
                assert secret not in line
