"""Where Chromium is; `python -m browser.chromium` says what is missing."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class NoChromium(Exception):
    """There is none; the message says what to do."""


def find_chromium() -> str:
    """The program's path: $CHROMIUM, or the first one found. Raises NoChromium."""
    named = os.environ.get("CHROMIUM")
    for name in [named] if named else _NAMES:
        if path := shutil.which(name):
            return path
    if named:
        raise NoChromium(f"$CHROMIUM names {named}, which is no program.")
    raise NoChromium(
        "The browser tests need Chromium: install it (on Debian: apt-get install chromium), or name it with "
        "CHROMIUM=/path/to/it."
    )


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """A running Chromium without windows: Playwright's `Browser`."""
    # Not in the project's environment: installed by `make test-browser` beside it.
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium())
        try:
            yield browser
        finally:
            await browser.close()


if __name__ == "__main__":
    try:
        find_chromium()
    except NoChromium as error:
        sys.exit(str(error))
