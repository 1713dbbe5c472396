"""The tables of products, adjustments and reservations, and the queries on them. No decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from chassis.columns import Json, Name
from chassis.database import get_locked, preload
from chassis.tables import NAMING
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Index,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

from .domain import Adjustment, Product, RejectReason, ReleaseReason, Reservation, ReservationLine, ReservationStatus

metadata = MetaData(naming_convention=NAMING)
mapper_registry = registry(metadata=metadata)


class Reason(Name):
    """Why stock was rejected, or why it was released."""

    def __init__(self) -> None:
        super().__init__(ReleaseReason)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return RejectReason(value) if value in set(RejectReason) else super().process_result_value(value, dialect)


products = Table(
    "products",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("sku", String, nullable=False),
    Column("name", String, nullable=False),
    Column("description", String, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("committed", BigInteger, nullable=False),
    Column("reorder_level", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("sku"),
    # The code sees to it; should it ever fail to, nothing is oversold.
    CheckConstraint("0 <= reserved AND reserved <= on_hand", name="stock"),
    CheckConstraint("committed >= 0", name="committed"),
    Index(None, "name", "id"),
    Index(None, "price", "id"),
    Index(None, "created_at", "id"),
)

adjustments = Table(
    "adjustments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("delta", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("adjusted_by", Uuid, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index(None, "product_id", "id"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("status", Name(ReservationStatus), nullable=False),
    Column("reason", Reason),
    Column("currency", String(3), nullable=False),
    Column("lines", Json(list[ReservationLine]), nullable=False),
    Column("total", BigInteger),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Index("ix_reservations_held", "expires_at", postgresql_where="status = 'HELD'"),
)

mapper_registry.map_imperatively(Product, products)
mapper_registry.map_imperatively(Adjustment, adjustments)
mapper_registry.map_imperatively(Reservation, reservations)


class ProductSort(StrEnum):
    NAME = "name"
    PRICE = "price"
    PRICE_DOWN = "-price"
    CREATED_AT = "created_at"

    @property
    def field(self) -> str:
        return self.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        return self.startswith("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFilter:
    """Which products of the catalogue; None does not filter. `text` stands somewhere in SKU, name or description."""

    text: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    currency: str | None = None
    in_stock: bool | None = None


class ProductStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, product: Product) -> None:
        self._session.add(product)

    async def preload(self, product_ids: Iterable[UUID]) -> Sequence[Product]:
        return await preload(self._session, Product, products.c.id, product_ids)

    async def get_locked(self, product_id: UUID) -> Product | None:
        return await get_locked(self._session, Product, product_id)

    async def get(self, product_id: UUID) -> Product | None:
        return await self._session.get(Product, product_id)

    async def delete(self, product: Product) -> None:
        await self._session.delete(product)

    async def list(
        self, chosen: ProductFilter, sort: ProductSort, *, limit: int, after: tuple[Any, UUID] | None = None
    ) -> Sequence[Product]:
        """In this order, and by id where it says nothing; those that come after a product's sort value and id."""
        order = [products.c[sort.field], products.c.id]
        query = select(Product).limit(limit)
        query = query.order_by(*(column.desc() if sort.is_descending else column.asc() for column in order))
        if after is not None:
            position, last = tuple_(*order), tuple_(*after)
            query = query.where(position < last if sort.is_descending else position > last)
        if chosen.text is not None:
            columns = (products.c.sku, products.c.name, products.c.description)
            query = query.where(or_(*(column.icontains(chosen.text, autoescape=True) for column in columns)))
        if chosen.min_price is not None:
            query = query.where(products.c.price >= chosen.min_price)
        if chosen.max_price is not None:
            query = query.where(products.c.price <= chosen.max_price)
        if chosen.currency is not None:
            query = query.where(products.c.currency == chosen.currency)
        if chosen.in_stock is not None:
            some = products.c.on_hand > products.c.reserved
            query = query.where(some if chosen.in_stock else ~some)
        return (await self._session.scalars(query)).all()


class Ledger:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, adjustment: Adjustment) -> None:
        self._session.add(adjustment)

    async def of(self, product_id: UUID, *, limit: int, before: UUID | None = None) -> Sequence[Adjustment]:
        """The newest first (ids sort by time); those older than the adjustment `before`."""
        query = select(Adjustment).where(adjustments.c.product_id == product_id)
        if before is not None:
            query = query.where(adjustments.c.id < before)
        return (await self._session.scalars(query.order_by(adjustments.c.id.desc()).limit(limit))).all()


class ReservationStore:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, reservation: Reservation) -> None:
        self._session.add(reservation)

    async def preload(self, order_ids: Iterable[UUID]) -> Sequence[Reservation]:
        return await preload(self._session, Reservation, reservations.c.order_id, order_ids)

    async def get_locked(self, order_id: UUID) -> Reservation | None:
        return await get_locked(self._session, Reservation, order_id)

    async def get(self, order_id: UUID) -> Reservation | None:
        return await self._session.get(Reservation, order_id)

    async def expired(self, now: datetime, limit: int) -> Sequence[Reservation]:
        """Locked; those that somebody else is changing just now are left for the next time."""
        query = (
            select(Reservation)
            .where(reservations.c.status == ReservationStatus.HELD, reservations.c.expires_at <= now)
            .order_by(reservations.c.expires_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return (await self._session.scalars(query)).all()
