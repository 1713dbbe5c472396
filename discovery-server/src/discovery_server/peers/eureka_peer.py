"""A peer that is a real Eureka server: told in its own batches, and copied from once when this server starts."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from discovery_server.errors import EurekaProblem
from discovery_server.registry.instance import Action, Status
from discovery_server.registry.leases import Name
from discovery_server.registry.registry import Registry
from discovery_server.registry.state import State
from discovery_server.wire import json_codec
from discovery_server.wire.registration import build_instance

from .client import PageRefused, PeerAway, PeerClient
from .exchange import Outcome

logger = logging.getLogger(__name__)

_BATCH_ITEMS = 250  # as many as Eureka sends at once
_BATCH_BYTES = 512 * 1024


async def copy_all(registry: Registry, client: PeerClient) -> int:
    """Take in everything that a Eureka server knows; answers how many instances. Raises PeerAway, PeerUnlike.

    Their leases count from now: when they were renewed stands there by the other server's clock.
    """
    document = await client.get("apps")
    try:
        applications = _several(document["applications"].get("application"))
        sent = [instance for application in applications for instance in _several(application.get("instance"))]
    except (KeyError, TypeError, AttributeError) as error:
        raise PeerAway("its list of applications can't be read") from error
    return sum(_take(registry, instance) for instance in sent)


async def tell_eureka(
    registry: Registry, client: PeerClient, states: Iterable[State], renewals: Iterable[State], outcome: Outcome
) -> None:
    """Push states, and renewals of them, as Eureka's servers do; obey the answers. Raises PeerAway, PeerUnlike.

    404 to a heartbeat: the instance is not known there, or not so new: it is named in `outcome.unknown`. 409: it is
    known there in a newer version, which is taken.
    """
    items = [item for state in states for item in _items_of(state)]
    items += [_item("Heartbeat", state) for state in renewals]
    for batch in _batches(items):
        body = b'{"replicationList":[%s]}' % b",".join(written for _, written in batch)
        try:
            answer = await client.post("peerreplication/batch/", body)
        except PageRefused:
            logger.warning("a peer takes no batch of %d items: they are too large for it", len(batch))
            continue
        results = answer.get("responseList")
        if not isinstance(results, list) or len(results) != len(batch):
            raise PeerAway(f"it answered {len(batch)} items with something else")
        outcome.sent += len(batch)
        for (item, _), result in zip(batch, results, strict=True):
            _obey(registry, item, result, outcome)


def _items_of(state: State) -> Iterator[dict[str, Any]]:
    """What to tell of a changed instance: that it left, or what it is and how it is overridden."""
    instance = state.instance
    if instance is None:
        yield {"appName": state.app, "id": state.key, "action": "Cancel"}
        return
    if state.override is not None and state.override.status is None:
        # Before the registration: removing an override sets a status of its own.
        yield _item("DeleteStatusOverride", state)
    # An override of which Eureka knows none it takes from the registration.
    yield _item("Register", state) | {"instanceInfo": json.loads(json_codec.write_fragment(instance))}
    if instance.overridden_status is not Status.UNKNOWN and instance.status is instance.overridden_status:
        yield _item("StatusUpdate", state)


def _item(action: str, state: State) -> dict[str, Any]:
    item: dict[str, Any] = {"appName": state.app, "id": state.key, "action": action}
    if state.instance is not None:
        item["lastDirtyTimestamp"] = state.instance.dirty_ms
        item["status"] = state.instance.status
        item["overriddenStatus"] = state.instance.overridden_status
    return item


def _batches(items: Sequence[dict[str, Any]]) -> Iterator[list[tuple[dict[str, Any], bytes]]]:
    batch: list[tuple[dict[str, Any], bytes]] = []
    size = 0
    for item in items:
        written = json.dumps(item, separators=(",", ":")).encode()
        if batch and (len(batch) == _BATCH_ITEMS or size + len(written) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((item, written))
        size += len(written)
    if batch:
        yield batch


def _obey(registry: Registry, item: Mapping[str, Any], result: object, outcome: Outcome) -> None:
    if not isinstance(result, dict):
        raise PeerAway("an entry of its answer is no object")
    name: Name = (item["appName"], item["id"])
    match result.get("statusCode"), item["action"]:
        case 404, "Heartbeat" | "StatusUpdate":
            outcome.unknown.append(name)
        case 409, "Heartbeat" if isinstance(result.get("responseEntity"), dict):
            outcome.taken += _take(registry, result["responseEntity"])
        case int() as status, action if status >= 400 and status != 404:
            logger.warning("a peer answered %s to %s of %s of %s", status, action, name[1], name[0])


def _take(registry: Registry, sent: Any) -> bool:
    """Register what a Eureka server told, as a replica; whether that could be done."""
    try:
        instance = build_instance(sent)
        if sent.get("actionType") == Action.DELETED:
            return False
        registry.register(instance, replicated=True)
    except (EurekaProblem, ValueError, TypeError, AttributeError) as error:
        logger.warning("a peer told of an instance that is not taken: %s", str(error)[:300])
        return False
    return True


def _several(found: Any) -> list[Any]:
    """A list; some writers of JSON leave the brackets off around a single entry."""
    return [] if found is None else found if isinstance(found, list) else [found]
