"""What an answer is made of, and what the forms have in common that it can be given."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

from chassis.problems import BadRequest

from .decryption import DecryptedSources
from .documents import java_text
from .environments import PropertySource
from .placeholders import PlaceholdersUnresolvable, resolve_placeholders
from .queries import Query


class Found:
    """What the commits of one answer hold for a query. Nothing is read that no form asks for."""

    def __init__(
        self,
        query: Query,
        commits: tuple[str, ...],
        *,
        read_sources: Callable[[], DecryptedSources],
        read_file: Callable[[Sequence[str]], bytes | None],
    ) -> None:
        self.query = query
        self.commits = commits
        self.read_file = read_file  # the first of these names that is there, or None
        self._read_sources = read_sources
        self._read: DecryptedSources | None = None

    @property
    def sources(self) -> list[PropertySource]:
        """The property sources, the strongest first. Raises EnvironmentUnreadable."""
        if self._read is None:
            self._read = self._read_sources()
        return self._read.sources

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys of what was decrypted for this answer."""
        return self._read.secrets if self._read else ()

    @property
    def is_whole(self) -> bool:
        """Whether the property sources were read, and so are known to be readable."""
        return self._read is not None

    def resolve(self, text: str) -> str:
        """A text with its placeholders replaced, out of this environment alone. Raises BadRequest, as Spring does."""
        try:
            return resolve_placeholders(text, self._texts.get)
        except PlaceholdersUnresolvable as error:
            raise BadRequest(f"{error}; with ?resolvePlaceholders=false they stay as they are.") from error

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {
            key: java_text(value.value) for source in reversed(self.sources) for key, value in source.values.items()
        }


class Form(Protocol):
    """A form of answer; those that are equal make equal answers."""

    def __hash__(self) -> int: ...

    def render(self, found: Found) -> bytes:
        """The body. Raises EnvironmentUnreadable, or the Problem that is answered in its place."""
