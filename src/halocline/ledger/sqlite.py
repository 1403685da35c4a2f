"""SqliteLedger: the ledger in one file, for any number of threads and processes of one host."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from halocline.batch import JSON, Position
from halocline.connector import Journal, Lease
from halocline.ledger.database import connect, create, gate, migrate, migrations, queries, transaction
from halocline.ledger.ledger import (
    PAGE,
    Clock,
    Ending,
    held,
    lost,
    printable,
    rejection_from,
    rejection_json,
    seconds_left,
    stamp,
    unknown_run,
    utc_now,
)
from halocline.ledger.process import Process
from halocline.outcome import Counts, Outcome, Rejection, RunRecord


class SqliteLedger:
    """A `Ledger` in the SQLite file `path`, made with its folder when it is not there, readable by its owner only.

    Raises: StorageFailed when the file cannot be opened or is damaged, FixConfig when it is another program's or was
    written by a newer Halocline.
    """

    def __init__(self, path: Path | str, *, clock: Clock = utc_now) -> None:
        self.path = Path(path).expanduser().resolve()
        self._clock = clock
        self._lock = threading.RLock()  # one connection for all threads: every write ends in an fsync anyway
        self._doing = f"Using the ledger {self.path}"
        create(self.path)
        with gate(f"Opening the ledger {self.path}"):
            self._db = connect(self.path)
            try:
                migrate(self._db, migrations(), now=stamp(clock()))
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._lock:
            self._db.close()

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
        process = Process.of(pid, host)
        row = {"run": run, "flow": flow, "plan": None if plan is None else json.dumps(plan), "fence": lease and lease.fence}
        with self._writing() as put:
            if not put("start", **row, now=self._now(), pid=pid, host=host, born=process.born).rowcount:
                raise ValueError(f"run {run} was started before")

    def note(self, run: str, *, plan: Mapping[str, JSON]) -> None:
        """See `Runs.note`."""
        with self._writing_of(run) as put:
            put("note", run=run, plan=json.dumps(plan))

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
        told = None if error is None else printable(error)
        texts = {"counts": json.dumps((counts or Counts()).to_json()), "receipts": json.dumps(list(receipts)), "error": told}
        numbers = {"rows_read": rows_read, "api_calls": api_calls}
        with self._writing_of(run) as put:
            put("finish", run=run, state=state, now=self._now(), method=method, **numbers, **texts)

    def get(self, run: str) -> RunRecord:
        """See `Runs.get`."""
        rows = self._read("run", run=run)
        if not rows:
            raise unknown_run(run)
        return _record(rows[0])

    def runs(self, flow: str | None = None, *, limit: int = 50) -> list[RunRecord]:
        """See `Runs.runs`."""
        return [_record(row) for row in self._read("runs", flow=flow, limit=limit)]

    # Aftermath

    def abandon_dead(self, flow: str) -> list[str]:
        """See `Aftermath.abandon_dead`."""
        now = self._now()
        with self._writing() as put:
            dead = [(row[0], error) for row in put("running", flow=flow, now=now).fetchall() if (error := _death(row))]
            for run, error in dead:
                put("abandon", run=run, now=now, error=error)
                put("free_lease", run=run, now=now)
            named = {run for run, _ in dead} | {run for (run,) in put("unsettled", flow=flow)}
            return [run for (run,) in put("in_order", flow=flow) if run in named]

    def acked(self, run: str) -> None:
        """See `Aftermath.acked`."""
        with self._writing_of(run) as put:
            put("acked", run=run, now=self._now())

    def unacked(self, flow: str) -> list[tuple[str, list[JSON]]]:
        """See `Aftermath.unacked`."""
        return [(run, json.loads(receipts)) for run, receipts in self._read("unacked", flow=flow)]

    def journal(self, run: str) -> Journal:
        """See `Aftermath.journal`."""
        self.get(run)
        return _SqliteJournal(self, run)

    # Outcomes

    def record(self, run: str, outcome: Outcome) -> None:
        """See `Outcomes.record`."""
        with self._writing_of(run) as put:
            _record_outcome(put, run, outcome)

    def rejections(self, run: str, *, limit: int = 1000, offset: int = 0) -> list[Rejection]:
        """See `Outcomes.rejections`."""
        return [rejection_from(body) for (body,) in self._read("rejections", run=run, limit=limit, offset=offset)]

    def each_rejection(self, run: str) -> Iterator[Rejection]:
        """See `Outcomes.each_rejection`."""
        after = 0
        while page := self._read("rejections_after", run=run, after=after, limit=PAGE):
            yield from (rejection_from(body) for _, body in page)
            after = page[-1][0]

    def in_doubt(self, run: str) -> list[tuple[str, int]]:
        """See `Outcomes.in_doubt`."""
        return [(chunk, row) for chunk, row in self._read("in_doubt", run=run)]

    # Positions

    def save_position(self, flow: str, position: Position, *, lease: Lease | None = None) -> None:
        """See `Positions.save_position`."""
        with self._writing() as put:
            if lease is not None:
                _hold(put, lease)
            put("save_position", flow=flow, position=json.dumps(position), now=self._now())

    def position(self, flow: str) -> Position | None:
        """See `Positions.position`."""
        rows = self._read("position", flow=flow)
        return json.loads(rows[0][0]) if rows else None

    # Leases

    def claim(self, flow: str, owner: str, *, ttl_s: float) -> Lease:
        """See `Leases.claim`."""
        with self._writing() as put:
            now = self._clock()  # read inside the transaction: waiting for it may have taken a while
            for holder, until in put("lease", flow=flow).fetchall():
                if holder not in {None, owner} and seconds_left(until, now) > 0:
                    raise held(flow, holder, after_s=seconds_left(until, now))
            (fence,) = put("claim", flow=flow, owner=owner, ttl_s=ttl_s, until=_after(now, ttl_s)).fetchone()
            return Lease(flow, owner, fence)

    def renew(self, lease: Lease) -> None:
        """See `Leases.renew`."""
        with self._writing() as put:
            ttl_s = _hold(put, lease)
            put("renew", flow=lease.flow, fence=lease.fence, until=_after(self._clock(), ttl_s))

    def release(self, lease: Lease) -> None:
        """See `Leases.release`."""
        with self._writing() as put:
            put("release", flow=lease.flow, fence=lease.fence, now=self._now())

    def _now(self) -> str:
        return stamp(self._clock())

    def _put(self, name: str, **values: object) -> sqlite3.Cursor:
        return self._db.execute(queries()[name], values)

    def _read(self, name: str, **values: object) -> list[Any]:
        with self._lock, gate(self._doing):
            return self._put(name, **values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[_Put]:
        """One transaction: durable when the block ends well, undone when it does not."""
        with self._lock, gate(self._doing), transaction(self._db):
            yield self._put

    @contextmanager
    def _writing_of(self, run: str) -> Iterator[_Put]:
        """One transaction about a run.

        Raises: NotFound for an unknown run.
        """
        with self._writing() as put:
            if put("run", run=run).fetchone() is None:
                raise unknown_run(run)
            yield put


class _SqliteJournal:
    """The `Journal` of one run."""

    def __init__(self, ledger: SqliteLedger, run: str) -> None:
        self._ledger = ledger
        self._run = run

    def intend(self, chunk: str, detail: JSON = None) -> None:
        with self._ledger._writing() as put:
            put("intend", run=self._run, chunk=chunk, detail=json.dumps(detail))

    def remote(self, chunk: str, job_id: str) -> None:
        with self._ledger._writing() as put:
            self._mark(put("remote", run=self._run, chunk=chunk, remote=job_id), chunk)

    def settle(self, chunk: str, outcome: Outcome) -> None:
        with self._ledger._writing() as put:
            self._mark(put("settle", run=self._run, chunk=chunk, now=self._ledger._now()), chunk)
            _record_outcome(put, self._run, outcome)

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        rows = self._ledger._read("open", run=self._run)
        return [(chunk, json.loads(detail), remote) for chunk, detail, remote in rows]

    def _mark(self, changed: sqlite3.Cursor, chunk: str) -> None:
        if not changed.rowcount:
            raise ValueError(f"chunk {chunk} of run {self._run} was never intended")


_Put = Callable[..., sqlite3.Cursor]


def _record_outcome(put: _Put, run: str, outcome: Outcome) -> None:
    put("forget_rejections", run=run, chunk=outcome.chunk)
    put("forget_doubts", run=run, chunk=outcome.chunk)
    for rejection in outcome.rejections:
        put("reject", run=run, chunk=outcome.chunk, body=rejection_json(rejection))
    for row in outcome.in_doubt:
        put("doubt", run=run, chunk=outcome.chunk, row=row)


def _hold(put: _Put, lease: Lease) -> float:
    """The seconds that a lease is held for at a time.

    Raises: LeaseLost when it is not the newest of its flow, or was released.
    """
    row = put("holding", flow=lease.flow, fence=lease.fence).fetchone()
    if row is None:
        raise lost(lease)
    return float(row[0])


def _after(now: datetime, seconds: float) -> str:
    return stamp(now + timedelta(seconds=seconds))


def _death(row: tuple[str, int, str, str | None, int]) -> str | None:
    """Why the running run of this row is dead; None when it may be alive."""
    _, pid, host, born, lease_ended = row
    if lease_ended:
        return "its lease ended before the run did"
    return f"process {pid} of {host} is gone" if Process(pid, host, born).gone() else None


def _record(row: Sequence[Any]) -> RunRecord:
    run, flow, state, started, finished, method, rows_read, counts, api_calls, error, plan = row
    return RunRecord(
        run=run,
        flow=flow,
        state=state,
        started=started,
        finished=finished,
        method=method,
        rows_read=rows_read,
        counts=Counts(**json.loads(counts)),
        api_calls=api_calls,
        error=error,
        plan=None if plan is None else json.loads(plan),
    )
