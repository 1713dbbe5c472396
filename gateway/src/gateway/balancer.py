"""Picks an instance from discovery: the less busy of two drawn at random, and none that is known to fail."""

import random
import time
from collections.abc import Callable, Iterable
from functools import partial

import httpx
from chassis.discovery import Instance, Registry

from .breaker import Breaker
from .metrics import BREAKER_OPEN, INSTANCES
from .routes import Target
from .settings import Settings
from .slow_start import SlowStarts


class Backend:
    """One instance as the gateway knows it: where it is, how busy it is, whether it works."""

    __slots__ = ("authority", "breaker", "host", "in_flight", "origin", "service", "url")

    def __init__(self, service: str, origin: tuple[str, int], settings: Settings) -> None:
        host, port = origin
        self.service = service
        self.origin = origin
        self.authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.host = self.authority.encode("idna" if not self.authority.isascii() else "ascii")
        # Parsed once: a new httpx.URL for each request would cost more than all the rest of it.
        self.url = httpx.URL(f"http://{self.authority}")
        self.in_flight = 0
        self.breaker = Breaker(settings)


class Balancer:
    """Knows the backends of every target; a backend lives as long as its address is in the registry."""

    def __init__(
        self, registry: Registry | None, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._fixed: dict[Target, list[Backend]] = {}
        self._found: dict[str, tuple[tuple[Instance, ...], list[Backend]]] = {}
        self._slow_starts = SlowStarts()

    def is_registered(self, service: str) -> bool:
        return self._registry is not None and bool(self._registry.instances(service))

    def pick(self, target: Target, *, tried: "Iterable[Backend]" = (), probe: bool = True) -> Backend | None:
        """An instance to call, which is none of those `tried`; None if there is none that might work.

        An instance that failed is tried again after its pause, with a call that can be repeated elsewhere (`probe`)
        or where there is nothing else to try.
        """
        backends = self._backends(target)
        if tried:
            backends = [backend for backend in backends if backend not in tried]
        if len(backends) == 1 and not backends[0].breaker.is_open:
            return backends[0]
        good = [backend for backend in backends if not backend.breaker.is_open]
        if len(good) < len(backends) and (probe or not good):
            now = self._clock()
            for backend in backends:
                if backend.breaker.awaits_probe(now):
                    backend.breaker.begin_probe()
                    return backend
        if self._slow_starts.warming and len(good) > 1:
            good = self._slow_starts.draw(good, self._clock())
        if len(good) < 2:
            return good[0] if good else None
        # random.sample would cost ten times as much; not for secrets, so the generator may be a plain one.
        draw = int(random.random() * len(good) * (len(good) - 1))  # noqa: S311
        one, other = divmod(draw, len(good) - 1)
        first, second = good[one], good[other + (other >= one)]
        return first if first.in_flight <= second.in_flight else second

    def succeeded(self, backend: Backend) -> None:
        was_open = backend.breaker.is_open
        backend.breaker.succeeded()
        if was_open:
            BREAKER_OPEN.labels(backend.authority).set(0)

    def failed(self, backend: Backend, *, nobody_there: bool = False) -> None:
        backend.breaker.failed(self._clock(), nobody_there=nobody_there)
        if backend.breaker.is_open:
            BREAKER_OPEN.labels(backend.authority).set(1)

    def _backends(self, target: Target) -> list[Backend]:
        if target.address is not None:
            if target not in self._fixed:
                self._fixed[target] = [Backend(target.name, target.address, self._settings)]
            return self._fixed[target]
        instances = self._registry.instances(target.name) if self._registry is not None else ()
        known = self._found.get(target.name)
        if known is None or known[0] is not instances:  # the registry makes a new tuple when something has changed
            if known is None:
                # Asked when the metric is read: it is right for a service that nobody calls as well.
                INSTANCES.labels(target.name).set_function(partial(self._count, target.name))
            known = (instances, self._renew(target.name, instances, known[1] if known else []))
            self._found[target.name] = known
        return known[1]

    def _count(self, service: str) -> int:
        return len(self._registry.instances(service)) if self._registry is not None else 0

    def _renew(self, service: str, instances: tuple[Instance, ...], old: list[Backend]) -> list[Backend]:
        kept = {backend.origin: backend for backend in old}
        renewed = []
        for origin, instance in {(instance.host, instance.port): instance for instance in instances}.items():
            backend = kept.pop(origin, None)
            if backend is None:
                backend = Backend(service, origin, self._settings)
                self._slow_starts.begin(backend, instance, self._clock())
            renewed.append(backend)
        for gone in kept.values():
            self._slow_starts.forget(gone)
            if gone.breaker.is_open:
                BREAKER_OPEN.remove(gone.authority)
        return renewed
