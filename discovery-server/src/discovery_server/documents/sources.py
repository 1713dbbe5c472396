"""What documents are made of: everything or what changed lately, of this registry or of other regions' as well."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from discovery_server.registry.instance import Instance
from discovery_server.registry.leases import hash_code
from discovery_server.registry.registry import Registry

_FULL_VERSION = 1  # what Eureka calls every full answer

Applications = Mapping[str, Sequence[Instance]]


class Source(Protocol):
    """Some applications, and what a document says of them."""

    @property
    def version(self) -> int:
        """Grows with each change."""

    @property
    def shown_version(self) -> int:
        """As `versions__delta`: readers skip a delta that has the one of the last."""

    @property
    def hash_code(self) -> str: ...

    def marks(self) -> Mapping[str, object]:
        """The names of the applications, each with something that changes when it does."""

    def read(self, app: str) -> Sequence[Instance]: ...


class Elsewhere(Protocol):
    """The registries of other regions, as far as they are known here."""

    @property
    def names(self) -> Collection[str]:
        """Of the regions, in lower case."""

    @property
    def version(self) -> int: ...

    def applications(self, regions: Sequence[str]) -> Applications: ...

    def changes(self, regions: Sequence[str]) -> Applications: ...


class Everything:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.shown_version = _FULL_VERSION

    @property
    def version(self) -> int:
        return self._registry.version

    @property
    def hash_code(self) -> str:
        return self._registry.hash_code

    def marks(self) -> Mapping[str, object]:
        return self._registry.application_versions()

    def read(self, app: str) -> Sequence[Instance]:
        return self._registry.application(app)


class Changes:
    """With the hash code of everything, as readers compare what they then have."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: tuple[int, Applications] = (-1, {})

    @property
    def version(self) -> int:
        return self._registry.version

    @property
    def shown_version(self) -> int:
        return self._registry.version

    @property
    def hash_code(self) -> str:
        return self._registry.hash_code

    def marks(self) -> Applications:
        if self._known[0] != self._registry.version:
            self._known = (self._registry.version, self._registry.changes())
        return self._known[1]

    def read(self, app: str) -> Sequence[Instance]:
        return self.marks()[app]


class Merged:
    """This registry's applications, each with its instances elsewhere after its own."""

    def __init__(self, registry: Registry, elsewhere: Elsewhere, regions: Sequence[str], *, changes: bool) -> None:
        self._registry = registry
        self._elsewhere = elsewhere
        self._regions = regions
        self._changes = changes
        self._known: tuple[int, Applications, str] = (-1, {}, "")

    @property
    def version(self) -> int:
        return self._registry.version + self._elsewhere.version

    @property
    def shown_version(self) -> int:
        return self.version if self._changes else _FULL_VERSION

    @property
    def hash_code(self) -> str:
        return self._merged()[2]

    def marks(self) -> Applications:
        return self._merged()[1]

    def read(self, app: str) -> Sequence[Instance]:
        return self.marks()[app]

    def _merged(self) -> tuple[int, Applications, str]:
        if self._known[0] != self.version:
            everything = _join(self._registry.applications(), self._elsewhere.applications(self._regions))
            shown = everything
            if self._changes:
                shown = _join(self._registry.changes(), self._elsewhere.changes(self._regions))
            self._known = (self.version, shown, hash_code(everything))
        return self._known


def _join(here: Applications, there: Applications) -> dict[str, list[Instance]]:
    joined = {app: list(instances) for app, instances in here.items()}
    for app, instances in there.items():
        joined.setdefault(app, []).extend(instances)
    return joined
