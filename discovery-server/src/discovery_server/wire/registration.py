"""An instance out of what a client sent: loose about how numbers and flags are written, strict about what is there."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, overload

from discovery_server.errors import Incomplete
from discovery_server.registry.instance import (
    AMAZON,
    AMAZON_DATA_CENTER_CLASS,
    DATA_CENTER_CLASSES,
    DATA_CENTER_NAMES,
    DEFAULT_DATA_CENTER_CLASS,
    Action,
    DataCenter,
    Instance,
    LeaseInfo,
    Port,
    Status,
    readable_metadata,
    refuse_odd_text,
)

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_DECIMAL_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,19})\.[0-9]*\s*")
LARGEST_INT = 2**31 - 1  # Java's, which every Java reader parses these numbers with
LARGEST_LONG = 2**63 - 1
_LARGEST_PORT = 65535

_OVERRIDES = ("overriddenstatus", "overriddenStatus")
_NOT_KEPT = ("actionType", "lastUpdatedTimestamp", "isCoordinatingDiscoveryServer")  # the server's to say


def build_instance(sent: Mapping[str, Any]) -> Instance:
    """The instance that `sent` describes: the object below `instance` in JSON, or XML brought into the same shape.

    Unknown fields are dropped. Raises Incomplete where something that Eureka insists on is missing, ValueError or
    TypeError where a field can't be what it should be.
    """
    app = _text(sent, "app")
    host_name = _text(sent, "hostName")
    ip_address = _text(sent, "ipAddr")
    instance_id = _text(sent, "instanceId")
    data_center = _data_center(sent.get("dataCenterInfo"))
    if not app:
        raise ValueError("there is no app in it")
    # In Eureka's order, and with its words.
    if not (instance_id or host_name):
        raise Incomplete("Missing instanceId")
    if not host_name:
        raise Incomplete("Missing hostname")
    if not ip_address:
        raise Incomplete("Missing ip address")
    if data_center is None:
        raise Incomplete("Missing dataCenterInfo")
    for name in _NOT_KEPT:
        _text(sent, name)  # raises where it is something nested
    return Instance(
        app=app.upper(),
        host_name=host_name,
        ip_address=ip_address,
        instance_id=instance_id,
        sid=_text(sent, "sid", "na"),
        status=Status.read(_text(sent, "status", Status.UP)),
        overridden_status=_overridden(sent),
        port=_port(sent, "port", Port(7001, True)),
        secure_port=_port(sent, "securePort", Port(7002, False)),
        country_id=_number(sent, "countryId", 1),
        data_center=_named(data_center, instance_id or host_name),
        lease=_lease(sent.get("leaseInfo")),
        metadata=_metadata(sent.get("metadata")),
        last_dirty_ms=_stamp(sent, "lastDirtyTimestamp"),
        app_group_name=group.upper() if (group := _text(sent, "appGroupName")) is not None else None,
        home_page_url=_text(sent, "homePageUrl"),
        status_page_url=_text(sent, "statusPageUrl"),
        health_check_url=_text(sent, "healthCheckUrl"),
        secure_health_check_url=_text(sent, "secureHealthCheckUrl"),
        vip_address=_text(sent, "vipAddress"),
        secure_vip_address=_text(sent, "secureVipAddress"),
        asg_name=_text(sent, "asgName"),
    )


def build_listed_instance(sent: Mapping[str, Any]) -> Instance:
    """An instance out of another server's list, with what that one says happened to it. Raises as `build_instance`."""
    instance = build_instance(sent)
    stamps = sent.get("leaseInfo") or {}
    return replace(
        instance,
        lease=replace(
            instance.lease,
            registered_ms=_stamp(stamps, "registrationTimestamp") or 0,
            renewed_ms=_stamp(stamps, "lastRenewalTimestamp") or 0,
            evicted_ms=_stamp(stamps, "evictionTimestamp") or 0,
            up_since_ms=_stamp(stamps, "serviceUpTimestamp") or 0,
        ),
        last_updated_ms=_stamp(sent, "lastUpdatedTimestamp") or 0,
        action=Action(_text(sent, "actionType", Action.ADDED)),
    )


def whole_number(value: object) -> int:
    """A number sent as a number or as a text. Raises ValueError."""
    if isinstance(value, bool) or not _WHOLE_NUMBER.fullmatch(str(value)):
        raise ValueError(f"{str(value)[:40]!r} is no whole number")
    found = int(str(value))
    if abs(found) > LARGEST_LONG:
        raise ValueError(f"{found} is too large")
    return found


def _data_center(sent: Any) -> DataCenter | None:
    if sent is None:
        return None
    class_name = _text(sent, "@class")
    if class_name not in DATA_CENTER_CLASSES:
        raise ValueError(f"the class of its dataCenterInfo is {class_name!r}")
    if class_name == AMAZON_DATA_CENTER_CLASS:
        return DataCenter(class_name, AMAZON, _metadata(sent["metadata"]))
    name = _text(sent, "name")
    if not name:
        raise Incomplete("Missing dataCenterInfo Name")
    if name not in DATA_CENTER_NAMES:
        raise ValueError(f"the name of its dataCenterInfo is {name!r}")
    # As Eureka writes them, by the name: with the other class no Java reader could read the list any more.
    return DataCenter(AMAZON_DATA_CENTER_CLASS if name == AMAZON else DEFAULT_DATA_CENTER_CLASS, name)


def _named(data_center: DataCenter, key: str) -> DataCenter:
    """Amazon's with an instance id, which Java readers may take for the instance's."""
    if data_center.name != AMAZON or "instance-id" in data_center.metadata:
        return data_center
    return replace(data_center, metadata={**data_center.metadata, "instance-id": key})


def _lease(sent: Any) -> LeaseInfo:
    usual = LeaseInfo()
    if sent is None:
        return usual
    interval, duration = _number(sent, "renewalIntervalInSecs", 0), _number(sent, "durationInSecs", 0)
    return LeaseInfo(
        renewal_interval_seconds=interval if interval > 0 else usual.renewal_interval_seconds,
        duration_seconds=duration if duration > 0 else usual.duration_seconds,
    )


def _port(sent: Mapping[str, Any], name: str, usual: Port) -> Port:
    port = sent.get(name)
    if port is None:
        return usual
    if not isinstance(port, Mapping):
        raise TypeError(f"{name} is no object")
    number = _number(port, "$", 0) if "$" in port else usual.number
    if not -1 <= number <= _LARGEST_PORT:
        raise ValueError(f"{name} is {number}")
    return Port(number, _flag(port["@enabled"]) if "@enabled" in port else usual.enabled)


def _overridden(sent: Mapping[str, Any]) -> Status:
    """Of the two spellings the last in the document, as in Eureka."""
    written = [text for name in sent if name in _OVERRIDES and (text := _text(sent, name)) is not None]
    return Status.read(written[-1]) if written else Status.UNKNOWN


def _metadata(sent: Any) -> dict[str, str]:
    return readable_metadata({key: _plain(value, "null") for key, value in sent.items()} if sent is not None else {})


def _flag(value: object) -> bool:
    """Java's: a number is true unless it is 0."""
    return value.strip() == "true" if isinstance(value, str) else bool(value)


def _number(sent: Mapping[str, Any], name: str, usual: int) -> int:
    value = sent.get(name)
    found = usual if value is None else _rounded(value)
    if abs(found) > LARGEST_INT:
        raise ValueError(f"{name} is {found}")
    return found


def _stamp(sent: Mapping[str, Any], name: str) -> int | None:
    return None if sent.get(name) is None else _rounded(sent[name])


def _rounded(value: object) -> int:
    """As Java reads numbers: an empty text is 0, and what is behind the point does not count."""
    if isinstance(value, float) and math.isfinite(value):
        return whole_number(int(value))
    if isinstance(value, str):
        if not value.strip():
            return 0
        if decimal := _DECIMAL_NUMBER.fullmatch(value):
            return whole_number(decimal[1])
    return whole_number(value)


@overload
def _text(sent: Mapping[str, Any], name: str) -> str | None: ...
@overload
def _text(sent: Mapping[str, Any], name: str, usual: str) -> str: ...
def _text(sent: Mapping[str, Any], name: str, usual: str | None = None) -> str | None:
    value = sent.get(name)
    return usual if value is None else refuse_odd_text(_plain(value, ""))


def _plain(value: object, null: str) -> str:
    """A text, or a number or a flag as the text that JSON writes for it."""
    if isinstance(value, str):
        return value
    if value is None:
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("a text is expected where something nested is")
