"""What can be done with accounts and sessions: one method, one use case, one transaction."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from chassis.database import Database, after_commit
from chassis.outbox import publish
from chassis.security import Caller, RevokedSessions
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from . import metrics
from .domain import Limit, Refresh, Role, Session, User, UserStatus, parse_refresh_token
from .errors import (
    EmailTaken,
    LastAdmin,
    LoginRefused,
    RefreshRefused,
    SessionNotFound,
    TooManyFailures,
    UsernameTaken,
    UserNotFound,
    WrongPassword,
)
from .events import (
    AccountLocked,
    LoginFailed,
    PasswordChanged,
    RoleChanged,
    SessionRevoked,
    UserAuthenticated,
    UserRegistered,
)
from .keys import Keys, Tokens
from .passwords import hash_password, needs_rehash, verify_password
from .settings import Settings
from .storage import AttemptStore, SessionStore, UserStore

logger = logging.getLogger(__name__)

# Long enough for the event to come round; a broker that is away must not keep anybody from logging out.
_REVOCATION_SECONDS = 1.0

RevokeReason = Literal["logout", "revoked", "password-changed", "disabled", "role-changed", "refresh-reuse"]


class AuthService:
    def __init__(self, database: Database, settings: Settings, keys: Keys, revoked: RevokedSessions) -> None:
        self._database = database
        self._settings = settings
        self._keys = keys
        self._revoked = revoked

    async def register(
        self, *, username: str, email: str, full_name: str, password: str, role: Role = Role.CUSTOMER
    ) -> User:
        """Make an account and tell the fleet. Raises EmailTaken and UsernameTaken."""
        user = User.register(
            username=username,
            email=email,
            full_name=full_name,
            password_hash=await hash_password(password),
            role=role,
            now=_now(),
        )
        try:
            async with self._database.begin() as session:
                store = UserStore(session)
                if await store.with_email(user.email) is not None:
                    raise EmailTaken("Log in, or register with another address.")
                if await store.with_username(username) is not None:
                    raise UsernameTaken(f"{username} is somebody else's; choose another name.")
                store.add(user)
                registered = UserRegistered(user_id=user.id, username=username, email=user.email, role=role)
                publish(session, registered, key=user.id)
        except IntegrityError as error:  # two at once: the unique indexes decide
            if "uq_users_username" in str(error.orig):
                raise UsernameTaken(f"{username} is somebody else's; choose another name.") from error
            raise EmailTaken("Log in, or register with another address.") from error
        return user

    async def ensure_admin(self) -> None:
        """Make the first admin from the settings, if there is none."""
        email, password = self._settings.admin_email, self._settings.admin_password.get_secret_value()
        if not email or not password:
            return
        async with self._database.begin() as session:
            if await UserStore(session).active_admins():
                return
        try:
            await self.register(
                username="admin", email=email, full_name="Administrator", password=password, role=Role.ADMIN
            )
            logger.info("made the first admin, %s", email)
        except (EmailTaken, UsernameTaken):
            logger.info("another instance made the first admin, or %s is a customer already", email)

    async def log_in(self, email: str, password: str, *, address: str, user_agent: str) -> Tokens:
        """Begin a session. Raises LoginRefused, and TooManyFailures for a while after many of them."""
        limits = [self._limit_of_address(address), self._limit_of(_email_key(email))]
        try:
            await self._check_attempts(limits)
        except TooManyFailures:
            await self._tell_failed(email, "too-many-failures")
            metrics.LOGINS.labels("held").inc()
            raise
        async with self._database.begin() as session:
            user = await UserStore(session).with_email(email)
        good = await verify_password(password, user.password_hash if user else None)
        if user is None or not good or not user.may_log_in:
            for locked in await self._count_failure(limits):
                if locked.key == _email_key(email):
                    await self._tell_locked(email, locked)
            await self._tell_failed(email, "refused")
            metrics.LOGINS.labels("refused").inc()
            raise LoginRefused("Check the address and the password.")
        new_hash = await hash_password(password) if needs_rehash(user.password_hash) else None
        async with self._database.begin() as session:
            current = await UserStore(session).get(user.id, lock=True)
            if current is None or not current.may_log_in or current.password_hash != user.password_hash:
                raise LoginRefused("Check the address and the password.")
            if new_hash is not None:
                current.password_hash = new_hash
            begun = Session.begin(
                current,
                user_agent=user_agent,
                now=_now(),
                lifetime=timedelta(seconds=self._settings.session_seconds),
            )
            SessionStore(session).add(begun)
            await AttemptStore(session).forget([_email_key(email)])
            publish(session, UserAuthenticated(user_id=current.id, session_id=begun.id), key=current.id)
            after_commit(session, metrics.LOGINS.labels("accepted").inc)
        return self._keys.sign(current, begun)

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for a session. Raises RefreshRefused; a token used long ago ends the session (promise A3)."""
        parsed = parse_refresh_token(refresh_token)
        if parsed is None:
            raise RefreshRefused("This is no refresh token; log in again.")
        session_id, generation, mac = parsed
        now = _now()
        ended = False
        async with self._database.begin() as session:
            known = await SessionStore(session).get_locked(session_id)
            idle = timedelta(seconds=self._settings.refresh_idle_seconds)
            if known is None or not known.is_alive(now, idle):
                raise RefreshRefused("The session has ended; log in again.")
            user = await UserStore(session).get(known.user_id)
            assert user is not None
            if not user.may_log_in:
                raise RefreshRefused("The session has ended; log in again.")
            grace = timedelta(seconds=self._settings.refresh_grace_seconds)
            match known.refresh(generation, mac, now=now, grace=grace):
                case Refresh.WRONG:
                    raise RefreshRefused("This is no refresh token; log in again.")
                case Refresh.REUSED:
                    ended = _end(session, known, "refresh-reuse", now)
        if ended:
            await self._await_revocations([session_id])
            raise RefreshRefused("This refresh token was used before, so its session has ended; log in again.")
        return self._keys.sign(user, known)

    async def log_out(self, caller: Caller) -> None:
        """End the caller's session, here and everywhere."""
        await self._end_session(caller.user_id, UUID(caller.session_id), "logout")

    async def get_user(self, user_id: UUID) -> User:
        """Raises UserNotFound."""
        async with self._database.begin() as session:
            return _found(await UserStore(session).get(user_id), user_id)

    async def list_users(
        self, *, limit: int, before: UUID | None, role: Role | None, status: UserStatus | None
    ) -> Sequence[User]:
        """One more than `limit`, if there are more."""
        async with self._database.begin() as session:
            return await UserStore(session).list(limit=limit + 1, before=before, role=role, status=status)

    async def change_user(self, user_id: UUID, *, role: Role | None, status: UserStatus | None, by: UUID) -> User:
        """An admin's change. Who is no longer active, or no longer an admin, is logged out everywhere, at once: a token
        says the role that its holder had when it was made. Raises UserNotFound and LastAdmin.
        """
        now = _now()
        ended: list[UUID] = []
        async with self._database.begin() as session:
            store = UserStore(session)
            admins = await store.active_admins(lock=True)
            user = _found(await store.get(user_id, lock=True), user_id)
            loses_admin = (role or user.role) != Role.ADMIN or (status or user.status) != UserStatus.ACTIVE
            if [admin.id for admin in admins] == [user.id] and loses_admin:
                raise LastAdmin("Make somebody else an admin first.")
            end_because: RevokeReason | None = None
            if role is not None and role != user.role:
                end_because = "role-changed" if user.role == Role.ADMIN else None
                user.role = role
                publish(session, RoleChanged(user_id=user.id, role=role, changed_by=by), key=user.id)
            if status is not None:
                user.status = status
            if not user.may_log_in:
                end_because = "disabled"
            if end_because is not None:
                for known in await SessionStore(session).open_of(user.id, now, lock=True):
                    if _end(session, known, end_because, now):
                        ended.append(known.id)
        await self._await_revocations(ended)
        return user

    async def change_password(self, caller: Caller, current_password: str, new_password: str) -> None:
        """Ends all other sessions of the caller. Raises WrongPassword, and TooManyFailures after many of them."""
        user = await self.get_user(caller.user_id)
        guesses = [self._limit_of(f"password:{user.id}")]
        await self._check_attempts(guesses)
        if not await verify_password(current_password, user.password_hash):
            await self._count_failure(guesses)
            raise WrongPassword("Send the password that you log in with as current_password.")
        new_hash = await hash_password(new_password)
        now = _now()
        ended: list[UUID] = []
        async with self._database.begin() as session:
            locked = _found(await UserStore(session).get(user.id, lock=True), user.id)
            if locked.password_hash != user.password_hash:
                raise WrongPassword("The password was changed a moment ago.")
            locked.password_hash = new_hash
            publish(session, PasswordChanged(user_id=user.id), key=user.id)
            for known in await SessionStore(session).open_of(user.id, now, lock=True):
                if str(known.id) != caller.session_id and _end(session, known, "password-changed", now):
                    ended.append(known.id)
        await self._await_revocations(ended)

    async def list_sessions(self, user_id: UUID) -> Sequence[Session]:
        async with self._database.begin() as session:
            return await SessionStore(session).open_of(user_id, _now())

    async def end_session(self, caller: Caller, session_id: UUID) -> None:
        """End one of the caller's sessions. Raises SessionNotFound."""
        if not await self._end_session(caller.user_id, session_id, "revoked"):
            raise SessionNotFound(f"You have no session {session_id}.")

    async def _end_session(self, user_id: UUID, session_id: UUID, reason: RevokeReason) -> bool:
        async with self._database.begin() as session:
            known = await SessionStore(session).get_locked(session_id)
            if known is None or known.user_id != user_id or not _end(session, known, reason, _now()):
                return False
        await self._await_revocations([session_id])
        return True

    async def _await_revocations(self, session_ids: Sequence[UUID]) -> None:
        """Come back once the word has gone round: when it has come back to us, the others have it as well."""
        for session_id in session_ids:
            if not await self._revoked.wait_for(str(session_id), _REVOCATION_SECONDS):
                logger.warning("the end of session %s has not gone round yet", session_id)
                self._revoked.add(str(session_id))

    async def _check_attempts(self, limits: Sequence[Limit]) -> None:
        """Raises TooManyFailures while one of these has to wait."""
        now = _now()
        async with self._database.begin() as session:
            store = AttemptStore(session)
            waits = [
                attempts.wait(now, limit) for limit in limits if (attempts := await store.get(limit.key)) is not None
            ]
        if wait := max(waits, default=timedelta(0)):
            seconds = max(1, round(wait.total_seconds()))
            raise TooManyFailures(f"Try again in {seconds} s.", headers={"Retry-After": str(seconds)})

    async def _count_failure(self, limits: Sequence[Limit]) -> list[Limit]:
        """Count one more under each of these; those that have to wait from now on.

        Locked in one order, which is that of `limits`, so that two of them can't deadlock.
        """
        now = _now()
        reached = []
        async with self._database.begin() as session:
            store = AttemptStore(session)
            for limit in limits:
                attempts = await store.get_locked(limit.key, now)
                attempts.fail(now, limit)
                if attempts.failures == limit.allowed:
                    reached.append(limit)
        return reached

    async def _tell_failed(self, email: str, reason: Literal["refused", "too-many-failures"]) -> None:
        async with self._database.begin() as session:
            publish(session, LoginFailed(email=email, reason=reason), key=_email_key(email))

    async def _tell_locked(self, email: str, limit: Limit) -> None:
        async with self._database.begin() as session:
            wait = limit.pause_after(limit.allowed).total_seconds()
            publish(session, AccountLocked(email=email, wait_seconds=wait), key=limit.key)

    def _limit_of(self, key: str) -> Limit:
        """For what one person may guess."""
        longest = timedelta(seconds=self._settings.longest_lock_seconds)
        return Limit(key, allowed=self._settings.failures_before_lock, longest=longest)

    def _limit_of_address(self, address: str) -> Limit:
        """A network address may be that of many people: it may fail more often, and never waits for long."""
        longest = timedelta(seconds=self._settings.longest_address_lock_seconds)
        return Limit(f"address:{address}", allowed=self._settings.failures_before_address_lock, longest=longest)


def _end(session: AsyncSession, known: Session, reason: RevokeReason, now: datetime) -> bool:
    if not known.end(now):
        return False
    publish(session, SessionRevoked(user_id=known.user_id, session_id=known.id, reason=reason), key=known.user_id)
    return True


def _found(user: User | None, user_id: UUID) -> User:
    if user is None:
        raise UserNotFound(f"There is no user {user_id}.")
    return user


def _email_key(email: str) -> str:
    return f"email:{email.lower()}"


def _now() -> datetime:
    return datetime.now(UTC)
