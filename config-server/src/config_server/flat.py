"""One environment as one set of keys, flat or nested, by the rules of Spring's flat formats."""

import re
from collections.abc import Mapping, Sequence

from .documents import MOST_VALUES, Scalar
from .environments import PropertySource

Node = Scalar | None | list["Node"] | dict[str, "Node"]

_JAVA_INT = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_LARGEST_JAVA_INT = 2**31 - 1


class KeyMalformed(Exception):
    """A key can't be read as a path of names and indexes."""


class KeysContradict(Exception):
    """Two keys want different things of one place, such as a list and a map."""


def merged(sources: Sequence[PropertySource]) -> dict[str, Scalar]:
    """The strongest value of each key, out of sources with the strongest first.

    Keys stand in the order in which they are seen from the weakest source on, those with an index after all others. A
    source that has any element of a list replaces the whole list.
    """
    plain: dict[str, Scalar] = {}
    lists: dict[str, dict[str, Scalar]] = {}
    for source in reversed(sources):
        own_lists: dict[str, dict[str, Scalar]] = {}
        for key, value in source.values.items():
            name, bracket, _ = key.partition("[")
            if bracket:
                own_lists.setdefault(name, {})[key] = value.value
            else:
                plain[key] = value.value
        lists |= own_lists
    for elements in lists.values():
        plain |= elements
    return plain


def nested(flat: Mapping[str, Scalar]) -> dict[str, Node]:
    """`a.b[0].c` as maps in lists in maps. Raises KeyMalformed or KeysContradict."""
    root: dict[str, Node] = {}
    growth = _Growth()
    for key, value in flat.items():
        _Placement(key, growth).put(root, value)
    return root


class _Growth:
    """How many empty places the indexes made: `a[2000000000]` must not take the memory of so many."""

    def __init__(self) -> None:
        self._places = 0

    def reach(self, elements: list[Node], index: int, key: str) -> None:
        missing = index + 1 - len(elements)
        if missing > 0:
            self._places += missing
            if self._places > MOST_VALUES:
                raise KeyMalformed(f"the index in {key} is too large")
            elements += [None] * missing


class _Placement:
    """One value on the way to its place; follows Spring's PropertyNavigator, whose answers clients know."""

    def __init__(self, key: str, growth: _Growth) -> None:
        self._key = key
        self._growth = growth
        self._next = 0  # where in the key the next name or index begins
        self._kind = "map"  # what the name or index that was just read holds: map, list or value

    def put(self, root: dict[str, Node], value: Scalar) -> None:
        place: list[Node] | dict[str, Node] = root
        prefix = ""  # names over which a value stands already: of `a` and `a.b`, the second is the key "a.b"
        while True:
            if isinstance(place, list):
                index = self._read_index()
                self._growth.reach(place, index, self._key)
                if self._kind == "value":
                    place[index] = value
                    return
                inner = self._inner(place[index])
                place[index] = inner
            else:
                name = self._read_name()
                if self._kind == "value":
                    place[prefix + name] = value
                    return
                there = place.get(name)
                if self._kind == "map" and there is not None and not isinstance(there, dict):
                    prefix = f"{name}."
                    continue
                inner = self._inner(there)
                place[name] = inner
            place = inner

    def _inner(self, there: Node) -> list[Node] | dict[str, Node]:
        wanted = list if self._kind == "list" else dict
        if there is None:
            return [] if wanted is list else {}
        if not isinstance(there, wanted):
            raise KeysContradict(f"{self._key} can't stand beside another key, which makes something else of its place")
        return there

    def _read_name(self) -> str:
        start = self._next
        opening = -1
        for place in range(start, len(self._key)):
            sign = self._key[place]
            if sign == ".":
                return self._name(start, place, "map")
            if sign == "[":
                opening = place
            elif sign == "]" and opening >= start and _is_java_int(self._key[opening + 1 : place]):
                return self._name(start, opening, "list")
        self._next = len(self._key)
        self._kind = "value"
        return self._key[start:]

    def _name(self, start: int, end: int, kind: str) -> str:
        if end == start:
            raise KeyMalformed(f"the key {self._key} has an empty part")
        self._next = end + 1
        self._kind = kind
        return self._key[start:end]

    def _read_index(self) -> int:
        digits, bracket, rest = self._key[self._next :].partition("]")
        if not (bracket and digits.isascii() and digits.isdigit()) or rest[:1] not in ("", ".", "["):
            raise KeyMalformed(f"the key {self._key} has no index where one must be")
        self._next += len(digits) + 2
        self._kind = {"": "value", ".": "map", "[": "list"}[rest[:1]]
        return min(int(digits), _LARGEST_JAVA_INT)


def _is_java_int(text: str) -> bool:
    return _JAVA_INT.fullmatch(text) is not None and abs(int(text)) <= _LARGEST_JAVA_INT
