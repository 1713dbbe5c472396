"""What clients and operators do: register, renew, leave, override a status, set metadata."""

import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from discovery_server.access.access import Access, Principal
from discovery_server.access.audit import Asker, Audit
from discovery_server.errors import EurekaProblem, Incomplete, Unreadable, UnsupportedMediaType
from discovery_server.metrics import REGISTRATIONS, RENEWALS
from discovery_server.registry.instance import OddText, Status, readable_metadata
from discovery_server.registry.registry import Registry
from discovery_server.upkeep.slow_start import with_hint
from discovery_server.wire import json_codec, xml_codec
from discovery_server.wire.form import Codec
from discovery_server.wire.registration import whole_number

from .queries import parameters
from .reading import document, form_wanted, instance_form_wanted

logger = logging.getLogger(__name__)

_READERS: dict[str, Codec] = {json_codec.MEDIA_TYPE: json_codec, xml_codec.MEDIA_TYPE: xml_codec}


class Changing:
    """The handlers of POST, PUT and DELETE."""

    def __init__(self, registry: Registry, access: Access, audit: Audit, *, slow_start_seconds: int = 0) -> None:
        self._registry = registry
        self._access = access
        self._audit = audit
        self._slow_start_seconds = slow_start_seconds

    async def renew(self, request: Request, app: str, key: str) -> Response:
        principal = self._access.require_owner_of(app, request.headers.get("authorization"))
        form = instance_form_wanted(request)
        replicated = _is_replicated(request, principal)
        dirty_ms = self._dirty_ms(parameters(request.scope), app, key)
        instance = self._registry.renew(app, key, dirty_ms=dirty_ms, replicated=replicated)
        RENEWALS.inc()
        if dirty_ms is not None and dirty_ms < instance.dirty_ms and replicated:
            # The peer that sent this knows an older instance; it takes ours from the body.
            return document(form.codec.write_instance(self._registry.instance(app, key)), form, status=409)
        return Response()

    async def register(self, request: Request, app: str) -> Response:
        principal = self._access.require_owner_of(app, request.headers.get("authorization"))
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        codec = _READERS.get(content_type)
        if codec is None:
            raise UnsupportedMediaType("Send an instance as application/json or application/xml.")
        try:
            instance = codec.read_instance(await _body(request))
            if instance.app != app.upper():
                raise Incomplete(f"Mismatched appName, expecting {app.upper()} but was {instance.app}")
        except EurekaProblem as problem:
            logger.warning("a registration of %s was refused: %s", app.upper(), problem.detail)
            raise
        self._access.require_own_addresses(principal, instance)
        replicated = _is_replicated(request, principal)
        if not replicated:
            instance = with_hint(instance, self._slow_start_seconds)
        registered = self._registry.register(instance, owner=principal.owner, replicated=replicated)
        REGISTRATIONS.labels(registered.app).inc()
        self._audit.registered(Asker.of(principal, request.scope), instance)
        return Response(status_code=204)

    async def cancel(self, request: Request, app: str, key: str) -> Response:
        principal = self._operator(request, app)
        replicated = _is_replicated(request, principal)
        cancelled = self._registry.cancel(app, key, by=principal.name or None, replicated=replicated)
        self._audit.cancelled(Asker.of(principal, request.scope), cancelled)
        return Response()

    async def override_status(self, request: Request, app: str, key: str) -> Response:
        principal = self._operator(request, app)
        sent = parameters(request.scope)
        dirty_ms = self._dirty_ms(sent, app, key)
        status = _status(sent.get("value", ""))
        by, replicated = principal.name or None, _is_replicated(request, principal)
        before = self._registry.version
        self._registry.override_status(app, key, status, dirty_ms=dirty_ms, by=by, replicated=replicated)
        if self._registry.version != before:
            self._audit.overridden(Asker.of(principal, request.scope), app, key, status)
        return Response()

    async def remove_override(self, request: Request, app: str, key: str) -> Response:
        principal = self._operator(request, app)
        sent = parameters(request.scope)
        dirty_ms = self._dirty_ms(sent, app, key)
        status = _status(sent.get("value", Status.UNKNOWN))
        by, replicated = principal.name or None, _is_replicated(request, principal)
        before = self._registry.version
        self._registry.remove_override(app, key, status, dirty_ms=dirty_ms, by=by, replicated=replicated)
        if self._registry.version != before:
            self._audit.override_removed(Asker.of(principal, request.scope), app, key, status)
        return Response()

    async def change_metadata(self, request: Request, app: str, key: str) -> Response:
        principal = self._access.require_owner_of(app, request.headers.get("authorization"))
        known = self._registry.instance(app, key)
        try:
            pairs = readable_metadata(parameters(request.scope))
            readable_metadata({**known.metadata, **pairs})  # it may be too much together
        except OddText as error:
            raise Unreadable(str(error)) from error
        self._registry.change_metadata(app, key, pairs, replicated=_is_replicated(request, principal))
        self._audit.metadata_changed(Asker.of(principal, request.scope), app, key, pairs)
        return Response()

    def _operator(self, request: Request, app: str) -> Principal:
        """Who asks, if that one may put an instance out of service. A form that can't be given is refused as well."""
        principal = self._access.require_operator_of(app, request.headers.get("authorization"))
        form_wanted(request)
        return principal

    def _dirty_ms(self, sent: dict[str, str], app: str, key: str) -> int | None:
        """The client's time stamp in the query. Raises Unreadable, or NoSuchInstance if that is wrong as well."""
        text = sent.get("lastDirtyTimestamp")
        if text is None:
            return None
        try:
            return whole_number(text)
        except ValueError as error:
            self._registry.instance(app, key)
            raise Unreadable(f"lastDirtyTimestamp is {text[:40]!r}, which is no number of milliseconds.") from error


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise Unreadable("The client went away before it had sent everything.") from error


def _is_replicated(request: Request, principal: Principal) -> bool:
    """Whether another server tells us what a client told it; a client that says so is not believed."""
    return principal.is_peer and request.headers.get("x-netflix-discovery-replication", "").lower() == "true"


def _status(value: str) -> Status:
    try:
        return Status(value)
    except ValueError as error:
        raise Unreadable(f"The value has to be one of {', '.join(Status)}.") from error
