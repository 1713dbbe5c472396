"""What can be done with payments: one method, one use case, one transaction. The provider is called by nobody here."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.database import Database, after_commit
from chassis.messages import Envelope, Event, handled_event, handling
from chassis.outbox import publish
from chassis.security import Caller
from chassis.telemetry import inject_trace, span
from sqlalchemy.ext.asyncio import AsyncSession

from . import metrics
from .domain import Cause, FailureReason, Payment, PaymentStatus, Refund
from .errors import PaymentNotFound
from .events import PaymentCompleted, PaymentEvent, PaymentFailed, PaymentRefunded
from .provider import ChargeAnswer, ChargeStatus, ProviderUnavailable, RefundAnswer, RefundRefused
from .settings import Settings
from .storage import CancelledOrder, PaymentStore, RefundStore

logger = logging.getLogger(__name__)

_LEASE_MARGIN = timedelta(seconds=2)  # on top of the provider's timeout: time to record the answer


class PaymentService:
    """`charges_due` and `refunds_due` are set once a transaction of this process has committed work for them."""

    def __init__(self, database: Database, settings: Settings, *, provider_name: str) -> None:
        self._database = database
        self._settings = settings
        self._provider_name = provider_name
        self.charges_due = asyncio.Event()
        self.refunds_due = asyncio.Event()

    async def request_payment(
        self, *, order_id: UUID, customer_id: UUID, amount: int, currency: str, payment_method: str
    ) -> None:
        """The order's stock is held: its money is to be taken, unless the order has ended already."""
        async with self._database.begin() as session:
            store = PaymentStore(session)
            if (known := await store.get_locked_by_order(order_id)) is not None:
                _passed_over("the reservation", order_id, known)
                return
            payment = Payment.request(
                order_id=order_id,
                customer_id=customer_id,
                amount=amount,
                currency=currency,
                payment_method=payment_method,
                provider=self._provider_name,
                cause=_current_cause(),
                now=_now(),
            )
            store.add(payment)
            cancelled = await store.get_cancelled_locked(order_id)
            if cancelled is not None:
                payment.cancel(cancelled.reason, cancelled.cancelled_by, _now())
                _count(session, payment)
                return
            after_commit(session, self.charges_due.set)

    async def cancel_payment(self, order_id: UUID, reason: str, cancelled_by: str) -> None:
        """The order has ended: nothing is to be charged any more, and what was, is to be given back, once."""
        async with self._database.begin() as session:
            store = PaymentStore(session)
            payment = await store.get_locked_by_order(order_id)
            if payment is None:
                if await store.get_cancelled_locked(order_id) is None:
                    store.remember_cancelled(
                        CancelledOrder(order_id=order_id, reason=reason, cancelled_by=cancelled_by, cancelled_at=_now())
                    )
                return
            if not payment.cancel(reason, cancelled_by, _now()):
                _passed_over(f"the end of the order ({reason})", order_id, payment)
            elif payment.status == PaymentStatus.VOIDED:
                _count(session, payment)
            else:
                self._give_back(session, payment, _current_cause())

    async def claim_charges(self, limit: int) -> Sequence[Payment]:
        """Payments whose provider is to be called now, by the caller alone until the lease ends."""
        async with self._database.begin() as session:
            due = await PaymentStore(session).due(_now(), limit)
            for payment in due:
                payment.start_attempt(self._lease, _now())
        return due

    async def record_charges(self, answers: Sequence[tuple[UUID, ChargeAnswer]]) -> None:
        """What the provider says of the charges of these payments, asked or by itself."""
        async with self._database.begin() as session:
            payments = await PaymentStore(session).lock([payment_id for payment_id, _ in answers])
            for payment_id, answer in answers:
                payment = payments.get(payment_id)
                if payment is None:
                    _passed_over(f"{answer!r}", payment_id, None)
                    continue
                with _because_of(payment.cause):
                    if not self._settle(session, payment, answer):
                        _passed_over(f"{answer!r}", payment.order_id, payment)

    async def refund_payment(
        self, payment_id: UUID, *, amount: int | None, reason: str, requested_by: str
    ) -> tuple[Payment, Refund]:
        """Promise a refund; `amount` None means all that is left.

        Raises PaymentNotFound, PaymentNotRefundable and RefundTooLarge.
        """
        async with self._database.begin() as session:
            payment = _found(await PaymentStore(session).get_locked(payment_id), payment_id)
            return payment, self._refund(session, payment, amount, reason, requested_by, _current_cause())

    async def claim_refunds(self, limit: int) -> Sequence[tuple[Refund, str]]:
        """Refunds to be made now by the caller alone, as with charges; with the provider's references of these."""
        async with self._database.begin() as session:
            due = await RefundStore(session).due(_now(), limit)
            for refund, _ in due:
                refund.start_attempt(self._lease, _now())
        return due

    async def record_refunds(self, answers: Sequence[tuple[Refund, RefundAnswer]]) -> None:
        """What the provider says of these refunds."""
        async with self._database.begin() as session:
            payments = await PaymentStore(session).lock([refund.payment_id for refund, _ in answers])
            refunds = await RefundStore(session).lock([refund.id for refund, _ in answers])
            for asked, answer in answers:
                self._settle_refund(session, payments[asked.payment_id], refunds[asked.id], answer)

    async def get_payment(self, payment_id: UUID, caller: Caller) -> Payment:
        """Raises PaymentNotFound, also for somebody else's payment."""
        async with self._database.begin() as session:
            payment = await PaymentStore(session).get(payment_id)
        # Promise A9: somebody else's payment looks like one that is not there.
        if payment is not None and not caller.is_admin and payment.customer_id != caller.user_id:
            payment = None
        return _found(payment, payment_id)

    async def list_payments(
        self,
        caller: Caller,
        *,
        limit: int,
        before: UUID | None,
        status: PaymentStatus | None,
        order_id: UUID | None,
        created_from: datetime | None,
        created_to: datetime | None,
    ) -> Sequence[Payment]:
        """A customer's own payments, an admin's view of all. One more than `limit`, if there are more."""
        async with self._database.begin() as session:
            return await PaymentStore(session).list(
                limit=limit + 1,
                before=before,
                customer_id=None if caller.is_admin else caller.user_id,
                status=status,
                order_id=order_id,
                created_from=created_from,
                created_to=created_to,
            )

    async def preload(self, events: Sequence[Event]) -> object:
        """Lock the orders that a batch of events is about, and their payments."""
        async with self._database.begin() as session:
            return await PaymentStore(session).preload(event.order_id for event in events if hasattr(event, "order_id"))

    def _settle(self, session: AsyncSession, payment: Payment, answer: ChargeAnswer) -> bool:
        if isinstance(answer, ProviderUnavailable):
            return payment.postpone(self._pause_after(payment.attempts), _now())
        if answer is None:
            changed = payment.settle_uncharged(self._time_to_give_up, _now())
        elif answer.status == ChargeStatus.FAILED:
            changed = payment.fail(answer.failure_reason or FailureReason.DECLINED, answer.reference, _now())
        elif answer.status == ChargeStatus.PENDING:
            pause = timedelta(seconds=self._settings.answer_poll_seconds)
            return payment.await_answer(_known(answer.reference), pause, _now())
        else:
            changed = payment.complete(_known(answer.reference), _now())
        if changed:
            self._tell_settled(session, payment)
        return changed

    def _tell_settled(self, session: AsyncSession, payment: Payment) -> None:
        if payment.status == PaymentStatus.PENDING:
            after_commit(session, self.charges_due.set)
            return
        _count(session, payment)
        if payment.status == PaymentStatus.FAILED:
            _tell(session, PaymentFailed.of(payment))
        elif payment.status == PaymentStatus.SUCCEEDED:
            completed = _tell(session, PaymentCompleted.of(payment))
            # Promise S5: what was taken for an order that has ended goes back, once.
            self._give_back(session, payment, dict(_texts(completed)))

    def _settle_refund(self, session: AsyncSession, payment: Payment, refund: Refund, answer: RefundAnswer) -> None:
        if isinstance(answer, ProviderUnavailable):
            refund.postpone(self._pause_after(refund.attempts), _now())
        elif isinstance(answer, RefundRefused):
            # The promise is off; whether the money is owed all the same is for people to say.
            if refund.fail(_now()):
                payment.settle_refund(refund, _now())
        elif refund.succeed(answer, _now()):
            payment.settle_refund(refund, _now())
            with _because_of(refund.cause):
                _tell(session, PaymentRefunded.of(refund))
            _count(session, payment)

    def _give_back(self, session: AsyncSession, payment: Payment, cause: Cause) -> None:
        if payment.cancel_reason is not None and payment.refundable_amount > 0:
            assert payment.cancelled_by is not None
            self._refund(session, payment, None, payment.cancel_reason, payment.cancelled_by, cause)

    def _refund(
        self,
        session: AsyncSession,
        payment: Payment,
        amount: int | None,
        reason: str,
        requested_by: str,
        cause: Cause,
    ) -> Refund:
        refund = payment.refund(amount, reason, requested_by, cause, _now())
        RefundStore(session).add(refund)
        after_commit(session, self.refunds_due.set)
        return refund

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self._settings.provider_timeout_seconds) + _LEASE_MARGIN

    @property
    def _time_to_give_up(self) -> timedelta:
        return timedelta(seconds=self._settings.give_up_seconds)

    def _pause_after(self, attempts: int) -> timedelta:
        doubled = self._settings.retry_pause_seconds * 2 ** min(attempts - 1, 20)
        return timedelta(seconds=min(doubled, self._settings.longest_retry_pause_seconds))


def _tell(session: AsyncSession, event: PaymentEvent) -> Envelope:
    return publish(session, event, key=event.order_id)


def _current_cause() -> Cause:
    """What is going on here, to be remembered: the event that is being handled, or else the trace alone."""
    event = handled_event()
    return dict(_texts(event)) if event is not None else inject_trace({})


@contextmanager
def _because_of(cause: Cause) -> Iterator[None]:
    """What is published inside the block was caused by what was remembered, and is in its trace (promise O4)."""
    with span("settle payment", carrier=cause):
        if "ce_id" not in cause:
            yield
            return
        headers = [(name, value.encode()) for name, value in cause.items()]
        with handling(Envelope.from_record(topic="", key=None, headers=headers, value=None)):
            yield


def _texts(envelope: Envelope) -> Iterator[tuple[str, str]]:
    return ((name, value.decode()) for name, value in envelope.headers())


def _count(session: AsyncSession, payment: Payment) -> None:
    after_commit(session, metrics.PAYMENTS.labels(payment.status).inc)


def _found(payment: Payment | None, payment_id: UUID) -> Payment:
    if payment is None:
        raise PaymentNotFound(f"There is no payment {payment_id}.")
    return payment


def _known(reference: str | None) -> str:
    assert reference is not None, "only a charge that was refused at sight has no reference"
    return reference


def _passed_over(what: str, id_: UUID, payment: Payment | None) -> None:
    logger.info("%s changes nothing for %s (%s)", what, id_, payment.status if payment else "unknown here")


def _now() -> datetime:
    return datetime.now(UTC)
