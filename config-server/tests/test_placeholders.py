"""Placeholders in texts."""

import contextlib
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config_server.placeholders import PlaceholdersUnresolvable, resolve_placeholders

# What a real server made of these texts.
_VALUES = {
    "two": "2",
    "seven": "7",
    "we:ird": "odd",
    "esc": r"\${two}",
    "esc2": r"\\${two}",
    "next": "${two}!",
    "e": "",
}


class TestResolvePlaceholders:
    @pytest.mark.parametrize(
        ("text", "resolved"),
        [
            ("nothing to do", "nothing to do"),
            ("a ${two} b ${seven}", "a 2 b 7"),
            ("${two}${seven}", "27"),
            ("${next}", "2!"),
            ("${e}", ""),
            ("${nope}", "${nope}"),
            ("${nope:}", ""),
            ("${nope: d }", " d "),
            ("${nope:${two}-${seven}}", "2-7"),
            ("${nope:${nope2}}", "${nope2}"),
            ("${nope:http://x:1/y}", "http://x:1/y"),
            ("${nope:{x}y}", "{x}y"),
            ("${a${two}b}", "${a2b}"),
            ("${${nope}}", "${${nope}}"),
            ("${}", "${}"),
            ("${:x}", "x"),
            ("${ two }", "${ two }"),
            ("${we:ird}", "odd"),
            ("${we:none}", "none"),
            (r"${we\:ird}", "odd"),
            (r"${nope\:x:y}", "y"),
            (r"\${two}", "${two}"),
            (r"\\${two}", "${two}"),
            (r"\\\${two}", r"\${two}"),
            ("${esc}", "${two}"),
            ("${esc2}", r"\${two}"),
            ("$${two}", "$2"),
            ("a ${two b", "a ${two b"),
            ("${nope:\n${two}\n}", "\n2\n"),
            ("$not $$ ${", "$not $$ ${"),
        ],
    )
    def test_a_text_is_resolved_as_spring_does(self, text: str, resolved: str) -> None:
        assert resolve_placeholders(text, _VALUES.get) == resolved

    @pytest.mark.parametrize(
        "values",
        [{"a": "${a}"}, {"a": "${b}", "b": "x${a}"}, {"a": "${nope:${b}}", "b": "${${c}}", "c": "a"}],
    )
    def test_a_cycle_is_an_error(self, values: dict[str, str]) -> None:
        with pytest.raises(PlaceholdersUnresolvable, match="leads back to itself"):
            resolve_placeholders("${a}", values.get)

    def test_a_key_may_come_up_again_that_is_no_cycle(self) -> None:
        assert resolve_placeholders("${a}", {"a": "${b}${b}", "b": "${c}", "c": "x"}.get) == "xx"

    @pytest.mark.parametrize(
        "text",
        ["${v40}", "${" * 100_000 + "}" * 100_000, "${" * 300_000, "{}" * 300_000 + "${v2}"],
        ids=["doubling", "nesting", "never closed", "braces"],
    )
    def test_what_would_cost_too_much_ends_soon(self, text: str) -> None:
        doubling = {"v0": "x" * 100} | {f"v{n}": f"${{v{n - 1}}}${{v{n - 1}}}" for n in range(1, 41)}
        start = time.process_time()

        with contextlib.suppress(PlaceholdersUnresolvable):
            resolve_placeholders(text, doubling.get)

        assert time.process_time() - start < 5


# Keys refer to any keys, themselves as well, so that there are cycles; and defaults lie in defaults.
_KEYS = st.sampled_from(["a", "b", "c", "d"])
_TEXTS = st.recursive(
    st.sampled_from(["", "x", "y z", "$", "1"]),
    lambda inner: st.one_of(
        st.builds("".join, st.lists(inner, max_size=3)),
        st.builds("${{{}}}".format, _KEYS),
        st.builds("${{{}:{}}}".format, _KEYS, inner),
    ),
    max_leaves=6,
)


class _Cycle(Exception):
    pass


def _slowly(text: str, values: dict[str, str], on_the_way: tuple[str, ...] = ()) -> str:
    """A plain reading of the rules: the first innermost placeholder is replaced by what it means, again and again."""
    while (innermost := re.search(r"\$\{([a-d])(?::([^${}]*|(?:[^${}]|\$(?!\{))*))?\}", text)) is not None:
        key, default = innermost[1], innermost[2]
        if key in values:
            if key in on_the_way:
                raise _Cycle(key)
            value = _slowly(values[key], values, (*on_the_way, key))
        else:
            value = f"<{key}>" if default is None else default
        text = text[: innermost.start()] + value + text[innermost.end() :]
    return text


@settings(deadline=None, max_examples=300)
@given(text=_TEXTS, values=st.dictionaries(_KEYS, _TEXTS))
def test_resolving_is_what_the_rules_say(text: str, values: dict[str, str]) -> None:
    # A default that is not needed is not looked at by the one, but is by the other: only there may a cycle be missed.
    try:
        expected = _slowly(text, values)
    except _Cycle:
        with_defaults = any(":" in one for one in (text, *values.values()))
        try:
            resolve_placeholders(text, values.get)
        except PlaceholdersUnresolvable:
            return
        assert with_defaults
        return

    resolved = resolve_placeholders(text, values.get)

    assert re.sub(r"\$\{([a-d])\}", r"<\1>", resolved) == expected
