"""An instance out of what a client sent: loose about how numbers and flags are written, strict about what is there."""

import re
from collections.abc import Mapping
from typing import Any

from .errors import Incomplete
from .instance import (
    AMAZON_DATA_CENTER_CLASS,
    DATA_CENTER_CLASSES,
    DATA_CENTER_NAMES,
    DataCenter,
    Instance,
    LeaseInfo,
    Port,
    Status,
    readable_metadata,
    refuse_odd_text,
)

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_LARGEST_INT = 2**31 - 1  # Java's, which every Java reader parses these numbers with
_LARGEST_LONG = 2**63 - 1


def build_instance(sent: Mapping[str, Any]) -> Instance:
    """The instance that `sent` describes: the object below `instance` in JSON, or XML brought into the same shape.

    Unknown fields are dropped. Raises Incomplete where something that Eureka insists on is missing, ValueError or
    TypeError where a field can't be what it should be.
    """
    app = _text(sent, "app")
    host_name = _text(sent, "hostName")
    ip_address = _text(sent, "ipAddr")
    instance_id = _text(sent, "instanceId")
    if not app:
        raise ValueError("there is no app in it")
    # In Eureka's order, and with its words.
    if not instance_id and not host_name:
        raise Incomplete("Missing instanceId")
    if not host_name:
        raise Incomplete("Missing hostname")
    if not ip_address:
        raise Incomplete("Missing ip address")
    return Instance(
        app=app.upper(),
        host_name=host_name,
        ip_address=ip_address,
        instance_id=instance_id,
        sid=_text(sent, "sid") or "na",
        status=Status.read(_text(sent, "status") or Status.UP),
        overridden_status=Status.read(_text(sent, "overriddenstatus") or _text(sent, "overriddenStatus") or ""),
        port=_port(sent, "port", Port(7001, True)),
        secure_port=_port(sent, "securePort", Port(7002, False)),
        country_id=_number(sent, "countryId", 1),
        data_center=_data_center(sent.get("dataCenterInfo")),
        lease=_lease(sent.get("leaseInfo")),
        metadata=_metadata(sent.get("metadata")),
        is_coordinating_discovery_server=_flag(sent.get("isCoordinatingDiscoveryServer"), False),
        last_dirty_ms=_stamp(sent, "lastDirtyTimestamp"),
        app_group_name=_text(sent, "appGroupName"),
        home_page_url=_text(sent, "homePageUrl"),
        status_page_url=_text(sent, "statusPageUrl"),
        health_check_url=_text(sent, "healthCheckUrl"),
        secure_health_check_url=_text(sent, "secureHealthCheckUrl"),
        vip_address=_text(sent, "vipAddress"),
        secure_vip_address=_text(sent, "secureVipAddress"),
        asg_name=_text(sent, "asgName"),
    )


def whole_number(value: object) -> int:
    """A number sent as a number or as a text. Raises ValueError."""
    if isinstance(value, bool) or not _WHOLE_NUMBER.fullmatch(str(value)):
        raise ValueError(f"{str(value)[:40]!r} is no whole number")
    found = int(str(value))
    if abs(found) > _LARGEST_LONG:
        raise ValueError(f"{found} is too large")
    return found


def _data_center(sent: Any) -> DataCenter:
    if sent is None:
        raise Incomplete("Missing dataCenterInfo")
    class_name = _text(sent, "@class")
    if class_name not in DATA_CENTER_CLASSES:
        raise ValueError(f"the class of its dataCenterInfo is {class_name!r}")
    name = _text(sent, "name")
    if not name:
        raise Incomplete("Missing dataCenterInfo Name")
    if name not in DATA_CENTER_NAMES:
        raise ValueError(f"the name of its dataCenterInfo is {name!r}")
    metadata = _metadata(sent.get("metadata")) if class_name == AMAZON_DATA_CENTER_CLASS else {}
    return DataCenter(class_name, name, metadata)


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
    number = _number(port, "$", usual.number)
    if not 0 <= number <= 65535:
        raise ValueError(f"{name} is {number}")
    return Port(number, _flag(port.get("@enabled"), usual.enabled))


def _metadata(sent: Any) -> dict[str, str]:
    return readable_metadata({key: _plain(value, "null") for key, value in sent.items()} if sent is not None else {})


def _flag(value: object, usual: bool) -> bool:
    return usual if value is None else str(value).strip().lower() == "true"


def _number(sent: Mapping[str, Any], name: str, usual: int) -> int:
    value = sent.get(name)
    found = usual if value is None else whole_number(value)
    if abs(found) > _LARGEST_INT:
        raise ValueError(f"{name} is {found}")
    return found


def _stamp(sent: Mapping[str, Any], name: str) -> int | None:
    return None if sent.get(name) is None else whole_number(sent[name])


def _text(sent: Mapping[str, Any], name: str) -> str | None:
    value = sent.get(name)
    return None if value is None else refuse_odd_text(_plain(value, ""))


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
