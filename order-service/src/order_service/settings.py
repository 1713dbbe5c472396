"""What order-service can be told."""

from typing import ClassVar

from chassis.settings import ServiceSettings, refreshable
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "order-service"

    model_config = SettingsConfigDict(env_prefix="ORDER_")

    deadline_seconds: float = refreshable(
        60.0, gt=0, description="time that an order has to be confirmed before it is cancelled as timed-out"
    )
    deadline_poll_seconds: float = refreshable(
        0.5, gt=0, description="time between two looks for orders past their deadline"
    )
