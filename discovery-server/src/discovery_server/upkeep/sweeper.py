"""Drops leases that ran out, again and again, and says what is kept instead and why."""

import asyncio
import logging
from collections.abc import Collection, Mapping

from discovery_server.metrics import EVICTIONS, count_instances
from discovery_server.registry.leases import Name
from discovery_server.registry.registry import Registry

logger = logging.getLogger(__name__)

_MOST_NAMED = 5


async def sweep_for_ever(registry: Registry, *, pause_seconds: float) -> None:
    """Look at all leases every pause; to be run as a supervised task."""
    counted: tuple[int, Collection[Name]] | None = None
    preserving: set[str] = set()
    while True:
        for instance in registry.sweep().evicted:
            EVICTIONS.labels(instance.app, "ran-out").inc()
            logger.warning(
                "%s of %s has not renewed its lease of %d s and is dropped",
                instance.key,
                instance.app,
                instance.lease.duration_seconds,
            )
        preserving = _tell_what_is_kept(registry.kept, preserving)
        if counted != (registry.version, registry.kept.keys()):
            counted = (registry.version, registry.kept.keys())
            count_instances(registry)
        await asyncio.sleep(pause_seconds)


def _tell_what_is_kept(kept: Mapping[Name, str], before: set[str]) -> set[str]:
    """Log which applications began and ceased to be preserved; answers those that are."""
    now = {app for app, _ in kept}
    by_reason: dict[str, list[str]] = {}
    for (app, _), why in kept.items():
        if app not in before:
            by_reason.setdefault(why, []).append(app)
    for why, apps in by_reason.items():
        logger.warning("%d instances of %s ran out and are kept: %s", len(apps), _named(set(apps)), why)
    if ended := before - now:
        logger.warning("nothing of %s is kept any more", _named(ended))
    return now


def _named(apps: set[str]) -> str:
    first = ", ".join(sorted(apps)[:_MOST_NAMED])
    return first if len(apps) <= _MOST_NAMED else f"{first} and {len(apps) - _MOST_NAMED} more"
