"""The payment of an order, and its refunds. Knows nothing of HTTP, SQL, Kafka, or the provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.ids import uuid7

from .errors import PaymentNotRefundable, RefundTooLarge


class PaymentStatus(StrEnum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REFUNDED = "REFUNDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    VOIDED = "VOIDED"


class FailureReason(StrEnum):
    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    EXPIRED_CARD = "expired-card"
    PROVIDER_UNAVAILABLE = "provider-unavailable"


class RefundStatus(StrEnum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Step(StrEnum):
    """What the provider is to be told of a payment next."""

    CHARGE = "charge"
    FIND = "find"
    VOID = "void"


# Money was taken, and some of it may still be here.
CAPTURED = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.PARTIALLY_REFUNDED})
# No money was taken, as far as is known here: a provider may still say otherwise.
ENDED_WITHOUT_MONEY = frozenset({PaymentStatus.FAILED, PaymentStatus.VOIDED})

# What an event that asked for something is remembered by: its record headers, to be named as the cause of the answer.
Cause = Mapping[str, str]


@dataclass(eq=False, kw_only=True)
class Payment:
    """What one order costs. Methods named for what happens answer whether anything changed; a late event does not.

    Amounts are minor units. `refunding_amount` is promised by refunds that the provider has not confirmed yet.
    """

    id: UUID
    order_id: UUID
    customer_id: UUID
    status: PaymentStatus
    failure_reason: FailureReason | None
    amount: int
    refunded_amount: int
    refunding_amount: int
    currency: str
    payment_method: str
    provider: str
    provider_reference: str | None
    cancel_reason: str | None  # the order ended while a charge may have been under way
    cancelled_by: str | None
    attempts: int
    next_attempt_at: datetime
    charge_started_at: datetime | None  # from here on money may have been taken
    cause: Cause
    created_at: datetime
    updated_at: datetime

    @classmethod
    def request(
        cls,
        *,
        order_id: UUID,
        customer_id: UUID,
        amount: int,
        currency: str,
        payment_method: str,
        provider: str,
        cause: Cause,
        now: datetime,
    ) -> "Payment":
        return cls(
            id=uuid7(),
            order_id=order_id,
            customer_id=customer_id,
            status=PaymentStatus.PENDING,
            failure_reason=None,
            amount=amount,
            refunded_amount=0,
            refunding_amount=0,
            currency=currency,
            payment_method=payment_method,
            provider=provider,
            provider_reference=None,
            cancel_reason=None,
            cancelled_by=None,
            attempts=0,
            next_attempt_at=now,
            charge_started_at=None,
            cause=cause,
            created_at=now,
            updated_at=now,
        )

    @property
    def refundable_amount(self) -> int:
        """What was captured, less what is refunded or promised to be."""
        return self.amount - self.refunded_amount - self.refunding_amount if self.status in CAPTURED else 0

    def start_attempt(self, lease: timedelta, now: datetime) -> None:
        """The provider is about to be called; if no answer is recorded within `lease`, somebody calls again."""
        self.attempts += 1
        self.next_attempt_at = now + lease
        if self.charge_started_at is None:
            self.charge_started_at = now

    def next_step(self, time_to_give_up: timedelta, now: datetime) -> Step:
        """Past its time, or once its order has ended, a charge must not be made any more.

        Whether an earlier attempt has made it is for the provider to say; until it can be asked, the payment waits.
        """
        if self.cancel_reason is not None or self._is_given_up(time_to_give_up, now):
            return Step.VOID
        return Step.CHARGE if self.provider_reference is None else Step.FIND

    def await_answer(self, provider_reference: str, pause: timedelta, now: datetime) -> bool:
        """The provider has it and will know later."""
        if self.status != PaymentStatus.PENDING:
            return False
        self.provider_reference = provider_reference
        self.next_attempt_at = now + pause
        self.updated_at = now
        return True

    def postpone(self, pause: timedelta, now: datetime) -> bool:
        """The provider can't be reached."""
        if self.status != PaymentStatus.PENDING:
            return False
        self.next_attempt_at = now + pause
        return True

    def complete(self, provider_reference: str, now: datetime) -> bool:
        """The money was taken, even where that was not expected any more; then it has to be given back."""
        if self.status not in ENDED_WITHOUT_MONEY | {PaymentStatus.PENDING}:
            return False
        if self.status in ENDED_WITHOUT_MONEY and self.cancel_reason is None:
            self.cancel_reason = str(self.failure_reason or "cancelled")
            self.cancelled_by = "payment-service"
        self.provider_reference = provider_reference
        self.failure_reason = None
        self._become(PaymentStatus.SUCCEEDED, now)
        return True

    def fail(self, reason: FailureReason, provider_reference: str | None, now: datetime) -> bool:
        """The provider refused."""
        if self.status != PaymentStatus.PENDING:
            return False
        self.failure_reason = reason
        self.provider_reference = provider_reference or self.provider_reference
        self._become(PaymentStatus.FAILED, now)
        return True

    def settle_uncharged(self, time_to_give_up: timedelta, now: datetime) -> bool:
        """The provider has no such charge: void, fail, or try again, as things stand."""
        if self.status != PaymentStatus.PENDING:
            return False
        if self.cancel_reason is not None:
            self._become(PaymentStatus.VOIDED, now)
        elif self._is_given_up(time_to_give_up, now):
            self.fail(FailureReason.PROVIDER_UNAVAILABLE, None, now)
        else:
            self.provider_reference = None
            self.next_attempt_at = now
        return True

    def cancel(self, reason: str, cancelled_by: str, now: datetime) -> bool:
        """The order has ended. A charge that may be under way is waited for; what was captured is to be refunded."""
        if self.status in ENDED_WITHOUT_MONEY or self.cancel_reason is not None:
            return False
        self.cancel_reason = reason
        self.cancelled_by = cancelled_by
        self.updated_at = now
        if self.status == PaymentStatus.PENDING and self.charge_started_at is None:
            self._become(PaymentStatus.VOIDED, now)
        return True

    def refund(self, amount: int | None, reason: str, requested_by: str, cause: Cause, now: datetime) -> "Refund":
        """Promise to give back `amount`, or all that is left.

        Raises PaymentNotRefundable and RefundTooLarge.
        """
        if self.status not in CAPTURED:
            raise PaymentNotRefundable(f"Payment {self.id} is {self.status}; only a SUCCEEDED payment can be refunded.")
        left = self.refundable_amount
        if left == 0 or (amount is not None and amount > left):
            raise RefundTooLarge(f"{left} of payment {self.id} can still be refunded; ask for no more than that.")
        refund = Refund(
            id=uuid7(),
            payment_id=self.id,
            order_id=self.order_id,
            amount=amount or left,
            reason=reason,
            status=RefundStatus.PENDING,
            provider_reference=None,
            requested_by=requested_by,
            attempts=0,
            next_attempt_at=now,
            cause=cause,
            created_at=now,
            updated_at=now,
        )
        self.refunding_amount += refund.amount
        self.updated_at = now
        return refund

    def settle_refund(self, refund: "Refund", now: datetime) -> None:
        """A refund of this payment has ended."""
        self.refunding_amount -= refund.amount
        self.updated_at = now
        if refund.status == RefundStatus.SUCCEEDED:
            self.refunded_amount += refund.amount
            whole = self.refunded_amount == self.amount
            self._become(PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED, now)

    def _is_given_up(self, time_to_give_up: timedelta, now: datetime) -> bool:
        return self.charge_started_at is not None and self.charge_started_at + time_to_give_up <= now

    def _become(self, status: PaymentStatus, now: datetime) -> None:
        self.status = status
        self.updated_at = now


@dataclass(eq=False, kw_only=True)
class Refund:
    """A part of a payment on its way back, or the whole of it."""

    id: UUID
    payment_id: UUID
    order_id: UUID
    amount: int
    reason: str
    status: RefundStatus
    provider_reference: str | None
    requested_by: str  # a user's id, or a service's name
    attempts: int
    next_attempt_at: datetime
    cause: Cause
    created_at: datetime
    updated_at: datetime

    def start_attempt(self, lease: timedelta, now: datetime) -> None:
        """The provider is about to be called; if no answer is recorded within `lease`, somebody calls again."""
        self.attempts += 1
        self.next_attempt_at = now + lease

    def postpone(self, pause: timedelta, now: datetime) -> bool:
        """The provider can't be reached."""
        if self.status != RefundStatus.PENDING:
            return False
        self.next_attempt_at = now + pause
        return True

    def succeed(self, provider_reference: str, now: datetime) -> bool:
        """The money is back where it came from."""
        if self.status != RefundStatus.PENDING:
            return False
        self.status = RefundStatus.SUCCEEDED
        self.provider_reference = provider_reference
        self.updated_at = now
        return True

    def fail(self, now: datetime) -> bool:
        """The provider refuses, and would again."""
        if self.status != RefundStatus.PENDING:
            return False
        self.status = RefundStatus.FAILED
        self.updated_at = now
        return True
