"""Profile expressions, as org.springframework.core.env.Profiles reads them."""

import pytest

from config_server.profile_expressions import MalformedExpression, accepts


@pytest.mark.parametrize(
    ("expression", "active", "expected"),
    [
        ("dev", ["dev"], True),
        ("dev", ["prod"], False),
        ("!dev", ["prod"], True),
        ("! dev", ["dev"], False),
        ("!!dev", ["dev"], True),
        ("dev & eu", ["dev", "eu"], True),
        ("dev & eu", ["dev"], False),
        ("dev | eu | us", ["us"], True),
        ("dev&!eu", ["dev"], True),
        ("(dev & eu) | us", ["us"], True),
        ("dev & (eu | us)", ["dev"], False),
        ("!(dev | eu)", ["us"], True),
        ("pre-prod_1.x+y@z", ["pre-prod_1.x+y@z"], True),
    ],
)
def test_an_expression_holds_for_profiles(expression: str, active: list[str], expected: bool) -> None:
    assert accepts(expression, active) is expected


@pytest.mark.parametrize(
    "expression",
    ["", " ", "&", "a &", "| a", "a & b | c", "(a", "a)", "()", "!", "a (b)", "a !b", "(" * 500 + "a" + ")" * 500],
)
def test_a_malformed_expression_is_an_error(expression: str) -> None:
    with pytest.raises(MalformedExpression):
        accepts(expression, ["a"])
