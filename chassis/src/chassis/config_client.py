"""Where a service's configuration comes from: the config-server, a folder of files, or the last good copy on disk."""

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

logger = logging.getLogger(__name__)

# Flat keys as Spring's clients know them: `a.b[0].c`.
Properties = Mapping[str, Any]

_WAIT_WITH_COPY_SECONDS = 5.0
_PLACEHOLDER = re.compile(r"\$\{([^}:]+)(?::([^}]*))?\}")


class ConfigUnavailable(Exception):
    """Nobody could say what the configuration is; the message tells who was asked and for how long."""


def default_state_dir() -> Path:
    """`$XDG_STATE_HOME/flotilla`, by default `~/.local/state/flotilla`."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "flotilla"


class ConfigClient:
    """Reads one application's configuration, and remembers the last good answer on disk (mode 0600)."""

    def __init__(
        self,
        source: str,
        application: str,
        profile: str,
        *,
        password: str = "",
        state_dir: Path,
        wait_seconds: float = 120.0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._source = source
        self._application = application
        self._profile = profile
        self._password = password
        self._wait_seconds = wait_seconds
        self._environ = environ
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        self._copy = state_dir / f"config-{application}-{profile}-{digest}.json"

    @classmethod
    def from_environment(cls, application: str, environ: Mapping[str, str]) -> "ConfigClient | None":
        """The client that CONFIG_SOURCE asks for, or None where it is empty."""
        source = environ.get("CONFIG_SOURCE", "")
        if not source:
            return None
        return cls(
            source,
            application,
            environ.get("PROFILE", "default"),
            password=environ.get("SERVICE_PASSWORD", ""),
            state_dir=Path(environ["STATE_DIR"]) if environ.get("STATE_DIR") else default_state_dir(),
            wait_seconds=float(environ.get("CONFIG_WAIT_SECONDS", "120")),
            environ=environ,
        )

    def properties_at_start(self) -> Properties:
        """The configuration, however long the config-server takes to come up, or the last good copy.

        Raises ConfigUnavailable after `wait_seconds` (after a few seconds, if a copy is on disk to fall back to).
        """
        copy = self._read_copy()
        patience = self._wait_seconds if copy is None else min(self._wait_seconds, _WAIT_WITH_COPY_SECONDS)
        deadline = time.monotonic() + patience
        pause = 0.05
        while True:
            try:
                return self.fetch()
            except ConfigUnavailable as error:
                if time.monotonic() + pause >= deadline:
                    if copy is None:
                        raise ConfigUnavailable(
                            f"{error} (asked for {patience:.0f} s, and no earlier copy is here)"
                        ) from error
                    logger.warning("starting with the last good configuration: %s", error)
                    return self._resolve(copy)
                time.sleep(pause)
                pause = min(pause * 1.6, 2.0)

    def fetch(self) -> Properties:
        """Ask once. Raises ConfigUnavailable."""
        if not self._source.startswith(("http://", "https://")):
            return self._resolve(_read_folder(Path(self._source), self._application, self._profile))
        flat = self._ask_server()
        self._write_copy(flat)
        return self._resolve(flat)

    def _ask_server(self) -> dict[str, Any]:
        url = f"{self._source.rstrip('/')}/{self._application}/{self._profile}"
        auth = httpx.BasicAuth(self._application, self._password) if self._password else None
        try:
            # verify=False skips loading the certificate store where no TLS is spoken; it costs 20 ms.
            with httpx.Client(verify=url.startswith("https://"), timeout=10.0, trust_env=False) as client:
                answer = client.get(url, auth=auth, headers={"Accept": "application/json"})
        except httpx.HTTPError as error:
            raise ConfigUnavailable(f"the config-server at {self._source} does not answer: {error}") from error
        # As Spring's client has it, no configuration is not an error; a reason with it says that this is something
        # else, such as a file that can't be read.
        if answer.status_code == 404 and "x-config-reason" not in answer.headers:
            return {}
        if answer.status_code != 200:
            reason = answer.headers.get("x-config-reason") or answer.text[:200]
            raise ConfigUnavailable(f"the config-server answered {answer.status_code} to {url}: {reason}")
        flat: dict[str, Any] = {}
        for property_source in reversed(answer.json()["propertySources"]):  # the answer has the strongest first
            flat = _lay_over(flat, property_source["source"])
        return flat

    def _read_copy(self) -> dict[str, Any] | None:
        try:
            copy: dict[str, Any] = json.loads(self._copy.read_text())
            return copy
        except (OSError, ValueError):
            return None

    def _write_copy(self, flat: Mapping[str, Any]) -> None:
        try:
            self._copy.parent.mkdir(parents=True, exist_ok=True)
            new = self._copy.with_suffix(f".{os.getpid()}")
            new.touch(mode=0o600)
            new.write_text(json.dumps(flat))
            new.replace(self._copy)
        except OSError as error:
            logger.warning("the last good configuration can't be kept in %s: %s", self._copy, error)

    def _resolve(self, flat: Mapping[str, Any]) -> Properties:
        return {
            key: self._replace(value, flat) if isinstance(value, str) else value
            for key, value in flat.items()
            if not (isinstance(value, str) and self._is_unset(value))
        }

    def _is_unset(self, value: str) -> bool:
        # `${NAME}` alone, with NAME unset and no default, means "not configured": the code's default applies.
        match = _PLACEHOLDER.fullmatch(value)
        return match is not None and match[2] is None and match[1] not in self._environ

    def _replace(self, text: str, flat: Mapping[str, Any]) -> str:
        def value_of(match: re.Match[str]) -> str:
            name, default = match[1], match[2]
            found = self._environ.get(name, flat.get(name, default))
            return match[0] if found is None else str(found)

        return _PLACEHOLDER.sub(value_of, text)


def _read_folder(folder: Path, application: str, profile: str) -> dict[str, Any]:
    """The files of a config folder laid over each other: shared < shared-profile < own < own-profile."""
    if not folder.is_dir():
        raise ConfigUnavailable(f"CONFIG_SOURCE is neither a URL nor a folder: {folder}")
    names = ["application", application]
    flat: dict[str, Any] = {}
    for name in [*names, *(f"{name}-{profile}" for name in names)]:
        path = folder / f"{name}.yml"
        if path.is_file():
            try:
                flat = _lay_over(flat, flatten(yaml.safe_load(path.read_text()) or {}))
            except yaml.YAMLError as error:
                raise ConfigUnavailable(f"{path} is not YAML: {error}") from error
    return flat


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, with `above` winning; a list in `above` replaces the whole list below it, not element by element."""
    lists = tuple({key[: key.index("[") + 1] for key in above if "[" in key})
    return {key: value for key, value in below.items() if not key.startswith(lists)} | dict(above)


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """A YAML tree as flat keys: `{"a": {"b": [1]}}` becomes `{"a.b[0]": 1}`."""
    if isinstance(node, Mapping):
        return {
            flat_key: value
            for key, child in node.items()
            for flat_key, value in flatten(child, f"{prefix}.{key}" if prefix else str(key)).items()
        }
    if isinstance(node, list):
        return {
            flat_key: value
            for index, child in enumerate(node)
            for flat_key, value in flatten(child, f"{prefix}[{index}]").items()
        }
    return {prefix: node}
