"""Who may have a service refresh: an admin, and the config-server, which signs its calls."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr
from support.demo import DemoSettings

from chassis.health import Health
from chassis.refresh_calls import HEADER, is_signed_refresh, sign_refresh
from chassis.security import KeySet, Security
from chassis.testing.server import running
from chassis.testing.tokens import TokenMaker, published_keys
from chassis.web import add_service_defaults

NAME = DemoSettings.service_name


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tokens() -> AsyncIterator[TokenMaker]:
    async with published_keys() as maker:
        yield maker


async def ask(settings: DemoSettings, tokens: TokenMaker | None, headers: dict[str, str]) -> httpx.Response:
    """POST /actuator/refresh of a service with these settings; without tokens, of one that can't check any."""
    security = None
    if tokens is not None:

        async def fetch() -> dict[str, object]:
            return tokens.jwks()

        security = Security(KeySet(fetch), issuer=settings.token_issuer, audience=settings.token_audience)
    app = FastAPI()
    add_service_defaults(app, settings, health=Health(), security=security)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as client:
        return await client.post("/actuator/refresh", headers=headers)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoSettings:
    """With a configuration that has changed since."""
    (tmp_path / f"{NAME}.yml").write_text("max-body-bytes: 77\nhost: 127.0.0.2\n")
    monkeypatch.setenv("CONFIG_SOURCE", str(tmp_path))
    monkeypatch.setenv("REFRESH_SECRET", "secret of the fleet")
    return DemoSettings(refresh_secret=SecretStr("secret of the fleet"))


async def test_a_signed_call_refreshes_and_is_told_what_changed_and_what_waits(
    settings: DemoSettings, tokens: TokenMaker
) -> None:
    answer = await ask(settings, tokens, {HEADER: sign_refresh("secret of the fleet", NAME)})

    assert answer.status_code == 200
    assert answer.json() == {"changed": ["MAX_BODY_BYTES"], "wait_for_restart": ["HOST"]}
    assert settings.max_body_bytes == 77


async def test_a_service_that_can_check_no_tokens_takes_a_signed_call_too(settings: DemoSettings) -> None:
    signed = await ask(settings, None, {HEADER: sign_refresh("secret of the fleet", NAME)})
    unsigned = await ask(settings, None, {})

    assert (signed.status_code, unsigned.status_code) == (200, 401)


async def test_an_admin_needs_no_signature_and_a_customer_can_not_do_without(
    settings: DemoSettings, tokens: TokenMaker
) -> None:
    assert (await ask(settings, tokens, tokens.admin())).status_code == 200
    assert (await ask(settings, tokens, tokens.customer())).status_code == 403
    assert (await ask(settings, tokens, {})).status_code == 401


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=1,v1=",
        "t=x",
        sign_refresh("another secret", NAME),
        sign_refresh("secret of the fleet", "another-service"),
        sign_refresh("", NAME),
    ],
)
async def test_a_wrong_signature_is_401(signature: str, settings: DemoSettings, tokens: TokenMaker) -> None:
    answer = await ask(settings, tokens, {HEADER: signature} | tokens.customer())

    assert answer.status_code == 401
    assert HEADER in answer.json()["detail"]
    assert settings.max_body_bytes != 77


async def test_without_a_secret_no_signature_counts(tokens: TokenMaker) -> None:
    settings = DemoSettings()

    assert (await ask(settings, tokens, {HEADER: sign_refresh("", NAME)})).status_code == 401
    assert (await ask(settings, None, {HEADER: sign_refresh("", NAME)})).status_code == 404


def test_a_signature_is_good_for_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = sign_refresh("secret", NAME)
    now = time.time()

    assert is_signed_refresh(signature, "secret", NAME)
    for minutes in (-6, 6):
        monkeypatch.setattr(time, "time", lambda at=now + minutes * 60: at)
        assert not is_signed_refresh(signature, "secret", NAME)
