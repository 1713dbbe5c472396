"""What config-server can be told."""

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from chassis.config_client import Properties
from chassis.settings import CommaList, SettingsInvalid
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from .change_settings import ChangeSettings
from .encryption_settings import EncryptionSettings
from .reader_settings import ReaderSettings
from .remote_settings import RemoteSettings
from .remotes import is_same_host
from .repository_settings import DEFAULT, RepositoryName, RepositorySettings, stay_inside


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

    git_repositories: dict[RepositoryName, RepositorySettings] = Field(
        default_factory=dict,
        description='JSON object of more repositories: {"team": {"uri": "...", "pattern": "order*/prod*, payment"}}',
    )

    @field_validator("git_search_paths")
    @classmethod
    def _stay_inside(cls, paths: list[str]) -> list[str]:
        return stay_inside(paths)

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises SettingsInvalid."""
        return cls.of({})

    @classmethod
    def of(cls, properties: Properties) -> Self:
        settings = super().of(properties)
        if not settings.git_uri and settings.folder is None:
            raise SettingsInvalid(
                "set CONFIG_SERVER_GIT_URI to the Git repository with the configuration files, "
                "or CONFIG_SERVER_FOLDER to a folder with them."
            )
        if settings.git_uri and settings.folder is not None:
            raise SettingsInvalid("set CONFIG_SERVER_GIT_URI or CONFIG_SERVER_FOLDER, not both.")
        for name in settings.git_repositories:
            if name == DEFAULT:
                raise SettingsInvalid(f"CONFIG_SERVER_GIT_REPOSITORIES: {name} is the one of CONFIG_SERVER_GIT_URI.")
            try:
                settings.of_repository(name).check_remote()
            except SettingsInvalid as error:
                raise SettingsInvalid(f"CONFIG_SERVER_GIT_REPOSITORIES, {name}: {error}") from error
        settings.readers()
        settings.key_ring()
        return settings

    def of_repository(self, name: str) -> Self:
        """These settings as they are for one of the repositories, which has from here what it does not say itself.

        A password goes only to the host that it is for: a repository on another one has to bring its own.
        """
        own = self.git_repositories[name]
        has_own = bool(own.username or own.password.get_secret_value()) or not is_same_host(own.uri, self.git_uri)
        has_key = own.private_key_file is not None
        is_https = own.uri.startswith("https://")
        return self.model_copy(
            update={
                "folder": None,
                "git_uri": own.uri,
                "git_default_label": own.default_label or self.git_default_label,
                "git_search_paths": self.git_search_paths if own.search_paths is None else own.search_paths,
                "git_username": own.username if has_own else self.git_username,
                "git_password": own.password if has_own else self.git_password,
                "git_private_key_file": own.private_key_file or self.git_private_key_file,
                "git_passphrase": own.passphrase if has_key else self.git_passphrase,
                "git_proxy": own.proxy if own.proxy.get_secret_value() or not is_https else self.git_proxy,
                "git_strict_host_keys": (
                    self.git_strict_host_keys if own.strict_host_keys is None else own.strict_host_keys
                ),
            }
        )

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for name, repository in self.git_repositories.items():
            for _field, value in repository:
                if isinstance(value, SecretStr) and value.get_secret_value():
                    yield f"CONFIG_SERVER_GIT_REPOSITORIES ({name})", value.get_secret_value()
