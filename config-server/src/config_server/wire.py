"""Spring's JSON for an environment, in version 1 and 2."""

import json
from dataclasses import dataclass

from .forms import Found
from .media_types import V1


@dataclass(frozen=True, slots=True)
class EnvironmentJson:
    """The property sources one by one. Version 2 has beside each value its origin in the file, as `line:column`."""

    media_type: str

    def render(self, found: Found) -> bytes:
        document = {
            "name": found.query.application,
            "profiles": [found.query.profile],  # as asked for, in one element
            "label": found.query.label,
            "version": ",".join(found.commits),
            "state": "",
            "propertySources": [
                {
                    "name": source.name,
                    "source": {
                        key: value.value
                        if self.media_type == V1 or not (value.line or source.origin)
                        else {"value": value.value, "origin": source.origin or f"{value.line}:{value.column}"}
                        for key, value in source.values.items()
                    },
                }
                for source in found.sources
            ],
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
