"""An instance as Eureka knows it: what a client registers and a reader gets, free of JSON, XML and HTTP."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_DATA_CENTER_CLASS = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
AMAZON_DATA_CENTER_CLASS = "com.netflix.appinfo.AmazonInfo"
DATA_CENTER_CLASSES = frozenset(
    {DEFAULT_DATA_CENTER_CLASS, AMAZON_DATA_CENTER_CLASS, "com.netflix.appinfo.MyDataCenterInfo"}
)
AMAZON = "Amazon"
DATA_CENTER_NAMES = frozenset({"Netflix", AMAZON, "MyOwn"})
# Of Amazon's metadata these alone stand in compact documents.
COMPACT_AMAZON_KEYS = frozenset({"instance-id", "public-ipv4", "public-hostname", "local-ipv4", "availability-zone"})
EMPTY_METADATA_CLASS = "java.util.Collections$EmptyMap"

# Texts that are left out of a document when they were never sent, in the order Eureka writes them.
OPTIONAL_TEXTS = {
    "app_group_name": "appGroupName",
    "home_page_url": "homePageUrl",
    "status_page_url": "statusPageUrl",
    "health_check_url": "healthCheckUrl",
    "secure_health_check_url": "secureHealthCheckUrl",
    "vip_address": "vipAddress",
    "secure_vip_address": "secureVipAddress",
}
UNKNOWN_SIDS = frozenset({"na", "unknown"})

# So that no client makes every reader's document huge. What clients send is far below: an id has some 50 characters.
LONGEST_TEXT = 4096
MOST_METADATA = 500
LONGEST_METADATA = 65_536  # characters, of all keys and values together

# XML 1.0 §2.2: what can't stand in a document, not even as a reference; a lone surrogate can't be sent as UTF-8 at all.
_NOT_TEXT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Status(StrEnum):
    UP = "UP"
    DOWN = "DOWN"
    STARTING = "STARTING"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def read(cls, text: str) -> "Status":
        """The status a client wrote; one that doesn't exist is UNKNOWN, as in Eureka."""
        return cls.__members__.get(text, cls.UNKNOWN)


class Action(StrEnum):
    """What a delta says happened to an instance."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Port:
    number: int  # -1, as Spring has it, where nothing listens
    enabled: bool


@dataclass(frozen=True, slots=True)
class DataCenter:
    """Where it runs. It has the class AMAZON_DATA_CENTER_CLASS if and only if its name is Amazon."""

    class_name: str = DEFAULT_DATA_CENTER_CLASS
    name: str = "MyOwn"
    metadata: Mapping[str, str] = field(default_factory=dict)  # of an AmazonInfo only

    def compact(self) -> "DataCenter":
        """As it stands in compact documents."""
        kept = {key: value for key, value in self.metadata.items() if key in COMPACT_AMAZON_KEYS}
        return DataCenter(self.class_name, self.name, kept)


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """How often a client renews, how long its lease lasts, and what happened when; the server sets the stamps."""

    renewal_interval_seconds: int = 30
    duration_seconds: int = 90
    registered_ms: int = 0
    renewed_ms: int = 0
    evicted_ms: int = 0
    up_since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """One registered instance. `None` means "not sent", which differs from an empty text on the wire.

    Every text in it can be written as XML and UTF-8, and no metadata key is empty: `refuse_odd_texts` saw to it.
    """

    app: str  # in upper case
    host_name: str
    ip_address: str
    instance_id: str | None = None
    sid: str = "na"
    status: Status = Status.UP
    overridden_status: Status = Status.UNKNOWN
    port: Port = Port(7001, True)
    secure_port: Port = Port(7002, False)
    country_id: int = 1
    data_center: DataCenter = DataCenter()
    lease: LeaseInfo = LeaseInfo()
    metadata: Mapping[str, str] = field(default_factory=dict)
    app_group_name: str | None = None
    home_page_url: str | None = None
    status_page_url: str | None = None
    health_check_url: str | None = None
    secure_health_check_url: str | None = None
    vip_address: str | None = None
    secure_vip_address: str | None = None
    last_updated_ms: int = 0
    last_dirty_ms: int | None = None  # None until the registry stamps an instance that came without it
    action: Action = Action.ADDED
    asg_name: str | None = None

    @property
    def key(self) -> str:
        """The id under which it is kept: its own, else Amazon's, else its host name."""
        return self.instance_id or self.data_center.metadata.get("instance-id") or self.host_name

    @property
    def dirty_ms(self) -> int:
        """When the client last changed itself, by the client's clock."""
        return self.last_dirty_ms or 0


class OddText(ValueError):
    """A text that can't be given to every reader."""


def refuse_odd_text(text: str) -> str:
    """The text itself. Raises OddText if XML or UTF-8 can't carry it or if it is too long, which harms every reader."""
    if len(text) > LONGEST_TEXT:
        raise OddText(f"{text[:40]!r} goes on for {len(text)} characters, which are more than {LONGEST_TEXT}")
    if _NOT_TEXT.search(text):
        raise OddText(f"{text!r} has a character in it that XML can't carry")
    return text


def readable_metadata(pairs: Mapping[str, str]) -> dict[str, str]:
    """Metadata without its empty key and without the class name of Java's maps. Raises OddText, also for too much."""
    if len(pairs) > MOST_METADATA:
        raise OddText(f"{len(pairs)} entries of metadata are more than {MOST_METADATA}")
    size = sum(len(key) + len(value) for key, value in pairs.items())
    if size > LONGEST_METADATA:
        raise OddText(f"metadata of {size} characters is more than {LONGEST_METADATA}")
    return {refuse_odd_text(key): refuse_odd_text(value) for key, value in pairs.items() if key and key != "@class"}
