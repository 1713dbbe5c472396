"""The connections to one upstream: the one used last is used next, their number is bounded, others wait in line."""

import asyncio
import errno
from collections import deque

import httpx

from .settings import Settings
from .wire import Connection

_LONGEST_LINE = 1000


class ConnectionPool:
    """Gives out connections to one address. Whoever took one gives it back with `release`."""

    def __init__(self, origin: tuple[str, int], settings: Settings) -> None:
        self._origin = origin
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        # Last in, first out: a few connections stay warm, and the rest grow old enough to be closed.
        self._idle: list[Connection] = []
        self.busy: set[Connection] = set()
        self._opening = 0
        self._line: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def is_unused(self) -> bool:
        return not (self._idle or self.busy or self._opening or self._line)

    async def take(self, *, surely_alive: bool = False, new: bool = False) -> Connection:
        """A connection for one exchange; `surely_alive` for what can't be sent twice, `new` for one without a past.

        Raises httpx.ConnectError, ConnectTimeout, or PoolTimeout: nothing was sent to anybody.
        """
        while self._idle and not new:
            connection = self._idle.pop()
            if connection.is_usable() and not (surely_alive and not connection.is_untouched()):
                self.busy.add(connection)
                return connection
            connection.abort()
        if len(self.busy) + len(self._idle) + self._opening >= self._settings.connections_per_instance:
            if self._idle:
                self._idle.pop(0).abort()
            elif (handed := await self._wait_in_line()) is not None:
                return handed
        return await self._open()

    async def _open(self) -> Connection:
        self._opening += 1
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                _, connection = await self._loop.create_connection(Connection, *self._origin)
        except TimeoutError:
            self._next_in_line(None)
            raise httpx.ConnectTimeout("the connection did not come about in time") from None
        except OSError as error:
            self._next_in_line(None)
            raise Unreachable(error) from error
        except BaseException:
            self._next_in_line(None)
            raise
        finally:
            self._opening -= 1
        self.busy.add(connection)
        return connection

    async def _wait_in_line(self) -> Connection | None:
        """A connection that became free, or None: a new one may be opened."""
        if len(self._line) >= _LONGEST_LINE:
            raise httpx.PoolTimeout("too many requests wait for this instance already")
        place: asyncio.Future[Connection | None] = self._loop.create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                return await place
        except BaseException as error:
            if place.done() and not place.cancelled():  # its turn came in the moment when it gave up
                handed = place.result()
                if handed is not None:
                    self.busy.discard(handed)
                self._pass_on(handed)
            elif place in self._line:
                self._line.remove(place)
            if isinstance(error, TimeoutError):
                raise httpx.PoolTimeout("no connection to this instance became free in time") from None
            raise

    def release(self, connection: Connection) -> None:
        """Give a connection back, whatever became of its exchange."""
        self.busy.discard(connection)
        if connection.end():
            connection.idle_since = self._loop.time()
            self._pass_on(connection)
        else:
            connection.abort()
            self._next_in_line(None)

    def _pass_on(self, connection: Connection | None) -> None:
        if not self._next_in_line(connection) and connection is not None:
            self._idle.append(connection)

    def _next_in_line(self, connection: Connection | None) -> bool:
        """Hand a connection (or the right to open one) to whoever has waited longest; False: nobody waits."""
        while self._line:
            place = self._line.popleft()
            if not place.done():
                if connection is not None:
                    self.busy.add(connection)
                place.set_result(connection)
                return True
        return False

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long, and fail what has stood still for too long."""
        settings = self._settings
        while self._idle and (
            not self._idle[0].is_usable() or now - self._idle[0].idle_since > settings.keep_alive_seconds
        ):
            self._idle.pop(0).abort()
        for connection in list(self.busy):
            connection.expire(
                now,
                response_timeout_seconds=settings.response_timeout_seconds,
                idle_timeout_seconds=settings.idle_timeout_seconds,
            )

    def close(self) -> None:
        for connection in (*self._idle, *self.busy):
            connection.fail(httpx.ReadError("the gateway stops"))
        self._idle.clear()


class Unreachable(httpx.ConnectError):
    """No connection came about; `is_refused`: the machine is there, and nothing listens at that port."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"no connection: {error}")
        self.is_refused = error.errno == errno.ECONNREFUSED
