"""Charges and refunds over HTTP, as the sandbox provider answers them."""

import time
from typing import Annotated

from chassis.money import Currency
from chassis.web import Body, PlainText
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from .behaviour import Behaviour, behaviour_of
from .errors import ChargeNotFound, ChargeNotRefundable, ChargeVoided, KeyReused, ProviderDown
from .settings import Settings
from .store import Charge, Refund, SandboxStore, Total, new_id

router = APIRouter(tags=["sandbox provider"])

_LARGEST_AMOUNT = 2**63 - 1
_TELLS_OF_LOST_SECONDS = 1.0


class MakeCharge(Body):
    amount: int = Field(ge=1, le=_LARGEST_AMOUNT, description="minor units")
    currency: Currency
    payment_method: str = Field(min_length=1, max_length=100)
    reference: str = Field(min_length=1, max_length=100, description="what the merchant calls it")
    webhook_url: str | None = Field(None, max_length=2000)


class MakeRefund(Body):
    amount: int = Field(ge=1, le=_LARGEST_AMOUNT, description="minor units")


class ChargeBody(BaseModel):
    id: str
    idempotency_key: str
    amount: int
    currency: str
    payment_method: str
    reference: str
    status: str = Field(description="pending, succeeded or failed")
    failure_reason: str | None
    refunded_amount: int

    @classmethod
    def of(cls, charge: Charge) -> "ChargeBody":
        return cls.model_validate(charge, from_attributes=True)


class RefundBody(BaseModel):
    id: str
    charge_id: str
    amount: int

    @classmethod
    def of(cls, refund: Refund) -> "RefundBody":
        return cls.model_validate(refund, from_attributes=True)


class TotalBody(BaseModel):
    currency: str
    charged: int
    refunded: int

    @classmethod
    def of(cls, total: Total) -> "TotalBody":
        return cls.model_validate(total, from_attributes=True)


class ChargesBody(BaseModel):
    items: list[ChargeBody]


class TotalsBody(BaseModel):
    items: list[TotalBody] = Field(description="of all charges that succeeded, one for each currency")


class VoidBody(BaseModel):
    charge: ChargeBody | None = Field(description="null if there was none, and there never will be")


class DroppedAnswer(Response):
    """An answer that is begun and never ended: the server has no choice but to close the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"1000")]})


def _store(request: Request) -> SandboxStore:
    store: SandboxStore = request.app.state.store
    return store


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Store = Annotated[SandboxStore, Depends(_store)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


@router.post("/charges", status_code=201, response_model=ChargeBody, summary="Take money; 202 if that takes longer")
def make_charge(
    body: MakeCharge,
    key: Key,
    store: Store,
    settings: Annotated[Settings, Depends(_settings)],
    response: Response,
) -> ChargeBody | Response:
    behaviour = behaviour_of(body.payment_method)
    if behaviour.is_down and store.count_call(key) <= settings.down_calls:
        raise ProviderDown("This payment method plays a provider that is down for a while; try again.")
    charge, is_new = store.add_charge(_charge_as_asked(body, key, behaviour, settings))
    if charge is None:
        raise ChargeVoided("A charge with this key was called off; use a new key for a new charge.")
    asked = (body.amount, body.currency, body.payment_method, body.reference)
    if asked != (charge.amount, charge.currency, charge.payment_method, charge.reference):
        raise KeyReused("Use a new key for a new charge; this one differs from the first.")
    if behaviour.loses_answer and is_new:
        return DroppedAnswer()
    response.status_code = 202 if charge.status == "pending" else 201
    return ChargeBody.of(charge)


@router.get("/charges", summary="List charges")
def list_charges(
    store: Store,
    idempotency_key: PlainText | None = None,
    reference: PlainText | None = None,
    after: Annotated[PlainText, Query(description="id of the last charge of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ChargesBody:
    found = store.charges(idempotency_key=idempotency_key, reference=reference, after=after, limit=limit)
    return ChargesBody(items=[ChargeBody.of(charge) for charge in found])


@router.get("/totals", summary="Show what was charged and refunded in all")
def show_totals(store: Store) -> TotalsBody:
    return TotalsBody(items=[TotalBody.of(total) for total in store.totals()])


@router.post(
    "/charges/void", summary="Call a charge off, by its key; a charge that was made already is shown, and stays"
)
def void_charge(key: Key, store: Store) -> VoidBody:
    charge = store.void(key)
    return VoidBody(charge=ChargeBody.of(charge) if charge else None)


@router.post("/charges/{charge_id}/refunds", status_code=201, summary="Give money back")
def make_refund(charge_id: PlainText, body: MakeRefund, key: Key, store: Store) -> RefundBody:
    charge = store.charge(charge_id)
    if charge is None:
        raise ChargeNotFound(f"There is no charge {charge_id}.")
    refund = store.refund(
        Refund(id=new_id("re"), idempotency_key=key, charge_id=charge_id, amount=body.amount, created_at=time.time())
    )
    if refund is None:
        left = charge.amount - charge.refunded_amount if charge.status == "succeeded" else 0
        raise ChargeNotRefundable(f"The charge is {charge.status}, and {left} of it can be refunded.")
    if (refund.charge_id, refund.amount) != (charge_id, body.amount):
        raise KeyReused("Use a new key for a new refund; this one differs from the first.")
    return RefundBody.of(refund)


def _charge_as_asked(body: MakeCharge, key: str, behaviour: Behaviour, settings: Settings) -> Charge:
    now = time.time()
    notify_at = None
    status = "failed" if behaviour.failure_reason else "succeeded"
    if behaviour.is_slow:
        status, notify_at = "pending", now + settings.slow_seconds
    elif behaviour.loses_answer:
        notify_at = now + _TELLS_OF_LOST_SECONDS
    return Charge(
        id=new_id("ch"),
        idempotency_key=key,
        amount=body.amount,
        currency=body.currency,
        payment_method=body.payment_method,
        reference=body.reference,
        webhook_url=body.webhook_url,
        status=status,
        failure_reason=behaviour.failure_reason,
        refunded_amount=0,
        created_at=now,
        notify_at=notify_at,
    )
