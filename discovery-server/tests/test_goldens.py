"""Answers recorded from Netflix Eureka, replayed in order on an empty server: ours have to be equal."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from support import documents
from support.clock import FakeClock
from support.server import RunningServer, running_server

from discovery_server.registry.instance import Instance, LeaseInfo
from discovery_server.wire import json_codec, xml_codec

GOLDENS = Path(__file__).parent / "goldens"
RECORDED: list[dict[str, Any]] = json.loads((GOLDENS / "steps.json").read_text())["steps"]
CLIENTS: list[dict[str, Any]] = json.loads((GOLDENS / "clients.json").read_text())

# What is not served (yet), by name, with the reason. Each of these has to answer 404 with an empty body.
NOT_SERVED = {
    "asg": "Amazon's auto scaling groups",
    "status page api": "the recorded server fails on it with a 500",
}
# What is answered otherwise on purpose: the status to expect, and the reason.
ANSWERED_OTHERWISE = {
    "batch bad": (400, "the recorded server fails on it with a 500"),
    "heartbeat bad dirty": (400, "the recorded server fails on it with a 500"),
    "override bad value": (400, "the recorded server fails on it with a 500"),
    "override no value": (400, "the recorded server fails on it with a 500"),
    "override lower-case": (400, "the recorded server fails on it with a 500"),
    "apps OPTIONS": (200, "no WADL is sent along with the Allow header"),
    "dashboard": (200, "the page is our own"),
    "lastn": (200, "the page is our own"),
}
DELTA_SECONDS = 180  # for so long both tell a change for certain
# The recorded server writes JSON here and calls it XML.
MISLABELLED = {"apps xml then json", "apps json with q"}
# It keeps an empty metadata key, which no XML reader survives; ours drops it.
EMPTY_KEY_IN_XML = "<>empty</>"


@pytest.fixture(scope="module")
async def answers() -> AsyncIterator[dict[str, httpx.Response]]:
    """Every step's answer, from one replay of all of them."""
    async with running_server() as server, httpx.AsyncClient() as client:
        yield {step["name"]: await play(client, server, step) for step in RECORDED}


@pytest.mark.parametrize("step", RECORDED, ids=lambda step: step["name"])
async def test_a_recorded_step_is_answered_as_it_was(step: dict[str, Any], answers: dict[str, httpx.Response]) -> None:
    answer = answers[step["name"]]

    if step["name"] in NOT_SERVED:
        assert answer.status_code == 404
    elif step["name"] in ANSWERED_OTHERWISE:
        assert answer.status_code == ANSWERED_OTHERWISE[step["name"]][0]
    elif step["status"] < 400 or step["status"] == 409:
        volatile = step.get("volatile", [])
        assert answer.status_code == step["status"]
        assert answer.headers.get("content-type") == type_of(step)
        assert answer.headers.get("content-encoding") == ("gzip" if step.get("response_gzip") else None)
        assert normal(answer.text, volatile) == normal(step["response_body"], volatile)
    else:
        assert answer.status_code == step["status"]
        if step["path"] == "/v2/apps":  # outside of /eureka, where errors are problem documents
            return
        assert answer.content == b""
        assert "content-type" not in answer.headers


@pytest.mark.parametrize("recording", CLIENTS, ids=lambda recording: recording["client"].partition(" (")[0])
async def test_every_request_of_a_stock_client_is_answered_as_it_was(recording: dict[str, Any]) -> None:
    exchanges: list[dict[str, Any]] = recording["exchanges"]
    own = {exchange["path"].split("/")[3] for exchange in exchanges if exchange["method"] == "POST"}
    clock = FakeClock()
    async with running_server(clock=clock.clock) as server, httpx.AsyncClient() as client:
        for instance in already_there(exchanges, own):
            server.registry.register(instance)
        for step in exchanges:
            clock.advance(step["at_seconds"] - clock.seconds)
            server.registry.sweep()
            answer = await client.send(
                httpx.Request(step["method"], server.url + step["path"], headers=step["headers"], content=step["body"])
            )

            assert answer.status_code == step["status"], step
            if not answer.is_success:
                assert answer.content == b""
                continue
            for name in ("Content-Type", "Content-Encoding"):
                assert answer.headers.get(name) == step["answer_headers"].get(name), step
            ours, theirs = seen_of(own, answer.text), seen_of(own, step["answer_body"])
            if step["path"].endswith("/delta") and step["at_seconds"] > DELTA_SECONDS:
                # For how long theirs tells a change depends on when it last looked, and on answers that it keeps.
                ours, theirs = ours[0], theirs[0]
            assert ours == theirs, step


def test_every_exception_names_a_recorded_step() -> None:
    names = {step["name"] for step in RECORDED}

    assert len(names) == len(RECORDED)
    assert names >= {*NOT_SERVED, *ANSWERED_OTHERWISE, *MISLABELLED}


async def play(client: httpx.AsyncClient, server: RunningServer, step: dict[str, Any]) -> httpx.Response:
    """Send a step with its own headers alone. Its answer."""
    # A request that is built by hand gets none of httpx's own headers.
    request = httpx.Request(
        step["method"], server.url + step["path"], headers=step["headers"], content=step.get("body")
    )
    return await client.send(request)


def type_of(step: dict[str, Any]) -> str | None:
    recorded: str | None = step["response_headers"].get("content-type")
    return "application/json" if step["name"] in MISLABELLED else recorded


def normal(text: str, volatile: list[str]) -> Any:
    """A document in a shape that can be compared, volatile values blank."""
    return documents.normal(
        text.replace(EMPTY_KEY_IN_XML, ""), lambda name, value: type(value).__name__ if name in volatile else value
    )


def already_there(exchanges: list[dict[str, Any]], own: set[str]) -> list[Instance]:
    """What others had registered before, as the first list told it; here it stays all the while."""
    body = next(exchange["answer_body"] for exchange in exchanges if exchange["path"] == "/eureka/apps/")
    if body.startswith("{"):
        found = json_codec.read_applications(body.encode())
    else:
        written = [ElementTree.tostring(element) for element in ElementTree.fromstring(body).iter("instance")]
        found = [xml_codec.read_instance(instance) for instance in written]
    return [replace(instance, lease=LeaseInfo(duration_seconds=10**6)) for instance in found if instance.app not in own]


def seen_of(own: set[str], text: str) -> Any:
    """The hash code of a list, and what it has of the client's own applications; the server's stamps blank."""
    stamps = {"registrationTimestamp", "lastRenewalTimestamp", "lastUpdatedTimestamp", "evictionTimestamp"}
    stamps.add("serviceUpTimestamp")

    def blank(name: str, value: str | int) -> str | int:
        return "a stamp" if name in stamps and str(value) != "0" else value

    document = documents.normal(text, blank)
    if isinstance(document, dict):
        lists = document["applications"]
        return lists["apps__hashcode"], [app for app in lists["application"] if app["name"] in own]
    if isinstance(document, tuple):
        children = {entry[0]: entry[2] for entry in document[3]}
        apps = [entry[3] for entry in document[3] if entry[0] == "application"]
        return children["apps__hashcode"], [app for app in apps if any(("name", [], name, []) in app for name in own)]
    return document
