"""What config-server can be told."""

from collections.abc import Iterator
from posixpath import normpath
from typing import ClassVar, Self

from chassis.config_client import Properties
from chassis.settings import CommaList, ServiceSettings, SettingsInvalid
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    """Read from the environment alone: who serves the configuration can't ask for it."""

    model_config = SettingsConfigDict(env_prefix="CONFIG_SERVER_")
    service_name: ClassVar[str] = "config-server"

    git_uri: str = Field("", description="path or file:// URL of the Git repository, bare or with a work tree")
    git_default_label: str = Field(
        "main", min_length=1, description="branch that is served where no label is asked for"
    )
    git_search_paths: CommaList = Field(
        default_factory=list,
        description="folders searched after the root, later ones win; {application}, {profile}, {label}, * and ? work",
    )
    credentials: dict[str, SecretStr] = Field(
        default_factory=dict, description='JSON object of application and password: {"order-service": "..."}'
    )
    anonymous: bool = Field(False, description="whether anybody may read everything, without a credential")

    @field_validator("git_search_paths")
    @classmethod
    def _stay_inside(cls, paths: list[str]) -> list[str]:
        for path in paths:
            if ".." in path.split("/"):
                raise ValueError(f"{path} leads out of the repository")
        return [normpath(path).strip("/") for path in paths]

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises SettingsInvalid."""
        return cls.of({})

    @classmethod
    def of(cls, properties: Properties) -> Self:
        settings = super().of(properties)
        if not settings.git_uri:
            raise SettingsInvalid("set CONFIG_SERVER_GIT_URI to the Git repository with the configuration files.")
        if not settings.credentials and not settings.anonymous:
            raise SettingsInvalid(
                "set CONFIG_SERVER_CREDENTIALS to the applications' passwords, "
                "or CONFIG_SERVER_ANONYMOUS=true to let anybody read."
            )
        for name, password in settings.credentials.items():
            if not password.get_secret_value():
                raise SettingsInvalid(f"the password of {name} in CONFIG_SERVER_CREDENTIALS is empty.")
        return settings

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for name, password in self.credentials.items():
            yield f"CONFIG_SERVER_CREDENTIALS ({name})", password.get_secret_value()
