"""Where a service's configuration comes from: the config-server, a folder of files, or the last good copy on disk."""

import hashlib
import logging
import os
import random
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from .config_copy import Kept, LastGoodCopy

logger = logging.getLogger(__name__)

# Flat keys as Spring's clients know them: `a.b[0].c`.
Properties = Mapping[str, Any]

_URL = ("http://", "https://")
_YES = ("true", "1", "yes", "on", "t", "y")  # as pydantic reads a bool
_WAIT_WITH_COPY_SECONDS = 5.0
_PLACEHOLDER = re.compile(r"\$\{([^}:]+)(?::([^}]*))?\}")


class ConfigUnavailable(Exception):
    """Nobody could say what the configuration is; the message tells who was asked and for how long."""


def default_state_dir() -> Path:
    """`$XDG_STATE_HOME/flotilla`, by default `~/.local/state/flotilla`."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "flotilla"


class ConfigClient:
    """Reads one application's configuration, and remembers the last good answer on disk.

    `source` is the config-server's URL, several of them with commas (tried in their order), or a folder of files.
    """

    def __init__(
        self,
        source: str,
        application: str,
        profile: str,
        *,
        password: str = "",
        state_dir: Path,
        wait_seconds: float = 120.0,
        fail_fast: bool = False,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._source = source
        self._application = application
        self._profile = profile
        self._password = password
        self._wait_seconds = wait_seconds
        self._fail_fast = fail_fast
        self._environ = environ
        self._addresses: list[str] = []
        if source.startswith(_URL):
            self._addresses = [part.strip().rstrip("/") for part in source.split(",") if part.strip()]
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        self._copy = LastGoodCopy(state_dir / f"config-{application}-{profile}-{digest}.sealed", password)

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
            fail_fast=environ.get("CONFIG_FAIL_FAST", "").strip().lower() in _YES,
            environ=environ,
        )

    def properties_at_start(self) -> Properties:
        """The configuration, however long the config-server takes to come up, or the last good copy.

        Raises ConfigUnavailable after `wait_seconds` (after a few seconds, if a copy is on disk to fall back to);
        at once, copy or not, where failing fast is wanted.
        """
        if self._fail_fast:
            return self.fetch()
        copy = self._copy.read()
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
                    age_seconds = max(0.0, time.time() - copy.saved_at)
                    logger.warning("starting with the configuration of %.0f s ago: %s", age_seconds, error)
                    return self._resolve(copy.properties)
                # A fleet that waits for its config-server does not come back at it in step.
                time.sleep(pause * random.uniform(0.8, 1.0))  # noqa: S311 - nothing secret
                pause = min(pause * 1.6, 2.0)

    def fetch(self) -> Properties:
        """Ask each address once, until one answers. Raises ConfigUnavailable with what each of them said."""
        if not self._addresses:
            return self._resolve(_read_folder(Path(self._source), self._application, self._profile))
        kept = self._copy.read()
        failures = []
        for address in self._addresses:
            try:
                return self._resolve(self._ask(address, kept))
            except ConfigUnavailable as error:
                failures.append(str(error))
        raise ConfigUnavailable("; ".join(failures))

    def _ask(self, address: str, kept: Kept | None) -> Properties:
        # Only who gave the copy is asked whether it is still good: another server may call other things the same.
        known = kept if kept is not None and kept.etag and kept.address == address else None
        url = f"{address}/{self._application}/{self._profile}"
        headers = {"Accept": "application/json"} | ({"If-None-Match": known.etag} if known else {})
        auth = httpx.BasicAuth(self._application, self._password) if self._password else None
        try:
            # verify=False skips loading the certificate store where no TLS is spoken; it costs 20 ms.
            with httpx.Client(verify=url.startswith("https://"), timeout=10.0, trust_env=False) as client:
                answer = client.get(url, auth=auth, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConfigUnavailable(f"the config-server at {address} does not answer: {error}") from error
        if answer.status_code == 304 and known is not None:
            return known.properties
        # As Spring's client has it, no configuration is not an error; a reason with it says that this is something
        # else, such as a file that can't be read. It is no reason to forget what was good.
        if answer.status_code == 404 and "x-config-reason" not in answer.headers:
            return {}
        if answer.status_code != 200:
            reason = answer.headers.get("x-config-reason") or answer.text[:200]
            raise ConfigUnavailable(f"the config-server answered {answer.status_code} to {url}: {reason}")
        flat: Properties = {}
        try:
            for property_source in reversed(answer.json()["propertySources"]):  # the answer has the strongest first
                flat = _lay_over(flat, property_source["source"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigUnavailable(f"what answers at {url} is no config-server: {error!r}") from error
        fresh = Kept(address=address, etag=answer.headers.get("etag", ""), saved_at=time.time(), properties=flat)
        self._copy.write(fresh)
        return flat

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
