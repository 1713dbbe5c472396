"""Checks a configuration repository: reads it as the server would, for every application in every profile."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from .checked_files import ConfigurationFile, configuration_files, opened
from .documents import Document, FileUnreadable, Value
from .environments import EnvironmentUnreadable, Fault, PropertySource, Trace, property_sources
from .files import DocumentCache
from .masking import secret_in_clear, shown_text
from .placeholder_faults import EnvironmentPlaceholders
from .precedence import DEFAULT_PROFILE, SHARED_NAME, Candidate
from .settings_schemas import SettingsSchema
from .sources import Snapshot

# What these say is said to the server.
_FOR_THE_SERVER = ("spring.config.", "spring.profiles.")

_WORD = re.compile(r"[^\s()&|!,]+")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What is wrong, and where; a place that is not known is 1:1, where an editor opens the file."""

    file: str
    line: int
    column: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.what}"


def check(
    path: Path,
    *,
    label: str | None = None,
    search_paths: Sequence[str] = (),
    profiles: Sequence[str] = (),
    schemas: Mapping[str, SettingsSchema] | None = None,
) -> list[Finding]:
    """Everything that is wrong with a folder of configuration files or a Git repository, in the order of its places.

    `profiles`: those that are in use (`dev`, or `dev,eu` for two at once), besides none; by default the ones that the
    files tell of, each alone. Without `schemas` every key counts as known. Raises NothingToCheck.
    """
    with opened(path, label) as (snapshot, links):
        files = configuration_files(
            snapshot, search_paths=search_paths, label=label or "main", known=sorted(schemas or ())
        )
        checking = _Checking(snapshot, files, search_paths, label or "main", schemas or {})
        for link in links:
            checking.add(link, 1, 1, "it is a symbolic link, and the server follows none")
        checking.read_files()
        checking.read_environments(profiles)
        checking.check_keys()
    return sorted(checking.findings)


class _Checking:
    """One check on its way: what was read, and what was found."""

    def __init__(
        self,
        snapshot: Snapshot,
        files: Sequence[ConfigurationFile],
        search_paths: Sequence[str],
        label: str,
        schemas: Mapping[str, SettingsSchema],
    ) -> None:
        self.findings: set[Finding] = set()
        self._snapshot = snapshot
        self._files = files
        self._search_paths = search_paths
        self._label = label
        self._schemas = schemas
        self._cache = DocumentCache()
        self._read: dict[str, Sequence[Document]] = {}
        self._owners: dict[str, set[str]] = {}  # for each file the applications whose settings are in it
        self._asked_for: set[str] = set()  # keys that placeholders ask for
        self._placeholder_faults: dict[Fault, list[str]] = {}  # each with those whom it concerns
        for file in files:
            self._owners.setdefault(file.path, set()).add(file.application)

    def add(self, file: str, line: int, column: int, what: str) -> None:
        self.findings.add(Finding(file, line or 1, column or 1, what))

    def read_files(self) -> None:
        """Read every file, also one that no profile leads to."""
        for file in self._files:
            self._documents(file.path)
            if (meant := self._misspelt(file.application)) is not None:
                self.add(file.path, 1, 1, f"no application is called {file.application}; is {meant} meant?")

    def read_environments(self, profiles: Sequence[str]) -> None:
        """Put together what each application would get in each profile."""
        applications = {file.application for file in self._files} - {SHARED_NAME}
        for application in sorted(applications | set(self._schemas)) or [SHARED_NAME]:
            for profile in [DEFAULT_PROFILE, *(profiles or self._profiles_of(application))]:
                self._read_environment(application, profile)
        for fault, readers in self._placeholder_faults.items():
            others = f" and {len(readers) - 1} more" if len(readers) > 1 else ""
            self._add_fault(replace(fault, reason=f"{fault.reason} (for {readers[0]}{others})"))

    def check_keys(self) -> None:
        """Look at every value of every document that was read."""
        for path, documents in self._read.items():
            for document in documents:
                for key, before, value in document.repeated:
                    what = f"{key} is set twice in one document, also at {before.line}:{before.column}; this counts"
                    self.add(path, value.line, value.column, what)
                for key, value in document.values.items():
                    self._check_key(path, key, value)

    def _documents(self, path: str) -> Sequence[Document]:
        if path not in self._read and (file := self._snapshot.find(path)) is not None:
            try:
                self._read[path] = self._cache.read(self._snapshot, file)
            except FileUnreadable as error:
                self._read[path] = ()
                for fault in (error, *error.further):
                    self._add_fault(Fault(path, fault.reason, fault.line or 0, fault.column or 0))
        return self._read.get(path, ())

    def _add_fault(self, fault: Fault) -> None:
        self.add(fault.path, fault.line, fault.column, shown_text(fault.reason))

    def _profiles_of(self, application: str) -> list[str]:
        """The profiles in the names of files and in the expressions of documents; those of an `&` together, too."""
        found: dict[str, None] = {}
        for file in self._files:
            if file.application not in (application, SHARED_NAME):
                continue
            if file.profile is not None:
                found[file.profile] = None
            for document in self._documents(file.path):
                for expression in document.texts("spring", "config", "activate", "on-profile"):
                    names = _WORD.findall(re.sub(r"!\s*(?:\([^)]*\)|[^\s()&|!,]+)", "", expression))
                    found.update(dict.fromkeys(names))
                    if "&" in expression and names:
                        found[",".join(names)] = None
        return [profile for profile in found if profile != DEFAULT_PROFILE]

    def _read_environment(self, application: str, profile: str) -> None:
        trace = Trace()
        try:
            sources = property_sources(
                self._snapshot,
                uri="",
                search_paths=self._search_paths,
                applications=[application],
                profiles=profile.split(","),
                label=self._label,
                read=self._cache.read,
                trace=trace,
            )
        except EnvironmentUnreadable as error:  # more than a server takes in
            self.add(f"{application}.yml", 1, 1, f"{application} in profile {profile}: {error}")
            return
        for fault in trace.faults:
            self._add_fault(fault)
        read = [*(source.candidate for source in sources), *(skipped.candidate for skipped in trace.inactive)]
        for candidate in read:
            if candidate is not None and candidate.importer is not None:
                self._documents(candidate.path)
                self._owners.setdefault(candidate.path, set()).update(self._owners.get(_root(candidate).path, ()))
        self._check_placeholders(application, profile, sources)

    def _check_placeholders(self, application: str, profile: str, sources: Sequence[PropertySource]) -> None:
        in_force: dict[str, tuple[Candidate | None, Value]] = {}
        for source in reversed(sources):
            in_force |= {key: (source.candidate, value) for key, value in source.values.items()}
        placeholders = EnvironmentPlaceholders({key: value.value for key, (_candidate, value) in in_force.items()})
        for candidate, value in in_force.values():
            if candidate is not None and isinstance(value.value, str) and "${" in value.value:
                for reason in placeholders.faults(value.value):
                    fault = Fault(candidate.path, reason, value.line, value.column)
                    self._placeholder_faults.setdefault(fault, []).append(f"{application} in profile {profile}")
        self._asked_for |= {key for key in in_force if placeholders.asks_for(key)}

    def _check_key(self, path: str, key: str, value: Value) -> None:
        if key.startswith(_FOR_THE_SERVER):
            return
        schemas = self._schemas_for(path)
        is_secret = any(schema.is_secret(key) for schema in schemas.values())
        if (secret := secret_in_clear(key, value.value, declared_secret=is_secret)) is not None:
            self.add(path, value.line, value.column, secret)
        if not schemas or key in self._asked_for or any(schema.field(key) is not None for schema in schemas.values()):
            return
        readers = "any application" if self._is_shared(path) else " or ".join(schemas)
        nearest = next((near for schema in schemas.values() if (near := schema.nearest(key))), None)
        self.add(path, value.line, value.column, f"{key} is no setting of {readers}" + _meant(nearest))

    def _schemas_for(self, path: str) -> Mapping[str, SettingsSchema]:
        """Whose settings can be in a file; nobody's where an application that reads it has told nothing."""
        if self._is_shared(path):
            readers = {file.application for file in self._files if self._misspelt(file.application) is None}
            readers.discard(SHARED_NAME)
            return self._schemas if readers <= self._schemas.keys() else {}
        owners = self._owners.get(path, set())
        return {name: self._schemas[name] for name in sorted(owners)} if owners <= self._schemas.keys() else {}

    def _misspelt(self, application: str) -> str | None:
        """Which application is probably meant by a name that begins nearly like it."""
        if application in self._schemas or application == SHARED_NAME:
            return None
        parts = application.split("-")
        beginnings = ("-".join(parts[: count + 1]) for count in range(len(parts)))
        near = (get_close_matches(beginning, self._schemas, n=1, cutoff=0.85) for beginning in beginnings)
        return next((matches[0] for matches in near if matches), None)

    def _is_shared(self, path: str) -> bool:
        return SHARED_NAME in self._owners.get(path, ())


def _root(candidate: Candidate) -> Candidate:
    while candidate.importer is not None:
        candidate = candidate.importer
    return candidate


def _meant(nearest: str | None) -> str:
    return f"; is {nearest} meant?" if nearest else ""
