"""What the real server and ours make of each field of a registration, however it is written."""

from typing import Any

import pytest

from .differential import Pair
from .rules import DEFAULT, instance

AMAZON = "com.netflix.appinfo.AmazonInfo"

SCALARS: list[Any] = [None, "", "x", 0, 5, -1, "5", "5.7", 5.7, 1000.0, "true", "FALSE", "ü & <x>", " a "]
TEXTS = (
    "sid appGroupName homePageUrl statusPageUrl healthCheckUrl secureHealthCheckUrl vipAddress secureVipAddress asgName"
)
STATUSES: list[Any] = [*SCALARS, "UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN", "up", " UP", True]

JSON_FIELDS: list[tuple[str, Any]] = [
    *((name, value) for name in TEXTS.split() for value in SCALARS),
    *(("status", value) for value in STATUSES),
    *(("overriddenstatus", value) for value in STATUSES),
    *(("overriddenStatus", value) for value in STATUSES),
    *((name, value) for name in ("instanceId", "hostName", "ipAddr") for value in [*SCALARS, True]),
    *(("countryId", value) for value in (None, "", " ", 0, 5, -1, "5", " 5 ", "5.7", 5.7, 1000.0, 2**31 - 1)),
    *(("lastDirtyTimestamp", value) for value in (None, "", 0, 5, "5", "5.7", 5.7, 2**62)),
    *(("lastUpdatedTimestamp", value) for value in (None, 5, "5")),
    *(("isCoordinatingDiscoveryServer", value) for value in (None, True, "true", "TRUE", False, "x")),
    *(("actionType", value) for value in (None, "DELETED", "MODIFIED", "x", "")),
    *(
        (name, value)
        for name in ("port", "securePort")
        for value in (
            *(None, {}, {"$": 1}, {"$": "1"}, {"$": 0}, {"$": -1}, {"$": None}, {"$": ""}, {"$": 80.9}, {"$": 65535}),
            *({"@enabled": flag} for flag in ("true", "false", "TRUE", " true ", "", "x", True, False, 1, 0, None)),
            *(5, "5", [], [5]),
        )
    ),
    *(
        ("leaseInfo", value)
        for value in (
            *(None, {}, {"x": 1}, {"durationInSecs": 45.9}, {"durationInSecs": "45", "renewalIntervalInSecs": "15"}),
            *({name: value} for name in ("durationInSecs", "renewalIntervalInSecs") for value in (0, -1, 5, "", None)),
            {"durationInSecs": 2**31 - 1},
            {"registrationTimestamp": 5, "lastRenewalTimestamp": 6, "evictionTimestamp": 7, "serviceUpTimestamp": 8},
        )
    ),
    *(
        ("metadata", value)
        for value in (
            *(None, {}, {"@class": "java.util.HashMap"}, {"@class": "x", "a": "1"}, {"class": "x"}, {"_a_": "__"}),
            *({"a": value} for value in (None, "", 1, -1, 1.5, 1e3, True, False, " x ", "<x>&amp;", "\t\n\r", "😀")),
            *(
                {key: "1"}
                for key in ("a b", "x/y", "1n", "-a", "a-b", "a$b", "ü", "😀", "a_b", "<a>", "a.b", "@a", " ")
            ),
        )
    ),
    *(
        ("dataCenterInfo", value)
        for value in (
            *(None, {}, {"name": "MyOwn"}, {"@class": DEFAULT}, {"@class": "java.lang.Runtime", "name": "MyOwn"}),
            *({"@class": DEFAULT, "name": name} for name in ("MyOwn", "Netflix", "myown", "x", "", None)),
            *({"@class": "com.netflix.appinfo.MyDataCenterInfo", "name": name} for name in ("MyOwn", "Netflix")),
            *(
                {"@class": AMAZON, "name": name, "metadata": {"instance-id": "i-1"}}
                for name in ("Amazon", "MyOwn", None)
            ),
            *({"@class": AMAZON, "name": "Amazon", "metadata": pairs} for pairs in ({}, {"a": 1}, {"instance-id": ""})),
            *(
                {"@class": AMAZON, "name": "Amazon"},
                {"@class": AMAZON, "metadata": {"public-ipv4": "1.2.3.4", "local-ipv4": "10.0.0.1", "ami-id": "x"}},
            ),
        )
    ),
]
XML_FIELDS = [
    *(
        f"<{name}>{text}</{name}>"
        for name in TEXTS.split()
        if name != "appGroupName"
        for text in ("", "x", " a ", "&lt;")
    ),
    *(f"<status>{text}</status>" for text in ("", "x", "up", "Down", "OUT_OF_SERVICE", "UNKNOWN", " UP ")),
    *(f"<overriddenstatus>{text}</overriddenstatus>" for text in ("", "x", "up", "DOWN", "UNKNOWN")),
    *(f"<overriddenStatus>{text}</overriddenStatus>" for text in ("", "x", "up", "DOWN", "UNKNOWN")),
    "<overriddenStatus>UP</overriddenStatus><overriddenstatus>DOWN</overriddenstatus>",
    *(f"<countryId>{text}</countryId>" for text in ("5", "-1", "x")),
    *(f"<lastDirtyTimestamp>{text}</lastDirtyTimestamp>" for text in ("", "5")),
    *(f"<isCoordinatingDiscoveryServer>{text}</isCoordinatingDiscoveryServer>" for text in ("true", "", "x")),
    *(f"<actionType>{text}</actionType>" for text in ("DELETED", "", "x")),
    *(
        f"<{name}{flag}>8081</{name}>"
        for name in ("port", "securePort")
        for flag in ("", *(f' enabled="{f}"' for f in ("true", "false", "TRUE", "x", "")))
    ),
    *(f"<port enabled='true'>{text}</port>" for text in ("", "x", "-1", "0", "1.5", "99999999999")),
    *(
        f"<leaseInfo>{text}</leaseInfo>"
        for text in (
            "",
            "<durationInSecs>500</durationInSecs>",
            "<durationInSecs>0</durationInSecs>",
            "<durationInSecs>-5</durationInSecs>",
            "<renewalIntervalInSecs>3</renewalIntervalInSecs><durationInSecs>900</durationInSecs>",
            "<x>1</x>",
        )
    ),
    *(
        f"<metadata>{text}</metadata>"
        for text in (
            "",
            "<a>1</a>",
            "<a/>",
            "<a> 1 </a>",
            "<a>1</a><a>2</a>",
            "<a.b>1</a.b>",
            "<a__b>1</a__b>",
            "<a_.0020b>1</a_.0020b>",
            "<a_-b>1</a_-b>",
            "<a>&lt;x&gt;</a>",
            "<a><![CDATA[<x>]]></a>",
            "<a x='1'>2</a>",
            "<a>1<!-- c -->2</a>",
            "<a>1<?p x?>2</a>",
            "<ü>1</ü>",
            "text",
        )
    ),
    '<metadata class="java.util.Collections$EmptyMap"/>',
    '<metadata class="evil"><a>1</a></metadata>',
    "<unknown>1</unknown>",
    "<unknown><a>1</a></unknown>",
    *(
        f"<dataCenterInfo{kind}><name>{name}</name></dataCenterInfo>"
        for kind in ("", ' class="x"')
        for name in ("MyOwn", "Netflix", "Amazon", "amazon", "myown", "")
    ),
    "<dataCenterInfo><name>Amazon</name><metadata><instance-id>i-1</instance-id><a>1</a></metadata></dataCenterInfo>",
    "<dataCenterInfo><name>MyOwn</name><metadata><a>1</a></metadata></dataCenterInfo>",
    "<dataCenterInfo/>",
]


async def test_each_field_in_json_is_read_as_the_real_server_reads_it(pair: Pair) -> None:
    before = len(pair.differences)
    for number, (name, value) in enumerate(JSON_FIELDS):
        app, key = f"J{number}", f"j{number}"
        await pair.register(app, instance(app, key) | {name: value})
        await read_back(pair, app, key)

    assert pair.since(before) == ""


async def test_each_field_in_json_may_be_missing(pair: Pair) -> None:
    before = len(pair.differences)
    for number, name in enumerate(instance("", "")):
        app, key = f"L{number}", f"l{number}"
        whole = instance(app, key)
        del whole[name]
        await pair.register(app, whole)
        await read_back(pair, app, key)

    assert pair.since(before) == ""


async def test_each_field_in_xml_is_read_as_the_real_server_reads_it(pair: Pair) -> None:
    before = len(pair.differences)
    for number, fields in enumerate(XML_FIELDS):
        app, key = f"X{number}", f"x{number}"
        center = "" if "dataCenterInfo" in fields else "<dataCenterInfo><name>MyOwn</name></dataCenterInfo>"
        stamp = "" if "lastDirty" in fields else "<lastDirtyTimestamp>1700000000000</lastDirtyTimestamp>"
        body = (
            f"<instance><instanceId>{key}</instanceId><hostName>h.test</hostName><app>{app.lower()}</app>"
            f"<ipAddr>127.0.0.1</ipAddr>{center}{stamp}{fields}</instance>"
        )
        await pair.ask("POST", f"apps/{app}", {"Content-Type": "application/xml"}, body.encode())
        await read_back(pair, app, key)

    assert pair.since(before) == ""


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"{", b"[]", b"null", b"{}", b'{"instance": null}', b'{"instance": "x"}'),
        *(b'{"application": {}}', b'{"instance": {}}', b'{"instance": {"app": "B"}}', b"<instance/>"),
    ],
)
async def test_what_is_no_registration_is_refused_by_both(pair: Pair, document: bytes) -> None:
    for content_type in ("application/json", "application/xml", "text/plain", "application/json; charset=utf-8"):
        assert await pair.ask("POST", "apps/B", {"Content-Type": content_type}, document) is None


async def read_back(pair: Pair, app: str, key: str) -> None:
    await pair.read(f"apps/{app}")
    for accept in ("application/json", "application/xml"):
        await pair.ask("GET", f"apps/{app}/{key}", {"Accept": accept})
