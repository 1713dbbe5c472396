"""Until when a server that was started says nothing of whom it knows."""

from pathlib import Path

import httpx
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from support.clock import FakeClock
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.upkeep.warm_up import WarmUp


def nobody_there() -> str:
    """The address of a peer that is not running."""
    with free_socket() as listener:
        return "http://127.0.0.1:{}/eureka".format(*listener.getsockname()[1:])


def ids(answer: httpx.Response) -> set[str]:
    apps = answer.json()["applications"]["application"]
    return {instance["instanceId"] for app in apps for instance in app["instance"]}


async def first_list(client: httpx.AsyncClient, server: RunningServer) -> set[str]:
    """What the first reader gets that gets an answer."""

    async def answer() -> httpx.Response | None:
        got = await client.get(f"{server.eureka}apps", headers={"Accept": "application/json"})
        assert got.status_code in (200, 503)
        return got if got.status_code == 200 else None

    return ids(await until(answer))


class TestMayRead:
    def test_a_server_without_peers_answers_at_once(self) -> None:
        assert WarmUp(FakeClock().clock, has_peers=False, limit_seconds=30).may_read() is None

    def test_one_with_peers_waits_but_not_for_ever(self) -> None:
        time = FakeClock()
        warm_up = WarmUp(time.clock, has_peers=True, limit_seconds=30)
        assert warm_up.may_read() == "nothing is known yet: no peer has answered, for 30 s at most"

        time.advance(29)
        time.wall_jump_ms = 3_600_000
        assert warm_up.may_read() is not None
        time.advance(1.1)
        assert warm_up.may_read() is None

    def test_it_never_closes_again(self) -> None:
        warm_up = WarmUp(FakeClock().clock, has_peers=True, limit_seconds=30)

        warm_up.finish()

        assert warm_up.may_read() is None


class TestTheServer:
    async def test_d6_while_no_peer_was_heard_reads_are_refused_and_registrations_taken(self) -> None:
        async with running_server(peers=nobody_there()) as server, httpx.AsyncClient(base_url=server.eureka) as client:
            assert (await client.post("apps/ORDERS", json=a_registration())).status_code == 204
            assert (await client.put("apps/ORDERS/o1")).status_code == 200
            for path in (
                "apps",
                "apps/delta",
                "apps/ORDERS",
                "apps/ORDERS/o1",
                "instances/o1",
                "vips/orders",
                "stream",
            ):
                refused = await client.get(path)
                assert (refused.status_code, refused.content) == (503, b""), path
                assert refused.headers["retry-after"] == "1"
                assert "no peer has answered" in refused.headers["x-discovery-error"]
            ready = await client.get(f"{server.url}/actuator/health/readiness")
            alive = await client.get(f"{server.url}/actuator/health/liveness")

        assert (ready.status_code, alive.status_code) == (503, 200)
        assert "no peer has answered" in ready.text

    async def test_d6_after_a_while_it_serves_what_it_has(self) -> None:
        async with (
            running_server(peers=nobody_there(), warm_up_seconds=0.2) as server,
            httpx.AsyncClient() as client,
        ):
            server.registry.register(an_instance())
            assert await first_list(client, server) == {"o1"}
            assert (await client.get(f"{server.url}/actuator/health/readiness")).status_code == 200

    async def test_d6_the_first_answer_has_everybody_that_a_peer_knows(self) -> None:
        async with running_server() as old, httpx.AsyncClient() as client:
            for number in range(300):
                old.registry.register(an_instance("ORDERS", f"o{number}"))
            async with running_server(peers=old.eureka, warm_up_seconds=60) as new:
                assert len(await first_list(client, new)) == 300

    async def test_d6_with_a_snapshot_it_needs_no_peer(self, tmp_path: Path) -> None:
        with free_socket() as listener:
            async with running_server(state_dir=tmp_path, listener=listener.dup()) as server:
                server.registry.register(an_instance())
            async with (
                running_server(state_dir=tmp_path, listener=listener.dup(), peers=nobody_there()) as server,
                httpx.AsyncClient() as client,
            ):
                answer = await client.get(f"{server.eureka}apps", headers={"Accept": "application/json"})

        assert ids(answer) == {"o1"}

    async def test_an_empty_snapshot_is_no_knowledge(self, tmp_path: Path) -> None:
        with free_socket() as listener:
            async with running_server(state_dir=tmp_path, listener=listener.dup()) as server:
                server.registry.register(an_instance())
                server.registry.cancel("ORDERS", "o1")
            async with (
                running_server(state_dir=tmp_path, listener=listener.dup(), peers=nobody_there()) as server,
                httpx.AsyncClient() as client,
            ):
                assert (await client.get(f"{server.eureka}apps")).status_code == 503

    async def test_servers_that_all_start_for_the_first_time_do_not_wait_for_each_other_for_long(self) -> None:
        with free_socket() as one, free_socket() as other:
            urls = ["http://127.0.0.1:{}/eureka".format(*listener.getsockname()[1:]) for listener in (one, other)]
            async with (
                running_server(listener=one.dup(), peers=",".join(urls), warm_up_seconds=60) as first,
                running_server(listener=other.dup(), peers=",".join(urls), warm_up_seconds=60) as second,
                httpx.AsyncClient() as client,
            ):
                for server in (first, second):
                    assert await first_list(client, server) == set()
