"""Spring's JSON for an environment, in version 1 and 2."""

import json
from collections.abc import Sequence

from .environments import PropertySource
from .media_types import V1


def environment_json(
    *,
    application: str,
    profile: str,
    label: str | None,
    version: str,
    sources: Sequence[PropertySource],
    media_type: str,
) -> bytes:
    """The answer's body. Version 2 has beside each value its origin in the file, as `line:column`."""
    document = {
        "name": application,
        "profiles": [profile],  # as asked for, in one element
        "label": label,
        "version": version,
        "state": "",
        "propertySources": [
            {
                "name": source.name,
                "source": {
                    key: value.value
                    if media_type == V1 or not value.line
                    else {"value": value.value, "origin": f"{value.line}:{value.column}"}
                    for key, value in source.values.items()
                },
            }
            for source in sources
        ],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
