"""What is measured of a server, from its start to its stop."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chassis.testing.bench.load import Caller, Load, entity_tag, percentile, request
from chassis.testing.bench.outcome import Outcome, outcome_of
from chassis.testing.bench.processes import Server

from .files import PATH, ConfigFiles
from .servers import headers_of, running

CONNECTIONS = 8
_SETTLED_SECONDS = 0.01  # a server that has answered goes on for a little, and its clock is exact once it rests


@dataclass(frozen=True)
class Effort:
    """How much is asked. The load of the warm-up is not counted: Java compiles as it goes."""

    rounds: int
    warmup_seconds: float
    seconds: float
    commits: int


FULL = Effort(3, 5, 5, 50)
QUICK = Effort(1, 1, 2, 15)


@dataclass
class Round:
    """One life of a server."""

    start_seconds: float
    start_processor_seconds: float
    at_rest_bytes: int
    answer_bytes: int = 0
    warm: Outcome | None = None
    unchanged: Outcome | None = None
    """With If-None-Match; None where the answer has no ETag."""
    after_commit: Outcome | None = None
    after_that: Outcome | None = None
    at_end_bytes: int = 0
    faults: list[str] = field(default_factory=list)


def measure(name: str, files: ConfigFiles, spring: Path | None, effort: Effort, tell: Callable[[str], None]) -> Round:
    """Raises CannotStart, and LoadFailed if the clients do not come through."""
    version = files.publish()
    with running(name, files, spring) as server:
        found = Round(server.start_seconds, server.processor_seconds(), server.memory_bytes())
        headers = headers_of(name)
        head, body = asyncio.run(_ask_once(server, headers))
        found.answer_bytes = len(body)
        tell(f"{name}: the same again and again")
        found.warm = _under_load(server, effort, found, headers, status=b"200", contains=version.encode())
        if tag := entity_tag(head):
            tell(f"{name}: with If-None-Match")
            found.unchanged = _under_load(server, effort, found, {**headers, "If-None-Match": tag}, status=b"304")
        tell(f"{name}: a commit before every second request")
        found.after_commit, found.after_that = asyncio.run(_ask_after_commits(server, files, effort, found, headers))
        found.at_end_bytes = server.memory_bytes()
    return found


async def _ask_once(server: Server, headers: Mapping[str, str]) -> tuple[bytes, bytes]:
    caller = await Caller.connected(server.port)
    answer = await caller.ask(request(PATH, headers))
    await caller.aclose()
    return answer


def _under_load(
    server: Server,
    effort: Effort,
    found: Round,
    headers: Mapping[str, str],
    *,
    status: bytes,
    contains: bytes = b"",
) -> Outcome:
    wanted = request(PATH, headers)
    load = Load(server.port, [wanted], status, contains, CONNECTIONS, effort.warmup_seconds, effort.seconds)
    return outcome_of(load, server, found.faults)


async def _ask_after_commits(
    server: Server, files: ConfigFiles, effort: Effort, found: Round, headers: Mapping[str, str]
) -> tuple[Outcome, Outcome]:
    """One client asks twice after each commit: the answer is made anew, and then it is at hand."""
    wanted = request(PATH, headers)
    first, second = _Timed(server), _Timed(server)
    caller = await Caller.connected(server.port)
    for number in range(1, effort.commits + 1):
        version = files.change(number)
        for timed in (first, second):
            head, body = await timed.ask(caller, wanted)
            if head[9:12] != b"200" or version.encode() not in body:
                found.faults.append(f"after the commit {version}: {head[:40]!r} {body[:100]!r}")
    await caller.aclose()
    return first.outcome(), second.outcome()


class _Timed:
    """Requests one by one, with what each took in time and in the server's processor time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._latencies_ns: list[int] = []
        self._processor_seconds = 0.0

    async def ask(self, caller: Caller, wanted: bytes) -> tuple[bytes, bytes]:
        used, begun = self._server.processor_seconds(), time.perf_counter_ns()
        answer = await caller.ask(wanted)
        self._latencies_ns.append(time.perf_counter_ns() - begun)
        await asyncio.sleep(_SETTLED_SECONDS)
        self._processor_seconds += self._server.processor_seconds() - used
        return answer

    def outcome(self) -> Outcome:
        count = len(self._latencies_ns)
        return Outcome(
            count / (sum(self._latencies_ns) / 1e9),
            percentile(self._latencies_ns, 0.5) / 1e6,
            percentile(self._latencies_ns, 0.99) / 1e6,
            self._processor_seconds / count * 1e6,
        )
