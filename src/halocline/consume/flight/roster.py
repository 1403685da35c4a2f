"""Roster: who is in the worker, by number and by message, and how many are in each phase."""

from __future__ import annotations

from collections.abc import Iterator

from halocline.consume.flight.orders import Arrival, Ticket
from halocline.consume.flight.stay import Phase, Stay


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
