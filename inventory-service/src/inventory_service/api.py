"""Products, their stock, and reservations over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from chassis.idempotency import MaybeOnce
from chassis.money import Currency
from chassis.pages import Cursor, Limit, Page, decode_cursor, decode_id, page_of
from chassis.problems import BadRequest
from chassis.security import Caller, CurrentAdmin, CurrentCaller, OptionalCaller
from chassis.web import Body, PlainText
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, TypeAdapter

from .domain import Adjustment, Product, RejectReason, ReleaseReason, Reservation, ReservationStatus
from .service import InventoryService
from .storage import ProductFilter, ProductSort

router = APIRouter(prefix="/api/v1/inventory", tags=["inventory"])

# A full order (100 lines of 10,000) at the largest price is a tenth of what fits into 64 bits.
_LARGEST_PRICE = 1_000_000_000_000
_LARGEST_STOCK = 1_000_000_000

Sku = Annotated[str, Field(min_length=1, max_length=64, examples=["MUG-BLUE"])]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=5_000)]
Price = Annotated[int, Field(gt=0, le=_LARGEST_PRICE, description="minor units")]
ReorderLevel = Annotated[
    int, Field(ge=0, le=_LARGEST_STOCK, description="the product runs low when no more than this is available")
]


class CreateProduct(Body):
    sku: Sku
    name: Name
    description: Description = ""
    price: Price
    currency: Currency
    on_hand: int = Field(0, ge=0, le=_LARGEST_STOCK, description="initial stock; later only adjustments change it")
    reorder_level: ReorderLevel = 0


class EditProduct(Body):
    sku: Sku
    name: Name
    price: Price
    description: Description | None = Field(None, description="left out: stays")
    currency: Currency | None = Field(None, description="left out: stays")
    reorder_level: ReorderLevel | None = Field(None, description="left out: stays")


def _not_zero(delta: int) -> int:
    if delta == 0:
        raise ValueError("an adjustment of 0 changes nothing")
    return delta


class AdjustStock(Body):
    delta: Annotated[int, Field(ge=-_LARGEST_STOCK, le=_LARGEST_STOCK), AfterValidator(_not_zero)]
    reason: str = Field(min_length=1, max_length=500)


class ProductBody(BaseModel):
    id: UUID
    sku: str
    name: str
    description: str
    price: int = Field(description="minor units")
    currency: str
    available: int
    created_at: datetime
    updated_at: datetime


class StockedProductBody(ProductBody):
    """What only an admin sees."""

    on_hand: int
    reserved: int
    reorder_level: int

    @classmethod
    def of(cls, product: Product) -> "StockedProductBody":
        return cls.model_validate(product, from_attributes=True)


# The second is what an admin is shown.
AnyProductBody = ProductBody | StockedProductBody


def _shown_to(caller: Caller | None) -> Callable[[Product], AnyProductBody]:
    body = StockedProductBody if caller is not None and caller.is_admin else ProductBody
    return lambda product: body.model_validate(product, from_attributes=True)


class AdjustmentBody(BaseModel):
    id: UUID
    product_id: UUID
    delta: int
    reason: str
    adjusted_by: UUID
    on_hand: int = Field(description="after the adjustment")
    created_at: datetime

    @classmethod
    def of(cls, adjustment: Adjustment) -> "AdjustmentBody":
        return cls.model_validate(adjustment, from_attributes=True)


class ReservationLineBody(BaseModel):
    product_id: UUID
    quantity: int
    unit_price: int | None = Field(description="minor units, as of when it was reserved; null where it was rejected")


class ReservationBody(BaseModel):
    order_id: UUID
    customer_id: UUID
    status: ReservationStatus
    reason: RejectReason | ReleaseReason | None
    currency: str
    lines: list[ReservationLineBody]
    total: int | None = Field(description="minor units; null where it was rejected")
    expires_at: datetime
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, reservation: Reservation) -> "ReservationBody":
        return cls.model_validate(reservation, from_attributes=True)


def _inventory(request: Request) -> InventoryService:
    service: InventoryService = request.app.state.inventory
    return service


Inventory = Annotated[InventoryService, Depends(_inventory)]

_SomePrice = Annotated[int | None, Query(ge=0, le=_LARGEST_PRICE, description="minor units")]

# What a cursor of each order says: the sort value and the id of a page's last product.
_Time = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
_POSITIONS: dict[str, TypeAdapter[tuple[Any, UUID]]] = {
    "name": TypeAdapter(tuple[PlainText, UUID]),
    "price": TypeAdapter(tuple[Annotated[int, Field(ge=0, le=_LARGEST_PRICE)], UUID]),
    "created_at": TypeAdapter(tuple[_Time, UUID]),
}


@router.get("/products", summary="Search the catalogue")
async def list_products(
    caller: OptionalCaller,
    inventory: Inventory,
    limit: Limit = 20,
    cursor: Cursor = None,
    q: Annotated[PlainText | None, Query(max_length=200, description="stands in the SKU, name or description")] = None,
    min_price: _SomePrice = None,
    max_price: _SomePrice = None,
    currency: Currency | None = None,
    in_stock: bool | None = None,
    sort: ProductSort = ProductSort.NAME,
) -> Page[AnyProductBody]:
    if min_price is not None and max_price is not None and min_price > max_price:
        raise BadRequest(f"No price is at least {min_price} and at most {max_price}: swap min_price and max_price.")
    found = await inventory.list_products(
        ProductFilter(text=q, min_price=min_price, max_price=max_price, currency=currency, in_stock=in_stock),
        sort,
        limit=limit,
        after=decode_cursor(cursor, _POSITIONS[sort.field]),
    )
    return page_of(found, limit, _shown_to(caller), lambda product: [getattr(product, sort.field), product.id])


@router.get("/products/{product_id}", summary="Show a product")
async def get_product(product_id: UUID, caller: OptionalCaller, inventory: Inventory) -> AnyProductBody:
    return _shown_to(caller)(await inventory.get_product(product_id))


@router.post(
    "/products", status_code=201, response_model=StockedProductBody, summary="Add a product to the catalogue (admin)"
)
async def create_product(body: CreateProduct, caller: CurrentAdmin, inventory: Inventory, once: MaybeOnce) -> Response:
    async def create() -> tuple[StockedProductBody, dict[str, str]]:
        product = await inventory.create_product(caller, **body.model_dump())
        return StockedProductBody.of(product), {"Location": f"{router.prefix}/products/{product.id}"}

    return await once(create, status=201)


@router.put("/products/{product_id}", summary="Change a product, but not its stock (admin)")
async def edit_product(
    product_id: UUID, body: EditProduct, caller: CurrentAdmin, inventory: Inventory
) -> StockedProductBody:
    return StockedProductBody.of(await inventory.edit_product(product_id, **body.model_dump()))


@router.delete("/products/{product_id}", status_code=204, summary="Delete a product that no order holds (admin)")
async def delete_product(product_id: UUID, caller: CurrentAdmin, inventory: Inventory) -> None:
    await inventory.delete_product(product_id)


@router.post(
    "/products/{product_id}/adjustments",
    status_code=201,
    response_model=AdjustmentBody,
    summary="Say that there is more of a product, or less (admin)",
)
async def adjust_stock(
    product_id: UUID, body: AdjustStock, caller: CurrentAdmin, inventory: Inventory, once: MaybeOnce
) -> Response:
    async def adjust() -> tuple[AdjustmentBody, dict[str, str]]:
        return AdjustmentBody.of(await inventory.adjust_stock(product_id, body.delta, body.reason, caller)), {}

    return await once(adjust, status=201)


@router.get("/products/{product_id}/adjustments", summary="Show a product's ledger, the newest first (admin)")
async def list_adjustments(
    product_id: UUID, caller: CurrentAdmin, inventory: Inventory, limit: Limit = 20, cursor: Cursor = None
) -> Page[AdjustmentBody]:
    found = await inventory.list_adjustments(product_id, limit=limit, before=decode_id(cursor))
    return page_of(found, limit, AdjustmentBody.of, lambda adjustment: [adjustment.id])


@router.get("/reservations/{order_id}", summary="Show what an order holds: one's own, or any for an admin")
async def get_reservation(order_id: UUID, caller: CurrentCaller, inventory: Inventory) -> ReservationBody:
    return ReservationBody.of(await inventory.get_reservation(order_id, caller))
