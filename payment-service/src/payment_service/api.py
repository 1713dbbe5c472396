"""Payments over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from chassis.idempotency import ExactlyOnce
from chassis.pages import Cursor, Limit, Moment, Page, decode_id, page_of
from chassis.security import CurrentAdmin, CurrentCaller
from chassis.web import Body
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from .domain import FailureReason, Payment, PaymentStatus, Refund, RefundStatus
from .errors import ProviderNotFound
from .provider import PaymentProvider
from .service import PaymentService

router = APIRouter(prefix="/api/v1/payments", tags=["payments"])

_LARGEST_AMOUNT = 2**63 - 1


class RequestRefund(Body):
    amount: int | None = Field(None, ge=1, le=_LARGEST_AMOUNT, description="minor units; all that is left if not given")
    reason: str = Field(min_length=1, max_length=200)


class PaymentBody(BaseModel):
    id: UUID
    order_id: UUID
    customer_id: UUID
    status: PaymentStatus
    failure_reason: FailureReason | None
    amount: int = Field(description="minor units")
    refunded_amount: int = Field(description="minor units; without refunds that are under way")
    currency: str
    payment_method: str
    provider: str
    provider_reference: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> "PaymentBody":
        return cls.model_validate(payment, from_attributes=True)


class RefundBody(BaseModel):
    id: UUID
    payment_id: UUID
    status: RefundStatus
    amount: int = Field(description="minor units")
    currency: str
    reason: str
    requested_by: str
    created_at: datetime

    @classmethod
    def of(cls, refund: Refund, payment: Payment) -> "RefundBody":
        return cls(
            id=refund.id,
            payment_id=refund.payment_id,
            status=refund.status,
            amount=refund.amount,
            currency=payment.currency,
            reason=refund.reason,
            requested_by=refund.requested_by,
            created_at=refund.created_at,
        )


def _payments(request: Request) -> PaymentService:
    service: PaymentService = request.app.state.payments
    return service


def _provider(request: Request, provider: str) -> PaymentProvider:
    known: PaymentProvider = request.app.state.provider
    if provider != known.name:
        raise ProviderNotFound(f"Payments are made by the provider '{known.name}' here.")
    return known


Payments = Annotated[PaymentService, Depends(_payments)]
Provider = Annotated[PaymentProvider, Depends(_provider)]


@router.get("", summary="List payments, the newest first: one's own, or all for an admin")
async def list_payments(
    caller: CurrentCaller,
    payments: Payments,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: PaymentStatus | None = None,
    order_id: UUID | None = None,
    created_from: Annotated[Moment | None, Query(description="at or after")] = None,
    created_to: Annotated[Moment | None, Query(description="before")] = None,
) -> Page[PaymentBody]:
    found = await payments.list_payments(
        caller,
        limit=limit,
        before=decode_id(cursor),
        status=status,
        order_id=order_id,
        created_from=created_from,
        created_to=created_to,
    )
    return page_of(found, limit, PaymentBody.of, lambda payment: [payment.id])


@router.get("/{payment_id}", summary="Show a payment")
async def get_payment(payment_id: UUID, caller: CurrentCaller, payments: Payments) -> PaymentBody:
    return PaymentBody.of(await payments.get_payment(payment_id, caller))


@router.post(
    "/{payment_id}/refunds",
    status_code=202,
    response_model=RefundBody,
    summary="Give a payment back, in part or as a whole (admin)",
)
async def refund_payment(
    payment_id: UUID, body: RequestRefund, caller: CurrentAdmin, payments: Payments, once: ExactlyOnce
) -> Response:
    async def refund() -> tuple[RefundBody, dict[str, str]]:
        payment, refund = await payments.refund_payment(
            payment_id, amount=body.amount, reason=body.reason, requested_by=str(caller.user_id)
        )
        return RefundBody.of(refund, payment), {"Location": f"{router.prefix}/{payment_id}"}

    return await once(refund, status=202)


@router.post("/webhooks/{provider}", status_code=204, summary="Hear from the provider what became of a charge")
async def hear_provider(request: Request, known_provider: Provider, payments: Payments) -> None:
    notice = known_provider.read_notice(await request.body(), request.headers)
    await payments.record_charges([(notice.payment_id, notice.charge)])
