"""The timer that cancels orders past their deadline."""

import asyncio

from .service import OrderService
from .settings import Settings


class DeadlineTimer:
    def __init__(self, orders: OrderService, settings: Settings) -> None:
        self._orders = orders
        self._settings = settings

    async def run(self) -> None:
        """Look again and again; to be run as a supervised task. Several instances share the work."""
        while True:
            if not await self._orders.time_out_orders():
                await asyncio.sleep(self._settings.deadline_poll_seconds)
