"""What is on disk of a registry, and what becomes of it at the next start."""

import asyncio
import json
import logging
import stat
import time as real_time
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from chassis.supervisor import Supervisor
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from support.clock import FakeClock
from support.instances import an_instance
from support.server import running_server

from discovery_server.registry.instance import DataCenter, Status
from discovery_server.registry.preservation import PreservationRules
from discovery_server.registry.registry import Registry
from discovery_server.upkeep import snapshot as snapshot_module
from discovery_server.upkeep.snapshot import Snapshot
from discovery_server.wire.state_codec import write_state


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "registry-8761.json"


def outcomes(outcome: str) -> float:
    return REGISTRY.get_sample_value("discovery_snapshots_total", {"outcome": outcome}) or 0.0


def keys(registry: Registry) -> set[str]:
    return {instance.key for instances in registry.applications().values() for instance in instances}


async def saved(time: FakeClock, path: Path) -> Registry:
    """A registry with something of everything in it, written to the path."""
    registry = Registry(time.clock)
    amazon = DataCenter("com.netflix.appinfo.AmazonInfo", "Amazon", {"instance-id": "i-1", "zone": "é <&"})
    registry.register(an_instance("ORDERS", "o1", metadata={"zone": "z\u2028\n1"}), owner="ORDERS")
    registry.register(an_instance("ORDERS", "o2"), owner="ORDERS")
    registry.register(an_instance("STOCK", "s1", instance_id=None, data_center=amazon))
    registry.register(an_instance("STOCK", "gone"))
    registry.override_status("ORDERS", "o2", Status.OUT_OF_SERVICE)
    registry.cancel("STOCK", "gone")
    await Snapshot(registry, path).save()
    return registry


class TestLoad:
    async def test_d6_everybody_is_known_again_as_they_were(self, time: FakeClock, path: Path) -> None:
        before = await saved(time, path)
        after = Registry(time.clock)

        assert Snapshot(after, path).load() == 3

        assert keys(after) == {"o1", "o2", "i-1"}
        assert not after.arrivals
        assert after.instance("ORDERS", "o1").metadata == {"zone": "z\u2028\n1"}
        assert after.instance("STOCK", "i-1").data_center.metadata["zone"] == "é <&"
        assert {lease.instance.key: lease.owner for lease in after.leases()} == {
            "o1": "ORDERS",
            "o2": "ORDERS",
            "i-1": None,
        }
        for lease in list(after.leases()):
            after.renew(lease.instance.app, lease.instance.key)
        assert after.digests() == before.digests()

    async def test_d4_an_override_holds_on(self, time: FakeClock, path: Path) -> None:
        await saved(time, path)
        after = Registry(time.clock)
        Snapshot(after, path).load()

        after.register(an_instance("ORDERS", "o2", last_dirty_ms=2000))

        assert after.instance("ORDERS", "o2").status is Status.OUT_OF_SERVICE

    async def test_who_renews_goes_on_and_who_is_dead_leaves_one_lease_later(self, time: FakeClock, path: Path) -> None:
        await saved(time, path)
        time.advance(3600)  # nobody could renew in this time
        after = Registry(time.clock)
        Snapshot(after, path).load()

        for _ in range(8):
            time.advance(2)
            after.renew("ORDERS", "o1", dirty_ms=1000)
            after.sweep()

        assert keys(after) == {"o1"}

    async def test_who_left_before_is_not_brought_back_by_an_older_record(self, time: FakeClock, path: Path) -> None:
        other = Registry(time.clock)
        other.register(an_instance("STOCK", "gone"))
        stale = other.states_of(["STOCK"])
        time.advance(1)
        await saved(time, path)
        after = Registry(time.clock)
        Snapshot(after, path).load()

        after.merge(stale)

        assert "gone" not in keys(after)

    async def test_who_has_died_meanwhile_is_not_brought_back_at_a_peer(self, time: FakeClock, path: Path) -> None:
        peer, before = Registry(time.clock), await saved(time, path)
        peer.merge(before.states())
        for _ in range(5):
            time.advance(4)
            peer.renew("ORDERS", "o1")
            peer.sweep()
        assert keys(peer) == {"o1"}
        after = Registry(time.clock)
        Snapshot(after, path).load()

        newer = peer.merge(after.states())
        after.merge(peer.states())

        assert newer == []
        assert keys(peer) == {"o1"}
        assert {state.key: state.silent_seconds for state in after.states() if state.instance} == {"o1": 0.0}
        # An override that only the snapshot knew is told all the same, and what registers anew comes under it.
        peer.register(an_instance("ORDERS", "o2", last_dirty_ms=900))
        assert peer.instance("ORDERS", "o2").status is Status.OUT_OF_SERVICE

    async def test_who_was_preserved_is_known_as_well(self, time: FakeClock, path: Path) -> None:
        registry = Registry(time.clock, preservation=PreservationRules(minimum=2))
        registry.register(an_instance("A", "a"))
        registry.register(an_instance("B", "b"))
        for _ in range(5):
            time.advance(4)
            registry.sweep()
        assert len(registry.kept) == 2
        await Snapshot(registry, path).save()
        after = Registry(time.clock)

        assert Snapshot(after, path).load() == 2

    def test_without_a_file_the_registry_is_empty_and_nothing_is_said(
        self, time: FakeClock, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert Snapshot(Registry(time.clock), path).load() == 0
        assert not caplog.records

    async def test_versions_go_on_though_the_wall_clock_was_set_back(self, time: FakeClock, path: Path) -> None:
        before = await saved(time, path)
        time.wall_jump_ms = -7 * 24 * 3_600_000
        after = Registry(time.clock)
        assert after.version < before.version

        Snapshot(after, path).load()

        assert after.version > before.version

    @pytest.mark.parametrize("jump_days", [-400, -1, 1, 400])
    async def test_a_wall_clock_that_jumped_makes_no_snapshot_too_old(
        self, time: FakeClock, path: Path, jump_days: int
    ) -> None:
        await saved(time, path)
        time.wall_jump_ms = jump_days * 24 * 3_600_000

        assert Snapshot(Registry(time.clock), path).load() == 3

    @pytest.mark.parametrize(("hours", "known"), [(23, 3), (25, 0)])
    async def test_what_is_older_than_a_day_is_not_taken(
        self, time: FakeClock, path: Path, hours: int, known: int
    ) -> None:
        before = await saved(time, path)
        time.advance(hours * 3600)
        after = Registry(time.clock)

        assert Snapshot(after, path).load() == known
        assert after.version > before.version

    @pytest.mark.parametrize(("jump_hours", "known"), [(23, 3), (25, 0), (-48, 3)])
    async def test_after_the_machine_started_anew_the_wall_clock_counts(
        self, time: FakeClock, path: Path, jump_hours: int, known: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await saved(time, path)
        monkeypatch.setattr(snapshot_module, "_boot", lambda: "another")
        after = FakeClock()
        after.wall_jump_ms = jump_hours * 3_600_000

        assert Snapshot(Registry(after.clock), path).load() == known


def sealed(content: bytes) -> bytes:
    """With the checksum that a snapshot would have."""
    return content + b'\n"sha256": "%b"}\n' % sha256(content).hexdigest().encode()


def head(**fields: object) -> bytes:
    usual = {"format": "flotilla-discovery-registry/1", "saved_ms": 1, "saved_seconds": 1, "boot": "", "version": 1}
    return b'{"head": %b,' % json.dumps(usual | fields).encode()


class TestAFileThatIsNone:
    @pytest.mark.parametrize(
        ("content", "why"),
        [
            pytest.param(b"", "torn, or no snapshot", id="empty"),
            pytest.param(b"\0" * 4096, "torn, or no snapshot", id="zeros, as after a power cut"),
            pytest.param(b'{"services": []}', "torn, or no snapshot", id="another program's"),
            pytest.param(b'{"head": {},\n"sha256": "x"}', "was changed", id="another checksum"),
            pytest.param(sealed(b'{"head": 1'), "can't be read: JSON", id="no JSON"),
            pytest.param(sealed(b"[],"), "can't be read: JSON", id="more than one document"),
            pytest.param(sealed(b'{"head": {},'), "can't be read: KeyError", id="an empty head"),
            pytest.param(sealed(b'{"head": [],'), "can't be read: TypeError", id="another head"),
            pytest.param(sealed(head(format="flotilla-discovery-registry/2")), "not ours", id="a newer format"),
            pytest.param(sealed(head(saved_ms=float("inf"))), "can't be read: OverflowError", id="no time"),
            pytest.param(sealed(head()), "can't be read: KeyError: 'states'", id="no states"),
            pytest.param(sealed(b'{"head": "' + b"\xff" * 9 + b'",'), "can't be read: Unicode", id="no UTF-8"),
            pytest.param(sealed(b'{"head": ' + b"[" * 100_000), "can't be read: RecursionError", id="deeply nested"),
        ],
    )
    def test_it_is_told_of_kept_aside_and_the_server_starts_without_it(
        self, time: FakeClock, path: Path, content: bytes, why: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        registry, before = Registry(time.clock), outcomes("unreadable")

        assert Snapshot(registry, path).load() == 0

        assert keys(registry) == set()
        assert why in caplog.text
        assert not path.exists()
        assert path.with_name("registry-8761.json.unreadable").read_bytes() == content
        assert outcomes("unreadable") == before + 1

    def test_whatever_is_torn_off_or_changed_is_noticed(self, time: FakeClock, path: Path) -> None:
        asyncio.run(saved(time, path))
        whole = path.read_bytes()
        registry = Registry(time.clock)

        @given(st.integers(0, len(whole) - 2), st.one_of(st.none(), st.binary(min_size=1, max_size=3)))
        @settings(max_examples=300, deadline=None)
        def check(at: int, instead: bytes | None) -> None:
            changed = whole[:at] if instead is None else whole[:at] + instead + whole[at + len(instead) :]
            path.write_bytes(changed)
            known = Snapshot(registry, path).load()
            assert known == (3 if changed == whole else 0)

        check()

    def test_a_folder_in_its_place_is_told_of(
        self, time: FakeClock, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path.mkdir(parents=True)

        assert Snapshot(Registry(time.clock), path).load() == 0
        assert "the snapshot can't be read" in caplog.text

    async def test_one_state_that_is_not_taken_spoils_no_other(
        self, time: FakeClock, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "discovery_server.upkeep.snapshot.write_state",
            lambda state: {} if state.key == "o1" else write_state(state),
        )
        await saved(time, path)
        after = Registry(time.clock)

        Snapshot(after, path).load()

        assert keys(after) == {"o2", "i-1"}
        assert "has something in it that is not taken" in caplog.text


class TestSave:
    def test_only_the_owner_may_read_it_whatever_was_there(self, time: FakeClock, path: Path) -> None:
        path.parent.mkdir()
        path.with_name("registry-8761.json.new").touch(0o666)
        asyncio.run(saved(time, path))

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in path.parent.iterdir()] == ["registry-8761.json"]

    def test_it_is_plain_json(self, time: FakeClock, path: Path) -> None:
        asyncio.run(saved(time, path))

        document = json.loads(path.read_bytes())

        assert document["head"]["format"] == "flotilla-discovery-registry/1"
        assert {state["key"] for state in document["states"]} == {"o1", "o2", "i-1", "gone"}

    async def test_a_disk_that_does_not_take_it_is_told_of_once_and_tried_again(
        self, time: FakeClock, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path.parent.write_text("a file where the folder should be")
        registry = Registry(time.clock)
        registry.register(an_instance())
        snapshot, failed = Snapshot(registry, path), outcomes("failed")

        await snapshot.save()
        await snapshot.save()
        assert caplog.text.count("the snapshot can't be written") == 1
        assert outcomes("failed") == failed + 2

        path.parent.unlink()
        await snapshot.save()
        assert Snapshot(Registry(time.clock), path).load() == 1

    async def test_a_save_that_is_cancelled_and_the_next_one_do_not_mix(
        self, time: FakeClock, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry = Registry(time.clock)
        registry.register(an_instance("A", "a"))
        snapshot, write, running, most = Snapshot(registry, path), snapshot_module._write, 0, 0

        def write_slowly(*arguments: object) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            real_time.sleep(0.1)
            write(*arguments)  # type: ignore[arg-type]  # as they came
            running -= 1

        monkeypatch.setattr(snapshot_module, "_write", write_slowly)
        first = asyncio.create_task(snapshot.save())
        await until(lambda: running)
        first.cancel()
        registry.register(an_instance("B", "b"))
        await snapshot.save()

        assert most == 1
        assert Snapshot(Registry(time.clock), path).load() == 2


class TestRun:
    async def test_changes_are_on_disk_soon_and_it_is_written_once_a_second_at_most(
        self, time: FakeClock, path: Path
    ) -> None:
        registry = Registry(time.clock)
        snapshot, supervisor, written = Snapshot(registry, path), Supervisor(), outcomes("written")
        supervisor.start("snapshot", snapshot.run)
        began = real_time.monotonic()

        def holds(key: str) -> bool:
            return path.exists() and key in path.read_text()

        try:
            registry.register(an_instance("A", "first"))
            await until(lambda: holds("first"))
            for number in range(40):
                registry.register(an_instance("A", f"next-{number}"))
                await asyncio.sleep(0.005)
            await until(lambda: holds("next-39"))
        finally:
            await supervisor.stop()

        assert outcomes("written") - written <= 1 + (real_time.monotonic() - began) / 1.0

    async def test_renewals_write_nothing(self, time: FakeClock, path: Path) -> None:
        registry = Registry(time.clock)
        registry.register(an_instance())
        snapshot = Snapshot(registry, path)
        await snapshot.save()

        registry.renew("ORDERS", "o1")

        assert not snapshot._changed.is_set()

    async def test_one_that_never_changes_is_written_now_and_then_so_that_it_does_not_grow_too_old(
        self, time: FakeClock, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(snapshot_module, "_LONGEST_PAUSE_SECONDS", 0.05)
        supervisor = Supervisor()
        supervisor.start("snapshot", Snapshot(Registry(time.clock), path).run)

        await until(path.exists)
        await supervisor.stop()


class TestTheServer:
    async def test_d6_a_server_that_stopped_knows_everybody_at_its_next_start(self, tmp_path: Path) -> None:
        with free_socket() as first:
            port = first.getsockname()[1]
            async with running_server(state_dir=tmp_path, listener=first.dup()) as server:
                server.registry.register(an_instance())
            assert (tmp_path / f"registry-{port}.json").exists()

            async with (
                running_server(state_dir=tmp_path, listener=first.dup()) as server,
                httpx.AsyncClient() as client,
            ):
                assert "<instanceId>o1</instanceId>" in (await client.get(f"{server.eureka}apps/")).text

    async def test_a_first_start_answers_at_once_with_an_empty_list(self, tmp_path: Path) -> None:
        async with running_server(state_dir=tmp_path) as server, httpx.AsyncClient() as client:
            answer = await client.get(f"{server.eureka}apps/", headers={"Accept": "application/json"})

        assert answer.status_code == 200
        assert answer.json()["applications"]["application"] == []

    async def test_without_a_folder_that_was_given_nothing_is_kept(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        written = outcomes("written")
        async with running_server() as server:
            server.registry.register(an_instance())

        assert outcomes("written") == written

    async def test_a_broken_file_keeps_it_from_nothing(self, tmp_path: Path) -> None:
        with free_socket() as listener:
            file = tmp_path / f"registry-{listener.getsockname()[1]}.json"
            file.write_bytes(b"\0" * 100)
            async with running_server(state_dir=tmp_path, listener=listener.dup()) as s, httpx.AsyncClient() as client:
                assert (await client.get(f"{s.eureka}apps/")).status_code == 200
        assert file.with_name(f"{file.name}.unreadable").exists()

    async def test_who_is_known_from_the_snapshot_need_not_register_again(self, tmp_path: Path) -> None:
        with free_socket() as listener:
            async with running_server(state_dir=tmp_path, listener=listener.dup()) as server:
                server.registry.register(an_instance())
            async with running_server(state_dir=tmp_path, listener=listener.dup()) as s, httpx.AsyncClient() as client:
                renewed = await client.put(f"{s.eureka}apps/ORDERS/o1?lastDirtyTimestamp=1000")

        assert renewed.status_code == 200
