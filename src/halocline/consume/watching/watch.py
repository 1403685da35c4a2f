"""Watch: what a worker tells its observer - rare things one by one, counts once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from halocline.consume.flight.flight import Flight
from halocline.consume.flight.orders import (
    Arrival,
    Buried,
    Deleted,
    Failed,
    Finished,
    Polled,
    PollFailed,
    Report,
    Said,
    SayFailed,
    TakeFailed,
    Taken,
    TellLost,
    Ticket,
    Word,
)
from halocline.consume.flight.refusal import is_gone
from halocline.consume.watching.observer import SILENT, Note, Observer, Snapshot, What
from halocline.consume.work.runs import Runs
from halocline.idempotency import State
from halocline.queues import Delivery

_EVERY_S = 1.0


class Watch:
    """Tells `observer` of the worker for `queue`. Only the conductor's thread calls it, save `rebuilt`."""

    def __init__(self, observer: Observer, queue: str) -> None:
        self._observer = observer
        self._queue = queue
        self._is_silent = observer is SILENT
        self._state = "starting"
        self._polled_at: float | None = None
        self._done_at: float | None = None
        self._waits_for_store = False
        self.look_at: float | None = None
        """When the next snapshot is due; None: nobody looks."""
        self._tells: dict[type[Any], Callable[[Any, float], None]] = {
            Failed: self._failed,
            Polled: self._polled,
            PollFailed: self._poll_failed,
            Taken: self._taken,
            TakeFailed: self._store_failed,
            SayFailed: self._store_failed,
            Said: self._said,
            Buried: self._buried,
            Deleted: self._deleted,
        }

    def started(self) -> None:
        """It begins."""
        self._state = "running"
        self._note(What.STARTED)
        if not self._is_silent:
            self.look_at = time.monotonic()

    def stopping(self) -> None:
        """It was told to end."""
        if self._state == "running":
            self._state = "stopping"
            self._note(What.STOPPING)

    def stopped(self, flight: Flight, failure: BaseException | None, *, hung: Sequence[Ticket]) -> None:
        """It has ended; these handlers have not."""
        self._state = "stopped" if failure is None else "failed"
        for ticket in hung:
            self._note(What.HUNG, ticket)
        self._note(What.STOPPED, error=failure)
        self._show(flight, time.monotonic(), running=[])

    def rebuilt(self, error: BaseException | None) -> None:
        """The client was made anew, or could not be."""
        self._note(What.REBUILT, error=error)

    def lost(self, order: TellLost) -> None:
        """A running handler's lease is lost."""
        self._note(What.LEASE_LOST, order.ticket, reason=order.reason)

    def look(self, flight: Flight, now: float, *, runs: Runs) -> None:
        """Show how it stands, if it is time."""
        if self.look_at is not None and now >= self.look_at:
            self.look_at = now + _EVERY_S
            self._show(flight, now, running=runs.running)

    def reported(self, report: Report, now: float) -> None:
        """Tell what is worth telling of a report."""
        if isinstance(report, Finished):
            self._done_at = now
        elif isinstance(report, Polled):
            self._polled_at = now
        tell = self._tells.get(type(report))
        if tell is not None and not self._is_silent:
            tell(report, now)

    def _failed(self, report: Failed, _now: float) -> None:
        self._note(What.FAILED, report.ticket, error=report.error)

    def _polled(self, report: Polled, _now: float) -> None:
        for arrival in report.arrivals:
            if arrival.error is not None:
                reason = f"the {arrival.raised} function raised" if arrival.raised else "it could not be read"
                self._note(What.FAILED, arrival, reason=reason, error=arrival.error)

    def _poll_failed(self, report: PollFailed, _now: float) -> None:
        if not report.is_cut:
            self._note(What.POLL_FAILED, error=report.error)

    def _taken(self, report: Taken, now: float) -> None:
        self._store_is(answering=True, now=now)
        for ticket, claim in zip(report.tickets, report.claims, strict=False):
            if claim.state is State.QUARANTINED:
                self._note(What.SET_ASIDE_AGAIN, ticket, reason=claim.reason)
            elif claim.deaths and claim.fence:
                self._note(What.IN_DOUBT, ticket, reason=f"{claim.deaths} before it ended without a word")

    def _store_failed(self, report: TakeFailed | SayFailed, now: float) -> None:
        self._store_is(answering=False, now=now)
        self._note(What.STORE_FAILED, error=report.error)

    def _said(self, report: Said, now: float) -> None:
        self._store_is(answering=True, now=now)
        for saying, counts in zip(report.sayings, report.counts, strict=False):
            if not counts and saying.word is not Word.RELEASE:
                self._note(What.STALE, saying.ticket, reason=f"its word {saying.word} was refused")

    def _buried(self, report: Buried, _now: float) -> None:
        what = What.BURIED if report.error is None else What.NOT_BURIED
        reason = f"{report.reason}; it is in {report.place}" if report.place else report.reason
        self._note(what, report.ticket, reason=reason, error=report.error)

    def _deleted(self, report: Deleted, _now: float) -> None:
        for ticket, reply in zip(report.order.tickets, report.replies, strict=False):
            if not reply:
                what = What.OBJECT_LEFT if is_gone(reply) else What.DELETE_FAILED
                self._note(what, ticket, reason=f"{reply.code}: {reply.error}")

    def _store_is(self, *, answering: bool, now: float) -> None:
        if self._waits_for_store is answering:
            self._waits_for_store = not answering
            self.look_at = now

    def _note(
        self, what: What, of: Ticket | Arrival | None = None, *, reason: str = "", error: BaseException | None = None
    ) -> None:
        if self._is_silent:
            return
        arrival = of.arrival if isinstance(of, Ticket) else of
        delivery: Delivery | None = None if arrival is None else arrival.delivery
        key = "" if arrival is None else arrival.key
        self._observer.noted(Note(what, self._queue, delivery, key, reason, error))

    def _show(self, flight: Flight, now: float, *, running: Sequence[tuple[Ticket, float]]) -> None:
        if self._is_silent:
            return
        counts = asdict(flight.counts)
        snapshot = Snapshot(
            queue=self._queue,
            state=self._state,
            counts=counts,
            in_flight=flight.in_flight,
            running=len(running),
            oldest_s=max((now - since for _, since in running), default=0.0),
            polled_age_s=None if self._polled_at is None else now - self._polled_at,
            done_age_s=None if self._done_at is None else now - self._done_at,
            waits_for_store=self._waits_for_store,
        )
        self._observer.seen(snapshot)
