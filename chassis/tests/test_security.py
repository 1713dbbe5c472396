"""Access tokens: the key set, ended sessions, and what is kept of verified tokens."""

import asyncio
import hashlib
import hmac
import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from chassis.ids import uuid7
from chassis.problems import NotAuthenticated
from chassis.security import KeysAway, KeySet, RevokedSessions, Security, bearer_token
from chassis.settings import ServiceSettings
from chassis.testing.tokens import TokenMaker
from chassis.testing.waiting import until


class Publisher:
    """Publishes the keys of a token maker, or is away."""

    def __init__(self, tokens: TokenMaker) -> None:
        self.tokens = tokens
        self.away = False
        self.asked = 0

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise ConnectionError("away")
        return self.tokens.jwks()


@pytest.fixture(scope="module")
def tokens() -> TokenMaker:
    return TokenMaker()


def security(publisher: Publisher) -> Security:
    return Security(
        KeySet(publisher.fetch),
        issuer=ServiceSettings.model_fields["token_issuer"].default,
        audience=ServiceSettings.model_fields["token_audience"].default,
    )


async def test_keys_are_fetched_once_and_stay_good_while_the_publisher_is_away_a2(tokens: TokenMaker) -> None:
    publisher = Publisher(tokens)
    verifying = security(publisher)
    await verifying.caller_of(tokens.token())
    publisher.away = True

    for _ in range(20):
        await verifying.caller_of(tokens.token())

    assert publisher.asked == 1


async def test_a_flood_of_unknown_keys_leads_to_one_fetch_a2(tokens: TokenMaker) -> None:
    publisher = Publisher(tokens)
    verifying = security(publisher)
    await verifying.caller_of(tokens.token())

    async def forged(number: int) -> None:
        with pytest.raises(NotAuthenticated, match="key that is not known"):
            await verifying.caller_of(tokens.token(headers={"kid": f"made-up-{number}"}))

    await asyncio.gather(*(forged(number) for number in range(50)))

    assert publisher.asked == 1


async def test_with_no_key_yet_the_publisher_is_asked_again_soon(tokens: TokenMaker) -> None:
    publisher = Publisher(tokens)
    publisher.away = True
    verifying = security(publisher)
    token = tokens.token()
    with pytest.raises(KeysAway):
        await verifying.caller_of(token)
    publisher.away = False

    async def is_verified() -> bool:
        try:
            await verifying.caller_of(token)
        except KeysAway:
            return False
        return True

    await until(is_verified, timeout_seconds=3)

    assert publisher.asked < 10


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused_a1(tokens: TokenMaker) -> None:
    _, payload, _ = tokens.token(headers={"alg": "RS256"}).split(".")
    forged_head = (
        urlsafe_b64encode(f'{{"alg":"HS256","typ":"at+jwt","kid":"{tokens.key_id}"}}'.encode()).decode().rstrip("=")
    )
    signed = f"{forged_head}.{payload}"
    mac = hmac.digest(tokens.public_pem.encode(), signed.encode(), hashlib.sha256)
    forged = f"{signed}.{urlsafe_b64encode(mac).decode().rstrip('=')}"

    with pytest.raises(NotAuthenticated, match="RS256"):
        await security(Publisher(tokens)).caller_of(forged)


@pytest.mark.parametrize(
    "extra", [{"jku": "https://evil.example/keys"}, {"jwk": {"kty": "RSA"}}, {"x5u": "https://evil.example"}]
)
async def test_a_token_does_not_choose_its_own_key_a1(tokens: TokenMaker, extra: dict[str, Any]) -> None:
    other = TokenMaker(key_id=tokens.key_id)

    with pytest.raises(NotAuthenticated):
        await security(Publisher(tokens)).caller_of(other.token(headers=extra))


async def test_a_verified_token_is_refused_once_it_has_expired(tokens: TokenMaker) -> None:
    verifying = security(Publisher(tokens))
    token = tokens.token(exp=int(time.time()) + 2)
    caller = await verifying.caller_of(token)

    verifying._verified[token] = type(caller)(caller.user_id, caller.session_id, caller.role, time.time() - 1)

    with pytest.raises(NotAuthenticated, match="expired"):
        await verifying.caller_of(token)


async def test_a_verified_token_is_refused_once_its_session_has_ended(tokens: TokenMaker) -> None:
    verifying = security(Publisher(tokens))
    session_id = str(uuid7())
    token = tokens.token(sid=session_id)
    await verifying.caller_of(token)

    verifying.revoked.add(session_id)

    with pytest.raises(NotAuthenticated, match="session"):
        await verifying.caller_of(token)


async def test_who_waits_for_a_revocation_is_woken_by_it() -> None:
    revoked = RevokedSessions()
    waiting = asyncio.create_task(revoked.wait_for("s2", 5))
    await asyncio.sleep(0)
    revoked.add("s1")
    revoked.add("s2")

    assert await waiting
    assert not await revoked.wait_for("s3", 0.01)


@pytest.mark.parametrize("header", [None, "", "Basic x", "Bearer", "Bearer  "])
def test_a_header_without_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(NotAuthenticated):
        bearer_token(header)
