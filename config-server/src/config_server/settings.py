"""What config-server can be told."""

from collections.abc import Iterator
from typing import ClassVar, Self

from chassis.settings import CommaList, ServiceSettings
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    """Read from the environment alone: who serves the configuration can't ask for it."""

    model_config = SettingsConfigDict(env_prefix="CONFIG_SERVER_")
    service_name: ClassVar[str] = "config-server"

    git_uri: str = Field("", description="path or file:// URL of the Git repository, bare or with a work tree")
    git_default_label: str = Field("main", min_length=1, description="branch that is served where no label is asked for")
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
        return paths

    @model_validator(mode="after")
    def _say_what_to_serve_and_to_whom(self) -> Self:
        if not self.git_uri:
            raise ValueError("set CONFIG_SERVER_GIT_URI to the Git repository with the configuration files")
        if not self.credentials and not self.anonymous:
            raise ValueError(
                "set CONFIG_SERVER_CREDENTIALS to the applications' passwords, "
                "or CONFIG_SERVER_ANONYMOUS=true to let anybody read"
            )
        for name, password in self.credentials.items():
            if not password.get_secret_value():
                raise ValueError(f"the password of {name} in CONFIG_SERVER_CREDENTIALS is empty")
        return self

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises SettingsInvalid."""
        return cls.of({})

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for name, password in self.credentials.items():
            yield f"CONFIG_SERVER_CREDENTIALS ({name})", password.get_secret_value()
