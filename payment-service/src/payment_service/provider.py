"""The port to whoever moves the money: what payment-service asks of a payment provider, and what it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from .domain import FailureReason


class ChargeStatus(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as the provider has it; one that it refused at sight has no reference."""

    status: ChargeStatus
    reference: str | None
    failure_reason: FailureReason | None = None


@dataclass(frozen=True, slots=True)
class ChargeNotice:
    """What a webhook tells of a charge."""

    payment_id: UUID
    charge: Charge


class ProviderUnavailable(Exception):
    """The provider gave no answer that counts. Whatever was asked may have been done nevertheless."""


class RefundRefused(Exception):
    """The provider will not refund this, however often it is asked."""


# What became of a call, to be recorded: exceptions are answers, too.
ChargeAnswer = Charge | None | ProviderUnavailable
RefundAnswer = str | RefundRefused | ProviderUnavailable


class PaymentProvider(Protocol):
    """Calls are idempotent by `payment_id` or `refund_id`: the same again gets the answer of the first."""

    name: str

    async def charge(
        self, payment_id: UUID, *, amount: int, currency: str, payment_method: str, order_id: UUID
    ) -> Charge:
        """Take the money. Raises ProviderUnavailable."""
        ...

    async def find_charge(self, payment_id: UUID) -> Charge | None:
        """What became of the charge; None if it was not made. Raises ProviderUnavailable."""
        ...

    async def void_charge(self, payment_id: UUID) -> Charge | None:
        """As `find_charge`; but after None it never will be made, whatever is still on its way to the provider."""
        ...

    async def refund(self, refund_id: UUID, *, charge_reference: str, amount: int) -> str:
        """Give money back; the provider's reference. Raises RefundRefused and ProviderUnavailable."""
        ...

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> ChargeNotice:
        """A webhook's content. Raises WebhookNotTrusted, and BadRequest for what is signed but can't be read."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
