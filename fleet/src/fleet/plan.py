"""What runs, in which order, and with which environment: the fleet of one machine on one page."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum
from typing import Literal

from .ports import check_is_free, free_port
from .state import FleetProblem, Home, Secrets

POSTGRES, KAFKA = "postgres", "kafka"
EMBEDDED_BROKER, APACHE_KAFKA = BROKERS = ("embedded", "kafka")
CONFIG_SERVER, DISCOVERY_SERVER, GATEWAY = "config-server", "discovery-server", "gateway"
AUTH_SERVICE = "auth-service"
SERVICES = (AUTH_SERVICE, "order-service", "inventory-service", "payment-service")
SANDBOX = "payment-sandbox"
ALWAYS = (POSTGRES, KAFKA, CONFIG_SERVER, DISCOVERY_SERVER)
NAMES = (*ALWAYS, *SERVICES, SANDBOX, GATEWAY)

_PROFILE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")
ADMIN_EMAIL = "admin@flotilla.example"


class Wave(IntEnum):
    """Who needs whom. All start at once, since each waits for what it needs; ended by waves, the last first."""

    INFRASTRUCTURE = 0
    REGISTRY = 1
    CONFIGURATION = 2
    SERVICES = 3
    DOOR = 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the fleet."""

    name: str
    wave: Wave
    port: int
    entry: str = ""
    """The module whose `main()` is the process; empty for PostgreSQL and Apache Kafka, which are no Python."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    ready_when: Literal["it listens", "it says so"] = "it says so"
    is_registered: bool = False
    """Whether it registers with discovery, so that the gateway can reach it."""

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}" if self.ready_when == "it listens" else f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `fleet up` was asked for."""

    only: tuple[str, ...] = ()
    profile: str = "default"
    broker: str = EMBEDDED_BROKER
    config_server_port: int = 8888
    discovery_server_port: int = 8761
    gateway_port: int = 8072

    @classmethod
    def from_json(cls, text: str) -> "Options":
        fields = json.loads(text)
        return cls(**{**fields, "only": tuple(fields["only"])})

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def check(self) -> "Options":
        """The same. Raises FleetProblem."""
        if unknown := [name for name in self.only if name not in NAMES]:
            raise FleetProblem(f"There is no {', '.join(unknown)} in this fleet; there are {', '.join(NAMES)}.")
        if not _PROFILE.fullmatch(self.profile):
            raise FleetProblem(f"{self.profile!r} can't be a profile: use letters and digits, as in dev or prod.")
        if self.broker not in BROKERS:
            raise FleetProblem(f"There is no broker {self.broker!r}: BROKER can be {' or '.join(BROKERS)}.")
        return self

    def wanted(self) -> set[str]:
        if not self.only:
            return set(NAMES)
        provider = {SANDBOX} if "payment-service" in self.only else set()
        return {*self.only, *ALWAYS, *provider}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parts in the order in which they are shown, and where the fleet's doors are."""

    parts: tuple[Part, ...]
    databases: Mapping[str, str]
    """The password of each database's role; database and role have the service's name."""
    admin_password: str = field(default="", repr=False)

    def part(self, name: str) -> Part | None:
        return next((part for part in self.parts if part.name == name), None)

    def url_of(self, name: str) -> str:
        part = self.part(name)
        return part.url if part else ""

    def setting_of(self, name: str, variable: str) -> str:
        """What a part is told; empty where it does not run."""
        part = self.part(name)
        return part.environment.get(variable, "") if part else ""


def make_plan(home: Home, options: Options, secrets: Secrets) -> Plan:
    """Choose the ports and write the environments. Raises FleetProblem where a fixed port is taken."""
    wanted = options.wanted()
    ports = {name: free_port() for name in (POSTGRES, KAFKA, *SERVICES, SANDBOX)}
    for name, port in (
        (CONFIG_SERVER, options.config_server_port),
        (DISCOVERY_SERVER, options.discovery_server_port),
        (GATEWAY, options.gateway_port),
    ):
        if name in wanted:
            variable = f"{name.upper().replace('-', '_')}_PORT"
            ports[name] = check_is_free(port, f"--{name}-port or {variable}")

    parts = [
        Part(name=POSTGRES, wave=Wave.INFRASTRUCTURE, port=ports[POSTGRES], ready_when="it listens"),
        _broker(home, options.broker, ports[KAFKA]),
        *(_server(name, home, options, ports, secrets) for name in (CONFIG_SERVER, DISCOVERY_SERVER, *SERVICES)),
        _sandbox(home, ports, secrets),
        _server(GATEWAY, home, options, ports, secrets),
    ]
    plan = Plan(
        parts=tuple(part for part in parts if part.name in wanted),
        databases={name: secrets.of(f"database of {name}") for name in SERVICES if name in wanted},
        admin_password=secrets.of("admin"),
    )
    secrets.save()
    home.remember_broker(options.broker)
    return plan


def _broker(home: Home, kind: str, port: int) -> Part:
    embedded = Part(
        name=KAFKA,
        wave=Wave.INFRASTRUCTURE,
        port=port,
        entry="embedded_kafka.__main__",
        environment=_environment({"KAFKA_DATA": str(home.data / "kafka")}, port),
        ready_when="it listens",
    )
    return embedded if kind == EMBEDDED_BROKER else replace(embedded, entry="", environment={})


def _server(name: str, home: Home, options: Options, ports: Mapping[str, int], secrets: Secrets) -> Part:
    said = {
        "PROFILE": options.profile,
        "CONFIG_SOURCE": f"http://127.0.0.1:{ports[CONFIG_SERVER]}",
        "DISCOVERY_URL": f"http://127.0.0.1:{ports[DISCOVERY_SERVER]}",
        "KAFKA_BOOTSTRAP": f"127.0.0.1:{ports[KAFKA]}",
        "SERVICE_PASSWORD": secrets.of(name),
        "REFRESH_SECRET": secrets.of("refreshing of services"),
        "STATE_DIR": str(home.service_state),
    }
    if name != CONFIG_SERVER and AUTH_SERVICE in options.wanted():
        # Not through discovery: tokens can be verified as soon as they are signed.
        said["JWKS_URL"] = f"http://127.0.0.1:{ports[AUTH_SERVICE]}/.well-known/jwks.json"
    if name in SERVICES:
        password = secrets.of(f"database of {name}")
        said["DATABASE_URL"] = f"postgresql://{name}:{password}@127.0.0.1:{ports[POSTGRES]}/{name}"
    match name:
        case "config-server":
            # It would ask itself for its configuration.
            del said["CONFIG_SOURCE"]
            said["CONFIG_SERVER_GIT_URI"] = str(home.config_repository)
            said["CONFIG_SERVER_CREDENTIALS"] = _credentials(secrets)
            said["CONFIG_SERVER_ADMIN_CREDENTIALS"] = secrets.of("admin of config-server")
            said["CONFIG_SERVER_WEBHOOK_SECRET"] = secrets.of("webhooks of the configuration")
            said["CONFIG_SERVER_ENCRYPT_KEY"] = secrets.of("encryption of configuration")
        case "discovery-server":
            said["DISCOVERY_SERVER_CREDENTIALS"] = _credentials(secrets)
            said["DISCOVERY_SERVER_ADMIN_CREDENTIALS"] = secrets.of("admin of discovery-server")
        case "auth-service":
            said["AUTH_ADMIN_EMAIL"] = ADMIN_EMAIL
            said["AUTH_ADMIN_PASSWORD"] = secrets.of("admin")
        case "payment-service":
            said["PAYMENT_PROVIDER_URL"] = f"http://127.0.0.1:{ports[SANDBOX]}"
            said["PAYMENT_WEBHOOK_SECRET"] = secrets.of("webhooks of the payment provider")
    return Part(
        name=name,
        wave=_WAVES.get(name, Wave.SERVICES),
        port=ports.get(name, 0),
        entry=f"{name.replace('-', '_')}.__main__",
        environment=_environment(said, ports.get(name, 0)),
        is_registered=name in SERVICES,
    )


_WAVES = {DISCOVERY_SERVER: Wave.REGISTRY, CONFIG_SERVER: Wave.CONFIGURATION, GATEWAY: Wave.DOOR}


def _sandbox(home: Home, ports: Mapping[str, int], secrets: Secrets) -> Part:
    """The payment provider: somebody else's server, so it knows nothing of the fleet but the webhooks' secret."""
    said = {
        "SANDBOX_DATA": str(home.data / SANDBOX),
        "PAYMENT_WEBHOOK_SECRET": secrets.of("webhooks of the payment provider"),
    }
    return Part(
        name=SANDBOX,
        wave=Wave.SERVICES,
        port=ports[SANDBOX],
        entry="payment_service.sandbox.__main__",
        environment=_environment(said, ports[SANDBOX]),
    )


def _environment(said: Mapping[str, str], port: int) -> dict[str, str]:
    """What a part is told, over what `fleet up` was run with: LOKI_URL and any setting by its variable go through."""
    return {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), **said}


def _credentials(secrets: Secrets) -> str:
    return json.dumps({name: secrets.of(name) for name in (CONFIG_SERVER, DISCOVERY_SERVER, GATEWAY, *SERVICES)})
