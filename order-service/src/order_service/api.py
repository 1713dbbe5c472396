"""Orders over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from chassis.idempotency import ExactlyOnce
from chassis.money import Currency
from chassis.pages import Cursor, Limit, Moment, Page, decode_id, page_of
from chassis.security import CurrentAdmin, CurrentCaller
from chassis.web import Body
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from .domain import CancelReason, Order, OrderLine, OrderStatus
from .service import OrderService
from .storage import TimelineEntry

router = APIRouter(prefix="/api/v1/orders", tags=["orders"])

_LARGEST_QUANTITY = 10_000
_MOST_LINES = 100


class PlaceOrderLine(Body):
    product_id: UUID
    quantity: int = Field(ge=1, le=_LARGEST_QUANTITY)


def _each_product_once(lines: list[PlaceOrderLine]) -> list[PlaceOrderLine]:
    if len({line.product_id for line in lines}) < len(lines):
        raise ValueError("a product stands on more than one line; put its whole quantity on one")
    return lines


class PlaceOrder(Body):
    currency: Currency
    payment_method: str = Field(min_length=1, max_length=100, description="the payment provider's reference")
    lines: Annotated[
        list[PlaceOrderLine], Field(min_length=1, max_length=_MOST_LINES), AfterValidator(_each_product_once)
    ]


class ShipOrder(Body):
    carrier: str = Field(min_length=1, max_length=100)
    tracking_number: str = Field(min_length=1, max_length=100)


class OrderLineBody(BaseModel):
    product_id: UUID
    quantity: int
    unit_price: int | None = Field(description="minor units; null until the stock is reserved")


class OrderBody(BaseModel):
    id: UUID
    customer_id: UUID
    status: OrderStatus
    status_reason: CancelReason | None
    currency: str
    total: int | None = Field(description="minor units; null until the stock is reserved")
    payment_method: str
    lines: list[OrderLineBody]
    carrier: str | None
    tracking_number: str | None
    placed_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, order: Order) -> "OrderBody":
        return cls.model_validate(order, from_attributes=True)


class TimelineEntryBody(BaseModel):
    time: datetime
    type: str
    source: str
    event_id: UUID
    causation_id: UUID | None
    trace_id: str | None
    data: dict[str, Any]

    @classmethod
    def of(cls, entry: TimelineEntry) -> "TimelineEntryBody":
        return cls.model_validate(entry, from_attributes=True)


class TimelineBody(BaseModel):
    items: list[TimelineEntryBody]


def _orders(request: Request) -> OrderService:
    service: OrderService = request.app.state.orders
    return service


Orders = Annotated[OrderService, Depends(_orders)]


@router.post("", status_code=202, response_model=OrderBody, summary="Place an order")
async def place_order(body: PlaceOrder, caller: CurrentCaller, orders: Orders, once: ExactlyOnce) -> Response:
    async def place() -> tuple[OrderBody, dict[str, str]]:
        order = await orders.place_order(
            customer_id=caller.user_id,
            currency=body.currency,
            payment_method=body.payment_method,
            lines=[OrderLine(line.product_id, line.quantity) for line in body.lines],
        )
        return OrderBody.of(order), {"Location": f"{router.prefix}/{order.id}"}

    return await once(place, status=202)


@router.get("", summary="List orders, the newest first: one's own, or all for an admin")
async def list_orders(
    caller: CurrentCaller,
    orders: Orders,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: OrderStatus | None = None,
    customer_id: UUID | None = None,
    placed_from: Annotated[Moment | None, Query(description="at or after")] = None,
    placed_to: Annotated[Moment | None, Query(description="before")] = None,
) -> Page[OrderBody]:
    found = await orders.list_orders(
        caller,
        limit=limit,
        before=decode_id(cursor),
        customer_id=customer_id,
        status=status,
        placed_from=placed_from,
        placed_to=placed_to,
    )
    return page_of(found, limit, OrderBody.of, lambda order: [order.id])


@router.get("/{order_id}", summary="Show an order")
async def get_order(order_id: UUID, caller: CurrentCaller, orders: Orders) -> OrderBody:
    return OrderBody.of(await orders.get_order(order_id, caller))


@router.get("/{order_id}/timeline", summary="Show every event of an order")
async def show_timeline(order_id: UUID, caller: CurrentCaller, orders: Orders) -> TimelineBody:
    entries = await orders.show_timeline(order_id, caller)
    return TimelineBody(items=[TimelineEntryBody.of(entry) for entry in entries])


@router.post("/{order_id}/cancel", summary="Cancel an order that was not shipped yet")
async def cancel_order(order_id: UUID, caller: CurrentCaller, orders: Orders) -> OrderBody:
    return OrderBody.of(await orders.cancel_order(order_id, caller))


@router.post("/{order_id}/ship", summary="Tell that a confirmed order is on its way (admin)")
async def ship_order(order_id: UUID, body: ShipOrder, caller: CurrentAdmin, orders: Orders) -> OrderBody:
    return OrderBody.of(await orders.ship_order(order_id, body.carrier, body.tracking_number))


@router.post("/{order_id}/deliver", summary="Tell that a shipped order has arrived (admin)")
async def deliver_order(order_id: UUID, caller: CurrentAdmin, orders: Orders) -> OrderBody:
    return OrderBody.of(await orders.deliver_order(order_id))
