"""What payment-service can be told."""

from typing import ClassVar

from chassis.settings import ServiceSettings, refreshable
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "payment-service"

    model_config = SettingsConfigDict(env_prefix="PAYMENT_")

    provider_url: str = Field(default="", description="base URL of the payment provider; empty: charges wait")
    provider_timeout_seconds: float = refreshable(5.0, gt=0, description="time for one call to the provider")
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="what the provider signs its webhooks with; empty: none is believed"
    )
    public_url: str = Field(
        default="", description="base URL that the provider reaches this service at; empty: the address it listens on"
    )
    calls_at_once: int = refreshable(16, ge=1, description="charges, and also refunds, under way at a time")
    poll_seconds: float = refreshable(0.5, gt=0, description="time between two looks for charges and refunds to make")
    retry_pause_seconds: float = refreshable(
        0.2, gt=0, description="pause after the first failed call to the provider; it doubles with each"
    )
    longest_retry_pause_seconds: float = refreshable(5.0, gt=0, description="where that doubling ends")
    answer_poll_seconds: float = refreshable(
        5.0, gt=0, description="time between two looks at a charge whose answer the provider promised by webhook"
    )
    give_up_seconds: float = refreshable(
        45.0, gt=0, description="time after which a charge that no provider takes fails; below the order's deadline"
    )
