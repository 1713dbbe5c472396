"""The embedded broker as a process of its own: `python embedded_broker.py FOLDER` serves until SIGTERM.

The environment has no word for `housekeeping_seconds`, which is how long retention may let a test wait.
"""

import asyncio
import sys
from pathlib import Path

import embedded_kafka

HOUSEKEEPING_SECONDS = 0.2


def tell(bootstrap: str) -> None:
    sys.stdout.write(f"{bootstrap}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(
        embedded_kafka.serve(Path(sys.argv[1]), "127.0.0.1", 0, ready=tell, housekeeping_seconds=HOUSEKEEPING_SECONDS)
    )
