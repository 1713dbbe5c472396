"""Says for each key who sets it, who else would have and lost, and by which rule. Pure: works on what was traced."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .documents import Value
from .environments import PropertySource, TracedEnvironment
from .explanations import BrokenFile, CountingDocument, Difference, ExplainedKey, Lost, Origin, Rule, SkippedDocument
from .masking import shown, shown_text
from .precedence import Candidate

_INDEXED = re.compile(r"\[[0-9]+\]")


@dataclass(frozen=True, slots=True)
class _Contender:
    """A property source in its place among the others."""

    rank: int  # 0 is the strongest
    environment: int
    label: str
    commit: str
    source: PropertySource

    def origin(self, value: Value) -> Origin:
        candidate = self.source.candidate
        return Origin(
            file=candidate.path if candidate else None,
            document=self.source.number,
            line=value.line or None,
            column=value.column or None,
            label=self.label,
            commit=self.commit,
            profile=candidate.profile if candidate else None,
            imported_by=candidate.importer.path if candidate and candidate.importer else None,
        )

    @property
    def file(self) -> str:
        return self.source.candidate.path if self.source.candidate else "the server's overrides"


class Explainer:
    """Explains one environment, out of what each of its labels has."""

    def __init__(self, traced: Sequence[TracedEnvironment]) -> None:
        self._traced = traced
        self._contenders = list(_ranked(traced))
        self._by_key: dict[str, list[tuple[_Contender, Value]]] = {}
        self._lists: dict[str, _Contender] = {}  # each list by its name, with the strongest one that has elements of it
        for contender in self._contenders:
            for key, value in contender.source.values.items():
                self._by_key.setdefault(key, []).append((contender, value))
                for element in _INDEXED.finditer(key):
                    self._lists.setdefault(key[: element.start()], contender)

    def keys(self, wanted: str = "") -> list[ExplainedKey]:
        """Every key, or one with what is below it, or (`wanted` ends with `*`) those that begin so; in their order."""
        return [self._explain(key) for key in sorted(self._by_key) if _is_wanted(key, wanted)]

    def documents(self) -> list[CountingDocument]:
        return [
            CountingDocument(
                contender.source.candidate.path if contender.source.candidate else None,
                *(contender.source.number, contender.label, contender.commit, len(contender.source.values)),
            )
            for contender in self._contenders
        ]

    def skipped(self) -> list[SkippedDocument]:
        return [
            SkippedDocument(
                document.candidate.path, document.number, traced.label, traced.commit, shown_text(document.reason)
            )
            for traced in self._traced
            for document in traced.trace.inactive
        ]

    def broken(self) -> list[BrokenFile]:
        return [
            BrokenFile(
                fault.path,
                fault.line or None,
                fault.column or None,
                traced.label,
                traced.commit,
                shown_text(fault.reason),
            )
            for traced in self._traced
            for fault in traced.trace.faults
        ]

    def looked_for(self) -> list[str]:
        return list(dict.fromkeys(absent.path for traced in self._traced for absent in traced.trace.absent))

    def commits(self) -> list[str]:
        return [traced.commit for traced in self._traced]

    def differences(self, against: "Explainer", wanted: str = "") -> list[Difference]:
        """What another environment (an earlier commit, another profile) has otherwise."""
        mine, theirs = self._effective(wanted), against._effective(wanted)
        found = []
        for key in sorted({**mine, **theirs}):
            here, there = mine.get(key), theirs.get(key)
            if here and there and (type(here[1].value), here[1].value) == (type(there[1].value), there[1].value):
                continue
            found.append(
                Difference(
                    key,
                    "changed" if here and there else "added" if here else "removed",
                    shown(key, here[1].value) if here else None,
                    here[0].origin(here[1]) if here else None,
                    shown(key, there[1].value) if there else None,
                    there[0].origin(there[1]) if there else None,
                )
            )
        return found

    def _effective(self, wanted: str) -> dict[str, tuple[_Contender, Value]]:
        return {
            key: contenders[0]
            for key, contenders in self._by_key.items()
            if _is_wanted(key, wanted) and self._replaced_by(key, contenders[0][0]) is None
        }

    def _explain(self, key: str) -> ExplainedKey:
        contenders = self._by_key[key]
        winner, value = contenders[0]
        replacing = self._replaced_by(key, winner)
        if replacing is None:
            lost = [self._lost(key, value, contender, winner) for contender, value in contenders[1:]]
            return ExplainedKey(key, shown(key, value.value), winner.origin(value), lost)
        why = f"a list is replaced whole, never element by element, and {replacing.file} has a stronger one"
        return ExplainedKey(
            key,
            None,
            None,
            [Lost(shown(key, value.value), loser.origin(value), "list", why) for loser, value in contenders],
        )

    def _replaced_by(self, key: str, winner: _Contender) -> _Contender | None:
        """Who has a stronger list, so that this element of a weaker one counts for nothing."""
        for element in _INDEXED.finditer(key):
            strongest = self._lists[key[: element.start()]]
            if strongest.rank < winner.rank:
                return strongest
        return None

    def _lost(self, key: str, value: Value, loser: _Contender, winner: _Contender) -> Lost:
        rule, why = _rule_between(winner, loser)
        return Lost(shown(key, value.value), loser.origin(value), rule, why)


def _ranked(traced: Sequence[TracedEnvironment]) -> Iterator[_Contender]:
    rank = 0
    for number, environment in enumerate(traced):
        for source in environment.sources:
            yield _Contender(rank, number, environment.label, environment.commit, source)
            rank += 1


def _is_wanted(key: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return key.startswith(wanted[:-1])
    return not wanted or key == wanted or key.startswith((f"{wanted}.", f"{wanted}["))


def _rule_between(winner: _Contender, loser: _Contender) -> tuple[Rule, str]:
    """Why the one is stronger: the first of the rules, in their order of weight, in which the two differ."""
    strong, weak = winner.source.candidate, loser.source.candidate
    if strong is None or weak is None:
        return "overrides", "what the server overrides is stronger than every file"
    if winner.environment != loser.environment:
        return "label", f"of the labels, {winner.label} was listed after {loser.label}, and the last is the strongest"
    strong_root, weak_root = _root(strong), _root(weak)
    if strong_root.path == weak_root.path:
        return _rule_within_a_file(strong, weak)
    rule, why = _rule_between_files(strong_root, weak_root)
    for candidate, root in ((strong, strong_root), (weak, weak_root)):
        if candidate is not root:
            why += f" ({candidate.path} has the place of {root.path}, which imports it)"
    return rule, why


def _rule_within_a_file(strong: Candidate, weak: Candidate) -> tuple[Rule, str]:
    if strong.path == weak.path:
        return "document", "of the documents of a file, the later is the stronger"
    if strong.importer is not None:
        return "import", f"{strong.path} is imported by {strong.importer.path}, and stronger than what imports it"
    return "document", f"{weak.path} is imported by a document of {strong.path} that comes before this one"


def _rule_between_files(strong: Candidate, weak: Candidate) -> tuple[Rule, str]:
    if strong.profile != weak.profile:
        if weak.profile is None:
            return "profile", f"what is for a profile ({strong.profile}) is stronger than what is for none"
        return "profile", f"of the profiles, {strong.profile} comes after {weak.profile}, and the last is the strongest"
    if strong.location != weak.location:
        return (
            "folder",
            f"{_folder(strong)} is searched after {_folder(weak)}, and of the folders the last is the strongest",
        )
    strong_name, weak_name = _name(strong), _name(weak)
    if strong_name != weak_name:
        return "name", f"{strong_name} is stronger than {weak_name}: shared files first, then the applications in turn"
    return "extension", f"in one folder .{_extension(strong)} is stronger than .{_extension(weak)}"


def _root(candidate: Candidate) -> Candidate:
    while candidate.importer is not None:
        candidate = candidate.importer
    return candidate


def _folder(candidate: Candidate) -> str:
    return f"the folder {candidate.location}" if candidate.location else "the root"


def _name(candidate: Candidate) -> str:
    stem = candidate.path.removeprefix(candidate.location).rpartition(".")[0]
    return stem.removesuffix(f"-{candidate.profile}") if candidate.profile else stem


def _extension(candidate: Candidate) -> str:
    return candidate.path.rpartition(".")[2]
