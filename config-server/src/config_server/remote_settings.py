"""What config-server can be told about repositories on other machines."""

from pathlib import Path
from typing import Self

from chassis.config_client import Properties
from chassis.settings import ServiceSettings, SettingsInvalid
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from pydantic import Field, SecretStr

from .errors import RepositoryUnusable
from .remotes import Credential, Remote, is_remote, without_user_info


class RemoteSettings(ServiceSettings):
    """Where the repository is, how to get in, and how often to look."""

    git_uri: str = Field(
        "", description="path, file://, https:// or ssh:// address (or user@host:path) of the repository"
    )
    folder: Path | None = Field(None, description="folder with the configuration files, in place of a repository")
    git_username: str = Field("", description="user at the remote repository")
    git_password: SecretStr = Field(SecretStr(""), description="its password or token")
    git_private_key_file: Path | None = Field(None, description="file with the private key for ssh, PEM or OpenSSH")
    git_passphrase: SecretStr = Field(SecretStr(""), description="passphrase of the private key")
    git_known_hosts_file: Path | None = Field(None, description="file with the keys of ssh hosts")
    git_strict_host_keys: bool = Field(True, description="whether an ssh host that is not a known host is refused")
    git_ca_file: Path | None = Field(None, description="file with certificates to trust beside the system's")
    git_proxy: SecretStr = Field(
        SecretStr(""), description="http:// address of a proxy for https; without one HTTPS_PROXY and NO_PROXY count"
    )
    git_timeout_seconds: float = Field(10.0, description="how long to wait for a connection or the next byte", gt=0)
    git_fetch_seconds: float = Field(30.0, description="time between two fetches of the remote repository", gt=0)
    git_stale_after_seconds: float = Field(
        300.0, description="how long ago the last fetch may be before answers say that they are stale", gt=0
    )

    @classmethod
    def of(cls, properties: Properties) -> Self:
        settings = super().of(properties)
        # What stands in the address would go into names of property sources, logs and health.
        settings.git_uri, username, password = without_user_info(settings.git_uri)
        settings.git_username = settings.git_username or username
        if not settings.git_password.get_secret_value():
            settings.git_password = SecretStr(password)
        settings._check_files()
        if settings.folder is not None:
            settings.folder = settings.folder.expanduser().absolute()
            if not settings.folder.is_dir():
                raise SettingsInvalid(f"CONFIG_SERVER_FOLDER: there is no folder {settings.folder}.")
        return settings

    def remote(self) -> Remote | None:
        """The repository, if it is on another machine. Raises SettingsInvalid."""
        try:
            if not is_remote(self.git_uri):
                return None
        except RepositoryUnusable as error:
            raise SettingsInvalid(f"{error.detail} CONFIG_SERVER_GIT_URI says where it is.") from error
        if self.git_stale_after_seconds <= self.git_fetch_seconds:
            raise SettingsInvalid(
                "CONFIG_SERVER_GIT_STALE_AFTER_SECONDS must be more than CONFIG_SERVER_GIT_FETCH_SECONDS: "
                "between two fetches nothing is stale."
            )
        if self.git_proxy.get_secret_value() and not self.git_uri.startswith("https://"):
            raise SettingsInvalid("CONFIG_SERVER_GIT_PROXY works only for https:// addresses.")
        credential = Credential(
            self.git_username,
            self.git_password.get_secret_value(),
            self.git_private_key_file,
            self.git_passphrase.get_secret_value(),
        )
        proxy = self.git_proxy.get_secret_value() or None
        return Remote(self.git_uri, credential, strict_host_keys=self.git_strict_host_keys, proxy=proxy)

    def check_remote(self) -> None:
        """Raises SettingsInvalid for what can't work, whatever the remote says."""
        self._check_files()
        self.remote()

    def _check_files(self) -> None:
        # libgit2 would say no more than that it was not let in.
        for variable, path in (
            ("CONFIG_SERVER_GIT_KNOWN_HOSTS_FILE", self.git_known_hosts_file),
            ("CONFIG_SERVER_GIT_CA_FILE", self.git_ca_file),
            ("CONFIG_SERVER_GIT_PRIVATE_KEY_FILE", self.git_private_key_file),
        ):
            if path is not None and not path.is_file():
                raise SettingsInvalid(f"{variable}: there is no file {path}.")
        if self.git_private_key_file is None:
            return
        passphrase = self.git_passphrase.get_secret_value().encode() or None
        try:
            key = self.git_private_key_file.read_bytes()
            is_openssh = b"BEGIN OPENSSH" in key
            loaded = (load_ssh_private_key if is_openssh else load_pem_private_key)(key, passphrase)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsInvalid(
                f"CONFIG_SERVER_GIT_PRIVATE_KEY_FILE: {self.git_private_key_file} can't be read with the passphrase of "
                f"CONFIG_SERVER_GIT_PASSPHRASE: {error}"
            ) from error
        # Seen with pygit2 1.21, whose libssh2 is 1.11.1: such keys end the process in its memory allocator.
        if isinstance(loaded, RSAPrivateKey) or (isinstance(loaded, Ed25519PrivateKey) and not is_openssh):
            raise SettingsInvalid(
                f"CONFIG_SERVER_GIT_PRIVATE_KEY_FILE: libssh2 damages its own memory with the key in "
                f"{self.git_private_key_file}. `ssh-keygen -t ed25519` makes one that is safe, in OpenSSH's form."
            )
