"""What the sandbox provider can be told."""

from pathlib import Path
from typing import ClassVar

from chassis.settings import ServiceSettings
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "payment-sandbox"

    model_config = SettingsConfigDict(env_prefix="SANDBOX_")

    data: Path | None = Field(
        default=None, description="folder for what was charged and refunded; not given: payment-sandbox in STATE_DIR"
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), validation_alias="PAYMENT_WEBHOOK_SECRET", description="what webhooks are signed with"
    )
    slow_seconds: float = Field(default=3.0, ge=0, description="time until provider-slow answers")
    down_calls: int = Field(default=3, ge=0, description="calls for one charge that provider-down answers with 503")

    @property
    def folder(self) -> Path:
        """Where its books are."""
        return self.data or self.state_dir / self.service_name
