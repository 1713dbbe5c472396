"""Sessions, their refresh tokens, and refused log-ins."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from chassis.ids import uuid7

from auth_service.domain import Attempts, Limit, Refresh, Role, Session, User, parse_refresh_token

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRACE = timedelta(seconds=10)


def begun() -> Session:
    user = User.register(
        username="ada", email="Ada@Example.com", full_name="Ada", password_hash="x", role=Role.CUSTOMER, now=NOW
    )
    return Session.begin(user, user_agent="test", now=NOW, lifetime=timedelta(days=30))


def use(session: Session, token: str, now: datetime) -> Refresh:
    parsed = parse_refresh_token(token)
    assert parsed is not None
    return session.refresh(parsed[1], parsed[2], now=now, grace=GRACE)


def test_a_refresh_token_is_good_once_and_the_next_one_differs() -> None:
    session = begun()
    first = session.refresh_token()

    assert use(session, first, NOW) == Refresh.ROTATED

    assert session.refresh_token() != first
    assert use(session, session.refresh_token(), NOW) == Refresh.ROTATED


def test_a_token_sent_twice_at_once_is_a_repetition_and_later_a_reuse_a3() -> None:
    session = begun()
    first = session.refresh_token()
    use(session, first, NOW)

    assert use(session, first, NOW + GRACE) == Refresh.REPEATED
    assert use(session, first, NOW + GRACE * 2) == Refresh.REUSED


def test_a_token_from_before_the_last_one_is_a_reuse_at_once() -> None:
    session = begun()
    first = session.refresh_token()
    use(session, first, NOW)
    use(session, session.refresh_token(), NOW)

    assert use(session, first, NOW) == Refresh.REUSED


def test_a_token_of_a_number_to_come_or_of_another_session_is_wrong() -> None:
    session = begun()
    other = begun()
    generation, mac = parse_refresh_token(other.refresh_token())[1:]  # type: ignore[index]  # it was made here

    assert session.refresh(generation, mac, now=NOW, grace=GRACE) == Refresh.WRONG
    assert session.refresh(7, "", now=NOW, grace=GRACE) == Refresh.WRONG


@pytest.mark.parametrize("token", ["", "x", "a.b.c", f"{uuid4()}.x.y", f"{uuid4()}.1", "..", f"{uuid4()}.1.2.3"])
def test_what_is_no_refresh_token_is_told_apart(token: str) -> None:
    assert parse_refresh_token(token) is None


def test_a_session_ends_by_itself_idle_or_old_a4() -> None:
    session = begun()

    assert session.is_alive(NOW + timedelta(days=6), timedelta(days=7))
    assert not session.is_alive(NOW + timedelta(days=8), timedelta(days=7))
    session.rotated_at = NOW + timedelta(days=29, hours=23)
    assert not session.is_alive(NOW + timedelta(days=30), timedelta(days=7))


def test_the_wait_after_failures_doubles_up_to_a_limit_and_ends_a6() -> None:
    limit = Limit(f"email:{uuid7()}", allowed=3, longest=timedelta(minutes=15))
    attempts = Attempts(key=limit.key, failures=0, last_failed_at=NOW)
    waits = []
    for _ in range(20):
        attempts.fail(NOW, limit)
        waits.append(attempts.wait(NOW, limit).total_seconds())

    assert waits[:6] == [0, 0, 1, 2, 4, 8]
    assert waits[-1] == limit.longest.total_seconds()
    assert attempts.wait(NOW + limit.longest, limit) == timedelta(0)
