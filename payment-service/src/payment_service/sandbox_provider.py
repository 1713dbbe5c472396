"""The adapter to the sandbox provider, over HTTP."""

import logging
import time
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

import httpx
from chassis.discovery import internal_client
from chassis.problems import BadRequest
from chassis.telemetry import inject_trace
from pydantic import BaseModel, ValidationError

from .domain import FailureReason
from .errors import WebhookNotTrusted
from .provider import Charge, ChargeNotice, ChargeStatus, ProviderUnavailable, RefundRefused
from .settings import Settings
from .signatures import HEADER, complaint_about

logger = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_REFUSED = frozenset({400, 402, 404, 409, 422})


class ChargeAnswer(BaseModel):
    """A charge as the sandbox shows it, with the fields that are used here."""

    id: str
    idempotency_key: str
    status: ChargeStatus
    failure_reason: str | None

    def charge(self) -> Charge:
        if self.status != ChargeStatus.FAILED:
            return Charge(self.status, self.id)
        # A reason that is new to us is a refusal all the same.
        known = {reason.value: reason for reason in FailureReason}
        return Charge(self.status, self.id, known.get(self.failure_reason or "", FailureReason.DECLINED))


class ChargesAnswer(BaseModel):
    items: list[ChargeAnswer]


class VoidAnswer(BaseModel):
    charge: ChargeAnswer | None


class RefundAnswer(BaseModel):
    id: str


class WebhookBody(BaseModel):
    charge: ChargeAnswer


class SandboxProvider:
    """See `payment_service.sandbox` for the other end."""

    name = "sandbox"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = internal_client(timeout_seconds=settings.provider_timeout_seconds)

    async def charge(
        self, payment_id: UUID, *, amount: int, currency: str, payment_method: str, order_id: UUID
    ) -> Charge:
        """Take the money. Raises ProviderUnavailable."""
        body = {
            "amount": amount,
            "currency": currency,
            "payment_method": payment_method,
            "reference": str(order_id),
            "webhook_url": f"{self._public_url}/api/v1/payments/webhooks/{self.name}",
        }
        answer = await self._call("POST", "/charges", key=payment_id, json=body)
        if answer.status_code in _REFUSED:
            logger.error("the provider does not understand the charge of payment %s: %s", payment_id, answer.text)
            return Charge(ChargeStatus.FAILED, None, FailureReason.DECLINED)
        return _read(ChargeAnswer, answer).charge()

    async def find_charge(self, payment_id: UUID) -> Charge | None:
        """What became of the charge; None if it was not made. Raises ProviderUnavailable."""
        answer = await self._call("GET", "/charges", params={"idempotency_key": str(payment_id)})
        found = _read(ChargesAnswer, answer).items
        return found[0].charge() if found else None

    async def void_charge(self, payment_id: UUID) -> Charge | None:
        """As `find_charge`; but after None it never will be made, whatever is still on its way to the provider."""
        found = _read(VoidAnswer, await self._call("POST", "/charges/void", key=payment_id)).charge
        return found.charge() if found else None

    async def refund(self, refund_id: UUID, *, charge_reference: str, amount: int) -> str:
        """Give money back; the provider's reference. Raises RefundRefused and ProviderUnavailable."""
        path = f"/charges/{charge_reference}/refunds"
        answer = await self._call("POST", path, key=refund_id, json={"amount": amount})
        if answer.status_code in _REFUSED:
            raise RefundRefused(answer.text)
        return _read(RefundAnswer, answer).id

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> ChargeNotice:
        """A webhook's content. Raises WebhookNotTrusted, and BadRequest for what is signed but can't be read."""
        secret = self._settings.webhook_secret.get_secret_value()
        complaint = complaint_about(secret, body, headers.get(HEADER, ""), time.time())
        if complaint is not None:
            raise WebhookNotTrusted(complaint)
        try:
            charge = WebhookBody.model_validate_json(body).charge
            return ChargeNotice(UUID(charge.idempotency_key), charge.charge())
        except ValueError as error:
            raise BadRequest("It is signed well, but it is no notice of one of our charges.") from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @property
    def _public_url(self) -> str:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return self._settings.public_url.rstrip("/") or f"http://{host}:{self._settings.port}"

    async def _call(self, method: str, path: str, *, key: UUID | None = None, **request: Any) -> httpx.Response:
        """An answer that counts, or ProviderUnavailable."""
        if not self._settings.provider_url:
            raise ProviderUnavailable("PAYMENT_PROVIDER_URL is not set")
        try:
            answer = await self._client.request(
                method,
                f"{self._settings.provider_url.rstrip('/')}{path}",
                headers=inject_trace({"Idempotency-Key": str(key)} if key else {}),
                timeout=self._settings.provider_timeout_seconds,
                **request,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(f"{type(error).__name__}: {error}") from error
        if not answer.is_success and answer.status_code not in _REFUSED:
            raise ProviderUnavailable(f"{answer.status_code} {answer.reason_phrase}")
        return answer


def _read(answer_type: type[AnswerT], answer: httpx.Response) -> AnswerT:
    try:
        return answer_type.model_validate_json(answer.content)
    except ValidationError as error:
        raise ProviderUnavailable(f"the answer can't be read: {answer.text[:200]!r}") from error
