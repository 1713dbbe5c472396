"""A provider between the service and the sandbox that fails as it is told to, for one order at a time."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from uuid import UUID

from payment_service.provider import Charge, ChargeNotice, ProviderUnavailable
from payment_service.sandbox_provider import SandboxProvider
from payment_service.settings import Settings


class FaultyProvider:
    """The sandbox's adapter, with faults. `away` orders can't be asked about; `most_at_once` is what was under way."""

    name = SandboxProvider.name

    def __init__(self, settings: Settings) -> None:
        self._sandbox = SandboxProvider(settings)
        self._order_of: dict[UUID, UUID] = {}
        self._crashes: Counter[UUID] = Counter()
        self._gates: dict[UUID, asyncio.Event] = {}
        self._under_way = 0
        self.away: set[UUID] = set()
        self.loses_answers: set[UUID] = set()
        self.refunds_are_away = False
        self.refund_answers_to_lose = 0
        self.calls: defaultdict[UUID, list[str]] = defaultdict(list)
        self.most_at_once = 0

    def crash_after_charge(self, order_id: UUID) -> None:
        """The next charge is made, and then the process is as good as dead: its answer is never recorded."""
        self._crashes[order_id] += 1

    def hold(self, order_id: UUID) -> asyncio.Event:
        """Charges of this order wait at the provider's door until the event is set."""
        return self._gates.setdefault(order_id, asyncio.Event())

    async def charge(
        self, payment_id: UUID, *, amount: int, currency: str, payment_method: str, order_id: UUID
    ) -> Charge:
        self._order_of[payment_id] = order_id
        self.calls[order_id].append("charge")
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            if order_id in self._gates:
                await self._gates[order_id].wait()
            self._refuse_if_away(order_id)
            charge = await self._sandbox.charge(
                payment_id, amount=amount, currency=currency, payment_method=payment_method, order_id=order_id
            )
        finally:
            self._under_way -= 1
        if self._crashes[order_id]:
            self._crashes[order_id] -= 1
            raise RuntimeError("a crash, as far as this attempt goes")
        if order_id in self.loses_answers:
            raise ProviderUnavailable("the answer was lost")
        return charge

    async def find_charge(self, payment_id: UUID) -> Charge | None:
        order_id = self._order_of[payment_id]
        self.calls[order_id].append("find")
        self._refuse_if_away(order_id)
        return await self._sandbox.find_charge(payment_id)

    async def void_charge(self, payment_id: UUID) -> Charge | None:
        order_id = self._order_of[payment_id]
        self.calls[order_id].append("void")
        self._refuse_if_away(order_id)
        return await self._sandbox.void_charge(payment_id)

    async def refund(self, refund_id: UUID, *, charge_reference: str, amount: int) -> str:
        if self.refunds_are_away:
            raise ProviderUnavailable("refunds are away")
        reference = await self._sandbox.refund(refund_id, charge_reference=charge_reference, amount=amount)
        if self.refund_answers_to_lose:
            self.refund_answers_to_lose -= 1
            raise ProviderUnavailable("the answer was lost")
        return reference

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> ChargeNotice:
        return self._sandbox.read_notice(body, headers)

    async def aclose(self) -> None:
        await self._sandbox.aclose()

    def _refuse_if_away(self, order_id: UUID) -> None:
        if order_id in self.away:
            raise ProviderUnavailable("away")
