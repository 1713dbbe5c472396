"""Puts together one environment: the property sources of an application and its profiles in one snapshot."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
class Fault:
    """What is wrong with a file, and where; lines and columns count from 1, and are 0 where they are not known."""

    path: str
    reason: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f", line {self.line}" if self.line else ""
        if self.line and self.column:
            place += f", column {self.column}"
        return f"{self.path}{place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class PropertySource:
    """The values of one document of one file; `number` is its place in a file of several.

    `origin` is said of all of them where they are from no file.
    """

    name: str
    values: Mapping[str, Value]
    candidate: Candidate | None = None
    number: int | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class InactiveDocument:
    """A document that was read and does not count, and why."""

    candidate: Candidate
    number: int | None
    reason: str


@dataclass(slots=True)
class Trace:
    """What happened while an environment was put together, for those who want to know why it is as it is.

    Without a trace a fault is raised; with one it is noted, and what is at fault is left out.
    """

    absent: list[Candidate] = field(default_factory=list)  # would count, if they were there
    inactive: list[InactiveDocument] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TracedEnvironment:
    """The property sources that a label has at its commit, the strongest first, and how they came to be."""

    label: str
    commit: str
    sources: Sequence[PropertySource]
    trace: Trace


@dataclass(frozen=True, slots=True)
class _LoadedDocument:
    candidate: Candidate
    name: str
    document: Document
    number: int | None


def property_sources(
    snapshot: Snapshot,
    *,
    uri: str,
    search_paths: Sequence[str],
    applications: Sequence[str],
    profiles: Sequence[str],
    label: str,
    read: ReadDocuments,
    trace: Trace | None = None,
) -> list[PropertySource]:
    """What counts for these applications in these profiles, the strongest first. Raises EnvironmentUnreadable."""
    patterns = search_locations(search_paths, applications=applications, profiles=profiles, label=label)
    locations = list(dict.fromkeys(folder for pattern in patterns for folder in snapshot.folders(pattern)))
    return _Assembly(snapshot, uri, read, trace).assemble(locations, applications, profiles)


class _Assembly:
    """One environment being put together: the files that were read, and those in use already."""

    def __init__(self, snapshot: Snapshot, uri: str, read: ReadDocuments, trace: Trace | None) -> None:
        self._snapshot = snapshot
        self._uri = uri
        self._read = read
        self._trace = trace
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
            PropertySource(loaded.name, loaded.document.values, loaded.candidate, loaded.number)
            for loaded in self._expanded([*shared, *special], in_effect)
        ]
        return weakest_first[::-1]

    def _load(self, candidates: Sequence[Candidate]) -> list[_LoadedDocument]:
        loaded: list[_LoadedDocument] = []
        for candidate in candidates:
            if candidate.path in self._used:
                continue
            if (file := self._snapshot.find(candidate.path)) is None:
                if self._trace is not None:
                    self._trace.absent.append(candidate)
                continue
            self._used.add(candidate.path)
            if len(self._used) > _MOST_FILES:
                raise EnvironmentUnreadable(f"more than {_MOST_FILES} files count here")
            try:
                documents = self._read(self._snapshot, file)
            except FileUnreadable as error:
                self._refuse(Fault(candidate.path, error.reason, error.line or 0, error.column or 0), error)
                continue
            self._characters += sum(document.characters for document in documents)
            if self._characters > _MOST_CHARACTERS:
                raise EnvironmentUnreadable(f"the files that count here hold more than {_MOST_CHARACTERS} characters")
            for index, document in enumerate(documents):
                number = index if len(documents) > 1 else None
                if legacy := document.entries("spring", "profiles"):
                    reason = "spring.profiles is not used any more; spring.config.activate.on-profile is"
                    self._refuse(_fault(candidate, reason, legacy[0][1]))
                    continue
                loaded.append(_LoadedDocument(candidate, self._name(candidate, number), document, number))
        return loaded

    def _refuse(self, fault: Fault, cause: Exception | None = None) -> None:
        if self._trace is None:
            raise EnvironmentUnreadable(str(fault)) from cause
        self._trace.faults.append(fault)

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
            included = loaded.document.entries("spring", "profiles", "include")
            if included and _condition(loaded.document):
                reason = "spring.profiles.include can't stand beside spring.config.activate"
                self._refuse(_fault(loaded.candidate, reason, included[0][1]))
                continue
            for profile, value in included:
                if is_profile(profile):
                    yield profile
                else:
                    self._refuse(_fault(loaded.candidate, f"{profile!r} can't be a profile", value))

    def _refuse_profiles_in(self, special: Sequence[_LoadedDocument]) -> None:
        for loaded in special:
            for key in ("include", "active", "default"):
                for _profile, value in loaded.document.entries("spring", "profiles", key)[:1]:
                    reason = f"spring.profiles.{key} can't stand in a profile's file"
                    self._refuse(_fault(loaded.candidate, reason, value))

    def _expanded(self, loaded: Sequence[_LoadedDocument], profiles: Sequence[str]) -> Iterator[_LoadedDocument]:
        """The documents that hold for the profiles, each followed by what it imports (which is stronger)."""
        for document in loaded:
            if (reason := self._why_inactive(document, profiles)) is not None:
                if self._trace is not None:
                    self._trace.inactive.append(InactiveDocument(document.candidate, document.number, reason))
                continue
            yield document
            imports = [
                candidate
                for wanted, value in document.document.entries("spring", "config", "import")
                for candidate in self._imported(document.candidate, wanted, value)
            ]
            yield from self._expanded(self._load(imports), profiles)
            variants = [
                replace(variant, importer=document.candidate)
                for profile in profiles
                for candidate in imports
                for variant in profile_variants(candidate.path, candidate.location, [profile])
            ]
            yield from self._expanded(self._load(variants), profiles)

    def _why_inactive(self, loaded: _LoadedDocument, profiles: Sequence[str]) -> str | None:
        if loaded.document.texts("spring", "config", "activate", "on-cloud-platform"):
            return "spring.config.activate.on-cloud-platform is set, and the server runs on none"
        expressions = _expressions(loaded.document)
        verdicts = [not expressions]
        for expression, value in expressions:
            try:
                verdicts.append(accepts(expression, profiles))
            except MalformedExpression as error:
                self._refuse(_fault(loaded.candidate, f"{error} is no profile expression", value), error)
        if any(verdicts):
            return None
        asked_for = " or ".join(expression for expression, _value in expressions)
        return f"it is for profile {asked_for}, and what holds is {', '.join(profiles)}"

    def _imported(self, importer: Candidate, wanted: str, value: Value) -> Iterator[Candidate]:
        """The file of a `spring.config.import`, which lies in the same commit or nowhere."""
        optional = wanted.startswith("optional:")
        name = wanted.removeprefix("optional:")
        path = normpath(f"{dirname(importer.path)}/{name}".removeprefix("/"))
        inside = not (":" in name or name.startswith("/") or path.startswith("..")) and path.endswith(EXTENSIONS)
        if inside and self._snapshot.find(path) is not None:
            yield Candidate(path, wanted, importer=importer)
        elif not optional:
            self._refuse(_fault(importer, f"it imports {wanted}, which is no file of this repository", value))


def _condition(document: Document) -> bool:
    return bool(_expressions(document) or document.texts("spring", "config", "activate", "on-cloud-platform"))


def _expressions(document: Document) -> list[tuple[str, Value]]:
    return document.entries("spring", "config", "activate", "on-profile")


def _fault(candidate: Candidate, reason: str, value: Value) -> Fault:
    return Fault(candidate.path, reason, value.line, value.column)
