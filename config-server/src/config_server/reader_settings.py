"""What can be told about those who read."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from chassis.hashed_credentials import MalformedCredential
from chassis.settings import ServiceSettings, SettingsInvalid
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from .credentials import Credentials


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class ReaderSettings(ServiceSettings):
    """The credentials; for a password its hash may stand, and while one is changed, both: any of several will do."""

    model_config = SettingsConfigDict(env_prefix="CONFIG_SERVER_")

    credentials: dict[str, Annotated[list[SecretStr], BeforeValidator(_listed)]] = Field(
        default_factory=dict,
        description='JSON object of application and password, a list of them, or hashes: {"order-service": "..."}',
    )
    admin_credentials: Annotated[list[SecretStr], NoDecode, BeforeValidator(_split)] = Field(
        default_factory=list, description="passwords, or hashes, of the user admin, who may read and decrypt everything"
    )
    anonymous: bool = Field(False, description="whether anybody may read and decrypt everything, without a credential")

    def readers(self) -> Credentials:
        """Who may read. Raises SettingsInvalid."""
        if not self.credentials and not self.admin_credentials and not self.anonymous:
            raise SettingsInvalid(
                "set CONFIG_SERVER_CREDENTIALS to the applications' passwords, "
                "or CONFIG_SERVER_ANONYMOUS=true to let anybody read."
            )
        try:
            return Credentials(
                {name: _revealed(several) for name, several in self.credentials.items()},
                admin=_revealed(self.admin_credentials),
            )
        except MalformedCredential as error:
            raise SettingsInvalid(f"CONFIG_SERVER_CREDENTIALS or CONFIG_SERVER_ADMIN_CREDENTIALS: {error}.") from error

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for name, several in self.credentials.items():
            for password in several:
                yield f"CONFIG_SERVER_CREDENTIALS ({name})", password.get_secret_value()
        for password in self.admin_credentials:
            yield "CONFIG_SERVER_ADMIN_CREDENTIALS", password.get_secret_value()


def _revealed(several: Iterable[SecretStr]) -> list[str]:
    return [one.get_secret_value() for one in several]
