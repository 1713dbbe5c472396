"""The demo, against a shop that goes the ways it is told to."""

import io

import pytest
from rich.console import Console
from support.stand_in_shop import AS_PROMISED, StandInShop, Ways, serving

from fleet import demo
from fleet.state import FleetProblem


def _run(shop: StandInShop, *, is_terminal: bool = False) -> str:
    """What it shows."""
    shown = io.StringIO()
    with serving(shop) as url:
        demo.run(Console(file=shown, width=120, force_terminal=is_terminal), url, "admin@flotilla.example", "secret")
    return shown.getvalue()


def test_three_orders_go_their_ways_and_their_timelines_are_shown() -> None:
    told = _run(StandInShop(AS_PROMISED))

    for change in (
        "in stock, card accepted: PLACED",
        "in stock, card accepted: RESERVED",
        "in stock, card accepted: CONFIRMED",
        "more than there is: CANCELLED (out-of-stock)",
        "card declined: CANCELLED (payment-failed)",
    ):
        assert f"  {change}\n" in told
    assert told.count("10:00:00.000  order.placed.v1  order-service") == 3


def test_on_a_terminal_the_same_is_a_table_that_changes() -> None:
    told = _run(StandInShop(AS_PROMISED), is_terminal=True)

    assert "2 x Mug, blue, card-ok" in told
    assert "CANCELLED (payment-failed)" in told


def test_every_post_has_an_idempotency_key_of_its_own() -> None:
    shop = StandInShop(AS_PROMISED)

    _run(shop)

    assert len(shop.keys) == len(set(shop.keys)) == 8


def test_an_order_that_ends_otherwise_is_told_in_a_sentence() -> None:
    declined: Ways = {**AS_PROMISED, "card-ok 2": [("PLACED", None), ("CANCELLED", "payment-failed")]}

    with pytest.raises(FleetProblem, match=r"is CANCELLED \(payment-failed\), and not CONFIRMED\.$"):
        _run(StandInShop(declined))


def test_an_order_that_comes_to_no_end_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PATIENCE_SECONDS", 0.3)
    stuck: Ways = {**AS_PROMISED, "card-declined 1": [("PLACED", None), ("RESERVED", None)]}

    with pytest.raises(FleetProblem, match=r"Not every order came to its end within 0 s: [-0-9a-f]{36} is RESERVED\."):
        _run(StandInShop(stuck))


def test_a_refusal_of_the_gateway_is_told_with_its_own_words() -> None:
    with pytest.raises(FleetProblem, match=r"POST /api/v1/auth/login was answered with 401: .*password is wrong"):
        _run(StandInShop(AS_PROMISED, admin_password="another"))


def test_a_gateway_that_is_away_is_told_in_a_sentence() -> None:
    with serving(StandInShop(AS_PROMISED)) as url:
        gone = url

    with pytest.raises(FleetProblem, match="does not answer"):
        demo.run(Console(file=io.StringIO()), gone, "admin@flotilla.example", "secret")
