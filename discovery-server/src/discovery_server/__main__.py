"""`python -m discovery_server`: the server as a process."""

from chassis.service import serve

from .app import create_app
from .rest.server import SERVER_OPTIONS
from .settings import DiscoverySettings


def main() -> None:
    serve(DiscoverySettings, create_app, **SERVER_OPTIONS)


if __name__ == "__main__":
    main()
