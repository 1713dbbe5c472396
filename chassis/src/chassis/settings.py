"""Settings of a service: the environment first, then the config-server, then the defaults in the code."""

import importlib.metadata
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from .config_client import ConfigClient, ConfigUnavailable, Properties, default_state_dir

__all__ = ["CommaList", "ConfigUnavailable", "ServiceSettings", "SettingsInvalid", "refreshable"]

# A list that the environment writes as `a,b` and a config file as a YAML list.
CommaList = Annotated[
    list[str],
    NoDecode,
    BeforeValidator(
        lambda value: [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    ),
]

_properties: ContextVar[Properties] = ContextVar("properties", default={})  # noqa: B039 - never changed in place


class SettingsInvalid(Exception):
    """A setting has a value that can't be; the message names each one and where it came from."""


def refreshable(default: Any, **field: Any) -> Any:
    """A field whose new value `POST /actuator/refresh` applies without a restart."""
    return Field(default, json_schema_extra={"refreshable": True}, **field)


def _common(default: Any, name: str, description: str, *, can_refresh: bool = False, **constraints: Any) -> Any:
    # An alias is not prefixed with the service's env_prefix: PORT is PORT everywhere.
    return Field(
        default,
        validation_alias=name,
        description=description,
        json_schema_extra={"refreshable": can_refresh},
        **constraints,
    )


def _level(name: str) -> str:
    if name.upper() not in (known := logging.getLevelNamesMapping()):
        raise ValueError(f"there is no level {name!r}; there are {', '.join(known)}")
    return name


class ServiceSettings(BaseSettings):
    """What every service can be told. A service adds its own fields under its `env_prefix`.

    A field is found as `ORDER_DEADLINE_SECONDS` in the environment and as `order.deadline-seconds` in a
    config file: names are compared with dots and hyphens read as underscores, whatever their case.
    """

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, validate_assignment=True)

    service_name: ClassVar[str]
    package_name: ClassVar[str] = ""  # where the package has another name than the service

    host: str = _common("127.0.0.1", "HOST", "address to listen on")
    port: int = _common(0, "PORT", "port to listen on; 0 takes any free one", ge=0, le=65535)
    profile: str = _common("default", "PROFILE", "default, dev or prod: which config files apply")
    log_level: Annotated[str, AfterValidator(_level)] = _common(
        "INFO", "LOG_LEVEL", "level of the root logger", can_refresh=True
    )
    config_source: str = _common(
        "", "CONFIG_SOURCE", "URL of the config-server (several: a comma list), or a folder of config files, or empty"
    )
    config_fail_fast: bool = _common(
        False, "CONFIG_FAIL_FAST", "whether to end at once where no config-server answers, rather than wait for it"
    )
    config_wait_seconds: float = _common(120.0, "CONFIG_WAIT_SECONDS", "how long to ask an absent config-server", ge=0)
    discovery_url: str = _common(
        "", "DISCOVERY_URL", "URL of the discovery-server (several: a comma list); empty: none"
    )
    discovery_renewal_seconds: float = _common(
        5.0, "DISCOVERY_RENEWAL_SECONDS", "time between two heartbeats of this instance", gt=0
    )
    discovery_poll_seconds: float = _common(
        1.0,
        "DISCOVERY_POLL_SECONDS",
        "time between two looks at the registry, where the discovery-server has no stream",
        gt=0,
        can_refresh=True,
    )
    instance_zone: str = _common("", "INSTANCE_ZONE", "where this instance runs, as discovery is told; empty: nothing")
    instance_version: str = _common(
        "", "INSTANCE_VERSION", "what version discovery is told that this is; empty: the package's"
    )
    service_password: SecretStr = _common(
        SecretStr(""), "SERVICE_PASSWORD", "this service's own credential at config-server and discovery-server"
    )
    refresh_secret: SecretStr = _common(
        SecretStr(""), "REFRESH_SECRET", "what the config-server signs its calls of POST /actuator/refresh with"
    )
    state_dir: Path = _common(
        default_state_dir(), "STATE_DIR", "folder for what must outlive a restart, such as the last good configuration"
    )
    database_url: SecretStr = _common(SecretStr(""), "DATABASE_URL", "postgresql://user:password@host:port/database")
    database_pool_size: int = _common(8, "DATABASE_POOL_SIZE", "connections kept to the database", ge=1)
    kafka_bootstrap: str = _common("", "KAFKA_BOOTSTRAP", "host:port of a Kafka broker (a comma list)")
    kafka_partitions: int = _common(3, "KAFKA_PARTITIONS", "partitions of a topic that is made here", ge=1)
    kafka_replication: int = _common(1, "KAFKA_REPLICATION", "replicas of a topic that is made here", ge=1)
    jwks_url: str = _common(
        "lb://auth-service/.well-known/jwks.json", "JWKS_URL", "where access tokens' public keys are published"
    )
    token_issuer: str = _common("https://auth.flotilla.example", "TOKEN_ISSUER", "who signs access tokens (iss)")
    token_audience: str = _common("flotilla", "TOKEN_AUDIENCE", "whom access tokens are for (aud)")
    max_body_bytes: int = _common(
        1_048_576, "MAX_BODY_BYTES", "largest request body that is read", gt=0, can_refresh=True
    )
    loki_url: str = _common("", "LOKI_URL", "base URL of Loki; empty: logs go to standard output only")
    otlp_endpoint: str = _common("", "OTLP_ENDPOINT", "base URL of an OTLP/HTTP receiver; empty: traces stay here")
    trace_sample_ratio: float = _common(1.0, "TRACE_SAMPLE_RATIO", "share of new traces that are recorded", ge=0, le=1)

    @classmethod
    def load(cls) -> Self:
        """Read the environment, ask the config-server, and check everything.

        Raises:
            ConfigUnavailable: the config-server stayed away and no last good copy is on disk.
            SettingsInvalid: a value can't be used.
        """
        source = ConfigClient.from_environment(cls.service_name, os.environ)
        return cls.of(source.properties_at_start() if source else {})

    @classmethod
    def of(cls, properties: Properties) -> Self:
        """Settings from `properties` (flat keys of config files) where the environment does not say otherwise."""
        token = _properties.set(properties)
        try:
            return cls()
        except (ValidationError, SettingsError) as error:
            problems = (
                "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
                if isinstance(error, ValidationError)
                else str(error)
            )
            raise SettingsInvalid(f"can't start with these settings: {problems}") from error
        finally:
            _properties.reset(token)

    @classmethod
    def variable_of(cls, field_name: str) -> str:
        """The environment variable of a field."""
        alias = cls.model_fields[field_name].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{field_name}".upper()

    @property
    def package_version(self) -> str:
        """The version of the service's package; empty where it runs without being installed as one."""
        try:
            return importlib.metadata.version(self.package_name or self.service_name)
        except importlib.metadata.PackageNotFoundError:
            return ""

    def secrets(self) -> Iterator[tuple[str, str]]:
        """The variables that are secret and set, with their values."""
        for name, value in self:
            if isinstance(value, SecretStr) and value.get_secret_value():
                yield self.variable_of(name), value.get_secret_value()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _ConfigFiles(cls)


class _ConfigFiles(PydanticBaseSettingsSource):
    """Fields from the flat keys of config files; keys that no field asks for are ignored (new config, old code)."""

    def __init__(self, settings_type: type[ServiceSettings]) -> None:
        super().__init__(settings_type)
        self._settings_type = settings_type

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return _find(_properties.get(), self._settings_type.variable_of(field_name)), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self._settings_type.model_fields.items()}
        # Under the alias where there is one: two sources that name a field differently would both count.
        return {
            alias if isinstance(alias := self._settings_type.model_fields[name].validation_alias, str) else name: value
            for name, value in found.items()
            if value is not None
        }


def _relaxed(key: str) -> str:
    return re.sub(r"[.-]", "_", key).upper()


def _find(properties: Properties, variable: str) -> Any:
    """The value under the flat key that means `variable`: a scalar, or the dict or list below that key."""
    for key, value in properties.items():
        if _relaxed(key) == variable:
            return value
    below: dict[str, Any] = {}
    for key, value in properties.items():
        for border in re.finditer(r"[.\[]", key):
            if _relaxed(key[: border.start()]) == variable:
                below[key[border.start() :]] = value
    return _nest(below) if below else None


def _nest(flat: Mapping[str, Any]) -> Any:
    """`{".a[0].b": 1}` as `{"a": [{"b": 1}]}`; the keys `[0]`, `[1]`, ... of one place make a list."""
    tree: dict[str | int, Any] = {}
    for key, value in flat.items():
        parts: list[str | int] = [
            int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|\.?([^.\[\]]+)", key)
        ]
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
        node[parts[-1]] = value
    return _lists(tree)


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(key, int) for key in node):
        return [_lists(node[index]) for index in sorted(node)]
    return {str(key): _lists(value) for key, value in node.items()}
