"""What inventory-service can be told."""

from typing import ClassVar

from chassis.settings import ServiceSettings, refreshable
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "inventory-service"

    model_config = SettingsConfigDict(env_prefix="INVENTORY_")

    hold_grace_seconds: float = refreshable(
        30.0, ge=0, description="time that stock is held beyond the order's deadline before it is released as expired"
    )
    expiry_poll_seconds: float = refreshable(
        0.5, gt=0, description="time between two looks for reservations that have expired"
    )
