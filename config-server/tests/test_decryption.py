"""`{cipher}` values are decrypted for those who may read them, and each who does is written down."""

import base64
import logging
from collections.abc import Iterator

import pytest
from support.repositories import ConfigRepository
from support.server import RunningServer, running

from config_server.media_types import V2

ENCRYPTED = "44113916a7a20c6818771d7008b8aaff75b2ce4dcfc1a57b7a161f97adb22f2c5f64d877bb23c72166e0ff16ed98fa6e"
TEXT = "s3cr3t-pässwörd"
KEY = "flotilla-golden-key-2026"

# As in the recorded repository, and answered as Spring's server did.
SECRETS_YML = f"""\
secret:
  password: '{{cipher}}{ENCRYPTED}'
  broken: '{{cipher}}0123456789abcdef'
  not-hex: '{{cipher}}zzzz'
  empty: '{{cipher}}'
  plain: '{{plain}}not encrypted'
  middle: 'x{{cipher}}{ENCRYPTED}'
  named: '{{cipher}}{{key:any}}{{secret:any}}{ENCRYPTED}'
  number: 1
  list:
    - '{{cipher}}{ENCRYPTED}'
    - open
"""
V1_SOURCE = [
    ("secret.plain", "{plain}not encrypted"),
    ("secret.middle", f"x{{cipher}}{ENCRYPTED}"),
    ("secret.number", 1),
    ("secret.list[1]", "open"),
    ("secret.password", TEXT),
    ("invalid.secret.broken", "<n/a>"),
    ("invalid.secret.not-hex", "<n/a>"),
    ("invalid.secret.empty", "<n/a>"),
    ("secret.named", TEXT),
    ("secret.list[0]", TEXT),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> ConfigRepository:
    repository = ConfigRepository(tmp_path_factory.mktemp("secrets") / "config.git")
    repository.commit(
        {
            "application.yml": "shared.from: root\n",
            "application-prod.yml": f"shared.password: '{{cipher}}{ENCRYPTED}'\n",
            "secrets.yml": SECRETS_YML,
            "secretsp.properties": f"secretp.password={{cipher}}{ENCRYPTED}\nsecretp.broken={{cipher}}AAAA\n",
        }
    )
    return repository


@pytest.fixture(scope="module")
def open_server(repository: ConfigRepository) -> Iterator[RunningServer]:
    with running(git_uri=str(repository.path), anonymous="true", encrypt_key=KEY) as server:
        yield server


@pytest.fixture
def guarded_server(repository: ConfigRepository) -> Iterator[RunningServer]:
    with running(
        git_uri=str(repository.path),
        credentials={"secrets": "pw-1", "others": "pw-2"},
        admin_credentials=["pw-admin"],
        encrypt_key=KEY,
    ) as server:
        yield server


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class TestEnvironment:
    def test_secrets_are_decrypted_at_the_end_of_their_source(self, open_server: RunningServer) -> None:
        source = open_server.ask("/secrets/default").json()["propertySources"][0]["source"]

        assert list(source.items()) == V1_SOURCE

    def test_in_v2_they_are_bare(self, open_server: RunningServer) -> None:
        answer = open_server.ask("/secrets/default", headers={"Accept": V2})

        source = answer.json()["propertySources"][0]["source"]
        assert source["secret.number"] == {"value": 1, "origin": "9:11"}
        decrypted = ("secret.password", "secret.list[0]", "secret.named")
        assert [source[key] for key in decrypted] == [TEXT] * 3
        assert source["invalid.secret.empty"] == "<n/a>"

    def test_properties_files_have_them_as_well(self, open_server: RunningServer) -> None:
        source = open_server.ask("/secretsp/default").json()["propertySources"][0]["source"]

        assert list(source.items()) == [("secretp.password", TEXT), ("invalid.secretp.broken", "<n/a>")]

    def test_without_a_key_they_are_served_as_they_are_written(self, repository: ConfigRepository) -> None:
        with running(git_uri=str(repository.path), anonymous="true") as server:
            values = server.ask("/secretsp/default").values()

        assert values["secretp.password"] == "{cipher}" + ENCRYPTED

    def test_after_a_change_of_keys_both_are_read(self, repository: ConfigRepository) -> None:
        keys = {"encrypt_key": "another", "encrypt_key_id": "2026", "encrypt_older_keys": {"2025": KEY}}
        with running(git_uri=str(repository.path), anonymous="true", **keys) as server:
            values = server.ask("/secretsp/default").values()

        assert values["secretp.password"] == TEXT


class TestAudit:
    def test_who_read_which_secrets_is_written_down_once_and_never_the_value(
        self, guarded_server: RunningServer, repository: ConfigRepository, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            for _ in range(3):
                assert guarded_server.ask("/secrets/prod", headers=_basic("secrets", "pw-1")).status == 200
            assert guarded_server.ask("/others/prod/main", headers={"Authorization": "Bearer pw-2"}).status == 200
            assert guarded_server.ask("/others/default", headers=_basic("others", "pw-2")).status == 200
            assert guarded_server.ask("/secrets/prod", headers=_basic("others", "pw-2")).status == 403
            assert guarded_server.ask("/secrets/prod", headers=_basic("admin", "pw-admin")).status == 200

        of_secrets = ["shared.password", "secret.password", "secret.named", "secret.list[0]"]
        commit = str(repository.git.references["refs/heads/main"].target)
        lines = [vars(record) for record in caplog.records if record.name == "config_server.audit"]
        fields = ("reader", "application", "profile", "label", "keys", "commit")
        assert [tuple(line[field] for field in fields) for line in lines] == [
            ("secrets", "secrets", "prod", None, of_secrets, commit),
            ("others", "others", "prod", "main", ["shared.password"], commit),
            ("admin", "secrets", "prod", None, of_secrets, commit),
        ]
        for line in map(str, map(vars, caplog.records)):
            for secret in (TEXT, ENCRYPTED, "pw-1", "pw-2", "pw-admin", KEY):
                assert secret not in line
