"""Accounts and sessions over HTTP."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from chassis.pages import Cursor, Limit, Page, decode_id, page_of
from chassis.security import CurrentAdmin, CurrentCaller
from chassis.web import Body
from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError

from .domain import Role, Session, User, UserStatus
from .keys import Keys, Tokens
from .service import AuthService
from .settings import Settings

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])
public_keys = APIRouter(prefix="/.well-known", tags=["auth"])

_SHORTEST_PASSWORD = 8
_LONGEST_PASSWORD = 256


def _email(value: str) -> str:
    try:
        # Reserved names such as example.test are fine: nothing is sent from here.
        return validate_email(value, check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error


Email = Annotated[str, Field(max_length=254, examples=["ada@example.com"]), AfterValidator(_email)]
NewPassword = Annotated[SecretStr, Field(min_length=_SHORTEST_PASSWORD, max_length=_LONGEST_PASSWORD)]
GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=_LONGEST_PASSWORD)]


class Register(Body):
    username: str = Field(min_length=2, max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", examples=["ada"])
    email: Email
    full_name: str = Field(min_length=1, max_length=200, examples=["Ada Lovelace"])
    password: NewPassword


class LogIn(Body):
    email: str = Field(min_length=1, max_length=254)
    password: GivenPassword


class RefreshTokens(Body):
    refresh_token: str = Field(min_length=1, max_length=500)


class ChangePassword(Body):
    current_password: GivenPassword
    new_password: NewPassword


class ChangeUser(Body):
    role: Role | None = None
    status: UserStatus | None = None


class UserBody(BaseModel):
    id: UUID
    username: str
    email: str
    full_name: str
    role: Role
    status: UserStatus
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> "UserBody":
        return cls.model_validate(user, from_attributes=True)


class TokensBody(BaseModel):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - RFC 6750, a scheme
    expires_in: int = Field(description="seconds that the access token is good for")
    refresh_token: str

    @classmethod
    def of(cls, tokens: Tokens) -> "TokensBody":
        return cls.model_validate(tokens, from_attributes=True)


class SessionBody(BaseModel):
    id: UUID
    user_agent: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    current: bool = Field(description="whether the access token of this request belongs to it")


class SessionsBody(BaseModel):
    items: list[SessionBody]


def _auth(request: Request) -> AuthService:
    service: AuthService = request.app.state.auth
    return service


Auth = Annotated[AuthService, Depends(_auth)]


@router.post("/register", status_code=201, summary="Make an account")
async def register(body: Register, response: Response, auth: Auth) -> UserBody:
    user = await auth.register(
        username=body.username,
        email=body.email,
        full_name=body.full_name,
        password=body.password.get_secret_value(),
    )
    response.headers["Location"] = f"{router.prefix}/me"
    return UserBody.of(user)


async def _log_in_body(request: Request) -> LogIn:
    """The JSON body, or the OAuth2 password form (RFC 6749 §4.3.2) with the address as its username."""
    content: Any
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = await request.form()
        content = {"email": form.get("username"), "password": form.get("password")}
    else:
        try:
            content = json.loads(await request.body())
        except (ValueError, RecursionError) as error:  # the latter where lists are nested without end
            raise RequestValidationError(
                [{"type": "json_invalid", "loc": ("body",), "msg": f"JSON decode error: {error}"}]
            ) from error
    try:
        return LogIn.model_validate(content)
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from error


@router.post(
    "/login",
    summary="Begin a session",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": LogIn.model_json_schema()},
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["username", "password"],
                        "properties": {
                            "username": {"type": "string", "description": "the e-mail address"},
                            "password": {"type": "string", "format": "password"},
                        },
                    }
                },
            },
        }
    },
)
async def log_in(
    body: Annotated[LogIn, Depends(_log_in_body)], request: Request, response: Response, auth: Auth
) -> TokensBody:
    # The gateway sets the header anew; whoever gets past the gateway could also choose a network address.
    address = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    tokens = await auth.log_in(
        body.email,
        body.password.get_secret_value(),
        address=address or (request.client.host if request.client else "unknown"),
        user_agent=request.headers.get("user-agent", "")[:200],
    )
    response.headers["Cache-Control"] = "no-store"  # RFC 6749 §5.1
    return TokensBody.of(tokens)


@router.post("/refresh", summary="Take new tokens for a refresh token, which is used up by it")
async def refresh(body: RefreshTokens, response: Response, auth: Auth) -> TokensBody:
    response.headers["Cache-Control"] = "no-store"
    return TokensBody.of(await auth.refresh(body.refresh_token))


@router.post("/logout", status_code=204, summary="End the session everywhere, at once")
async def log_out(caller: CurrentCaller, auth: Auth) -> None:
    await auth.log_out(caller)


@router.get("/me", summary="Show one's own account")
async def show_me(caller: CurrentCaller, auth: Auth) -> UserBody:
    return UserBody.of(await auth.get_user(caller.user_id))


@router.put("/me/password", status_code=204, summary="Change one's password, which ends one's other sessions")
async def change_password(body: ChangePassword, caller: CurrentCaller, auth: Auth) -> None:
    await auth.change_password(caller, body.current_password.get_secret_value(), body.new_password.get_secret_value())


@router.get("/sessions", summary="List one's open sessions")
async def list_sessions(caller: CurrentCaller, auth: Auth) -> SessionsBody:
    def show(session: Session) -> SessionBody:
        return SessionBody(
            id=session.id,
            user_agent=session.user_agent,
            created_at=session.created_at,
            refreshed_at=session.rotated_at,
            expires_at=session.expires_at,
            current=str(session.id) == caller.session_id,
        )

    return SessionsBody(items=[show(session) for session in await auth.list_sessions(caller.user_id)])


@router.delete("/sessions/{session_id}", status_code=204, summary="End one of one's sessions")
async def end_session(session_id: UUID, caller: CurrentCaller, auth: Auth) -> None:
    await auth.end_session(caller, session_id)


@router.get("/users", summary="List accounts, the newest first (admin)")
async def list_users(
    caller: CurrentAdmin,
    auth: Auth,
    limit: Limit = 20,
    cursor: Cursor = None,
    role: Role | None = None,
    status: UserStatus | None = None,
) -> Page[UserBody]:
    before = decode_id(cursor)
    found = await auth.list_users(limit=limit, before=before, role=role, status=status)
    return page_of(found, limit, UserBody.of, lambda user: [user.id])


@router.get("/users/{user_id}", summary="Show an account (admin)")
async def get_user(user_id: UUID, caller: CurrentAdmin, auth: Auth) -> UserBody:
    return UserBody.of(await auth.get_user(user_id))


@router.patch("/users/{user_id}", summary="Change an account's role or status (admin)")
async def change_user(user_id: UUID, body: ChangeUser, caller: CurrentAdmin, auth: Auth) -> UserBody:
    return UserBody.of(await auth.change_user(user_id, role=body.role, status=body.status, by=caller.user_id))


@public_keys.get("/jwks.json", summary="The public keys that access tokens are signed with")
async def show_keys(request: Request, response: Response) -> dict[str, Any]:
    keys: Keys = request.app.state.keys
    response.headers["Cache-Control"] = "public, max-age=60"
    return await keys.published()


@public_keys.get("/openid-configuration", summary="Where things are, for OpenID Connect clients")
async def show_configuration(request: Request) -> dict[str, Any]:
    settings: Settings = request.app.state.settings
    base = str(request.base_url).rstrip("/")
    if host := request.headers.get("x-forwarded-host"):
        base = f"{request.headers.get('x-forwarded-proto', 'http')}://{host}"
    return {
        "issuer": settings.token_issuer,
        "jwks_uri": f"{base}{router.prefix}/.well-known/jwks.json",
        "token_endpoint": f"{base}{router.prefix}/login",
        "userinfo_endpoint": f"{base}{router.prefix}/me",
        "registration_endpoint": f"{base}{router.prefix}/register",
        "end_session_endpoint": f"{base}{router.prefix}/logout",
        "grant_types_supported": ["password", "refresh_token"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


router.include_router(public_keys)
