"""The key set of the token signer, fetched from where the settings say that it is published."""

from typing import Any

from .discovery import Registry, internal_client, resolve
from .security import FetchKeys, parse_keys
from .settings import ServiceSettings

_TIMEOUT_SECONDS = 3.0


def published_at(settings: ServiceSettings, registry: Registry | None) -> FetchKeys:
    """A fetch of `settings.jwks_url`; `lb://` is looked up in the registry each time."""

    async def fetch() -> dict[str, Any]:
        url = await resolve(settings.jwks_url, registry)
        async with internal_client(timeout_seconds=_TIMEOUT_SECONDS) as client:
            answer = await client.get(url)
            answer.raise_for_status()
            return parse_keys(answer.text)

    return fetch
