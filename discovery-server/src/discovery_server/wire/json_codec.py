"""Instances as JSON, in the spelling and the types of Eureka's legacy codec."""

import json
import logging
from collections.abc import Iterable
from typing import Any

from discovery_server.errors import EurekaProblem, Unreadable
from discovery_server.registry.instance import (
    AMAZON_DATA_CENTER_CLASS,
    EMPTY_METADATA_CLASS,
    OPTIONAL_TEXTS,
    UNKNOWN_SIDS,
    DataCenter,
    Instance,
    Port,
)

from .registration import build_instance, build_listed_instance

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/json"
SEPARATOR = b","  # between the applications of a document of many


def read_instance(body: bytes) -> Instance:
    """The instance of a registration, `{"instance": {...}}`. Raises Unreadable, or Incomplete."""
    try:
        return build_instance(json.loads(body)["instance"])
    # RecursionError: a document of a million brackets. The others: something else is where an object should be.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"This is no instance in JSON: {type(error).__name__}: {str(error)[:200]}") from error


def read_applications(body: bytes) -> list[Instance]:
    """The instances of a document of many applications, with all that the server which wrote it says of them.

    One that can't be read is left out, as it spoils no other. Raises Unreadable where it is no such document.
    """
    try:
        applications = _several(json.loads(body)["applications"].get("application"))
        sent = [entry for application in applications for entry in _several(application.get("instance"))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"These are no applications in JSON: {type(error).__name__}: {str(error)[:200]}") from error
    instances = []
    for entry in sent:
        try:
            instances.append(build_listed_instance(entry))
        except (EurekaProblem, ValueError, TypeError, AttributeError) as error:
            logger.warning("an instance in another server's list can't be read: %s", str(error)[:200])
    return instances


def write_fragment(instance: Instance, *, compact: bool = False) -> bytes:
    """One instance, as it stands inside of lists."""
    return _dump(_compact(instance) if compact else _full(instance))


def write_instance(instance: Instance) -> bytes:
    """The document of a single instance."""
    return b'{"instance":%s}' % write_fragment(instance)


def write_application(name: str, fragments: Iterable[bytes]) -> bytes:
    """The document of one application."""
    return b'{"application":%s}' % write_entry(name, fragments)


def write_applications(
    applications: Iterable[tuple[str, Iterable[bytes]]], *, version: int, hash_code: str, compact: bool = False
) -> bytes:
    """The document of many applications: all of them, a delta, or the ones with a vip."""
    head, tail = write_frame(version=version, hash_code=hash_code, compact=compact)
    return b"%s%s%s" % (head, SEPARATOR.join(write_entry(*application) for application in applications), tail)


def write_frame(*, version: int, hash_code: str, compact: bool = False) -> tuple[bytes, bytes]:
    """What stands before and after the applications of a document of many."""
    marks = b'"versions__delta":"%d","apps__hashcode":%s' % (version, _dump(hash_code))
    if compact:
        return b'{"applications":{"application":[', b"],%s}}" % marks
    return b'{"applications":{%s,"application":[' % marks, b"]}}"


def write_entry(name: str, fragments: Iterable[bytes]) -> bytes:
    """One application, as it stands inside of a document of many."""
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
    document["isCoordinatingDiscoveryServer"] = "false"  # none but Eureka's own are, and only where they serve
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
        "dataCenterInfo": _data_center(instance.data_center.compact()),
        "hostName": instance.host_name,
        "status": instance.status,
        "lastUpdatedTimestamp": instance.last_updated_ms,  # a number here, a text in the full form
        "actionType": instance.action,
        "asgName": instance.asg_name,
        "port": _port(instance.port),
        "securePort": _port(instance.secure_port),
    }
    return {name: value for name, value in document.items() if value is not None}


def _several(found: Any) -> list[Any]:
    """Old codecs write a list of one without its brackets."""
    return [] if found is None else found if isinstance(found, list) else [found]


def _port(port: Port) -> dict[str, Any]:
    return {"$": port.number, "@enabled": _flag(port.enabled)}


def _data_center(data_center: DataCenter) -> dict[str, Any]:
    document: dict[str, Any] = {"@class": data_center.class_name, "name": data_center.name}
    if data_center.class_name == AMAZON_DATA_CENTER_CLASS:
        document["metadata"] = dict(data_center.metadata)
    return document


def _flag(value: bool) -> str:
    return "true" if value else "false"
