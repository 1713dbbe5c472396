"""`python -m gateway`: the gateway as a process."""

from chassis.service import serve

from .app import SERVER_OPTIONS, create_app
from .settings import Settings


def main() -> None:
    serve(Settings, create_app, loop="uvloop", **SERVER_OPTIONS)


if __name__ == "__main__":
    main()
