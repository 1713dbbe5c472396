"""Drops leases that ran out, again and again."""

import asyncio
import logging

from .metrics import EVICTIONS, count_instances
from .registry import Registry

logger = logging.getLogger(__name__)


async def sweep_for_ever(registry: Registry, *, pause_seconds: float) -> None:
    """Look at all leases every pause; to be run as a supervised task."""
    counted: tuple[int, int] | None = None
    preserving = False
    while True:
        sweep = registry.sweep()
        for instance in sweep.evicted:
            EVICTIONS.labels(instance.app).inc()
            logger.warning(
                "%s of %s has not renewed its lease of %d s and is dropped",
                instance.key,
                instance.app,
                instance.lease.duration_seconds,
            )
        if sweep.preserved and not preserving:
            logger.warning("too many went silent at once: %d instances that ran out are kept", len(sweep.preserved))
        elif preserving and not sweep.preserved:
            logger.warning("the great silence is over: what runs out is dropped again")
        preserving = bool(sweep.preserved)
        if counted != (registry.version, len(sweep.preserved)):
            counted = (registry.version, len(sweep.preserved))
            count_instances(registry)
        await asyncio.sleep(pause_seconds)
