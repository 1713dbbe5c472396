"""YAML as SnakeYAML and Spring Boot read it. The recorded answers are in test_golden; here are the corners."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config_server.documents import FileUnreadable
from config_server.yaml_documents import read_yaml


def _flat(text: str) -> dict[str, Any]:
    (document,) = read_yaml(text)
    return {key: value.value for key, value in document.values.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("010", 8),
        ("-010", -8),
        ("08", "08"),
        ("0_7", 7),
        ("0x_1F", 31),
        ("-0x1f", -31),
        ("0X1F", "0X1F"),
        ("0b1_01", 5),
        ("0b", "0b"),
        ("1_", 1),
        ("1:30", 90),
        ("-1:00:00", -3600),
        ("1:60", "1:60"),
        ("0:10", "0:10"),
        ("1:30.5", 90.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("1_0.5", 10.5),
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        ("e3", "e3"),
        ("1e999", "Infinity"),
        (".inf", "Infinity"),
        ("+.INF", "Infinity"),
        ("-.inf", "-Infinity"),
        (".nan", "NaN"),
        ("-.nan", "-.nan"),
        ("yes", True),
        ("YeS", "YeS"),
        ("Off", False),
        ("n", "n"),
        ("~", ""),
        ("Null", ""),
        ("nULL", "nULL"),
        ("2024-01-02", "2024-01-02"),
        ("! 12", 12),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 1", 1.0),
        ("!!bool 'on'", True),
        ("!!null 'x'", ""),
        ("'12'", "12"),
        ("<<", "<<"),
        ("[]", ""),
        ("1٣", "1٣"),
    ],
)
def test_a_plain_scalar_has_the_type_of_yaml_1_1(text: str, value: object) -> None:
    found = _flat(f"a: {text}\n")

    assert found == {"a": value}
    # What JSON has no type for is a text that knows how YAML writes it.
    assert isinstance(found["a"], str) if isinstance(value, str) else type(found["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        ("a: {}\n", {}),
        ("a: {b: {}}\nc: 1\n", {"c": 1}),
        ("a: [{}]\nc: 1\n", {"c": 1}),
        ("a: [[], [1]]\n", {"a[0]": "", "a[1][0]": 1}),
        ("a.b: 1\na: {c: 2}\n", {"a.b": 1, "a.c": 2}),
        ("a.b: 1\na: {b: 2}\n", {"a.b": 2}),
        ("1: {2.5: x, true: y}\n", {"[1][2.5]": "x", "[1][true]": "y"}),
        ("'[x y]': {z: 1}\n", {"[x y].z": 1}),
        ("- 1\n- a: 2\n", {"document[0]": 1, "document[1].a": 2}),
        ("42\n", {"document": 42}),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3, m: 4}\n", {"a.k": 1, "a.l": 2, "b.k": 1, "b.l": 3, "b.m": 4}),
        ("a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: [*x, *y]}\n", {"a.k": 1, "b.k": 2, "b.l": 2, "c.k": 1, "c.l": 2}),
        ("a: &x {k: 1}\nb: {k: 2, <<: *x}\n", {"a.k": 1, "b.k": 2}),
        ("a: &x 1\nb: *x\n", {"a": 1, "b": 1}),
        ("? a\n: 1\n", {"a": 1}),
    ],
)
def test_a_tree_becomes_flat_keys(text: str, flat: dict[str, object]) -> None:
    assert list(_flat(text).items()) == list(flat.items())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\na: 2\n", (2, 1)),
        ("a:\n  'b': 1\n  b: 2\n", (3, 3)),
        ("a: =\n", (1, 4)),
        ("a: !!int x\n", (1, 4)),
        ("a: !!set {x}\n", (1, 4)),
        ("a: !foo [x]\n", (1, 4)),
        ("a: [{1: x}]\n", (1, 6)),
        ("~: x\n", (1, 1)),
        ("[a, b]: x\n", (1, 1)),
        ("a: {<<: x}\n", (1, 5)),
        ("a: 1\n\tb: 2\n", (2, 1)),
        ("a: 'x\n", (2, 1)),
        ("a: ._\n", (1, 4)),
        ("a: " + "9" * 5000 + "\n", (1, 4)),
    ],
)
def test_what_spring_can_not_read_is_an_error_with_its_place(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(FileUnreadable) as raised:
        read_yaml(text)

    assert (raised.value.line, raised.value.column) == place


def test_empty_documents_do_not_count() -> None:
    documents = read_yaml("---\n---\na: 1\n---\n''\n---\n[]\n---\n{}\n---\n# nothing\n")

    assert [dict(document.values) for document in documents][1:] == [{}]
    assert len(documents) == 2


def test_an_origin_is_where_the_value_begins() -> None:
    (document,) = read_yaml("a:\n  b: &x 'v'\n  c: *x\nd: |\n  text\ne:\n")

    assert {key: (value.line, value.column) for key, value in document.values.items()} == {
        "a.b": (2, 6),
        "a.c": (2, 6),
        "d": (4, 4),
        "e": (6, 3),
    }


_texts = st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=" \t\n"), max_size=5)
_scalars = st.one_of(st.booleans(), st.integers(), _texts)
_keys = st.text(alphabet="abcdefgh", min_size=1, max_size=4)
_trees = st.dictionaries(
    _keys,
    st.recursive(_scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(_keys, below, max_size=3)),
    min_size=1,
    max_size=4,
)


def _slowly(node: object, path: str = "") -> dict[str, object]:
    """The rule as it is told: a key below a key has a dot, an element of a list its index in brackets."""
    if isinstance(node, dict):
        parts = [(f"{path}.{key}" if path else key, child) for key, child in node.items()]
    elif isinstance(node, list) and node:
        parts = [(f"{path}[{index}]", child) for index, child in enumerate(node)]
    else:
        return {path: "" if isinstance(node, list) else node}
    return {key: value for part, child in parts for key, value in _slowly(child, part).items()}


@settings(max_examples=150, deadline=None)
@given(_trees)
def test_any_tree_becomes_the_flat_keys_of_the_rule(tree: dict[str, object]) -> None:
    assert _flat(json.dumps(tree, ensure_ascii=False)) == _slowly(tree)  # JSON is YAML
