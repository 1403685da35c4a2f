"""Bulk API 2.0 query jobs: created, run in the background, read in pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from halocline.emulator.bulk2.jobs import (
    DELIMITERS,
    FINAL_STATES,
    LINE_ENDINGS,
    Job,
    Stopwatch,
    check_version,
    chosen,
    new_job_id,
    wrong_state,
)
from halocline.emulator.bulk2.locators import bad_locator, listed, locator, offset
from halocline.emulator.errors import ApiError
from halocline.emulator.query import prepare
from halocline.emulator.wire import Answer, Ask, Headers, empty_answer, json_answer

if TYPE_CHECKING:
    from halocline.emulator.bulk2.results import Results
    from halocline.emulator.query import PreparedQuery

# Source for versions and pages: Bulk API 2.0 and Bulk API Developer Guide, "Query", read November 2026.
FIRST_VERSION, FIRST_PAGES_VERSION = 47.0, 58.0
PAGES_LISTED = 5  # result pages in one answer of resultPages
_ORDERED = re.compile(r"\b(ORDER\s+BY|LIMIT)\b", re.IGNORECASE)  # what keeps Salesforce from splitting a query by Id


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryJob(Job):
    """A query job; `results` are there when it is complete."""

    job_type: ClassVar[str] = "V2Query"

    soql: str
    results: Results | None = None

    def info(self) -> dict[str, object]:
        """The job as the answer to its creation shows it."""
        return Job.info(self) | {"lineEnding": self.line_ending, "columnDelimiter": self.delimiter}

    def full_info(self) -> dict[str, object]:
        """The job as later answers show it."""
        more: dict[str, object] = {
            "jobType": self.job_type,
            "numberRecordsProcessed": self.rows,
            "retries": 0,
            "totalProcessingTime": self.milliseconds,
            "isPkChunkingSupported": _ORDERED.search(self.soql) is None,
        }
        return self.info() | more | ({"errorMessage": self.error} if self.error else {})


def create(ask: Ask) -> Answer:
    """`POST /jobs/query`: checks the query now, runs it later.
    Raises: ApiError for a bad setting, for SOQL that is wrong and for SOQL that Bulk does not run.
    """
    check_version(ask.version, FIRST_VERSION)
    wanted = ask.json()
    operation = chosen(wanted, "operation", allowed=("query", "queryAll"), default=None)
    delimiter = chosen(wanted, "columnDelimiter", allowed=tuple(DELIMITERS), default="COMMA")
    line_ending = chosen(wanted, "lineEnding", allowed=tuple(LINE_ENDINGS), default="LF")
    chosen(wanted, "contentType", allowed=("CSV",), default="CSV")
    soql = str(wanted.get("query") or "")
    prepared = prepare(ask.org.view, soql, all_rows=operation == "queryAll", bulk=True, user_id=ask.user_id)
    ask.org.limits.spend_query_job()
    now = ask.org.now()
    job = QueryJob(
        id=new_job_id(),
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
    ask.org.jobs.add(job)
    ask.org.jobs.start(job, lambda new: _run(ask, new, prepared))
    return json_answer(job.info())


def list_jobs(ask: Ask) -> Answer:
    """`GET /jobs/query`: all query jobs, oldest first, a thousand a page."""
    check_version(ask.version, FIRST_VERSION)
    kind = ask.query.get("jobType", "V2Query")
    jobs = ask.org.jobs.all("V2Query") if kind == "V2Query" else []
    return json_answer(listed([job.full_info() for job in jobs], ask, resource="jobs/query"))


def show(ask: Ask) -> Answer:
    """`GET /jobs/query/{id}`."""
    return json_answer(_job(ask).full_info())


def abort(ask: Ask) -> Answer:
    """`PATCH /jobs/query/{id}` with `{"state": "Aborted"}`."""
    job = _job(ask)
    chosen(ask.json(), "state", allowed=("Aborted",), default=None)
    if not ask.org.jobs.change(job.id, state="Aborted"):
        raise wrong_state(f"Aborting already {'Completed' if job.state == 'JobComplete' else job.state} Job not allowed")
    return json_answer(_job(ask).full_info())


def delete(ask: Ask) -> Answer:
    """`DELETE /jobs/query/{id}`: only a job that is final."""
    job = _job(ask)
    if job.state not in FINAL_STATES:
        raise wrong_state("The job must be in one of the following states to be deleted: JobComplete, Aborted, Failed")
    ask.org.jobs.remove(job.id)
    return empty_answer()


def results(ask: Ask) -> Answer:
    """`GET /jobs/query/{id}/results?locator&maxRecords`: one page of CSV, streamed.
    Raises: ApiError 400 before the job is complete or for a bad locator, 409 for another API version than the job's.
    """
    _, rows = _complete_job(ask)
    start = offset(ask.query.get("locator"))
    if start > rows.rows:
        raise bad_locator()
    end = min(start + _page_rows(ask), rows.rows)
    charset = ask.org.config.bulk_charset
    following = locator(end) if end < rows.rows else "null"  # the literal text, as Salesforce ends its pages
    headers: Headers = (("Sforce-NumberOfRecords", str(end - start)), ("Sforce-Locator", following))
    if following == "null" and ask.org.config.bulk_locator == "missing":
        headers = headers[:1]
    return Answer(200, rows.page(start, end), f"text/csv;charset={charset}" if charset else "text/csv", headers)


def result_pages(ask: Ask) -> Answer:
    """`GET /jobs/query/{id}/resultPages`: up to five pages that can be read at the same time, and where the next five are."""
    check_version(ask.version, FIRST_PAGES_VERSION)
    job, rows = _complete_job(ask)
    size = ask.org.config.page_rows
    starts = list(range(offset(ask.query.get("locator")), max(rows.rows, 1), size))
    root = f"/services/data/v{ask.version}/jobs/query/{job.id}"
    answer: dict[str, object] = {
        "resultPages": [{"resultUrl": f"{root}/results?locator={locator(start)}"} for start in starts[:PAGES_LISTED]],
        "done": len(starts) <= PAGES_LISTED,
    }
    if len(starts) > PAGES_LISTED:
        answer["nextRecordsUrl"] = f"{root}/resultpages?locator={locator(starts[PAGES_LISTED])}"
    return json_answer(answer)


def _run(ask: Ask, job: QueryJob, prepared: PreparedQuery) -> None:
    """The work of a job. Whatever stops it is told in the job, as Salesforce does."""
    from halocline.emulator.bulk2.results import KEPT_ROWS, Results  # pyarrow is only wanted on the bulk paths

    jobs = ask.org.jobs
    watch = Stopwatch(job_ms=ask.org.config.job_ms, job_ms_per_10k=ask.org.config.job_ms_per_10k)
    jobs.change(job.id, state="InProgress")
    marks = {"delimiter": DELIMITERS[job.delimiter], "line_ending": LINE_ENDINGS[job.line_ending]}
    rows = Results(jobs.path_of(job.id, "csv"), prepared.columns, **marks)
    try:
        rows.fill(prepared.batches(), keep_on=lambda: jobs.checkpoint(job.id, batches=rows.rows // KEPT_ROWS))
    except Exception as reason:  # noqa: BLE001  # the gate of the background thread: nobody else would see it
        jobs.change(job.id, state="Failed", error=f"InternalServerError : {reason}")
        rows.drop()
        return
    goes_on = jobs.checkpoint(job.id, wait_s=watch.left_s(rows.rows, is_end=True), batches=-(-rows.rows // KEPT_ROWS))
    done = {"state": "JobComplete", "rows": rows.rows, "milliseconds": watch.milliseconds, "results": rows}
    if goes_on and jobs.change(job.id, **done):
        ask.org.limits.add_result_bytes(rows.size)
    else:
        rows.drop()


def _job(ask: Ask) -> QueryJob:
    check_version(ask.version, FIRST_VERSION)
    return ask.org.jobs.get(ask.params["job"], QueryJob)


def _complete_job(ask: Ask) -> tuple[QueryJob, Results]:
    job = _job(ask)
    if job.version != ask.version:  # status documented; code and words unverified
        raise ApiError(409, "API_ERROR", f"The job was created with API version {job.version}, not {ask.version}")
    if job.state != "JobComplete" or job.results is None:  # status documented; words unverified
        raise wrong_state(f"Results are available only for a job in state JobComplete; this job is {job.state}")
    return job, job.results


def _page_rows(ask: Ask) -> int:
    asked = ask.query.get("maxRecords")
    if asked is None:
        return ask.org.config.page_rows
    if not re.fullmatch("[0-9]{1,12}", asked) or int(asked) < 1:
        raise ApiError(400, "INVALIDJOB", f"maxRecords must be a positive number, not {asked}")  # code unverified
    return int(asked)
