"""The order and its life cycle. Knows nothing of HTTP, SQL, or Kafka."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from chassis.ids import uuid7

from .errors import OrderNotCancellable, OrderNotDeliverable, OrderNotShippable


class OrderStatus(StrEnum):
    PLACED = "PLACED"
    RESERVED = "RESERVED"
    CONFIRMED = "CONFIRMED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"


class CancelReason(StrEnum):
    OUT_OF_STOCK = "out-of-stock"
    UNKNOWN_PRODUCT = "unknown-product"
    CURRENCY_MISMATCH = "currency-mismatch"
    PAYMENT_FAILED = "payment-failed"
    CUSTOMER = "customer"
    TIMED_OUT = "timed-out"


# From here an order goes on by itself, until its deadline.
UNDER_WAY = frozenset({OrderStatus.PLACED, OrderStatus.RESERVED})


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A product and how much of it; the price is known once the stock is reserved."""

    product_id: UUID
    quantity: int
    unit_price: int | None = None


@dataclass(eq=False, kw_only=True)
class Order:
    """One order. Methods named for what happens answer whether anything changed; a late event changes nothing."""

    id: UUID
    customer_id: UUID
    status: OrderStatus
    status_reason: CancelReason | None
    currency: str
    total: int | None
    payment_method: str
    lines: Sequence[OrderLine]
    carrier: str | None
    tracking_number: str | None
    placed_at: datetime
    updated_at: datetime
    deadline: datetime

    @classmethod
    def place(
        cls,
        *,
        customer_id: UUID,
        currency: str,
        payment_method: str,
        lines: Sequence[OrderLine],
        now: datetime,
        time_to_confirm: timedelta,
    ) -> "Order":
        return cls(
            id=uuid7(),
            customer_id=customer_id,
            status=OrderStatus.PLACED,
            status_reason=None,
            currency=currency,
            total=None,
            payment_method=payment_method,
            lines=lines,
            carrier=None,
            tracking_number=None,
            placed_at=now,
            updated_at=now,
            deadline=now + time_to_confirm,
        )

    def reserve(self, unit_prices: Mapping[UUID, int], total: int, now: datetime) -> bool:
        """The stock is held at these prices. May come after the payment's answer: topics are not ordered together."""
        if self.status == OrderStatus.CANCELLED or self.lines[0].unit_price is not None:
            return False
        self.lines = [replace(line, unit_price=unit_prices[line.product_id]) for line in self.lines]
        self.total = total
        if self.status == OrderStatus.PLACED:
            self._become(OrderStatus.RESERVED, now)
        return True

    def confirm(self, amount: int, now: datetime) -> bool:
        """It is paid."""
        if self.status not in UNDER_WAY:
            return False
        if self.total is None:
            self.total = amount
        self._become(OrderStatus.CONFIRMED, now)
        return True

    def fail(self, reason: CancelReason, now: datetime) -> bool:
        """Something it needs did not come about: stock, payment, or time."""
        if self.status not in UNDER_WAY:
            return False
        self._become(OrderStatus.CANCELLED, now, reason)
        return True

    def lose_stock(self, now: datetime) -> bool:
        """Its reservation ran out, perhaps just before it was paid: without stock even a paid order can't go on."""
        if self.status not in UNDER_WAY | {OrderStatus.CONFIRMED}:
            return False
        self._become(OrderStatus.CANCELLED, now, CancelReason.TIMED_OUT)
        return True

    def cancel(self, now: datetime) -> bool:
        """The customer does not want it any more. Raises OrderNotCancellable once it is on its way."""
        if self.status == OrderStatus.CANCELLED:
            return False
        if self.status not in UNDER_WAY | {OrderStatus.CONFIRMED}:
            raise OrderNotCancellable(f"Order {self.id} is {self.status} already; only orders not yet shipped can be.")
        self._become(OrderStatus.CANCELLED, now, CancelReason.CUSTOMER)
        return True

    def ship(self, carrier: str, tracking_number: str, now: datetime) -> None:
        """It is on its way. Raises OrderNotShippable unless it is confirmed."""
        if self.status != OrderStatus.CONFIRMED:
            raise OrderNotShippable(f"Order {self.id} is {self.status}; only a CONFIRMED order can be shipped.")
        self.carrier = carrier
        self.tracking_number = tracking_number
        self._become(OrderStatus.SHIPPED, now)

    def deliver(self, now: datetime) -> None:
        """It has arrived. Raises OrderNotDeliverable unless it was shipped."""
        if self.status != OrderStatus.SHIPPED:
            raise OrderNotDeliverable(f"Order {self.id} is {self.status}; only a SHIPPED order can be delivered.")
        self._become(OrderStatus.DELIVERED, now)

    def _become(self, status: OrderStatus, now: datetime, reason: CancelReason | None = None) -> None:
        self.status = status
        self.status_reason = reason
        self.updated_at = now
