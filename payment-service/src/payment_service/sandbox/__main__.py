"""Runs the sandbox provider: `python -m payment_service.sandbox`."""

from chassis.service import serve

from .app import create_app
from .settings import Settings


def main() -> None:
    serve(Settings, create_app)


if __name__ == "__main__":
    main()
