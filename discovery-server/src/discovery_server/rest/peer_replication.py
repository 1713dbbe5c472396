"""What other servers ask of this one: digests and states among our own, Eureka's batches from any."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from discovery_server.access.access import Access
from discovery_server.access.audit import Asker, Audit
from discovery_server.errors import NoSuchPath, Unreadable, UnsupportedMediaType
from discovery_server.peers.eureka_batch import answer_batch, changes_in
from discovery_server.peers.exchange_answers import DigestsAsked, answer_digests, answer_states
from discovery_server.registry.registry import Registry
from discovery_server.wire import json_codec

from .api import Handler

logger = logging.getLogger(__name__)


class PeerApi:
    """The paths below `peerreplication`. Only peers may use them."""

    def __init__(
        self, registry: Registry, access: Access, audit: Audit, *, is_complete: Callable[[], bool] = lambda: True
    ) -> None:
        """`is_complete` is false while this server itself waits for its peers."""
        self._registry = registry
        self._access = access
        self._audit = audit
        self._is_complete = is_complete

    def routes(self, path: Sequence[str]) -> dict[str, Handler]:
        """What can be done at a path, by method. Raises NoSuchPath."""
        match path:
            case ["batch"]:
                return {"POST": self._take_batch}
            case ["digests"]:
                return {"POST": self._compare_digests}
            case ["states"]:
                return {"POST": self._take_states}
            case _:
                raise NoSuchPath("Other servers send batches, digests and states here.")

    async def _take_batch(self, request: Request) -> Response:
        sent = await self._read(request)
        try:
            answer = answer_batch(self._registry, sent)
        except ValueError as error:
            raise Unreadable(f"This is no batch: {error}.") from error
        # Eureka keeps no record of its own; of what our servers tell, the one that was asked has it.
        asker = Asker.of(self._access.principal(request.headers.get("authorization")), request.scope)
        self._audit.replicated(asker, changes_in(sent))
        return _json(answer)

    async def _compare_digests(self, request: Request) -> Response:
        sent = await self._read(request)
        try:
            asked = DigestsAsked.read(sent)
        except ValueError as error:
            raise Unreadable(f"These are no digests: {error}.") from error
        return _json(answer_digests(self._registry, asked, complete=self._is_complete()))

    async def _take_states(self, request: Request) -> Response:
        sent = await self._read(request)
        try:
            return _json(answer_states(self._registry, sent))
        except ValueError as error:
            raise Unreadable(f"These are no states: {error}.") from error

    async def _read(self, request: Request) -> dict[str, Any]:
        """The object in the body of a peer's request. Raises CredentialNeeded, NotAllowedHere, Unreadable."""
        self._access.require_peer(request.headers.get("authorization"))
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != json_codec.MEDIA_TYPE:
            raise UnsupportedMediaType("Servers tell each other of instances as application/json.")
        try:
            sent = json.loads(await request.body())
        except ClientDisconnect as error:
            raise Unreadable("The peer went away before it had sent everything.") from error
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"This is no JSON: {str(error)[:200]}") from error
        if not isinstance(sent, dict):
            raise Unreadable("An object of JSON is expected.")
        return sent


def _json(body: bytes) -> Response:
    return Response(body, media_type=json_codec.MEDIA_TYPE)
