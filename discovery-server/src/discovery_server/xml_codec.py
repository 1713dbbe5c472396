"""Instances as XML, in the spelling of Eureka's XStream codec; what comes in may hold no DTD and no entity."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.sax.saxutils import escape, quoteattr

from defusedxml.ElementTree import DefusedXMLParser

from .errors import Unreadable
from .instance import (
    AMAZON_DATA_CENTER_CLASS,
    EMPTY_METADATA_CLASS,
    OPTIONAL_TEXTS,
    UNKNOWN_SIDS,
    DataCenter,
    Instance,
    Port,
    Status,
)
from .registration import build_instance

MEDIA_TYPE = "application/xml"

_DEEPEST = 5  # instance/dataCenterInfo/metadata/key is 4

# What XML's first four editions and the fifth both take in a name: expat, and so Python, knows only the former. Without
# the colon: XStream lets it through, and every reader that knows namespaces fails on it. XStream unescapes either way.
_NAME_START = "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e"
_NAME_START += "\u0401-\u040c\u040e-\u044f\u0451-\u045c\u4e00-\u9fa5"
_PLAIN_NAME = re.compile("[A-Za-z][A-Za-z0-9.-]*")
_IN_NAME = re.compile(f"[{_NAME_START}.0-9-]")
_AT_START = re.compile(f"[{_NAME_START}]")
_ESCAPED = re.compile(r"__|_-|(?:_\.[0-9a-fA-F]{4})+")


def read_instance(body: bytes) -> Instance:
    """The instance of a registration, `<instance>...</instance>`. Raises Unreadable, or Incomplete."""
    try:
        parser = DefusedXMLParser(target=_ShallowTree(), forbid_dtd=True)
        parser.feed(body)
        root = parser.close()
        if root.tag != "instance":
            raise ValueError("its root is not <instance>")
        return build_instance(_in_shape_of_json(root))
    # LookupError: an encoding nobody knows. The others: something is not what it should be.
    except (ParseError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise Unreadable(f"This is no instance in XML: {type(error).__name__}: {str(error)[:200]}") from error


def write_fragment(instance: Instance, *, compact: bool = False) -> bytes:
    """One instance, as it stands inside of lists."""
    return (_compact(instance) if compact else _full(instance)).encode()


def write_instance(instance: Instance) -> bytes:
    """The document of a single instance: as in Eureka it calls OUT_OF_SERVICE DOWN, which lists don't."""
    status = Status.DOWN if instance.status is Status.OUT_OF_SERVICE else instance.status
    return _full(instance, status).encode()


def write_application(name: str, fragments: Iterable[bytes]) -> bytes:
    """The document of one application."""
    return b"<application>%s%s</application>" % (_element("name", name).encode(), b"".join(fragments))


def write_applications(
    applications: Sequence[tuple[str, Iterable[bytes]]], *, version: int, hash_code: str, compact: bool = False
) -> bytes:
    """The document of many applications: all of them, a delta, or the ones with a vip."""
    entries = b"".join(write_application(name, fragments) for name, fragments in applications)
    head = (_element("versions__delta", version) + _element("apps__hashcode", hash_code)).encode()
    return b"<applications>%s%s</applications>" % ((entries, head) if compact else (head, entries))


def escape_name(key: str) -> str:
    """A metadata key as an element's name, the way XStream does it: `a b` is `a_.0020b`."""
    if _PLAIN_NAME.fullmatch(key):
        return key
    return "".join(_escape_character(character, first=not index) for index, character in enumerate(key))


def unescape_name(name: str) -> str:
    """The metadata key that an element's name stands for."""
    return _ESCAPED.sub(_unescape_match, name)


def _escape_character(character: str, *, first: bool) -> str:
    if character == "_":
        return "__"
    if character == "$":
        return "_-"
    if (_AT_START if first else _IN_NAME).fullmatch(character):
        return character
    # By UTF-16 unit, as Java counts characters.
    units = character.encode("utf-16-be").hex()
    return "".join(f"_.{units[start : start + 4]}" for start in range(0, len(units), 4))


def _unescape_match(match: re.Match[str]) -> str:
    found = match[0]
    if found in ("__", "_-"):
        return "_" if found == "__" else "$"
    # Raises UnicodeDecodeError, a ValueError, for half of a surrogate pair.
    return bytes.fromhex(found.replace("_.", "")).decode("utf-16-be")


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
    for child in root:
        if child.tag in ("port", "securePort"):
            sent[child.tag] = {"$": child.text or "", "@enabled": child.get("enabled")}
        elif child.tag == "metadata":
            sent[child.tag] = _metadata_of(child)
        elif child.tag == "leaseInfo":
            sent[child.tag] = {entry.tag: entry.text or "" for entry in child}
        elif child.tag == "dataCenterInfo":
            metadata = child.find("metadata")
            sent[child.tag] = {
                "@class": child.get("class"),
                "name": child.findtext("name"),
                "metadata": None if metadata is None else _metadata_of(metadata),
            }
    return sent


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
        _element("isCoordinatingDiscoveryServer", _flag(instance.is_coordinating_discovery_server)),
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
            _data_center(instance.data_center),
            _element("hostName", instance.host_name),
            _element("status", instance.status),
            _element("lastUpdatedTimestamp", instance.last_updated_ms),
            _element("actionType", instance.action),
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
