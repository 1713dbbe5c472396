"""Tells by webhook what became of charges, until somebody listens."""

import asyncio
import json
import logging
import time

import httpx
from chassis.discovery import internal_client
from chassis.ids import uuid7

from payment_service.signatures import HEADER, sign

from .api import ChargeBody
from .settings import Settings
from .store import Charge, SandboxStore

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_TIMEOUT_SECONDS = 5.0
_RETRY_SECONDS = 2.0
_FORGET_SECONDS = 3600.0


class Webhooks:
    """Settles charges that are slow when their time has come, and delivers their webhooks, each at least once."""

    def __init__(self, store: SandboxStore, settings: Settings) -> None:
        self._store = store
        self._secret = settings.webhook_secret.get_secret_value()

    async def run(self) -> None:
        """Deliver until cancelled; to be run as a supervised task."""
        async with internal_client(timeout_seconds=_TIMEOUT_SECONDS) as client:
            while True:
                due = await asyncio.to_thread(self._store.to_notify, time.time())
                await asyncio.gather(*(self._deliver(client, charge) for charge in due))
                await asyncio.sleep(_POLL_SECONDS)

    async def _deliver(self, client: httpx.AsyncClient, charge: Charge) -> None:
        await asyncio.to_thread(self._store.settle, charge.id)
        settled = await asyncio.to_thread(self._store.charge, charge.id)
        assert settled is not None
        again_at = None
        if settled.webhook_url and not await self._tell(client, settled.webhook_url, settled):
            now = time.time()
            again_at = now + _RETRY_SECONDS if now < charge.created_at + _FORGET_SECONDS else None
        await asyncio.to_thread(self._store.set_notify_at, charge.id, again_at)

    async def _tell(self, client: httpx.AsyncClient, url: str, charge: Charge) -> bool:
        notice = {
            "id": f"ev_{uuid7().hex}",
            "type": f"charge.{charge.status}",
            "charge": ChargeBody.of(charge).model_dump(mode="json"),
        }
        body = json.dumps(notice).encode()
        headers = {"Content-Type": "application/json", HEADER: sign(self._secret, body, int(time.time()))}
        try:
            answer = await client.post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.warning("the webhook of charge %s was not delivered: %r", charge.id, error)
            return False
        if not answer.is_success:
            logger.warning("the webhook of charge %s was answered with %d", charge.id, answer.status_code)
        return answer.is_success
