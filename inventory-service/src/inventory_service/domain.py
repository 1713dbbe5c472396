"""Products, their stock, and the reservations that orders hold of it. Knows nothing of HTTP, SQL, or Kafka."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.ids import uuid7

from .errors import NotEnoughStock, ProductInOrders


class ReservationStatus(StrEnum):
    HELD = "HELD"  # until the payment is decided, or it expires
    COMMITTED = "COMMITTED"  # paid: out of the stock, not yet out of the house
    SHIPPED = "SHIPPED"  # gone for good
    RELEASED = "RELEASED"  # back in the stock
    REJECTED = "REJECTED"  # never took any


class RejectReason(StrEnum):
    OUT_OF_STOCK = "out-of-stock"
    UNKNOWN_PRODUCT = "unknown-product"
    CURRENCY_MISMATCH = "currency-mismatch"


class ReleaseReason(StrEnum):
    PAYMENT_FAILED = "payment-failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(eq=False, kw_only=True)
class Adjustment:
    """An entry of a product's ledger: somebody has counted, bought in, or thrown away."""

    id: UUID
    product_id: UUID
    delta: int
    reason: str
    adjusted_by: UUID
    on_hand: int
    created_at: datetime


@dataclass(eq=False, kw_only=True)
class Product:
    """A product and its stock. 0 <= reserved <= on_hand, whatever happens; the price is in minor units."""

    id: UUID
    sku: str
    name: str
    description: str
    price: int
    currency: str
    on_hand: int
    reserved: int
    committed: int
    """Sold and not yet shipped; no longer part of `on_hand`, but it may come back."""
    reorder_level: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def create(
        cls, *, sku: str, name: str, description: str, price: int, currency: str, reorder_level: int, now: datetime
    ) -> "Product":
        """A product without stock; that comes by an adjustment."""
        return cls(
            id=uuid7(),
            sku=sku,
            name=name,
            description=description,
            price=price,
            currency=currency,
            on_hand=0,
            reserved=0,
            committed=0,
            reorder_level=reorder_level,
            created_at=now,
            updated_at=now,
        )

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def is_low(self) -> bool:
        return self.available <= self.reorder_level

    def edit(
        self,
        *,
        sku: str,
        name: str,
        price: int,
        description: str | None,
        currency: str | None,
        reorder_level: int | None,
        now: datetime,
    ) -> None:
        """What is None stays. Raises ProductInOrders for another currency while orders hold some."""
        if currency not in (None, self.currency):
            self._require_no_orders("its currency can't be changed")
            self.currency = currency
        self.sku = sku
        self.name = name
        self.price = price
        self.description = self.description if description is None else description
        self.reorder_level = self.reorder_level if reorder_level is None else reorder_level
        self.updated_at = now

    def check_deletable(self) -> None:
        """Raises ProductInOrders while orders that are not shipped hold some."""
        self._require_no_orders("it can't be deleted")

    def adjust(self, delta: int, reason: str, adjusted_by: UUID, now: datetime) -> Adjustment:
        """More stock, or less. Raises NotEnoughStock where what is reserved would not be there any more."""
        if self.available + delta < 0:
            raise NotEnoughStock(
                f"{self.on_hand} are on hand and {self.reserved} of them are reserved: "
                f"at most {self.available} can be taken away.",
                available=self.available,
            )
        self._move(now, on_hand=delta)
        return Adjustment(
            id=uuid7(),
            product_id=self.id,
            delta=delta,
            reason=reason,
            adjusted_by=adjusted_by,
            on_hand=self.on_hand,
            created_at=now,
        )

    def hold(self, quantity: int, now: datetime) -> None:
        """For an order that waits for its payment."""
        self._move(now, reserved=quantity)

    def let_go(self, quantity: int, now: datetime) -> None:
        """What was held is free again."""
        self._move(now, reserved=-quantity)

    def sell(self, quantity: int, now: datetime) -> None:
        """What was held is paid."""
        self._move(now, on_hand=-quantity, reserved=-quantity, committed=quantity)

    def put_back(self, quantity: int, now: datetime) -> None:
        """What was paid is not wanted any more."""
        self._move(now, on_hand=quantity, committed=-quantity)

    def ship(self, quantity: int, now: datetime) -> None:
        """What was paid has left the house."""
        self._move(now, committed=-quantity)

    def _move(self, now: datetime, *, on_hand: int = 0, reserved: int = 0, committed: int = 0) -> None:
        self.on_hand += on_hand
        self.reserved += reserved
        self.committed += committed
        self.updated_at = now

    def _require_no_orders(self, what_then: str) -> None:
        if held := self.reserved + self.committed:
            raise ProductInOrders(f"Orders that are not shipped yet hold {held} of {self.sku}; until then {what_then}.")


@dataclass(frozen=True, slots=True)
class ReservationLine:
    """A product, how much of it, and what one cost when the stock was reserved (None where it was not)."""

    product_id: UUID
    quantity: int
    unit_price: int | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product of which less is available than an order asked for."""

    product_id: UUID
    requested: int
    available: int


@dataclass(eq=False, kw_only=True)
class Reservation:
    """What an order holds of the stock, or that it got none. There is one for each order.

    Methods named for what happens answer whether anything changed; a late event changes nothing. They move the stock
    of `products`, which have all the products of the lines.
    """

    order_id: UUID
    customer_id: UUID
    status: ReservationStatus
    reason: RejectReason | ReleaseReason | None
    currency: str
    lines: Sequence[ReservationLine]
    total: int | None
    expires_at: datetime
    created_at: datetime
    updated_at: datetime

    @classmethod
    def reserve(
        cls,
        *,
        order_id: UUID,
        customer_id: UUID,
        currency: str,
        lines: Sequence[ReservationLine],
        products: Mapping[UUID, Product],
        expires_at: datetime,
        now: datetime,
    ) -> "Reservation":
        """All lines are held at today's prices, or none is and it is REJECTED; `products` lack those unknown here."""
        reservation = cls(
            order_id=order_id,
            customer_id=customer_id,
            status=ReservationStatus.REJECTED,
            reason=_why_not(currency, lines, products),
            currency=currency,
            lines=lines,
            total=None,
            expires_at=expires_at,
            created_at=now,
            updated_at=now,
        )
        if reservation.reason is None:
            for line in lines:
                products[line.product_id].hold(line.quantity, now)
            reservation.lines = [replace(line, unit_price=products[line.product_id].price) for line in lines]
            reservation.total = sum(products[line.product_id].price * line.quantity for line in lines)
            reservation.status = ReservationStatus.HELD
        return reservation

    def commit(self, products: Mapping[UUID, Product], now: datetime) -> bool:
        """The order is paid."""
        if self.status != ReservationStatus.HELD:
            return False
        for line in self.lines:
            products[line.product_id].sell(line.quantity, now)
        self._become(ReservationStatus.COMMITTED, now)
        return True

    def release(self, reason: ReleaseReason, products: Mapping[UUID, Product], now: datetime) -> bool:
        """The order does not come about. A paid one gives its stock back only if it was cancelled."""
        if self.status == ReservationStatus.HELD:
            for line in self.lines:
                products[line.product_id].let_go(line.quantity, now)
        elif self.status == ReservationStatus.COMMITTED and reason == ReleaseReason.CANCELLED:
            for line in self.lines:
                products[line.product_id].put_back(line.quantity, now)
        else:
            return False
        self._become(ReservationStatus.RELEASED, now, reason)
        return True

    def ship(self, products: Mapping[UUID, Product], now: datetime) -> bool:
        """The goods have left the house."""
        if self.status != ReservationStatus.COMMITTED:
            return False
        for line in self.lines:
            products[line.product_id].ship(line.quantity, now)
        self._become(ReservationStatus.SHIPPED, now)
        return True

    def _become(self, status: ReservationStatus, now: datetime, reason: ReleaseReason | None = None) -> None:
        self.status = status
        self.reason = reason
        self.updated_at = now


def shortages(lines: Sequence[ReservationLine], products: Mapping[UUID, Product]) -> list[Shortage]:
    """The known products of which these lines ask for more than is available."""
    requested: Counter[UUID] = Counter()
    for line in lines:
        requested[line.product_id] += line.quantity
    return [
        Shortage(product_id, quantity, products[product_id].available)
        for product_id, quantity in requested.items()
        if product_id in products and quantity > products[product_id].available
    ]


def _why_not(currency: str, lines: Sequence[ReservationLine], products: Mapping[UUID, Product]) -> RejectReason | None:
    if any(line.product_id not in products for line in lines):
        return RejectReason.UNKNOWN_PRODUCT
    if any(products[line.product_id].currency != currency for line in lines):
        return RejectReason.CURRENCY_MISMATCH
    if shortages(lines, products):
        return RejectReason.OUT_OF_STOCK
    return None
