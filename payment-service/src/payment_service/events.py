"""What payment-service says, and what it hears (own copies, with the fields it uses)."""

from typing import Annotated
from uuid import UUID

from chassis.messages import Event
from pydantic import Field

from .domain import FailureReason, Payment, Refund


class PaymentEvent(Event):
    topic = "payment-events"

    order_id: UUID
    payment_id: UUID


class PaymentCompleted(PaymentEvent):
    type = "payment.completed.v1"

    amount: int
    currency: str
    provider_reference: str

    @classmethod
    def of(cls, payment: Payment) -> "PaymentCompleted":
        assert payment.provider_reference is not None
        return cls(
            order_id=payment.order_id,
            payment_id=payment.id,
            amount=payment.amount,
            currency=payment.currency,
            provider_reference=payment.provider_reference,
        )


class PaymentFailed(PaymentEvent):
    type = "payment.failed.v1"

    reason: FailureReason

    @classmethod
    def of(cls, payment: Payment) -> "PaymentFailed":
        assert payment.failure_reason is not None
        return cls(order_id=payment.order_id, payment_id=payment.id, reason=payment.failure_reason)


class PaymentRefunded(PaymentEvent):
    type = "payment.refunded.v1"

    amount: int
    reason: str

    @classmethod
    def of(cls, refund: Refund) -> "PaymentRefunded":
        return cls(order_id=refund.order_id, payment_id=refund.payment_id, amount=refund.amount, reason=refund.reason)


SAID = (PaymentCompleted, PaymentFailed, PaymentRefunded)


class OrderEvent(Event):
    topic = "order-events"

    order_id: UUID


class OrderCancelled(OrderEvent):
    type = "order.cancelled.v1"

    reason: str
    cancelled_by: str


class InventoryEvent(Event):
    topic = "inventory-events"

    order_id: UUID


class StockReserved(InventoryEvent):
    type = "inventory.stock-reserved.v1"

    customer_id: UUID
    payment_method: str
    currency: Annotated[str, Field(min_length=3, max_length=3)]
    total: Annotated[int, Field(gt=0, lt=2**63)]  # what can't be charged is a mistake of whoever said it


class StockReleased(InventoryEvent):
    type = "inventory.stock-released.v1"

    reason: str
