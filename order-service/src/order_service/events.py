"""What order-service says, and what it hears (own copies, with the fields it uses)."""

from datetime import datetime
from uuid import UUID

from chassis.messages import Event
from pydantic import BaseModel

from .domain import CancelReason, Order


class OrderEvent(Event):
    topic = "order-events"

    order_id: UUID


class PlacedLine(BaseModel):
    product_id: UUID
    quantity: int


class OrderPlaced(OrderEvent):
    type = "order.placed.v1"

    customer_id: UUID
    currency: str
    payment_method: str
    lines: list[PlacedLine]
    deadline: datetime

    @classmethod
    def of(cls, order: Order) -> "OrderPlaced":
        return cls(
            order_id=order.id,
            customer_id=order.customer_id,
            currency=order.currency,
            payment_method=order.payment_method,
            lines=[PlacedLine(product_id=line.product_id, quantity=line.quantity) for line in order.lines],
            deadline=order.deadline,
        )


class OrderConfirmed(OrderEvent):
    type = "order.confirmed.v1"

    total: int


class OrderCancelled(OrderEvent):
    type = "order.cancelled.v1"

    reason: CancelReason
    cancelled_by: str  # a user's id, or the service whose answer or silence ended the order


class OrderShipped(OrderEvent):
    type = "order.shipped.v1"

    carrier: str
    tracking_number: str


class OrderDelivered(OrderEvent):
    type = "order.delivered.v1"

    carrier: str
    tracking_number: str


SAID = (OrderPlaced, OrderConfirmed, OrderCancelled, OrderShipped, OrderDelivered)


class InventoryEvent(Event):
    topic = "inventory-events"

    order_id: UUID


class PricedLine(BaseModel):
    product_id: UUID
    unit_price: int


class StockReserved(InventoryEvent):
    type = "inventory.stock-reserved.v1"

    lines: list[PricedLine]
    total: int


class StockRejected(InventoryEvent):
    type = "inventory.stock-rejected.v1"

    reason: CancelReason


class StockReleased(InventoryEvent):
    type = "inventory.stock-released.v1"

    reason: str


class PaymentEvent(Event):
    topic = "payment-events"

    order_id: UUID


class PaymentCompleted(PaymentEvent):
    type = "payment.completed.v1"

    amount: int


class PaymentFailed(PaymentEvent):
    type = "payment.failed.v1"

    reason: str
