"""Settings of the discovery-server."""

from typing import ClassVar

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from .access.settings import AccessSettings
from .peers.region_settings import RegionSettings
from .peers.settings import PeerSettings
from .upkeep.settings import LeaseSettings


class DiscoverySettings(AccessSettings, LeaseSettings, PeerSettings, RegionSettings):
    """What the discovery-server can be told, beside what every service can."""

    model_config = SettingsConfigDict(env_prefix="DISCOVERY_SERVER_")

    service_name: ClassVar[str] = "discovery-server"

    port: int = Field(8761, validation_alias="PORT", description="port to listen on; 0 takes any", ge=0, le=65535)
    stream_readers: int = Field(1000, description="how many may follow the stream at a time; more get a 503", ge=0)
    stream_keep_alive_seconds: float = Field(
        15.0, description="how often the stream says something where nothing happens", gt=0, le=15
    )
    reader_patience_seconds: float = Field(
        60.0, description="how long a reader may take nothing of its answer before it is cut off", gt=0
    )

    @field_validator("discovery_url")
    @classmethod
    def _register_with_nobody(cls, _: str) -> str:
        # The fleet may give every process the same environment; this one must not register with itself.
        return ""
