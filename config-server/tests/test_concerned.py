"""Whom a changed file concerns, as Spring's /monitor guesses it."""

import pytest

from config_server.concerned import names_changed, names_of, names_of_all


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("foo.yml", ["foo"]),
        ("/foo/bar.properties", ["bar"]),
        ("C:\\config\\foo.yml", ["foo"]),
        ("foo-local-dev.yml", ["foo-local-dev", "foo-local", "foo"]),
        ("application.yml", ["*"]),
        ("application-local.yml", ["application-local", "*"]),
        ("*", ["*"]),
        ("foo", ["foo"]),
        (".gitignore", []),
        ("", []),
        ("folder/", []),
    ],
)
def test_the_name_of_a_file_says_whose_it_may_be(path: str, names: list[str]) -> None:
    assert names_of(path) == names


def test_a_name_with_a_thousand_hyphens_is_cut() -> None:
    assert len(names_of("a-" * 1000 + "a.yml")) == 20


def test_each_name_comes_once_in_the_order_of_the_files() -> None:
    assert names_of_all(["/foo/bar.properties", "/application.properties", "bar-dev.yml"]) == ["bar", "*", "bar-dev"]


def test_a_changed_file_concerns_the_names_of_its_folders_too() -> None:
    assert names_changed(["order-service/limits.yml"]) == {"order-service", "limits"}
