"""What can be told about the registries of other regions."""

from collections.abc import Iterator
from typing import Self

from chassis.settings import ServiceSettings, SettingsInvalid
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from .address import PeerAddress


class RegionSettings(ServiceSettings):
    """The part of the settings that says which other regions there are."""

    model_config = SettingsConfigDict(env_prefix="DISCOVERY_SERVER_")

    remote_regions: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="registries that `regions=` shows as well: a JSON object of names and http://[user:password@]host/eureka",
    )
    region_interval_seconds: float = Field(30.0, description="time between two looks at another region", gt=0)

    @property
    def region_addresses(self) -> dict[str, PeerAddress]:
        """By names in lower case, as readers ask for them. Raises ValueError."""
        return {
            name.strip().lower(): PeerAddress.read(url.get_secret_value()) for name, url in self.remote_regions.items()
        }

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for name, address in self.region_addresses.items():
            if address.credential is not None and address.credential[1]:
                yield f"DISCOVERY_SERVER_REMOTE_REGIONS, of {name}", address.credential[1]

    @model_validator(mode="after")
    def _refuse_regions_that_can_not_be(self) -> Self:
        try:
            names = self.region_addresses
        except ValueError as error:
            raise SettingsInvalid(f"DISCOVERY_SERVER_REMOTE_REGIONS: {error}.") from error
        if len(names) < len(self.remote_regions) or any(not name or "," in name for name in names):
            raise SettingsInvalid(
                "DISCOVERY_SERVER_REMOTE_REGIONS needs names without commas that differ not only in their case."
            )
        return self
