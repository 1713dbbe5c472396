"""What can be done with orders: one method, one use case, one transaction."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.database import Database, after_commit
from chassis.messages import Envelope, Event
from chassis.outbox import publish
from chassis.security import Caller
from sqlalchemy.ext.asyncio import AsyncSession

from . import metrics
from .domain import CancelReason, Order, OrderLine, OrderStatus
from .errors import OrderNotFound
from .events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderEvent, OrderPlaced, OrderShipped
from .settings import Settings
from .storage import OrderStore, Timeline, TimelineEntry

logger = logging.getLogger(__name__)

_TIMED_OUT_AT_ONCE = 100


class OrderService:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def place_order(
        self, *, customer_id: UUID, currency: str, payment_method: str, lines: Sequence[OrderLine]
    ) -> Order:
        """Take an order and tell the fleet."""
        order = Order.place(
            customer_id=customer_id,
            currency=currency,
            payment_method=payment_method,
            lines=lines,
            now=_now(),
            time_to_confirm=timedelta(seconds=self._settings.deadline_seconds),
        )
        async with self._database.begin() as session:
            OrderStore(session).add(order)
            _tell(session, OrderPlaced.of(order))
            after_commit(session, metrics.PLACED.inc)
        return order

    async def get_order(self, order_id: UUID, caller: Caller) -> Order:
        """Raises OrderNotFound, also for somebody else's order."""
        async with self._database.begin() as session:
            return _visible(await OrderStore(session).get(order_id), order_id, caller)

    async def list_orders(
        self,
        caller: Caller,
        *,
        limit: int,
        before: UUID | None,
        customer_id: UUID | None,
        status: OrderStatus | None,
        placed_from: datetime | None,
        placed_to: datetime | None,
    ) -> Sequence[Order]:
        """A customer's own orders, an admin's view of all. One more than `limit`, if there are more."""
        if not caller.is_admin:
            if customer_id not in (None, caller.user_id):
                return []
            customer_id = caller.user_id
        async with self._database.begin() as session:
            return await OrderStore(session).list(
                limit=limit + 1,
                before=before,
                customer_id=customer_id,
                status=status,
                placed_from=placed_from,
                placed_to=placed_to,
            )

    async def show_timeline(self, order_id: UUID, caller: Caller) -> Sequence[TimelineEntry]:
        """Every event of the order that was said or heard so far. Raises OrderNotFound."""
        async with self._database.begin() as session:
            _visible(await OrderStore(session).get(order_id), order_id, caller)
            return await Timeline(session).of(order_id)

    async def cancel_order(self, order_id: UUID, caller: Caller) -> Order:
        """Raises OrderNotFound, and OrderNotCancellable once it is on its way. Cancelling twice is cancelling once."""
        async with self._database.begin() as session:
            order = _visible(await OrderStore(session).get_locked(order_id), order_id, caller)
            if order.cancel(_now()):
                _tell_cancelled(session, order, str(caller.user_id))
        return order

    async def ship_order(self, order_id: UUID, carrier: str, tracking_number: str) -> Order:
        """Raises OrderNotFound and OrderNotShippable."""
        async with self._database.begin() as session:
            order = _found(await OrderStore(session).get_locked(order_id), order_id)
            order.ship(carrier, tracking_number, _now())
            _tell(session, OrderShipped(order_id=order.id, carrier=carrier, tracking_number=tracking_number))
        return order

    async def deliver_order(self, order_id: UUID) -> Order:
        """Raises OrderNotFound and OrderNotDeliverable."""
        async with self._database.begin() as session:
            order = _found(await OrderStore(session).get_locked(order_id), order_id)
            order.deliver(_now())
            assert order.carrier is not None
            assert order.tracking_number is not None
            _tell(
                session,
                OrderDelivered(order_id=order.id, carrier=order.carrier, tracking_number=order.tracking_number),
            )
        return order

    async def reserve_order(self, order_id: UUID, unit_prices: Mapping[UUID, int], total: int) -> None:
        """The stock is held."""
        async with self._database.begin() as session:
            order = await OrderStore(session).get_locked(order_id)
            if order is None or not order.reserve(unit_prices, total, _now()):
                _passed_over("the reservation", order_id, order)

    async def confirm_order(self, order_id: UUID, amount: int) -> None:
        """It is paid."""
        async with self._database.begin() as session:
            order = await OrderStore(session).get_locked(order_id)
            if order is None or not order.confirm(amount, _now()):
                _passed_over("the payment", order_id, order)
                return
            assert order.total is not None
            _tell(session, OrderConfirmed(order_id=order.id, total=order.total))
            _count_finished(session, order)

    async def fail_order(self, order_id: UUID, reason: CancelReason, cancelled_by: str) -> None:
        """Stock or payment did not come about."""
        async with self._database.begin() as session:
            order = await OrderStore(session).get_locked(order_id)
            if order is None or not order.fail(reason, _now()):
                _passed_over(f"the failure ({reason})", order_id, order)
                return
            _tell_cancelled(session, order, cancelled_by)

    async def lose_stock(self, order_id: UUID, cancelled_by: str) -> None:
        """Its reservation ran out."""
        async with self._database.begin() as session:
            order = await OrderStore(session).get_locked(order_id)
            if order is None or not order.lose_stock(_now()):
                _passed_over("the end of the reservation", order_id, order)
                return
            _tell_cancelled(session, order, cancelled_by)

    async def time_out_orders(self) -> int:
        """Cancel orders past their deadline; how many. The deadline lives in the database (promise S8)."""
        async with self._database.begin() as session:
            late = await OrderStore(session).past_deadline(_now(), _TIMED_OUT_AT_ONCE)
            for order in late:
                order.fail(CancelReason.TIMED_OUT, _now())
                _tell_cancelled(session, order, self._settings.service_name)
        return len(late)

    async def preload(self, events: Sequence[Event]) -> object:
        """Lock the orders that a batch of events is about."""
        async with self._database.begin() as session:
            return await OrderStore(session).preload(event.order_id for event in events if hasattr(event, "order_id"))

    async def witness(self, envelope: Envelope) -> None:
        """Keep an event of an order for its timeline (promise S10)."""
        if "order_id" in (data := envelope.json()):
            async with self._database.begin() as session:
                _keep(session, envelope, UUID(data["order_id"]))


def _tell(session: AsyncSession, event: OrderEvent) -> None:
    _keep(session, publish(session, event, key=event.order_id), event.order_id)


def _tell_cancelled(session: AsyncSession, order: Order, cancelled_by: str) -> None:
    assert order.status_reason is not None
    _tell(session, OrderCancelled(order_id=order.id, reason=order.status_reason, cancelled_by=cancelled_by))
    _count_finished(session, order)


def _keep(session: AsyncSession, envelope: Envelope, order_id: UUID) -> None:
    Timeline(session).add(
        TimelineEntry(
            event_id=envelope.id,
            order_id=order_id,
            time=envelope.time,
            type=envelope.type,
            source=envelope.source,
            causation_id=UUID(envelope.causation_id) if envelope.causation_id else None,
            trace_id=envelope.trace_id,
            data=envelope.json(),
        )
    )


def _count_finished(session: AsyncSession, order: Order) -> None:
    seconds = (order.updated_at - order.placed_at).total_seconds()
    after_commit(session, lambda: metrics.count_finished(order.status, order.status_reason, seconds))


def _found(order: Order | None, order_id: UUID) -> Order:
    if order is None:
        raise OrderNotFound(f"There is no order {order_id}.")
    return order


def _visible(order: Order | None, order_id: UUID, caller: Caller) -> Order:
    # Promise A9: somebody else's order looks like one that is not there.
    if order is not None and not caller.is_admin and order.customer_id != caller.user_id:
        order = None
    return _found(order, order_id)


def _passed_over(what: str, order_id: UUID, order: Order | None) -> None:
    logger.info("%s changes nothing for order %s (%s)", what, order_id, order.status if order else "unknown here")


def _now() -> datetime:
    return datetime.now(UTC)
