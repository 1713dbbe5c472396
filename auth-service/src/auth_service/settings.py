"""What auth-service can be told."""

from typing import ClassVar

from chassis.settings import ServiceSettings, refreshable
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "auth-service"

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    admin_email: str = Field("", description="address of the first admin; made on start if no admin is there")
    admin_password: SecretStr = Field(SecretStr(""), description="password of the first admin")
    access_token_seconds: int = refreshable(300, ge=30, le=3600, description="how long an access token is good")
    refresh_idle_seconds: int = refreshable(
        7 * 86400, ge=60, description="a session that is not refreshed for this long has ended"
    )
    session_seconds: int = refreshable(
        30 * 86400, ge=60, description="a session ends after this time, however often it is refreshed"
    )
    refresh_grace_seconds: float = refreshable(
        10.0, ge=0, description="a refresh token sent twice within this time answers the same tokens again"
    )
    key_rotation_seconds: int = refreshable(30 * 86400, ge=60, description="age at which a signing key is replaced")
    key_lead_seconds: float = refreshable(
        60.0, ge=0, description="time that a new key is published before it signs, so that verifiers have it"
    )
    failures_before_lock: int = refreshable(
        10, ge=1, description="failed log-ins of one address in a row before it has to wait"
    )
    failures_before_address_lock: int = refreshable(
        300, ge=1, description="failed log-ins from one network address in a row before it has to wait"
    )
    longest_lock_seconds: float = refreshable(900.0, ge=1, description="the wait doubles with each failure, up to this")
    longest_address_lock_seconds: float = refreshable(
        30.0, ge=1, description="the same for a network address, which may be that of many people"
    )
