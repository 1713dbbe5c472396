"""Who asks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """The client at the other end of a connection, and the address at which it reached the broker."""

    host: str
    broker_host: str
    broker_port: int
    client_id: str = ""
    api_version: int = 0
