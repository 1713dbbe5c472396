"""YAML files as SnakeYAML and Spring Boot read them: YAML 1.1 types, nothing built from tags, flat keys."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from .documents import DEEPEST_NESTING, Document, DocumentBuilder, FileUnreadable, Scalar, Value
from .yaml_scalars import construct, implied_tag

# Only the events of PyYAML are used: what they mean is decided here, since PyYAML's types are not SnakeYAML's.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_MOST_REPEATED = 100  # of one file that are told


@dataclass(slots=True)
class _Scalar:
    value: Scalar | None
    line: int
    column: int
    merges: bool = False  # it is the plain `<<`


@dataclass(slots=True)
class _List:
    items: list["_Node"]
    line: int
    column: int


@dataclass(slots=True)
class _Map:
    pairs: list[tuple["_Node", "_Node"]]
    line: int
    column: int


_Node = _Scalar | _List | _Map


def read_yaml(text: str) -> list[Document]:
    """The documents of a YAML file; empty ones are not counted. Raises FileUnreadable."""
    try:
        roots = list(_compose(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        raise FileUnreadable(
            f"it is not YAML: {reason}",
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
        ) from error
    repeated: list[FileUnreadable] = []
    documents = [_Flattening(repeated).document(root) for root in roots if not _is_empty(root)]
    if repeated:
        first, *further = repeated
        raise FileUnreadable(first.reason, line=first.line, column=first.column, further=further)
    return documents


def _is_empty(root: _Node) -> bool:
    return (isinstance(root, _Scalar) and root.value in (None, "")) or (isinstance(root, _List) and not root.items)


def _compose(text: str) -> Iterator[_Node]:
    """The tree of each document, built without recursion, so that no nesting can exhaust a stack."""
    open_nodes: list[_List | _Map] = []
    keys: list[_Node | None] = []  # for each open node the key that waits for its value
    anchors: dict[str, _Node] = {}

    def attach(node: _Node) -> _Node | None:
        """Put a node where it belongs; answers it if it is a whole document."""
        if not open_nodes:
            return node
        parent = open_nodes[-1]
        if isinstance(parent, _List):
            parent.items.append(node)
        elif keys[-1] is None:
            keys[-1] = node
        else:
            parent.pairs.append((keys[-1], node))
            keys[-1] = None
        return None

    for event in yaml.parse(text, Loader=_Loader):
        done: _Node | None = None
        if isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
        elif isinstance(event, yaml.ScalarEvent):
            scalar = _scalar(event)
            if event.anchor:
                anchors[event.anchor] = scalar
            done = attach(scalar)
        elif isinstance(event, yaml.AliasEvent):
            line, column = _place(event)
            if event.anchor not in anchors:
                raise FileUnreadable(f"the alias *{event.anchor} has no anchor", line=line, column=column)
            done = attach(anchors[event.anchor])
        elif isinstance(event, yaml.CollectionStartEvent):
            line, column = _place(event)
            is_list = isinstance(event, yaml.SequenceStartEvent)
            if event.tag not in (None, "!", _TAG + ("seq" if is_list else "map")):
                raise FileUnreadable(f"the tag {event.tag} is not allowed", line=line, column=column)
            if len(open_nodes) >= DEEPEST_NESTING:
                raise FileUnreadable(f"it is nested deeper than {DEEPEST_NESTING} levels", line=line, column=column)
            opened: _List | _Map = _List([], line, column) if is_list else _Map([], line, column)
            if event.anchor:
                anchors[event.anchor] = opened
            open_nodes.append(opened)
            keys.append(None)
        elif isinstance(event, yaml.CollectionEndEvent):
            keys.pop()
            done = attach(open_nodes.pop())
        if done is not None:
            yield done


def _place(event: yaml.Event) -> tuple[int, int]:
    assert event.start_mark is not None  # every event of a parser has one
    return event.start_mark.line + 1, event.start_mark.column + 1


def _scalar(event: yaml.ScalarEvent) -> _Scalar:
    line, column = _place(event)
    text: str = event.value
    plain = event.implicit[0]
    if plain and text == "<<":
        return _Scalar(text, line, column, merges=True)
    if plain:
        tag = implied_tag(text)
    elif event.tag in (None, "!"):
        tag = "str"
    else:
        tag = event.tag.removeprefix(_TAG)
    try:
        return _Scalar(construct(tag, text), line, column)
    except ValueError as error:
        raise FileUnreadable(
            f"a value like this with the tag {event.tag or tag} is not allowed", line=line, column=column
        ) from error


class _Flattening:
    """One document's tree as flat keys, as Spring's YamlProcessor makes them."""

    def __init__(self, repeated: list[FileUnreadable]) -> None:
        """Keys that are there twice are added to `repeated`, so that all of them can be told at once."""
        self._builder = DocumentBuilder()
        self._repeated = repeated

    def document(self, root: _Node) -> Document:
        if isinstance(root, _Map):
            self._add_map(root, "", in_list=False, depth=1)
        else:
            self._add("document", root, in_list=False, depth=1)
        return self._builder.document()

    def _add(self, key: str, node: _Node, *, in_list: bool, depth: int) -> None:
        if depth > DEEPEST_NESTING:
            raise FileUnreadable("it is nested too deeply, or in itself", line=node.line, column=node.column)
        if isinstance(node, _Scalar):
            self._builder.put(key, Value("" if node.value is None else node.value, node.line, node.column))
        elif isinstance(node, _Map):
            self._add_map(node, key, in_list=in_list, depth=depth)
        elif not node.items:
            self._builder.put(key, Value("", node.line, node.column))
        else:
            for index, item in enumerate(node.items):
                self._builder.visit(item.line, item.column)
                self._add(f"{key}[{index}]", item, in_list=True, depth=depth + 1)

    def _add_map(self, node: _Map, path: str, *, in_list: bool, depth: int) -> None:
        for key, value in self._merged(node, depth):
            name = _key_name(key, in_list=in_list)
            if path.strip():
                name = path + name if name.startswith("[") else f"{path}.{name}"
            self._add(name, value, in_list=in_list, depth=depth + 1)

    def _merged(self, node: _Map, depth: int) -> list[tuple[_Node, _Node]]:
        """A map's pairs with `<<` resolved: a merged key stands where it was first seen, the map's own value wins."""
        if depth > DEEPEST_NESTING:
            raise FileUnreadable("it is merged too deeply, or with itself", line=node.line, column=node.column)
        own: set[object] = set()
        pairs: dict[object, tuple[_Node, _Node]] = {}
        for key, value in node.pairs:
            self._builder.visit(key.line, key.column)
            if isinstance(key, _Scalar) and key.merges:
                for source in value.items if isinstance(value, _List) else [value]:
                    if not isinstance(source, _Map):
                        raise FileUnreadable("<< must merge a map", line=key.line, column=key.column)
                    for merged_key, merged_value in self._merged(source, depth + 1):
                        pairs.setdefault(_identity(merged_key), (merged_key, merged_value))
                continue
            identity = _identity(key)
            if identity in own:
                if len(self._repeated) < _MOST_REPEATED:
                    reason = f"the key {_shown(key)} is there twice"
                    self._repeated.append(FileUnreadable(reason, line=key.line, column=key.column))
                continue
            own.add(identity)
            pairs[identity] = (key, value)
        return list(pairs.values())


def _key_name(key: _Node, *, in_list: bool) -> str:
    if not isinstance(key, _Scalar) or key.value is None:
        raise FileUnreadable("a key must be a text, a number or a boolean", line=key.line, column=key.column)
    if isinstance(key.value, str):
        return key.value
    if in_list:  # Spring makes names of such keys only where no list is above them
        raise FileUnreadable(
            f"the key {key.value} in a list must be quoted to be a text", line=key.line, column=key.column
        )
    return f"[{str(key.value).lower() if isinstance(key.value, bool) else key.value}]"


def _identity(key: _Node) -> object:
    return (type(key.value), key.value) if isinstance(key, _Scalar) else id(key)


def _shown(key: _Node) -> str:
    return repr(key.value) if isinstance(key, _Scalar) else "that is no text"
