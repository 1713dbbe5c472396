"""Expressions over profiles, such as `prod & !(eu | us)`, as `spring.config.activate.on-profile` has them."""

import re
from collections.abc import Collection

_TOKEN = re.compile(r"\s*([()&|!]|[^\s()&|!][^()&|!]*)")
_DEEPEST = 20


class MalformedExpression(Exception):
    """The text is no profile expression."""


def accepts(expression: str, active: Collection[str]) -> bool:
    """Whether the expression holds for these profiles (org.springframework.core.env.Profiles).

    `&` and `|` may stand beside each other only with parentheses. Raises MalformedExpression.
    """
    tokens = [token.strip() for token in _TOKEN.findall(expression)]
    if not tokens:
        raise MalformedExpression(expression)
    result, rest = _any_or_all(tokens, active, expression, depth=0)
    if rest:
        raise MalformedExpression(expression)
    return result


def _any_or_all(tokens: list[str], active: Collection[str], expression: str, *, depth: int) -> tuple[bool, list[str]]:
    result, rest = _operand(tokens, active, expression, depth=depth)
    operator = ""
    while rest and rest[0] in "&|":
        if operator and rest[0] != operator:
            raise MalformedExpression(expression)
        operator = rest[0]
        other, rest = _operand(rest[1:], active, expression, depth=depth)
        result = (result and other) if operator == "&" else (result or other)
    return result, rest


def _operand(tokens: list[str], active: Collection[str], expression: str, *, depth: int) -> tuple[bool, list[str]]:
    if not tokens or depth > _DEEPEST:
        raise MalformedExpression(expression)
    first, rest = tokens[0], tokens[1:]
    if first == "!":
        result, rest = _operand(rest, active, expression, depth=depth + 1)
        return not result, rest
    if first == "(":
        result, rest = _any_or_all(rest, active, expression, depth=depth + 1)
        if not rest or rest[0] != ")":
            raise MalformedExpression(expression)
        return result, rest[1:]
    if first in ")&|":
        raise MalformedExpression(expression)
    return first in active, rest
