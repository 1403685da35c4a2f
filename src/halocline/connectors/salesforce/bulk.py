"""Bulk API 2.0 query jobs: created once, watched, listed in pages, deleted when their rows are durable.

    UploadComplete -> InProgress -> JobComplete          read the pages
                                 -> Failed | Aborted     JobFailed, with Salesforce's words
                   (our patience ends)                   StillRunning: the job goes on, nothing is aborted

Source: Bulk API 2.0 and Bulk API Developer Guide, "Query Jobs"; read November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from halocline import events
from halocline.connectors.salesforce.transport import Transport
from halocline.errors import FixConfig, HaloclineError, JobFailed, NotFound, NotSupported, RetryLater, StillRunning, Truncated
from halocline.quantity import quantity
from halocline.retry import Pace

FIRST_WITH_PAGES = 58.0  # API version; Bulk API 2.0 and Bulk API Developer Guide, "Get Parallel Results for a Query Job"
POLL_S, MAX_POLL_S = 0.1, 10.0  # a small job takes under a second, a large one minutes
POLL_GROWTH = 1.1  # a job's end is seen at most a tenth of its length too late; a minute's job takes about forty looks
DEADLINE_S = 3_600.0  # seconds that a job is waited for
CREATIONS = 3  # tries to create a job whose replies get lost
_JOBS = "jobs/query"
_UNSUPPORTED = frozenset({"INVALIDENTITY", "InvalidEntity"})
_UNSUPPORTED_WORDS = ("not supported by the bulk api", "not supported in bulk query")


class BulkUnsupported(NotSupported):
    """Bulk API 2.0 does not query this object, or not in this way; REST may."""

    def __init__(self, doing: str, cause: str, *, hint: str = "", code: str | None = None, **facts: object) -> None:
        super().__init__(doing, cause, ability="bulk", hint=hint, code=code, **facts)


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A job that is complete, and the rows it says it has."""

    id: str
    rows: int


@dataclass(frozen=True, slots=True)
class _Created:
    """A job of ours. `adopted`: its creation's reply was lost and it was found in the list; it shows no query there."""

    id: str
    adopted: bool = False


class Book(Protocol):
    """Where the making of a job is written down, so that it is not forgotten with the process."""

    def intend(self) -> None:
        """A job is about to be created."""

    def made(self, job_id: str) -> None:
        """It was, and this is its id; the last one told is the one that is read."""

    def refused(self) -> None:
        """It was not, and nothing is in doubt: not of any earlier try either."""


class _NoBook:
    """Writes nothing down."""

    def intend(self) -> None:
        pass

    def made(self, job_id: str) -> None:
        pass

    def refused(self) -> None:
        pass


class BulkQuery:
    """Query jobs of one org. `deadline_s` bounds the wait for one job; `sink` is told how it goes."""

    def __init__(
        self,
        transport: Transport,
        *,
        deadline_s: float = DEADLINE_S,
        sink: events.Sink = events.silent,
        pace: Pace = Pace(),  # noqa: B008  # frozen, and holds functions only
    ) -> None:
        self._transport = transport
        self._deadline_s = deadline_s
        self._sink = sink
        self._pace = pace

    def run(
        self,
        soql: str,
        *,
        sobject: str,
        include_deleted: bool = False,
        count: Callable[[], int] | None = None,
        book: Book | None = None,
    ) -> FinishedJob:
        """Create one job for the query and wait until it is complete; `book` hears of it before and after.

        When the reply to the creation is lost, the job is looked for in the list and adopted. The list shows no query text, so
        an adopted job is believed only if it has as many rows as `count` says; else another is created.
        Raises: BulkUnsupported, JobFailed, StillRunning, and what the transport raises.
        """
        with self._transport.turn(f"Waiting for a turn to query {sobject} by Bulk"):
            book, operation = book or _NoBook(), "queryAll" if include_deleted else "query"
            create = partial(self._create, soql, sobject=sobject, operation=operation, book=book)
            created = create(may_adopt=count is not None)
            finished = self.wait(created.id)
            if created.adopted and (count is None or count() != finished.rows):
                created = create(may_adopt=False, doubtful=True)
                finished = self.wait(created.id)
            elif created.adopted:
                book.made(created.id)  # only now is it sure to be ours
            return finished

    def take(self, job_id: str, *, sobject: str) -> FinishedJob:
        """Wait, in turn, until a job that is there already is complete. Raises: as `wait`."""
        with self._transport.turn(f"Waiting for a turn to query {sobject} by Bulk"):
            return self.wait(job_id)

    def look(self, job_id: str) -> Mapping[str, Any] | None:
        """A job as Salesforce shows it now; None when it is gone, or not this user's to see."""
        try:
            return self._info(job_id)
        except (FixConfig, JobFailed):
            return None

    def wait(self, job_id: str) -> FinishedJob:
        """Watch a job until it is complete, more and more patiently.

        Raises: JobFailed with Salesforce's message; StillRunning after the deadline - the job is neither aborted nor deleted.
        """
        started, pause_s = self._pace.clock(), POLL_S
        while True:
            info = self._info(job_id)
            state, rows = str(info["state"]), int(info.get("numberRecordsProcessed") or 0)
            self._sink(events.JobProgress(job_id, state, rows))
            if state == "JobComplete":
                return FinishedJob(job_id, rows)
            if state in ("Failed", "Aborted"):
                raise _failed(job_id, state, info)
            left_s = self._deadline_s - (self._pace.clock() - started)
            if left_s <= 0:
                raise _still_running(job_id, state, deadline_s=self._deadline_s)
            self._pace.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * POLL_GROWTH, MAX_POLL_S)

    def pages(self, job_id: str) -> Iterator[str] | None:
        """The addresses of a complete job's result pages, which may be read at the same time; None where there is no such list.

        The guide calls the link to more of them `nextRecordsUrl` in its sample and `nextRecordUrl` in its table.
        """
        if float(self._transport.version) < FIRST_WITH_PAGES:
            return None
        doing = f"Listing the result pages of job {job_id}"
        reply = self._transport.send("GET", f"{_JOBS}/{job_id}/resultPages", accept=(200, 404, 405), doing=doing)
        return self._follow(reply.object("resultPages"), doing) if reply.status == 200 else None

    def first_page(self, job_id: str, locator: str | None = None) -> str:
        """The address of a job's page at `locator` (None: the first), for orgs without a list of pages."""
        return f"{_JOBS}/{job_id}/results" + (f"?locator={locator}" if locator else "")

    def delete(self, job_id: str) -> None:
        """Delete a finished job and its results. Idempotent: a job that is gone is deleted."""
        self._transport.send("DELETE", f"{_JOBS}/{job_id}", accept=(200, 204, 404), doing=f"Deleting job {job_id}")

    def _info(self, job_id: str) -> Mapping[str, Any]:
        doing = f"Watching job {job_id}"
        try:
            info: Mapping[str, Any] = self._transport.send("GET", f"{_JOBS}/{job_id}", doing=doing).object("state")
        except NotFound as error:
            raise JobFailed(doing, "the job is gone; somebody deleted it", code=error.code, job_id=job_id) from error
        return info

    def _create(
        self, soql: str, *, sobject: str, operation: str, may_adopt: bool, book: Book, doubtful: bool = False
    ) -> _Created:
        """A new job, written down; after a lost reply the one that was made, where it can be told apart.

        `doubtful`: an earlier try may have made one.
        """
        book.intend()
        post = partial(self._post, soql, sobject=sobject, operation=operation)
        look = partial(self.made_between, sobject=sobject, operation=operation) if may_adopt else None
        created = self._created(post, look, book=book, doubtful=doubtful)
        if not created.adopted:
            self._write_down(created.id, book)
        return created

    def _write_down(self, job_id: str, book: Book) -> None:
        """Raises: what the book raises; the job, which nobody will know then, is deleted if Salesforce lets go of it already."""
        try:
            book.made(job_id)
        except HaloclineError:
            with suppress(HaloclineError):
                self.delete(job_id)
            raise

    def _created(
        self, post: Callable[[], str], look: Callable[[datetime], list[str]] | None, *, book: Book, doubtful: bool
    ) -> _Created:
        """Try until a reply comes; a refusal is booked only where no earlier try is in doubt, for its job may be there."""
        since, tries = self._transport.server_time, CREATIONS
        while True:
            tries -= 1
            try:
                return _Created(post())
            except HaloclineError as error:
                doubtful = doubtful or bool(error.facts.get("in_doubt"))
                if not doubtful:
                    book.refused()
                if not tries or not _may_have_worked(error):
                    raise
            found = look(since) if look and since else []
            if len(found) == 1:
                return _Created(found[0], adopted=True)

    def _post(self, soql: str, *, sobject: str, operation: str) -> str:
        wanted = {"operation": operation, "query": soql, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}
        doing = f"Creating a Bulk query job for {sobject}"
        try:
            return str(self._transport.send("POST", _JOBS, json=wanted, doing=doing, safe=False).object("id")["id"])
        except FixConfig as error:
            if error.code in _UNSUPPORTED or any(words in error.cause.lower() for words in _UNSUPPORTED_WORDS):
                raise BulkUnsupported(doing, error.cause, code=error.code) from error
            raise

    def made_between(self, since: datetime, until: datetime | None = None, *, sobject: str, operation: str) -> list[str]:
        """The ids of this user's jobs that look like ours and were created from `since` (the server's clock) on."""
        user = self.user()
        wanted = {"object": sobject, "operation": operation, "createdById": user}
        found = []
        for info in self._listed():
            same = all(str(info.get(key, "")).lower() == value.lower() for key, value in wanted.items())
            made = datetime.fromisoformat(str(info["createdDate"]))
            in_time = since.replace(microsecond=0) <= made and (until is None or made <= until)
            if same and user and in_time and info.get("state") not in ("Failed", "Aborted"):
                found.append(str(info["id"]))
        return found

    def user(self) -> str:
        """The id of the user whose session this is; empty where Salesforce does not tell, and then nothing is adopted."""
        try:
            told = self._transport.send("GET", "/services/oauth2/userinfo", doing="Asking who we are").json()
        except HaloclineError:
            return ""
        return str(told.get("user_id") or "")

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        """All query jobs of the org that are kept (seven days), in no order to rely on."""
        doing = "Listing query jobs"
        answer = self._transport.send("GET", _JOBS, params={"jobType": "V2Query"}, doing=doing).object("records")
        seen: set[str] = set()
        while True:
            yield from answer["records"]
            link = answer.get("nextRecordsUrl")
            if answer.get("done", True) or not link or link in seen:
                return
            seen.add(link)
            answer = self._transport.send("GET", link, doing=doing).object("records")

    def _follow(self, answer: Mapping[str, Any], doing: str) -> Iterator[str]:
        seen: set[str] = set()
        while True:
            for page in answer["resultPages"]:
                yield str(page["resultUrl"])
            link = answer.get("nextRecordsUrl") or answer.get("nextRecordUrl")
            if answer.get("done", not link):
                return
            if not link or link in seen:  # a link that comes back would go round for ever
                raise Truncated(doing, "there are more pages, but no way to them")
            seen.add(str(link))
            answer = self._transport.send("GET", str(link), doing=doing).object("resultPages")


def _may_have_worked(error: HaloclineError) -> bool:
    """Whether nobody knows what became of a call that may be made again."""
    return isinstance(error, RetryLater) and bool(error.facts.get("in_doubt")) and not error.facts.get("permanent")


def _failed(job_id: str, state: str, info: Mapping[str, Any]) -> JobFailed:
    told = str(info.get("errorMessage") or "Salesforce gave no message")
    cause = f"Bulk API job failed with state: {state} ({told})"  # the first words are those that the LHT document shows
    return JobFailed(f"Waiting for job {job_id}", cause, job_id=job_id, state=state)


def _still_running(job_id: str, state: str, *, deadline_s: float) -> StillRunning:
    hint = "The job goes on; run again later, or wait longer (JOB_DEADLINE_S of IntelligentSync)."
    cause = f"after {quantity(round(deadline_s), 'second')} it is still in state {state}"
    return StillRunning(f"Waiting for job {job_id}", cause, hint=hint, job_id=job_id, state=state)
