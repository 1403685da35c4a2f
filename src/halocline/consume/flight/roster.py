"""Roster: who is in the worker, by number and by message, how many are in each phase, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, auto

from halocline.consume.flight.orders import Arrival, Ticket
from halocline.idempotency import Claim
from halocline.queues import Delivery


class Phase(IntEnum):
    """Where a message is in the worker."""

    WAITING = 0
    """Behind another of its group, or of its key."""
    UNCLAIMED = auto()
    TAKING = auto()
    READY = auto()
    RUNNING = auto()
    BURYING = auto()
    SAYING = auto()
    DELETING = auto()
    LEAVING = auto()
    """Hidden for a while, or handed back, by a last order."""
    GONE = auto()


UNSTARTED = frozenset({Phase.WAITING, Phase.UNCLAIMED, Phase.READY})
"""Phases in which nothing is under way, and a message can be handed back."""


_NEVER = -1.0


class Stay:
    """What a worker knows of one message from when it came in until it is gone; it changes as reports come in."""

    __slots__ = (
        *("abandoned", "beat_at", "claim", "extended_at", "extending", "fence", "handle", "hidden_until", "hide_s"),
        *("identity", "is_lost", "key", "lease_until", "number", "phase", "received_at", "receives", "renewed_at"),
        *("started_at", "taken_at", "ticket", "told", "tries"),
    )

    def __init__(self, ticket: Ticket, *, now: float, visibility_s: float) -> None:
        arrival = ticket.arrival
        self.ticket = ticket
        self.number = ticket.number
        self.identity = arrival.delivery.id or arrival.delivery.handle
        self.key = arrival.key
        self.handle = arrival.delivery.handle  # the newest: only with it can the message be deleted
        self.receives = arrival.delivery.receives
        self.phase = Phase.WAITING
        self.received_at = now
        self.hidden_until = now + visibility_s
        self.extended_at = now  # these are when the order was given: what it brings began then at the earliest
        self.extending = 0  # orders to hide it for longer that are not answered yet
        self.taken_at = now
        self.renewed_at = now
        self.beat_at = 0.0
        self.claim: Claim | None = None
        self.fence = 0
        self.lease_until = 0.0
        self.started_at = _NEVER
        self.is_lost = False
        self.abandoned = False
        self.told = ""  # what is to be said with the next word
        self.hide_s: int | None = None  # for how long it is hidden when it leaves; None: it is left as it is
        self.tries = 0

    @property
    def has_begun(self) -> bool:
        """Whether its handler was started."""
        return self.started_at != _NEVER

    def came_again(self, delivery: Delivery, *, hidden_until: float) -> None:
        """The message was handed out again: only by the newer handle can it be deleted."""
        self.handle = delivery.handle
        self.receives = delivery.receives
        self.hidden_until = hidden_until


class Roster:
    """The only place that changes a stay's phase."""

    def __init__(self, visibility_s: float) -> None:
        self._visibility_s = visibility_s
        self._serial = 0
        self._stays: dict[int, Stay] = {}
        self._by_identity: dict[str, Stay] = {}
        self.numbers = [0] * len(Phase)
        """How many messages are in each phase."""

    def __len__(self) -> int:
        return len(self._stays)

    def __iter__(self) -> Iterator[Stay]:
        return iter(list(self._stays.values()))

    def known(self, arrival: Arrival) -> Stay | None:
        """The stay of the same message, where it is here already."""
        return self._by_identity.get(arrival.delivery.id or arrival.delivery.handle)

    def add(self, arrival: Arrival, now: float) -> Stay:
        """The stay of a message that came in."""
        self._serial += 1
        stay = Stay(Ticket(self._serial, arrival), now=now, visibility_s=self._visibility_s)
        self._stays[stay.number] = self._by_identity[stay.identity] = stay
        self.numbers[Phase.WAITING] += 1
        return stay

    def at(self, ticket: Ticket, phase: Phase) -> Stay | None:
        """The stay of a ticket, where it is in that phase: a report about it is news."""
        stay = self._stays.get(ticket.number)
        return stay if stay is not None and stay.phase is phase else None

    def get(self, ticket: Ticket) -> Stay | None:
        """The stay of a ticket, where it is here still."""
        return self._stays.get(ticket.number)

    def turn(self, stay: Stay, phase: Phase) -> None:
        """A message is in another phase now."""
        self.numbers[stay.phase] -= 1
        self.numbers[phase] += 1
        stay.phase = phase

    def end(self, stay: Stay) -> None:
        """A message is no longer here."""
        self.turn(stay, Phase.GONE)
        del self._stays[stay.number]
        if self._by_identity.get(stay.identity) is stay:
            del self._by_identity[stay.identity]
