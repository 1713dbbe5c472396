"""What an explanation says: its parts, as they go out in JSON."""

from dataclasses import dataclass, field
from typing import Literal

from .documents import Scalar

Rule = Literal["overrides", "label", "profile", "folder", "name", "extension", "import", "document", "list"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value is written; `document` counts from 0 and is null in a file of one, as is what is not known."""

    file: str | None
    document: int | None
    line: int | None
    column: int | None
    label: str
    commit: str
    profile: str | None
    imported_by: str | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A value that does not count, and the rule by which it lost."""

    value: Scalar
    set_by: Origin
    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class ExplainedKey:
    """One key; `set_by` is null where a stronger list replaces the one that it is an element of."""

    key: str
    value: Scalar | None
    set_by: Origin | None
    lost: list[Lost]


@dataclass(frozen=True, slots=True)
class CountingDocument:
    file: str | None
    document: int | None
    label: str
    commit: str
    values: int


@dataclass(frozen=True, slots=True)
class SkippedDocument:
    file: str
    document: int | None
    label: str
    commit: str
    reason: str


@dataclass(frozen=True, slots=True)
class BrokenFile:
    file: str
    line: int | None
    column: int | None
    label: str
    commit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that is not the same on both sides; a secret that changed is asterisks on both."""

    key: str
    change: Literal["added", "removed", "changed"]
    value: Scalar | None
    set_by: Origin | None
    against_value: Scalar | None
    against_set_by: Origin | None


@dataclass(frozen=True, slots=True)
class Side:
    """What was asked about."""

    profiles: list[str]
    label: str | None
    commits: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an environment is as it is. Documents come with the strongest first."""

    name: str
    asked: Side
    keys: list[ExplainedKey]
    documents: list[CountingDocument]
    skipped: list[SkippedDocument]
    broken: list[BrokenFile]
    looked_for: list[str]  # files that would count, if they were there
    against: Side | None = None
    differences: list[Difference] = field(default_factory=list)
