"""SqlLedger: the ledger in the tables of a database, told by named statements; which database that is, its subclasses know.

The statements are those of `queries/*.sql`, written in what SQLite and PostgreSQL have in common.
"""

from __future__ import annotations

import json
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, Self

from halocline.batch import JSON
from halocline.connector import Journal, Lease
from halocline.ledger.ledger import (
    PAGE,
    Ending,
    doubt_bodies,
    doubt_from,
    held,
    legible,
    lost,
    overspent,
    printable,
    rejection_from,
    rejection_json,
    seconds_left,
    stamp,
    unknown_run,
)
from halocline.ledger.process import Process
from halocline.ledger.pruning import Pruning, Put
from halocline.ledger.retention import Pruned
from halocline.outcome import Counts, Outcome, Rejection, RunRecord


class SqlLedger(ABC):
    """What every `Ledger` in a database does alike."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database. Idempotent."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Put]:
        """Statements that change nothing."""

    @abstractmethod
    def _writing(self, about: str = "") -> AbstractContextManager[Put]:
        """One transaction: durable when the block ends well, undone when it does not.

        Of several `about` the same (a flow, a run, an org) one goes on at a time, whoever writes.
        """

    def _shrunk(self, *, thorough: bool) -> tuple[int, int] | None:  # noqa: ARG002 - a server does that by itself
        """Give back the room of what was deleted, `thorough` or where it is much: the file's bytes before and after, if known."""
        return None

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
        row = {"run": run, "flow": flow, "plan": None if plan is None else json.dumps(plan), **_columns(Process.of(pid, host))}
        right = {"lease": lease and lease.flow, "fence": lease and lease.fence}
        with self._writing(run) as put:
            if not put("start", **row, **right, now=stamp(put.now())).rowcount:
                raise ValueError(f"run {run} was started before")

    def note(self, run: str, *, plan: Mapping[str, JSON], lease: Lease | None = None) -> None:
        """See `Runs.note`."""
        with self._writing_of(run, about=run if lease is None else lease.flow) as put:
            if lease is not None:
                _hold(put, lease)
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
            put("finish", run=run, state=state, now=stamp(put.now()), method=method, **numbers, **texts)

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

    def abandon_dead(self, right: str) -> list[str]:
        """See `Aftermath.abandon_dead`."""
        with self._writing(right) as put:
            now = stamp(put.now())
            dead = [(row[0], error) for row in put("running", right=right, now=now).fetchall() if (error := _death(row))]
            for run, error in dead:
                put("abandon", run=run, now=now, error=error)
                put("free_lease", run=run, now=now)
            named = {run for run, _ in dead} | {run for (run,) in put("unsettled", right=right)}
            return [run for (run,) in put("in_order", right=right) if run in named]

    def abandon(self, run: str, *, error: str) -> None:
        """See `Aftermath.abandon`."""
        with self._writing_of(run) as put:
            now = stamp(put.now())
            if put("abandon", run=run, now=now, error=printable(error)).rowcount:
                put("free_lease", run=run, now=now)

    def running(self, flow: str | None = None) -> Mapping[str, Process]:
        """See `Aftermath.running`."""
        return {run: Process(*known) for run, *known in self._read("at_work", flow=flow)}

    def dead(self) -> Mapping[str, str]:
        """See `Aftermath.dead`."""
        with self._reading() as put:
            rows = put("all_running", now=stamp(put.now())).fetchall()
        return {row[0]: error for row in rows if (error := _death(row))}

    def acked(self, run: str) -> None:
        """See `Aftermath.acked`."""
        with self._writing_of(run) as put:
            put("acked", run=run, now=stamp(put.now()))

    def unacked(self, right: str) -> list[tuple[str, list[JSON]]]:
        """See `Aftermath.unacked`."""
        rows = self._read("unacked", right=right)
        with legible("the list of a run's receipts"):
            return [(run, json.loads(receipts)) for run, receipts in rows]

    def journal(self, run: str) -> Journal:
        """See `Aftermath.journal`."""
        self.get(run)
        return _SqlJournal(self, run)

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

    def each_doubt(self, run: str) -> Iterator[Rejection]:
        """See `Outcomes.each_doubt`."""
        after = 0
        while page := self._read("doubts_after", run=run, after=after, limit=PAGE):
            yield from (doubt_from(body, chunk=chunk, row=row) for _, chunk, row, body in page)
            after = page[-1][0]

    # Leases

    def claim(self, flow: str, owner: str, *, ttl_s: float, process: Process | None = None) -> Lease:
        """See `Leases.claim`."""
        mine = process or Process.of(os.getpid(), socket.gethostname())
        with self._writing(flow) as put:
            now = put.now()  # asked inside the transaction: waiting for it may have taken a while
            for holder, until, since, seen, *theirs in put("lease", flow=flow).fetchall():
                if holder not in {None, owner} and seconds_left(until, now) > 0 and not _gone(theirs):
                    raise held(flow, holder, now=now, until=until, since=since, seen=seen)
            row = {"flow": flow, "owner": owner, "ttl_s": ttl_s, "until": _after(now, ttl_s), "now": stamp(now)}
            (fence,) = put("claim", **row, **_columns(mine)).fetchone()
            return Lease(flow, owner, fence)

    def renew(self, lease: Lease) -> None:
        """See `Leases.renew`."""
        with self._writing(lease.flow) as put:
            ttl_s, now = _hold(put, lease), put.now()
            put("renew", flow=lease.flow, fence=lease.fence, until=_after(now, ttl_s), now=stamp(now))

    def release(self, lease: Lease) -> None:
        """See `Leases.release`."""
        with self._writing(lease.flow) as put:
            put("release", flow=lease.flow, fence=lease.fence, now=stamp(put.now()))

    # Retention

    def prune(
        self, *, older_than_s: float, keep_failed: bool = False, dry_run: bool = False, every_s: float = 0.0
    ) -> Pruned | None:
        """See `Retention.prune`."""
        pruning = Pruning(self._reading, self._writing, self._shrunk)
        return pruning.prune(older_than_s=older_than_s, keep_failed=keep_failed, dry_run=dry_run, every_s=every_s)

    # Usages

    def spend(self, org: str, calls: int, *, most: int | None = None, doing: str = "") -> int:
        """See `Usages.spend`."""
        with self._writing(org) as put:
            now = put.now()
            used = sum(int(n) for (n,) in put("spent", org=org, day=stamp(now)[:10]).fetchall())
            if most is not None and used + calls > most:
                raise overspent(org, used=used, most=most, now=now, doing=doing)
            put("spend", org=org, day=stamp(now)[:10], calls=calls)
            return used + calls

    def spent(self, org: str) -> int:
        """See `Usages.spent`."""
        with self._reading() as put:
            return sum(int(n) for (n,) in put("spent", org=org, day=stamp(put.now())[:10]).fetchall())

    def _read(self, name: str, **values: object) -> list[Any]:
        with self._reading() as put:
            found: list[Any] = put(name, **values).fetchall()
            return found

    @contextmanager
    def _writing_of(self, run: str, *, about: str | None = None) -> Iterator[Put]:
        """One transaction about a run, and about something else where that is given.

        Raises: NotFound for an unknown run.
        """
        with self._writing(run if about is None else about) as put:
            if put("run", run=run).fetchone() is None:
                raise unknown_run(run)
            yield put


class _SqlJournal:
    """The `Journal` of one run."""

    def __init__(self, ledger: SqlLedger, run: str) -> None:
        self._ledger = ledger
        self._run = run

    def intend(self, chunk: str, detail: JSON = None) -> None:
        with self._ledger._writing(self._run) as put:
            put("intend", run=self._run, chunk=chunk, detail=json.dumps(detail))

    def remote(self, chunk: str, job_id: str) -> None:
        with self._ledger._writing(self._run) as put:
            self._mark(put("remote", run=self._run, chunk=chunk, remote=job_id), chunk)

    def settle(self, chunk: str, outcome: Outcome) -> None:
        with self._ledger._writing(self._run) as put:
            self._mark(put("settle", run=self._run, chunk=chunk, now=stamp(put.now())), chunk)
            _record_outcome(put, self._run, outcome)

    def open(self) -> Sequence[tuple[str, JSON, str | None]]:
        rows = self._ledger._read("open", run=self._run)
        with legible("an intent"):
            return [(chunk, json.loads(detail), remote) for chunk, detail, remote in rows]

    def _mark(self, changed: Any, chunk: str) -> None:
        if not changed.rowcount:
            raise ValueError(f"chunk {chunk} of run {self._run} was never intended")


def _record_outcome(put: Put, run: str, outcome: Outcome) -> None:
    put("forget_rejections", run=run, chunk=outcome.chunk)
    put("forget_doubts", run=run, chunk=outcome.chunk)
    for rejection in outcome.rejections:
        put("reject", run=run, chunk=outcome.chunk, body=rejection_json(rejection))
    for row, body in doubt_bodies(outcome):
        put("doubt", run=run, chunk=outcome.chunk, row=row, body=body)


def _hold(put: Put, lease: Lease) -> float:
    """The seconds that a lease is held for at a time.

    Raises: LeaseLost when it is not the newest of its flow, or was released.
    """
    row = put("holding", flow=lease.flow, fence=lease.fence).fetchone()
    if row is None:
        raise lost(lease, newest=put("newest", flow=lease.flow).fetchone())
    return float(row[0])


def _columns(process: Process) -> dict[str, object]:
    return {"pid": process.pid, "host": process.host, "born": process.born, "world": process.world}


def _gone(columns: Sequence[Any]) -> bool:
    """Whether the process of these columns has certainly ended; leases of older ledgers do not say whose they are."""
    return columns[0] is not None and Process(*columns).gone()


def _after(now: datetime, seconds: float) -> str:
    return stamp(now + timedelta(seconds=seconds))


def _death(row: Sequence[Any]) -> str | None:
    """Why the running run of this row is dead; None when it may be alive."""
    _, pid, host, born, world, lease_ended = row
    if lease_ended:
        return "its lease ended before the run did"
    return f"process {pid} of {host} is gone" if Process(pid, host, born, world).gone() else None


def _record(row: Sequence[Any]) -> RunRecord:
    run, flow, state, started, finished, method, rows_read, counts, api_calls, error, plan = row
    with legible("what it says of a run"):
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
