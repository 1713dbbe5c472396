"""Instances as XML, in the spelling of Eureka's XStream codec; what comes in may hold no DTD and no entity."""

from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from discovery_server.errors import Unreadable
from discovery_server.registry.instance import (
    AMAZON,
    AMAZON_DATA_CENTER_CLASS,
    DEFAULT_DATA_CENTER_CLASS,
    EMPTY_METADATA_CLASS,
    OPTIONAL_TEXTS,
    UNKNOWN_SIDS,
    DataCenter,
    Instance,
    Port,
    Status,
)

from .registration import build_instance, whole_number
from .xml_names import escape_name, unescape_name

MEDIA_TYPE = "application/xml"
SEPARATOR = b""  # between the applications of a document of many

_STATUSES_OF_VERSION_1 = frozenset({Status.UP, Status.DOWN, Status.STARTING})
_DEEPEST = 5  # instance/dataCenterInfo/metadata/key is 4


def read_instance(body: bytes) -> Instance:
    """The instance of a registration, `<instance>...</instance>`. Raises Unreadable, or Incomplete."""
    try:
        root = _parse(body)
        if root.tag != "instance":
            raise ValueError("its root is not <instance>")
        return build_instance(_in_shape_of_json(root))
    # LookupError: an encoding nobody knows. The others: something is not what it should be.
    except (expat.ExpatError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise Unreadable(f"This is no instance in XML: {type(error).__name__}: {str(error)[:200]}") from error


def write_fragment(instance: Instance, *, compact: bool = False) -> bytes:
    """One instance, as it stands inside of lists."""
    return (_compact(instance) if compact else _full(instance)).encode()


def write_instance(instance: Instance) -> bytes:
    """The document of a single instance: in it DOWN is what version 1 of Eureka did not know, which lists tell."""
    status = instance.status if instance.status in _STATUSES_OF_VERSION_1 else Status.DOWN
    return _full(instance, status).encode()


def write_application(name: str, fragments: Iterable[bytes]) -> bytes:
    """The document of one application; it stands like this inside of documents of many as well."""
    return b"<application>%s%s</application>" % (_element("name", name).encode(), b"".join(fragments))


write_entry = write_application


def write_applications(
    applications: Iterable[tuple[str, Iterable[bytes]]], *, version: int, hash_code: str, compact: bool = False
) -> bytes:
    """The document of many applications: all of them, a delta, or the ones with a vip."""
    head, tail = write_frame(version=version, hash_code=hash_code, compact=compact)
    return b"%s%s%s" % (head, SEPARATOR.join(write_entry(*application) for application in applications), tail)


def write_frame(*, version: int, hash_code: str, compact: bool = False) -> tuple[bytes, bytes]:
    """What stands before and after the applications of a document of many."""
    marks = (_element("versions__delta", version) + _element("apps__hashcode", hash_code)).encode()
    if compact:
        return b"<applications>", b"%s</applications>" % marks
    return b"<applications>%s" % marks, b"</applications>"


def _parse(body: bytes) -> Element:
    """The root of a document without a DTD: only in one could entities be declared (XML 1.0 §4.2).

    Names are taken as they are written, with their colons: XStream knows no namespaces.
    """
    tree = _ShallowTree()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.StartElementHandler, parser.EndElementHandler = tree.start, tree.end
    parser.CharacterDataHandler = tree.data
    parser.Parse(body, True)
    return tree.close()


def _refuse_dtd(*_: object) -> None:
    raise ValueError("it has a DTD")


class _ShallowTree(TreeBuilder):
    """Builds the tree of a document, unless it is deeper than any instance can be."""

    _depth = 0

    def start(self, tag: str, attrs: dict[Any, Any], /) -> Element:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def _in_shape_of_json(root: Element) -> dict[str, Any]:
    sent: dict[str, Any] = {child.tag: child.text or "" for child in root if not len(child)}
    for name in ("status", "overriddenstatus", "overriddenStatus"):
        if name in sent:
            sent[name] = sent[name].upper()  # JSON takes them as they are
    if not sent.get("lastDirtyTimestamp", "").strip():
        sent.pop("lastDirtyTimestamp", None)  # in JSON it is 0
    for child in root:
        match child.tag:
            case "port":
                sent["port"] = {"$": whole_number(child.text), "@enabled": child.get("enabled") != "false"}
            case "securePort":
                sent["securePort"] = {"$": whole_number(child.text), "@enabled": child.get("enabled") == "true"}
            case "metadata":
                sent["metadata"] = _metadata_of(child)
            case "leaseInfo":
                sent["leaseInfo"] = {entry.tag: entry.text or "" for entry in child}
            case "dataCenterInfo":
                sent["dataCenterInfo"] = _data_center_of(child)
    return sent


def _data_center_of(element: Element) -> dict[str, Any]:
    """XStream goes by the name; the class, which an attacker might like to choose, is never read."""
    name, metadata = element.findtext("name"), element.find("metadata")
    is_amazon = (name or "").lower() == AMAZON.lower()
    return {
        "@class": AMAZON_DATA_CENTER_CLASS if is_amazon else DEFAULT_DATA_CENTER_CLASS,
        "name": name,
        "metadata": None if metadata is None else _metadata_of(metadata),
    }


def _metadata_of(element: Element) -> dict[str, str]:
    if any(len(entry) for entry in element):
        raise ValueError("its metadata is nested")
    return {unescape_name(entry.tag): entry.text or "" for entry in element}


def _full(instance: Instance, status: Status | None = None) -> str:
    lease = instance.lease
    parts = [
        "<instance>",
        _element("instanceId", instance.instance_id) if instance.instance_id is not None else "",
        _element("hostName", instance.host_name),
        _element("app", instance.app),
        _element("ipAddr", instance.ip_address),
        _element("sid", instance.sid) if instance.sid not in UNKNOWN_SIDS else "",
        _element("status", status or instance.status),
        _element("overriddenstatus", instance.overridden_status),  # JSON spells it overriddenStatus
        _port("port", instance.port),
        _port("securePort", instance.secure_port),
        _element("countryId", instance.country_id),
        _data_center(instance.data_center),
        "<leaseInfo>",
        _element("renewalIntervalInSecs", lease.renewal_interval_seconds),
        _element("durationInSecs", lease.duration_seconds),
        _element("registrationTimestamp", lease.registered_ms),
        _element("lastRenewalTimestamp", lease.renewed_ms),
        _element("evictionTimestamp", lease.evicted_ms),
        _element("serviceUpTimestamp", lease.up_since_ms),
        "</leaseInfo>",
        _metadata(instance.metadata) or f'<metadata class="{EMPTY_METADATA_CLASS}"/>',
    ]
    for attribute, name in OPTIONAL_TEXTS.items():
        if (text := getattr(instance, attribute)) is not None:
            parts.append(_element(name, text))
    parts += [
        _element("isCoordinatingDiscoveryServer", "false"),
        _element("lastUpdatedTimestamp", instance.last_updated_ms),
        _element("lastDirtyTimestamp", instance.dirty_ms),
        _element("actionType", instance.action),
        _element("asgName", instance.asg_name) if instance.asg_name is not None else "",
        "</instance>",
    ]
    return "".join(parts)


def _compact(instance: Instance) -> str:
    texts = {
        "instanceId": instance.instance_id,
        "app": instance.app,
        "ipAddr": instance.ip_address,
        "vipAddress": instance.vip_address,
        "secureVipAddress": instance.secure_vip_address,
    }
    return "".join(
        [
            "<instance>",
            *(_element(name, text) for name, text in texts.items() if text is not None),
            _data_center(instance.data_center.compact()),
            _element("hostName", instance.host_name),
            _element("status", instance.status),
            _element("lastUpdatedTimestamp", instance.last_updated_ms),
            _element("actionType", instance.action),
            _element("asgName", instance.asg_name) if instance.asg_name is not None else "",
            _port("port", instance.port),
            _port("securePort", instance.secure_port),
            "</instance>",
        ]
    )


def _element(name: str, value: str | int) -> str:
    return f"<{name}>{escape(str(value), _LINE_ENDS)}</{name}>"


# XML 1.0 §2.11: a bare carriage return would be read as a line feed.
_LINE_ENDS = {"\r": "&#13;"}


def _port(name: str, port: Port) -> str:
    return f'<{name} enabled="{_flag(port.enabled)}">{port.number}</{name}>'


def _data_center(data_center: DataCenter) -> str:
    metadata = ""
    if data_center.class_name == AMAZON_DATA_CENTER_CLASS:
        metadata = _metadata(data_center.metadata) or "<metadata/>"
    name = _element("name", data_center.name)
    return f"<dataCenterInfo class={quoteattr(data_center.class_name)}>{name}{metadata}</dataCenterInfo>"


def _metadata(metadata: Mapping[str, str]) -> str:
    """Empty for empty metadata, which every place writes in its own way."""
    if not metadata:
        return ""
    return f"<metadata>{''.join(_element(escape_name(key), value) for key, value in metadata.items())}</metadata>"


def _flag(value: bool) -> str:
    return "true" if value else "false"
