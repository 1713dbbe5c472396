"""The batches in which Eureka's servers tell each other what their clients did: done item by item, answered alike."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from discovery_server.errors import EurekaProblem, Incomplete, NoSuchInstance, Unreadable
from discovery_server.registry.instance import Instance, Status
from discovery_server.registry.registry import Registry
from discovery_server.wire import json_codec
from discovery_server.wire.registration import build_instance, whole_number

logger = logging.getLogger(__name__)

_CHANGES = ("Register", "Cancel", "StatusUpdate", "DeleteStatusOverride")


def answer_batch(registry: Registry, sent: Mapping[str, Any]) -> bytes:
    """Do what a batch tells, and answer how each item went. Raises ValueError for what is no batch at all.

    Of Eureka's rules one is not kept: there a registration is answered with 200 even when it is refused.
    """
    items = sent.get("replicationList")
    if not isinstance(items, list):
        raise ValueError("replicationList has to be a list")
    return b'{"responseList":[%s]}' % b",".join(_answer(registry, item) for item in items)


def changes_in(sent: Mapping[str, Any]) -> dict[str, int]:
    """How many items of a batch there are of each action that changes something; heartbeats don't."""
    actions = (item.get("action") for item in sent["replicationList"] if isinstance(item, dict))
    return dict(Counter(action for action in actions if action in _CHANGES))


def _answer(registry: Registry, item: object) -> bytes:
    try:
        newer = _do(registry, item)
    except EurekaProblem as problem:
        if problem.status != NoSuchInstance.status:
            logger.warning("an item of a peer's batch was refused: %s", problem.detail)
        return b'{"statusCode":%d}' % problem.status
    except RecursionError:  # what was told is nested as deep as a text can be; it was being read, nothing was done
        return b'{"statusCode":400}'
    if newer is not None:
        return b'{"statusCode":409,"responseEntity":%s}' % json_codec.write_fragment(newer)
    return b'{"statusCode":200}'


def _do(registry: Registry, item: object) -> Instance | None:
    """Do one item; answers our instance where that is newer. Raises EurekaProblem."""
    if not isinstance(item, dict):
        raise Unreadable("An item of a batch is an object.")
    app, key, action = item.get("appName"), item.get("id"), item.get("action")
    if not (isinstance(app, str) and isinstance(key, str) and isinstance(action, str)):
        raise Unreadable("An item of a batch has an appName, an id and an action.")
    dirty_ms = _dirty_ms(item)
    match action:
        case "Register":
            _register(registry, app, item)
        case "Heartbeat":
            instance = registry.renew(app, key, dirty_ms=dirty_ms, replicated=True)
            if dirty_ms is not None and dirty_ms < instance.dirty_ms:
                return registry.instance(app, key)
        case "Cancel":
            registry.cancel(app, key, replicated=True)
        case "StatusUpdate":
            registry.override_status(app, key, _status(item), dirty_ms=dirty_ms, replicated=True)
        case "DeleteStatusOverride":
            registry.remove_override(app, key, _status(item), dirty_ms=dirty_ms, replicated=True)
        case _:
            raise Unreadable(f"There is no action {action[:80]!r}.")
    return None


def _register(registry: Registry, app: str, item: Mapping[str, Any]) -> None:
    try:
        instance = build_instance(item["instanceInfo"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"This is no instance: {type(error).__name__}: {str(error)[:200]}") from error
    if instance.app != app.upper():
        raise Incomplete(f"Mismatched appName, expecting {app.upper()} but was {instance.app}")
    registry.register(instance, replicated=True)


def _status(item: Mapping[str, Any]) -> Status:
    value = item.get("status")
    try:
        return Status.UNKNOWN if value is None else Status(value)
    except (ValueError, TypeError) as error:
        raise Unreadable(f"The status has to be one of {', '.join(Status)}.") from error


def _dirty_ms(item: Mapping[str, Any]) -> int | None:
    stamp = item.get("lastDirtyTimestamp")
    try:
        return None if stamp is None else whole_number(stamp)
    except ValueError as error:
        raise Unreadable(f"lastDirtyTimestamp is {str(stamp)[:40]!r}, which is no number of milliseconds.") from error
