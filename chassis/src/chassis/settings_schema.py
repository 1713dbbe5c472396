"""The settings of a service as a JSON Schema of its keys in config files, for those who check such files.

`python -m chassis.settings_schema order_service FOLDER` writes `FOLDER/order-service.json` from the class in
`order_service.settings`; several packages may be named before the folder. With `--check` it only says which are stale.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from .settings import ServiceSettings


def schema_of(settings_type: type[ServiceSettings]) -> str:
    """The text of a schema file (JSON Schema 2020-12); each key says which environment variable it stands for."""
    schema = settings_type.model_json_schema()
    properties: dict[str, Any] = {}
    for name in settings_type.model_fields:
        variable = settings_type.variable_of(name)
        field = schema["properties"].get(variable) or schema["properties"][name]
        if field.get("format") == "path":
            field.pop("default", None)  # it would be a folder of the machine that writes this
        properties[_key_of(settings_type, variable)] = {**field, "variable": variable}
    return (
        json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": settings_type.service_name,
                "title": f"Settings of {settings_type.service_name}",
                "type": "object",
                "properties": properties,
                "additionalProperties": False,
                "$defs": schema.get("$defs", {}),
            },
            indent=2,
        )
        + "\n"
    )


def settings_of(package: str) -> type[ServiceSettings]:
    """The settings class of a service's package. Raises ImportError if there is none."""
    module = importlib.import_module(f"{package}.settings")
    for member in vars(module).values():
        if isinstance(member, type) and issubclass(member, ServiceSettings) and member.__module__ == module.__name__:
            return member
    raise ImportError(f"{module.__name__} has no class of ServiceSettings")


def _key_of(settings_type: type[ServiceSettings], variable: str) -> str:
    """`ORDER_DEADLINE_SECONDS` is `order.deadline-seconds`: the first part is the service's, or the first word."""
    prefix = settings_type.model_config.get("env_prefix", "")
    first = prefix.rstrip("_") if prefix and variable.startswith(prefix) else variable.partition("_")[0]
    rest = variable[len(first) + 1 :]
    return ".".join(part.lower().replace("_", "-") for part in (first, rest) if part)


def main() -> None:
    parser = argparse.ArgumentParser(prog="chassis.settings_schema", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="+", help="services' packages, each with its settings module")
    parser.add_argument("folder", type=Path, help="where the schemas go, each as <service>.json")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a schema is stale")
    arguments = parser.parse_args()
    types = map(settings_of, arguments.packages)
    wanted = {arguments.folder / f"{settings.service_name}.json": schema_of(settings) for settings in types}
    stale = {path: text for path, text in wanted.items() if not path.is_file() or path.read_text() != text}
    if arguments.check:
        if stale:
            sys.exit(f"stale, run 'make generate': {', '.join(map(str, sorted(stale)))}")
        return
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
