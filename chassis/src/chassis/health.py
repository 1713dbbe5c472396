"""Health of a service: liveness (restart me), readiness (send me work), and what each part says."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

# A check answers None when all is well, else a sentence that says what is wrong.
Check = Callable[[], Awaitable[str | None]]

_CHECK_TIMEOUT_SECONDS = 2.0


class Health:
    """The checks of one service; asked by `/actuator/health`, `/actuator/health/liveness` and `/readiness`."""

    def __init__(self) -> None:
        self._liveness: dict[str, Check] = {}
        self._readiness: dict[str, Check] = {}
        self._details: dict[str, Callable[[], Mapping[str, Any]]] = {}

    def live_while(self, name: str, check: Check) -> None:
        """A service whose check fails needs a restart."""
        self._liveness[name] = check

    def ready_while(self, name: str, check: Check) -> None:
        """A service whose check fails should get no work for now."""
        self._readiness[name] = check

    def describe(self, name: str, details: Callable[[], Mapping[str, Any]]) -> None:
        """What else there is to say of the part of this name, whether its check is good or not."""
        self._details[name] = details

    async def liveness(self) -> tuple[bool, dict[str, Any]]:
        """Whether it lives, and the document that says so."""
        return await self._document(self._liveness)

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether it is ready, and the document that says so."""
        return await self._document(self._readiness)

    async def everything(self) -> tuple[bool, dict[str, Any]]:
        """Both kinds of checks in one document, as `/actuator/health` shows them."""
        return await self._document(self._liveness | self._readiness)

    async def _document(self, checks: dict[str, Check]) -> tuple[bool, dict[str, Any]]:
        answers = dict(zip(checks, await asyncio.gather(*(_ask(check) for check in checks.values())), strict=True))
        good = all(answer is None for answer in answers.values())
        components = {}
        for name, answer in answers.items():
            details = {
                **(self._details[name]() if name in self._details else {}),
                **({} if answer is None else {"error": answer}),
            }
            components[name] = {
                "status": "UP" if answer is None else "DOWN",
                **({"details": details} if details else {}),
            }
        return good, {"status": "UP" if good else "DOWN", "components": components}


async def _ask(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT_SECONDS:.0f} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
