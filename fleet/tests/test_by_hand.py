"""The fleet without the `fleet` command: each part as `python -m <package>`, in whatever order."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from chassis.local_postgres import LocalPostgres
from chassis.testing.waiting import until
from config_server.publish import publish
from support.storefront import Storefront
from support.whole_fleet import PROJECT

SERVICES = ("auth-service", "order-service", "inventory-service", "payment-service")


class ByHand:
    """Processes that are started one by one, on ports that were chosen beforehand."""

    def __init__(self, home: Path) -> None:
        names = ("config", "discovery", "gateway", "kafka", "sandbox")
        ports = {name: _free_port() for name in (*names, *SERVICES)}
        self.postgres = LocalPostgres(home / "postgres", port=_free_port(), durable=False, die_with_parent=True)
        self.gateway_url = f"http://127.0.0.1:{ports['gateway']}"
        self.admin_password = secrets.token_urlsafe(16)
        self._home = home
        self._ports = ports
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str) -> None:
        """Start one part and don't wait for it."""
        match name:
            case "postgres":
                self.postgres.start()
                for service in SERVICES:
                    self.postgres.ensure_database(service, service, "pw")
            case "kafka":
                self._run("embedded_kafka", "kafka", KAFKA_DATA=str(self._home / "kafka"))
            case "config-server":
                self._run(
                    "config_server",
                    "config",
                    CONFIG_SERVER_GIT_URI=str(self._home / "config-repo"),
                    CONFIG_SERVER_ANONYMOUS="true",
                )
            case "discovery-server":
                self._run("discovery_server", "discovery", DISCOVERY_SERVER_ANONYMOUS="true")
            case "payment-sandbox":
                self._run("payment_service.sandbox", "sandbox", SANDBOX_DATA=str(self._home), **self._shared_secret)
            case "gateway":
                self._run("gateway", "gateway", **self._surroundings)
            case _:
                own = {
                    "DATABASE_URL": f"postgresql://{name}:pw@127.0.0.1:{self.postgres.port}/{name}",
                    "AUTH_ADMIN_EMAIL": "admin@flotilla.example",
                    "AUTH_ADMIN_PASSWORD": self.admin_password,
                    "PAYMENT_PROVIDER_URL": f"http://127.0.0.1:{self._ports['sandbox']}",
                    **self._shared_secret,
                }
                self._run(name.replace("-", "_"), name, **self._surroundings, **own)

    def stop(self) -> list[int]:
        """End all of them, the last first; their exit codes."""
        codes = []
        for process in reversed(self._started):
            process.terminate()
            codes.append(process.wait(20))
        self.postgres.stop()
        return codes

    @property
    def _surroundings(self) -> dict[str, str]:
        return {
            "CONFIG_SOURCE": f"http://127.0.0.1:{self._ports['config']}",
            "DISCOVERY_URL": f"http://127.0.0.1:{self._ports['discovery']}",
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{self._ports['kafka']}",
            "DISCOVERY_POLL_SECONDS": "0.2",
        }

    @property
    def _shared_secret(self) -> dict[str, str]:
        return {"PAYMENT_WEBHOOK_SECRET": "a secret between the two"}

    def _run(self, module: str, port: str, **environment: str) -> None:
        with (self._home / f"{port}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={
                    **os.environ,
                    "HOST": "127.0.0.1",
                    "PORT": str(self._ports[port]),
                    "STATE_DIR": str(self._home / "state"),
                    **environment,
                },
                stdout=log,
                stderr=log,
            )
        self._started.append(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def by_hand(home: Path) -> Iterator[ByHand]:
    fleet = ByHand(home)
    try:
        yield fleet
    finally:
        codes = fleet.stop()
    assert set(codes) == {0}, "each ends well when it is asked to"


async def test_started_in_reverse_order_the_fleet_still_comes_up(tmp_path: Path) -> None:

    publish(PROJECT / "config-files", tmp_path / "config-repo")
    with by_hand(tmp_path) as fleet:
        for name in ("gateway", *reversed(SERVICES), "payment-sandbox", "discovery-server", "config-server", "kafka"):
            fleet.start(name)
        fleet.start("postgres")

        async with httpx.AsyncClient(base_url=fleet.gateway_url, timeout=10, trust_env=False) as client:

            async def admin() -> dict[str, str] | None:
                try:
                    answer = await client.post(
                        "/api/v1/auth/login",
                        json={"email": "admin@flotilla.example", "password": fleet.admin_password},
                    )
                except httpx.TransportError:
                    return None
                return {"Authorization": f"Bearer {answer.json()['access_token']}"} if answer.is_success else None

            shop = Storefront(tmp_path, client, await until(admin, timeout_seconds=40))
            for path in ("/api/v1/inventory/products", "/api/v1/orders", "/api/v1/payments"):
                await shop.get(path)
            product, customer = await shop.product(stock=5), await shop.customer()
            order = await shop.at_rest(await shop.order(product, customer))

    assert order["status"] == "CONFIRMED"
