"""What the gateway can be told: its routes, its limits, its patience."""

from typing import Annotated, ClassVar

from chassis.settings import CommaList, ServiceSettings, refreshable
from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from .routes import Route, refuse_contradictions


class Settings(ServiceSettings):
    service_name: ClassVar[str] = "gateway"
    package_name: ClassVar[str] = "fleet-gateway"
    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    port: int = Field(
        default=8072, validation_alias="PORT", description="port to listen on; 0 takes any free one", ge=0, le=65535
    )
    routes: Annotated[list[Route], AfterValidator(refuse_contradictions)] = refreshable(
        [], description="the route table; a new one takes effect whole, or not at all"
    )
    admin_only_services: CommaList = refreshable(
        ["config-server", "discovery-server"],
        description="services that only an admin reaches by their name in discovery",
    )
    body_limit_bytes: int = refreshable(
        10 * 1024 * 1024, description="largest request body that is passed on; a larger one is 413", gt=0
    )
    header_limit_bytes: int = refreshable(
        32 * 1024, description="largest sum of a request's header names and values; more is 431", gt=0
    )
    rate_per_second: float = refreshable(
        50.0, description="requests a second that one caller may make for ever; 0 sets no limit", ge=0
    )
    rate_burst: int = refreshable(200, description="requests that one rested caller may make at once", ge=1)
    rate_address_share: int = refreshable(
        4, description="callers without a token that one network address is taken for", ge=1
    )
    connect_timeout_seconds: float = refreshable(
        2.0, description="how long a connection to an instance may take, and the wait for a free one", gt=0
    )
    response_timeout_seconds: float = refreshable(
        30.0, description="from the end of a request to the head of its response; more is 504", gt=0
    )
    idle_timeout_seconds: float = refreshable(
        60.0, description="how long a body may stand still, either way, before it is given up", gt=0
    )
    keep_alive_seconds: float = refreshable(
        50.0, description="how long an idle connection to an instance is kept; less than the services keep it", gt=0
    )
    connections_per_instance: int = refreshable(200, description="connections to one instance at a time", ge=1)
    breaker_failures: int = refreshable(5, description="failures in a row after which an instance is left alone", ge=1)
    breaker_pause_seconds: float = refreshable(
        1.0, description="how long it is left alone at first; twice as long after each failed probe, up to 30 s", gt=0
    )
    docs_cache_seconds: float = refreshable(5.0, description="how long a merged OpenAPI document is shown again", ge=0)
