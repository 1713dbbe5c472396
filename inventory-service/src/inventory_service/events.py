"""What inventory-service says, and what it hears (own copies, with the fields it uses)."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from chassis.messages import Event
from pydantic import AwareDatetime, BaseModel, Field

from .domain import Product, RejectReason, ReleaseReason, Reservation, shortages


class InventoryEvent(Event):
    topic = "inventory-events"


class ReservedLine(BaseModel):
    product_id: UUID
    quantity: int
    unit_price: int


class StockReserved(InventoryEvent):
    type = "inventory.stock-reserved.v1"

    order_id: UUID
    customer_id: UUID
    payment_method: str
    currency: str
    lines: list[ReservedLine]
    total: int
    expires_at: datetime

    @classmethod
    def of(cls, reservation: Reservation, payment_method: str) -> "StockReserved":
        return cls.model_validate(
            {
                "order_id": reservation.order_id,
                "customer_id": reservation.customer_id,
                "payment_method": payment_method,
                "currency": reservation.currency,
                "lines": [ReservedLine.model_validate(line, from_attributes=True) for line in reservation.lines],
                "total": reservation.total,
                "expires_at": reservation.expires_at,
            }
        )


class ShortLine(BaseModel):
    product_id: UUID
    requested: int
    available: int


class StockRejected(InventoryEvent):
    type = "inventory.stock-rejected.v1"

    order_id: UUID
    reason: RejectReason
    shortages: list[ShortLine]  # of an order that is out of stock, else empty

    @classmethod
    def of(cls, reservation: Reservation, products: Mapping[UUID, Product]) -> "StockRejected":
        assert isinstance(reservation.reason, RejectReason)
        short = shortages(reservation.lines, products) if reservation.reason == RejectReason.OUT_OF_STOCK else []
        return cls(
            order_id=reservation.order_id,
            reason=reservation.reason,
            shortages=[ShortLine.model_validate(line, from_attributes=True) for line in short],
        )


class StockReleased(InventoryEvent):
    type = "inventory.stock-released.v1"

    order_id: UUID
    reason: ReleaseReason


class StockCommitted(InventoryEvent):
    type = "inventory.stock-committed.v1"

    order_id: UUID


class StockLevel(InventoryEvent):
    """The stock of a product as it is now."""

    product_id: UUID
    on_hand: int
    reserved: int
    reorder_level: int

    @classmethod
    def of(cls, product: Product) -> "StockLevel":
        return cls(
            product_id=product.id,
            on_hand=product.on_hand,
            reserved=product.reserved,
            reorder_level=product.reorder_level,
        )


class StockAdjusted(StockLevel):
    type = "inventory.stock-adjusted.v1"


class StockLow(StockLevel):
    type = "inventory.stock-low.v1"


SAID = (StockReserved, StockRejected, StockReleased, StockCommitted, StockAdjusted, StockLow)


class OrderEvent(Event):
    topic = "order-events"

    order_id: UUID


class PlacedLine(BaseModel):
    product_id: UUID
    quantity: int = Field(gt=0)


class OrderPlaced(OrderEvent):
    type = "order.placed.v1"

    customer_id: UUID
    currency: str = Field(min_length=3, max_length=3)
    payment_method: str
    lines: list[PlacedLine] = Field(min_length=1)
    deadline: AwareDatetime


class OrderCancelled(OrderEvent):
    type = "order.cancelled.v1"


class OrderShipped(OrderEvent):
    type = "order.shipped.v1"


class PaymentEvent(Event):
    topic = "payment-events"

    order_id: UUID


class PaymentCompleted(PaymentEvent):
    type = "payment.completed.v1"


class PaymentFailed(PaymentEvent):
    type = "payment.failed.v1"
