"""What can be told about leases: how long they last, what is kept, what is asked, what outlives a restart."""

from ipaddress import ip_address
from pathlib import Path

from chassis.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from discovery_server.registry.preservation import PreservationRules

from .health_check import ProbeRules


class LeaseSettings(ServiceSettings):
    """The part of the settings that leases go by."""

    model_config = SettingsConfigDict(env_prefix="DISCOVERY_SERVER_")

    # Longer pauses are taken for a standstill of the process, after which nobody is dropped at once.
    sweep_seconds: float = Field(1.0, description="time between two looks for leases that ran out", gt=0, le=4)
    delta_retention_seconds: float = Field(180.0, description="how long a change is told in apps/delta", gt=0)
    double_lease: bool = Field(False, description="true: a lease lasts two durations, as Eureka's do")
    self_preservation: bool = Field(True, description="keep what went silent when a majority did at once")
    preservation_minimum: int = Field(10, description="instances below which nothing is preserved", ge=1)
    preservation_share: float = Field(
        0.5, description="share of the instances above which a silence counts as the network's", gt=0, lt=1
    )
    preservation_limit_seconds: float = Field(
        600.0, description="how long an application's silent instances are kept after their lease, at most", ge=0
    )
    probe: bool = Field(False, description="true: ask the healthCheckUrl of instances whose renewal is overdue")
    probe_interval_seconds: float = Field(2.0, description="time between two such questions to one instance", gt=0)
    probe_timeout_seconds: float = Field(1.0, description="how long to wait for the answer", gt=0)
    probe_keep_seconds: float = Field(
        300.0, description="how long after its last renewal an answer prolongs an instance's lease", ge=0
    )
    slow_start_seconds: int = Field(
        0, description="what new instances ask their callers for in metadata slow-start-seconds; 0: nothing", ge=0
    )
    warm_up_seconds: float = Field(
        30.0, description="how long reads are refused at most after a start, with peers, until something is known", ge=0
    )

    @property
    def lease_factor(self) -> float:
        """How many durations a lease lasts."""
        return 2.0 if self.double_lease else 1.0

    @property
    def preservation(self) -> PreservationRules:
        return PreservationRules(
            enabled=self.self_preservation,
            minimum=self.preservation_minimum,
            share=self.preservation_share,
            limit_seconds=self.preservation_limit_seconds,
        )

    @property
    def probing(self) -> ProbeRules | None:
        """How to ask; None: not at all."""
        if not self.probe:
            return None
        return ProbeRules(
            interval_seconds=self.probe_interval_seconds,
            timeout_seconds=self.probe_timeout_seconds,
            keep_seconds=self.probe_keep_seconds,
            # Who can reach this server only from its own machine may be asked there: it could go there itself.
            own_machine=_is_loopback(self.host),
        )

    @property
    def snapshot_path(self) -> Path | None:
        """Where the registry outlives a restart: only in a folder that was given, since it is nobody's cache."""
        return self.state_dir / f"registry-{self.port}.json" if "state_dir" in self.model_fields_set else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
