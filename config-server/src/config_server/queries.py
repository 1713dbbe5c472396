"""What a client asks for: applications, profiles and labels, taken out of the path and checked."""

import re
from dataclasses import dataclass
from typing import Self

from chassis.problems import BadRequest

from .errors import NothingServed
from .precedence import is_profile

_MOST_PARTS = 20
_LONGEST = 1000

# In a name that becomes a file name these can only be an attempt at something else.
_NEVER_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f\\%#;:{}*?<>|\"]")

# A profile that looks like a file name belongs to the flat formats (Spring's route has this expression).
_LOOKS_LIKE_A_FILE = re.compile(r"\b\.(?:ya?ml|properties|json)\b")


@dataclass(frozen=True, slots=True)
class Query:
    """One request for an environment; the names are as they go back in the answer."""

    application: str
    profile: str
    label: str | None

    @classmethod
    def of(cls, application: str, profile: str, label: str | None) -> Self:
        """A query from the segments of a path. Raises BadRequest, or NothingServed for a bad profile, as Spring does.

        `(_)` stands for a slash in an application and in a label.
        """
        query = cls(_with_slashes(application), profile, None if label is None else _with_slashes(label))
        if any(len(part) > _LONGEST for part in (application, profile, label or "")):
            raise BadRequest(f"A part of the path is longer than {_LONGEST} characters.")
        if any(len(parts) > _MOST_PARTS for parts in (query.applications, query.profiles, query.labels or ())):
            raise BadRequest(f"At most {_MOST_PARTS} applications, profiles or labels can be asked for at once.")
        if not query.applications:
            raise BadRequest("The path names no application.")
        for name in query.applications:
            _check("application", name)
        for name in query.labels or ():
            _check("label", name)
        for name in query.profiles:
            if not is_profile(name):
                raise NothingServed(
                    f"{name!r} can't be a profile: letters, digits and -_.+@ make one, between letters or digits."
                )
        return query

    @property
    def applications(self) -> list[str]:
        return [name for name in self.application.split(",") if name]

    @property
    def profiles(self) -> list[str]:
        return self.profile.split(",")

    @property
    def labels(self) -> list[str] | None:
        return None if self.label is None else self.label.split(",")


def is_file_name(profile: str) -> bool:
    """Whether a profile is meant as a file: `prod.yml`."""
    return _LOOKS_LIKE_A_FILE.search(profile) is not None


def _with_slashes(segment: str) -> str:
    return segment.replace("(_)", "/")


def _check(what: str, name: str) -> None:
    if any(part in ("", ".", "..", ".git") for part in name.split("/")):
        raise BadRequest(f"The {what} may not be empty, begin or end with (_), or contain '..'.")
    if (found := _NEVER_IN_A_NAME.search(name)) is not None:
        raise BadRequest(f"The {what} may not contain {found[0]!r}.")
