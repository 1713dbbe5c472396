"""The tables of orders and timelines, and the queries on them. No decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.columns import Json, Name
from chassis.database import get_locked, preload
from chassis.tables import NAMING
from sqlalchemy import BigInteger, Column, DateTime, Index, MetaData, String, Table, Uuid, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

from .domain import UNDER_WAY, CancelReason, Order, OrderLine, OrderStatus

metadata = MetaData(naming_convention=NAMING)
mapper_registry = registry(metadata=metadata)


orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("status", Name(OrderStatus), nullable=False),
    Column("status_reason", Name(CancelReason)),
    Column("currency", String(3), nullable=False),
    Column("total", BigInteger),
    Column("payment_method", String, nullable=False),
    Column("lines", Json(list[OrderLine]), nullable=False),
    Column("carrier", String),
    Column("tracking_number", String),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("deadline", DateTime(timezone=True), nullable=False),
    Index(None, "customer_id", "id"),
    Index("ix_orders_under_way", "deadline", postgresql_where="status IN ('PLACED', 'RESERVED')"),
)

timeline = Table(
    "timeline",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("type", String, nullable=False),
    Column("source", String, nullable=False),
    Column("causation_id", Uuid),
    Column("trace_id", String),
    Column("data", JSONB, nullable=False),
    Index(None, "order_id", "time"),
)


@dataclass(eq=False, kw_only=True)
class TimelineEntry:
    """One event of an order, as it was told."""

    event_id: UUID
    order_id: UUID
    time: datetime
    type: str
    source: str
    causation_id: UUID | None
    trace_id: str | None
    data: Any


mapper_registry.map_imperatively(Order, orders)
mapper_registry.map_imperatively(TimelineEntry, timeline)


class OrderStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, order: Order) -> None:
        self._session.add(order)

    async def preload(self, order_ids: Iterable[UUID]) -> Sequence[Order]:
        return await preload(self._session, Order, orders.c.id, order_ids)

    async def get_locked(self, order_id: UUID) -> Order | None:
        return await get_locked(self._session, Order, order_id)

    async def get(self, order_id: UUID) -> Order | None:
        return await self._session.get(Order, order_id)

    async def list(
        self,
        *,
        limit: int,
        before: UUID | None = None,
        customer_id: UUID | None = None,
        status: OrderStatus | None = None,
        placed_from: datetime | None = None,
        placed_to: datetime | None = None,
    ) -> Sequence[Order]:
        """The newest first (ids sort by time); those older than the order `before`."""
        query = select(Order).order_by(orders.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(orders.c.id < before)
        if customer_id is not None:
            query = query.where(orders.c.customer_id == customer_id)
        if status is not None:
            query = query.where(orders.c.status == status)
        if placed_from is not None:
            query = query.where(orders.c.placed_at >= placed_from)
        if placed_to is not None:
            query = query.where(orders.c.placed_at < placed_to)
        return (await self._session.scalars(query)).all()

    async def past_deadline(self, now: datetime, limit: int) -> Sequence[Order]:
        """Locked; those that somebody else is changing just now are left for the next time."""
        query = (
            select(Order)
            .where(orders.c.status.in_(UNDER_WAY), orders.c.deadline <= now)
            .order_by(orders.c.deadline)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.scalars(query)).all()


class Timeline:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, entry: TimelineEntry) -> None:
        self._session.add(entry)

    async def of(self, order_id: UUID) -> Sequence[TimelineEntry]:
        query = (
            select(TimelineEntry).where(timeline.c.order_id == order_id).order_by(timeline.c.time, timeline.c.event_id)
        )
        return (await self._session.scalars(query)).all()
