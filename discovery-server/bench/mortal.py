"""`python -m bench.mortal PORT HEADERS`: an instance that renews a lease of 3 s each second, until it is killed."""

import asyncio
import json
import sys

from chassis.testing.bench.load import Caller, request

from .fleet import GUEST, register

KEY = "mortal"
INTERVAL_SECONDS, DURATION_SECONDS = 1, 3
PATH = f"/eureka/apps/{GUEST}/{KEY}"


async def main(port: int, headers: dict[str, str]) -> None:
    caller = await Caller.connected(port)
    await caller.ask(register(GUEST, KEY, "10.9.9.9", headers, interval=INTERVAL_SECONDS, duration=DURATION_SECONDS))
    while True:
        head, _ = await caller.ask(request(f"{PATH}?status=UP", headers, method="PUT"))
        sys.stdout.write(head[9:12].decode() + "\n")
        sys.stdout.flush()
        await asyncio.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), json.loads(sys.argv[2])))
