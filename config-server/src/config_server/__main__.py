"""`python -m config_server`: one config-server, with settings from the environment."""

import sys

from chassis.service import serve
from chassis.settings import SettingsInvalid

from .app import create_app
from .settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        serve(Settings, create_app)
    except SettingsInvalid as error:
        sys.exit(f"{Settings.service_name}: {error}")


if __name__ == "__main__":
    main()
