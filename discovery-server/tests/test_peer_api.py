"""What other servers ask of this one: batches as Eureka sends them, digests and states among our own."""

import json
from typing import Any

import httpx
import pytest
from support.instances import a_registration, an_instance
from support.server import RunningServer

from discovery_server.registry.clock import Stamp
from discovery_server.registry.instance import Status
from discovery_server.registry.registry import Registry
from discovery_server.wire.state_codec import write_state, write_version


def an_item(action: str, key: str = "o1", **fields: Any) -> dict[str, Any]:
    return {"appName": "ORDERS", "id": key, "action": action, **fields}


def a_register_item(key: str = "o1", **fields: Any) -> dict[str, Any]:
    return an_item("Register", key, instanceInfo=a_registration(key=key, **fields)["instance"])


async def batch(client: httpx.AsyncClient, *items: Any) -> list[dict[str, Any]]:
    answer = await client.post("peerreplication/batch/", json={"replicationList": items})
    assert answer.status_code == 200, answer.headers
    results: list[dict[str, Any]] = answer.json()["responseList"]
    return results


async def codes(client: httpx.AsyncClient, *items: Any) -> list[int]:
    return [result["statusCode"] for result in await batch(client, *items)]


def other_server(*keys: str) -> Registry:
    registry = Registry(server_id="other")
    for key in keys:
        registry.register(an_instance(key=key))
    return registry


class TestBatch:
    async def test_an_instance_is_registered_renewed_overridden_and_cancelled_in_one_batch(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        results = await codes(
            client,
            a_register_item("o1"),
            a_register_item("o2"),
            an_item("Heartbeat", "o1", lastDirtyTimestamp=1000, status="UP"),
            an_item("StatusUpdate", "o1", status="OUT_OF_SERVICE"),
            an_item("Cancel", "o2"),
        )

        assert results == [200] * 5
        (known,) = server.registry.application("ORDERS")
        assert (known.key, known.status) == ("o1", Status.OUT_OF_SERVICE)

    async def test_what_it_changes_stands_in_the_audit_log_and_heartbeats_do_not(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        await codes(client, a_register_item("o1"), a_register_item("o2"), an_item("Cancel", "o2"))
        await codes(client, an_item("Heartbeat", "o1"))

        newest = (await client.get(f"{server.url}/discovery/audit?limit=1")).json()["items"][0]
        assert (newest["action"], newest["what"]) == ("replicated", {"Register": 2, "Cancel": 1})

    async def test_a_heartbeat_of_an_unknown_or_changed_instance_asks_for_its_registration(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        server.registry.register(an_instance(last_dirty_ms=1000))

        results = await codes(
            client, an_item("Heartbeat", "nobody"), an_item("Heartbeat", "o1", lastDirtyTimestamp="1001")
        )

        assert results == [404, 404]

    async def test_a_heartbeat_of_an_older_instance_is_answered_with_ours(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        server.registry.register(an_instance(last_dirty_ms=1000, metadata={"zone": "ours"}))

        (result,) = await batch(client, an_item("Heartbeat", "o1", lastDirtyTimestamp=999))

        assert result["statusCode"] == 409
        assert result["responseEntity"]["metadata"] == {"zone": "ours"}
        assert result["responseEntity"]["lastDirtyTimestamp"] == "1000"

    async def test_an_older_registration_changes_nothing(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        server.registry.register(an_instance(last_dirty_ms=1000, ip_address="127.0.0.1"))

        assert await codes(client, a_register_item(lastDirtyTimestamp=999, ipAddr="127.0.0.9")) == [200]

        assert server.registry.instance("ORDERS", "o1").ip_address == "127.0.0.1"

    async def test_an_override_survives_registrations_of_peers_d4(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        server.registry.register(an_instance())
        server.registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)

        assert await codes(client, a_register_item(lastDirtyTimestamp=2000)) == [200]

        assert server.registry.instance("ORDERS", "o1").status is Status.OUT_OF_SERVICE

    async def test_an_override_that_a_peer_knows_comes_with_the_registration(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        assert await codes(client, a_register_item(status="OUT_OF_SERVICE", overriddenstatus="OUT_OF_SERVICE")) == [200]

        assert server.registry.instance("ORDERS", "o1").overridden_status is Status.OUT_OF_SERVICE
        assert await codes(client, an_item("DeleteStatusOverride", status="UP")) == [200]
        assert server.registry.instance("ORDERS", "o1").status is Status.UP

    @pytest.mark.parametrize(
        "item",
        [
            None,
            7,
            "Register",
            [],
            {},
            {"appName": "ORDERS", "id": "o2"},
            {"appName": "ORDERS", "id": 1, "action": "Cancel"},
            an_item("Dance"),
            an_item("Register"),
            an_item("Register", instanceInfo=None),
            an_item("Register", instanceInfo=[]),
            an_item("Register", instanceInfo={"app": "ORDERS"}),
            an_item("Register", instanceInfo=a_registration(app="BILLING")["instance"]),
            a_register_item(port={"$": "x"}),
            a_register_item(hostName="\x00"),
            an_item("Heartbeat", lastDirtyTimestamp="soon"),
            an_item("Heartbeat", lastDirtyTimestamp=[]),
            an_item("StatusUpdate", status="SLEEPING"),
            an_item("StatusUpdate", status=["UP"]),
            an_item("DeleteStatusOverride", status={}),
        ],
        ids=repr,
    )
    async def test_a_bad_item_is_answered_with_its_own_code_and_spoils_no_other(
        self, server: RunningServer, client: httpx.AsyncClient, item: object
    ) -> None:
        server.registry.register(an_instance(key="o1"))
        before = server.registry.instance("ORDERS", "o1")

        results = await codes(client, a_register_item("first"), item, a_register_item("last"))

        assert results == [200, 400, 200]
        assert server.registry.instance("ORDERS", "o1").last_updated_ms == before.last_updated_ms
        assert {instance.key for instance in server.registry.application("ORDERS")} == {"o1", "first", "last"}

    @pytest.mark.parametrize("depth", [10, 100, 800, 900, 950, 990])
    async def test_an_item_as_deep_as_json_can_be_spoils_no_other(
        self, server: RunningServer, client: httpx.AsyncClient, depth: int
    ) -> None:
        items = [
            json.dumps(an_item("Heartbeat", lastDirtyTimestamp="DEEP")),
            json.dumps(an_item("Register", instanceInfo="DEEP")),
            json.dumps(a_register_item(metadata={"zone": "DEEP"})),
            json.dumps(a_register_item()),
        ]

        answer = await post_deep(client, "batch/", f'{{"replicationList": [{",".join(items)}]}}', depth)

        if answer.status_code == 400:  # deeper than JSON is read at all
            assert not server.registry.application("ORDERS")
        else:
            assert [result["statusCode"] for result in answer.json()["responseList"]] == [400, 400, 400, 200]


async def post_deep(client: httpx.AsyncClient, path: str, body: str, depth: int) -> httpx.Response:
    """Send JSON with lists in lists, that many, in place of every DEEP."""
    content = body.replace('"DEEP"', "[" * depth + "]" * depth)
    return await client.post(f"peerreplication/{path}", content=content, headers={"Content-Type": "application/json"})


BAD_BODIES = [b"", b"null", b"7", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5000, b"{}"]


@pytest.mark.parametrize("path", ["batch/", "digests", "states"])
class TestBadRequests:
    @pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:12]))
    async def test_what_is_no_such_thing_at_all_is_refused_and_changes_nothing(
        self, server: RunningServer, client: httpx.AsyncClient, path: str, body: bytes
    ) -> None:
        version = server.registry.version

        answer = await client.post(
            f"peerreplication/{path}", content=body, headers={"Content-Type": "application/json"}
        )

        assert (answer.status_code, answer.content) == (400, b"")
        assert server.registry.version == version

    async def test_another_type_than_json_is_refused(
        self, server: RunningServer, client: httpx.AsyncClient, path: str
    ) -> None:
        answer = await client.post(
            f"peerreplication/{path}", content=b"<batch/>", headers={"Content-Type": "application/xml"}
        )

        assert answer.status_code == 415

    async def test_more_than_is_read_at_once_is_refused(
        self, server: RunningServer, client: httpx.AsyncClient, path: str
    ) -> None:
        answer = await client.post(
            f"peerreplication/{path}", content=b" " * 1_100_000, headers={"Content-Type": "application/json"}
        )

        assert answer.status_code == 413


class TestDigests:
    async def ask(self, client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
        answer = await client.post("peerreplication/digests", json={"server": "other", "digests": {}, **fields})
        assert answer.status_code == 200
        said: dict[str, Any] = answer.json()
        return said

    async def test_applications_with_another_digest_are_told_whole(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        server.registry.register(an_instance("ORDERS"))
        server.registry.register(an_instance("BILLING", "b1"))

        said = await self.ask(client, digests={"BILLING": server.registry.digests()["BILLING"], "ELSEWHERE": "x"})

        assert said["server"] == server.registry.server_id
        assert said["complete"] is True
        assert said["differ"] == ["ELSEWHERE", "ORDERS"]
        assert "o1" in [state["key"] for state in said["states"]]
        assert {state["app"] for state in said["states"]} == {"ORDERS"}
        assert said["next"] is None

    async def test_nothing_is_told_to_one_that_knows_the_same(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        server.registry.register(an_instance())

        said = await self.ask(client, digests=server.registry.digests())

        assert (said["differ"], said["states"]) == ([], [])

    async def test_only_applications_within_the_bounds_are_compared(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        for app in ("A", "B", "C"):
            server.registry.register(an_instance(app))

        assert (await self.ask(client, **{"from": "B", "until": "C"}))["differ"] == ["B"]
        assert (await self.ask(client, **{"from": "B"}))["differ"] == ["B", "C"]

    async def test_pages_are_small_and_have_everything_once(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        for number in range(100):
            server.registry.register(
                an_instance("PAGED", f"p{number}", metadata={f"k{n}": "x" * 1000 for n in range(9)})
            )
        told: list[str] = []
        after = None
        while True:
            answer = await client.post(
                "peerreplication/digests", json={"server": "other", "digests": {}, "from": "PAGED", "after": after}
            )
            assert len(answer.content) < 300_000
            told += [state["key"] for state in answer.json()["states"]]
            after = answer.json()["next"]
            if after is None:
                break

        assert sorted(told) == sorted(f"p{number}" for number in range(100))

    @pytest.mark.parametrize(
        "fields",
        [{"digests": []}, {"digests": {"A": 1}}, {"from": 1}, {"until": []}, {"after": "A"}, {"after": ["A", 1]}],
        ids=repr,
    )
    async def test_what_can_not_be_compared_is_refused(self, client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
        answer = await client.post("peerreplication/digests", json={"server": "other", "digests": {}, **fields})

        assert answer.status_code == 400


class TestStates:
    async def tell(self, client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
        answer = await client.post("peerreplication/states", json={"server": "other", "states": [], **fields})
        assert answer.status_code == 200, answer.headers
        said: dict[str, Any] = answer.json()
        return said

    async def test_states_are_taken_and_what_is_newer_here_is_answered(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        server.registry.register(an_instance(key="newer", last_dirty_ms=5000))

        said = await self.tell(client, states=[write_state(state) for state in other_server("newer", "told").states()])

        assert {instance.key for instance in server.registry.application("ORDERS")} == {"newer", "told"}
        assert [state["key"] for state in said["states"]] == ["newer"]
        assert said["refused"] == []

    async def test_a_bad_state_is_refused_alone(self, server: RunningServer, client: httpx.AsyncClient) -> None:
        good, bad = (write_state(state) for state in other_server("one", "other").states())
        bad["version"] = "new"

        said = await self.tell(client, states=[bad, good])

        assert [instance.key for instance in server.registry.application("ORDERS")] == [good["key"]]
        assert len(said["refused"]) == 1

    @pytest.mark.parametrize("depth", [10, 900, 950, 990])
    @pytest.mark.parametrize("field", ["app", "version", "instance", "silent_seconds", "owner", "override"])
    async def test_a_state_as_deep_as_json_can_be_spoils_no_other(
        self, server: RunningServer, client: httpx.AsyncClient, field: str, depth: int
    ) -> None:
        good, bad = (write_state(state) for state in other_server(f"good-{field}-{depth}", "bad").states())
        if bad["key"] != "bad":
            good, bad = bad, good
        body = json.dumps({"server": "other", "states": [bad | {field: "DEEP"}, good], "renewals": ["DEEP"]})

        answer = await post_deep(client, "states", body, depth)

        if answer.status_code == 400:  # deeper than JSON is read at all
            assert not server.registry.application("ORDERS")
        else:
            assert len(answer.json()["refused"]) == 2
            assert [instance.key for instance in server.registry.application("ORDERS")] == [good["key"]]

    async def test_renewals_prolong_what_is_known_in_that_version_and_ask_for_the_rest(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        other = other_server("renewed")
        (state,) = other.states()
        server.registry.merge([state])
        version, later = write_version(state.version), write_version(state.version._replace(stamp=Stamp(2**50, "x")))

        said = await self.tell(
            client,
            renewals=[
                ["ORDERS", "renewed", version, 0.5],
                ["ORDERS", "renewed", later, 0],
                ["ORDERS", "o9", version, 0],
            ],
        )

        assert said["unknown"] == [["ORDERS", "renewed"], ["ORDERS", "o9"]]

    @pytest.mark.parametrize(
        "renewal",
        [7, [], ["ORDERS", "o1"], ["ORDERS", "o1", [1, [1, "a"]], -1], ["ORDERS", "o1", [1, 2], 0], [1, 2, 3, 4]],
        ids=repr,
    )
    async def test_a_bad_renewal_is_refused_alone(self, client: httpx.AsyncClient, renewal: object) -> None:
        said = await self.tell(client, renewals=[renewal, ["ORDERS", "o9", [1, [1, "a"]], 0]])

        assert len(said["refused"]) == 1
        assert said["unknown"] == [["ORDERS", "o9"]]
