"""`python -m browser.screenshot FOLDER`: the dashboard of the running fleet, light and dark, as the README shows it.

Wants DISCOVERY_URL and DISCOVERY_ADMIN_PASSWORD in its environment, as `fleet env` prints them.
"""

import asyncio
import os
import sys
from pathlib import Path

from .chromium import NoChromium, chromium

_WIDTH, _HEIGHT = 1280, 1080


async def take_screenshots(url: str, password: str, folder: Path) -> list[Path]:
    """Writes dashboard-light.png and dashboard-dark.png."""
    taken = []
    async with chromium() as browser:
        for scheme in ("light", "dark"):
            context = await browser.new_context(
                viewport={"width": _WIDTH, "height": _HEIGHT},
                color_scheme=scheme,
                http_credentials={"username": "admin", "password": password},
            )
            page = await context.new_page()
            await page.goto(url)
            await page.locator(".live[data-state=live]").wait_for()
            taken.append(folder / f"dashboard-{scheme}.png")
            await page.screenshot(path=taken[-1])
            await context.close()
    return taken


def main() -> None:
    missing = [name for name in ("DISCOVERY_URL", "DISCOVERY_ADMIN_PASSWORD") if not os.environ.get(name)]
    if missing or len(sys.argv) != 2:
        sys.exit("Start the fleet (`make up`), then `make screenshot`.")
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    try:
        taken = asyncio.run(
            take_screenshots(os.environ["DISCOVERY_URL"], os.environ["DISCOVERY_ADMIN_PASSWORD"], Path(sys.argv[1]))
        )
    except NoChromium as error:
        sys.exit(str(error))
    for path in taken:
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
