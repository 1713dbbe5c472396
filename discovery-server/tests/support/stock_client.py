"""A process with the stock py-eureka-client in it: run with a URL, a name and a port, told by lines on its input.

It prints what it sees whenever that changes, one JSON object a line; the client's own log lies between. A process,
because the client's heartbeat thread ends with nothing less, and because a process can be killed.
"""

import asyncio
import json
import sys
from typing import Any

from py_eureka_client.eureka_client import EurekaClient


async def main(url: str, name: str, port: int, renewal_seconds: int) -> None:
    client = EurekaClient(
        eureka_server=url,
        app_name=name,
        instance_ip="127.0.0.1",
        instance_host="localhost",
        instance_port=port,
        renewal_interval_in_secs=renewal_seconds,
        duration_in_secs=3 * renewal_seconds,
        metadata={"zone": "z1", "team_color": "red & blue"},
    )
    await client.start()
    told = asyncio.Queue[str]()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: told.put_nowait(sys.stdin.readline().strip()))
    seen: dict[str, Any] | None = None
    while True:
        if seen != (seen := up_instances(client)):
            say(seen)
        try:
            order = await asyncio.wait_for(told.get(), 0.05)
        except TimeoutError:
            continue
        if order == "drain":
            await client.status_update("OUT_OF_SERVICE")
        elif order == "undrain":
            await client.delete_status_override()
        else:
            await client.stop()
            return


def up_instances(client: EurekaClient) -> dict[str, Any]:
    found = client.applications.applications if client.applications else []
    return {app.name: sorted(instance.instanceId for instance in app.up_instances) for app in found if app.up_instances}


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
