"""Paths, methods and headers: which of them the real server and ours take, and in which form they answer."""

import itertools
from typing import Any

from .differential import Pair
from .rules import instance

ACCEPTED = [
    *("application/json", "application/xml", "*/*", "text/html", "application/*", "", "JSON", "text/json", "text/xml"),
    *("application/json;q=0.5, application/xml", "application/xml;q=0.5, application/json", "application/x+json"),
    *("application/xml, application/json", "application/json, application/xml", "text/html, application/json"),
    *("application/json;q=0, application/xml", "application/vnd.x+json, */*", "application/*;q=0.1, text/html"),
    *("application/json;q=0.1, */*", "*/*, application/json", "application/*, application/json;q=0.2"),
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
]
ENCODINGS = ["gzip", "gzip, deflate", "deflate", "*", "x-gzip", "br, gzip;q=0.5", "gzip, x-gzip, deflate", ""]
FOUND = [
    "apps",
    "apps/",
    "apps/delta",
    "apps/delta/",
    "apps/FA",
    "apps/fa/",
    "apps/FA/f1",
    "apps/fa/f1/",
    "instances/f1",
]
FOUND += [
    "instances/f1/",
    "vips/va",
    "vips/va/",
    "svips/sb",
    "apps/FB/f%3A3",
    "apps/FB/f:3",
    "apps/%46A",
    "apps/FA/f1?x=1",
]
FOUND += [
    "apps?regions=",
    "apps?regions=a,B",
    "apps/delta?regions=x",
    "v2/apps",
    "v2/apps/",
    "v2/apps/delta",
    "v2/apps/FA",
]
FOUND += [
    "v2/apps/FA/f1",
    "v2/instances/f1",
    "v2/vips/va",
    "v2/svips/sb",
    "v1/apps",
    "v1/apps/FC",
    "v1/apps/FC/f7",
    "x/apps",
]
NOT_FOUND = [
    "apps/NOPE",
    "apps/FA/nope",
    "instances/nope",
    "vips/nope",
    "svips/nope",
    "v2",
    "v2/",
    "",
    "apps/apps",
    "APPS",
]
NOT_FOUND += [
    "v2/v2/apps",
    "v2//apps",
    "/v2/apps",
    "/apps",
    "apps//FA",
    "apps/FA//",
    "apps//",
    "apps/delta/x",
    "vips",
    "svips/",
]
NOT_FOUND += ["instances", "apps/FA/f1/status", "apps/FA/f1/metadata", "apps/FA/f1/x", "serverinfo", "peerreplication"]
NOT_FOUND += [
    "vips/va,vb",
    "vips/VA",
    "vips/vA",
    "vips/%20sb",
    "svips/SA",
    "svips/%20sb",
    "vips/null",
    "vips/%20",
    "apps/FA/f1%20",
]


async def test_every_path_in_every_form(pair: Pair) -> None:
    instances: list[tuple[str, str, dict[str, Any]]] = [
        ("FA", "f1", {}),
        ("FA", "f2", {"status": "DOWN", "vipAddress": "va,vb", "secureVipAddress": "SA, sb,sb"}),
        ("FB", "f:3", {"vipAddress": "VA"}),
        ("FC", "f4", {"metadata": {}}),
        ("FC", "f5", {"metadata": None, "status": "UNKNOWN"}),
        ("FC", "f6", {"status": "STARTING", "vipAddress": None}),
        ("FC", "f7", {"status": "OUT_OF_SERVICE", "vipAddress": ""}),
    ]
    for app, key, fields in instances:
        await pair.register(app, instance(app, key) | fields)
    for path in [*FOUND, *NOT_FOUND]:
        await pair.ask("GET", path)
        for accept in ACCEPTED:
            await pair.ask("GET", path, {"Accept": accept})
        for encoding in ENCODINGS:
            await pair.ask("GET", path, {"Accept-Encoding": encoding})
        for accept, form in itertools.product(
            ("application/json", "application/xml"), ("compact", "full", "COMPACT", "x", "")
        ):
            await pair.ask("GET", path, {"Accept": accept, "X-Eureka-Accept": form})

    assert pair.since(0) == ""


async def test_methods_that_are_not_for_a_path(pair: Pair) -> None:
    before = len(pair.differences)
    for path in ["apps", "apps/delta", "apps/FA", "instances/f1", "vips/va", "svips/sb", "nope", "v2/apps"]:
        for method in ("HEAD", "POST", "PUT", "DELETE", "PATCH"):
            if (method, path) not in {("POST", "apps/FA"), ("POST", "apps/delta")}:
                await pair.ask(method, path, {"Accept": "application/json"})
    for method, path in (("POST", "apps/FA/f1"), ("PATCH", "apps/FA/f1"), ("POST", "apps/FA/f1/status")):
        await pair.ask(method, path, {"Accept": "application/json"})

    assert pair.since(before) == ""
