"""Remembers which commits could be served last, and counts who is served from an older one than his label means."""

import threading
from collections import OrderedDict

from prometheus_client import Counter, Gauge

from .queries import Query

STALE = Gauge(
    "config_server_stale_environments",
    "Environments served from an older commit, since the new one is broken",
    ["repository"],
)
STALE_ANSWERS = Counter("config_server_stale_answers", "Answers from an older commit than their label means")

_MOST_REMEMBERED = 10_000

Commits = tuple[str, ...]  # one for each label that was asked for


class LastGood:
    """Which commits could be served last, to whom; the ones who were not seen for longest are forgotten."""

    def __init__(self, repository: str) -> None:
        self._count_stale = STALE.labels(repository).set
        self._count_stale(0)
        self._known: OrderedDict[tuple[str | None, str, str | None], Commits] = OrderedDict()
        self._stale: dict[Query, Commits] = {}  # with the commits that could not be served
        self._lock = threading.Lock()

    def remember(self, query: Query, commits: Commits) -> None:
        with self._lock:
            for key in _keys(query):
                self._known[key] = commits
                self._known.move_to_end(key)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
            self._stale.pop(query, None)
            self._forget_mended(query.label, commits)

    def candidates(self, query: Query) -> list[Commits]:
        """The commits to go back to, the best first."""
        with self._lock:
            return list(dict.fromkeys(self._known[key] for key in _keys(query) if key in self._known))

    def mark_stale(self, query: Query, commits: Commits) -> None:
        with self._lock:
            if len(self._stale) < _MOST_REMEMBERED:
                self._stale[query] = commits
            self._forget_mended(query.label, commits)
            STALE_ANSWERS.inc()

    def _forget_mended(self, label: str | None, commits: Commits) -> None:
        # Those who do not ask again must not count for ever: a new commit of the label begins a new count.
        self._stale = {
            query: broken for query, broken in self._stale.items() if query.label != label or broken == commits
        }
        self._count_stale(len(self._stale))


def _keys(query: Query) -> tuple[tuple[str | None, str, str | None], ...]:
    # Under the application alone, too: a profile that is asked for first after the fault is helped as well.
    return (query.label, query.application, query.profile), (query.label, query.application, None)
