"""Keys of several sources made one, and made a tree."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config_server.documents import Value
from config_server.environments import PropertySource
from config_server.flat import KeyMalformed, KeysContradict, merged, nested
from config_server.flat_yaml import yaml_text
from config_server.precedence import EXTENSIONS, profile_files, shared_files
from config_server.yaml_documents import read_yaml


def _sources(*strongest_first: dict[str, Any]) -> list[PropertySource]:
    return [
        PropertySource(str(number), {key: Value(value, 1, 1) for key, value in values.items()})
        for number, values in enumerate(strongest_first)
    ]


_KEYS = st.sampled_from(["a", "b", "a.b", "l[0]", "l[1]", "l[2].x", "a.l[0]", "a.l[1][0]", "l.m[0]"])


class TestMerged:
    def test_a_list_is_replaced_as_a_whole_and_stands_at_the_end(self) -> None:
        flat = merged(_sources({"a": 2, "l[0]": "z"}, {"l[0]": "x", "l[1]": "y", "a": 1, "m[0]": 0, "b": 3}))

        assert list(flat.items()) == [("a", 2), ("b", 3), ("l[0]", "z"), ("m[0]", 0)]

    @given(st.lists(st.dictionaries(_KEYS, st.integers()), max_size=4))
    def test_merging_is_what_the_rules_say(self, sources: list[dict[str, int]]) -> None:
        flat = merged(_sources(*sources))

        weakest_first = [key for source in reversed(sources) for key in source]
        assert set(flat) <= set(weakest_first)
        for key in weakest_first:
            name = key.partition("[")[0]
            if name == key:
                assert flat[key] == next(source[key] for source in sources if key in source)
            else:
                owner = next(source for source in sources if any(other.startswith(f"{name}[") for other in source))
                assert flat.get(key, "nothing") == owner.get(key, "nothing")
        plain = dict.fromkeys(key for key in weakest_first if "[" not in key)
        assert list(flat)[: len(plain)] == list(plain)


class TestNested:
    @pytest.mark.parametrize(
        ("flat", "tree"),
        [
            ({"a.b": 1, "a.c": 2}, {"a": {"b": 1, "c": 2}}),
            ({"l[1]": "y", "l[0]": "x"}, {"l": ["x", "y"]}),
            ({"l[2]": "z"}, {"l": [None, None, "z"]}),
            ({"l[0].a": 1, "l[0].b[0]": 2}, {"l": [{"a": 1, "b": [2]}]}),
            ({"l[0][1]": 1}, {"l": [[None, 1]]}),
            ({"a": 1, "a.b": 2}, {"a": 1, "a.b": 2}),
            ({"a.b": 2, "a": 1}, {"a": 1}),
            ({"w[a]": 1, "w[a].c": 2, "x[a.b].c": 3}, {"w[a]": 1, "w[a].c": 2, "x[a": {"b]": {"c": 3}}}),
            ({"a[99999999999]": 1, "b[": 2, "c[1": 3, "d]": 4}, {"a[99999999999]": 1, "b[": 2, "c[1": 3, "d]": 4}),
            ({"a.": 1}, {"a": {"": 1}}),
        ],
    )
    def test_keys_become_the_tree_that_spring_makes_of_them(self, flat: dict[str, Any], tree: dict[str, Any]) -> None:
        assert nested(flat) == tree

    @pytest.mark.parametrize("key", ["a..b", ".a", "[0]", "a[0]b", "a[-1]", "a[+1]"])
    def test_a_key_that_is_no_path_is_refused(self, key: str) -> None:
        with pytest.raises(KeyMalformed):
            nested({key: 1})

    @pytest.mark.parametrize("flat", [{"n[1]": 1, "n.a": 2, "n[2]": 3}, {"a": 1, "a[0]": 2}, {"a[0]": 1, "a[0].b": 2}])
    def test_keys_that_contradict_each_other_are_refused(self, flat: dict[str, Any]) -> None:
        flat = {"n.a": 2, "n[1]": 1} if "n.a" in flat else flat

        with pytest.raises(KeysContradict):
            nested(flat)

    @pytest.mark.parametrize("flat", [{"a[2000000000]": 1}, {f"a[{n}][40000]": 1 for n in range(10)}])
    def test_an_index_takes_no_more_memory_than_a_file_may(self, flat: dict[str, Any]) -> None:
        with pytest.raises(KeyMalformed, match="too large"):
            nested(flat)


# Without empty maps and lists, which leave no key and an empty text.
_TREES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True),
    st.recursive(
        st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3),
            st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), inner, min_size=1, max_size=3),
        ),
        max_leaves=8,
    ),
    min_size=1,
    max_size=4,
)


class TestYamlText:
    @given(_TREES)
    def test_what_is_written_is_read_as_the_same_flat_keys_and_becomes_the_same_tree(
        self, tree: dict[str, Any]
    ) -> None:
        tree = _printable(tree)

        (document,) = read_yaml(yaml_text(tree))

        assert nested({key: value.value for key, value in document.values.items()}) == tree

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("80", "80"),
            ("x", "x"),
            ("[a, b]", "[a, b]"),
            ("a: b", "'a: b'"),
            ("a # b", "'a # b'"),
            ("l1\nl2", "|-\n  l1\n  l2"),
            ("*x", "'*x'"),
            ("[" * 5000, "'" + "[" * 5000 + "'"),
            ("", ""),
        ],
    )
    def test_a_value_in_the_place_of_a_plain_placeholder_is_plain_where_that_is_yaml(
        self, value: str, written: str
    ) -> None:
        text = yaml_text({"k": "${v}"}, lambda text: text.replace("${v}", value))

        assert text.strip() == f"k: {written}".strip()

    def test_a_value_within_quotes_stays_a_text(self) -> None:
        assert yaml_text({"k": "'${v}'"}, lambda text: text.replace("${v}", "80")) == "k: '''80'''\n"


def _printable(node: Any) -> Any:
    """Without the characters that YAML can't have as they are, and that SnakeYAML writes as bytes."""
    if isinstance(node, dict):
        return {key: _printable(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_printable(value) for value in node]
    return "".join(filter(str.isprintable, node)) if isinstance(node, str) else node


class TestPrecedence:
    @given(
        locations=st.lists(st.sampled_from(["", "a/", "b/"]), unique=True, min_size=1),
        applications=st.lists(st.sampled_from(["x", "y", "z"]), unique=True, min_size=1),
        profiles=st.lists(st.sampled_from(["p", "q", "r"]), unique=True, min_size=1),
    )
    def test_the_profile_counts_most_then_the_folder_then_the_name_then_the_extension(
        self, locations: list[str], applications: list[str], profiles: list[str]
    ) -> None:
        files = [*shared_files(locations, applications), *profile_files(locations, applications, profiles)]

        names = ["application", *applications]
        rank = {
            f"{location}{name}{profile and '-'}{profile}{extension}": (p, f, n, e)
            for p, profile in enumerate(["", *profiles])
            for f, location in enumerate(locations)
            for n, name in enumerate(names)
            for e, extension in enumerate(EXTENSIONS)
        }
        assert [file.path for file in files] == sorted(rank, key=rank.__getitem__)
