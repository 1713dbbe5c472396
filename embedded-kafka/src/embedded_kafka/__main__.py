"""`python -m embedded_kafka`: serves what the environment says (KAFKA_DATA, HOST, PORT) until SIGTERM or SIGINT."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from .server import CannotStart, serve


def main() -> None:
    data, port = os.environ.get("KAFKA_DATA"), os.environ.get("PORT", "9092")
    if not data:
        give_up("KAFKA_DATA must name the folder for the data.")
    if not port.isdigit() or int(port) > 65535:
        give_up(f"PORT must be a port number, not {port!r}.")
    run(Path(data), os.environ.get("HOST", "127.0.0.1"), int(port))


def run(data: Path, host: str, port: int, **settings: Any) -> None:
    """Serves in the foreground; prints one line when ready, or one sentence and exit code 1 when it can't be."""

    def tell(bootstrap: str) -> None:
        sys.stdout.write(f"ready bootstrap={bootstrap} pid={os.getpid()} data={data}\n")
        sys.stdout.flush()

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(serve(data, host, port, tell, **settings))
    except CannotStart as error:
        give_up(str(error))


def give_up(sentence: str) -> NoReturn:
    sys.stderr.write(f"embedded-kafka: {sentence}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()
