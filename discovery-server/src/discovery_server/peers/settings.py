"""What can be told about the other servers."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from chassis.settings import ServiceSettings, SettingsInvalid
from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from discovery_server.access.credentials import PEER

from .address import PeerAddress


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class PeerSettings(ServiceSettings):
    """The part of the settings that says who the others are."""

    model_config = SettingsConfigDict(env_prefix="DISCOVERY_SERVER_")

    peers: Annotated[list[SecretStr], NoDecode, BeforeValidator(_split)] = Field(
        default_factory=list,
        description="URLs of all servers, http://[user:password@]host:port/eureka, our own may be among them",
    )
    peer_interval_seconds: float = Field(
        10.0, description="time between two comparisons with a peer: after a partition all agree that soon", gt=0
    )

    @property
    def peer_addresses(self) -> list[PeerAddress]:
        """The others. Where an address has no credential of its own, ours is used. Raises ValueError."""
        password = self.service_password.get_secret_value()
        usual = (PEER.lower(), password) if password else None
        return [PeerAddress.read(peer.get_secret_value(), usual=usual) for peer in self.peers]

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for address in self.peer_addresses:
            if address.credential is not None and address.credential[1]:
                yield f"DISCOVERY_SERVER_PEERS, of {address.name}", address.credential[1]

    @model_validator(mode="after")
    def _refuse_addresses_that_can_not_be(self) -> Self:
        try:
            names = [address.name for address in self.peer_addresses]
        except ValueError as error:
            raise SettingsInvalid(f"DISCOVERY_SERVER_PEERS: {error}.") from error
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SettingsInvalid(f"DISCOVERY_SERVER_PEERS names {', '.join(twice)} more than once.")
        return self
