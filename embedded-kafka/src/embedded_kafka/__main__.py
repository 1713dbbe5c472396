"""`python -m embedded_kafka`: serves what the environment says (KAFKA_DATA, HOST, PORT) until SIGTERM or SIGINT."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from .server import CannotStart, ready_line, serve


def main() -> None:
    environment = os.environ
    data, port = environment.get("KAFKA_DATA"), environment.get("PORT", "9092")
    if not data:
        give_up("KAFKA_DATA must name the folder for the data.")
    if not port.isdigit() or int(port) > 65535:
        give_up(f"PORT must be a port number, not {port!r}.")
    run(Path(data), environment.get("HOST", "127.0.0.1"), int(port))


def run(data: Path, host: str, port: int, **settings: Any) -> None:
    """Serves in the foreground; prints one line when ready, or one sentence and exit code 1 when it can't be."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(serve(data, host, port, lambda bootstrap: _tell(ready_line(bootstrap, data)), **settings))
    except CannotStart as error:
        give_up(str(error))


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def give_up(sentence: str) -> NoReturn:
    sys.stderr.write(f"embedded-kafka: {sentence}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()
