"""MemoryLedger: the ledger without a file, gone with its process; for tests and for runs that need no past."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from halocline.batch import JSON
from halocline.connector import Journal, Lease
from halocline.errors import LeaseHeld
from halocline.ledger.ledger import (
    Clock,
    Ending,
    doubt_bodies,
    doubt_from,
    held,
    lost,
    overspent,
    printable,
    rejection_from,
    rejection_json,
    stamp,
    unknown_run,
    utc_now,
)
from halocline.ledger.process import Process
from halocline.ledger.retention import REPEATS_S, Past, Pruned, chosen
from halocline.outcome import Counts, Outcome, Rejection, RunRecord


@dataclass(slots=True)
class _Intent:
    """One chunk of a journal; changes as the chunk comes along."""

    detail: str
    remote: str | None = None
    settled: bool = False


@dataclass(slots=True)
class _Book:
    """All that is kept of one run; changes while the run goes on. JSON is kept as text, so that nobody shares it."""

    record: RunRecord
    process: Process
    lease: Lease | None
    plan: str
    receipts: str = "[]"
    acked: bool = False
    intents: dict[str, _Intent] = field(default_factory=dict)
    refused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    doubts: dict[str, tuple[tuple[int, str | None], ...]] = field(default_factory=dict)

    @property
    def seen(self) -> RunRecord:
        """The run as others may see it."""
        return replace(self.record, plan=json.loads(self.plan))

    @property
    def open(self) -> dict[str, _Intent]:
        """The intents that are not settled."""
        return {chunk: intent for chunk, intent in self.intents.items() if not intent.settled}

    @property
    def past(self) -> Past:
        """What matters of it when it is old."""
        record, unacked = self.record, self.record.state == "done" and not self.acked and self.receipts != "[]"
        right, plan = self.lease.flow if self.lease else record.flow, json.loads(self.plan)
        return Past.of(
            record.run, right, state=record.state, ended=record.finished, plan=plan, is_open=unacked or bool(self.open)
        )

    @property
    def rows(self) -> int:
        """How many rows are told of one by one."""
        return sum(map(len, (*self.refused.values(), *self.doubts.values())))

    def keep(self, outcome: Outcome) -> None:
        """Put an outcome last, in the place of an earlier one of its chunk."""
        self.refused.pop(outcome.chunk, None)
        self.doubts.pop(outcome.chunk, None)
        self.refused[outcome.chunk] = tuple(rejection_json(r) for r in outcome.rejections)
        self.doubts[outcome.chunk] = tuple(doubt_bodies(outcome))


@dataclass(slots=True)
class _Hold:
    """The newest lease of a flow; `owner` is None once it was given back."""

    owner: str | None
    fence: int
    ttl_s: float
    until: datetime
    since: datetime
    seen: datetime
    process: Process
    holder: str

    def held(self, flow: str, now: datetime) -> LeaseHeld:
        """The refusal that whoever else asks for it gets."""
        until, since, seen = (stamp(moment) for moment in (self.until, self.since, self.seen))
        return held(flow, str(self.owner), now=now, until=until, since=since, seen=seen)


class MemoryLedger:
    """A `Ledger` in memory, for the threads of one process."""

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._books: dict[str, _Book] = {}
        self._holds: dict[str, _Hold] = {}
        self._spent: dict[tuple[str, str], int] = {}
        self._pruned: datetime | None = None

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # Runs

    def start(
        self,
        flow: str,
        *,
        run: str,
        plan: Mapping[str, JSON] | None = None,
        pid: int,
        host: str,
        lease: Lease | None = None,
    ) -> None:
        """See `Runs.start`."""
        with self._lock:
            if run in self._books:
                raise ValueError(f"run {run} was started before")
            record = RunRecord(run, flow, "running", stamp(self._clock()))
            self._books[run] = _Book(record, Process.of(pid, host), lease, json.dumps(plan))

    def note(self, run: str, *, plan: Mapping[str, JSON], lease: Lease | None = None) -> None:
        """See `Runs.note`."""
        with self._lock:
            book = self._book(run)
            if lease is not None:
                self._held(lease)
            book.plan = json.dumps(plan)

    def finish(
        self,
        run: str,
        *,
        state: Ending,
        method: str | None = None,
        rows_read: int = 0,
        counts: Counts | None = None,
        api_calls: int = 0,
        receipts: Sequence[JSON] = (),
        error: str | None = None,
    ) -> None:
        """See `Runs.finish`."""
        with self._lock:
            book = self._book(run)
            if book.record.state == "done":
                return
            book.receipts = json.dumps(list(receipts))
            book.record = replace(
                book.record,
                state=state,
                finished=stamp(self._clock()),
                method=method,
                rows_read=rows_read,
                counts=counts or Counts(),
                api_calls=api_calls,
                error=None if error is None else printable(error),
            )

    def get(self, run: str) -> RunRecord:
        """See `Runs.get`."""
        with self._lock:
            return self._book(run).seen

    def runs(self, flow: str | None = None, *, limit: int = 50) -> list[RunRecord]:
        """See `Runs.runs`."""
        with self._lock:
            return [book.seen for book in reversed(self._of(flow))][:limit]

    # Aftermath

    def abandon_dead(self, right: str) -> list[str]:
        """See `Aftermath.abandon_dead`."""
        with self._lock:
            books = self._under(right)
            dead = [book.record.run for book in books if book.record.state == "running" and self._abandoned(book)]
            return [
                book.record.run for book in books if book.record.run in dead or (book.record.state != "running" and book.open)
            ]

    def abandon(self, run: str, *, error: str) -> None:
        """See `Aftermath.abandon`."""
        with self._lock:
            if (book := self._book(run)).record.state == "running":
                self._book_as_abandoned(book, error)

    def running(self, flow: str | None = None) -> Mapping[str, Process]:
        """See `Aftermath.running`."""
        with self._lock:
            running = [book for book in self._books.values() if book.record.state == "running"]
            return {book.record.run: book.process for book in running if flow in {None, book.record.flow}}

    def dead(self) -> Mapping[str, str]:
        """See `Aftermath.dead`."""
        with self._lock:
            running = [book for book in self._books.values() if book.record.state == "running"]
            return {book.record.run: error for book in running if (error := self._death(book))}

    def acked(self, run: str) -> None:
        """See `Aftermath.acked`."""
        with self._lock:
            self._book(run).acked = True

    def unacked(self, right: str) -> list[tuple[str, list[JSON]]]:
        """See `Aftermath.unacked`."""
        with self._lock:
            done = [book for book in self._under(right) if book.record.state == "done" and not book.acked]
            return [(book.record.run, json.loads(book.receipts)) for book in done if book.receipts != "[]"]

    def journal(self, run: str) -> Journal:
        """See `Aftermath.journal`."""
        with self._lock:
            return _MemoryJournal(self._book(run), self._lock)

    # Outcomes

    def record(self, run: str, outcome: Outcome) -> None:
        """See `Outcomes.record`."""
        with self._lock:
            self._book(run).keep(outcome)

    def rejections(self, run: str, *, limit: int = 1000, offset: int = 0) -> list[Rejection]:
        """See `Outcomes.rejections`."""
        with self._lock:
            book = self._books.get(run)
            bodies = [] if book is None else [body for refused in book.refused.values() for body in refused]
            return [rejection_from(body) for body in bodies[offset : offset + limit]]

    def each_rejection(self, run: str) -> Iterator[Rejection]:
        """See `Outcomes.each_rejection`."""
        with self._lock:
            book = self._books.get(run)
            bodies = [] if book is None else [body for refused in book.refused.values() for body in refused]
        return map(rejection_from, bodies)

    def in_doubt(self, run: str) -> list[tuple[str, int]]:
        """See `Outcomes.in_doubt`."""
        with self._lock:
            book = self._books.get(run)
            return [] if book is None else [(chunk, row) for chunk, rows in book.doubts.items() for row, _ in rows]

    def each_doubt(self, run: str) -> Iterator[Rejection]:
        """See `Outcomes.each_doubt`."""
        with self._lock:
            book = self._books.get(run)
            doubts = [] if book is None else [(chunk, *doubt) for chunk, rows in book.doubts.items() for doubt in rows]
        return (doubt_from(body, chunk=chunk, row=row) for chunk, row, body in doubts)

    # Leases

    def claim(self, flow: str, owner: str, *, ttl_s: float, process: Process | None = None) -> Lease:
        """See `Leases.claim`."""
        mine = process or Process.of(os.getpid(), socket.gethostname())
        with self._lock:
            now, hold = self._clock(), self._holds.get(flow)
            if hold is not None and hold.owner not in {None, owner} and hold.until > now and not hold.process.gone():
                raise hold.held(flow, now)
            fence = 1 if hold is None else hold.fence + 1
            self._holds[flow] = _Hold(owner, fence, ttl_s, now + timedelta(seconds=ttl_s), now, now, mine, owner)
            return Lease(flow, owner, fence)

    def renew(self, lease: Lease) -> None:
        """See `Leases.renew`."""
        with self._lock:
            hold = self._held(lease)
            hold.seen = self._clock()
            hold.until = hold.seen + timedelta(seconds=hold.ttl_s)

    def release(self, lease: Lease) -> None:
        """See `Leases.release`."""
        with self._lock:
            hold = self._holds.get(lease.flow)
            if hold is not None and hold.fence == lease.fence:
                hold.owner, hold.until = None, self._clock()

    # Retention

    def prune(
        self, *, older_than_s: float, keep_failed: bool = False, dry_run: bool = False, every_s: float = 0.0
    ) -> Pruned | None:
        """See `Retention.prune`."""
        with self._lock:
            now = self._clock()
            if self._pruned is not None and self._pruned > now - timedelta(seconds=every_s):
                return None
            before, repeats = (stamp(now - timedelta(seconds=age_s)) for age_s in (older_than_s, max(older_than_s, REPEATS_S)))
            past = [book.past for book in self._books.values()]
            found = chosen(past, before=before, repeats_before=repeats, keep_failed=keep_failed)
            rows = sum(self._books[run].rows for run in found.runs)
            if not dry_run:
                self._pruned = now
                self._books = {run: book for run, book in self._books.items() if run not in found.runs}
                self._spent = {(org, day): calls for (org, day), calls in self._spent.items() if day >= before[:10]}
            return replace(found, rows=rows)

    # Usages

    def spend(self, org: str, calls: int, *, most: int | None = None, doing: str = "") -> int:
        """See `Usages.spend`."""
        with self._lock:
            now = self._clock()
            used = self._spent.get((org, stamp(now)[:10]), 0)
            if most is not None and used + calls > most:
                raise overspent(org, used=used, most=most, now=now, doing=doing)
            self._spent[org, stamp(now)[:10]] = used + calls
            return used + calls

    def spent(self, org: str) -> int:
        """See `Usages.spent`."""
        with self._lock:
            return self._spent.get((org, stamp(self._clock())[:10]), 0)

    def _book(self, run: str) -> _Book:
        if run not in self._books:
            raise unknown_run(run)
        return self._books[run]

    def _of(self, flow: str | None) -> list[_Book]:
        return [book for book in self._books.values() if flow is None or book.record.flow == flow]

    def _under(self, right: str) -> list[_Book]:
        """The runs whose lease has this name, or, where they have none, whose flow."""
        return [book for book in self._books.values() if right == (book.lease.flow if book.lease else book.record.flow)]

    def _held(self, lease: Lease) -> _Hold:
        """What is known of a lease.

        Raises: LeaseLost when it is not the newest of its flow, or was released.
        """
        hold = self._holds.get(lease.flow)
        if hold is None or hold.fence != lease.fence or hold.owner is None:
            raise lost(lease, newest=None if hold is None else (hold.fence, hold.holder))
        return hold

    def _abandoned(self, book: _Book) -> bool:
        """Book a running run as abandoned if it is dead."""
        error = self._death(book)
        if error is not None:
            self._book_as_abandoned(book, error)
        return error is not None

    def _book_as_abandoned(self, book: _Book, error: str) -> None:
        """That it is so, and its lease free."""
        book.record = replace(book.record, state="abandoned", finished=stamp(self._clock()), error=error)
        if book.lease is not None:
            self.release(book.lease)

    def _death(self, book: _Book) -> str | None:
        if book.lease is not None:
            hold = self._holds.get(book.lease.flow)
            if hold is None or hold.fence != book.lease.fence or hold.until <= self._clock():
                return "its lease ended before the run did"
        return f"process {book.process.pid} of {book.process.host} is gone" if book.process.gone() else None


class _MemoryJournal:
    """The `Journal` of one run."""

    def __init__(self, book: _Book, lock: threading.RLock) -> None:
        self._book = book
        self._lock = lock

    def intend(self, chunk: str, detail: JSON = None) -> None:
        with self._lock:
            earlier = self._book.open.get(chunk)
            text = json.dumps(detail)
            self._book.intents[chunk] = _Intent(text, earlier.remote if earlier else None)

    def remote(self, chunk: str, job_id: str) -> None:
        with self._lock:
            self._intent(chunk).remote = job_id

    def settle(self, chunk: str, outcome: Outcome) -> None:
        with self._lock:
            self._intent(chunk).settled = True
            self._book.keep(outcome)

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        with self._lock:
            return [(chunk, json.loads(intent.detail), intent.remote) for chunk, intent in self._book.open.items()]

    def _intent(self, chunk: str) -> _Intent:
        if chunk not in self._book.intents:
            raise ValueError(f"chunk {chunk} of run {self._book.record.run} was never intended")
        return self._book.intents[chunk]
