"""What auth-service says. It hears nothing but its own revocations, as every service does."""

from typing import Literal
from uuid import UUID

from chassis.messages import Event

from .domain import Role


class AuthEvent(Event):
    topic = "auth-events"


class UserRegistered(AuthEvent):
    type = "auth.user-registered.v1"

    user_id: UUID
    username: str
    email: str
    role: Role


class UserAuthenticated(AuthEvent):
    type = "auth.user-authenticated.v1"

    user_id: UUID
    session_id: UUID


class LoginFailed(AuthEvent):
    type = "auth.login-failed.v1"

    email: str  # as it was given; whether it is known to us stays with us
    reason: Literal["refused", "too-many-failures"]


class AccountLocked(AuthEvent):
    type = "auth.account-locked.v1"

    email: str
    wait_seconds: float


class PasswordChanged(AuthEvent):
    type = "auth.password-changed.v1"

    user_id: UUID


class RoleChanged(AuthEvent):
    type = "auth.role-changed.v1"

    user_id: UUID
    role: Role
    changed_by: UUID


class SessionRevoked(AuthEvent):
    type = "auth.session-revoked.v1"

    user_id: UUID
    session_id: UUID
    reason: Literal["logout", "revoked", "password-changed", "disabled", "role-changed", "refresh-reuse"]


SAID = (UserRegistered, UserAuthenticated, LoginFailed, AccountLocked, PasswordChanged, RoleChanged, SessionRevoked)
