"""A server to look at, and tabs that remember what went wrong in them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
from support.server import RunningServer, running_server

from .chromium import chromium


@dataclass
class Tab:
    """A page of the browser, and what it complained about, asked for and ran."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    async def has_text(self, text: str, *, within: str = "main") -> None:
        """Wait until the page shows it."""
        await self.page.wait_for_function(
            "([text, within]) => document.querySelector(within)?.textContent.includes(text)", arg=[text, within]
        )

    async def lacks_text(self, text: str, *, within: str = "main") -> None:
        """Wait until the page does not show it any more."""
        await self.page.wait_for_function(
            "([text, within]) => !document.querySelector(within).textContent.includes(text)", arg=[text, within]
        )


OpenTab = Callable[..., Awaitable[Tab]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server(sweep_seconds=0.1) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Any, server: RunningServer) -> AsyncIterator[OpenTab]:
    """Opens a page of the server. At the end no tab may have complained, or asked anybody else for anything."""
    tabs: list[tuple[Tab, bool]] = []

    async def open_one(
        path: str = "/",
        *,
        width: int = 1280,
        scheme: str = "light",
        at: str = server.url,
        may_complain: bool = False,
        **options: Any,
    ) -> Tab:
        size = {"width": width, "height": 900}
        context = await browser.new_context(viewport=size, color_scheme=scheme, base_url=at, **options)
        context.set_default_timeout(10_000)
        tab = Tab(await context.new_page())
        tabs.append((tab, may_complain))
        tab.page.on("console", lambda message: tab.complaints.append(f"{message.type}: {message.text}"))
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.on("dialog", lambda dialog: tab.complaints.append(f"it opened a dialog: {dialog.message}"))
        tab.page.on("request", lambda request: note_foreign(tab, request.url))
        await tab.page.goto(path)
        return tab

    def note_foreign(tab: Tab, url: str) -> None:
        if not url.startswith((server.url + "/", "data:image/svg+xml")):
            tab.foreign_requests.append(url)

    yield open_one
    for tab, _ in tabs:
        await tab.page.context.close()
    assert [tab.complaints for tab, may_complain in tabs if tab.complaints and not may_complain] == []
    assert [tab.foreign_requests for tab, may_complain in tabs if tab.foreign_requests and not may_complain] == []
