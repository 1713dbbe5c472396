"""What a service does when it hears an event: one function for each type, found by the type of its first parameter."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, get_type_hints

from .messages import Envelope, Event, topics_of

# `async def on_stock_rejected(event: StockRejected, orders: OrderService) -> None`
Reaction = Callable[[Any, Any], Awaitable[None]]
# Locks and loads what a batch of events will touch, by few SELECTs; the answer is kept until the batch is committed.
Preload = Callable[[Sequence[Event]], Awaitable[object]]
# Sees each event of the topics heard once, in the transaction it is handled in, reaction or not.
Witness = Callable[[Envelope], Awaitable[None]]


class Reactions:
    """The reactions of one service, all given the same `service` as their second argument."""

    def __init__(
        self,
        service: object,
        reactions: Iterable[Reaction],
        *,
        preload: Preload | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._service = service
        self._reactions: dict[str, tuple[type[Event], Reaction]] = {}
        for reaction in reactions:
            event_type = next(iter(get_type_hints(reaction).values()))
            if event_type.type in self._reactions:
                raise ValueError(f"two reactions to {event_type.type}")
            self._reactions[event_type.type] = (event_type, reaction)
        self._preload = preload
        self._witness = witness

    @property
    def topics(self) -> list[str]:
        return topics_of(event_type for event_type, _ in self._reactions.values())

    @property
    def event_types(self) -> list[type[Event]]:
        """The types that are reacted to: what this service promises to go on understanding."""
        return [event_type for event_type, _ in self._reactions.values()]

    def concerns(self, envelope: Envelope) -> bool:
        """Whether anything here wants this event."""
        return self._witness is not None or envelope.type in self._reactions

    def parse(self, envelope: Envelope) -> Event | None:
        """The event for its reaction; None where only the witness wants it. Raises Unreadable."""
        known = self._reactions.get(envelope.type)
        return known[0].read(envelope) if known else None

    async def preload(self, events: Sequence[Event]) -> object:
        return await self._preload(events) if self._preload and events else None

    async def react(self, envelope: Envelope, event: Event | None) -> None:
        if self._witness is not None:
            await self._witness(envelope)
        if event is not None:
            await self._reactions[envelope.type][1](event, self._service)
