"""The work of an ingest job: batch after batch from the upload into the org, each outcome into the result files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from halocline.emulator.bulk2.csv_in import BadUploadError, Batch, Sheet
from halocline.emulator.bulk2.jobs import DELIMITERS, LINE_ENDINGS, Job, Stopwatch
from halocline.emulator.bulk2.outcomes import IDS_OF_FAILED_SINCE, Outcomes, failure
from halocline.emulator.bulk2.quick import quick_of
from halocline.emulator.bulk2.writes import Plan, plan_of, write_rows
from halocline.emulator.errors import ApiError
from halocline.emulator.ids import is_valid, to_18
from halocline.emulator.writing import Saved, Writer

if TYPE_CHECKING:
    from halocline.emulator.org import Org

# Commits of whole batches are large: left to itself, the store's write-ahead log would hold the whole job.
BATCHES_PER_FOLDING = 10

Rows: TypeAlias = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestJob(Job):
    """An ingest job. `rows` and `failed` count records, `lines_done` the lines of the upload that are done, header included.

    `active_ms` is the part of `milliseconds` that went into batches.
    """

    job_type: ClassVar[str] = "V2Ingest"

    external_id: str | None = None
    assignment_rule: str | None = None
    uploaded: bool = False
    failed: int = 0
    lines_done: int = 0
    active_ms: int = 0

    def info(self) -> dict[str, object]:
        """The job as the answer to a change of its state shows it."""
        shown = Job.info(self)
        if self.external_id is None:
            return shown
        names = list(shown)
        before = names.index("concurrencyMode")
        head, tail = names[:before], names[before:]
        return {n: shown[n] for n in head} | {"externalIdFieldName": self.external_id} | {n: shown[n] for n in tail}

    def created_info(self) -> dict[str, object]:
        """The job as the answer to its creation shows it."""
        rule = {"assignmentRuleId": self.assignment_rule} if self.assignment_rule else {}
        return self.info() | rule | self._content() | self._format()

    def full_info(self) -> dict[str, object]:
        """The job as later answers show it."""
        rule = {"assignmentRuleId": self.assignment_rule} if self.assignment_rule else {}
        counters: dict[str, object] = {
            "numberRecordsProcessed": self.rows,
            "numberRecordsFailed": self.failed,
            "retries": 0,
            "totalProcessingTime": self.milliseconds,
            "apiActiveProcessingTime": self.active_ms,
            "apexProcessingTime": 0,
        }
        error = {"errorMessage": self.error} if self.error else {}
        return self.info() | rule | {"jobType": self.job_type} | self._content() | self._format() | counters | error

    def _content(self) -> dict[str, object]:
        """Where to upload, while it is time for it; without a slash at the start, as real orgs answer."""
        path = f"services/data/v{self.version}/jobs/ingest/{self.id}/batches"
        return {"contentUrl": path} if self.state == "Open" else {}

    def _format(self) -> dict[str, object]:
        return {"lineEnding": self.line_ending, "columnDelimiter": self.delimiter}


@dataclass(slots=True)
class _Tally:
    """What a job's work has come to so far; counted by the one thread that works."""

    watch: Stopwatch
    lines_done: int = 0
    rows: int = 0
    failed: int = 0
    active_ms: int = 0
    batches: int = 0

    def facts(self) -> dict[str, object]:
        return {
            "rows": self.rows,
            "failed": self.failed,
            "lines_done": self.lines_done,
            "active_ms": self.active_ms,
            "milliseconds": self.watch.milliseconds,
        }


def load(org: Org, job: IngestJob) -> None:
    """Do a job. Whatever stops it is told in the job, as Salesforce does; what is done by then stays done."""
    org.jobs.change(job.id, state="InProgress")
    tally = _Tally(Stopwatch(job_ms=org.config.job_ms, job_ms_per_10k=org.config.job_ms_per_10k))
    try:
        _load(org, job, tally)
    except BadUploadError as reason:
        org.jobs.change(job.id, state="Failed", error=str(reason))
    except Exception as reason:  # noqa: BLE001  # the gate of the background thread: nobody else would see it
        org.jobs.change(job.id, state="Failed", error=f"InternalServerError : {reason}")
    finally:
        org.jobs.note(job.id, **tally.facts())


def _load(org: Org, job: IngestJob, tally: _Tally) -> None:
    jobs = org.jobs
    marks = {"delimiter": DELIMITERS[job.delimiter], "line_ending": LINE_ENDINGS[job.line_ending]}
    writer = Writer(org, job.user_id)
    with (
        Sheet(jobs.path_of(job.id, "csv"), delimiter=marks["delimiter"], line_ending=job.line_ending) as sheet,
        Outcomes(jobs.path_of(job.id, "success"), jobs.path_of(job.id, "failed"), **marks) as outcomes,
    ):
        plan = plan_of(job.operation, org.sobject(job.sobject), header=sheet.header, key=job.external_id, writer=writer)
        write = _batch_writer(writer, plan)
        tally.lines_done = sheet.header_lines
        for batch in sheet.batches():
            if not _goes_on(org, job, tally):
                return
            _load_batch(job, batch, tally, write=write, plan=plan, outcomes=outcomes)
            jobs.note(job.id, **tally.facts())
            if tally.batches % BATCHES_PER_FOLDING == 0:
                org.store.database.fold()
    if jobs.checkpoint(job.id, wait_s=tally.watch.left_s(tally.rows, is_end=True), batches=tally.batches):
        jobs.change(job.id, state="JobComplete", **tally.facts())


def _goes_on(org: Org, job: IngestJob, tally: _Tally) -> bool:
    """Whether the next batch is to be done; waits while the job is ahead of its time.
    Raises: BadUploadError when the day's batches are used up.
    """
    wait_s = tally.watch.left_s(tally.rows, is_end=False)
    if not org.jobs.checkpoint(job.id, wait_s=wait_s, batches=tally.batches):
        return False
    try:
        org.limits.spend_batches(1)
    except ApiError as reason:
        raise BadUploadError("ExceededQuota : ApiBatchItems Limit exceeded.") from reason
    return True


def _batch_writer(writer: Writer, plan: Plan) -> Callable[[Rows], Iterable[Saved]]:
    """The quick way where it leads to the same, else the careful one."""
    quick = quick_of(writer, plan)

    def write(rows: Rows) -> Iterable[Saved]:
        saved = quick.write(rows) if quick and rows else None
        return write_rows(writer, plan, rows=rows) if saved is None else saved

    return write


def _load_batch(
    job: IngestJob, batch: Batch, tally: _Tally, *, write: Callable[[Rows], Iterable[Saved]], plan: Plan, outcomes: Outcomes
) -> None:
    began_ms = tally.watch.milliseconds
    good = [row for index, row in enumerate(batch.rows) if index not in batch.errors] if batch.errors else batch.rows
    tally.failed += _record(job, zip(good, write(good), strict=True), plan, outcomes=outcomes)
    outcomes.fail([("", _unread(batch.errors[at]), *[""] * len(plan.columns)) for at in sorted(batch.errors)])
    tally.failed += len(batch.errors)
    tally.rows += len(batch.rows)
    tally.lines_done += batch.lines
    tally.batches += 1
    tally.active_ms += tally.watch.milliseconds - began_ms


def _record(job: IngestJob, written: Iterator[tuple[Sequence[str], Saved]], plan: Plan, *, outcomes: Outcomes) -> int:
    """Write outcomes down; how many are failures."""
    good: list[Sequence[str]] = []
    bad: list[Sequence[str]] = []
    shows_id = plan.operation != "insert" and float(job.version) >= IDS_OF_FAILED_SINCE
    at = next((at for at, column in enumerate(plan.columns) if column.field.type == "id"), None) if shows_id else None
    for row, saved in written:
        if saved.error is None:
            good.append((saved.id or "", "true" if saved.created else "false", *row))
        else:
            bad.append((_id_of(row, at), failure(saved.error), *row))
    outcomes.succeed(good)
    outcomes.fail(bad)
    return len(bad)


def _id_of(row: Sequence[str], at: int | None) -> str:
    return to_18(row[at]) if at is not None and is_valid(row[at]) else ""


def _unread(message: str) -> str:
    """The error of a row that could not be read; its values are not shown, as in answers of real orgs."""
    return failure(ApiError(400, "INVALID_FIELD", message, fields=()))
