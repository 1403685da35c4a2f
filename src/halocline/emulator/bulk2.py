"""Bulk API 2.0 query jobs: created, run in the background, read in pages.

States: UploadComplete -> InProgress -> JobComplete | Failed; Aborted from the first two. A job never goes back.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv
from pyarrow import ipc

from halocline.emulator.clock import stamp
from halocline.emulator.errors import ApiError, not_found
from halocline.emulator.ids import to_18
from halocline.emulator.query import prepare
from halocline.emulator.wire import SLICE_BYTES, Answer, Ask, empty_answer, json_answer

if TYPE_CHECKING:
    from halocline.emulator.query import PreparedQuery

# Source for versions, delimiters, states and pages: Bulk API 2.0 and Bulk API Developer Guide, "Query", read November 2026.
FIRST_VERSION, FIRST_PAGES_VERSION = 47.0, 58.0
DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
PAGES_LISTED = 5  # result pages in one answer of resultPages
JOBS_LISTED = 1_000
FINAL_STATES = ("JobComplete", "Failed", "Aborted")
KEPT_ROWS = 10_000  # rows of one Arrow batch on disk: a page starts inside a batch at most this far from its border
JOBS_AT_ONCE = 4
_ORDERED = re.compile(r"\b(ORDER\s+BY|LIMIT)\b", re.IGNORECASE)  # what keeps Salesforce from splitting a query by Id


@dataclass(frozen=True, slots=True)
class Job:
    """A query job as it is now; every change makes a new one. `milliseconds` is how long the work took."""

    id: str
    operation: str
    soql: str
    sobject: str
    user_id: str
    version: str
    created: datetime
    changed: datetime
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    state: str = "UploadComplete"
    rows: int = 0
    milliseconds: int = 0
    error: str | None = None
    results: Results | None = None
    stop: Event = field(default_factory=Event, compare=False)

    def info(self) -> dict[str, object]:
        """The job as the answer to its creation shows it."""
        return {
            "id": self.id,
            "operation": self.operation,
            "object": self.sobject,
            "createdById": self.user_id,
            "createdDate": _wire(self.created),
            "systemModstamp": _wire(self.changed),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
        }

    def full_info(self) -> dict[str, object]:
        """The job as later answers show it."""
        more: dict[str, object] = {
            "jobType": "V2Query",
            "numberRecordsProcessed": self.rows,
            "retries": 0,
            "totalProcessingTime": self.milliseconds,
            "isPkChunkingSupported": _ORDERED.search(self.soql) is None,
        }
        return self.info() | more | ({"errorMessage": self.error} if self.error else {})


class Results:
    """The rows of a finished job: an Arrow file, so that any page can be cut out while memory stays flat."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._path = path
        self._columns = columns
        self._starts = [0]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._starts[-1]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._path.stat().st_size

    def fill(self, batches: Iterator[pa.RecordBatch], *, keep_on: Callable[[], bool]) -> None:
        """Keep all rows, null as the empty text; stops early when `keep_on` says no."""
        schema = pa.schema([(name, pa.string()) for name in self._columns])
        with ipc.new_file(self._path, schema) as writer:
            for batch in _filled(batches, schema):
                if not keep_on():
                    return
                writer.write_batch(batch)
                self._starts.append(self._starts[-1] + batch.num_rows)

    def page(self, start: int, end: int, *, delimiter: str, line_ending: str) -> Iterator[bytes]:
        """CSV of the rows from `start` up to `end`, with a header; every value is quoted."""
        yield (delimiter.join(f'"{name}"' for name in self._columns) + line_ending).encode()
        options = pa_csv.WriteOptions(include_header=False, quoting_style="all_valid", delimiter=delimiter, eol=line_ending)
        for piece in self._pieces(start, end):
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(piece, sink, options)
            yield sink.getvalue().to_pybytes()

    def drop(self) -> None:
        """Forget the rows. A page that is being read keeps its own hold on the file."""
        self._path.unlink(missing_ok=True)

    def _pieces(self, start: int, end: int) -> Iterator[pa.RecordBatch]:
        if start >= end:
            return
        with pa.memory_map(str(self._path)) as source:
            reader = ipc.open_file(source)
            for number in range(bisect_right(self._starts, start) - 1, len(self._starts) - 1):
                base = self._starts[number]
                if base >= end:
                    return
                batch = reader.get_batch(number)
                low = max(start - base, 0)
                yield from _sliced(batch.slice(low, min(end - base, batch.num_rows) - low))


class Jobs:
    """The query jobs of one org, and the threads that run them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="bulk-query")

    def add(self, job: Job, work: Callable[[Job], None]) -> None:
        """Keep a new job and start its work in the background."""
        with self._lock:
            self._jobs[job.id] = job
        self._pool.submit(work, job)

    def get(self, job_id: str) -> Job:
        """The job of that id, of 15 or 18 characters.
        Raises: ApiError(404, NOT_FOUND) if there is none.
        """
        with self._lock:
            found = self._jobs.get(job_id) or next((job for key, job in self._jobs.items() if key[:15] == job_id), None)
        if found is None:
            raise not_found()
        return found

    def all(self) -> list[Job]:
        """All jobs, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def change(self, job_id: str, **changes: object) -> bool:
        """Give a job new values unless it is final or gone; whether it took them."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.state in FINAL_STATES:
                return False
            self._jobs[job_id] = replace(job, **changes)  # type: ignore[arg-type]  # the names are Job's fields
            return True

    def remove(self, job_id: str) -> None:
        """Forget a job and its rows."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
        if job is not None and job.results is not None:
            job.results.drop()

    def path_of(self, job_id: str) -> Path:
        """Where a job's rows lie."""
        return self._folder / f"{job_id}.arrow"

    def close(self) -> None:
        """Stop all work and wait for it."""
        for job in self.all():
            job.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def create(ask: Ask) -> Answer:
    """`POST /jobs/query`: checks the query now, runs it later.
    Raises: ApiError for a bad setting, for SOQL that is wrong and for SOQL that Bulk does not run.
    """
    _check_version(ask, FIRST_VERSION)
    wanted = ask.json()
    operation = _choice(wanted, "operation", ("query", "queryAll"), default=None)
    delimiter = _choice(wanted, "columnDelimiter", tuple(DELIMITERS), default="COMMA")
    line_ending = _choice(wanted, "lineEnding", tuple(LINE_ENDINGS), default="LF")
    _choice(wanted, "contentType", ("CSV",), default="CSV")
    soql = str(wanted.get("query") or "")
    prepared = prepare(ask.org.view, soql, all_rows=operation == "queryAll", bulk=True, user_id=ask.user_id)
    ask.org.limits.spend_query_job()
    now = ask.org.now()
    job = Job(
        id=_job_id(),
        operation=operation,
        soql=soql,
        sobject=prepared.sobject.name,
        user_id=ask.user_id,
        version=ask.version,
        created=now,
        changed=now,
        delimiter=delimiter,
        line_ending=line_ending,
    )
    ask.org.jobs.add(job, lambda new: _run(ask, new, prepared))
    return json_answer(job.info())


def list_jobs(ask: Ask) -> Answer:
    """`GET /jobs/query`: all query jobs, oldest first, a thousand a page."""
    _check_version(ask, FIRST_VERSION)
    kind = ask.query.get("jobType", "V2Query")
    jobs = ask.org.jobs.all() if kind == "V2Query" else []
    start = _offset(ask.query.get("queryLocator"))
    shown, rest = jobs[start : start + JOBS_LISTED], jobs[start + JOBS_LISTED :]
    following = f"/services/data/v{ask.version}/jobs/query?queryLocator={_locator(start + JOBS_LISTED)}" if rest else None
    return json_answer({"done": not rest, "records": [job.full_info() for job in shown], "nextRecordsUrl": following})


def show(ask: Ask) -> Answer:
    """`GET /jobs/query/{id}`."""
    return json_answer(_job(ask).full_info())


def abort(ask: Ask) -> Answer:
    """`PATCH /jobs/query/{id}` with `{"state": "Aborted"}`."""
    job = _job(ask)
    _choice(ask.json(), "state", ("Aborted",), default=None)
    if not ask.org.jobs.change(job.id, state="Aborted", changed=ask.org.now()):
        raise _wrong_state(f"Aborting already {'Completed' if job.state == 'JobComplete' else job.state} Job not allowed")
    job.stop.set()
    return json_answer(ask.org.jobs.get(job.id).full_info())


def delete(ask: Ask) -> Answer:
    """`DELETE /jobs/query/{id}`: only a job that is final."""
    job = _job(ask)
    if job.state not in FINAL_STATES:
        raise _wrong_state("The job must be in one of the following states to be deleted: JobComplete, Aborted, Failed")
    ask.org.jobs.remove(job.id)
    return empty_answer()


def results(ask: Ask) -> Answer:
    """`GET /jobs/query/{id}/results?locator&maxRecords`: one page of CSV, streamed.
    Raises: ApiError 400 before the job is complete or for a bad locator, 409 for another API version than the job's.
    """
    job, rows = _complete_job(ask)
    start = _offset(ask.query.get("locator"))
    if start > rows.rows:
        raise _bad_locator()
    end = min(start + _page_rows(ask), rows.rows)
    charset = ask.org.config.bulk_charset
    headers = (
        ("Sforce-NumberOfRecords", str(end - start)),
        ("Sforce-Locator", _locator(end) if end < rows.rows else "null"),  # the literal text, as Salesforce ends its pages
    )
    body = rows.page(start, end, delimiter=DELIMITERS[job.delimiter], line_ending=LINE_ENDINGS[job.line_ending])
    return Answer(200, body, f"text/csv;charset={charset}" if charset else "text/csv", headers)


def result_pages(ask: Ask) -> Answer:
    """`GET /jobs/query/{id}/resultPages`: up to five pages that can be read at the same time, and where the next five are."""
    _check_version(ask, FIRST_PAGES_VERSION)
    job, rows = _complete_job(ask)
    size = ask.org.config.page_rows
    starts = list(range(_offset(ask.query.get("locator")), max(rows.rows, 1), size))
    root = f"/services/data/v{ask.version}/jobs/query/{job.id}"
    answer: dict[str, object] = {
        "resultPages": [{"resultUrl": f"{root}/results?locator={_locator(start)}"} for start in starts[:PAGES_LISTED]],
        "done": len(starts) <= PAGES_LISTED,
    }
    if len(starts) > PAGES_LISTED:
        answer["nextRecordsUrl"] = f"{root}/resultpages?locator={_locator(starts[PAGES_LISTED])}"
    return json_answer(answer)


def _run(ask: Ask, job: Job, prepared: PreparedQuery) -> None:
    """The work of a job. Whatever stops it is told in the job, as Salesforce does."""
    began = time.monotonic()
    jobs = ask.org.jobs
    jobs.change(job.id, state="InProgress", changed=ask.org.now())
    rows = Results(jobs.path_of(job.id), prepared.columns)
    try:
        rows.fill(prepared.batches(), keep_on=lambda: not job.stop.is_set())
    except Exception as reason:  # noqa: BLE001  # the gate of the background thread: nobody else would see it
        jobs.change(job.id, state="Failed", changed=ask.org.now(), error=f"InternalServerError : {reason}")
        rows.drop()
        return
    job.stop.wait(max(0.0, ask.org.config.job_ms / 1000 - (time.monotonic() - began)))
    spent_ms = round((time.monotonic() - began) * 1000)
    done = {"state": "JobComplete", "changed": ask.org.now(), "rows": rows.rows, "milliseconds": spent_ms, "results": rows}
    if not job.stop.is_set() and jobs.change(job.id, **done):
        ask.org.limits.add_result_bytes(rows.size)
    else:
        rows.drop()


def _job(ask: Ask) -> Job:
    _check_version(ask, FIRST_VERSION)
    return ask.org.jobs.get(ask.params["job"])


def _complete_job(ask: Ask) -> tuple[Job, Results]:
    job = _job(ask)
    if job.version != ask.version:  # status documented; code and words unverified
        raise ApiError(409, "API_ERROR", f"The job was created with API version {job.version}, not {ask.version}")
    if job.state != "JobComplete" or job.results is None:  # status documented; words unverified
        raise _wrong_state(f"Results are available only for a job in state JobComplete; this job is {job.state}")
    return job, job.results


def _check_version(ask: Ask, first: float) -> None:
    if float(ask.version) < first:
        raise not_found()


def _choice(wanted: dict[str, object], name: str, allowed: tuple[str, ...], *, default: str | None) -> str:
    value = wanted.get(name, default)
    if value not in allowed:  # the code for a bad setting is unverified
        raise ApiError(400, "INVALIDJOB", f"{name} must be one of {', '.join(allowed)}, not {value}")
    return str(value)


def _wrong_state(message: str) -> ApiError:
    return ApiError(400, "INVALIDJOBSTATE", message)


def _bad_locator() -> ApiError:
    return ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")  # code unverified for Bulk 2.0


def _page_rows(ask: Ask) -> int:
    asked = ask.query.get("maxRecords")
    if asked is None:
        return ask.org.config.page_rows
    if not asked.isdecimal() or int(asked) < 1:
        raise ApiError(400, "INVALIDJOB", f"maxRecords must be a positive number, not {asked}")  # code unverified
    return int(asked)


def _locator(row: int) -> str:
    """Salesforce's samples are the base64 of a row number without padding."""
    return base64.urlsafe_b64encode(str(row).encode()).decode().rstrip("=")


def _offset(locator: str | None) -> int:
    if not locator:
        return 0
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode("ascii")
    except (binascii.Error, ValueError) as reason:
        raise _bad_locator() from reason
    if not text.isdecimal():
        raise _bad_locator()
    return int(text)


def _job_id() -> str:
    return to_18("750" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12)))


def _wire(moment: datetime) -> str:
    return stamp(moment).removesuffix("Z") + "+0000"


def _filled(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches in pieces of at most KEPT_ROWS rows, null as the empty text."""
    for batch in batches:
        columns = [pc.fill_null(column.cast(pa.string()), "") for column in batch.columns]
        whole = pa.RecordBatch.from_arrays(columns, schema=schema)
        for start in range(0, whole.num_rows, KEPT_ROWS):
            yield whole.slice(start, KEPT_ROWS)


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of about SLICE_BYTES bytes."""
    rows = max(1, SLICE_BYTES * batch.num_rows // max(batch.nbytes, 1))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)
