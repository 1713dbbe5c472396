"""The discovery-servers: their addresses, which of them is asked first, and the HTTP client that asks."""

from collections.abc import Iterable
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from chassis.settings import ServiceSettings

TIMEOUT_SECONDS = 3.0


class Servers:
    """Base URLs of servers that know the same. Who asks stays with one that works."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = list(urls)
        self._first = 0

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Servers":
        return cls(eureka_urls(settings))

    def in_turn(self) -> list[str]:
        """All of them, the one that worked last first."""
        return self._urls[self._first :] + self._urls[: self._first]

    def prefer(self, url: str) -> None:
        """This one works."""
        self._first = self._urls.index(url)


def eureka_urls(settings: ServiceSettings) -> list[str]:
    """The base URLs in DISCOVERY_URL, with this service's credential and a slash at the end.

    `host:8761` becomes `http://name:password@host:8761/eureka/`; a path or a credential that is there stays.
    """
    return [_base_url(part.strip(), settings) for part in settings.discovery_url.split(",") if part.strip()]


def _base_url(address: str, settings: ServiceSettings) -> str:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    password = settings.service_password.get_secret_value()
    netloc = parts.netloc
    if password and "@" not in netloc:
        netloc = f"{quote(settings.service_name)}:{quote(password, safe='')}@{netloc}"
    path = parts.path.rstrip("/") or "/eureka"
    return urlunsplit((parts.scheme, netloc, f"{path}/", "", ""))


def address_of(url: str) -> str:
    """`host:port` of a base URL: what may stand in a log."""
    return urlsplit(url).netloc.rpartition("@")[2]


def internal_client(*, timeout_seconds: float) -> httpx.AsyncClient:
    """An HTTP client for plain-HTTP calls inside the fleet: no proxies, no certificate store, no redirects."""
    return httpx.AsyncClient(verify=False, trust_env=False, timeout=timeout_seconds)  # noqa: S501 - no TLS is spoken
