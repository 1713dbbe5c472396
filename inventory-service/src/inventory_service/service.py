"""What can be done with products and stock: one method, one use case, one transaction."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.database import Database, after_commit
from chassis.messages import Event
from chassis.outbox import publish
from chassis.security import Caller
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from . import metrics
from .domain import Adjustment, Product, ReleaseReason, Reservation, ReservationLine, ReservationStatus
from .errors import ProductNotFound, ReservationNotFound, SkuTaken
from .events import OrderPlaced, StockAdjusted, StockCommitted, StockLow, StockRejected, StockReleased, StockReserved
from .settings import Settings
from .storage import Ledger, ProductFilter, ProductSort, ProductStore, ReservationStore

logger = logging.getLogger(__name__)

_RELEASED_AT_ONCE = 100


class InventoryService:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def create_product(
        self,
        caller: Caller,
        *,
        sku: str,
        name: str,
        description: str,
        price: int,
        currency: str,
        on_hand: int,
        reorder_level: int,
    ) -> Product:
        """Raises SkuTaken. What is on hand from the start stands in the ledger as well."""
        product = Product.create(
            sku=sku,
            name=name,
            description=description,
            price=price,
            currency=currency,
            reorder_level=reorder_level,
            now=_now(),
        )
        async with self._database.begin() as session:
            ProductStore(session).add(product)
            if on_hand:
                _adjust(session, product, on_hand, "initial stock", caller)
            await _flush(session, sku)
        return product

    async def get_product(self, product_id: UUID) -> Product:
        """Raises ProductNotFound."""
        async with self._database.begin() as session:
            return _found(await ProductStore(session).get(product_id), product_id)

    async def list_products(
        self, chosen: ProductFilter, sort: ProductSort, *, limit: int, after: tuple[Any, UUID] | None
    ) -> Sequence[Product]:
        """One more than `limit`, if there are more."""
        async with self._database.begin() as session:
            return await ProductStore(session).list(chosen, sort, limit=limit + 1, after=after)

    async def edit_product(
        self,
        product_id: UUID,
        *,
        sku: str,
        name: str,
        price: int,
        description: str | None,
        currency: str | None,
        reorder_level: int | None,
    ) -> Product:
        """What is None stays. Raises ProductNotFound, SkuTaken and ProductInOrders (for another currency)."""
        async with self._database.begin() as session:
            product = _found(await ProductStore(session).get_locked(product_id), product_id)
            with _telling_what_runs_low(session, [product]):
                product.edit(
                    sku=sku,
                    name=name,
                    price=price,
                    description=description,
                    currency=currency,
                    reorder_level=reorder_level,
                    now=_now(),
                )
            await _flush(session, sku)
        return product

    async def delete_product(self, product_id: UUID) -> None:
        """Raises ProductNotFound, and ProductInOrders while orders hold some. Its ledger is kept."""
        async with self._database.begin() as session:
            product = _found(await ProductStore(session).get_locked(product_id), product_id)
            product.check_deletable()
            await ProductStore(session).delete(product)

    async def adjust_stock(self, product_id: UUID, delta: int, reason: str, caller: Caller) -> Adjustment:
        """Raises ProductNotFound, and NotEnoughStock where it would go below what is reserved."""
        async with self._database.begin() as session:
            product = _found(await ProductStore(session).get_locked(product_id), product_id)
            return _adjust(session, product, delta, reason, caller)

    async def list_adjustments(self, product_id: UUID, *, limit: int, before: UUID | None) -> Sequence[Adjustment]:
        """One more than `limit`, if there are more. Raises ProductNotFound."""
        async with self._database.begin() as session:
            _found(await ProductStore(session).get(product_id), product_id)
            return await Ledger(session).of(product_id, limit=limit + 1, before=before)

    async def get_reservation(self, order_id: UUID, caller: Caller) -> Reservation:
        """Raises ReservationNotFound, also for somebody else's order."""
        async with self._database.begin() as session:
            reservation = await ReservationStore(session).get(order_id)
        # Promise A9: somebody else's order looks like one that is not there.
        if reservation is None or not (caller.is_admin or reservation.customer_id == caller.user_id):
            raise ReservationNotFound(f"Nothing is reserved for an order {order_id}.")
        return reservation

    async def reserve_stock(
        self,
        *,
        order_id: UUID,
        customer_id: UUID,
        currency: str,
        payment_method: str,
        lines: Sequence[ReservationLine],
        deadline: datetime,
    ) -> None:
        """Hold all that an order asks for, or nothing, and tell which."""
        async with self._database.begin() as session:
            store = ReservationStore(session)
            if (known := await store.get_locked(order_id)) is not None:
                _passed_over("the placing", order_id, known)
                return
            products = await _lock_products(session, lines)
            with _telling_what_runs_low(session, products.values()):
                reservation = Reservation.reserve(
                    order_id=order_id,
                    customer_id=customer_id,
                    currency=currency,
                    lines=lines,
                    products=products,
                    expires_at=deadline + timedelta(seconds=self._settings.hold_grace_seconds),
                    now=_now(),
                )
            store.add(reservation)
            if reservation.status == ReservationStatus.HELD:
                publish(session, StockReserved.of(reservation, payment_method), key=order_id)
            else:
                publish(session, StockRejected.of(reservation, products), key=order_id)
            after_commit(session, metrics.RESERVATIONS.labels(reservation.reason or "reserved").inc)

    async def commit_stock(self, order_id: UUID) -> None:
        """The order is paid."""
        async with self._database.begin() as session:
            reservation = await ReservationStore(session).get_locked(order_id)
            products = await _lock_products(session, reservation.lines if reservation else ())
            if reservation is None or not reservation.commit(products, _now()):
                _passed_over("the payment", order_id, reservation)
                return
            publish(session, StockCommitted(order_id=order_id), key=order_id)

    async def release_stock(self, order_id: UUID, reason: ReleaseReason) -> None:
        """The order does not come about; what it held, or had taken, is free again."""
        async with self._database.begin() as session:
            await _release(session, await ReservationStore(session).get_locked(order_id), order_id, reason)

    async def ship_stock(self, order_id: UUID) -> None:
        """The goods are gone for good."""
        async with self._database.begin() as session:
            reservation = await ReservationStore(session).get_locked(order_id)
            products = await _lock_products(session, reservation.lines if reservation else ())
            if reservation is None or not reservation.ship(products, _now()):
                _passed_over("the shipping", order_id, reservation)

    async def release_expired_stock(self) -> int:
        """Release what is held past its time; how many reservations. The time lives in the database (promise S8)."""
        async with self._database.begin() as session:
            expired = await ReservationStore(session).expired(_now(), _RELEASED_AT_ONCE)
            kept = await ProductStore(session).preload(line.product_id for held in expired for line in held.lines)
            for reservation in expired:
                await _release(session, reservation, reservation.order_id, ReleaseReason.EXPIRED)
            await session.flush()
            del kept
        return len(expired)

    async def preload(self, events: Sequence[Event]) -> object:
        """Lock the reservations and then the products that a batch of events is about, each by one SELECT."""
        async with self._database.begin() as session:
            known = await ReservationStore(session).preload(
                event.order_id for event in events if hasattr(event, "order_id")
            )
            placed = (line.product_id for event in events if isinstance(event, OrderPlaced) for line in event.lines)
            held = (line.product_id for reservation in known for line in reservation.lines)
            return known, await ProductStore(session).preload({*placed, *held})


async def _lock_products(session: AsyncSession, lines: Iterable[ReservationLine]) -> dict[UUID, Product]:
    """The products of these lines, as far as they are known; locked in the order of their ids, against deadlocks."""
    store = ProductStore(session)
    products: dict[UUID, Product] = {}
    for product_id in sorted({line.product_id for line in lines}):
        if (product := await store.get_locked(product_id)) is not None:
            products[product_id] = product
    return products


async def _release(
    session: AsyncSession, reservation: Reservation | None, order_id: UUID, reason: ReleaseReason
) -> None:
    products = await _lock_products(session, reservation.lines if reservation else ())
    if reservation is None or not reservation.release(reason, products, _now()):
        _passed_over(f"the end ({reason})", order_id, reservation)
        return
    publish(session, StockReleased(order_id=order_id, reason=reason), key=order_id)
    after_commit(session, metrics.RELEASES.labels(reason).inc)


def _adjust(session: AsyncSession, product: Product, delta: int, reason: str, caller: Caller) -> Adjustment:
    with _telling_what_runs_low(session, [product]):
        adjustment = product.adjust(delta, reason, caller.user_id, _now())
        Ledger(session).add(adjustment)
        publish(session, StockAdjusted.of(product), key=product.id)
    return adjustment


@contextmanager
def _telling_what_runs_low(session: AsyncSession, products: Iterable[Product]) -> Iterator[None]:
    """Told once, when a product's level is reached, not again with each one that goes after that."""
    enough = [product for product in products if not product.is_low]
    yield
    for product in enough:
        if product.is_low:
            publish(session, StockLow.of(product), key=product.id)


async def _flush(session: AsyncSession, sku: str) -> None:
    """Write now, so that a SKU that is taken shows here."""
    try:
        await session.flush()
    except IntegrityError as error:
        if "uq_products_sku" not in str(error.orig):
            raise
        raise SkuTaken(f"There is a product with the SKU {sku} already.") from error


def _found(product: Product | None, product_id: UUID) -> Product:
    if product is None:
        raise ProductNotFound(f"There is no product {product_id}.")
    return product


def _passed_over(what: str, order_id: UUID, reservation: Reservation | None) -> None:
    status = reservation.status if reservation else "unknown here"
    logger.info("%s changes nothing for the reservation of order %s (%s)", what, order_id, status)


def _now() -> datetime:
    return datetime.now(UTC)
