"""Self-preservation explained, for tools and people: GET /discovery/preservation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header

from discovery_server.access.access import Access
from discovery_server.registry.preservation import PreservationRules, Pulse, Verdict, judge
from discovery_server.registry.registry import Registry

from .health_check import Outcome

_MOST_SHOWN = 100  # instances of each application

Finding = Callable[[str, str], Outcome | None]


@dataclass(frozen=True, slots=True)
class SilentInstance:
    """One whose renewal is overdue, and what becomes of it unless it renews or others do."""

    id: str
    silent_seconds: float
    lease_seconds: float
    lease_ends_at: str
    fate: Literal["kept", "evicted"]
    kept_since: str | None  # None: the lease still holds, or it is not kept
    evicted_at: str | None  # None: it stays until something changes
    health_check: Outcome | None  # what it said last; None: it was not asked


@dataclass(frozen=True, slots=True)
class SilentApplication:
    name: str
    instances: int
    silent: int
    kept: int
    why: str
    silent_instances: list[SilentInstance]  # the longest silence first, of many only some


@dataclass(frozen=True, slots=True)
class Explanation:
    """The rules, and what they say now."""

    at: str
    rules: PreservationRules
    instances: int
    silent: int
    kept_after_their_lease: int
    network: str | None  # why everybody is kept; None: each application is judged for itself
    applications: list[SilentApplication]


def preservation_routes(registry: Registry, access: Access, finding: Finding | None = None) -> APIRouter:
    """`finding` tells what the health check of an overdue instance said, where such are asked."""
    router = APIRouter()

    @router.get("/discovery/preservation", summary="Who is silent, who is kept and why, who would be evicted and when")
    async def explain_preservation(authorization: Annotated[str | None, Header()] = None) -> Explanation:
        access.require_reader(authorization)
        return explain(registry, finding)

    return router


def explain(registry: Registry, finding: Finding | None = None) -> Explanation:
    """What is thought of the silence at this moment."""
    pulses = list(registry.pulses())
    judgement = judge(pulses, registry.preservation)
    now_ms = registry.clock.wall_ms()
    limit_seconds = None if judgement.network else registry.preservation.limit_seconds
    applications = [
        _application(app, verdict, now_ms, limit_seconds, finding)
        for app, verdict in sorted(judgement.verdicts.items())
    ]
    return Explanation(
        at=_moment(now_ms, 0),
        rules=registry.preservation,
        instances=len(pulses),
        silent=sum(application.silent for application in applications),
        kept_after_their_lease=len(registry.kept),
        network=judgement.network,
        applications=applications,
    )


def _application(
    app: str, verdict: Verdict, now_ms: int, limit_seconds: float | None, finding: Finding | None
) -> SilentApplication:
    return SilentApplication(
        name=app,
        instances=verdict.size,
        silent=len(verdict.silent),
        kept=len(verdict.kept),
        why=verdict.why,
        silent_instances=[
            _instance(pulse, pulse.key in verdict.kept, now_ms, limit_seconds, finding and finding(app, pulse.key))
            for pulse in verdict.silent[:_MOST_SHOWN]
        ],
    )


def _instance(
    pulse: Pulse, is_kept: bool, now_ms: int, limit_seconds: float | None, said: Outcome | None
) -> SilentInstance:
    lease_ends_at = _moment(now_ms, -pulse.overrun_seconds)
    evicted_at: str | None
    if not is_kept:
        evicted_at = _moment(now_ms, max(0.0, -pulse.overrun_seconds))
    else:
        evicted_at = None if limit_seconds is None else _moment(now_ms, limit_seconds - pulse.overrun_seconds)
    return SilentInstance(
        id=pulse.key,
        silent_seconds=round(pulse.silent_seconds, 3),
        lease_seconds=pulse.duration_seconds,
        lease_ends_at=lease_ends_at,
        fate="kept" if is_kept else "evicted",
        kept_since=lease_ends_at if is_kept and pulse.overrun_seconds > 0 else None,
        evicted_at=evicted_at,
        health_check=said,
    )


def _moment(now_ms: int, later_seconds: float) -> str:
    """RFC 3339, in UTC."""
    moment = datetime.fromtimestamp(now_ms / 1000 + later_seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
