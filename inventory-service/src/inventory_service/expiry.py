"""The timer that releases the stock of reservations that have expired."""

import asyncio

from .service import InventoryService
from .settings import Settings


class ExpiryTimer:
    def __init__(self, inventory: InventoryService, settings: Settings) -> None:
        self._inventory = inventory
        self._settings = settings

    async def run(self) -> None:
        """Look again and again; to be run as a supervised task. Several instances share the work."""
        while True:
            if not await self._inventory.release_expired_stock():
                await asyncio.sleep(self._settings.expiry_poll_seconds)
