"""The configuration that is served: 5 files with 60 keys each, which all count for one application."""

from pathlib import Path

from config_server.publish import publish

APPLICATION, PROFILE = "order-service", "prod"
PATH = f"/{APPLICATION}/{PROFILE}"
FILES = (
    "application.yml",
    f"application-{PROFILE}.yml",
    f"{APPLICATION}.yml",
    f"{APPLICATION}-{PROFILE}.yml",
    f"{APPLICATION}-{PROFILE}.properties",
)
KEYS_PER_FILE = 60
KEYS = len(FILES) * KEYS_PER_FILE


class ConfigFiles:
    """A folder that is published to a bare Git repository, as `config-server`'s users would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "files"
        self.repository = folder / "config.git"
        self._folder.mkdir()
        for name in FILES:
            self._write(name, 0)

    def publish(self) -> str:
        """Answers the commit."""
        return publish(self._folder, self.repository)

    def change(self, number: int) -> str:
        """Change one value in one file, each time in the next one, and answer the commit."""
        self._write(FILES[number % len(FILES)], number)
        return self.publish()

    def _write(self, name: str, number: int) -> None:
        values = {f"{Path(name).stem}.part-{index % 6}.key-{index}": f"value {index}" for index in range(KEYS_PER_FILE)}
        values[next(iter(values))] = f"changed {number} times"
        sign = "=" if name.endswith(".properties") else ": "
        (self._folder / name).write_text("".join(f"{key}{sign}{value}\n" for key, value in values.items()))
