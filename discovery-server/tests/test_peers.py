"""Several servers that tell each other what they know, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import pytest
from chassis.settings import SettingsInvalid
from chassis.testing.server import free_socket, running
from chassis.testing.waiting import until
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.peers.address import PeerAddress
from discovery_server.peers.peers import Peers
from discovery_server.registry.instance import Status
from discovery_server.registry.registry import Registry
from discovery_server.settings import DiscoverySettings

INTERVAL_SECONDS = 0.5


@asynccontextmanager
async def servers(number: int = 2, **properties: Any) -> AsyncIterator[list[RunningServer]]:
    """A full mesh of servers that have met; each has itself among its peers, as with one setting for all."""
    listeners = [free_socket() for _ in range(number)]
    urls = ",".join(f"http://127.0.0.1:{listener.getsockname()[1]}/eureka" for listener in listeners)
    async with AsyncExitStack() as stack:
        mesh = [
            await stack.enter_async_context(
                running_server(
                    listener=listener,
                    **{"peers": urls, "peer_interval_seconds": INTERVAL_SECONDS, "warm_up_seconds": 0, **properties},
                )
            )
            for listener in listeners
        ]
        for server in mesh:
            await until(partial(has_met, server, number - 1))
        yield mesh


async def has_met(server: RunningServer, others: int) -> bool:
    peers = await views(server)
    return len(peers) == others and all(peer["reachable"] and peer["digests_agree"] for peer in peers)


async def views(server: RunningServer, auth: tuple[str, str] | None = None) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(auth=auth) as client:
        answer = await client.get(f"{server.url}/discovery/peers")
    peers: list[dict[str, Any]] = answer.json()["peers"]
    return peers


def knows(server: RunningServer, key: str = "o1") -> bool:
    return any(instance.key == key for instance in server.registry.application("ORDERS"))


def does_not_know(server: RunningServer) -> bool:
    return not knows(server)


def is_out_of_service(server: RunningServer) -> bool:
    return server.registry.instance("ORDERS", "o1").status is Status.OUT_OF_SERVICE


class FakePeer:
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self, answer: Callable[[str], Response]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.authorizations: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        request = Request(scope, receive)
        body = await request.body()
        path = scope["path"].removeprefix("/eureka/")
        self.asked.append((path, json.loads(body) if body else {}))
        self.authorizations.append(request.headers.get("authorization"))
        await self.answer(path)(scope, receive, send)

    def states_heard(self) -> list[dict[str, Any]]:
        return [state for _, body in self.asked for state in body.get("states", [])]


def one_of_ours(path: str) -> Response:
    return JSONResponse({"server": "fake", "states": [], "differ": [], "next": None, "unknown": [], "refused": []})


@asynccontextmanager
async def server_and_fake(answer: Callable[[str], Response], **properties: Any) -> AsyncIterator[Any]:
    fake = FakePeer(answer)
    async with (
        running(fake) as url,
        running_server(
            **{
                "peers": f"{url}/eureka",
                "peer_interval_seconds": INTERVAL_SECONDS,
                "warm_up_seconds": 0,
                **properties,
            }
        ) as server,
    ):
        yield server, fake


class TestTelling:
    async def test_what_a_client_does_at_one_server_all_others_know_at_once(self) -> None:
        async with servers(3, peer_interval_seconds=60) as mesh, httpx.AsyncClient() as client:
            first, *others = mesh

            await client.post(f"{first.eureka}apps/ORDERS", json=a_registration())
            for other in others:
                await until(partial(knows, other), timeout_seconds=1)

            await client.put(f"{first.eureka}apps/ORDERS/o1/status", params={"value": "OUT_OF_SERVICE"})
            for other in others:
                await until(partial(is_out_of_service, other), timeout_seconds=1)

            await client.delete(f"{first.eureka}apps/ORDERS/o1")
            for other in others:
                await until(partial(does_not_know, other), timeout_seconds=1)

    async def test_what_a_peer_told_is_not_told_to_the_others(self) -> None:
        async with server_and_fake(one_of_ours, peer_interval_seconds=60) as (server, fake):
            await until(lambda: fake.asked)
            batch = {"appName": "ORDERS", "id": "heard", "action": "Register"}
            batch["instanceInfo"] = a_registration(key="heard")["instance"]
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{server.eureka}peerreplication/batch/", json={"replicationList": [batch]})
                await client.post(f"{server.eureka}apps/ORDERS", json=a_registration(key="own"))

            assert answer.json() == {"responseList": [{"statusCode": 200}]}
            await until(fake.states_heard)
            assert [state["key"] for state in fake.states_heard()] == ["own"]

    async def test_a_renewal_heard_at_one_server_prolongs_the_lease_at_all(self) -> None:
        async with servers() as (first, second):
            first.registry.register(an_instance())
            await until(lambda: knows(second))
            await until(lambda: second.registry.silent_seconds("ORDERS", "o1") > 0.4)

            first.registry.renew("ORDERS", "o1")

            await until(lambda: second.registry.silent_seconds("ORDERS", "o1") < 0.4, timeout_seconds=2)

    async def test_a_renewal_of_what_the_peer_does_not_know_brings_the_state(self) -> None:
        async with servers(peer_interval_seconds=60) as (first, second):
            first.registry.register(an_instance())
            await until(lambda: knows(second))
            second.registry.evict("ORDERS", "o1", "for the test")

            first.registry.renew("ORDERS", "o1")

            await until(lambda: knows(second), timeout_seconds=5)

    async def test_the_last_change_before_a_server_ends_is_told(self) -> None:
        async with servers(peer_interval_seconds=60) as (first, second):
            first.registry.register(an_instance())
            await until(lambda: knows(second))

            async with running_server(peers=second.eureka, peer_interval_seconds=60) as third:
                await until(lambda: knows(third))
                third.registry.cancel("ORDERS", "o1")

            assert not knows(second)

    async def test_of_many_changes_of_one_instance_the_newest_is_told_once(self) -> None:
        async with server_and_fake(one_of_ours, peer_interval_seconds=60) as (server, fake):
            await until(lambda: fake.asked)
            for number in range(50):
                server.registry.register(an_instance(metadata={"turn": str(number)}, last_dirty_ms=number))

            await until(fake.states_heard)

            told = fake.states_heard()
            assert told[-1]["instance"]["metadata"] == {"turn": "49"}
            assert len(told) < 3

    async def test_a_batch_has_250_states_at_most(self) -> None:
        async with server_and_fake(one_of_ours, peer_interval_seconds=60) as (server, fake):
            await until(lambda: fake.asked)
            for number in range(600):
                server.registry.register(an_instance(key=f"o{number}"))

            await until(lambda: len(fake.states_heard()) >= 600)

            assert max(len(body.get("states", [])) for _, body in fake.asked) == 250

    async def test_an_override_made_at_one_server_holds_where_the_client_registers_anew_d4(self) -> None:
        async with servers(peer_interval_seconds=60) as (first, second), httpx.AsyncClient() as client:
            await client.post(f"{first.eureka}apps/ORDERS", json=a_registration(lastDirtyTimestamp=1000))
            await client.put(f"{first.eureka}apps/ORDERS/o1/status", params={"value": "OUT_OF_SERVICE"})
            await until(lambda: knows(second) and is_out_of_service(second))

            await client.post(f"{second.eureka}apps/ORDERS", json=a_registration(lastDirtyTimestamp=2000))
            await until(lambda: first.registry.instance("ORDERS", "o1").dirty_ms == 2000)

            assert is_out_of_service(first)
            assert is_out_of_service(second)


class TestComparing:
    async def test_servers_that_start_with_different_instances_know_all_of_them_after_one_interval_d5(self) -> None:
        async with servers() as (first, second):
            # Not as local changes: nobody is told of them.
            first.registry.merge(states_of(*(an_instance(key=f"a{number}") for number in range(300))))
            second.registry.merge(states_of(*(an_instance(key=f"b{number}") for number in range(300))))
            assert first.registry.digests() != second.registry.digests()

            await until(
                lambda: first.registry.digests() == second.registry.digests(), timeout_seconds=INTERVAL_SECONDS + 1
            )

            assert len(first.registry.application("ORDERS")) == 600

    async def test_more_than_fits_into_one_page_is_compared_page_by_page(self) -> None:
        async with servers() as (first, second):
            metadata = {f"key-{number}": "x" * 1000 for number in range(20)}
            instances = [an_instance(key=f"o{number}", metadata=metadata) for number in range(100)]
            first.registry.merge(states_of(*instances))
            assert len(instances) * 20_000 > 1_048_576, "it is more than a server reads at once"

            await until(lambda: len(second.registry.application("ORDERS")) == 100)

    async def test_a_server_that_nobody_asked_hears_of_a_removed_override_as_well(self) -> None:
        async with servers() as (first, second):
            first.registry.register(an_instance())
            await until(lambda: knows(second))
            second.registry.override_status("ORDERS", "o1", Status.OUT_OF_SERVICE)
            await until(partial(is_out_of_service, first))

            first.registry.remove_override("ORDERS", "o1", Status.UP)

            await until(lambda: second.registry.instance("ORDERS", "o1").status is Status.UP)

    async def test_pages_that_do_not_end_are_not_followed_for_ever(self) -> None:
        def endless(path: str) -> Response:
            return JSONResponse({"server": "fake", "states": [], "differ": [], "next": ["A", "a"]})

        async with server_and_fake(endless) as (server, fake):
            await until(lambda: fake.asked)

            (view,) = await until(lambda: unreachable(server))

            assert view["problem"] == "its pages do not end"


class TestItself:
    async def test_a_server_recognises_itself_among_its_peers(self) -> None:
        async with servers(1) as (alone,):
            await until(lambda: alone.registry.server_id)

            async def is_left_out() -> bool:
                return await views(alone) == []

            await until(is_left_out)

    async def test_one_that_has_no_other_peer_waits_for_nobody(self) -> None:
        await asyncio.wait_for(Peers(Registry(), [], interval_seconds=1).first_sync(), 1)


class TestCredentials:
    CREDENTIALS = {"orders": "of-orders"}  # noqa: RUF012 - a setting, never changed

    async def test_servers_know_each_other_by_their_own_password(self) -> None:
        listener, other_listener = free_socket(), free_socket()
        url, other_url = (f"http://127.0.0.1:{one.getsockname()[1]}/eureka" for one in (listener, other_listener))
        common: dict[str, Any] = {
            "credentials": self.CREDENTIALS,
            "peer_interval_seconds": INTERVAL_SECONDS,
            "warm_up_seconds": 0,
        }
        async with (
            running_server(listener=listener, service_password="of-servers", peers=other_url, **common) as first,
            running_server(listener=other_listener, service_password="of-servers", peers=url, **common) as second,
        ):
            first.registry.register(an_instance())
            await until(lambda: knows(second))

            async def is_reached() -> bool:
                (view,) = await views(first, ("orders", "of-orders"))
                return bool(view["url"] == f"{other_url}/" and view["reachable"] and view["digests_agree"])

            await until(is_reached)

    async def test_a_url_may_have_a_credential_of_its_own_which_is_shown_nowhere(self) -> None:
        fake = FakePeer(one_of_ours)
        async with running(fake) as url:
            peer = f"{url}/eureka".replace("http://", "http://somebody:se%20cret@")
            async with running_server(peers=peer, warm_up_seconds=0) as server:
                await until(lambda: fake.asked)

                (view,) = await views(server)

                assert set(fake.authorizations) == {httpx.BasicAuth("somebody", "se cret")._auth_header}
                assert "se" not in view["url"].partition("@")[0].removeprefix("http://127")

    @pytest.mark.parametrize("path", ["batch/", "digests", "states"])
    async def test_only_servers_may_use_what_servers_use(self, path: str) -> None:
        async with running_server(credentials=self.CREDENTIALS, service_password="of-servers") as server:
            async with httpx.AsyncClient() as client:
                url = f"{server.eureka}peerreplication/{path}"
                body: dict[str, Any] = {"replicationList": [], "digests": {}, "states": []}
                statuses = [
                    (await client.post(url, json=body, auth=httpx.BasicAuth(*who))).status_code
                    for who in (("orders", "wrong"), ("orders", "of-orders"), ("discovery-server", "of-servers"))
                ]

            assert statuses == [401, 403, 200]


class TestBeingAway:
    async def test_a_peer_that_is_not_there_is_asked_again_with_pauses_and_told_when_it_is_back(self) -> None:
        listener = free_socket()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/eureka"
        async with running_server(peers=url, peer_interval_seconds=INTERVAL_SECONDS, warm_up_seconds=0) as first:
            first.registry.register(an_instance())
            (view,) = await until(lambda: unreachable(first))
            assert view["pending"] == 1

            async with running_server(listener=listener) as second:
                await until(lambda: knows(second))

                async def is_told() -> bool:
                    (view,) = await views(first)
                    return bool(view["reachable"] and view["pending"] == 0)

                await until(is_told)

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (Response(status_code=503), "it is too busy (503)"),
            (Response(status_code=401), "it does not take our credential (401)"),
            (Response(status_code=500), "it answered 500"),
            (RedirectResponse("http://127.0.0.1:1/elsewhere"), "it answered 307"),
            (Response("<html>"), "its answer is no JSON"),
            (Response("[" * 100_000), "its answer is no JSON"),
            (Response("[]"), "its answer is no object of JSON"),
            (JSONResponse({}), "its answer names no server"),
            (JSONResponse({"server": "fake", "states": 7}), "states in its answer is no list"),
            (Response(b" " * (4 * 1024 * 1024 + 1)), "its answer is over 4194304 bytes"),
        ],
        ids=lambda value: value if isinstance(value, str) else type(value).__name__,
    )
    async def test_an_answer_that_is_none_is_told_of_and_changes_nothing(self, answer: Response, problem: str) -> None:
        async with server_and_fake(lambda path: answer) as (server, fake):
            server.registry.register(an_instance())
            await until(lambda: fake.asked)

            (view,) = await until(lambda: unreachable(server))

            assert view["problem"] == problem
            assert knows(server)

    async def test_a_peer_that_is_away_is_asked_less_and_less_often(self) -> None:
        async with server_and_fake(lambda path: Response(status_code=503), peer_interval_seconds=1) as (_, fake):
            await until(lambda: len(fake.asked) >= 3)
            times: list[float] = []
            while len(times) < 4:
                number = len(fake.asked)
                await until(lambda: len(fake.asked) > number)  # noqa: B023 - it is called before the loop goes on
                times.append(asyncio.get_running_loop().time())

            assert all(later - earlier > 0.2 for earlier, later in pairwise(times))

    async def test_what_a_peer_missed_never_outgrows_the_registry(self) -> None:
        async with server_and_fake(lambda path: Response(status_code=503)) as (server, _):
            for number in range(500):
                server.registry.register(an_instance(key=f"o{number}"))
                server.registry.evict("ORDERS", f"o{number}", "for the test")
            server.registry.register(an_instance())

            async def is_small() -> bool:
                (view,) = await views(server)
                return bool(view["pending"] == 1)

            await until(is_small)


class TestPeerAddress:
    @pytest.mark.parametrize(
        ("text", "url", "credential"),
        [
            ("http://b:8761/eureka", "http://b:8761/eureka/", None),
            ("http://b:8761/eureka/", "http://b:8761/eureka/", None),
            ("http://b:8761", "http://b:8761/eureka/", None),
            ("https://B.test/other", "https://b.test/other/", None),
            ("http://[::1]:8761/eureka", "http://[::1]:8761/eureka/", None),
            ("http://user:p%40ss@b:8761/eureka", "http://b:8761/eureka/", ("user", "p@ss")),
        ],
    )
    def test_an_address_is_a_base_url_and_a_credential(
        self, text: str, url: str, credential: tuple[str, str] | None
    ) -> None:
        address = PeerAddress.read(text)

        assert (address.url, address.credential) == (url, credential)

    def test_ours_is_used_where_it_has_none(self) -> None:
        assert PeerAddress.read("http://b", usual=("me", "pw")).credential == ("me", "pw")
        assert PeerAddress.read("http://you:x@b", usual=("me", "pw")).credential == ("you", "x")

    @pytest.mark.parametrize(
        "text",
        [
            "b:8761",
            "//b",
            "ftp://b/eureka",
            "http://",
            "http:///eureka",
            "http://b:port/eureka",
            "http://b:99999/eureka",
            "http://b/eureka?a=b",
            "http://b/eureka#a",
            "http://b c/eureka",
            "http://user:secret@/eureka",
        ],
    )
    def test_what_is_none_is_refused_with_a_sentence_without_the_password(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no address of a peer; one looks like http://") as raised:
            PeerAddress.read(text)

        assert "secret" not in str(raised.value)


def states_of(*instances: Any) -> list[Any]:
    """States as another server would tell them."""
    other = Registry()
    for instance in instances:
        other.register(instance)
    return list(other.states())


async def unreachable(server: RunningServer) -> list[dict[str, Any]] | None:
    """The views of its peers, once the first has been asked and found away."""
    peers = await views(server)
    return peers if peers and not peers[0]["reachable"] and peers[0]["problem"] != "not met yet" else None


class TestSettings:
    def of(self, peers: str, **common: str) -> DiscoverySettings:
        return DiscoverySettings.of({"discovery-server.peers": peers, "discovery-server.anonymous": "true", **common})

    def test_peers_are_a_comma_list_and_get_the_servers_own_credential(self) -> None:
        settings = self.of("http://a:8761/eureka, http://me:pw@b/eureka,", **{"service-password": "own"})

        assert [(address.name, address.credential) for address in settings.peer_addresses] == [
            ("a:8761", ("discovery-server", "own")),
            ("b", ("me", "pw")),
        ]
        assert ("DISCOVERY_SERVER_PEERS, of b", "pw") in settings.secrets()
        assert "pw@" not in repr(settings)

    @pytest.mark.parametrize(
        ("peers", "sentence"),
        [
            ("http://a, b:8761", "DISCOVERY_SERVER_PEERS: 'b:8761' is no address of a peer; one looks like http://"),
            ("http://x:secret@", "DISCOVERY_SERVER_PEERS: '...@' is no address of a peer"),
            ("x:secret@b", "DISCOVERY_SERVER_PEERS: '...@b' is no address of a peer"),
            ("http://a/eureka,http://A/eureka/", "DISCOVERY_SERVER_PEERS names a more than once"),
        ],
    )
    def test_an_address_that_can_not_be_keeps_it_from_starting_with_one_sentence(
        self, peers: str, sentence: str
    ) -> None:
        with pytest.raises(SettingsInvalid, match=sentence) as raised:
            self.of(peers)

        assert "secret" not in str(raised.value)


class TestPeersRoute:
    async def test_shows_how_it_stands_with_each_peer(self) -> None:
        async with servers() as (first, second), httpx.AsyncClient() as client:
            answer = (await client.get(f"{first.url}/discovery/peers")).json()

            (peer,) = answer["peers"]
            assert answer["server_id"] == first.registry.server_id
            assert peer.pop("last_contact_seconds") < 60
            assert peer.pop("round_trip_seconds") > 0
            assert peer == {
                "url": f"{second.eureka}",
                "kind": "discovery-server",
                "server_id": second.registry.server_id,
                "reachable": True,
                "problem": None,
                "pending": 0,
                "lag_seconds": 0.0,
                "digests_agree": True,
            }

    async def test_is_a_problem_document_for_who_may_not_read(self) -> None:
        async with running_server(credentials={"orders": "of-orders"}) as server, httpx.AsyncClient() as client:
            answer = await client.get(f"{server.url}/discovery/peers")

        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_metrics_say_the_same(self) -> None:
        async with servers() as (first, second), httpx.AsyncClient() as client:
            text = (await client.get(f"{first.url}/actuator/prometheus")).text

            name = second.url.removeprefix("http://")
            assert f'discovery_peer_up{{peer="{name}"}} 1.0' in text
            assert f'discovery_peer_agrees{{peer="{name}"}} 1.0' in text
            assert f'discovery_peer_pending{{peer="{name}"}} 0.0' in text
            assert f'discovery_peer_lag_seconds{{peer="{name}"}} 0.0' in text


async def test_a_server_that_starts_again_asks_a_peer_before_anybody_reads_d6() -> None:
    async with servers(peer_interval_seconds=60) as (first, _):
        for number in range(500):
            first.registry.register(an_instance(key=f"o{number}"))
        async with (
            running_server(peers=first.eureka, peer_interval_seconds=60) as anew,
            httpx.AsyncClient() as client,
        ):

            async def is_read() -> httpx.Response | None:
                answer = await client.get(f"{anew.eureka}apps/ORDERS", headers={"Accept": "application/json"})
                assert answer.status_code in (200, 503)
                return answer if answer.is_success else None

            first_answer = await until(is_read)

            assert len(first_answer.json()["application"]["instance"]) == 500
