"""The Bulk API 2.0 jobs of one org: kept, run in the background, held or ended on order, forgotten with age.

States: Open (ingest only) -> UploadComplete -> InProgress -> JobComplete | Failed; Aborted from the first three. A job never goes
back, and what is final stays so.
"""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, ClassVar, TypeVar

from halocline.emulator.clock import stamp
from halocline.emulator.errors import ApiError, not_found
from halocline.emulator.faults import orders
from halocline.emulator.ids import to_18

if TYPE_CHECKING:
    from halocline.emulator.clock import Clock

# Source for delimiters, line endings, states and ages: Bulk API 2.0 and Bulk API Developer Guide, "Create a Job", "Get Job Info"
# and "Bulk API Limits and Allocations", read November 2026.
DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
FINAL_STATES = ("JobComplete", "Failed", "Aborted")
OPEN_AT_MOST = timedelta(hours=24)
KEPT_FOR = timedelta(days=7)  # after its end a job and its results are gone
JOBS_AT_ONCE = 4

_J = TypeVar("_J", bound="Job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is now; every change makes a new one.

    `rows` counts the records processed so far, `milliseconds` how long the work took.
    """

    job_type: ClassVar[str]

    id: str
    operation: str
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

    def info(self) -> dict[str, object]:
        """The job as the answer to its creation shows it."""
        return {
            "id": self.id,
            "operation": self.operation,
            "object": self.sobject,
            "createdById": self.user_id,
            "createdDate": wire_stamp(self.created),
            "systemModstamp": wire_stamp(self.changed),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
        }

    def full_info(self) -> dict[str, object]:
        """The job as later answers show it."""
        return self.info() | {"jobType": self.job_type}


@dataclass(frozen=True, slots=True)
class _Doom:
    state: str
    message: str
    job_id: str | None
    after_batches: int

    def strikes(self, job: Job, batches: int) -> bool:
        return self.job_id in (None, job.id) and batches >= self.after_batches


class Jobs:
    """The jobs of one org, and the threads that run them. Safe to use from any thread.

    A job's work calls `checkpoint` before each piece of work and stops when that says no.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._dooms: list[_Doom] = []
        self._working: set[str] = set()
        self._held = False
        self._stuck: dict[str, str] = {}  # job -> the fault's rule that keeps it from going on
        self._closing = False
        self._changed = Condition()
        self._pool = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="bulk-job")

    def add(self, job: Job) -> None:
        """Keep a new job."""
        with self._changed:
            self._jobs[job.id] = job

    def start(self, job: _J, work: Callable[[_J], None]) -> None:
        """Do a job's work in the background."""
        with self._changed:
            if rule := orders.stuck_by():
                self._stuck[job.id] = rule
            if fate := orders.fate():
                self._dooms.append(_Doom(fate.state, fate.message, job.id, fate.after_batches))
        self._pool.submit(self._work, job, orders.carried(work))

    def get(self, job_id: str, kind: type[_J]) -> _J:
        """The job of that kind and id, of 15 or 18 characters.
        Raises: ApiError(404, NOT_FOUND) if there is none.
        """
        with self._changed:
            self._age()
            found = self._jobs.get(job_id) or next((job for key, job in self._jobs.items() if key[:15] == job_id), None)
        if not isinstance(found, kind):
            raise not_found()
        return found

    def all(self, job_type: str | None = None) -> list[Job]:
        """All jobs (`V2Query`, `V2Ingest`, or both), oldest first."""
        with self._changed:
            self._age()
            return [job for job in self._jobs.values() if job_type in (None, job.job_type)]

    def change(self, job_id: str, **changes: object) -> bool:
        """Give a job new values, and its stamp; whether it took them: one that is final or gone does not."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.state in FINAL_STATES:
                return False
            self._jobs[job_id] = replace(job, changed=self._clock.now(), **changes)  # type: ignore[arg-type]  # Job's own fields
            self._changed.notify_all()
            return True

    def swap(self, job: Job, **changes: object) -> bool:
        """Change a job only if it is still exactly this one, so that of two requests at once one wins; whether it was."""
        with self._changed:
            return self._jobs.get(job.id) is job and self.change(job.id, **changes)

    def note(self, job_id: str, **facts: object) -> None:
        """Write down what the work has come to, also of a job that was ended from outside."""
        with self._changed:
            if job := self._jobs.get(job_id):
                self._jobs[job_id] = replace(job, **facts)  # type: ignore[arg-type]  # Job's own fields

    def settle(self, job_id: str) -> None:
        """Wait until nobody works on a job any more: one that is final may still write its results down."""
        with self._changed:
            self._changed.wait_for(lambda: job_id not in self._working or self._closing)

    def remove(self, job_id: str) -> None:
        """Forget a job and its files."""
        with self._changed:
            self._jobs.pop(job_id, None)
            self._changed.notify_all()
        for path in self._folder.glob(f"{job_id}.*"):
            path.unlink(missing_ok=True)

    def path_of(self, job_id: str, ending: str) -> Path:
        """Where a file of a job lies."""
        return self._folder / f"{job_id}.{ending}"

    def checkpoint(self, job_id: str, *, wait_s: float = 0.0, batches: int = 0) -> bool:
        """Whether a job's work goes on, asked after so many `batches`; waits so long first, and while jobs are held."""

        def is_over() -> bool:
            self._strike(job_id, batches)
            return self._is_over(job_id)

        with self._changed:
            self._changed.wait_for(is_over, timeout=wait_s)
            self._changed.wait_for(lambda: is_over() or not (self._held or job_id in self._stuck))
            return not is_over()

    @property
    def held(self) -> bool:
        """Whether jobs are held."""
        return self._held

    def hold(self) -> None:
        """All jobs stand still before their next piece of work, new ones too, in state InProgress, until `release`."""
        with self._changed:
            self._held = True

    def release(self) -> None:
        """Let held jobs go on."""
        with self._changed:
            self._held = False
            self._stuck.clear()
            self._changed.notify_all()

    def let_go(self, rule_id: str) -> None:
        """Let the jobs go on that a fault's rule has made stand still."""
        with self._changed:
            self._stuck = {job_id: rule for job_id, rule in self._stuck.items() if rule != rule_id}
            self._changed.notify_all()

    def doom(self, state: str, message: str, *, job_id: str | None = None, after_batches: int = 0) -> None:
        """End a job in `state` (Failed or Aborted) with `message` as its errorMessage: the one of that id, else the next to work.

        It ends once it has done `after_batches` batches of 10,000 records, which stay done, even while jobs are held.
        Raises: ValueError for another state.
        """
        if state not in ("Failed", "Aborted"):
            raise ValueError(f"a job is doomed to Failed or Aborted, not {state}")
        with self._changed:
            self._dooms.append(_Doom(state, message, job_id and to_18(job_id), after_batches))
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all jobs, and every order to hold or doom one; returns when no work is under way any more."""
        with self._changed:
            self._held = False
            self._dooms.clear()
            self._stuck.clear()
            for job_id in tuple(self._jobs):
                self.remove(job_id)
            self._changed.wait_for(lambda: not self._working)

    def close(self) -> None:
        """Stop all work and wait for it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, job: _J, work: Callable[[_J], None]) -> None:
        with self._changed:
            self._working.add(job.id)
        try:
            work(job)
        finally:
            with self._changed:
                self._working.discard(job.id)
                self._changed.notify_all()

    def _is_over(self, job_id: str) -> bool:
        job = self._jobs.get(job_id)
        return self._closing or job is None or job.state in FINAL_STATES

    def _strike(self, job_id: str, batches: int) -> None:
        job = self._jobs.get(job_id)
        doom = next((one for one in self._dooms if job and one.strikes(job, batches)), None)
        if doom and self.change(job_id, state=doom.state, error=doom.message):
            self._dooms.remove(doom)

    def _age(self) -> None:
        now = self._clock.now()
        for job in tuple(self._jobs.values()):
            if job.state == "Open" and now - job.created > OPEN_AT_MOST:
                self.change(job.id, state="Aborted")
            elif job.state in FINAL_STATES and now - job.changed > KEPT_FOR:
                self.remove(job.id)


class Stopwatch:
    """How long a job has worked, and how long it still has to seem to: never shorter than the settings say."""

    def __init__(self, *, job_ms: int, job_ms_per_10k: int) -> None:
        self._began = time.monotonic()
        self._job_ms = job_ms
        self._ms_per_row = job_ms_per_10k / 10_000

    @property
    def milliseconds(self) -> int:
        """Since the work began."""
        return round((time.monotonic() - self._began) * 1000)

    def left_s(self, rows: int, *, is_end: bool) -> float:
        """Seconds to wait after so many rows, at the end of the job or before it."""
        wanted_ms = max(self._ms_per_row * rows, self._job_ms if is_end else 0)
        return max(0.0, wanted_ms / 1000 - (time.monotonic() - self._began))


def new_job_id() -> str:
    """An id with the key prefix of jobs."""
    return to_18("750" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12)))


def wire_stamp(moment: datetime) -> str:
    """`2018-12-18T22:51:36.000+0000`, as job answers write it."""
    return stamp(moment).removesuffix("Z") + "+0000"


def check_version(version: str, first: float) -> None:
    """Raises: ApiError(404) before the resource's first API version."""
    if float(version) < first:
        raise not_found()


def chosen(wanted: dict[str, object], name: str, *, allowed: tuple[str, ...], default: str | None) -> str:
    """The value of a setting that has a few allowed values.
    Raises: ApiError(400, API_ERROR) in the words that real orgs answer for a value outside an enumeration.
    """
    value = wanted.get(name, default)
    if value not in allowed:
        raise ApiError(400, "API_ERROR", f"Invalid value: '{'' if value is None else value}' supplied for property: '{name}'")
    return str(value)


def wrong_state(message: str) -> ApiError:
    """A job is not in a state that allows what is asked."""
    return ApiError(400, "INVALIDJOBSTATE", message)
