"""`fleet`: up, status, demo, logs, env, down."""

import shlex
import sys
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from . import launch
from .kafka import get_programs
from .logs import lines_of, readable
from .plan import APACHE_KAFKA, EMBEDDED_BROKER, Options
from .report import Report
from .show import show_start, what_runs
from .state import FleetProblem, Home, read_json

app = typer.Typer(
    help="Runs the whole fleet on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(highlight=False)


def main() -> None:
    try:
        app()
    except FleetProblem as problem:
        _fail(str(problem))
    except OSError as error:  # a folder that can't be written to any more, a disk that is full
        _fail(f"{error.filename or 'the system'}: {error.strerror}")


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(f"fleet: {sentence}", markup=False, soft_wrap=True)
    sys.exit(1)


@app.command()
def up(
    only: Annotated[str, typer.Option(help="a comma list of parts; what they need comes along")] = "",
    demo: Annotated[bool, typer.Option("--demo", help="place three orders at the end")] = False,
    profile: Annotated[str, typer.Option(help="which config files apply", envvar="PROFILE")] = "default",
    broker: Annotated[
        str, typer.Option(envvar="BROKER", help="embedded, or kafka: Apache Kafka; without, the one that ran last")
    ] = "",
    config_server_port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="CONFIG_SERVER_PORT", help="0 takes any free one")
    ] = 8888,
    discovery_server_port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="DISCOVERY_SERVER_PORT", help="0 takes any free one")
    ] = 8761,
    gateway_port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="GATEWAY_PORT", help="0 takes any free one")
    ] = 8072,
) -> None:
    """Start the fleet and leave it running. Where it runs already, say so."""
    home = Home.find()
    options = Options(
        only=tuple(name.strip() for name in only.split(",") if name.strip()),
        profile=profile,
        broker=broker or home.last_broker() or EMBEDDED_BROKER,
        config_server_port=config_server_port,
        discovery_server_port=discovery_server_port,
        gateway_port=gateway_port,
    ).check()
    home.prepare()
    supervisor = None
    if not home.is_supervised():
        if options.broker == APACHE_KAFKA:
            with console.status("Looking for Apache Kafka …"):
                get_programs()
        supervisor = launch.begin(home, options)
    try:
        report = show_start(console, launch.follow(home, supervisor))
    except KeyboardInterrupt:
        console.print("Stopping again.")
        launch.stop(home)
        raise typer.Exit(130) from None
    console.print(what_runs(report))
    if supervisor is None:
        console.print("\nIt runs already, as it was started; 'fleet down' first, to start it otherwise.")
    else:
        which = ", with Apache Kafka" if options.broker == APACHE_KAFKA else ""
        console.print(f"\nReady after {report.ready_after_seconds:.1f} s{which}.")
    _say_where(home)
    if demo:
        _demo(home)


@app.command()
def status() -> None:
    """What runs where, since when, and how much memory it takes."""
    home = Home.find()
    console.print(what_runs(_report_of_running(home), with_memory=True))


@app.command()
def demo() -> None:
    """Place three orders through the gateway: one is confirmed, one is out of stock, one is declined."""
    home = Home.find()
    _report_of_running(home)
    _demo(home)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="one service; without, all of them")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what comes")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the lines as they were written")] = False,
) -> None:
    """The logs, made readable."""
    try:
        for line in lines_of(Home.find(), service, follow=follow):
            if as_json:
                sys.stdout.write(f"{line.text}\n")
            else:
                console.print(readable(line), soft_wrap=True)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # `fleet logs | head` has seen enough


@app.command()
def env() -> None:
    """Where the running fleet is, as shell exports: eval "$(fleet env)"."""
    known = _fleet_file(Home.find())
    for name, value in (
        ("GATEWAY_URL", known["gateway_url"]),
        ("CONFIG_URL", known["config_url"]),
        ("DISCOVERY_URL", known["discovery_url"]),
        ("CONFIG_ADMIN_PASSWORD", known["config_admin_password"]),
        ("CONFIG_WEBHOOK_SECRET", known["config_webhook_secret"]),
        ("DISCOVERY_ADMIN_PASSWORD", known["discovery_admin_password"]),
        ("ADMIN_EMAIL", known["admin"]["email"]),
        ("ADMIN_PASSWORD", known["admin"]["password"]),
        ("DATABASE_URL", known["database_url"]),
        ("KAFKA_BOOTSTRAP", known["kafka"]),
    ):
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


@app.command()
def down() -> None:
    """Stop the fleet; its data stays."""
    home = Home.find()
    with console.status("Stopping …"):
        was_there = launch.stop(home)
    console.print("The fleet has stopped." if was_there else "No fleet runs here.")


def _demo(home: Home) -> None:
    from .demo import run  # imported where it is used: the HTTP client takes a while

    known = _fleet_file(home)
    if not known["gateway_url"]:
        raise FleetProblem("The demo goes through the gateway, and none runs here: start the fleet without --only.")
    run(console, known["gateway_url"], known["admin"]["email"], known["admin"]["password"])


def _say_where(home: Home) -> None:
    known = _fleet_file(home)
    if known["gateway_url"]:
        console.print(f"The door: {known['gateway_url']} (documentation: {known['gateway_url']}/docs)")
    console.print(f"The admin: {known['admin']['email']}, with the password in {home.fleet_file}", soft_wrap=True)
    console.print("Next: fleet status, fleet demo, fleet logs -f, fleet down", style="dim")


def _report_of_running(home: Home) -> Report:
    report = Report.read(home)
    if report is None or not home.is_supervised():
        raise FleetProblem("No fleet runs here: start it with 'fleet up'.")
    return report


def _fleet_file(home: Home) -> dict[str, Any]:
    _report_of_running(home)
    known = read_json(home.fleet_file)
    if known is None:
        raise FleetProblem("The fleet is not ready yet: 'fleet status' shows how far it is.")
    return known
