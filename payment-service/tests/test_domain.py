"""The life cycle of a payment and its refunds."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain import FailureReason, Payment, PaymentStatus, Refund, Step
from payment_service.errors import PaymentNotRefundable, RefundTooLarge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=50)
LEASE = timedelta(seconds=7)
TIME_TO_GIVE_UP = timedelta(seconds=45)


def requested(amount: int = 2598) -> Payment:
    return Payment.request(
        order_id=uuid4(),
        customer_id=uuid4(),
        amount=amount,
        currency="EUR",
        payment_method="card-ok",
        provider="sandbox",
        cause={},
        now=NOW,
    )


def started() -> Payment:
    payment = requested()
    payment.start_attempt(LEASE, NOW)
    return payment


def completed(amount: int = 2598) -> Payment:
    payment = requested(amount)
    payment.start_attempt(LEASE, NOW)
    payment.complete("ch_1", NOW)
    return payment


def refund(payment: Payment, amount: int | None = None) -> Refund:
    return payment.refund(amount, "customer", "somebody", {}, NOW)


def settle(payment: Payment, refund: Refund) -> None:
    assert refund.succeed("re_1", NOW)
    payment.settle_refund(refund, NOW)


def test_a_new_payment_is_due_at_once() -> None:
    payment = requested()

    assert payment.status == PaymentStatus.PENDING
    assert payment.next_attempt_at == NOW
    assert payment.refundable_amount == 0


def test_an_attempt_that_is_never_recorded_is_due_again_when_its_lease_ends() -> None:
    payment = started()

    assert payment.next_attempt_at == NOW + LEASE
    assert payment.charge_started_at == NOW
    assert payment.next_step(TIME_TO_GIVE_UP, NOW + LEASE) == Step.CHARGE


def test_the_answer_counts_once() -> None:
    payment = started()

    assert payment.complete("ch_1", NOW)

    assert payment.status == PaymentStatus.SUCCEEDED
    assert not payment.complete("ch_1", LATER)
    assert not payment.fail(FailureReason.DECLINED, "ch_1", LATER)
    assert not payment.postpone(LEASE, LATER)
    assert not payment.await_answer("ch_1", LEASE, LATER)
    assert not payment.settle_uncharged(TIME_TO_GIVE_UP, LATER)
    assert payment.updated_at == NOW


def test_past_its_time_a_charge_is_called_off() -> None:
    payment = started()

    assert payment.next_step(TIME_TO_GIVE_UP, LATER) == Step.VOID
    assert payment.settle_uncharged(TIME_TO_GIVE_UP, LATER)

    assert payment.status == PaymentStatus.FAILED
    assert payment.failure_reason == FailureReason.PROVIDER_UNAVAILABLE


def test_a_charge_that_the_provider_has_forgotten_is_made_again() -> None:
    payment = started()
    payment.await_answer("ch_1", timedelta(seconds=5), NOW)
    assert payment.next_step(TIME_TO_GIVE_UP, NOW) == Step.FIND

    assert payment.settle_uncharged(TIME_TO_GIVE_UP, NOW)

    assert payment.status == PaymentStatus.PENDING
    assert payment.next_step(TIME_TO_GIVE_UP, NOW) == Step.CHARGE


class TestCancel:
    def test_a_payment_that_nobody_began_to_charge_is_voided(self) -> None:
        payment = requested()

        assert payment.cancel("customer", "somebody", NOW)

        assert payment.status == PaymentStatus.VOIDED

    def test_a_charge_that_may_be_under_way_is_waited_for_but_not_made_again(self) -> None:
        payment = started()

        assert payment.cancel("customer", "somebody", NOW)

        assert payment.status == PaymentStatus.PENDING
        assert payment.next_step(TIME_TO_GIVE_UP, NOW) == Step.VOID

    def test_it_is_voided_once_the_provider_has_no_such_charge(self) -> None:
        payment = started()
        payment.cancel("customer", "somebody", NOW)

        assert payment.settle_uncharged(TIME_TO_GIVE_UP, LATER)

        assert payment.status == PaymentStatus.VOIDED
        assert payment.failure_reason is None

    def test_the_second_end_of_an_order_changes_nothing(self) -> None:
        payment = completed()

        assert payment.cancel("customer", "somebody", NOW)
        assert not payment.cancel("expired", "inventory-service", NOW)

        assert payment.cancel_reason == "customer"

    def test_a_refused_payment_stays_refused(self) -> None:
        payment = started()
        payment.fail(FailureReason.DECLINED, None, NOW)

        assert not payment.cancel("payment-failed", "payment-service", NOW)

        assert payment.status == PaymentStatus.FAILED


@pytest.mark.parametrize("ended", [PaymentStatus.FAILED, PaymentStatus.VOIDED])
def test_money_that_turns_up_after_the_end_is_known_and_to_be_given_back(ended: PaymentStatus) -> None:
    payment = started()
    if ended == PaymentStatus.VOIDED:
        payment.cancel("customer", "somebody", NOW)
    payment.settle_uncharged(TIME_TO_GIVE_UP, LATER)
    assert payment.status == ended

    assert payment.complete("ch_1", LATER)

    assert payment.status == PaymentStatus.SUCCEEDED
    assert payment.cancel_reason is not None
    assert payment.refundable_amount == payment.amount


class TestRefund:
    def test_a_whole_refund_ends_the_payment(self) -> None:
        payment = completed()

        settle(payment, refund(payment))

        assert payment.status == PaymentStatus.REFUNDED
        assert payment.refunded_amount == 2598

    def test_parts_add_up_to_the_whole(self) -> None:
        payment = completed()

        statuses = []

        for amount in (1000, 1, None):
            settle(payment, refund(payment, amount))
            statuses.append(payment.status)

        assert statuses == ["PARTIALLY_REFUNDED", "PARTIALLY_REFUNDED", "REFUNDED"]

    def test_a_refund_that_the_provider_refused_leaves_the_money_to_refund(self) -> None:
        payment = completed()
        refused = refund(payment)

        assert refused.fail(NOW)
        payment.settle_refund(refused, NOW)

        assert payment.status == PaymentStatus.SUCCEEDED
        assert payment.refundable_amount == 2598
        assert not refused.succeed("re_1", NOW)

    @pytest.mark.parametrize("payment", [requested(), started()])
    def test_what_was_not_captured_cannot_be_refunded(self, payment: Payment) -> None:
        with pytest.raises(PaymentNotRefundable):
            refund(payment)

    def test_what_is_promised_already_cannot_be_refunded_again(self) -> None:
        payment = completed()
        refund(payment)

        with pytest.raises(RefundTooLarge):
            refund(payment)
        with pytest.raises(RefundTooLarge):
            refund(payment, 1)

    @given(
        amount=st.integers(1, 1000),
        steps=st.lists(st.tuples(st.none() | st.integers(1, 600), st.sampled_from(["wait", "succeed", "fail"]))),
    )
    def test_never_more_is_refunded_and_promised_than_captured(
        self, amount: int, steps: list[tuple[int | None, str]]
    ) -> None:
        payment = completed(amount)
        refunded = promised = 0

        for part, fate in steps:
            try:
                asked = refund(payment, part)
            except (RefundTooLarge, PaymentNotRefundable):
                assert (part or 1) > amount - refunded - promised
                continue
            if fate == "succeed":
                settle(payment, asked)
                refunded += asked.amount
            elif fate == "fail":
                asked.fail(NOW)
                payment.settle_refund(asked, NOW)
            else:
                promised += asked.amount

        assert (payment.refunded_amount, payment.refunding_amount) == (refunded, promised)
        assert refunded + promised <= amount
        assert (payment.status == PaymentStatus.REFUNDED) == (refunded == amount)
