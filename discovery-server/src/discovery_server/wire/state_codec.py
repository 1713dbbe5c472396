"""States as JSON: whole, as servers send them to each other and as a snapshot keeps them, and read strictly.

Other than the wire of Eureka's clients this loses nothing: an instance is written with all of its stamps and with what
it would be without an override. What is at its default is left out. Fields that are not known are ignored: a newer
server may send more.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from discovery_server.registry.clock import Stamp
from discovery_server.registry.instance import (
    AMAZON,
    AMAZON_DATA_CENTER_CLASS,
    DATA_CENTER_CLASSES,
    DATA_CENTER_NAMES,
    Action,
    DataCenter,
    Instance,
    LeaseInfo,
    Port,
    Status,
    readable_metadata,
    refuse_odd_text,
)
from discovery_server.registry.state import Override, State, Version

from .registration import LARGEST_INT, LARGEST_LONG

Reader = Callable[[Any], Any]


class StateUnreadable(ValueError):
    """What should be a state is none; the message says which field is wrong."""


def write_state(state: State) -> dict[str, Any]:
    """A state as an object to be dumped as JSON."""
    sent: dict[str, Any] = {"app": state.app, "key": state.key, "version": write_version(state.version)}
    if state.instance is not None:
        sent["instance"] = _write_instance(state.instance)
        sent["silent_seconds"] = round(state.silent_seconds, 3)
    sent["own_status"] = state.own_status
    if state.owner is not None:
        sent["owner"] = state.owner
    if state.override is not None:
        sent["override"] = {"status": state.override.status, "stamp": state.override.stamp}
        if state.override.buried:
            sent["override"]["buried"] = True
    return sent


def read_state(sent: object) -> State:
    """The state that an object of JSON describes. Raises StateUnreadable."""
    try:
        state = State(
            app=_field(sent, "app", _app),
            key=_field(sent, "key", _name),
            version=_field(sent, "version", read_version),
            instance=_field(sent, "instance", _instance, None),
            own_status=_field(sent, "own_status", _status),
            owner=_field(sent, "owner", _name, None),
            silent_seconds=_field(sent, "silent_seconds", _seconds, 0.0),
            override=_field(sent, "override", _override, None),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StateUnreadable(f"{_called(sent)}: {str(error)[:200]}") from error
    if state.instance is not None and (state.app, state.key) != (state.instance.app, state.instance.key):
        raise StateUnreadable(
            f"{_called(sent)}: its instance is {shown(state.instance.key)} of {state.instance.app[:80]!r}"
        )
    return state


def read_states(sent: Iterable[object]) -> tuple[list[State], list[str]]:
    """The states that can be read, and why the others can't: a bad one spoils no other."""
    states, refusals = [], []
    for entry in sent:
        try:
            states.append(read_state(entry))
        except StateUnreadable as error:
            refusals.append(str(error))
    return states, refusals


def write_version(version: Version) -> list[Any]:
    """`[client's stamp, [our stamp, its server]]`."""
    return [version.dirty_ms, list(version.stamp)]


def read_version(sent: Any) -> Version:
    """The inverse of `write_version`. Raises ValueError or TypeError."""
    dirty_ms, stamp = _pair(sent)
    return Version(_long(dirty_ms), _stamp(stamp))


def shown(value: object) -> str:
    """A value of JSON as it stands in a refusal: short, and not walked through, however deep it is."""
    return type(value).__name__ if isinstance(value, list | dict) else repr(value)[:80]


def _write_instance(instance: Instance) -> dict[str, Any]:
    sent: dict[str, Any] = {}
    for name, usual in _USUAL_INSTANCE.items():
        value = getattr(instance, name)
        if value != usual:
            sent[name] = _WRITERS[name](value) if name in _WRITERS else value
    return sent


def _instance(sent: Any) -> Instance:
    return Instance(**_fields(sent, _READERS))


def _lease(sent: Any) -> LeaseInfo:
    return LeaseInfo(**_fields(sent, _LEASE_READERS))


def _data_center(sent: Any) -> DataCenter:
    class_name, name, metadata = _list(sent)
    if _text(class_name) not in DATA_CENTER_CLASSES or _text(name) not in DATA_CENTER_NAMES:
        raise ValueError(f"there is no {shown(name)} of {shown(class_name)}")
    if (class_name == AMAZON_DATA_CENTER_CLASS) != (name == AMAZON) or (metadata and name != AMAZON):
        raise ValueError(f"{name} with metadata is no {class_name}" if metadata else f"{name} is no {class_name}")
    return DataCenter(class_name, name, _metadata(metadata))


def _port(sent: Any) -> Port:
    number, enabled = _pair(sent)
    if not -1 <= _long(number) <= 65535:
        raise ValueError(f"{number} is no port")
    return Port(number, _flag(enabled))


def _override(sent: Any) -> Override:
    return Override(
        status=_field(sent, "status", lambda status: None if status is None else _status(status)),
        stamp=_field(sent, "stamp", _stamp),
        buried=_field(sent, "buried", _flag, False),
    )


def _stamp(sent: Any) -> Stamp:
    ms, server = _pair(sent)
    if _long(ms) < 0:
        raise ValueError(f"{ms} is no time")
    return Stamp(ms, _text(server))


def _status(sent: Any) -> Status:
    return Status(_text(sent))


def _action(sent: Any) -> Action:
    return Action(_text(sent))


def _metadata(sent: Any) -> dict[str, str]:
    if not isinstance(sent, dict) or not all(isinstance(value, str) for value in sent.values()):
        raise TypeError("it is no object of texts")
    if readable_metadata(sent) != sent:
        raise ValueError("it has a key that is empty or Java's")
    return sent


def _app(sent: Any) -> str:
    if _name(sent) != sent.upper():
        raise ValueError(f"{shown(sent)} is not in upper case")
    return str(sent)


def _name(sent: Any) -> str:
    if not _text(sent):
        raise ValueError("it is empty")
    return str(sent)


def _text(sent: Any) -> str:
    if not isinstance(sent, str):
        raise TypeError(f"{shown(sent)} is no text")
    return refuse_odd_text(sent)


def _flag(sent: Any) -> bool:
    if not isinstance(sent, bool):
        raise TypeError(f"{shown(sent)} is neither true nor false")
    return sent


def _long(sent: Any) -> int:
    # bool is a kind of int.
    if type(sent) is not int or abs(sent) > LARGEST_LONG:
        raise TypeError(f"{shown(sent)} is no whole number that fits")
    return sent


def _int(sent: Any) -> int:
    if abs(_long(sent)) > LARGEST_INT:
        raise ValueError(f"{sent} is too large")
    return int(sent)


def _duration(sent: Any) -> int:
    if _int(sent) < 1:
        raise ValueError(f"{sent} s is no duration")
    return int(sent)


def _seconds(sent: Any) -> float:
    if isinstance(sent, bool) or not isinstance(sent, int | float) or not math.isfinite(sent) or sent < 0:
        raise ValueError(f"{shown(sent)} s is no age")
    return float(sent)


def _list(sent: Any) -> list[Any]:
    if not isinstance(sent, list):
        raise TypeError(f"{shown(sent)} is no list")
    return sent


def _pair(sent: Any) -> tuple[Any, Any]:
    first, second = _list(sent)
    return first, second


_REQUIRED = object()


def _field(sent: Any, name: str, read: Reader, usual: Any = _REQUIRED) -> Any:
    if not isinstance(sent, Mapping):
        raise TypeError("it is no object")
    if name not in sent:
        if usual is _REQUIRED:
            raise ValueError(f"{name} is missing")
        return usual
    try:
        return read(sent[name])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{name}: {error}") from error


def _fields(sent: Any, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The fields that were sent; the others are at their defaults."""
    if not isinstance(sent, Mapping):
        raise TypeError("it is no object")
    return {name: _field(sent, name, read) for name, read in readers.items() if name in sent}


def _called(sent: object) -> str:
    """What to call a state in a refusal."""
    if not isinstance(sent, Mapping):
        return "a state"
    return f"the state of {shown(sent.get('key'))} of {shown(sent.get('app'))}"


_READERS: dict[str, Reader] = {
    "app": _app,
    "host_name": _name,
    "ip_address": _name,
    "instance_id": _text,
    "sid": _text,
    "status": _status,
    "overridden_status": _status,
    "port": _port,
    "secure_port": _port,
    "country_id": _int,
    "data_center": _data_center,
    "lease": _lease,
    "metadata": _metadata,
    "app_group_name": _text,
    "home_page_url": _text,
    "status_page_url": _text,
    "health_check_url": _text,
    "secure_health_check_url": _text,
    "vip_address": _text,
    "secure_vip_address": _text,
    "last_updated_ms": _long,
    "last_dirty_ms": _long,
    "action": _action,
    "asg_name": _text,
}
_LEASE_READERS: dict[str, Reader] = {
    "renewal_interval_seconds": _duration,
    "duration_seconds": _duration,
    "registered_ms": _long,
    "renewed_ms": _long,
    "evicted_ms": _long,
    "up_since_ms": _long,
}
_WRITERS: dict[str, Callable[[Any], Any]] = {
    "port": lambda port: [port.number, port.enabled],
    "secure_port": lambda port: [port.number, port.enabled],
    "data_center": lambda center: [center.class_name, center.name, dict(center.metadata)],
    "lease": lambda lease: {name: getattr(lease, name) for name in _LEASE_READERS},
    "metadata": dict,
}
_NOWHERE = Instance(app="", host_name="", ip_address="")
_USUAL_INSTANCE = {field.name: getattr(_NOWHERE, field.name) for field in fields(Instance)}
