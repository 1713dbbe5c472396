"""Gives money back: calls the provider for refunds that are due, outside of any transaction."""

import logging

from . import metrics
from .domain import Refund
from .provider import PaymentProvider, ProviderUnavailable, RefundAnswer, RefundRefused
from .service import PaymentService
from .settings import Settings
from .workers import Worker

logger = logging.getLogger(__name__)


class Refunder:
    """As with charges, a crash is mended by the next call, which has the same key."""

    def __init__(self, payments: PaymentService, provider: PaymentProvider, settings: Settings) -> None:
        self._provider = provider
        self._worker = Worker(
            claim=payments.claim_refunds,
            work=self.refund,
            record=payments.record_refunds,
            due=payments.refunds_due,
            at_once=lambda: settings.calls_at_once,
            poll_seconds=lambda: settings.poll_seconds,
        )

    async def run(self) -> None:
        """Refund until cancelled; to be run as a supervised task. Several instances share the work."""
        await self._worker.run()

    async def refund(self, claimed: tuple[Refund, str]) -> tuple[Refund, RefundAnswer]:
        """One attempt at a refund that was claimed, of the charge with this reference."""
        refund, charge_reference = claimed
        try:
            with metrics.provider_call("refund") as call:
                reference = await self._provider.refund(
                    refund.id, charge_reference=charge_reference, amount=refund.amount
                )
                call.outcome = "succeeded"
        except ProviderUnavailable as error:
            logger.warning("the provider gives no answer on refund %s: %s", refund.id, error)
            return refund, error
        except RefundRefused as error:
            logger.error("the provider refuses refund %s of payment %s: %s", refund.id, refund.payment_id, error)
            return refund, error
        return refund, reference
