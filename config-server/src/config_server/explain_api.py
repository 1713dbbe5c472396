"""HTTP in: GET /explain/{application}/{profile}[/{label}], as JSON or as a page."""

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Query as Parameter
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .access import Access
from .asking import RESERVED, Application, Label, Profile, Service
from .choosing import Configurations
from .errors import NotAcceptable
from .explain import Explainer
from .explain_page import HEADERS, explanation_page
from .explanations import Explanation, Side
from .media_types import V1, prefers_html, wanted_media_type
from .queries import Query, is_file_name

router = APIRouter(tags=["configuration"], prefix="/explain")

_explanations = TypeAdapter(Explanation)

_answers: dict[int | str, dict[str, Any]] = {
    200: {"description": "who sets each key, and who lost; secrets are asterisks", "content": {"text/html": {}}},
    400: {"description": "a name that can't be one"},
    401: {"description": "no credential, or a wrong one"},
    403: {"description": "another application's configuration"},
    404: {"description": "no such label"},
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question may say beside whose environment it is about."""

    key: Annotated[str, Parameter(description="one key with what is below it; with `*` at the end what begins so")] = ""
    against: Annotated[str, Parameter(description="also say what is different at this branch, tag or commit")] = ""
    against_profile: Annotated[
        str, Parameter(alias="against-profile", description="also say what is different in this profile")
    ] = ""


@router.get("/{application}/{profile}", summary="Who sets each key, and why", responses=_answers)
async def explain_environment(
    application: Application,
    profile: Profile,
    request: Request,
    service: Service,
    wanted: Annotated[Wanted, Depends()],
) -> Response:
    return await _explain(request, service, (application, profile, None), wanted)


@router.get("/{application}/{profile}/{label}", summary="Who sets each key at a label, and why", responses=_answers)
async def explain_labelled_environment(
    application: Application,
    profile: Profile,
    label: Label,
    request: Request,
    service: Service,
    wanted: Annotated[Wanted, Depends()],
) -> Response:
    return await _explain(request, service, (application, profile, label), wanted)


async def _explain(
    request: Request,
    service: Configurations,
    path: tuple[str, str, str | None],
    wanted: Wanted,
) -> Response:
    application, profile, label = path
    key, against, against_profile = wanted.key, wanted.against, wanted.against_profile
    if application in RESERVED or is_file_name(profile):
        raise HTTPException(404, "This is no application's configuration.")
    accept = request.headers.get("accept")
    as_page = prefers_html(accept)
    if not as_page and wanted_media_type(accept) is None:
        raise NotAcceptable(f"An explanation is {V1} or text/html.")
    query = Query.of(application, profile, label)
    other = Query.of(application, against_profile or profile, against or label) if against or against_profile else None
    # Who may read the environment may know where it comes from, on both sides, and nobody else may.
    access: Access = request.app.state.access
    for side in (query, other):
        if side is not None:
            access.check(request.headers.get("authorization"), side)

    def answer() -> bytes:
        explanation = _explanation(service, query, other, key.strip())
        text = (
            explanation_page(explanation, key=key, against=against, against_profile=against_profile)
            if as_page
            else json.dumps(_explanations.dump_python(explanation), ensure_ascii=False, separators=(",", ":"))
        )
        return text.encode("utf-8", "replace")  # files may hold halves of characters

    # It reads and sorts whole environments, which must not hold up those who only want theirs.
    body = await asyncio.to_thread(answer)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if as_page:
        return Response(body, media_type="text/html", headers=headers | HEADERS)
    return Response(body, media_type=V1, headers=headers)


def _explanation(service: Configurations, query: Query, other: Query | None, key: str) -> Explanation:
    explainer = Explainer(service.trace_environment(query))
    explanation = Explanation(
        name=query.application,
        asked=Side(query.profiles, query.label, explainer.commits()),
        keys=explainer.keys(key),
        documents=explainer.documents(),
        skipped=explainer.skipped(),
        broken=explainer.broken(),
        looked_for=explainer.looked_for(),
    )
    if other is None:
        return explanation
    against = Explainer(service.trace_environment(other))
    return replace(
        explanation,
        against=Side(other.profiles, other.label, against.commits()),
        differences=explainer.differences(against, key),
    )
