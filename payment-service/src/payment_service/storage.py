"""The tables of payments, refunds and orders that ended early, and the queries on them. No decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.columns import Name
from chassis.database import get_locked, preload
from chassis.tables import NAMING
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

from .domain import FailureReason, Payment, PaymentStatus, Refund, RefundStatus

metadata = MetaData(naming_convention=NAMING)
mapper_registry = registry(metadata=metadata)


payments = Table(
    "payments",
    metadata,
    # Events know the order, and an order has one payment: the order is what batches lock by.
    Column("order_id", Uuid, primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("customer_id", Uuid, nullable=False),
    Column("status", Name(PaymentStatus), nullable=False),
    Column("failure_reason", Name(FailureReason)),
    Column("amount", BigInteger, nullable=False),
    Column("refunded_amount", BigInteger, nullable=False),
    Column("refunding_amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("payment_method", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("provider_reference", String),
    Column("cancel_reason", String),
    Column("cancelled_by", String),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False),
    Column("charge_started_at", DateTime(timezone=True)),
    Column("cause", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("amount > 0", name="amount_is_positive"),
    CheckConstraint(
        "refunded_amount >= 0 AND refunding_amount >= 0 AND refunded_amount + refunding_amount <= amount",
        name="no_more_is_refunded_than_captured",
    ),
    Index(None, "customer_id", "id"),
    Index("ix_payments_pending", "next_attempt_at", postgresql_where="status = 'PENDING'"),
)

refunds = Table(
    "refunds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payment_id", Uuid, ForeignKey(payments.c.id), nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("status", Name(RefundStatus), nullable=False),
    Column("provider_reference", String),
    Column("requested_by", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False),
    Column("cause", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("amount > 0", name="amount_is_positive"),
    Index(None, "payment_id"),
    Index("ix_refunds_pending", "next_attempt_at", postgresql_where="status = 'PENDING'"),
)

cancelled_orders = Table(
    "cancelled_orders",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("reason", String, nullable=False),
    Column("cancelled_by", String, nullable=False),
    Column("cancelled_at", DateTime(timezone=True), nullable=False),
)


@dataclass(eq=False, kw_only=True)
class CancelledOrder:
    """An order that ended before its payment was asked for: topics are not ordered together."""

    order_id: UUID
    reason: str
    cancelled_by: str
    cancelled_at: datetime


mapper_registry.map_imperatively(Payment, payments)
mapper_registry.map_imperatively(Refund, refunds)
mapper_registry.map_imperatively(CancelledOrder, cancelled_orders)


class PaymentStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, payment: Payment) -> None:
        self._session.add(payment)

    def remember_cancelled(self, order: CancelledOrder) -> None:
        self._session.add(order)

    async def preload(self, order_ids: Iterable[UUID]) -> object:
        """Lock these orders, and load what is known of them.

        The orders themselves are locked, not only their rows: a cancellation and a reservation that arrive at once, at
        two instances, would not see each other's new rows.
        """
        wanted = sorted(set(order_ids))
        await self._session.execute(
            text(
                "SELECT pg_advisory_xact_lock(hashtextextended('order ' || id, 0))"
                " FROM (SELECT unnest(CAST(:ids AS text[])) AS id ORDER BY 1) AS wanted"
            ),
            {"ids": [str(order_id) for order_id in wanted]},
        )
        return (
            await preload(self._session, Payment, payments.c.order_id, wanted),
            await preload(self._session, CancelledOrder, cancelled_orders.c.order_id, wanted),
        )

    async def get_locked_by_order(self, order_id: UUID) -> Payment | None:
        return await get_locked(self._session, Payment, order_id)

    async def get_cancelled_locked(self, order_id: UUID) -> CancelledOrder | None:
        return await get_locked(self._session, CancelledOrder, order_id)

    async def get_locked(self, payment_id: UUID) -> Payment | None:
        return (await self.lock([payment_id])).get(payment_id)

    async def lock(self, payment_ids: Iterable[UUID]) -> dict[UUID, Payment]:
        """Those that are there, locked in the order that `preload` locks in, too."""
        query = select(Payment).where(payments.c.id.in_(set(payment_ids))).order_by(payments.c.order_id)
        return {payment.id: payment for payment in await self._session.scalars(query.with_for_update())}

    async def get(self, payment_id: UUID) -> Payment | None:
        return (await self._session.scalars(select(Payment).where(payments.c.id == payment_id))).one_or_none()

    async def list(
        self,
        *,
        limit: int,
        before: UUID | None = None,
        customer_id: UUID | None = None,
        status: PaymentStatus | None = None,
        order_id: UUID | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
    ) -> Sequence[Payment]:
        """The newest first (ids sort by time); those older than the payment `before`."""
        query = select(Payment).order_by(payments.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(payments.c.id < before)
        if customer_id is not None:
            query = query.where(payments.c.customer_id == customer_id)
        if status is not None:
            query = query.where(payments.c.status == status)
        if order_id is not None:
            query = query.where(payments.c.order_id == order_id)
        if created_from is not None:
            query = query.where(payments.c.created_at >= created_from)
        if created_to is not None:
            query = query.where(payments.c.created_at < created_to)
        return (await self._session.scalars(query)).all()

    async def due(self, now: datetime, limit: int) -> Sequence[Payment]:
        """PENDING, and their next attempt is due. Locked; those that somebody else is at are passed by."""
        query = (
            select(Payment)
            .where(payments.c.status == PaymentStatus.PENDING, payments.c.next_attempt_at <= now)
            .order_by(payments.c.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.scalars(query)).all()


class RefundStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, refund: Refund) -> None:
        self._session.add(refund)

    async def lock(self, refund_ids: Iterable[UUID]) -> dict[UUID, Refund]:
        """To be called with their payments locked."""
        query = select(Refund).where(refunds.c.id.in_(set(refund_ids))).order_by(refunds.c.id)
        return {refund.id: refund for refund in await self._session.scalars(query.with_for_update())}

    async def due(self, now: datetime, limit: int) -> Sequence[tuple[Refund, str]]:
        """As with payments; with the provider's references of the charges."""
        query = (
            select(Refund, payments.c.provider_reference)
            .join(payments, payments.c.id == refunds.c.payment_id)
            .where(refunds.c.status == RefundStatus.PENDING, refunds.c.next_attempt_at <= now)
            .order_by(refunds.c.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True, of=refunds)
        )
        return [(refund, reference) for refund, reference in (await self._session.execute(query)).all()]
