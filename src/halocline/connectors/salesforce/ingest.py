"""Bulk API 2.0 ingest for people: rows in, a job for each file, and what became of every row.

    rows -> sheets (sheets.py) -> jobs (ingest_jobs.py) -> result files -> matched with the sheets (job_results.py) -> Loaded

While Salesforce processes one sheet the next is written and uploaded. Nothing holds all rows: sheets and result files lie in a
spool folder, and rows are read from them when they are asked for.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypedDict, Unpack

import pyarrow as pa

from halocline.aliases import own_names
from halocline.connectors.salesforce.bulk import DEADLINE_S
from halocline.connectors.salesforce.cells import Refusal, Rows, anywhere
from halocline.connectors.salesforce.collections import Operation, Order
from halocline.connectors.salesforce.ingest_jobs import IngestJobs, JobInfo
from halocline.connectors.salesforce.job_results import JobResults
from halocline.connectors.salesforce.pages import text_batches
from halocline.connectors.salesforce.sheets import MAX_BYTES, Sheet, Sheets
from halocline.connectors.salesforce.transport import Transport
from halocline.connectors.salesforce.writing.parents import Nesting
from halocline.errors import HaloclineError, JobFailed
from halocline.outcome import Fate, RowResult
from halocline.quantity import quantity
from halocline.retry import PACE, Pace
from halocline.spool import Spool

_OPEN = "Open"
_CLOSING = "Closing"  # ours: the order to close it went out, and no answer came


@dataclass(frozen=True, slots=True)
class Progress:
    """How one job goes. `rows` is what its sheet holds, `processed` what Salesforce has tried so far, refused rows included."""

    job_id: str
    state: str
    rows: int
    processed: int = 0
    failed: int = 0


class LoadOptions(TypedDict, total=False):
    """The settings of a load.

    `progress` is told when a job is created (state Open, before anything is sent to it), when it is closed, and at every look at
    it; what it raises stops the load. `deadline_s` bounds the wait for all jobs after the last upload. `max_bytes` bounds a
    sheet. A `spool` given stays the caller's to close, and keeps the sheets and the result files.
    """

    progress: Callable[[Progress], None] | None
    deadline_s: float
    max_bytes: int
    spool: Spool | None


@dataclass(slots=True)
class _Job:
    """A job of a load, as last seen, and the sheet that it was given (None: a job of some other time)."""

    info: JobInfo
    sheet: Sheet | None = None


class Loaded:
    """What became of the rows of one load; rows are read from files, so it may be walked through more than once.

    Close it, or use it as a context manager: its files go then. Counts are Salesforce's own.
    """

    def __init__(self, jobs: IngestJobs, spool: Spool, *, owned: bool, key: str | None = None, pace: Pace = PACE) -> None:
        self.refused: list[RowResult] = []
        self._jobs = jobs
        self._pace = pace
        self._spool = spool
        self._key = key
        self._held: list[_Job] = []
        self._clean = weakref.finalize(self, spool.close) if owned else None

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files, unless the spool was given. Idempotent."""
        if self._clean is not None:
            self._clean()

    def send(self, order: Order, sheet: Sheet, *, progress: Callable[[Progress], None]) -> None:
        """Give the sheet to a job of its own, and let Salesforce begin.

        Raises: what the transport raises; when it is not known whether the job was closed, with `facts["in_doubt"]`.
        """
        held = _Job(JobInfo("", _OPEN), sheet)
        self._held.append(held)

        def created(info: JobInfo) -> None:
            held.info = info
            progress(_progress(held))

        job = self._jobs.upload(order, sheet.path, created=created)
        held.info = replace(job, state=_CLOSING)
        try:
            held.info = self._jobs.close(job.id)
        except HaloclineError as error:
            if not error.facts.get("in_doubt"):
                held.info = job
            raise
        progress(_progress(held))

    def adopt(self, info: JobInfo, sheet: Sheet | None) -> None:
        """Take on a job of some other time."""
        self._held.append(_Job(info, sheet))

    def wait(self, *, deadline_s: float = DEADLINE_S, progress: Callable[[Progress], None] | None = None) -> None:
        """Return when all jobs have ended, well or badly.

        Raises: StillRunning with `facts["job_ids"]` of all jobs; they go on, and `wait` may be called again.
        """
        tell = progress or _unheard
        until_s = self._pace.clock() + deadline_s
        for held in self._held:
            if held.info.ended or not held.info.id:
                continue

            def seen(info: JobInfo, held: _Job = held) -> None:
                held.info = info
                tell(_progress(held))

            held.info = self._jobs.wait(held.info.id, until_s=until_s, seen=seen)

    def check(self, doing: str) -> None:
        """Raises: JobFailed in Salesforce's words when a job failed or was aborted, with `facts["loaded"]`."""
        bad = [info for info in self.jobs if info.ended and info.state != "JobComplete"]
        if bad:
            told = "; ".join(f"job {info.id} ended {info.state} ({info.message or 'no message'})" for info in bad)
            written = f"{quantity(self.success_count, 'row is')} written"
            cause = f"{told}; {written}, {self.failed_count:,} refused, {self.unsent_count:,} not tried"
            raise JobFailed(doing, cause, hint="The rows that were not tried may be sent again.", job_id=bad[0].id, loaded=self)

    @property
    def jobs(self) -> list[JobInfo]:
        """The jobs as last seen, in the order of the rows."""
        return [held.info for held in self._held]

    @property
    def job_ids(self) -> list[str]:
        """The ids of the jobs."""
        return [held.info.id for held in self._held if held.info.id]

    @property
    def success_count(self) -> int:
        """Rows that Salesforce has written."""
        return sum(info.processed - info.failed for info in self.jobs)

    @property
    def failed_count(self) -> int:
        """Rows that Salesforce has refused."""
        return sum(info.failed for info in self.jobs)

    @property
    def unsent_count(self) -> int:
        """Rows that nobody tried to write: refused here, or left by a job that was never closed, failed or was aborted."""
        over = (held for held in self._held if held.sheet is not None and (held.info.ended or held.info.state == _OPEN))
        return len(self.refused) + sum(held.sheet.rows - held.info.processed for held in over if held.sheet is not None)

    @property
    def pending_count(self) -> int:
        """Rows whose fate is not known yet, because their job goes on."""
        on = (held for held in self._held if not held.info.ended and held.info.state != _OPEN)
        return sum(held.sheet.rows - held.info.processed for held in on if held.sheet is not None)

    @property
    def total_count(self) -> int:
        """All rows that were drawn from the input."""
        return self.success_count + self.failed_count + self.unsent_count + self.pending_count

    def successes(self) -> Iterator[RowResult]:
        """The rows that were written."""
        for batch in self.success_batches():
            rows, ids, created = (batch.column(name).to_pylist() for name in ("row", "id", "created"))
            for row, record_id, made in zip(rows, ids, created, strict=True):
                yield RowResult(row, Fate.WRITTEN, id=record_id, created=made)

    def errors(self) -> Iterator[RowResult]:
        """Every row that was not written: refused here, refused by Salesforce, or left unprocessed.

        Of a job that goes on there is nothing to tell yet: see `pending_count` and `wait`.
        """
        yield from self.refused
        for held in self._held:
            if held.info.state == _OPEN:
                yield from _never_closed(held)
            elif held.info.ended:
                yield from self._not_written(held)

    def success_batches(self) -> Iterator[pa.RecordBatch]:
        """The rows that were written as Arrow: `row` (in the input), `id`, `created`."""
        for held in self._held:
            if held.info.ended:
                yield from self._results(held).written()

    def _not_written(self, held: _Job) -> Iterator[RowResult]:
        results = self._results(held)
        yield from results.refused()
        yield from results.left()

    def _results(self, held: _Job) -> JobResults:
        return JobResults(self._jobs, held.info, file=self._spool.file, sheet=held.sheet, key=self._key)


class Bulk:
    """Bulk loads of one org. Rows are dicts, anything that is an Arrow stream, or the path of a CSV file.

    `describe` is asked, by the object's name, when the first record comes in the place of a field.

    Every load returns when its jobs have ended, with what became of each row; rows that were refused are no exception.
    Raises: JobFailed when a job as a whole failed or was aborted, StillRunning when the time limit is over - each with
    `facts["loaded"]`, the result so far - and all that the transport raises, with `facts["job_ids"]`; TypeError for an option
    that does not exist, before anything is sent.
    """

    def __init__(
        self, transport: Transport, *, pace: Pace = PACE, describe: Callable[[str], Mapping[str, Any]] | None = None
    ) -> None:
        self._jobs = IngestJobs(transport, pace=pace)
        self._pace = pace
        self._describe = describe

    def insert(self, sobject: str, rows: Rows, **options: Unpack[LoadOptions]) -> Loaded:
        """Create a record for every row."""
        return self._load(Order(Operation.INSERT, sobject), rows, **options)

    def update(self, sobject: str, rows: Rows, **options: Unpack[LoadOptions]) -> Loaded:
        """Change the records that the rows name by `Id`."""
        return self._load(Order(Operation.UPDATE, sobject), rows, **options)

    def upsert(self, sobject: str, rows: Rows, *, external_id_field: str, **options: Unpack[LoadOptions]) -> Loaded:
        """Change the records that have the rows' external ids, create those that do not exist."""
        return self._load(Order(Operation.UPSERT, sobject, external_id_field), rows, **options)

    def delete(self, sobject: str, rows: Rows, **options: Unpack[LoadOptions]) -> Loaded:
        """Put the records that the rows name by `Id` in the recycle bin; a row may be a bare id, and only its id is sent."""
        return self._load(Order(Operation.DELETE, sobject), rows, **options)

    def hard_delete(self, sobject: str, rows: Rows, **options: Unpack[LoadOptions]) -> Loaded:
        """Delete records for good, past the recycle bin; the user needs the permission "Bulk API Hard Delete"."""
        return self._load(Order(Operation.HARD_DELETE, sobject), rows, **options)

    def jobs(self) -> Iterator[JobInfo]:
        """The org's ingest jobs of the last seven days."""
        return self._jobs.listed()

    def abort(self, job_id: str) -> JobInfo:
        """Stop a job; what it has written stays written."""
        return self._jobs.abort(job_id)

    def results(
        self,
        job_id: str,
        *,
        sheet: Sheet | None = None,
        key: str | None = None,
        spool: Spool | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> Loaded:
        """What became of the rows of a job of some other time. Without its `sheet` rows have no number, but what they held.

        `key` is the column that tells the sheet's rows apart, where there is one.

        Raises: StillRunning; NotFound. A job that failed is no exception here: `jobs` tells its state.
        """
        info = self._jobs.info(job_id)
        loaded = Loaded(self._jobs, spool or _own_spool(), owned=spool is None, key=key, pace=self._pace)
        loaded.adopt(info, sheet)
        loaded.wait(deadline_s=deadline_s)
        return loaded

    def _load(self, order: Order, rows: Rows, **options: Unpack[LoadOptions]) -> Loaded:
        # what mypy is not asked about would be forgotten in silence
        own_names("a bulk load", options, known=sorted(LoadOptions.__optional_keys__), also={})
        spool = options.get("spool")
        within = spool or _own_spool()
        loaded = Loaded(self._jobs, within, owned=spool is None, key=order.needed, pace=self._pace)
        only = order.operation in (Operation.DELETE, Operation.HARD_DELETE)
        most = options.get("max_bytes", MAX_BYTES)
        refusal = anywhere if only else self._refusal(order.sobject)
        sheets = Sheets(within, needed=order.needed, only_needed=only, max_bytes=most, refusal=refusal)
        loaded.refused = sheets.refused
        progress = options.get("progress") or _unheard
        try:
            for sheet in sheets.of(rows):
                loaded.send(order, sheet, progress=progress)
            loaded.wait(deadline_s=options.get("deadline_s", DEADLINE_S), progress=progress)
            loaded.check(f"Bulk {order.operation.value} of {order.sobject}")
        except HaloclineError as error:
            error.facts |= {"job_ids": loaded.job_ids, "loaded": loaded}
            raise
        except Exception as error:
            error.add_note(f"Bulk jobs of this load so far: {', '.join(loaded.job_ids) or 'none'}.")
            raise
        return loaded

    def _refusal(self, sobject: str) -> Refusal:
        """Where no record may stand, by a describe that is asked for when it is needed."""
        describe = self._describe
        if describe is None:
            return anywhere
        nesting = cache(lambda: Nesting(describe(sobject)))
        return lambda name: nesting().refusal(name)


def _own_spool() -> Spool:
    return Spool(f"load-{uuid.uuid4().hex}")


def _unheard(_: Progress) -> None:
    """Nobody watches."""


def _progress(held: _Job) -> Progress:
    rows = held.sheet.rows if held.sheet is not None else held.info.processed
    return Progress(held.info.id, held.info.state, rows, held.info.processed, held.info.failed)


def _never_closed(held: _Job) -> Iterator[RowResult]:
    """The rows of a sheet whose job never began."""
    if held.sheet is None:
        return
    numbers = iter(held.sheet.row_numbers().to_pylist())
    for batch in text_batches(held.sheet.path, held.sheet.columns):
        for told in batch.to_pylist():
            yield RowResult(next(numbers), Fate.NOT_SENT, code=_OPEN, message="the job of this row was never closed", record=told)
