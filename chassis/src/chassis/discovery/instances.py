"""An instance of a service, out of Eureka's JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance of a service, as the registry has it."""

    service: str
    instance_id: str
    host: str
    port: int
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)
    up_since_ms: int = field(default=0, compare=False)
    """When it came up, by the discovery-server's clock; 0: not known."""

    @property
    def url(self) -> str:
        """`http://host:port`, without a slash at its end."""
        return f"http://{self.host}:{self.port}"


def read_applications(document: dict[str, Any]) -> Iterator[tuple[str, str, Instance | None]]:
    """What `GET apps` lists, each as `read_instance` has it. Raises KeyError, TypeError or ValueError."""
    for application in document["applications"]["application"]:
        for entry in application["instance"]:
            yield read_instance(entry, application["name"])


def read_instance(entry: dict[str, Any], application: str) -> tuple[str, str, Instance | None]:
    """The name of its service, its id, and itself: None while it is not UP. Raises KeyError, TypeError, ValueError."""
    service, instance_id = application.lower(), entry.get("instanceId") or entry["hostName"]
    if entry["status"] != "UP":
        return service, instance_id, None
    return (
        service,
        instance_id,
        Instance(
            service=service,
            instance_id=instance_id,
            host=entry["ipAddr"],
            port=int(entry["port"]["$"]),
            # Eureka's JSON says of an empty map which Java class it is.
            metadata={k: str(v) for k, v in entry.get("metadata", {}).items() if k != "@class"},
            up_since_ms=int(entry.get("leaseInfo", {}).get("serviceUpTimestamp", 0)),
        ),
    )
