"""Which value wins: the order of files, from the weakest to the strongest. Pure: knows names, not files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# In one place the later extension wins (Boot's StandardConfigDataLocationResolver and its order of loaders).
EXTENSIONS = (".yaml", ".yml", ".xml", ".properties")

SHARED_NAME = "application"
DEFAULT_PROFILE = "default"

# Spring Boot's rule for names of profiles.
_PROFILE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9\-_.+@]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that counts if it is there."""

    path: str
    location: str
    profile: str | None = None
    importer: "Candidate | None" = None


def is_profile(name: str) -> bool:
    """Whether this can be the name of a profile."""
    return _PROFILE.fullmatch(name) is not None


def shared_files(locations: Sequence[str], applications: Sequence[str]) -> list[Candidate]:
    """The files that count whatever the profile, weakest first: the location outside, the name inside."""
    return _once(
        Candidate(path, location)
        for location in locations
        for name in _names(applications)
        for path in _paths(location, name)
    )


def profile_files(locations: Sequence[str], applications: Sequence[str], profiles: Sequence[str]) -> list[Candidate]:
    """The files of the profiles, weakest first: the profile outermost, then the location, the name innermost."""
    return _once(
        Candidate(path, location, profile)
        for profile in profiles
        for location in locations
        for name in _names(applications)
        for path in _paths(location, f"{name}-{profile}")
    )


def profile_variants(path: str, location: str, profiles: Sequence[str]) -> list[Candidate]:
    """The files beside an imported file that belong to the profiles: `extra.yml` has `extra-dev.yml`."""
    stem, dot, extension = path.rpartition(".")
    return [Candidate(f"{stem}-{profile}{dot}{extension}", location, profile) for profile in profiles]


def search_locations(
    patterns: Sequence[str], *, applications: Sequence[str], profiles: Sequence[str], label: str
) -> list[str]:
    """The folders that are searched, weakest first: the root, then each search path with its placeholders filled.

    Written with a slash at the end; the root is the empty string.
    """
    found = dict.fromkeys([""])
    for pattern in patterns:
        for profile in profiles:
            for application in applications:
                location = (
                    pattern.replace("{application}", application)
                    .replace("{profile}", profile)
                    .replace("{label}", label)
                )
                found[f"{location.strip('/')}/".removeprefix("/")] = None
    return list(found)


def _names(applications: Sequence[str]) -> list[str]:
    return [SHARED_NAME, *applications]


def _paths(location: str, name: str) -> Iterator[str]:
    return (f"{location}{name}{extension}" for extension in EXTENSIONS)


def _once(candidates: Iterator[Candidate]) -> list[Candidate]:
    """A file that comes up twice counts where it is stronger."""
    listed = list(candidates)
    last = {candidate.path: index for index, candidate in enumerate(listed)}
    return [candidate for index, candidate in enumerate(listed) if last[candidate.path] == index]
