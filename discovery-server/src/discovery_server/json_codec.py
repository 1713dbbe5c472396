"""Instances as JSON, in the spelling and the types of Eureka's legacy codec."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import Unreadable
from .instance import (
    AMAZON_DATA_CENTER_CLASS,
    EMPTY_METADATA_CLASS,
    OPTIONAL_TEXTS,
    UNKNOWN_SIDS,
    DataCenter,
    Instance,
    Port,
)
from .registration import build_instance

MEDIA_TYPE = "application/json"


def read_instance(body: bytes) -> Instance:
    """The instance of a registration, `{"instance": {...}}`. Raises Unreadable, or Incomplete."""
    try:
        return build_instance(json.loads(body)["instance"])
    # RecursionError: a document of a million brackets. The others: something else is where an object should be.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"This is no instance in JSON: {type(error).__name__}: {str(error)[:200]}") from error


def write_fragment(instance: Instance, *, compact: bool = False) -> bytes:
    """One instance, as it stands inside of lists."""
    return _dump(_compact(instance) if compact else _full(instance))


def write_instance(instance: Instance) -> bytes:
    """The document of a single instance."""
    return b'{"instance":%s}' % write_fragment(instance)


def write_application(name: str, fragments: Iterable[bytes]) -> bytes:
    """The document of one application."""
    return b'{"application":%s}' % _application(name, fragments)


def write_applications(
    applications: Sequence[tuple[str, Iterable[bytes]]], *, version: int, hash_code: str, compact: bool = False
) -> bytes:
    """The document of many applications: all of them, a delta, or the ones with a vip."""
    entries = b'"application":[%s]' % b",".join(_application(name, fragments) for name, fragments in applications)
    head = b'"versions__delta":"%d","apps__hashcode":%s' % (version, _dump(hash_code))
    return b'{"applications":{%s,%s}}' % ((entries, head) if compact else (head, entries))


def _application(name: str, fragments: Iterable[bytes]) -> bytes:
    return b'{"name":%s,"instance":[%s]}' % (_dump(name), b",".join(fragments))


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _full(instance: Instance) -> dict[str, Any]:
    document: dict[str, Any] = {
        **({"instanceId": instance.instance_id} if instance.instance_id is not None else {}),
        "hostName": instance.host_name,
        "app": instance.app,
        "ipAddr": instance.ip_address,
        **({"sid": instance.sid} if instance.sid not in UNKNOWN_SIDS else {}),
        "status": instance.status,
        "overriddenStatus": instance.overridden_status,
        "port": _port(instance.port),
        "securePort": _port(instance.secure_port),
        "countryId": instance.country_id,
        "dataCenterInfo": _data_center(instance.data_center),
        "leaseInfo": {
            "renewalIntervalInSecs": instance.lease.renewal_interval_seconds,
            "durationInSecs": instance.lease.duration_seconds,
            "registrationTimestamp": instance.lease.registered_ms,
            "lastRenewalTimestamp": instance.lease.renewed_ms,
            "evictionTimestamp": instance.lease.evicted_ms,
            "serviceUpTimestamp": instance.lease.up_since_ms,
        },
        "metadata": dict(instance.metadata) or {"@class": EMPTY_METADATA_CLASS},
    }
    for attribute, name in OPTIONAL_TEXTS.items():
        if (text := getattr(instance, attribute)) is not None:
            document[name] = text
    document["isCoordinatingDiscoveryServer"] = _flag(instance.is_coordinating_discovery_server)
    document["lastUpdatedTimestamp"] = str(instance.last_updated_ms)
    document["lastDirtyTimestamp"] = str(instance.dirty_ms)
    document["actionType"] = instance.action
    if instance.asg_name is not None:
        document["asgName"] = instance.asg_name
    return document


def _compact(instance: Instance) -> dict[str, Any]:
    document = {
        "instanceId": instance.instance_id,
        "app": instance.app,
        "ipAddr": instance.ip_address,
        "vipAddress": instance.vip_address,
        "secureVipAddress": instance.secure_vip_address,
        "dataCenterInfo": _data_center(instance.data_center),
        "hostName": instance.host_name,
        "status": instance.status,
        "lastUpdatedTimestamp": instance.last_updated_ms,  # a number here, a text in the full form
        "actionType": instance.action,
        "port": _port(instance.port),
        "securePort": _port(instance.secure_port),
    }
    return {name: value for name, value in document.items() if value is not None}


def _port(port: Port) -> dict[str, Any]:
    return {"$": port.number, "@enabled": _flag(port.enabled)}


def _data_center(data_center: DataCenter) -> dict[str, Any]:
    document: dict[str, Any] = {"@class": data_center.class_name, "name": data_center.name}
    if data_center.class_name == AMAZON_DATA_CENTER_CLASS:
        document["metadata"] = dict(data_center.metadata)
    return document


def _flag(value: bool) -> str:
    return "true" if value else "false"
