"""Takes the money: calls the provider for payments that are due, outside of any transaction."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from . import metrics
from .domain import Payment, Step
from .provider import Charge, ChargeAnswer, PaymentProvider, ProviderUnavailable
from .service import PaymentService
from .settings import Settings
from .workers import Worker

logger = logging.getLogger(__name__)


class Charger:
    """A crash between the provider's answer and its record is mended by the next call, which has the same key."""

    def __init__(self, payments: PaymentService, provider: PaymentProvider, settings: Settings) -> None:
        self._provider = provider
        self._settings = settings
        self._worker = Worker(
            claim=payments.claim_charges,
            work=self.charge,
            record=payments.record_charges,
            due=payments.charges_due,
            at_once=lambda: settings.calls_at_once,
            poll_seconds=lambda: settings.poll_seconds,
        )

    async def run(self) -> None:
        """Charge until cancelled; to be run as a supervised task. Several instances share the work."""
        await self._worker.run()

    async def charge(self, payment: Payment) -> tuple[UUID, ChargeAnswer]:
        """One attempt at a payment that was claimed."""
        step = payment.next_step(timedelta(seconds=self._settings.give_up_seconds), datetime.now(UTC))
        try:
            with metrics.provider_call(step) as call:
                charge = await self._take(step, payment)
                call.outcome = charge.status if charge else "none"
        except ProviderUnavailable as error:
            logger.warning("the provider gives no answer on payment %s: %s", payment.id, error)
            return payment.id, error
        return payment.id, charge

    async def _take(self, step: Step, payment: Payment) -> Charge | None:
        if step == Step.FIND:
            return await self._provider.find_charge(payment.id)
        if step == Step.VOID:
            return await self._provider.void_charge(payment.id)
        return await self._provider.charge(
            payment.id,
            amount=payment.amount,
            currency=payment.currency,
            payment_method=payment.payment_method,
            order_id=payment.order_id,
        )
