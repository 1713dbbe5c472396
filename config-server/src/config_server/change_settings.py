"""What can be told about changes: who may announce them, and how soon they are noticed."""

from collections.abc import Iterator

from chassis.settings import ServiceSettings
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from .webhooks import HOST_NAMES


class ChangeSettings(ServiceSettings):
    """The secrets that prove webhooks: one for each host, or one for all of them."""

    model_config = SettingsConfigDict(env_prefix="CONFIG_SERVER_")

    webhook_secret: SecretStr = Field(
        SecretStr(""), description="secret of the Git hosts' webhooks, which POST /monitor takes if they prove it"
    )
    webhook_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='JSON object of host and secret, where they differ: {"github": "...", "gitlab": "..."}',
    )
    webhook_window_seconds: int = Field(
        3600, description="how long a delivery is remembered, and how old one that tells its time may be", ge=60
    )
    watch_seconds: float = Field(1.0, description="time between two looks whether another commit is served", gt=0)

    @field_validator("webhook_secrets")
    @classmethod
    def _of_known_hosts(cls, secrets: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in secrets.items():
            if name not in HOST_NAMES:
                raise ValueError(f"there is no host {name}; there are {', '.join(sorted(HOST_NAMES))}")
            if not secret.get_secret_value():
                raise ValueError(f"the secret of {name} is empty")
        return secrets

    def secrets(self) -> Iterator[tuple[str, str]]:
        yield from super().secrets()
        for name, secret in self.webhook_secrets.items():
            yield f"CONFIG_SERVER_WEBHOOK_SECRETS ({name})", secret.get_secret_value()
