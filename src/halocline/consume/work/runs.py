"""Runs: handlers at work, in threads or on an event loop, each with its context until it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from halocline.consume.flight.orders import Failed, Finished, Report, Start, Ticket
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import Handlers
from halocline.consume.watching.observer import SILENT, Observer
from halocline.consume.work.asyncio_worker import Tasks, Work
from halocline.consume.work.hands import Hands
from halocline.errors import AlreadyApplied

_PLENTY = (
    100_000  # threads: how many handlers run at once is the flight's to say, and one that hangs for ever has a thread for ever
)
_NOTHING: AbstractContextManager[object] = nullcontext()


class Runs:
    """The handlers of one worker that run just now. What comes of each goes to `report`."""

    def __init__(
        self,
        handlers: Handlers,
        report: Callable[[Report], None],
        *,
        queue: str,
        longest_s: float,
        observer: Observer,
        tasks: Tasks,
    ) -> None:
        self._handlers = handlers
        self._report = report
        self._queue = queue
        self._longest_s = longest_s
        self._observer = None if observer is SILENT else observer
        self._tasks = tasks
        self._hands: Hands[tuple[Start, Context]] = Hands(f"{queue}-handler", self._run, most=_PLENTY)
        self._running: dict[int, tuple[Ticket, Context, float]] = {}

    def begin(self, starts: Sequence[Start]) -> None:
        """Run handlers. Called by one thread, which is also the one that calls `lose` and `over`."""
        now = time.monotonic()
        threaded: list[tuple[Start, Context]] = []
        tasked: list[tuple[Start, Context]] = []
        for start in starts:
            arrival = start.ticket.arrival
            deadline = now + self._longest_s
            context = Context.of(arrival.delivery, start.claim, queue=self._queue, key=arrival.key, deadline=deadline)
            self._running[start.ticket.number] = start.ticket, context, now
            (tasked if self._is_async(start) else threaded).append((start, context))
        if threaded:
            self._hands.give(threaded)
        if tasked:
            self._tasks.give([Work(partial(self._run_async, *one), partial(self._missed, one[0].ticket)) for one in tasked])

    def look(self) -> None:
        """See to runs that were left on an event loop that is closed. Called by the thread that calls `begin`."""
        self._tasks.look()

    def over(self, ticket: Ticket) -> None:
        """A run has been reported."""
        self._running.pop(ticket.number, None)

    def lose(self, ticket: Ticket, reason: str) -> None:
        """Tell a handler that its lease is lost."""
        found = self._running.get(ticket.number)
        if found is not None:
            found[1].lease.lose(reason)

    @property
    def running(self) -> list[tuple[Ticket, float]]:
        """What runs, the oldest first, and since when (`time.monotonic`)."""
        return [(ticket, since) for ticket, _, since in tuple(self._running.values())]

    def end(self) -> None:
        """Begin no more, and tell those at work that their messages are no longer theirs."""
        self._hands.end()
        for _, context, _ in tuple(self._running.values()):
            context.lease.lose("the worker has ended")
        self._tasks.end()

    def join(self, seconds: float) -> list[str]:
        """Wait for the threads, at most so long; the names of those whose handlers hang."""
        return [*self._hands.join(seconds), *self._tasks.join(seconds)]

    def _is_async(self, start: Start) -> bool:
        return self._handlers.has_async and self._handlers.is_async(start.ticket.arrival.delivery)

    def _run(self, pieces: Sequence[tuple[Start, Context]]) -> None:
        ((start, context),) = pieces
        ticket = start.ticket
        try:
            with self._watched(ticket):
                result = self._handlers.run(ticket.arrival.delivery, context)
            report: Report = Finished(ticket, result)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is the end of this message, not of its thread
            report = self._failed(ticket, error)
        self._report(report)

    async def _run_async(self, start: Start, context: Context) -> None:
        ticket = start.ticket
        try:
            with self._watched(ticket):
                result = await self._handlers.run_async(ticket.arrival.delivery, context)
            report: Report = Finished(ticket, result)
        except BaseException as error:  # noqa: BLE001 - as above
            report = self._failed(ticket, error)
        self._report(report)

    def _missed(self, ticket: Ticket) -> None:
        cause = asyncio.CancelledError("its task was cancelled before it began, or its event loop was closed")
        self._report(self._failed(ticket, cause))

    def _watched(self, ticket: Ticket) -> AbstractContextManager[object]:
        return _NOTHING if self._observer is None else self._observer.handling(self._queue, ticket.arrival.delivery)

    def _failed(self, ticket: Ticket, error: BaseException) -> Report:
        if isinstance(error, AlreadyApplied):
            return Finished(ticket)
        return Failed(ticket, error, self._handlers.then(error, ticket.arrival.delivery))
