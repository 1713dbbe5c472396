"""`python -m discovery_server`, as the fleet starts it."""

import asyncio
import os
import signal
import sys

import httpx
from chassis.testing.server import free_socket
from chassis.testing.waiting import until
from support.instances import a_registration


async def start(**environment: str) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DISCOVERY_", "CONFIG_"))}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "discovery_server",
        env=inherited | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_it_serves_who_has_a_credential_and_stops_when_it_is_told_to() -> None:
    with free_socket() as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = await start(
        PORT=str(port), DISCOVERY_SERVER_CREDENTIALS='{"orders": "pw-of-orders"}', DISCOVERY_URL=f"{url}/eureka"
    )
    try:
        async with httpx.AsyncClient(auth=("orders", "pw-of-orders")) as client:

            async def is_ready() -> bool:
                try:
                    return (await client.get(f"{url}/actuator/health/readiness")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(is_ready, timeout_seconds=15)
            assert (await client.post(f"{url}/eureka/apps/ORDERS", json=a_registration())).status_code == 204
            # Its own DISCOVERY_URL notwithstanding, nobody else is there.
            assert (await client.get(f"{url}/eureka/apps/")).text.count("<instance>") == 1
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode in (0, -signal.SIGTERM)  # uvicorn raises the signal again once everything has stopped
    assert b"discovery-server has stopped" in output
    assert b"pw-of-orders" not in output


async def test_without_credentials_it_says_so_and_ends() -> None:
    process = await start(PORT="0")
    output, errors = await asyncio.wait_for(process.communicate(), 15)

    assert process.returncode == 1
    assert b"set DISCOVERY_SERVER_CREDENTIALS" in errors
    assert b"Traceback" not in errors + output
