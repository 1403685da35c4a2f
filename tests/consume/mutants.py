"""Mutants: flights, and a store, each of which lacks one thing that the laws of the simulation depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.consume.simulation import Entry, ModelStore, Simulation

from halocline.consume.flight.beats import Beats, Due
from halocline.consume.flight.deletions import Deletions, Fate
from halocline.consume.flight.ending import Ending
from halocline.consume.flight.flight import Flight, Limits
from halocline.consume.flight.lanes import Lanes
from halocline.consume.flight.orders import Deleted, Said, SayFailed, TakeFailed
from halocline.consume.flight.polling import Polling
from halocline.consume.flight.ready import Ready
from halocline.consume.flight.roster import Stay
from halocline.queues import Reply


class _NoBeats(Beats):
    """Nothing is ever hidden again, no claim held on to."""

    def due_at(self) -> float | None:
        return None

    def due(self, now: float) -> Due:
        return Due()


class _OneLane(Lanes):
    """Every message is the first of its lane."""

    def add(self, stay: Stay) -> bool:
        super().add(stay)
        return True


class _Uncut(Lanes):
    """What is behind a message that failed goes on."""

    def cut(self, stay: Stay) -> list[Stay]:
        following = self.step(stay)
        return [] if following is None else [following]


class _Deaf(Polling):
    """A silent poll is waited for, for ever."""

    def is_silent(self, now: float) -> bool:
        return False

    def due(self, room: int, messages: int) -> float | None:
        return None


class _Hasty(Ending):
    """Nothing is held back at the end."""

    def held_back(self, at: float | None, polling: Polling) -> float | None:
        return at


class _Stubborn(Deletions):
    """A delete that is refused is tried again for ever."""

    def answered(self, stay: Stay, handle: str, *, reply: Reply, now: float, is_last: bool) -> Fate:
        stay.tries = min(stay.tries, 8)
        kept = replace(reply, code="InternalError") if reply.code == "AccessDenied" else reply
        return super().answered(stay, handle, reply=kept, now=now, is_last=is_last)


class _Beside(Ready):
    """Nothing ever runs alone."""

    def add(self, stay: Stay) -> bool:
        self._line.append(stay)
        return True


class _Unfenced(ModelStore):
    """Any word counts, however old the claim that it is said of."""

    def is_current(self, entry: Entry, fence: int) -> bool:
        return True


class _OneTryDelete(Flight):
    """A delete that failed is not tried again."""

    def _deleted(self, report: Deleted, now: float) -> None:
        replies = [reply if reply else Reply(code="ReceiptHandleIsInvalid", error="given up") for reply in report.replies]
        super()._deleted(replace(report, replies=replies), now)


class _Believing(Flight):
    """A word that was refused counts all the same."""

    def _said(self, report: Said, now: float) -> None:
        super()._said(replace(report, counts=[True] * len(report.counts)), now)


class _Silent(Flight):
    """A word that was perhaps not heard is not said again."""

    def _say_failed(self, report: SayFailed, now: float) -> None:
        pass


class _Forgetful(Flight):
    """Claims that were perhaps not heard are not asked for again."""

    def _take_failed(self, report: TakeFailed, now: float) -> None:
        pass


def _with(**parts: Callable[[Limits], Any]) -> Callable[..., Flight]:
    """A flight in which a part is another."""

    def make(limits: Limits, *, seed: int = 0) -> Flight:
        flight = Flight(limits, seed=seed)
        for name, part in parts.items():
            setattr(flight, f"_{name}", part(limits))
        return flight

    return make


def _stubborn(limits: Limits, *, seed: int = 0) -> Flight:
    flight = Flight(limits, seed=seed)
    flight._deletions = _Stubborn(limits, flight.counts, flight._chance)
    return flight


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is put in place of the flight, and of the store."""

    flight: Callable[..., Flight] = Flight
    store: type[ModelStore] = ModelStore
    seed: int = 0
    """A schedule that shows it, to be tried before all others."""

    def simulation(self) -> type[Simulation]:
        """Schedules are run with it."""
        return type("Mutated", (Simulation,), {"flight": staticmethod(self.flight), "store_type": self.store})


MUTANTS = {
    "fencing": Mutant(store=_Unfenced, seed=613),
    "heartbeat": Mutant(flight=_with(beats=_NoBeats), seed=23),
    "delete retry": Mutant(flight=_OneTryDelete, seed=106),
    "FIFO order": Mutant(flight=_with(lanes=lambda _: _OneLane()), seed=10),
    "FIFO order after a failure": Mutant(flight=_with(lanes=lambda _: _Uncut()), seed=201),
    "refused words": Mutant(flight=_Believing, seed=10),
    "words said again": Mutant(flight=_Silent, seed=10),
    "claims asked for again": Mutant(flight=_Forgetful, seed=10),
    "watchdog": Mutant(flight=_with(polling=lambda limits: _Deaf(limits, lambda: 0.5)), seed=84),
    "waiting for its last polls": Mutant(flight=_with(ending=lambda _: _Hasty()), seed=143),
    "an end to deletes": Mutant(flight=_stubborn, seed=66),
    "running suspects alone": Mutant(flight=_with(ready=_Beside)),
}
