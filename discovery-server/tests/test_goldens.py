"""Answers recorded from Netflix Eureka, replayed in order on an empty server: ours have to be equal."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from support.server import RunningServer, running_server

GOLDENS = Path(__file__).parent / "goldens"
RECORDED: list[dict[str, Any]] = json.loads((GOLDENS / "steps.json").read_text())["steps"]
CLIENTS: list[dict[str, Any]] = json.loads((GOLDENS / "clients.json").read_text())

# What is not served (yet), by name, with the reason. Each of these has to answer 404 with an empty body.
NOT_SERVED = {
    "batch": "peer replication",
    "batch without trailing slash": "peer replication",
    "batch bad": "peer replication",
    "asg": "Amazon's auto scaling groups",
    "status page api": "the recorded server fails on it with a 500",
    "lastn": "the dashboard's second page",
}
# What is answered otherwise on purpose: the status to expect, and the reason.
ANSWERED_OTHERWISE = {
    "heartbeat bad dirty": (400, "the recorded server fails on it with a 500"),
    "override bad value": (400, "the recorded server fails on it with a 500"),
    "override no value": (400, "the recorded server fails on it with a 500"),
    "override lower-case": (400, "the recorded server fails on it with a 500"),
    "apps OPTIONS": (200, "no WADL is sent along with the Allow header"),
    "dashboard": (200, "the page is our own"),
}
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
    async with running_server() as server, httpx.AsyncClient() as client:
        for step in recording["exchanges"]:
            answer = await client.send(
                httpx.Request(step["method"], server.url + step["path"], headers=step["headers"], content=step["body"])
            )

            assert answer.status_code == step["status"], step
            if answer.is_success:
                for name in ("Content-Type", "Content-Encoding"):
                    assert answer.headers.get(name) == step["answer_headers"].get(name), step


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
    answer = await client.send(request)
    if step["name"] == "batch":
        # Peer replication is not served, but later steps see what it did: the same is done one by one.
        recorded = json.loads(step["response_body"])["responseList"]
        for item, outcome in zip(json.loads(step["body"])["replicationList"], recorded, strict=True):
            alone = await do_alone(client, f"{server.eureka}apps/{item['appName']}", item)
            assert alone.is_success == (outcome["statusCode"] == 200)
    return answer


async def do_alone(client: httpx.AsyncClient, app_url: str, item: dict[str, Any]) -> httpx.Response:
    """One item of a replication batch as a request of its own."""
    url = f"{app_url}/{item['id']}"
    stamp = {"lastDirtyTimestamp": item.get("lastDirtyTimestamp", "")}
    match item["action"]:
        case "Register":
            return await client.post(app_url, json={"instance": item["instanceInfo"]})
        case "Heartbeat":
            return await client.put(url, params=stamp, headers={"x-netflix-discovery-replication": "true"})
        case "StatusUpdate":
            return await client.put(f"{url}/status", params=stamp | {"value": item["status"]})
        case "DeleteStatusOverride":
            return await client.delete(f"{url}/status", params=stamp | {"value": item["status"]})
        case action:
            assert action == "Cancel"
            return await client.delete(url)


def type_of(step: dict[str, Any]) -> str | None:
    recorded: str | None = step["response_headers"].get("content-type")
    return "application/json" if step["name"] in MISLABELLED else recorded


def normal(text: str, volatile: list[str]) -> Any:
    """A document in a shape that can be compared: no white space, volatile values blank, lists in order of names."""
    if text.startswith("{"):
        return normal_json(json.loads(text), volatile)
    if text.startswith("<"):
        return normal_xml(ElementTree.fromstring(text.replace(EMPTY_KEY_IN_XML, "")), volatile)
    return text


def normal_json(value: Any, volatile: list[str], name: str = "") -> Any:
    if name in volatile:
        return type(value).__name__
    if isinstance(value, dict):
        # Without the empty metadata key, see EMPTY_KEY_IN_XML.
        return {key: normal_json(entry, volatile, key) for key, entry in value.items() if key}
    if isinstance(value, list):
        return sorted((normal_json(entry, volatile, name) for entry in value), key=json.dumps)
    return value


def normal_xml(element: ElementTree.Element, volatile: list[str]) -> Any:
    children = [normal_xml(child, volatile) for child in element]
    if element.tag in ("applications", "application", "metadata"):
        children.sort(key=str)
    text = "..." if element.tag in volatile else (element.text or "").strip()
    return (element.tag, sorted(element.items()), text, children)
