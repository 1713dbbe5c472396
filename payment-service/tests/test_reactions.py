"""What payment-service does when it hears of an order's stock and its end."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import permutations
from uuid import UUID

import pytest
from chassis.ids import uuid7
from chassis.testing.service import ServiceUnderTest
from chassis.testing.waiting import until
from support.fleet import Fleet, Json, Order

from payment_service.service import PaymentService
from payment_service.settings import Settings

Service = ServiceUnderTest[Settings]

SUCCEEDS = ("card-ok", "paypal-ok", "cash", "provider-slow", "provider-down", "provider-lost")
FAILS = {
    "card-declined": "declined",
    "card-insufficient-funds": "insufficient-funds",
    "card-expired": "expired-card",
    "a method that nobody knows": "declined",
}


class TestReservedStock:
    @pytest.mark.parametrize("payment_method", SUCCEEDS)
    async def test_reserved_stock_is_charged_once_s1(self, service: Service, fleet: Fleet, payment_method: str) -> None:
        order = Order(payment_method)

        await fleet.reserve(order)

        payment = await fleet.becomes(order, "SUCCEEDED")
        (charge,) = await fleet.charges(order)
        assert (charge["amount"], charge["status"], charge["refunded_amount"]) == (2598, "succeeded", 0)
        assert (payment["amount"], payment["refunded_amount"], payment["currency"]) == (2598, 0, "EUR")
        assert payment["customer_id"] == str(order.customer_id)
        assert payment["failure_reason"] is None
        assert payment["provider"] == "sandbox"
        assert await service.said.wait_for("payment.completed.v1", order.id) == {
            "order_id": str(order.id),
            "payment_id": payment["id"],
            "amount": 2598,
            "currency": "EUR",
            "provider_reference": charge["id"],
        }
        assert fleet.said(order) == ["payment.completed.v1"]

    @pytest.mark.parametrize("payment_method", FAILS)
    async def test_a_refused_charge_fails_with_the_providers_reason_s2(
        self, service: Service, fleet: Fleet, payment_method: str
    ) -> None:
        order = Order(payment_method)

        await fleet.reserve(order)

        payment = await fleet.becomes(order, "FAILED")
        reason = FAILS[payment_method]
        assert payment["failure_reason"] == reason
        assert await service.said.wait_for("payment.failed.v1", order.id) == {
            "order_id": str(order.id),
            "payment_id": payment["id"],
            "reason": reason,
        }
        assert [charge["status"] for charge in await fleet.charges(order)] == ["failed"]

    async def test_an_event_that_comes_twice_charges_once_k5(self, fleet: Fleet) -> None:
        order, event_id = Order(), uuid7()

        for _ in range(3):
            await fleet.reserve(order, event_id=event_id)
        await fleet.has_heard(await fleet.reserve(order))  # and once more under another id

        await fleet.becomes(order, "SUCCEEDED")
        assert fleet.provider.calls[order.id] == ["charge"]
        assert len(await fleet.charges(order)) == 1

    async def test_the_answer_names_the_reservation_as_its_cause(self, service: Service, fleet: Fleet) -> None:
        order = Order()

        event_id = await fleet.reserve(order)

        await service.said.wait_for("payment.completed.v1", order.id)
        (completed,) = [said for said in service.said.of(order.id) if said.type == "payment.completed.v1"]
        assert completed.causation_id == str(event_id)
        assert completed.correlation_id == str(order.id)
        assert completed.source == "/payment-service"

    async def test_many_are_charged_at_once_but_not_more_than_allowed(self, service: Service, fleet: Fleet) -> None:
        orders = [Order() for _ in range(40)]
        gates = [fleet.provider.hold(order.id) for order in orders]
        fleet.provider.most_at_once = 0

        for order in orders:
            await fleet.reserve(order)
        await fleet.becomes(orders[-1], "PENDING")
        for gate in gates:
            gate.set()

        for order in orders:
            await fleet.becomes(order, "SUCCEEDED")
        assert 4 < fleet.provider.most_at_once <= service.settings.calls_at_once

    async def test_nothing_waits_for_the_next_look_at_what_is_due(
        self, service: Service, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payments: PaymentService = service.app.state.payments
        with monkeypatch.context() as patch:
            patch.setattr(service.settings, "poll_seconds", 3600.0)
            payments.charges_due.set()
            payments.refunds_due.set()

            order, _ = await fleet.paid()
            await fleet.cancel(order)

            await fleet.becomes(order, "REFUNDED")
        payments.charges_due.set()
        payments.refunds_due.set()

    async def test_a_total_that_cannot_be_charged_is_no_payment(self, service: Service, fleet: Fleet) -> None:
        order, good = Order(total=0), Order()

        await fleet.reserve(order)
        await fleet.reserve(good)

        await fleet.becomes(good, "SUCCEEDED")
        assert await fleet.find_payment(order) is None


class TestProviderInTrouble:
    async def test_an_answer_that_was_never_recorded_is_got_again_s6(self, fleet: Fleet) -> None:
        order = Order()
        fleet.provider.crash_after_charge(order.id)

        await fleet.reserve(order)

        await fleet.becomes(order, "SUCCEEDED")
        assert fleet.provider.calls[order.id] == ["charge", "charge"]
        assert len(await fleet.charges(order)) == 1

    async def test_a_slow_charge_is_found_though_its_webhook_gets_lost(
        self, service: Service, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service.settings, "answer_poll_seconds", 0.1)
        monkeypatch.setattr(service.settings, "public_url", "http://127.0.0.1:9")
        order = Order("provider-slow")

        await fleet.reserve(order)

        await fleet.becomes(order, "SUCCEEDED")
        assert fleet.provider.calls[order.id][:2] == ["charge", "find"]

    async def test_a_payment_fails_as_unavailable_once_it_is_sure_that_nothing_was_charged(
        self, service: Service, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service.settings, "give_up_seconds", 0.2)
        order = Order()
        fleet.provider.away.add(order.id)

        await fleet.reserve(order)
        await fleet.has_called(order, "charge")
        await fleet.has_voided(order, times=3)
        waiting = await fleet.find_payment(order)
        fleet.provider.away.remove(order.id)

        assert waiting is not None
        assert waiting["status"] == "PENDING"
        payment = await fleet.becomes(order, "FAILED")
        assert payment["failure_reason"] == "provider-unavailable"
        assert (await service.said.wait_for("payment.failed.v1", order.id))["reason"] == "provider-unavailable"
        assert await fleet.charges(order) == []

    async def test_a_charge_that_was_made_counts_even_when_it_is_found_after_giving_up(
        self, service: Service, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service.settings, "give_up_seconds", 0.2)
        order = Order()
        fleet.provider.loses_answers.add(order.id)

        await fleet.reserve(order)

        await fleet.becomes(order, "SUCCEEDED")
        assert fleet.provider.calls[order.id][-1] == "void"
        assert len(await fleet.charges(order)) == 1


class TestCancelledOrder:
    @pytest.mark.parametrize("payment_method", ["card-ok", "provider-lost"])
    async def test_a_paid_order_is_refunded_once_s5(self, service: Service, fleet: Fleet, payment_method: str) -> None:
        order, payment = await fleet.paid(payment_method=payment_method)

        event_id = await fleet.cancel(order)
        await fleet.cancel(order, event_id=event_id)
        await fleet.has_heard(await fleet.cancel(order, "timed-out"))
        await fleet.has_heard(await fleet.release(order, "expired"))

        assert (await fleet.becomes(order, "REFUNDED"))["refunded_amount"] == 2598
        assert await service.said.wait_for("payment.refunded.v1", order.id) == {
            "order_id": str(order.id),
            "payment_id": payment["id"],
            "amount": 2598,
            "reason": "customer",
        }
        (charge,) = await fleet.charges(order)
        assert charge["refunded_amount"] == 2598
        assert fleet.said(order) == ["payment.completed.v1", "payment.refunded.v1"]
        (refunded,) = [said for said in service.said.of(order.id) if said.type == "payment.refunded.v1"]
        assert refunded.causation_id == str(event_id)

    async def test_an_order_that_ended_before_its_stock_was_held_is_never_charged(self, fleet: Fleet) -> None:
        order = Order()
        await fleet.has_heard(await fleet.cancel(order, "timed-out"))

        await fleet.reserve(order)

        payment = await fleet.becomes(order, "VOIDED")
        assert payment["refunded_amount"] == 0
        assert fleet.provider.calls[order.id] == []
        assert fleet.said(order) == []

    async def test_a_payment_that_nobody_has_begun_to_charge_is_voided(
        self, service: Service, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service.settings, "calls_at_once", 1)
        first, second = Order(), Order()
        gate = fleet.provider.hold(first.id)
        await fleet.reserve(first)
        await fleet.has_called(first, "charge")
        await fleet.reserve(second)
        await fleet.becomes(second, "PENDING")

        await fleet.cancel(second)

        await fleet.becomes(second, "VOIDED")
        gate.set()
        await fleet.becomes(first, "SUCCEEDED")
        assert fleet.provider.calls[second.id] == []

    async def test_a_charge_that_succeeds_after_the_end_is_told_and_refunded_once_s5(
        self, service: Service, fleet: Fleet
    ) -> None:
        order = Order()
        gate = fleet.provider.hold(order.id)
        await fleet.reserve(order)
        await fleet.has_called(order, "charge")

        await fleet.has_heard(await fleet.cancel(order, "timed-out"))
        await fleet.has_heard(await fleet.cancel(order, "timed-out"))
        gate.set()

        await fleet.becomes(order, "REFUNDED")
        assert (await service.said.wait_for("payment.refunded.v1", order.id))["reason"] == "timed-out"
        assert fleet.said(order) == ["payment.completed.v1", "payment.refunded.v1"]
        (charge,) = await fleet.charges(order)
        assert charge["refunded_amount"] == charge["amount"]

    async def test_a_charge_that_fails_after_the_end_leaves_nothing_to_refund(self, fleet: Fleet) -> None:
        order = Order("card-declined")
        gate = fleet.provider.hold(order.id)
        await fleet.reserve(order)
        await fleet.has_called(order, "charge")

        await fleet.has_heard(await fleet.cancel(order))
        gate.set()

        await fleet.becomes(order, "FAILED")
        assert [charge["refunded_amount"] for charge in await fleet.charges(order)] == [0]

    async def test_a_charge_that_never_reached_the_provider_is_voided_and_not_made_any_more(self, fleet: Fleet) -> None:
        order = Order()
        fleet.provider.away.add(order.id)
        await fleet.reserve(order)
        await fleet.has_called(order, "charge")

        await fleet.has_heard(await fleet.cancel(order))
        await fleet.has_voided(order)
        fleet.provider.away.remove(order.id)

        await fleet.becomes(order, "VOIDED")
        assert await fleet.charges(order) == []

    async def test_the_end_of_a_failed_payment_changes_nothing(self, fleet: Fleet) -> None:
        order = Order("card-declined")
        await fleet.reserve(order)
        await fleet.becomes(order, "FAILED")

        await fleet.has_heard(await fleet.cancel(order, "payment-failed"))

        await fleet.becomes(order, "FAILED")
        assert fleet.said(order) == ["payment.failed.v1"]

    async def test_refunds_wait_for_a_provider_that_is_away(self, service: Service, fleet: Fleet) -> None:
        order, _ = await fleet.paid()
        fleet.provider.refunds_are_away = True

        await fleet.has_heard(await fleet.cancel(order))
        waiting = await fleet.find_payment(order)
        fleet.provider.refunds_are_away = False

        assert waiting is not None
        assert (waiting["status"], waiting["refunded_amount"]) == ("SUCCEEDED", 0)
        await fleet.becomes(order, "REFUNDED")

    async def test_the_events_of_an_order_may_come_in_any_order_and_twice_s4(self, fleet: Fleet) -> None:
        async def expire(order: Order) -> UUID:
            return await fleet.release(order, "expired")

        says: tuple[Callable[[Order], Awaitable[UUID]], ...] = (fleet.reserve, fleet.cancel, expire)
        orders = []

        for permutation in permutations(says):
            for again in (*permutation, None):
                orders.append(Order())
                for say in (*permutation, *([again] if again else [])):
                    await say(orders[-1])

        for order in orders:
            payment = await _at_rest(fleet, order, ended=True)
            left = [charge["amount"] - charge["refunded_amount"] for charge in await fleet.charges(order)]
            assert left == ([] if payment["status"] == "VOIDED" else [0])


class TestReleasedStock:
    async def test_a_reservation_that_ran_out_is_the_end_of_the_payment(self, service: Service, fleet: Fleet) -> None:
        order, _ = await fleet.paid()

        await fleet.release(order, "expired")

        await fleet.becomes(order, "REFUNDED")
        assert (await service.said.wait_for("payment.refunded.v1", order.id))["reason"] == "expired"

    @pytest.mark.parametrize("reason", ["cancelled", "payment-failed"])
    async def test_stock_released_for_another_reason_changes_nothing(self, fleet: Fleet, reason: str) -> None:
        order, _ = await fleet.paid()

        await fleet.has_heard(await fleet.release(order, reason))

        await fleet.becomes(order, "SUCCEEDED")
        assert fleet.said(order) == ["payment.completed.v1"]


async def test_charges_less_refunds_are_what_the_payments_say_s9(service: Service, fleet: Fleet) -> None:
    chance = random.Random(20261124)
    methods = [*SUCCEEDS, *FAILS]
    orders = [Order(methods[number % len(methods)], total=chance.randint(1, 100_000)) for number in range(60)]
    cancelled = [order for order in orders if chance.random() < 0.4]

    async def live(order: Order) -> None:
        said = [fleet.reserve(order)]
        if order in cancelled:
            said.insert(chance.choice([0, 1]), fleet.cancel(order))
        for event in said:
            await event
            await asyncio.sleep(chance.random() * 0.05)

    await asyncio.gather(*(live(order) for order in orders))

    for order in orders:
        payment = await _at_rest(fleet, order, ended=order in cancelled)
        charges = await fleet.charges(order)
        assert len(charges) <= 1
        in_the_books = sum(c["amount"] - c["refunded_amount"] for c in charges if c["status"] == "succeeded")
        kept = payment["amount"] - payment["refunded_amount"] if payment["status"] == "SUCCEEDED" else 0
        assert in_the_books == kept, (payment, charges)


async def _at_rest(fleet: Fleet, order: Order, *, ended: bool) -> Json:
    wanted = {"REFUNDED", "VOIDED", "FAILED"} if ended else {"SUCCEEDED", "FAILED"}

    async def payment() -> Json | None:
        found = await fleet.find_payment(order)
        return found if found and found["status"] in wanted else None

    found: Json = await until(payment)
    return found
