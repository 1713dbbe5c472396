"""Who may do what."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from support.instances import a_registration, an_instance
from support.server import RunningServer, running_server

CREDENTIALS = {"orders": "its-password", "billing": "billing's pässword:with colon"}
ORDERS = httpx.BasicAuth("orders", "its-password")
BILLING = httpx.BasicAuth("billing", "billing's pässword:with colon")

READS = ["eureka/apps", "eureka/apps/delta", "eureka/apps/ORDERS", "eureka/apps/ORDERS/o1", "eureka/instances/o1"]
READS += ["eureka/vips/orders", "eureka/svips/orders", ""]
CHANGES = [
    ("POST", "eureka/apps/ORDERS"),
    ("PUT", "eureka/apps/ORDERS/o1"),
    ("DELETE", "eureka/apps/ORDERS/o1"),
    ("PUT", "eureka/apps/ORDERS/o1/status?value=DOWN"),
    ("DELETE", "eureka/apps/ORDERS/o1/status"),
    ("PUT", "eureka/apps/ORDERS/o1/metadata?a=b"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def one_guarded_server() -> AsyncIterator[RunningServer]:
    async with running_server(credentials=CREDENTIALS) as server:
        yield server


@pytest.fixture
def guarded(one_guarded_server: RunningServer) -> RunningServer:
    """A server that asks for credentials, with one instance of ORDERS."""
    one_guarded_server.clear()
    one_guarded_server.registry.register(an_instance())
    return one_guarded_server


@pytest_asyncio.fixture
async def client(guarded: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=guarded.url) as client:
        yield client


@pytest.mark.parametrize("path", READS)
async def test_reading_takes_any_credential(client: httpx.AsyncClient, path: str) -> None:
    for auth in (ORDERS, BILLING):
        assert (await client.get(path, auth=auth)).status_code == 200

    refused = await client.get(path)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic realm=")
    assert refused.content == b"" or path == ""


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_changing_takes_the_names_own_credential(client: httpx.AsyncClient, method: str, path: str) -> None:
    nobody = await client.request(method, path, json=a_registration())
    another = await client.request(method, path, json=a_registration(), auth=BILLING)
    own = await client.request(method, path.replace("ORDERS", "orders"), json=a_registration(), auth=ORDERS)

    assert (nobody.status_code, another.status_code) == (401, 403)
    assert nobody.content == another.content == b""
    assert own.is_success


async def test_an_instance_is_not_taken_over_by_a_registration_under_another_name(
    guarded: RunningServer, client: httpx.AsyncClient
) -> None:
    body = a_registration("BILLING", "o1", hostName="evil.test")

    assert (await client.post("eureka/apps/ORDERS", json=body, auth=BILLING)).status_code == 403
    assert (await client.post("eureka/apps/BILLING", json=body, auth=BILLING)).status_code == 204
    assert guarded.registry.instance("ORDERS", "o1").host_name == "h.test"


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !", "Basic b3JkZXJz", "Bearer b3JkZXJzOml0cy1wYXNzd29yZA==", "Basic b3JkZXJzOg==", "Basic é"],
)
async def test_a_wrong_or_broken_credential_is_a_401(client: httpx.AsyncClient, authorization: str) -> None:
    answer = await client.get("eureka/apps", headers=[(b"authorization", authorization.encode())])

    assert (answer.status_code, answer.content) == (401, b"")


async def test_probes_and_metrics_ask_nobody(client: httpx.AsyncClient) -> None:
    for path in ("actuator/health/readiness", "actuator/prometheus"):
        assert (await client.get(path)).status_code == 200
