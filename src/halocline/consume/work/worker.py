"""Worker: takes messages of a queue, and has each handled once.

    pollers ──┐                                      ┌── handlers: threads, or tasks of an event loop
    calls ────┼─ reports ─> conductor ─ orders ──────┼── polls, claims, words, deletes
    handlers ─┘             (the flight decides)     └── extensions and renewals, in threads of their own

One thread, the conductor, owns the flight: it tells it what was reported, and gives its orders away. It waits for nothing but
reports, so that neither a handler that blocks nor a store that does not answer keeps messages from being hidden for longer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from halocline.consume.arguments import refuse_other
from halocline.consume.flight.flight import Flight
from halocline.consume.flight.orders import (
    Bury,
    Delete,
    Extend,
    Failed,
    Finished,
    Order,
    Poll,
    Rebuild,
    Renew,
    Report,
    Say,
    Start,
    Take,
    TellLost,
)
from halocline.consume.handling.handlers import Handlers
from halocline.consume.known_queues import may_clash
from halocline.consume.letters.dead_letters import identity_of, refuse_unfit
from halocline.consume.limits import Limits
from halocline.consume.watching.counts import Counts
from halocline.consume.watching.guard import guarded
from halocline.consume.watching.logs import Logs
from halocline.consume.watching.observer import Observer
from halocline.consume.watching.watch import Watch
from halocline.consume.work.asyncio_worker import Tasks
from halocline.consume.work.errands import Errands
from halocline.consume.work.hands import Hands
from halocline.consume.work.runs import Runs
from halocline.consume.work.signals import heard, waited
from halocline.errors import FixConfig
from halocline.idempotency import IdempotencyStore
from halocline.queues import Queue

_LAST_S = 5.0
"""How much longer than the grace the end may take, for messages to be handed back and words to be said. The rest comes again."""
_JOIN_S = 0.5  # for threads that have nothing left to do
_WIDTH = 4  # calls of one kind at a time, where answers take long
_ANSWER_S = 1.0  # for messages that are on their way when polls are cut
_ONE = 1  # claims, and words: what comes while one call is under way shares the next
_TOGETHER = 10  # orders of claims or words in a call to the store; each has ten keys at most
_ASIDE = 64  # polls at a time: the flight decides; those of a client that was given up may hang

Asked = Callable[[float], None]
Errand = Callable[[Sequence[Any]], list[Report]]


class Worker:
    """Handles the messages of `queue` with `handlers`, from `start` until `stop`.

    `store` remembers what was done (None: nothing does, and every delivery is handled). `dead_letters` is where messages that
    cannot be handled are set aside. `rebuild` makes the queue's client anew after a silence. What of `limits` depends on the
    queue's kind and on the store is set by them, whatever is given. `name` is what its messages are remembered by, and
    set aside for: the queue's own, where it is left out. Without an `observer` it is logged what goes wrong.
    A worker works once: for another time, make another.

    Raises: FixConfig for a queue, handlers, a store or dead letters that are something else: a text is not opened here.
    """

    def __init__(
        self,
        queue: Queue,
        handlers: Handlers,
        *,
        store: IdempotencyStore | None = None,
        limits: Limits | None = None,
        dead_letters: Queue | None = None,
        observer: Observer | None = None,
        rebuild: Callable[[], Queue] | None = None,
        name: str | None = None,
    ) -> None:
        self.name: str = name or str(getattr(queue, "name", "queue"))
        refuse_other(f"Making a worker for {self.name}", handlers=handlers, queue=queue, store=store, dead_letters=dead_letters)
        self.limits = _true_of(limits or Limits(), queue, store)
        self._handlers = handlers
        self._flight = Flight(self.limits, seed=int.from_bytes(os.urandom(4), "big"))
        self._errands = Errands(
            queue,
            self.name,
            self.limits,
            handlers.arrival,
            _owner(),
            store,
            dead_letters,
            books=may_clash(handlers),
            aside_s=handlers.aside_s,
        )
        self._rebuild = rebuild
        self._observer = guarded(Logs() if observer is None else observer)
        self._watch = Watch(self._observer, self.name)
        self._reports: SimpleQueue[Report | Asked] = SimpleQueue()
        self._over = threading.Event()
        self._conductor: threading.Thread | None = None
        self._runs: Runs | None = None
        self._ways: dict[type[Any], Callable[[Sequence[Any]], None]] = {}
        self._lanes: list[Hands[Any]] = []
        self._end_by: float | None = None
        self._cut_at: float | None = None
        self._crash: BaseException | None = None
        self._on_over: list[Callable[[], None]] = []

    # ---- running

    def run(self) -> Counts:
        """Work until `stop`, or until the queue is gone. In the main thread, SIGTERM and SIGINT are `stop`; again, `stop_now`.

        Raises: why it ended by itself.
        """
        with heard(self.stop, self.stop_now):
            self.start()
            self.join()
        return self.result()

    async def run_async(self) -> Counts:
        """Likewise, with async handlers as tasks of the running loop; all else is done in threads. To cancel it is to stop.

        Raises: as `run`.
        """
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # a loop that was closed waits for nobody
                loop.call_soon_threadsafe(over.set)

        self._on_over.append(tell)
        with heard(self.stop, self.stop_now):
            self.start(loop=loop)
            try:
                await over.wait()
            except asyncio.CancelledError:
                self.stop()
                await over.wait()
                raise
        return self.result()

    def start(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin, and return. Async handlers run on `loop`; without one, on a loop of their own.

        Raises: FixConfig for a worker that was started before; as `Handlers.prepare`, and `refuse_unfit` for the dead letters.
        """
        if self._conductor is not None:
            raise FixConfig(f"Starting the worker for {self.name}", "it was started before", hint="Make a new Worker.")
        self._handlers.prepare()
        queue, aside = self._errands.queue, self._errands.dead_letters
        if aside is not None:
            known = str(getattr(queue, "name", self.name))
            refuse_unfit(aside, name=known, fifo=self.limits.fifo, identity=lambda: identity_of(queue))
        self._runs = Runs(
            self._handlers,
            self._reports.put,
            queue=self.name,
            longest_s=self.limits.longest_s,
            observer=self._observer,
            tasks=Tasks(self.name, loop),
        )
        self._ways = self._made_ways(self._runs)
        conductor = threading.Thread(target=self._conduct, args=(self._runs,), name=f"{self.name}-conductor", daemon=True)
        conductor.start()
        self._conductor = conductor

    def stop(self) -> None:
        """Poll no more, hand back what has not begun, and let handlers end within the grace. From any thread, or a signal."""
        self._reports.put(self._stopped)

    def stop_now(self) -> None:
        """Hand back everything, and end. From any thread, or a signal."""
        self._reports.put(self._stopped_now)

    def join(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, at most so long; whether it has.

        Raises: FixConfig for a worker that was not started.
        """
        if self._conductor is None:
            raise FixConfig(f"Waiting for the worker for {self.name}", "it was not started", hint="Call start() before.")
        return waited(self._over, seconds)

    def result(self) -> Counts:
        """What came to pass.

        Raises: why it ended by itself, if it did: the queue is gone, a right was taken away.
        """
        failure = self.failure
        if failure is not None:
            raise failure
        return self._flight.counts

    @property
    def counts(self) -> Counts:
        """What came to pass so far."""
        return self._flight.counts

    @property
    def failure(self) -> BaseException | None:
        """Why it ended by itself; None: it did not."""
        return self._crash or self._flight.failure

    # ---- the conductor's thread

    def _conduct(self, runs: Runs) -> None:
        try:
            self._watch.started()
            self._go(runs)
        except BaseException as error:  # noqa: BLE001 - a mistake of ours must be told by `result`, not die with this thread
            self._crash = error
        try:
            self._close(runs)
        except BaseException as error:  # noqa: BLE001 - as above
            self._crash = self._crash or error
        finally:
            self._over.set()  # whatever happened: somebody waits for it
            for call in self._on_over:
                call()

    def _go(self, runs: Runs) -> None:
        flight, now = self._flight, time.monotonic()
        self._obey(flight.orders(now))
        while not flight.is_over and not self._is_late(now):
            for report in self._heard(now):
                now = time.monotonic()
                if callable(report):
                    report(now)
                else:
                    self._tell(report, now)
            now = time.monotonic()
            if flight.failure is not None and self._end_by is None:
                self._ending(now, self.limits.grace_s)
            runs.look()
            self._obey(flight.orders(now))
            self._cut(now)
            self._watch.look(flight, now, runs=runs)

    def _heard(self, now: float) -> list[Report | Asked]:
        """What was reported, as soon as there is something; nothing when it is time to look at the clock."""
        reports = self._reports
        times = [at for at in (self._flight.wake_at(), self._end_by, self._cut_at, self._watch.look_at) if at is not None]
        try:
            found = [reports.get(timeout=max(0.0, min(times) - now) if times else None)]
        except Empty:
            return []
        found.extend(reports.get() for _ in range(reports.qsize()))  # nobody else takes from it
        return found

    def _tell(self, report: Report, now: float) -> None:
        if isinstance(report, (Finished, Failed)) and self._runs is not None:
            self._runs.over(report.ticket)
        self._flight.told(report, now)
        self._watch.reported(report, now)

    def _obey(self, orders: Sequence[Order]) -> None:
        """Give orders away, those of a kind together."""
        kinds: dict[type[Any], list[Order]] = {}
        for order in orders:
            kinds.setdefault(type(order), []).append(order)
        for kind, several in kinds.items():
            self._ways[kind](several)

    def _made_ways(self, runs: Runs) -> dict[type[Any], Callable[[Sequence[Any]], None]]:
        errands = self._errands
        kinds: list[tuple[type[Any], Callable[[Any], Report], int]] = [
            (Poll, errands.poll, _ASIDE),
            (Renew, errands.renew, _WIDTH),
            (Extend, errands.extend, _WIDTH),
            (Delete, errands.delete, _WIDTH),
            (Bury, errands.bury, _WIDTH),
        ]
        ways = {kind: self._lane(kind, _each(do), most) for kind, do, most in kinds}
        ways[Take] = self._lane(Take, errands.take, _ONE, together=_TOGETHER)
        ways[Say] = self._lane(Say, errands.say, _ONE, together=_TOGETHER)
        rebuilding: Hands[Rebuild] = Hands(f"{self.name}-rebuild", self._rebuilt, most=1)
        self._lanes.append(rebuilding)
        return {**ways, Start: runs.begin, TellLost: self._lose, Rebuild: rebuilding.give}

    def _lane(self, kind: type[Any], do: Errand, most: int, *, together: int = 1) -> Callable[[Sequence[Any]], None]:
        """Threads for orders of one kind."""
        put = self._reports.put

        def work(orders: list[Any]) -> None:
            for report in do(orders):
                put(report)

        lane: Hands[Any] = Hands(f"{self.name}-{kind.__name__.lower()}", work, most=most, together=together)
        self._lanes.append(lane)
        return lane.give

    def _lose(self, orders: Sequence[TellLost]) -> None:
        for order in orders:
            self._watch.lost(order)
            if self._runs is not None:
                self._runs.lose(order.ticket, order.reason)

    def _rebuilt(self, _orders: Sequence[Rebuild]) -> None:
        for _ in range(2):  # at once: it was silent for long
            self._errands.polls.cut()
        error: BaseException | None = None
        if self._rebuild is not None:
            try:
                self._errands.queue = self._rebuild()
            except BaseException as failure:  # noqa: BLE001 - the old client goes on, and the next silence tries again
                error = failure
        self._watch.rebuilt(error)

    # ---- the end

    def _stopped(self, now: float) -> None:
        self._ending(now, self.limits.grace_s)
        self._flight.stop(now)

    def _stopped_now(self, now: float) -> None:
        self._ending(now, 0.0)
        self._flight.stop_now(now)

    def _ending(self, now: float, grace_s: float) -> None:
        self._watch.stopping()
        end_by = now + grace_s + _LAST_S
        self._end_by = end_by if self._end_by is None else min(end_by, self._end_by)
        self._cut_at = now + _ANSWER_S if self._cut_at is None else self._cut_at
        self._errands.polls.end()

    def _cut(self, now: float) -> None:
        """Wait no longer for polls whose answer may be on its way."""
        if self._cut_at is not None and now >= self._cut_at:
            self._cut_at = now + _ANSWER_S  # again, for one that had not begun to ask
            self._errands.polls.cut()

    def _is_late(self, now: float) -> bool:
        return self._end_by is not None and now >= self._end_by

    def _close(self, runs: Runs) -> None:
        """Let the threads go. A handler that hangs is left: its message was handed back, and the process does not wait for it."""
        self._errands.polls.end()
        hung = [ticket for ticket, _ in runs.running]
        runs.end()
        for lane in self._lanes:
            lane.end()
        until = time.monotonic() + _JOIN_S
        for lane in (*self._lanes, *(() if hung else (runs,))):
            lane.join(max(0.0, until - time.monotonic()))
        self._watch.stopped(self._flight, self.failure, hung=hung)


def _true_of(limits: Limits, queue: Queue, store: IdempotencyStore | None) -> Limits:
    """These limits for a queue that keeps the order of groups or does not, and with or without a store."""
    return replace(limits, fifo=bool(getattr(queue, "is_fifo", limits.fifo)), records=store is not None)


def _each(do: Callable[[Any], Report]) -> Errand:
    return lambda orders: [do(order) for order in orders]


def _owner() -> str:
    """Who claims: this worker, and no other."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
