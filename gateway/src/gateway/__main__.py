"""`python -m gateway`: the gateway as a process."""

from chassis.service import serve

from .app import create_app
from .settings import GatewaySettings


def main() -> None:
    serve(
        GatewaySettings,
        create_app,
        http="httptools",
        loop="uvloop",
        ws="none",
        # uvicorn would believe X-Forwarded-For from 127.0.0.1, and with it whoever sends one from there.
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
