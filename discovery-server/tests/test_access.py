"""Who may do what."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from chassis.refresh_calls import HEADER, sign_refresh
from chassis.testing.server import running
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

from discovery_server.access.access import Access
from discovery_server.access.credentials import Credentials
from discovery_server.app import create_app
from discovery_server.errors import CredentialNeeded
from discovery_server.registry.instance import Status
from discovery_server.settings import DiscoverySettings

CREDENTIALS = {"orders": "its-password", "billing": "billing's pässword:with colon", "discovery-server": "of-peers"}
ORDERS = httpx.BasicAuth("orders", "its-password")
BILLING = httpx.BasicAuth("billing", "billing's pässword:with colon")
PEER = httpx.BasicAuth("discovery-server", "of-peers")
ADMIN = httpx.BasicAuth("root", "of-root")
TOKEN = {"Authorization": "Bearer for-prometheus"}
TOKEN_AS_PASSWORD = httpx.BasicAuth("whoever", "for-prometheus")

READS = ["eureka/apps", "eureka/apps/delta", "eureka/apps/ORDERS", "eureka/apps/ORDERS/o1", "eureka/instances/o1"]
READS += ["eureka/vips/orders", "eureka/svips/orders", ""]
REGISTERING = [
    ("POST", "eureka/apps/ORDERS"),
    ("PUT", "eureka/apps/ORDERS/o1"),
    ("PUT", "eureka/apps/ORDERS/o1/metadata?a=b"),
]
OPERATING = [
    ("PUT", "eureka/apps/ORDERS/o1/status?value=DOWN"),
    ("DELETE", "eureka/apps/ORDERS/o1/status"),
    ("DELETE", "eureka/apps/ORDERS/o1"),
]
CHANGES = REGISTERING + OPERATING
WAYS_AROUND = ["apps/%4FRDERS/o1", "apps/%6frders/o1", "v2/apps/ORDERS/o1", "v2/apps/%4f%52ders/%6f1"]
WAYS_AROUND += ["apps/ORDERS/o1/", "BILLING/apps/ORDERS/o1", "apps/apps/ORDERS/o1", "apps/BILLING/../ORDERS/o1"]
WAYS_AROUND += ["apps/BILLING%2f..%2fORDERS/o1", "apps/BILLING/%2e%2e/ORDERS/o1", "apps/ORDERS%00/o1"]
WAYS_AROUND += ["apps/%FFORDERS/o1", "apps/ORDERS;x=1/o1", "apps//ORDERS/o1", "apps/ORDERS%20/o1"]
WAYS_AROUND += ["apps/BILLING?/ORDERS/o1", "apps/BILLING%3f/../ORDERS/o1", "apps/%252e/ORDERS/o1"]
REPLICATED = {"x-netflix-discovery-replication": "true"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def one_guarded_server() -> AsyncIterator[RunningServer]:
    more: dict[str, Any] = {"admin-credentials": {"root": "of-root"}, "read-tokens": "for-prometheus,for-others"}
    async with running_server(credentials=CREDENTIALS, **more) as server:
        yield server


@pytest.fixture
def guarded(one_guarded_server: RunningServer) -> RunningServer:
    """A server that asks for credentials, with one instance of ORDERS, which orders has registered."""
    one_guarded_server.clear()
    one_guarded_server.registry.register(an_instance(), owner="ORDERS")
    return one_guarded_server


@pytest_asyncio.fixture
async def client(guarded: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        yield client


class TestReading:
    @pytest.mark.parametrize("path", READS)
    async def test_takes_any_credential(self, client: httpx.AsyncClient, path: str) -> None:
        for auth in (ORDERS, BILLING, PEER, ADMIN, TOKEN_AS_PASSWORD):
            assert (await client.get(path, auth=auth)).status_code == 200
        assert (await client.get(path, headers=TOKEN)).status_code == 200

        refused = await client.get(path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic realm=")
        assert refused.content == b"" or path == ""

    @pytest.mark.parametrize(
        "authorization",
        [
            *("", "Basic", "Basic !", "Basic b3JkZXJz", "Bearer b3JkZXJzOml0cy1wYXNzd29yZA==", "Basic b3JkZXJzOg=="),
            *("Basic é", "Bearer", "Bearer its-password", "Bearer for-prometheus,for-others", "Bearer é"),
            *("for-prometheus", "Digest for-prometheus", "Basic " + "A" * 40_000, "Basic /////w=="),
        ],
    )
    async def test_a_wrong_or_broken_credential_is_a_401(self, client: httpx.AsyncClient, authorization: str) -> None:
        answer = await client.get("eureka/apps", headers=[(b"authorization", authorization.encode())])

        assert (answer.status_code, answer.content) == (401, b"")

    async def test_is_open_to_everybody_by_a_setting_and_changing_is_not(self) -> None:
        async with (
            running_server(credentials=CREDENTIALS, reading="open") as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            server.registry.register(an_instance(), owner="ORDERS")

            for path in READS:
                assert (await client.get(path)).status_code == 200
                assert (await client.get(path, auth=("orders", "not its password"))).status_code == 200
            for method, path in CHANGES:
                assert (await client.request(method, path, json=a_registration())).status_code == 401

    async def test_probes_and_metrics_ask_nobody(self, client: httpx.AsyncClient) -> None:
        for path in ("actuator/health/readiness", "actuator/prometheus"):
            assert (await client.get(path)).status_code == 200


class TestChanging:
    @pytest.mark.parametrize(("method", "path"), CHANGES)
    async def test_takes_the_names_own_credential(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        nobody = await client.request(method, path, json=a_registration())
        another = await client.request(method, path, json=a_registration(), auth=BILLING)
        reader = await client.request(method, path, json=a_registration(), headers=TOKEN)
        own = await client.request(method, path.replace("ORDERS", "orders"), json=a_registration(), auth=ORDERS)

        assert (nobody.status_code, another.status_code, reader.status_code) == (401, 403, 403)
        assert nobody.content == another.content == reader.content == b""
        assert own.is_success

    @pytest.mark.parametrize(("method", "path"), CHANGES)
    async def test_a_refusal_changes_nothing_and_prolongs_nothing(
        self, guarded: RunningServer, client: httpx.AsyncClient, method: str, path: str
    ) -> None:
        before = guarded.registry.instance("ORDERS", "o1"), guarded.registry.version

        for auth in (None, BILLING, TOKEN_AS_PASSWORD, httpx.BasicAuth("orders", "wrong")):
            body = a_registration(hostName="evil.test", lastDirtyTimestamp="9999999999999")
            answer = await client.request(method, path, json=body, auth=auth, headers=REPLICATED)
            assert answer.status_code in (401, 403)

        assert (guarded.registry.instance("ORDERS", "o1"), guarded.registry.version) == before

    async def test_the_applications_name_in_the_body_has_to_be_that_of_the_path(
        self, guarded: RunningServer, client: httpx.AsyncClient
    ) -> None:
        of_billing = a_registration("BILLING", "o1", hostName="evil.test", vipAddress="billing")
        of_orders = a_registration("ORDERS", "o1", hostName="evil.test")

        assert (await client.post("eureka/apps/ORDERS", json=of_billing, auth=BILLING)).status_code == 403
        assert (await client.post("eureka/apps/BILLING", json=of_orders, auth=BILLING)).status_code == 400
        assert (await client.post("eureka/apps/BILLING", json=of_billing, auth=BILLING)).status_code == 204

        assert guarded.registry.instance("ORDERS", "o1").host_name == "h.test"
        assert guarded.registry.instance("BILLING", "o1").host_name == "evil.test"

    @pytest.mark.parametrize("field", ["vipAddress", "secureVipAddress"])
    @pytest.mark.parametrize("address", ["orders", "ORDERS", "billing,Orders", "billing, orders ", ",orders,"])
    async def test_a_virtual_address_that_is_anothers_name_is_refused(
        self, guarded: RunningServer, client: httpx.AsyncClient, field: str, address: str
    ) -> None:
        """Spring's clients look for virtual addresses: they would call whoever has registered that one."""
        body = a_registration("BILLING", "b1", vipAddress="billing")
        body["instance"][field] = address

        answer = await client.post("eureka/apps/BILLING", json=body, auth=BILLING)

        assert answer.status_code == 403
        reason = "The virtual address ORDERS is the name of another application."
        assert answer.headers["x-discovery-error"] == reason
        assert guarded.registry.application("BILLING") == []

    async def test_a_virtual_address_that_is_nobodys_name_may_be_shared(self, client: httpx.AsyncClient) -> None:
        for app, auth in (("BILLING", BILLING), ("ORDERS", ORDERS)):
            body = a_registration(app, "x", vipAddress=f"shop.example,{app.lower()}")
            assert (await client.post(f"eureka/apps/{app}", json=body, auth=auth)).status_code == 204

    async def test_virtual_addresses_are_shared_where_a_setting_says_so(self) -> None:
        async with (
            running_server(credentials=CREDENTIALS, shared_addresses=True) as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            body = a_registration("BILLING", "b1", vipAddress="orders")
            assert (await client.post("eureka/apps/BILLING", json=body, auth=BILLING)).status_code == 204

    async def test_whoever_may_not_is_told_why_without_the_password(self, client: httpx.AsyncClient) -> None:
        answer = await client.delete("eureka/apps/ORDERS/o1", auth=BILLING)

        assert answer.headers["x-discovery-error"] == "The credential of BILLING does not open ORDERS."


class TestTakingOver:
    """An instance belongs to the principal that registered it, whoever may use its name by now."""

    async def test_a_live_instance_of_another_principal_is_not_taken_over(
        self, guarded: RunningServer, client: httpx.AsyncClient
    ) -> None:
        guarded.registry.register(an_instance(key="o9"), owner="SOMEBODY ELSE")

        answer = await client.post("eureka/apps/ORDERS", json=a_registration(key="o9", hostName="x.test"), auth=ORDERS)

        assert (answer.status_code, answer.content) == (403, b"")
        assert guarded.registry.instance("ORDERS", "o9").host_name == "h.test"

    async def test_after_it_has_left_the_name_is_free(self, guarded: RunningServer, client: httpx.AsyncClient) -> None:
        guarded.registry.register(an_instance(key="o9"), owner="SOMEBODY ELSE")
        guarded.registry.cancel("ORDERS", "o9")

        assert (await client.post("eureka/apps/ORDERS", json=a_registration(key="o9"), auth=ORDERS)).is_success

    async def test_what_nobody_owns_is_taken_by_the_first_who_registers_it(
        self, guarded: RunningServer, client: httpx.AsyncClient
    ) -> None:
        guarded.registry.register(an_instance(key="o9"))

        assert (await client.post("eureka/apps/ORDERS", json=a_registration(key="o9"), auth=ORDERS)).is_success

        owners = {view.instance.key: view.owner for view in guarded.registry.leases()}
        assert owners["o9"] == "ORDERS"

    async def test_where_nobody_is_asked_everybody_may_register_it_again(
        self, server: RunningServer, client: httpx.AsyncClient
    ) -> None:
        async with httpx.AsyncClient(base_url=server.url) as anybody:
            for host in ("a.test", "b.test"):
                answer = await anybody.post("eureka/apps/ORDERS", json=a_registration(hostName=host), auth=BILLING)
                assert answer.status_code == 204

        assert server.registry.instance("ORDERS", "o1").host_name == "b.test"
        assert [view.owner for view in server.registry.leases()] == [None]


class TestAdministrators:
    @pytest.mark.parametrize(("method", "path"), OPERATING)
    async def test_put_any_instance_out_of_service(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        assert (await client.request(method, path, auth=ADMIN)).status_code == 200

    @pytest.mark.parametrize(("method", "path"), REGISTERING)
    async def test_register_nothing(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        assert (await client.request(method, path, json=a_registration(), auth=ADMIN)).status_code == 403

    async def test_do_not_become_owners(self, guarded: RunningServer, client: httpx.AsyncClient) -> None:
        await client.put("eureka/apps/ORDERS/o1/status?value=OUT_OF_SERVICE", auth=ADMIN)

        assert (await client.post("eureka/apps/ORDERS", json=a_registration(), auth=ORDERS)).status_code == 204
        assert guarded.registry.instance("ORDERS", "o1").status is Status.OUT_OF_SERVICE

    async def test_may_have_the_name_of_an_application_and_still_register_nothing(self) -> None:
        access = _access(credentials={"orders": "a"}, admin_credentials={"orders": "b"})

        service, person = access.principal(_basic("orders", "a")), access.principal(_basic("orders", "b"))

        assert (service.is_admin, service.owner) == (False, "ORDERS")
        assert (person.is_admin, person.owner) == (True, None)


class TestPeers:
    @pytest.mark.parametrize(("method", "path"), CHANGES)
    async def test_tell_of_everybodys_instances(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        answer = await client.request(method, path, json=a_registration(), auth=PEER, headers=REPLICATED)

        assert answer.is_success

    async def test_do_not_become_owners(self, guarded: RunningServer, client: httpx.AsyncClient) -> None:
        for key in ("o1", "o2"):
            body = a_registration(key=key)
            await client.post("eureka/apps/ORDERS", json=body, auth=PEER, headers=REPLICATED)
            assert (await client.post("eureka/apps/ORDERS", json=body, auth=ORDERS)).status_code == 204

        assert {view.owner for view in guarded.registry.leases()} == {"ORDERS"}

    async def test_a_client_that_claims_to_be_one_is_not_believed(self, client: httpx.AsyncClient) -> None:
        """A peer with an older instance gets ours and a 409; a client, a 200 (Eureka's rule)."""
        older = "eureka/apps/ORDERS/o1?lastDirtyTimestamp=5"

        assert (await client.put(older, auth=ORDERS, headers=REPLICATED)).status_code == 200
        assert (await client.put(older, auth=PEER, headers=REPLICATED)).status_code == 409

    def test_are_known_by_our_own_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SERVICE_PASSWORD", "the same for all of us")
        access = _access(credentials={"orders": "a"})

        assert access.require_peer(_basic("discovery-server", "the same for all of us")).is_peer


class TestNames:
    """Compared in upper case wherever they come from: in the credential, in the path, in the body."""

    NAMES = (
        *("orders", "OrDers-2", "order service", "o'rders", "ör-ders", "straße", "naïve", "naı\u0308ve", "日本", "😀"),
        *("\u212aelvin", "kelvin", "d\u0131m", "dIm2", "\u017fervice", "a%b", "100%25", "a&b=c", "a;v=1", "a+b", "a.b"),
        *("ŉ", "ǆ", "ﬀ", "Σίσυφος", "İ", "-", "apps2", "__proto__", "${jndi}", "<b>", '"', "\N{NO-BREAK SPACE}x"),
    )

    async def test_odd_names_open_their_own_name_in_any_case_and_nobody_elses(self) -> None:
        passwords = {name: f"password {number}" for number, name in enumerate(self.NAMES)}
        async with (
            running_server(credentials=passwords) as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            for name, password in passwords.items():
                for written in {name, name.upper(), name.lower(), name.title(), name.swapcase()}:
                    body = a_registration(written, f"i-{password}", vipAddress="v")
                    answer = await client.post(
                        f"eureka/apps/{quote(written, safe='')}", json=body, auth=_auth(name, password)
                    )
                    # "\u212a".lower() is the letter k, which is another name: only upper case is what counts.
                    same = written.upper() == name.upper()
                    assert answer.status_code == (204 if same else 403), (name, written, answer.headers)
                    renewed = await client.put(
                        f"eureka/apps/{quote(written, safe='')}/i-{password}", auth=_auth(written, password)
                    )
                    assert renewed.status_code == (200 if same else 401)

            assert set(server.registry.applications()) == {name.upper() for name in self.NAMES}

    async def test_names_that_only_look_alike_are_not_the_same(self) -> None:
        pairs = [
            ("kelvin", "\u212aelvin"),
            ("orders", "orders "),
            ("orders", "\u2060orders"),
            ("orders", "\uff4frders"),
        ]
        pairs += [("caf\u00e9", "cafe\u0301"), ("o\u0307", "\u022f"), ("i\u0307", "\u0130")]
        pairs += [(attacker, victim) for victim, attacker in pairs]
        passwords = {name: f"of {name}" for pair in pairs for name in pair}
        async with (
            running_server(credentials=passwords) as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            for victim, attacker in pairs:
                server.registry.register(an_instance(victim.upper(), "v1"), owner=victim.upper())
                body = a_registration(victim, "v1", hostName="evil.test", vipAddress="v")
                path, auth = f"eureka/apps/{quote(victim, safe='')}", _auth(attacker, f"of {attacker}")

                assert (await client.post(path, json=body, auth=auth)).status_code == 403
                assert (await client.delete(f"{path}/v1", auth=auth)).status_code == 403
                assert (await client.get(path, auth=_auth(victim, f"of {attacker}"))).status_code == 401
                assert (await client.get(path, auth=auth)).status_code == 200
                assert server.registry.instance(victim, "v1").host_name == "h.test"

    @pytest.mark.parametrize(
        ("one", "other"), [("\u017fervice", "service"), ("d\u0131m", "dim"), ("straße", "STRASSE")]
    )
    async def test_names_that_are_the_same_in_upper_case_are_one_principal(self, one: str, other: str) -> None:
        access = _access(credentials={one: "a", other: "b"})

        principals = {access.principal(_basic(name, word)) for name in (one, other) for word in ("a", "b")}

        assert len(principals) == 1

    @pytest.mark.parametrize("path", WAYS_AROUND)
    async def test_no_way_to_write_a_path_leads_around_the_check(
        self, guarded: RunningServer, client: httpx.AsyncClient, path: str
    ) -> None:
        before = guarded.registry.version

        answer = await _send_raw(guarded.url, "DELETE", f"/eureka/{path}", BILLING)

        assert b" 403 " in answer or b" 404 " in answer or b" 400 " in answer or b" 405 " in answer
        assert guarded.registry.version == before


class TestRotation:
    async def test_of_several_passwords_any_will_do_and_all_are_the_same_principal(self) -> None:
        async with (
            running_server(credentials={"orders": ["old", "new"]}) as server,
            httpx.AsyncClient(base_url=server.url) as client,
        ):
            for password in ("old", "new"):
                body, auth = a_registration(lastDirtyTimestamp="1000"), httpx.BasicAuth("orders", password)
                assert (await client.post("eureka/apps/ORDERS", json=body, auth=auth)).status_code == 204
                assert (await client.put("eureka/apps/ORDERS/o1", auth=auth)).status_code == 200
            assert [view.owner for view in server.registry.leases()] == ["ORDERS"]

    async def test_a_refresh_changes_credentials_without_a_restart(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        # given a server that has its credentials from a config file
        monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
        monkeypatch.setenv("REFRESH_SECRET", "signs refreshes")
        told = {"credentials": {"orders": "old"}, "admin-credentials": {"root": "a"}, "read-tokens": ["t"]}
        _write(tmp_path, told)
        settings = DiscoverySettings.load()
        async with running(create_app(settings)) as url, httpx.AsyncClient(base_url=url) as client:
            body = a_registration()
            assert (await client.post("eureka/apps/ORDERS", json=body, auth=("orders", "old"))).status_code == 204
            assert await _statuses(client, "old", "new", "newest") == [200, 401, 401]

            # when a second one is added, and later the first one taken away
            _write(tmp_path, {**told, "credentials": {"orders": ["old", "new"]}})
            await _refresh(client)
            assert await _statuses(client, "old", "new", "newest") == [200, 200, 401]
            assert (await client.post("eureka/apps/ORDERS", json=body, auth=("orders", "new"))).status_code == 204
            _write(tmp_path, {"credentials": {"orders": ["new", "newest"]}, "reading": "open"})
            await _refresh(client)

            # then what was good before is so no more, however often it was used
            assert await _statuses(client, "old", "new", "newest") == [401, 200, 200]
            assert (await client.get("discovery/audit", auth=("root", "a"))).status_code == 401
            assert (await client.get("eureka/apps")).status_code == 200

    async def test_a_refresh_with_credentials_that_can_not_be_changes_nothing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
        monkeypatch.setenv("REFRESH_SECRET", "signs refreshes")
        _write(tmp_path, {"credentials": {"orders": "old"}})
        async with running(create_app(DiscoverySettings.load())) as url, httpx.AsyncClient(base_url=url) as client:
            impossible: list[dict[str, Any]] = [
                {"orders": ""},
                {"orders": []},
                {"a:b": "x"},
                {"orders": "{bcrypt}x"},
                {},
            ]
            for broken in impossible:
                _write(tmp_path, {"credentials": broken})
                answer = await client.post("actuator/refresh", headers=_signature())

                assert answer.status_code == 503
                assert "CREDENTIALS" in answer.json()["detail"]
                assert await _statuses(client, "old") == [404]


class TestCredentials:
    def test_a_hash_stands_for_a_password_and_is_none(self) -> None:
        hashed = "{sha256}5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
        credentials = Credentials({"orders": [hashed]})

        assert credentials.principal(_basic("orders", "password")).owner == "ORDERS"
        with pytest.raises(CredentialNeeded):
            credentials.principal(_basic("orders", hashed))

    def test_good_headers_are_remembered_up_to_a_bound_and_bad_ones_never(self) -> None:
        credentials = Credentials({"orders": ["a"]}, read_tokens=["t"])
        for number in range(3000):
            assert credentials.principal(_basic(f"reader {number}", "t")).owner is None
            with pytest.raises(CredentialNeeded):
                credentials.principal(_basic(f"reader {number}", "wrong"))
        assert credentials.principal(_basic("x" * 100_000, "t")).owner is None

        assert 0 < len(credentials._proved) <= 1000
        assert max(map(len, credentials._proved)) <= 1000

    def test_the_name_that_a_header_claims_is_told_only_if_somebody_has_it(self) -> None:
        credentials = Credentials({"orders": ["a"]}, admins={"root": ["b"]})

        assert credentials.known_name(_basic("Orders", "wrong")) == "ORDERS"
        assert credentials.known_name(_basic("root", "wrong")) == "ROOT"
        for secret in (_basic("a secret in the wrong field", "x"), "Bearer orders", "Basic !", "", None):
            assert credentials.known_name(secret) is None


def _access(**properties: object) -> Access:
    return Access(DiscoverySettings.of({f"discovery-server.{name}": value for name, value in properties.items()}))


def _auth(name: str, password: str) -> httpx.BasicAuth:
    return httpx.BasicAuth(name, password)


def _basic(name: str, password: str) -> str:
    request = next(_auth(name, password).sync_auth_flow(httpx.Request("GET", "http://h.test")))
    return str(request.headers["authorization"])


async def _send_raw(url: str, method: str, path: str, auth: httpx.BasicAuth) -> bytes:
    """The answer's first line to a request whose path nobody has put in order."""
    host, port = httpx.URL(url).host, httpx.URL(url).port
    authorization = next(auth.sync_auth_flow(httpx.Request("GET", url))).headers["authorization"]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n\r\n".encode())
    try:
        return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


def _write(folder: Path, told: Mapping[str, Any]) -> None:
    (folder / "discovery-server.yml").write_text(json.dumps({"discovery-server": told}))


def _signature() -> dict[str, str]:
    return {HEADER: sign_refresh("signs refreshes", "discovery-server")}


async def _refresh(client: httpx.AsyncClient) -> None:
    (await client.post("actuator/refresh", headers=_signature())).raise_for_status()


async def _statuses(client: httpx.AsyncClient, *passwords: str) -> list[int]:
    """What a renewal by each password is answered, twice each: the second time it may be remembered."""
    answers = []
    for password in passwords:
        statuses = {(await client.put("eureka/apps/ORDERS/o1", auth=("orders", password))).status_code for _ in "12"}
        answers.append(statuses.pop())
        assert not statuses
    return answers
