"""What config-server can be told."""

from posixpath import normpath
from typing import Any, ClassVar, Self

from chassis.config_client import Properties
from chassis.settings import CommaList, SettingsInvalid
from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from .change_settings import ChangeSettings
from .encryption_settings import EncryptionSettings
from .reader_settings import ReaderSettings
from .remote_settings import RemoteSettings


class Settings(RemoteSettings, ReaderSettings, EncryptionSettings, ChangeSettings):
    """Read from the environment alone: who serves the configuration can't ask for it."""

    model_config = SettingsConfigDict(env_prefix="CONFIG_SERVER_")
    service_name: ClassVar[str] = "config-server"

    git_default_label: str = Field(
        "main", min_length=1, description="branch that is served where no label is asked for"
    )
    git_search_paths: CommaList = Field(
        default_factory=list,
        description="folders searched after the root, later ones win; {application}, {profile}, {label}, * and ? work",
    )

    overrides: dict[str, Any] = Field(
        default_factory=dict, description='JSON object of what everybody gets, stronger than any file: {"a.b": "c"}'
    )

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
        settings.readers()
        settings.key_ring()
        return settings
