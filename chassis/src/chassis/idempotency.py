"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the first answer is kept and given again."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import func, select

from .database import Database
from .problems import Problem
from .security import CurrentCaller
from .tables import IdempotencyRow

HEADER = "Idempotency-Key"
_LONGEST_KEY = 255


class IdempotencyKeyMissing(Problem):
    status = 400
    code = "idempotency-key-missing"
    title = "An Idempotency-Key is needed"


class IdempotencyKeyInvalid(Problem):
    status = 400
    code = "idempotency-key-invalid"
    title = "The Idempotency-Key can't be used"


class IdempotencyKeyInUse(Problem):
    status = 409
    code = "idempotency-key-in-use"
    title = "The first request with this key is still running"


class IdempotencyKeyReused(Problem):
    status = 422
    code = "idempotency-key-reused"
    title = "The key was used for another request"


class Once:
    """Runs one request at most once for its key, caller and route (promises I1 to I9).

    The answer is kept in the transaction of the use case itself: a crash leaves both or neither. A Problem undoes
    both and is not kept, so that the same key may be tried again with what was wrong mended.
    """

    def __init__(self, database: Database, request: Request, scope: str) -> None:
        self._database = database
        self._request = request
        self._scope = scope

    async def __call__(
        self, action: Callable[[], Awaitable[tuple[BaseModel, dict[str, str]]]], status: int
    ) -> Response:
        """`action` does the work and answers the body and further headers of the response."""
        key = self._request.headers.get(HEADER)
        if key is None:
            return _answer(*await action(), status)
        fingerprint = hashlib.sha256(await self._request.body()).hexdigest()
        async with self._database.shared() as session:
            lock = func.hashtextextended(f"{self._scope} {key}", 0)
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
                raise IdempotencyKeyInUse("Wait for its answer, then ask again.", headers={"Retry-After": "1"})
            kept = await session.get(IdempotencyRow, (self._scope, key))
            if kept is not None:
                if kept.fingerprint != fingerprint:
                    raise IdempotencyKeyReused(
                        "Use a new key for a new request; the body differs from the first one's."
                    )
                return Response(
                    kept.body,
                    kept.status,
                    headers={**kept.headers, "Idempotency-Replayed": "true"},
                    media_type="application/json",
                )
            response = _answer(*await action(), status)
            session.add(
                IdempotencyRow(
                    scope=self._scope,
                    key=key,
                    fingerprint=fingerprint,
                    status=status,
                    headers={name: value for name, value in response.headers.items() if name == "location"},
                    body=response.body,
                )
            )
        return response


def _answer(body: BaseModel, headers: dict[str, str], status: int) -> Response:
    return Response(body.model_dump_json(), status, headers=headers, media_type="application/json")


_Key = Annotated[
    str | None, Header(alias=HEADER, description="one for each request, a UUID for example; the same to try again")
]


async def _once(request: Request, caller: CurrentCaller, key: _Key = None) -> Once:
    if key is not None and not 1 <= len(key) <= _LONGEST_KEY:
        raise IdempotencyKeyInvalid(f"Use 1 to {_LONGEST_KEY} characters, a UUID for example.")
    return Once(request.app.state.database, request, f"{caller.user_id} {request.method} {request.url.path}")


async def _once_with_key(once: Annotated[Once, Depends(_once)], key: _Key = None) -> Once:
    if key is None:
        raise IdempotencyKeyMissing(f"Send a header '{HEADER}' with a new UUID, and the same one when you try again.")
    return once


# For POSTs that create: the first takes a key if there is one, the second insists on one.
MaybeOnce = Annotated[Once, Depends(_once)]
ExactlyOnce = Annotated[Once, Depends(_once_with_key)]
