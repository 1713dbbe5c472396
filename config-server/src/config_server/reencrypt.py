"""`python -m config_server.reencrypt FOLDER`: writes a folder's `{cipher}` values anew with the current key.

The keys are the server's settings (CONFIG_SERVER_ENCRYPT_...). Values that are encrypted with the current key stay as
they are, and so does everything else in the files.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chassis.settings import SettingsInvalid

from .decryption import CIPHER
from .encryption import KeyRing, Undecryptable
from .encryption_settings import EncryptionSettings

# With the prefixes, `{key:2025}`, of which the one of the key is made anew.
_VALUE = re.compile(
    rb"%s(?P<prefixes>(?:\{[^{}:\n]*:[^{}\n]*\})*)(?P<plain>(?:\{plain\})?)(?P<digits>[0-9a-fA-F]+)"
    % re.escape(CIPHER).encode()
)
_KEY_PREFIX = re.compile(rb"\{key:[^{}\n]*\}")


@dataclass(slots=True)
class Report:
    """How many values were written anew, and the places, `file:line`, of those which no known key decrypts."""

    rewritten: int = 0
    unreadable: list[str] = field(default_factory=list)


def reencrypt(folder: Path, key_ring: KeyRing) -> Report:
    """Rewrite the files of a folder and those below it, but for hidden ones and symbolic links. Raises OSError."""
    report = Report()
    for path in _files(folder):
        old = path.read_bytes()
        new = _rewritten(old, path, key_ring, report)
        if new != old:
            path.write_bytes(new)
    return report


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


def _rewritten(content: bytes, path: Path, key_ring: KeyRing, report: Report) -> bytes:
    def anew(match: re.Match[bytes]) -> bytes:
        written = match[0].decode("latin-1").removeprefix(CIPHER)
        try:
            text = key_ring.decrypt(written)
        except Undecryptable:
            line = content.count(b"\n", 0, match.start()) + 1
            report.unreadable.append(f"{path}:{line}")
            return match[0]
        if key_ring.is_current(written):
            return match[0]
        report.rewritten += 1
        others = _KEY_PREFIX.sub(b"", match["prefixes"])
        return CIPHER.encode() + others + key_ring.encrypt(f"{{plain}}{text}").encode()

    return _VALUE.sub(anew, content)


def main() -> None:
    """Do it, and say what was done; exit status 1 where a value could not be read."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    try:
        key_ring = EncryptionSettings.of({}).key_ring()
    except SettingsInvalid as error:
        sys.exit(str(error))
    if key_ring is None:
        sys.exit("CONFIG_SERVER_ENCRYPT_KEY is not set, so there is nothing to encrypt with.")
    report = reencrypt(Path(sys.argv[1]), key_ring)
    for place in report.unreadable:
        sys.stderr.write(f"{place}: no known key decrypts this value\n")
    sys.stdout.write(f"{report.rewritten} values were encrypted anew\n")
    sys.exit(1 if report.unreadable else 0)


if __name__ == "__main__":
    main()
