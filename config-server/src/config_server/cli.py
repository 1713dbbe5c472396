"""`config-server`: what can be done with a configuration repository from the command line."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from .check import check
from .checked_files import NothingToCheck
from .settings_schemas import SchemaUnreadable, SettingsSchema, read_schemas

# Beside the files, and never published with them, since its name begins with a dot.
_SCHEMAS = ".schemas"

app = typer.Typer(
    help="Serves configuration out of Git (python -m config_server), and checks it before that.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _commands() -> None:
    """So that `check` stays a word to be written, although it is the only one."""


@app.command("check")
def check_command(
    path: Annotated[Path, typer.Argument(help="a folder of configuration files, or a Git repository")],
    schemas: Annotated[
        Path | None,
        typer.Option(help=f"folder of JSON Schemas, <application>.json each; by default {_SCHEMAS} in PATH"),
    ] = None,
    search_paths: Annotated[str, typer.Option(help="CONFIG_SERVER_GIT_SEARCH_PATHS of the server: a comma list")] = "",
    label: Annotated[
        str | None, typer.Option(help="branch, tag or commit to check, instead of the files as they lie there")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="a profile in use (may be given again); without, those in the files")
    ] = None,
) -> None:
    """Read a repository as the server would, and name what is wrong: `file:line:column: what`, one a line.

    Ends with 0 if nothing is, 1 if something is, and 2 if it could not be checked.
    """
    try:
        findings = check(
            path,
            label=label,
            search_paths=[part.strip().strip("/") for part in search_paths.split(",") if part.strip()],
            profiles=profile or (),
            schemas=_schemas(path, schemas),
        )
    except (NothingToCheck, SchemaUnreadable) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or path}: {error.strerror}")
    for finding in findings:
        place = finding.file if label else path / finding.file
        sys.stdout.write(f"{place}:{finding.line}:{finding.column}: {finding.what}\n")
    if findings:
        raise typer.Exit(1)


def _schemas(path: Path, folder: Path | None) -> dict[str, SettingsSchema]:
    if folder is None and not (path / _SCHEMAS).is_dir():
        return {}
    return read_schemas(folder or path / _SCHEMAS)


def _fail(sentence: str) -> NoReturn:
    sys.stderr.write(f"config-server: {sentence}\n")
    raise typer.Exit(2)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
