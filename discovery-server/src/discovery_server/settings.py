"""Settings of the discovery-server."""

from collections.abc import Iterator
from typing import ClassVar, Self

from chassis.settings import ServiceSettings, SettingsInvalid
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from .preservation import PreservationRules


class DiscoverySettings(ServiceSettings):
    """What the discovery-server can be told, beside what every service can."""

    model_config = SettingsConfigDict(env_prefix="DISCOVERY_SERVER_")

    service_name: ClassVar[str] = "discovery-server"

    port: int = Field(8761, validation_alias="PORT", description="port to listen on; 0 takes any", ge=0, le=65535)
    credentials: dict[str, SecretStr] = Field(
        default_factory=dict, description="who may ask: a JSON object of service names and their passwords"
    )
    anonymous: bool = Field(False, description="true: nobody is asked for a credential")
    sweep_seconds: float = Field(1.0, description="time between two looks for leases that ran out", gt=0)
    delta_retention_seconds: float = Field(180.0, description="how long a change is told in apps/delta", gt=0)
    self_preservation: bool = Field(True, description="keep what went silent when a majority did at once")
    preservation_minimum: int = Field(10, description="instances below which nothing is preserved", ge=1)
    preservation_share: float = Field(
        0.5, description="share of the instances above which a silence counts as the network's", gt=0, lt=1
    )

    @property
    def preservation(self) -> PreservationRules:
        return PreservationRules(
            enabled=self.self_preservation, minimum=self.preservation_minimum, share=self.preservation_share
        )

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for name, password in self.credentials.items():
            yield f"DISCOVERY_SERVER_CREDENTIALS of {name}", password.get_secret_value()

    @field_validator("discovery_url")
    @classmethod
    def _register_with_nobody(cls, _: str) -> str:
        # The fleet may give every process the same environment; this one must not register with itself.
        return ""

    @model_validator(mode="after")
    def _refuse_an_open_door_nobody_asked_for(self) -> Self:
        if not self.anonymous and not self.credentials:
            raise SettingsInvalid(
                "nobody could register: set DISCOVERY_SERVER_CREDENTIALS to a JSON object of service names and "
                "passwords, or DISCOVERY_SERVER_ANONYMOUS=true to let anybody in."
            )
        if nameless := [name or "''" for name, password in self.credentials.items() if not (name and password)]:
            raise SettingsInvalid(f"DISCOVERY_SERVER_CREDENTIALS has an empty name or password: {', '.join(nameless)}.")
        return self
