"""Answers queries: finds the commits a label means, and keeps serving the last good one when a new one is broken."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import blake2b

from .decryption import DecryptedSources, decrypt_values
from .encryption import KeyRing
from .environments import EnvironmentUnreadable, PropertySource, Trace, TracedEnvironment, property_sources
from .errors import ConfigurationUnreadable, DefaultUnreadable, LabelMissing, RepositoryUnusable
from .files import DocumentCache
from .forms import Form, Found
from .last_good import STALE_ANSWERS, Commits, LastGood
from .precedence import search_locations
from .queries import Query
from .sources import GitRepository, LabelUnknown

logger = logging.getLogger(__name__)

_FALLBACK_LABEL = "master"  # as Spring has it, for repositories from before the branch was called main
_MOST_KEPT_BYTES = 32 * 1_048_576
_MOST_REMEMBERED = 10_000
_LARGEST_RESOURCE_BYTES = 16 * 1_048_576


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that is ready to be sent; `broken` is the reason why it is from an older commit, if it is.

    `secrets` are the keys whose values were decrypted for it; `changed_at` is when the commits were made, in seconds.
    """

    body: bytes
    etag: str  # of the body alone: what a commit does not change, the client need not fetch again
    commits: Commits
    changed_at: int
    broken: str | None = None
    secrets: tuple[str, ...] = ()


class ConfigurationService:
    """Finds environments in a repository. Safe for threads; every answer is of the commits that it names."""

    def __init__(
        self,
        repository: GitRepository,
        *,
        default_label: str,
        search_paths: Sequence[str],
        key_ring: KeyRing | None = None,
        overrides: Sequence[PropertySource] = (),
        name: str = "default",
    ) -> None:
        self._repository = repository
        self._default_label = default_label
        self._search_paths = search_paths
        self._key_ring = key_ring
        self._overrides = overrides
        self._documents = DocumentCache()
        self._answers = _AnswerCache()
        self._last_good = LastGood(name)

    def is_ready(self) -> str | None:
        """What keeps this from serving the default label, or None."""
        try:
            self._commits_of_default()
        except LabelUnknown as error:
            return f"the repository has no branch, tag or commit {error}"
        return None

    def default_commit(self) -> str:
        """The commit that is served without a label. Raises LabelUnknown or RepositoryUnusable."""
        return self._commits_of_default()[0]

    def ready_answer(self, query: Query, form: Form) -> Answer | None:
        """The answer if it is at hand: costs a look at the label's reference, and nothing else."""
        try:
            return self._answers.get((query, form, self._commits_of(query)))
        except (LabelUnknown, RepositoryUnusable):
            return None

    def find_answer(self, query: Query, form: Form) -> Answer:
        """The answer, put together anew. Raises NothingServed, ConfigurationUnreadable or RepositoryUnusable."""
        try:
            commits = self._commits_of(query)
            answer = self._answer_at(query, form, commits)
        except LabelUnknown as error:
            raise LabelMissing(f"There is no branch, tag or commit {error}.") from error
        except EnvironmentUnreadable as error:
            answer = self._last_good_answer(query, form, commits, str(error))
        except RepositoryUnusable as error:
            return self._last_answer(query, form, error)
        self._answers.put((query, form, commits), answer)
        return answer

    def trace_environment(self, query: Query) -> list[TracedEnvironment]:
        """What each label has and why, the strongest label first, whatever is at fault in the files.

        Always what the labels mean now, not what was served last. Raises as `find_answer` does.
        """
        try:
            commits = self._commits_of(query)
            traced: list[TracedEnvironment] = []
            for label, commit in self._strongest_first(query, commits):
                trace = Trace()
                overrides = () if traced else self._overrides
                sources = [*overrides, *self._sources_at(query, label, commit, trace)]
                traced.append(TracedEnvironment(label, commit, sources, trace))
            return traced
        except LabelUnknown as error:
            raise LabelMissing(f"There is no branch, tag or commit {error}.") from error
        except EnvironmentUnreadable as error:
            raise ConfigurationUnreadable(f"{error}.") from error

    def _commits_of(self, query: Query) -> Commits:
        if query.labels is None or query.labels == [self._default_label]:
            return self._commits_of_default()
        return tuple(self._repository.commit_of(label) for label in query.labels)

    def _commits_of_default(self) -> Commits:
        try:
            return (self._repository.commit_of(self._default_label),)
        except LabelUnknown:
            try:
                return (self._repository.commit_of(_FALLBACK_LABEL),)
            except LabelUnknown:
                raise LabelUnknown(self._default_label) from None

    def _answer_at(self, query: Query, form: Form, commits: Commits, broken: str | None = None) -> Answer:
        found = Found(
            query,
            commits,
            read_sources=partial(self._sources_of_answer, query, commits),
            read_file=partial(self._read_file, query, commits),
        )
        body = form.render(found)
        if found.is_whole and not broken:
            self._last_good.remember(query, commits)
        changed_at = max(self._repository.changed_at(commit) for commit in commits)
        return Answer(
            body, f'"{blake2b(body, digest_size=16).hexdigest()}"', commits, changed_at, broken, found.secrets
        )

    def _sources_of_answer(self, query: Query, commits: Commits) -> DecryptedSources:
        """All that is done to the property sources of one answer, whatever form it then gets."""
        sources: list[PropertySource] = []
        for label, commit in self._strongest_first(query, commits):
            sources += self._sources_at(query, label, commit)
        decrypted = decrypt_values(sources, self._key_ring)
        return replace(decrypted, sources=[*self._overrides, *decrypted.sources])

    def _read_file(self, query: Query, commits: Commits, names: Sequence[str]) -> bytes | None:
        """The first file of these names, in the first of the folders that has one of them."""
        for label, commit in self._strongest_first(query, commits):
            snapshot = self._repository.at(commit)
            patterns = search_locations(
                self._search_paths, applications=query.applications, profiles=query.profiles, label=label
            )
            for folder in dict.fromkeys(folder for pattern in patterns for folder in snapshot.folders(pattern)):
                for name in names:
                    file = snapshot.find(folder + name)
                    if file is not None:
                        return snapshot.read(file, largest_bytes=_LARGEST_RESOURCE_BYTES)
        return None

    def _strongest_first(self, query: Query, commits: Commits) -> list[tuple[str, str]]:
        # Of several labels the one listed last is the strongest.
        return list(zip(query.labels or [self._default_label], commits, strict=True))[::-1]

    def _sources_at(self, query: Query, label: str, commit: str, trace: Trace | None = None) -> list[PropertySource]:
        return property_sources(
            self._repository.at(commit),
            uri=self._repository.uri,
            search_paths=self._search_paths,
            applications=query.applications,
            profiles=query.profiles,
            label=label,
            read=self._documents.read,
            trace=trace,
        )

    def _last_good_answer(self, query: Query, form: Form, commits: Commits, reason: str) -> Answer:
        """Promise C4: who was served goes on being served when a commit breaks what concerns him."""
        named = ", ".join(commits)
        for good in self._last_good.candidates(query):
            try:
                answer = self._answer_at(query, form, good, reason)
            except EnvironmentUnreadable:
                continue
            _tell_once(
                "commit %s can't be served to %s in profile %s, which goes on with commit %s: %s",
                *(named, query.application, query.profile, ", ".join(good), reason),
            )
            self._last_good.mark_stale(query, commits)
            return answer
        detail = f"At commit {named}: {reason}."
        _tell_once("nothing can be served to %s in profile %s: %s", query.application, query.profile, detail)
        if query.labels is None or query.labels == [self._default_label]:
            raise DefaultUnreadable(detail)  # Spring goes on to `master`, and says that there is none
        raise ConfigurationUnreadable(detail)

    def _last_answer(self, query: Query, form: Form, error: RepositoryUnusable) -> Answer:
        """Promise C3: while the repository is out of reach, what was answered last goes on being answered."""
        for good in self._last_good.candidates(query):
            answer = self._answers.get((query, form, good))
            if answer is not None:
                _tell_once("%s in profile %s gets the last answer: %s", query.application, query.profile, error.detail)
                STALE_ANSWERS.inc()
                return replace(answer, broken=error.detail)
        _tell_once("nothing can be served: %s", error.detail)
        raise error


# A client that asks again and again is no reason to say the same again and again.
_tell_once = lru_cache(maxsize=1000)(logger.error)


class _AnswerCache:
    """Ready bodies by what was asked and the commits it meant then; the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Query, Form, Commits], Answer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[Query, Form, Commits]) -> Answer | None:
        with self._lock:
            answer = self._kept.get(key)
            if answer is not None:
                self._kept.move_to_end(key)
        if answer is not None and answer.broken:
            STALE_ANSWERS.inc()
        return answer

    def put(self, key: tuple[Query, Form, Commits], answer: Answer) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = answer
            self._bytes += len(answer.body)
            while self._bytes > _MOST_KEPT_BYTES or len(self._kept) > _MOST_REMEMBERED:
                self._bytes -= len(self._kept.popitem(last=False)[1].body)
