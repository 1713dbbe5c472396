"""A folder's values are encrypted anew with the current key, and nothing else in it changes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config_server.encryption import Key, KeyRing
from config_server.reencrypt import reencrypt

OLD = Key("2025", "old key", "deadbeef")
NEW = Key("2026", "new key", "deadbeef")
STRANGE = Key("", "nobody's key", "deadbeef")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "eu").mkdir()
    (tmp_path / ".git").mkdir()
    return tmp_path


class TestReencrypt:
    def test_values_of_older_keys_are_written_anew(self, folder: Path) -> None:
        # Given values of an older key, with its id and without, one of the current key, and other things
        current = "{cipher}" + KeyRing(NEW).encrypt("three")
        (folder / "a.yml").write_bytes(
            f"# pässwörds\r\none: '{{cipher}}{OLD.encrypt('one')}'\r\ntwo: 2\r\nthree: '{current}'\r\n".encode()
        )
        (folder / "eu" / "b.properties").write_text(
            f"x={{cipher}}{{secret:s}}{{key:2025}}{OLD.encrypt('{plain}x')}\ny={{cipher}}\n"
        )
        (folder / "logo.png").write_bytes(b"\x89PNG\xff\xfe")
        (folder / ".git" / "c").write_text(f"{{cipher}}{OLD.encrypt('hidden')}")
        (folder / "link.yml").symlink_to(folder / ".git" / "c")
        hidden = (folder / ".git" / "c").read_bytes()

        # When they are encrypted anew
        report = reencrypt(folder, KeyRing(NEW, [OLD]))

        # Then the current key alone reads them
        assert (report.rewritten, report.unreadable) == (2, [])
        written = (folder / "a.yml").read_bytes().decode()
        found = re.findall(r"\{cipher\}(\{key:2026\}[0-9a-f]+)", written)
        assert [KeyRing(NEW).decrypt(value) for value in found] == ["one", "three"]
        assert re.sub(r"\{cipher\}[^']*", "-", written) == "# pässwörds\r\none: '-'\r\ntwo: 2\r\nthree: '-'\r\n"
        assert current in written
        properties = (folder / "eu" / "b.properties").read_text()
        value = re.fullmatch(r"x=\{cipher\}(\{secret:s\}\{key:2026\}[0-9a-f]+)\ny=\{cipher\}\n", properties)
        assert value is not None
        assert KeyRing(NEW).decrypt(value[1]) == "{plain}x"
        assert (folder / "logo.png").read_bytes() == b"\x89PNG\xff\xfe"
        assert (folder / ".git" / "c").read_bytes() == hidden

        # And a second time there is nothing to do
        assert reencrypt(folder, KeyRing(NEW, [OLD])).rewritten == 0

    def test_what_no_key_reads_stays_and_is_named(self, folder: Path) -> None:
        (folder / "a.yml").write_text(f"a: 1\nb: '{{cipher}}{STRANGE.encrypt('b')}'\n")
        before = (folder / "a.yml").read_bytes()

        report = reencrypt(folder, KeyRing(NEW, [OLD]))

        assert report.unreadable == [f"{folder / 'a.yml'}:2"]
        assert (folder / "a.yml").read_bytes() == before


class TestMain:
    def _run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "config_server.reencrypt", *arguments],
            *(),
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], **environment},
            check=False,
        )

    def test_the_keys_are_the_servers(self, folder: Path) -> None:
        (folder / "a.yml").write_text(
            f"a: '{{cipher}}{OLD.encrypt('s3cr3t')}'\nb: '{{cipher}}{STRANGE.encrypt('b')}'\n"
        )

        ran = self._run(
            str(folder),
            CONFIG_SERVER_ENCRYPT_KEY="new key",
            CONFIG_SERVER_ENCRYPT_KEY_ID="2026",
            CONFIG_SERVER_ENCRYPT_OLDER_KEYS='{"2025": "old key"}',
        )

        assert (ran.returncode, ran.stdout) == (1, "1 values were encrypted anew\n")
        assert ran.stderr == f"{folder / 'a.yml'}:2: no known key decrypts this value\n"
        assert "{cipher}{key:2026}" in (folder / "a.yml").read_text()

    def test_without_a_key_or_a_folder_it_says_what_is_missing(self, folder: Path) -> None:
        without_key = self._run(str(folder))
        without_folder = self._run(CONFIG_SERVER_ENCRYPT_KEY="new key")

        assert without_key.returncode == without_folder.returncode == 1
        assert "CONFIG_SERVER_ENCRYPT_KEY" in without_key.stderr
        assert "FOLDER" in without_folder.stderr
