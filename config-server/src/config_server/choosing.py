"""Chooses the repository that a query is for, as Spring does: by patterns of applications and profiles."""

import fnmatch
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

from chassis.problems import Problem

from .environments import TracedEnvironment
from .errors import ConfigurationUnreadable, DefaultUnreadable, LabelMissing, RepositoryUnusable
from .forms import Form
from .queries import Query
from .serving import Answer, ConfigurationService

logger = logging.getLogger(__name__)

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Choice:
    """A repository that may be chosen; `stale_reason` says why what it has may be out of date, if it may."""

    name: str
    service: ConfigurationService
    stale_reason: Callable[[], str | None]
    patterns: Sequence[str] = ()


class Configurations:
    """Environments out of several repositories. Safe for threads.

    All that match are asked in their order until one can answer, and then the default one. An answer in place of one
    that could not be read is marked as such; a label that a repository does not have is nothing to be marked.
    """

    def __init__(self, default: Choice, others: Sequence[Choice] = ()) -> None:
        self._default = default
        self._others = [(_expression(choice.patterns or [choice.name]), choice) for choice in others]

    def ready_answer(self, query: Query, form: Form) -> Answer | None:
        """The answer of the first that matches, if it is at hand."""
        choice = self._in_order(query)[0]
        answer = choice.service.ready_answer(query, form)
        return None if answer is None else _marked(answer, choice.stale_reason())

    def find_answer(self, query: Query, form: Form) -> Answer:
        """The answer. Raises NothingServed, ConfigurationUnreadable or RepositoryUnusable."""

        def ask(choice: Choice) -> Answer:
            service = choice.service
            answer = service.ready_answer(query, form) or service.find_answer(query, form)
            return _marked(answer, choice.stale_reason())

        answer, failure = self._first(query, ask)
        return _marked(answer, failure)

    def trace_environment(self, query: Query) -> list[TracedEnvironment]:
        """See ConfigurationService.trace_environment."""
        return self._first(query, lambda choice: choice.service.trace_environment(query))[0]

    def _first(self, query: Query, ask: Callable[[Choice], _Found]) -> tuple[_Found, str | None]:
        """What the first has that can answer, and what was wrong with those before it, if something was."""
        failure: Problem | None = None
        *chosen, last = self._in_order(query)
        for choice in chosen:
            try:
                return ask(choice), None if failure is None else failure.detail
            except LabelMissing:
                continue
            except (DefaultUnreadable, ConfigurationUnreadable, RepositoryUnusable) as error:
                failure = failure or error
                _tell_once(
                    "%s in profile %s is not served out of repository %s: %s",
                    *(query.application, query.profile, choice.name, error.detail),
                )
        try:
            return ask(last), None if failure is None else failure.detail
        except LabelMissing as error:
            # The label may well be in the one that can't be read: 404 would tell clients that there is nothing.
            raise failure or error from error

    def _in_order(self, query: Query) -> list[Choice]:
        matching = [choice for expression, choice in self._others if _matches(expression, query)]
        return [*matching, self._default]


# A client that asks again and again is no reason to say the same again and again.
_tell_once = lru_cache(maxsize=1000)(logger.error)


def _matches(expression: re.Pattern[str], query: Query) -> bool:
    return any(expression.fullmatch(f"{query.application}/{profile}") for profile in reversed(query.profiles))


def _expression(patterns: Sequence[str]) -> re.Pattern[str]:
    """Patterns like `order*/prod*`, where `*` is any text; without a profile they are for all."""
    whole = [pattern if "/" in pattern else f"{pattern}/*" for pattern in patterns]
    whole += [f"{pattern},*" for pattern in whole if not pattern.endswith("*")]
    # Nothing but `*` has a meaning; `fnmatch` makes an expression that does not try again and again.
    return re.compile("|".join(fnmatch.translate(re.sub(r"[\[?]", r"[\g<0>]", pattern)) for pattern in whole))


def _marked(answer: Answer, reason: str | None) -> Answer:
    return answer if reason is None or answer.broken else replace(answer, broken=reason)
