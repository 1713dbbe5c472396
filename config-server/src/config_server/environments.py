"""Puts together one environment: the property sources of an application and its profiles in one snapshot."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname, normpath

from .documents import Document, FileUnreadable, Value
from .precedence import (
    DEFAULT_PROFILE,
    EXTENSIONS,
    Candidate,
    is_profile,
    profile_files,
    profile_variants,
    search_locations,
    shared_files,
)
from .profile_expressions import MalformedExpression, accepts
from .sources import File, Snapshot

# Reads a file's documents, or raises FileUnreadable.
ReadDocuments = Callable[[Snapshot, File], Sequence[Document]]

_MOST_FILES = 500
_MOST_CHARACTERS = 32 * 1_048_576


class EnvironmentUnreadable(Exception):
    """A file that counts here can't be used, so that nothing can be said; the message names file, line and column."""


@dataclass(frozen=True, slots=True)
class PropertySource:
    """The values of one document of one file."""

    name: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class _LoadedDocument:
    candidate: Candidate
    name: str
    document: Document


def property_sources(
    snapshot: Snapshot,
    *,
    uri: str,
    search_paths: Sequence[str],
    applications: Sequence[str],
    profiles: Sequence[str],
    label: str,
    read: ReadDocuments,
) -> list[PropertySource]:
    """What counts for these applications in these profiles, the strongest first. Raises EnvironmentUnreadable."""
    patterns = search_locations(search_paths, applications=applications, profiles=profiles, label=label)
    locations = list(dict.fromkeys(folder for pattern in patterns for folder in snapshot.folders(pattern)))
    return _Assembly(snapshot, uri, read).assemble(locations, applications, profiles)


class _Assembly:
    """One environment being put together: the files that were read, and those in use already."""

    def __init__(self, snapshot: Snapshot, uri: str, read: ReadDocuments) -> None:
        self._snapshot = snapshot
        self._uri = uri
        self._read = read
        self._used: set[str] = set()
        self._characters = 0

    def assemble(
        self, locations: Sequence[str], applications: Sequence[str], profiles: Sequence[str]
    ) -> list[PropertySource]:
        shared = self._load(shared_files(locations, applications))
        # Spring's server takes `default` to mean that no profile is active, and files can't change that.
        asked = [] if list(profiles) == [DEFAULT_PROFILE] else list(dict.fromkeys(profiles))
        active = list(dict.fromkeys([*asked, *self._included(shared)])) if asked else []
        in_effect = active or [DEFAULT_PROFILE]
        special = self._load(profile_files(locations, applications, in_effect))
        if active:
            self._refuse_profiles_in(special)
        weakest_first = [
            PropertySource(loaded.name, loaded.document.values)
            for loaded in self._expanded([*shared, *special], in_effect)
        ]
        return weakest_first[::-1]

    def _load(self, candidates: Sequence[Candidate]) -> list[_LoadedDocument]:
        loaded: list[_LoadedDocument] = []
        for candidate in candidates:
            if candidate.path in self._used or (file := self._snapshot.find(candidate.path)) is None:
                continue
            self._used.add(candidate.path)
            if len(self._used) > _MOST_FILES:
                raise EnvironmentUnreadable(f"more than {_MOST_FILES} files count here")
            try:
                documents = self._read(self._snapshot, file)
            except FileUnreadable as error:
                raise EnvironmentUnreadable(_place(candidate.path, error)) from error
            self._characters += sum(document.characters for document in documents)
            if self._characters > _MOST_CHARACTERS:
                raise EnvironmentUnreadable(f"the files that count here hold more than {_MOST_CHARACTERS} characters")
            for index, document in enumerate(documents):
                if document.texts("spring", "profiles"):
                    raise EnvironmentUnreadable(
                        f"{candidate.path}: spring.profiles is not used any more; spring.config.activate.on-profile is"
                    )
                name = self._name(candidate, index if len(documents) > 1 else None)
                loaded.append(_LoadedDocument(candidate, name, document))
        return loaded

    def _name(self, candidate: Candidate, index: int | None) -> str:
        if index is None:
            return f"{self._uri}/{candidate.path}"
        # As Spring's server leaves the names of such documents, where clients may look for them.
        return (
            f"{self._uri}/Config resource 'file [{self._uri}/{candidate.path}' via location '{candidate.location}' "
            f"(document #{index})"
        )

    def _included(self, shared: Sequence[_LoadedDocument]) -> Iterator[str]:
        for loaded in reversed(shared):
            included = loaded.document.texts("spring", "profiles", "include")
            if included and _condition(loaded.document):
                raise EnvironmentUnreadable(
                    f"{loaded.candidate.path}: spring.profiles.include can't stand beside spring.config.activate"
                )
            for profile in included:
                if not is_profile(profile):
                    raise EnvironmentUnreadable(f"{loaded.candidate.path}: {profile!r} can't be a profile")
                yield profile

    def _refuse_profiles_in(self, special: Sequence[_LoadedDocument]) -> None:
        for loaded in special:
            for key in ("include", "active", "default"):
                if loaded.document.texts("spring", "profiles", key):
                    raise EnvironmentUnreadable(
                        f"{loaded.candidate.path}: spring.profiles.{key} can't stand in a profile's file"
                    )

    def _expanded(self, loaded: Sequence[_LoadedDocument], profiles: Sequence[str]) -> Iterator[_LoadedDocument]:
        """The documents that hold for the profiles, each followed by what it imports (which is stronger)."""
        for document in loaded:
            if not _is_active(document, profiles):
                continue
            yield document
            imports = [
                candidate
                for wanted in document.document.texts("spring", "config", "import")
                for candidate in self._imported(document.candidate, wanted)
            ]
            yield from self._expanded(self._load(imports), profiles)
            variants = [
                variant
                for profile in profiles
                for candidate in imports
                for variant in profile_variants(candidate.path, candidate.location, [profile])
            ]
            yield from self._expanded(self._load(variants), profiles)

    def _imported(self, importer: Candidate, wanted: str) -> Iterator[Candidate]:
        """The file of a `spring.config.import`, which lies in the same commit or nowhere."""
        optional = wanted.startswith("optional:")
        name = wanted.removeprefix("optional:")
        path = normpath(f"{dirname(importer.path)}/{name}".removeprefix("/"))
        inside = not (":" in name or name.startswith("/") or path.startswith("..")) and path.endswith(EXTENSIONS)
        if inside and self._snapshot.find(path) is not None:
            yield Candidate(path, wanted)
        elif not optional:
            raise EnvironmentUnreadable(f"{importer.path}: it imports {wanted}, which is no file of this repository")


def _condition(document: Document) -> bool:
    return bool(_expressions(document) or document.texts("spring", "config", "activate", "on-cloud-platform"))


def _expressions(document: Document) -> list[str]:
    return document.texts("spring", "config", "activate", "on-profile")


def _is_active(loaded: _LoadedDocument, profiles: Sequence[str]) -> bool:
    if loaded.document.texts("spring", "config", "activate", "on-cloud-platform"):
        return False  # the server runs on none
    try:
        verdicts = [accepts(expression, profiles) for expression in _expressions(loaded.document)]
    except MalformedExpression as error:
        raise EnvironmentUnreadable(f"{loaded.candidate.path}: {error} is no profile expression") from error
    return not verdicts or any(verdicts)


def _place(path: str, error: FileUnreadable) -> str:
    place = f"line {error.line}" if error.line else ""
    if place and error.column:
        place += f", column {error.column}"
    return f"{path}{', ' if place else ''}{place}: {error.reason}"
