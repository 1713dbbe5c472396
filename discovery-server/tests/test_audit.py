"""Who did what, and who was refused: the audit log."""

import json
import logging
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from chassis.testing.server import running
from chassis.testing.waiting import until
from prometheus_client import REGISTRY
from support.clock import FakeClock
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.access.access import Principal
from discovery_server.access.audit import Asker, Audit
from discovery_server.access.audit_file import AuditFile
from discovery_server.app import create_app
from discovery_server.registry.registry import Registry
from discovery_server.settings import DiscoverySettings

CREDENTIALS = {
    "orders": "password-of-orders",
    "billing": "password-of-billing",
    "discovery-server": "password-of-peers",
}
MORE: dict[str, Any] = {"admin-credentials": {"root": "password-of-root"}, "read-tokens": "token-of-prometheus"}
ORDERS = httpx.BasicAuth("orders", "password-of-orders")
BILLING = httpx.BasicAuth("billing", "password-of-billing")
PEER = httpx.BasicAuth("discovery-server", "password-of-peers")
ROOT = httpx.BasicAuth("root", "password-of-root")
AN_ASKER = Asker(Principal("ORDERS", owner="ORDERS"), "192.0.2.1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture
async def guarded(clock: FakeClock) -> AsyncIterator[RunningServer]:
    async with running_server(credentials=CREDENTIALS, clock=clock.clock, sweep_seconds=0.02, **MORE) as server:
        yield server


@pytest_asyncio.fixture
async def client(guarded: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        yield client


async def entries(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """The newest first."""
    answer = await client.get("discovery/audit", params=query, auth=ROOT)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def actions(client: httpx.AsyncClient) -> list[str]:
    """The oldest first."""
    return [entry["action"] for entry in await entries(client)][::-1]


async def register(client: httpx.AsyncClient, key: str = "o1", **fields: Any) -> None:
    answer = await client.post("eureka/apps/ORDERS", json=a_registration(key=key, **fields), auth=ORDERS)
    assert answer.status_code == 204


class TestWhatIsToldOfChanges:
    async def test_a_registration_says_who_from_where_what_when_and_in_which_request(
        self, client: httpx.AsyncClient
    ) -> None:
        answer = await client.post(
            "eureka/apps/orders", json=a_registration(), auth=ORDERS, headers={"X-Request-ID": "request-1"}
        )

        [entry] = await entries(client)
        assert answer.headers["x-request-id"] == "request-1"
        assert entry == {
            "number": 1,
            "at": "2027-01-15T08:00:00.000+00:00",
            "action": "registered",
            "by": "ORDERS",
            "address": "127.0.0.1",
            "request_id": "request-1",
            "app": "ORDERS",
            "instance": "o1",
            "what": {"host": "h.test", "ip": "127.0.0.1", "status": "UP"},
        }

    async def test_to_register_again_with_the_same_content_is_no_entry(self, client: httpx.AsyncClient) -> None:
        for stamp in ("1000", "2000", "3000"):
            await register(client, lastDirtyTimestamp=stamp, lastUpdatedTimestamp=stamp)
            await client.put("eureka/apps/ORDERS/o1", auth=ORDERS)

        assert await actions(client) == ["registered"]

    async def test_a_change_names_the_fields(self, client: httpx.AsyncClient) -> None:
        await register(client)
        await register(client, status="DOWN", hostName="new.test", metadata={"a": "b"}, leaseInfo={"durationInSecs": 7})

        newest, _ = await entries(client)
        assert newest["action"] == "changed"
        assert newest["what"] == {
            "host": "new.test",
            "ip": "127.0.0.1",
            "status": "DOWN",
            "changed": ["host_name", "status", "metadata", "lease"],
        }

    async def test_everything_else_that_is_done_is_told_too(self, client: httpx.AsyncClient) -> None:
        await register(client)
        await client.put("eureka/apps/orders/o1/status?value=OUT_OF_SERVICE", auth=ROOT)
        await client.delete("eureka/apps/orders/o1/status?value=UP", auth=ORDERS)
        await client.put("eureka/apps/orders/o1/metadata?weight=a-secret&zone=z", auth=ORDERS)
        await client.delete("eureka/apps/orders/o1", auth=ROOT)

        told = [(entry["action"], entry["by"], entry["what"]) for entry in await entries(client)][::-1]
        assert told[1:] == [
            ("overridden", "ROOT", {"status": "OUT_OF_SERVICE"}),
            ("override removed", "ORDERS", {"status": "UP"}),
            ("metadata changed", "ORDERS", {"keys": ["weight", "zone"]}),
            ("cancelled", "ROOT", {"host": "h.test"}),
        ]
        assert {(entry["app"], entry["instance"]) for entry in await entries(client)} == {("ORDERS", "o1")}

    async def test_an_override_by_the_page_is_told_like_any_other(self, client: httpx.AsyncClient) -> None:
        await register(client)
        for to in ("out", "out", "back"):
            form, headers = {"app": "ORDERS", "id": "o1", "to": to}, {"Sec-Fetch-Site": "same-origin"}
            answer = await client.post("override", data=form, headers=headers, auth=ROOT)
            assert answer.status_code == 303, answer.text

        told = [(entry["action"], entry["by"], entry["what"]) for entry in await entries(client)][::-1]
        assert told[1:] == [
            ("overridden", "ROOT", {"status": "OUT_OF_SERVICE"}),
            ("override removed", "ROOT", {"status": "UP"}),
        ]

    async def test_what_did_nothing_is_no_entry(self, client: httpx.AsyncClient) -> None:
        await register(client)
        await client.put("eureka/apps/ORDERS/o1/status?value=UP", auth=ORDERS)  # it is
        await client.delete("eureka/apps/ORDERS/o1/status", auth=ORDERS)  # there is none
        await client.delete("eureka/apps/ORDERS/o2", auth=ORDERS)
        await client.put("eureka/apps/ORDERS/o2/status?value=DOWN", auth=ORDERS)
        await client.put("eureka/apps/ORDERS/o2/metadata?a=b", auth=ORDERS)
        await client.post("eureka/apps/ORDERS", json={"instance": {}}, auth=ORDERS)

        assert await actions(client) == ["registered"]

    async def test_an_eviction_is_told_with_its_reason_and_then_a_registration_is_new(
        self, guarded: RunningServer, client: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        await register(client, duration=4)
        clock.advance(4.5)  # a sweep that comes later than 5 s after the last one drops nobody
        await until(lambda: not guarded.registry.application("ORDERS"))
        await register(client)

        newest, dropped, _ = await entries(client)
        assert (newest["action"], dropped["action"], dropped["by"]) == ("registered", "dropped", None)
        assert re.fullmatch(r"ran out: no renewal for [45] s, its lease is 4 s", dropped["what"]["why"])

    async def test_what_another_server_tells_is_in_its_log_and_not_in_ours(
        self, guarded: RunningServer, client: httpx.AsyncClient
    ) -> None:
        other = Registry(guarded.registry.clock)
        other.register(an_instance(duration=60), owner="ORDERS")
        guarded.registry.merge(other.states())
        await register(client, duration=60)  # the client goes on with us, with the same content
        other.merge(guarded.registry.states())
        other.cancel("ORDERS", "o1")
        guarded.registry.merge(other.states())

        assert guarded.registry.application("ORDERS") == []
        assert await entries(client) == []

    async def test_what_a_peer_sends_like_a_client_is_told_as_its_doing(self, client: httpx.AsyncClient) -> None:
        """As a real Eureka server does, which has no audit log of its own."""
        replicated = {"x-netflix-discovery-replication": "true"}
        await client.post("eureka/apps/ORDERS", json=a_registration(), auth=PEER, headers=replicated)
        await client.delete("eureka/apps/ORDERS/o1", auth=PEER, headers=replicated)

        told = [(entry["action"], entry["by"]) for entry in await entries(client)][::-1]
        assert told == [("registered", "DISCOVERY-SERVER"), ("cancelled", "DISCOVERY-SERVER")]

    async def test_where_nobody_is_asked_there_is_an_address_and_no_name(self, server: RunningServer) -> None:
        async with httpx.AsyncClient(base_url=server.url) as client:
            await client.post("eureka/apps/ORDERS", json=a_registration(key="anonymous"), auth=ORDERS)
            [entry] = [each for each in await entries(client, app="orders") if each["instance"] == "anonymous"]

        assert (entry["by"], entry["address"], entry["action"]) == (None, "127.0.0.1", "registered")

    async def test_the_same_instance_from_another_address_is_told_with_both(
        self, guarded: RunningServer, client: httpx.AsyncClient
    ) -> None:
        await register(client)
        elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(base_url=guarded.url, transport=elsewhere) as other:
            await register(other)
            await register(other)

        newest, first = await entries(client)
        assert (first["action"], first["address"]) == ("registered", "127.0.0.1")
        assert (newest["action"], newest["address"]) == ("taken over", "127.0.0.2")
        assert newest["what"]["from_address"] == "127.0.0.1"
        assert newest["what"]["changed"] == []


class TestRefused:
    async def test_a_refused_change_is_told_with_the_reason(self, client: httpx.AsyncClient) -> None:
        headers = {"X-Request-ID": "request-2"}
        await client.post("eureka/apps/orders?x=query", json=a_registration(), auth=BILLING, headers=headers)

        [entry] = await entries(client)
        assert entry["request_id"] == "request-2"
        assert (entry["action"], entry["by"], entry["app"], entry["instance"]) == ("refused", "BILLING", "ORDERS", None)
        assert entry["what"] == {
            "status": 403,
            "method": "POST",
            "path": "/eureka/apps/orders",
            "reason": "The credential of BILLING does not open ORDERS.",
            "times": 1,
        }

    async def test_a_wrong_password_is_told_as_a_claim(self, client: httpx.AsyncClient) -> None:
        await client.get("eureka/apps", auth=("orders", "wrong"))

        [entry] = await entries(client)
        assert (entry["by"], entry["what"]["status"], entry["what"]["claimed"]) == (None, 401, "ORDERS")

    async def test_pages_and_lists_of_our_own_are_watched_as_well(self, client: httpx.AsyncClient) -> None:
        headers = {"X-Request-ID": "request-3"}
        assert (await client.get("", auth=("root", "wrong"), headers=headers)).status_code == 401
        assert (await client.get("discovery/audit", auth=ORDERS)).status_code == 403

        newest, oldest = await entries(client)
        assert (newest["what"]["path"], oldest["what"]["path"]) == ("/discovery/audit", "/")
        assert oldest["request_id"] == "request-3"

    async def test_a_browser_that_waits_to_be_asked_for_its_password_is_no_attempt(
        self, client: httpx.AsyncClient
    ) -> None:
        assert (await client.get("eureka/apps")).status_code == 401

        assert await entries(client) == []

    async def test_many_from_one_address_are_one_entry_a_minute_with_their_number(
        self, client: httpx.AsyncClient, clock: FakeClock
    ) -> None:
        for _ in range(30):
            await client.get("eureka/apps", auth=("orders", "wrong"))
        clock.wall_jump_ms += 60_000
        await client.get("eureka/apps", auth=("orders", "wrong"))

        assert [entry["what"]["times"] for entry in await entries(client)] == [30, 1]

    async def test_each_is_counted_and_good_credentials_from_there_still_pass(self, client: httpx.AsyncClient) -> None:
        before = _count("discovery_refusals_total", status="401")

        for _ in range(200):
            assert (await client.put("eureka/apps/ORDERS/o1", auth=("orders", "guess"))).status_code == 401
        good = await client.post("eureka/apps/ORDERS", json=a_registration(), auth=ORDERS)

        assert good.status_code == 204
        assert _count("discovery_refusals_total", status="401") == before + 200

    def test_the_memory_of_addresses_has_an_end(self, clock: FakeClock) -> None:
        audit = Audit(clock.clock)
        for number in range(10_100):
            audit.refused(f"192.0.2.{number}", None, None, 401, {})

        assert len(audit._refused) == 10_000


class TestSecrets:
    async def test_no_password_token_or_metadata_value_is_ever_in_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        # given a server that writes its log, and words that are secret
        secrets = ["password-of-", "token-of-", "mis-typed-", "in-metadata", "in-a-query"]
        monkeypatch.setenv("STATE_DIR", str(tmp_path))
        caplog.set_level(logging.DEBUG, "discovery_server")

        # when they are sent in every place where a client might send one
        async with _served(credentials=CREDENTIALS, **MORE) as client:
            body = a_registration(metadata={"key": "in-metadata"})
            wrong = [
                httpx.BasicAuth(*pair) for pair in (("orders", "mis-typed-1"), ("mis-typed-2", ""), ("", "mis-typed-3"))
            ]
            for auth in (ORDERS, BILLING, PEER, ROOT, *wrong):
                await client.post("eureka/apps/ORDERS?x=in-a-query", json=body, auth=auth)
                await client.put("eureka/apps/ORDERS/o1/metadata?other=in-metadata", auth=auth)
                await client.put("eureka/apps/ORDERS/o1/status?value=DOWN&x=in-a-query", auth=auth)
                await client.delete("eureka/apps/ORDERS/o1?x=in-a-query", auth=auth)
            for header in ("Bearer token-of-prometheus", "Bearer mis-typed-4", "mis-typed-5", "Basic mis-typed-6"):
                await client.delete("eureka/apps/ORDERS/o1", headers={"Authorization": header})
            shown = (await client.get("discovery/audit?limit=100", auth=ROOT)).text
        written = "".join(_lines(tmp_path))
        ours = [
            record for record in caplog.records if record.name.startswith(("discovery_server", "chassis", "uvicorn"))
        ]
        logged = "".join(f"{vars(record)}" for record in ours)

        # then none of them is shown, written or logged
        assert "refused" in shown
        assert "refused" in written
        assert "refused" in logged
        assert [word for word in secrets for text in (shown, written, logged) if word in text] == []


class TestShowAudit:
    async def test_is_for_administrators(self, client: httpx.AsyncClient) -> None:
        for auth, status in ((None, 401), (ORDERS, 403), (PEER, 403), (("x", "token-of-prometheus"), 403), (ROOT, 200)):
            answer = await client.get("discovery/audit", auth=auth)
            assert answer.status_code == status
            if status != 200:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["status"] == status

    async def test_pages_lead_through_all_of_it_while_it_grows(self, client: httpx.AsyncClient) -> None:
        for number in range(7):
            await register(client, f"o{number}")

        first = (await client.get("discovery/audit?limit=3", auth=ROOT)).json()
        await register(client, "o9")
        seen = [entry["instance"] for entry in first["items"]]
        cursor = first["next_cursor"]
        while cursor:
            query = {"limit": 3, "cursor": cursor}
            page = (await client.get("discovery/audit", params=query, auth=ROOT)).json()
            seen += [entry["instance"] for entry in page["items"]]
            cursor = page["next_cursor"]

        assert seen == ["o6", "o5", "o4", "o3", "o2", "o1", "o0"]

    async def test_shows_one_application_by_its_name_in_any_case(self, client: httpx.AsyncClient) -> None:
        await register(client)
        body = a_registration("BILLING", "b1", vipAddress="billing")
        await client.post("eureka/apps/BILLING", json=body, auth=BILLING)

        assert [entry["instance"] for entry in await entries(client, app="billing")] == ["b1"]
        assert await entries(client, app="nobody") == []

    @pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=WyJ4Il0", "app=%00"])
    async def test_a_query_that_can_not_be_is_a_problem(self, client: httpx.AsyncClient, query: str) -> None:
        answer = await client.get(f"discovery/audit?{query}", auth=ROOT)

        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"

    def test_the_last_1000_are_remembered(self, clock: FakeClock) -> None:
        audit = Audit(clock.clock)
        for number in range(1_005):
            audit.registered(AN_ASKER, an_instance(key=f"o{number}"))

        numbers = [entry.number for entry in audit.newest_first()]
        assert numbers == list(range(1_005, 5, -1))


class TestLog:
    def test_every_entry_is_a_structured_record_whatever_the_level_of_the_others(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        Audit(clock.clock).registered(AN_ASKER, an_instance())

        [record] = [record for record in caplog.records if record.name == "discovery_server.access.audit"]
        assert record.getMessage() == "audit: registered"
        told = vars(record)
        assert (told["by"], told["address"], told["app"], told["instance"]) == ("ORDERS", "192.0.2.1", "ORDERS", "o1")


class TestFile:
    async def test_is_written_where_a_folder_for_state_was_given(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("STATE_DIR", str(tmp_path / "not" / "there" / "yet"))
        async with _served(credentials=CREDENTIALS, **MORE) as client:
            await client.post("eureka/apps/ORDERS", json=a_registration(key="ö\n1"), auth=ORDERS)
            await client.delete("eureka/apps/ORDERS/%C3%B6%0A1", auth=BILLING)
            shown = await entries(client)

        folder = tmp_path / "not" / "there" / "yet"
        assert [json.loads(line) for line in _lines(folder)] == shown[::-1]
        assert stat.S_IMODE((folder / "audit-8761.jsonl").stat().st_mode) == 0o600

    async def test_after_a_restart_with_a_snapshot_nobody_is_new(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("STATE_DIR", str(tmp_path))
        for _ in range(2):
            async with _served(credentials=CREDENTIALS, **MORE) as client:
                await register(client)
            assert len(_lines(tmp_path)) == 1

    async def test_a_start_goes_on_in_the_file_that_is_there(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("STATE_DIR", str(tmp_path))
        for _ in range(2):
            async with _served(credentials=CREDENTIALS, **MORE) as client:
                await client.delete("eureka/apps/ORDERS/o1", auth=BILLING)

        assert len(_lines(tmp_path)) == 2

    async def test_without_such_a_folder_nothing_is_written(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("STATE_DIR", raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        async with _served(credentials=CREDENTIALS, **MORE) as client:
            await client.delete("eureka/apps/ORDERS/o1", auth=BILLING)

        assert _lines(tmp_path) == []

    def test_is_rotated_by_size_and_no_line_is_lost_or_cut(self, tmp_path: Path) -> None:
        file = AuditFile(tmp_path / "audit.jsonl", largest_bytes=1_000)
        file.start()
        for number in range(60):
            file.write(json.dumps({"number": number, "text": "x" * 40}))
        file.stop()

        paths = sorted(tmp_path.iterdir(), key=lambda path: path.name, reverse=True)  # audit.jsonl.4, .3, ...
        assert len(paths) > 3
        assert max(path.stat().st_size for path in paths) <= 1_000
        lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
        assert [line["number"] for line in lines] == list(range(60))

    def test_a_line_that_can_not_be_written_is_counted_and_said_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("no folder")
        before = _count("discovery_audit_failures_total")

        file = AuditFile(tmp_path / "file" / "audit.jsonl")
        file.start()
        for _ in range(3):
            file.write("{}")
        file.stop()

        assert _count("discovery_audit_failures_total") == before + 3
        [said] = [
            record.getMessage() for record in caplog.records if record.name == "discovery_server.access.audit_file"
        ]
        assert said.startswith("a line of the audit log is not in ")

    def test_a_disk_that_hangs_holds_up_nobody_and_what_does_not_fit_is_counted(self, tmp_path: Path) -> None:
        # given a file that takes nothing until somebody reads it
        os.mkfifo(tmp_path / "audit.jsonl")
        file = AuditFile(tmp_path / "audit.jsonl", most_waiting=10)
        before = _count("discovery_audit_failures_total")
        file.start()

        # when more is written than may wait
        for number in range(50):
            file.write(str(number))
        lost = _count("discovery_audit_failures_total") - before

        # then what was taken is written once it can be, and all others are counted
        with (tmp_path / "audit.jsonl").open() as reader:
            file.stop()
            lines = reader.read().splitlines()
        assert lines == sorted(set(lines), key=int)
        assert len(lines) + lost == 50
        assert len(lines) in (10, 11)


def _lines(folder: Path) -> list[str]:
    return [line for path in sorted(folder.rglob("audit-*.jsonl")) for line in path.read_text().splitlines()]


def _count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def _served(**properties: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server of its own, which has the settings of the environment as well."""
    settings = DiscoverySettings.of({f"discovery-server.{name}": value for name, value in properties.items()})
    async with running(create_app(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client
