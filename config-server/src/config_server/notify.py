"""Tells the instances that a change concerns, wherever discovery has them, to refresh; and tells no more than that."""

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Collection
from typing import Any

import httpx
from chassis.discovery import Instance, Registry, internal_client
from chassis.refresh_calls import HEADER, sign_refresh
from prometheus_client import Counter, Histogram

from .concerned import EVERYBODY

logger = logging.getLogger(__name__)

CALLS = Counter("config_server_refresh_calls", "Instances that were told to refresh, by how it ended", ["outcome"])
SECONDS = Histogram("config_server_refresh_seconds", "From a change being noticed to an instance having applied it")

_PARALLEL = 16
_CALL_SECONDS = 5.0
_DEADLINE_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 3.0
_NEWCOMERS_SECONDS = 120.0
_LOOK_SECONDS = 0.25
_LARGEST_ANSWER_BYTES = 65_536

# Answers that may be better the next time.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

_VARIABLE = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,100}")


class Notifier:
    """One call at a time for each instance: a change that comes meanwhile is told by one more call after it.

    An instance that registers within two minutes after a change is told as well: it may have read its configuration
    just before.
    """

    def __init__(self, registry: Registry, secret: str, *, own_name: str) -> None:
        self._registry = registry
        self._secret = secret
        self._own_name = own_name
        self._client = internal_client(timeout_seconds=_CALL_SECONDS)
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._calls: dict[Instance, asyncio.Task[None]] = {}
        self._once_more: dict[Instance, float] = {}
        self._changes: dict[str, float] = {}  # name, and when a change last concerned it
        self._told: dict[Instance, float] = {}  # and of which change each was told last

    def tell(self, names: Collection[str]) -> list[Instance]:
        """Begin to tell the instances of these services (`*`: of all); answers which."""
        now = time.monotonic()
        self._changes = {name: at for name, at in self._changes.items() if now - at < _NEWCOMERS_SECONDS}
        self._changes.update(dict.fromkeys((name.lower() for name in names), now))
        return self._tell_who_has_not_heard()

    async def run(self) -> None:
        """Look for newcomers again and again; to be run as a supervised task."""
        while True:
            self._tell_who_has_not_heard()
            await asyncio.sleep(_LOOK_SECONDS)

    async def aclose(self) -> None:
        for call in (calls := list(self._calls.values())):
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._client.aclose()

    def _tell_who_has_not_heard(self) -> list[Instance]:
        present, now = self._present(), time.monotonic()
        self._told = {instance: self._told[instance] for instance in present if instance in self._told}
        deaf = []
        for instance in present:
            changed_at = max(self._changes.get(name, float("-inf")) for name in (instance.service, EVERYBODY))
            if now - changed_at < _NEWCOMERS_SECONDS and changed_at > self._told.get(instance, float("-inf")):
                self._told[instance] = changed_at
                self._begin(instance, changed_at)
                deaf.append(instance)
        return deaf

    def _present(self) -> list[Instance]:
        return [
            instance
            for service in self._registry.services()
            if service != self._own_name
            for instance in self._registry.instances(service)
        ]

    def _begin(self, instance: Instance, noticed_at: float) -> None:
        if instance in self._calls:
            self._once_more.setdefault(instance, noticed_at)
            return
        call = asyncio.create_task(self._tell_one(instance, noticed_at))
        self._calls[instance] = call
        call.add_done_callback(lambda done: self._ended(instance, done))

    def _ended(self, instance: Instance, call: asyncio.Task[None]) -> None:
        del self._calls[instance]
        again = self._once_more.pop(instance, None)
        if call.cancelled():
            return
        if (error := call.exception()) is not None:
            logger.error("telling %s failed here", instance.instance_id, exc_info=error)
        if again is not None:
            self._begin(instance, again)

    async def _tell_one(self, instance: Instance, noticed_at: float) -> None:
        deadline, pause = time.monotonic() + _DEADLINE_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            if instance not in self._registry.instances(instance.service):
                CALLS.labels("gone").inc()
                return
            async with self._slots:
                status, said = await self._call(instance)
            if status == 200:
                CALLS.labels("applied").inc()
                SECONDS.observe(time.monotonic() - noticed_at)
                logger.info("%s has refreshed%s", instance.instance_id, said)
                return
            if status is not None and status not in _PASSING:
                CALLS.labels("refused").inc()
                logger.warning("%s does not let itself be refreshed: it answered %d", instance.instance_id, status)
                return
            if time.monotonic() + pause > deadline:
                CALLS.labels("failed").inc()
                logger.warning("%s was not refreshed within %.0f s%s", instance.instance_id, _DEADLINE_SECONDS, said)
                return
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - nothing secret
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _call(self, instance: Instance) -> tuple[int | None, str]:
        """The status of the answer, None for none, and what to add about it in the log."""
        headers = {HEADER: sign_refresh(self._secret, instance.service), "Accept": "application/json"}
        try:
            async with (
                asyncio.timeout(_CALL_SECONDS),
                self._client.stream("POST", f"{instance.url}/actuator/refresh", headers=headers) as answer,
            ):
                body = b""
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _LARGEST_ANSWER_BYTES:
                        break
                return answer.status_code, _summary(body) if answer.status_code == 200 else f": {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return None, f": {type(error).__name__}"


def _summary(body: bytes) -> str:
    """What the answer says has changed and what waits; names alone, and none that can't be one."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    # Spring Boot answers with a plain list of the keys that changed.
    parts = {"changed": document} if isinstance(document, list) else document
    if not isinstance(parts, dict):
        return ""
    told = []
    for key, words in (("changed", "changed"), ("wait_for_restart", "waits for a restart")):
        found = parts.get(key)
        names = [n for n in found if isinstance(n, str) and _VARIABLE.fullmatch(n)] if isinstance(found, list) else []
        if names:
            told.append(f"{', '.join(names[:20])} {words}")
    return f": {'; '.join(told)}" if told else ": nothing changed for it"
