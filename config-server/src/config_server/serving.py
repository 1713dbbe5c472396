"""Answers queries: finds the commits a label means, and keeps serving the last good one when a new one is broken."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .environments import EnvironmentUnreadable, PropertySource, property_sources
from .errors import ConfigurationUnreadable, NothingServed, RepositoryUnusable
from .files import DocumentCache
from .last_good import STALE_ANSWERS, Commits, LastGood
from .queries import Query
from .sources import GitRepository, LabelUnknown
from .wire import environment_json

logger = logging.getLogger(__name__)

_FALLBACK_LABEL = "master"  # as Spring has it, for repositories from before the branch was called main
_MOST_KEPT_BYTES = 32 * 1_048_576
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that is ready to be sent; `broken` is the reason why it is from an older commit, if it is."""

    body: bytes
    commits: Commits
    broken: str | None = None


class ConfigurationService:
    """Finds environments in a repository. Safe for threads; every answer is of the commits that it names."""

    def __init__(self, repository: GitRepository, *, default_label: str, search_paths: Sequence[str]) -> None:
        self._repository = repository
        self._default_label = default_label
        self._search_paths = search_paths
        self._documents = DocumentCache()
        self._answers = _AnswerCache()
        self._last_good = LastGood()

    def is_ready(self) -> str | None:
        """What keeps this from serving the default label, or None."""
        try:
            self._commits_of_default()
        except LabelUnknown as error:
            return f"the repository has no branch, tag or commit {error}"
        return None

    def ready_answer(self, query: Query, media_type: str) -> Answer | None:
        """The answer if it is at hand: costs a look at the label's reference, and nothing else."""
        try:
            return self._answers.get((query, media_type, self._commits_of(query)))
        except (LabelUnknown, RepositoryUnusable):
            return None

    def find_environment(self, query: Query, media_type: str) -> Answer:
        """The answer, put together anew. Raises NothingServed, ConfigurationUnreadable or RepositoryUnusable."""
        try:
            commits = self._commits_of(query)
            answer = self._answer_at(query, media_type, commits)
        except LabelUnknown as error:
            raise NothingServed(f"There is no branch, tag or commit {error}.") from error
        except EnvironmentUnreadable as error:
            answer = self._last_good_answer(query, media_type, commits, str(error))
        except RepositoryUnusable as error:
            return self._last_answer(query, media_type, error)
        else:
            self._last_good.remember(query, commits)
        self._answers.put((query, media_type, commits), answer)
        return answer

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

    def _answer_at(self, query: Query, media_type: str, commits: Commits, broken: str | None = None) -> Answer:
        labels = query.labels or [self._default_label]
        sources: list[PropertySource] = []
        # Of several labels the one listed last is the strongest.
        for label, commit in reversed(list(zip(labels, commits, strict=True))):
            sources += property_sources(
                self._repository.at(commit),
                uri=self._repository.uri,
                search_paths=self._search_paths,
                applications=query.applications,
                profiles=query.profiles,
                label=label,
                read=self._documents.read,
            )
        body = environment_json(
            application=query.application,
            profile=query.profile,
            label=query.label,
            version=",".join(commits),
            sources=sources,
            media_type=media_type,
        )
        return Answer(body, commits, broken)

    def _last_good_answer(self, query: Query, media_type: str, commits: Commits, reason: str) -> Answer:
        """Promise C4: who was served goes on being served when a commit breaks what concerns him."""
        named = ", ".join(commits)
        for good in self._last_good.candidates(query):
            try:
                answer = self._answer_at(query, media_type, good, reason)
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
            raise NothingServed(detail)  # Spring goes on to `master`, and says that there is none
        raise ConfigurationUnreadable(detail)

    def _last_answer(self, query: Query, media_type: str, error: RepositoryUnusable) -> Answer:
        """Promise C3: while the repository is out of reach, what was answered last goes on being answered."""
        for good in self._last_good.candidates(query):
            answer = self._answers.get((query, media_type, good))
            if answer is not None:
                _tell_once("%s in profile %s gets the last answer: %s", query.application, query.profile, error.detail)
                STALE_ANSWERS.inc()
                return Answer(answer.body, answer.commits, error.detail)
        _tell_once("nothing can be served: %s", error.detail)
        raise error


# A client that asks again and again is no reason to say the same again and again.
_tell_once = lru_cache(maxsize=1000)(logger.error)


class _AnswerCache:
    """Ready bodies by what was asked and the commits it meant then; the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Query, str, Commits], Answer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[Query, str, Commits]) -> Answer | None:
        with self._lock:
            answer = self._kept.get(key)
            if answer is not None:
                self._kept.move_to_end(key)
        if answer is not None and answer.broken:
            STALE_ANSWERS.inc()
        return answer

    def put(self, key: tuple[Query, str, Commits], answer: Answer) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = answer
            self._bytes += len(answer.body)
            while self._bytes > _MOST_KEPT_BYTES or len(self._kept) > _MOST_REMEMBERED:
                self._bytes -= len(self._kept.popitem(last=False)[1].body)
