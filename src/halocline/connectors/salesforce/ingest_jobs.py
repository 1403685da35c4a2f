"""Bulk API 2.0 ingest jobs, one call at a time: created, given one file, closed, watched, aborted, listed, read.

    Open -> (upload) -> UploadComplete -> InProgress -> JobComplete      rows written or refused, one by one
                                                     -> Failed | Aborted some rows may be written, the rest is unprocessed

Until a job is closed nothing of it is processed, so creation and upload may be repeated with another job; `close` is the point
of no return, and after a lost answer the job itself says whether it was closed.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Bulk API 2.0 Ingest"; read November 2026.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halocline.connectors.salesforce.bulk import MAX_POLL_S, POLL_GROWTH, POLL_S
from halocline.connectors.salesforce.collections import Operation, Order
from halocline.connectors.salesforce.pages import FETCHES, exact_rows
from halocline.connectors.salesforce.transport import Transport
from halocline.errors import HaloclineError, JobFailed, NetworkFailed, NotFound, RetryLater, StillRunning, Truncated
from halocline.quantity import quantity
from halocline.retry import Pace, Policy, retry
from halocline.spool import arriving, storage

AGAIN = Policy(attempts=4, base_s=1.0, cap_s=20.0, budget_s=3_600.0)  # jobs begun for one file, and tries to close one
ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
_JOBS = "jobs/ingest"


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as Salesforce last told of it. `processed` counts the rows tried, `failed` those of them that were refused.

    `created` is an instant as Salesforce spells it; `message` is why a job failed as a whole.
    """

    id: str
    state: str
    operation: str = ""
    sobject: str = ""
    processed: int = 0
    failed: int = 0
    message: str = ""
    created: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def stands(self, before: JobInfo | None) -> bool:
        """Whether its counts are final: what was under way when a job was stopped may still be counted, until two looks agree."""
        return self.state == "JobComplete" or (self.ended and self == before)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> JobInfo:
        """The job behind Salesforce's JSON."""
        return cls(
            id=str(told["id"]),
            state=str(told.get("state") or ""),
            operation=str(told.get("operation") or ""),
            sobject=str(told.get("object") or ""),
            processed=int(told.get("numberRecordsProcessed") or 0),
            failed=int(told.get("numberRecordsFailed") or 0),
            message=str(told.get("errorMessage") or ""),
            created=str(told.get("createdDate") or ""),
        )


class IngestJobs:
    """The ingest jobs of one org."""

    def __init__(self, transport: Transport, *, pace: Pace = Pace()) -> None:  # noqa: B008  # frozen, and holds functions only
        self._transport = transport
        self._pace = pace

    def create(self, order: Order) -> JobInfo:
        """A new job, open for its file. When the answer is lost another is created.

        The job whose id was lost stays open and empty, and does nothing. It is not aborted: the list of jobs cannot tell it from
        one that another program of the same user has just created and is about to fill.
        """
        wanted = {
            "object": order.sobject,
            "operation": order.operation.value,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
            **({"externalIdFieldName": order.key} if order.operation is Operation.UPSERT else {}),
        }
        doing = f"Creating a Bulk job to {order.operation.value} {order.sobject}"
        return JobInfo.of(self._transport.send("POST", _JOBS, json=wanted, doing=doing).json())

    def upload(self, order: Order, path: Path, *, created: Callable[[JobInfo], None]) -> JobInfo:
        """A job that has the file, and is still open; `created` is told of each job before anything is sent to it.

        An upload whose answer was lost is not repeated, for a job takes one only: the job is given up and another created.
        """
        return retry(lambda: self._uploaded(order, path, created=created), AGAIN, again=_in_doubt, pace=self._pace)

    def close(self, job_id: str) -> JobInfo:
        """Let Salesforce process the job. After a lost answer the job is asked whether it was closed.

        Raises: RetryLater with `facts["in_doubt"]` when not even that could be found out.
        """
        doubts: list[RetryLater] = []
        return retry(lambda: self._closed(job_id, doubts), AGAIN, again=_in_doubt, pace=self._pace)

    def info(self, job_id: str) -> JobInfo:
        """The job as it is now. Raises: NotFound for a job that is gone, or older than seven days."""
        return JobInfo.of(self._transport.send("GET", f"{_JOBS}/{job_id}", doing=f"Asking for job {job_id}").json())

    def abort(self, job_id: str) -> JobInfo:
        """Stop a job; rows that are written stay written. A job that is aborted already is aborted."""
        doing = f"Aborting job {job_id}"
        try:
            told = self._transport.send("PATCH", f"{_JOBS}/{job_id}", json={"state": "Aborted"}, doing=doing)
        except JobFailed:
            found = self.info(job_id)
            if found.state != "Aborted":
                raise
            return found
        return JobInfo.of(told.json())

    def listed(self) -> Iterator[JobInfo]:
        """The org's ingest jobs that are kept (seven days), those of other users included, in no order to rely on."""
        doing = "Listing ingest jobs"
        answer = self._transport.send("GET", _JOBS, params={"jobType": "V2Ingest"}, doing=doing).json()
        seen: set[str] = set()
        while True:
            yield from map(JobInfo.of, answer["records"])
            link = answer.get("nextRecordsUrl")
            if answer.get("done", True) or not link:
                return
            if link in seen:  # a link that comes back would go round for ever
                raise Truncated(doing, "there are more jobs, but no way to them")
            seen.add(link)
            answer = self._transport.send("GET", link, doing=doing).json()

    def wait(self, job_id: str, *, until_s: float, seen: Callable[[JobInfo], None]) -> JobInfo:
        """The job once it has ended, well or badly, and its counts stand; `seen` is told of every look.

        `until_s` is an instant of the clock. A job that was stopped is looked at beyond it until two looks agree: what is still
        counted was under way, and ends by itself.
        Raises: StillRunning after that - the job is neither aborted nor deleted; JobFailed when the job is gone.
        """
        pause_s, before = POLL_S, None
        while True:
            try:
                info = self.info(job_id)
            except NotFound as error:
                cause = "the job is gone; somebody deleted it"
                raise JobFailed(f"Watching job {job_id}", cause, code=error.code, job_id=job_id) from error
            seen(info)
            if info.stands(before):
                return info
            before = info
            left_s = math.inf if info.ended else until_s - self._pace.clock()
            if left_s <= 0:
                hint = "The job goes on; ask for its results later by its id, or give it a longer time limit."
                cause = f"the time limit is over and it is still in state {info.state}"
                raise StillRunning(f"Waiting for job {job_id}", cause, hint=hint, job_id=job_id, state=info.state)
            self._pace.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * POLL_GROWTH, MAX_POLL_S)

    def download(self, job_id: str, name: str, *, to: Path, rows: int | None) -> Path:
        """A result file (`successfulResults`, `failedResults`, `unprocessedrecords`) as the file `to`, whole.

        Raises: Truncated when it never had its `rows` (None: unknown); NetworkFailed; StorageFailed.
        """
        try:
            retry(lambda: self._download(job_id, name, to=to, rows=rows), FETCHES, again=_spoilt, pace=self._pace)
        except _ShortError as error:
            raise Truncated(error.doing, f"{error.cause}, {FETCHES.attempts} times", job_id=job_id, rows=rows) from error
        return to

    def _uploaded(self, order: Order, path: Path, *, created: Callable[[JobInfo], None]) -> JobInfo:
        job = self.create(order)
        created(job)
        headers, doing = {"Content-Type": "text/csv; charset=UTF-8"}, f"Uploading {path.name} to job {job.id}"
        to = f"{_JOBS}/{job.id}/batches"
        try:
            self._transport.send("PUT", to, content=path, headers=headers, accept=(200, 201), doing=doing, safe=False)
        except HaloclineError:
            self._give_up(job.id)
            raise
        return job

    def _closed(self, job_id: str, doubts: list[RetryLater]) -> JobInfo:
        """One try; from the first lost answer in `doubts` on, whatever goes wrong leaves open whether the job was closed."""
        doing, json = f"Closing job {job_id}", {"state": "UploadComplete"}
        try:
            return JobInfo.of(self._transport.send("PATCH", f"{_JOBS}/{job_id}", json=json, doing=doing, safe=False).json())
        except JobFailed:
            if not doubts:
                raise
        except RetryLater as error:
            if not doubts and not _in_doubt(error):
                raise
            doubts.append(error)
        try:
            found = self.info(job_id)
        except RetryLater as error:
            error.facts["in_doubt"] = True
            raise
        if found.state == "Open":
            raise RetryLater(doing, "it is still open", in_doubt=True, job_id=job_id) from doubts[-1]
        return found

    def _download(self, job_id: str, name: str, *, to: Path, rows: int | None) -> None:
        doing = f"Downloading {name} of job {job_id}"
        with storage(f"Writing {to.name} to the spool folder"), arriving(to) as path:
            lines = 0
            url, accept = f"{_JOBS}/{job_id}/{name}", {"Accept": "text/csv"}
            with self._transport.stream(url, headers=accept, doing=doing) as stream, path.open("wb") as file:
                for piece in stream.chunks():
                    file.write(piece)
                    lines += piece.count(b"\n")
            # as many line ends as rows, and the header's: no value has one, and nothing is missing
            found = rows if rows is None or lines == rows + 1 else exact_rows(path)
            if rows is not None and found != rows:
                raise _ShortError(doing, f"{found:,} of {quantity(rows, 'row')} came", rows=found, announced=rows)

    def _give_up(self, job_id: str) -> None:
        """Abort a job that was never closed; when even that fails it stays open, and nothing of it is ever processed."""
        try:
            self.abort(job_id)
        except HaloclineError:  # the upload's own failure is what the caller must hear of
            return


class _ShortError(RetryLater):
    """A result file came, but not with all its rows."""


def _in_doubt(error: RetryLater) -> bool:
    """Whether a call may be made once more in another way; what Salesforce did not act on was repeated by the transport."""
    return bool(error.facts.get("in_doubt")) and not error.facts.get("permanent")


def _spoilt(error: RetryLater) -> bool:
    """Whether to fetch again: what breaks after the answer's head is not repeated by the transport."""
    return isinstance(error, (_ShortError, NetworkFailed))
