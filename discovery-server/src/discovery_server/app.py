"""The discovery-server put together: settings, registry, sweeper, Eureka's REST, the page."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis.health import Health
from chassis.supervisor import Supervisor
from chassis.web import NO_SECOND_TELEMETRY, add_service_defaults
from fastapi import FastAPI

from .access.access import Access
from .access.audit import Audit
from .access.audit_file import AuditFile
from .access.audit_routes import audit_routes
from .access.refusals import RefusalWatch
from .dashboard.overview import Surroundings
from .dashboard.routes import dashboard_routes
from .documents.answers import Answers
from .peers.peers import Peers
from .peers.regions import Regions
from .peers.routes import peer_routes
from .registry.clock import Clock
from .registry.registry import Registry
from .rest.api import EurekaApi, Resource
from .rest.front import EurekaFront
from .rest.peer_replication import PeerApi
from .rest.stream import Stream
from .settings import DiscoverySettings
from .upkeep.preservation_routes import preservation_routes
from .upkeep.probe import Prober
from .upkeep.snapshot import Snapshot
from .upkeep.sweeper import sweep_for_ever
from .upkeep.warm_up import WarmUp

logger = logging.getLogger(__name__)


def create_app(settings: DiscoverySettings, clock: Clock | None = None) -> FastAPI:
    """The whole server; it has to be started (ASGI lifespan) for leases to run out."""
    registry = Registry(
        clock or Clock(),
        preservation=settings.preservation,
        delta_retention_seconds=settings.delta_retention_seconds,
        lease_factor=settings.lease_factor,
    )
    snapshot = Snapshot(registry, settings.snapshot_path) if settings.snapshot_path is not None else None
    known = snapshot.load() if snapshot is not None else 0  # before anybody listens: who was known is no news
    warm_up = WarmUp(
        registry.clock, has_peers=bool(settings.peers) and not known, limit_seconds=settings.warm_up_seconds
    )
    prober = Prober(registry, settings.probing) if settings.probing is not None else None
    if settings.anonymous:
        logger.warning("anybody may register here, under any name: DISCOVERY_SERVER_ANONYMOUS is true")
    access = Access(settings)
    audit_file = AuditFile(settings.audit_path) if settings.audit_path is not None else None
    audit = Audit(registry.clock, write_line=audit_file.write if audit_file is not None else None)
    audit.remember(view.instance for view in registry.leases())
    registry.listen(audit.heard)
    peers = Peers(registry, settings.peer_addresses, interval_seconds=settings.peer_interval_seconds)
    regions = Regions(
        settings.region_addresses,
        interval_seconds=settings.region_interval_seconds,
        delta_retention_seconds=settings.delta_retention_seconds,
        clock=registry.clock,
    )
    supervisor = Supervisor()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if audit_file is not None:
            audit_file.start()
        supervisor.start("sweeper", partial(sweep_for_ever, registry, pause_seconds=settings.sweep_seconds))
        if prober is not None:
            supervisor.start("prober", prober.run)
        if snapshot is not None:
            supervisor.start("snapshot", snapshot.run)
        peers.start(supervisor)
        regions.start(supervisor)
        supervisor.start("warm-up", partial(warm_up.wait_for, peers))
        yield
        await peers.tell_the_last()
        await supervisor.stop()
        if snapshot is not None:
            await snapshot.save()
        if audit_file is not None:
            await asyncio.to_thread(audit_file.stop)

    app = FastAPI(
        title="discovery-server",
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NO_SECOND_TELEMETRY,
    )
    app.state.registry = registry
    add_service_defaults(app, settings, health=_health(supervisor, warm_up))
    app.include_router(audit_routes(audit, access))
    app.include_router(preservation_routes(registry, access, prober.finding if prober is not None else None))
    app.include_router(peer_routes(peers, access, server_id=registry.server_id))
    answers = Answers(registry, regions)
    resources: dict[str, Resource] = {
        "peerreplication": PeerApi(registry, access, audit, is_complete=lambda: warm_up.may_read() is None),
        "stream": Stream(registry, answers, access, settings, may_read=warm_up.may_read),
    }
    api = EurekaApi(
        registry,
        answers,
        access,
        audit,
        resources=resources,
        may_read=warm_up.may_read,
        slow_start_seconds=settings.slow_start_seconds,
        patience_seconds=settings.reader_patience_seconds,
    )
    app.add_middleware(EurekaFront, api=api, settings=settings)
    app.add_middleware(RefusalWatch, audit=audit, access=access)

    around = Surroundings(
        registry,
        registry.clock.monotonic_seconds(),
        not_serving=warm_up.may_read,
        peers=peers.views,
        lease_factor=settings.lease_factor,
    )
    app.include_router(dashboard_routes(around, access, audit))
    return app


def _health(supervisor: Supervisor, warm_up: WarmUp) -> Health:
    health = Health()
    health.ready_while("warm-up", warm_up.check)
    health.live_while("sweeper", supervisor.check)
    return health
