"""Bulk API 2.0 ingest jobs: created, given their data once, closed, looked after, read in three result files.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Bulk API 2.0 Ingest"; error codes and words from answers of real orgs in
public recordings where there are such, else marked unverified.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.emulator.bulk2 import csv_in
from halocline.emulator.bulk2.jobs import (
    DELIMITERS,
    FINAL_STATES,
    LINE_ENDINGS,
    check_version,
    chosen,
    new_job_id,
    wire_stamp,
    wrong_state,
)
from halocline.emulator.bulk2.loading import IngestJob, load
from halocline.emulator.bulk2.locators import listed
from halocline.emulator.bulk2.multipart import MOST_CHARACTERS, parts
from halocline.emulator.bulk2.outcomes import result_header
from halocline.emulator.errors import ApiError, malformed_json
from halocline.emulator.wire import SLICE_BYTES, Answer, Ask, empty_answer, json_answer

if TYPE_CHECKING:
    from halocline.emulator.bulk1.job import Job as ClassicJob
    from halocline.emulator.objects import SObject

FIRST_VERSION = 41.0
OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete")
DELETABLE_STATES = ("UploadComplete", *FINAL_STATES)  # Source: "Delete a Job"
_RULE_ID = re.compile(r"01Q[A-Za-z0-9]{12}(?:[A-Z0-5]{3})?")  # an AssignmentRule's


def create(ask: Ask) -> Answer:
    """`POST /jobs/ingest`: a new job, waiting for its data; as a multipart form with its data, and then closed at once.
    Raises: ApiError for a bad setting.
    """
    check_version(ask.version, FIRST_VERSION)
    wanted, content = _wanted(ask)
    job = _new_job(ask, wanted)
    ask.org.jobs.add(job)
    if content is not None:
        ask.org.jobs.path_of(job.id, "csv").write_bytes(content)
        ask.org.jobs.change(job.id, state="UploadComplete", uploaded=True)
        job = _begun(ask, ask.org.jobs.get(job.id, IngestJob))
    return json_answer(job.created_info())


def upload(ask: Ask) -> Answer:
    """`PUT /jobs/ingest/{id}/batches`: 201; the one and only upload of a job.
    Raises: ApiError if there was one, if the job is not open, or for data that is too large, badly packed or no CSV.
    """
    job = _job(ask)
    _check_upload(ask, job)
    if not ask.org.jobs.swap(job, uploaded=True) or ask.upload is None:
        raise _second_upload(job)
    ask.upload.keep_as(ask.org.jobs.path_of(job.id, "csv"))
    return empty_answer(201)


def change(ask: Ask) -> Answer:
    """`PATCH /jobs/ingest/{id}` with `{"state": "UploadComplete"}` or `{"state": "Aborted"}`."""
    job = _job(ask)
    if chosen(ask.json(), "state", allowed=("UploadComplete", "Aborted"), default=None) == "Aborted":
        if not ask.org.jobs.change(job.id, state="Aborted"):
            raise wrong_state(f"Aborting already {_past(job)} Job not allowed")
    elif job.state != "Open" or not ask.org.jobs.swap(job, state="UploadComplete"):
        raise wrong_state(f"Closing already {_past(_job(ask))} Job not allowed")
    else:
        return json_answer(_begun(ask, _job(ask)).info())
    return json_answer(_job(ask).info())


def show(ask: Ask) -> Answer:
    """`GET /jobs/ingest/{id}`."""
    return json_answer(_job(ask).full_info())


def delete(ask: Ask) -> Answer:
    """`DELETE /jobs/ingest/{id}`: the job, its data and its results."""
    job = _job(ask)
    if job.state not in DELETABLE_STATES:  # words unverified
        raise wrong_state(f"The job must be in one of the following states to be deleted: {', '.join(DELETABLE_STATES)}")
    ask.org.jobs.remove(job.id)
    return empty_answer()


def list_jobs(ask: Ask) -> Answer:
    """`GET /jobs/ingest?jobType&isPkChunkingEnabled&concurrencyMode&queryLocator`: a thousand jobs a page, oldest first.
    Source: "Get Information About All Jobs".
    """
    check_version(ask.version, FIRST_VERSION)
    infos: list[dict[str, object]] = [job.created_info() | {"jobType": job.job_type} for job in _ingest_jobs(ask)]
    infos += [_classic(job) for job in ask.org.bulk1.all()]
    return json_answer(listed([info for info in infos if _passes(info, ask)], ask, resource="jobs/ingest"))


def successful(ask: Ask) -> Answer:
    """`GET /jobs/ingest/{id}/successfulResults`: the records that were written."""
    return _results(ask, "success", ("sf__Id", "sf__Created"))


def failed(ask: Ask) -> Answer:
    """`GET /jobs/ingest/{id}/failedResults`: the records that were refused, and why."""
    return _results(ask, "failed", ("sf__Id", "sf__Error"))


def unprocessed(ask: Ask) -> Answer:
    """`GET /jobs/ingest/{id}/unprocessedrecords`: the records that nobody tried to write, as they came."""
    return _results(ask, "csv", ())


def _ingest_jobs(ask: Ask) -> Iterator[IngestJob]:
    return (job for job in ask.org.jobs.all(IngestJob.job_type) if isinstance(job, IngestJob))


def _classic(job: ClassicJob) -> dict[str, object]:
    """A Bulk API job as this list shows it; only queries with PK chunking say more."""
    shown: dict[str, object] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.sobject,
        "createdById": job.user_id,
        "createdDate": wire_stamp(job.created),
        "systemModstamp": wire_stamp(job.changed),
        "state": job.state,
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        "apiVersion": float(job.version),
        "jobType": "Classic",
    }
    return shown | ({"isPkChunkingEnabled": True} if job.chunking else {})


def _passes(info: dict[str, object], ask: Ask) -> bool:
    kind, mode = ask.query.get("jobType"), ask.query.get("concurrencyMode")
    chunked = ask.query.get("isPkChunkingEnabled")
    return (
        kind in (None, info["jobType"])
        and (mode is None or str(info["concurrencyMode"]).lower() == mode.lower())
        and (chunked is None or bool(info.get("isPkChunkingEnabled")) == (chunked.lower() == "true"))
    )


def _wanted(ask: Ask) -> tuple[dict[str, object], bytes | None]:
    """The settings, and the data if it came with them.
    Raises: ApiError(400) for a form without settings or data, or with more data than a form may have; words unverified.
    """
    content_type = ask.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        return ask.json(), None
    given = parts(content_type, ask.body)
    if "job" not in given or "content" not in given:
        raise malformed_json("A multipart request has the parts job and content")
    if len(given["content"].decode(errors="replace")) > MOST_CHARACTERS:
        raise ApiError(400, "INVALIDJOB", f"InvalidJob : Multipart content exceeds {MOST_CHARACTERS} characters")
    return replace(ask, body=given["job"]).json(), given["content"]


def _new_job(ask: Ask, wanted: dict[str, object]) -> IngestJob:
    operation = chosen(wanted, "operation", allowed=OPERATIONS, default=None)
    chosen(wanted, "contentType", allowed=("CSV",), default="CSV")
    sobject = _sobject(ask, wanted)
    if operation == "hardDelete" and not ask.org.config.hard_delete:
        message = "hardDelete operation requires special user profile permission, please contact your system administrator"
        raise ApiError(403, "FEATURENOTENABLED", f"FeatureNotEnabled : {message}")
    now = ask.org.now()
    return IngestJob(
        id=new_job_id(),
        operation=operation,
        sobject=sobject.name,
        user_id=ask.user_id,
        version=ask.version,
        created=now,
        changed=now,
        state="Open",
        delimiter=chosen(wanted, "columnDelimiter", allowed=tuple(DELIMITERS), default="COMMA"),
        line_ending=chosen(wanted, "lineEnding", allowed=tuple(LINE_ENDINGS), default="LF"),
        external_id=_external_id(wanted, operation, sobject),
        assignment_rule=_assignment_rule(wanted, sobject),
    )


def _sobject(ask: Ask, wanted: dict[str, object]) -> SObject:
    name = str(wanted.get("object") or "")
    found = ask.org.catalog.get(name)
    if found is None:
        raise _invalid(f"Unable to find object: {name}")
    if not found.bulk_queryable:
        raise ApiError(400, "INVALIDENTITY", f"InvalidEntity : Entity '{found.name}' is not supported by the Bulk API.")
    return found


def _external_id(wanted: dict[str, object], operation: str, sobject: SObject) -> str | None:
    """The key of an upsert, under its own name; other operations have none, whatever was sent."""
    if operation != "upsert":
        return None
    name = wanted.get("externalIdFieldName")
    if name is None:
        raise _invalid(f"External ID was blank for {sobject.name}. An External ID must be specified for upsert.")
    field = sobject.field(str(name))
    if field is None or not (field.external_id or field.type == "id" or field.overrides.get("idLookup") is True):
        raise _invalid(f"Field name provided, {name} does not match an External ID for {sobject.name}")
    return field.name


def _assignment_rule(wanted: dict[str, object], sobject: SObject) -> str | None:
    """Which rule assigns new cases or leads. The org has none, so nothing follows from it. Words unverified."""
    rule = wanted.get("assignmentRuleId")
    if rule is None:
        return None
    if sobject.name not in ("Case", "Lead") or not _RULE_ID.fullmatch(str(rule)):
        raise _invalid(f"AssignmentRuleId {rule} is not valid for {sobject.name}")
    return str(rule)


def _check_upload(ask: Ask, job: IngestJob) -> None:
    kind = ask.headers.get("content-type", "text/csv").partition(";")[0].strip().lower()
    if kind != "text/csv":  # status documented, words unverified
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Type {kind} is not supported for this job, expected text/csv")
    if job.state != "Open":
        raise wrong_state(f"Job is not open for new data, its state is {job.state}")  # words unverified
    if job.uploaded:
        raise _second_upload(job)
    if ask.upload is None or not ask.upload.is_readable:
        raise ApiError(400, "CLIENTINPUTERROR", "ClientInputError : Failed to read request. Not in GZIP format")  # unverified
    if not ask.upload.fits:  # the words are those of Bulk API's own size limit; code unverified
        most = ask.org.config.bulk_upload_bytes
        raise ApiError(400, "CLIENTINPUTERROR", f"ClientInputError : Failed to read request. Exceeded max size limit of {most}")


def _begun(ask: Ask, job: IngestJob) -> IngestJob:
    """Start the work of a closed job. One that was never given data has an empty upload."""
    ask.org.jobs.path_of(job.id, "csv").touch()
    ask.org.jobs.start(job, lambda closed: load(ask.org, closed))
    return job


def _results(ask: Ask, ending: str, own_columns: tuple[str, ...]) -> Answer:
    job = _job(ask)
    if job.state not in FINAL_STATES:  # words unverified
        raise wrong_state(f"Results are available only for a job that has ended; this job is {job.state}")
    ask.org.jobs.settle(job.id)
    job = _job(ask)
    charset = ask.org.config.bulk_charset
    body = _file(job, ask.org.jobs.path_of(job.id, "csv"), ask.org.jobs.path_of(job.id, ending), own_columns=own_columns)
    return Answer(200, body, f"text/csv;charset={charset}" if charset else "text/csv")


def _file(job: IngestJob, data: Path, rows: Path, *, own_columns: tuple[str, ...]) -> Iterator[bytes]:
    """A result file. Its rows are on disk as they are sent; unprocessed ones still lie in the upload."""
    delimiter, line_ending = DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]
    text = csv_in.header_text(data, delimiter) if data.exists() else ""
    header = result_header(text, own_columns, delimiter=delimiter, line_ending=line_ending)
    if own_columns:
        return chain((header,), _slices(rows))
    return chain((header,), csv_in.rest_of(rows, skip_lines=job.lines_done or text.count("\n") or 1)) if text else iter((header,))


def _slices(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            while piece := file.read(SLICE_BYTES):
                yield piece


def _job(ask: Ask) -> IngestJob:
    check_version(ask.version, FIRST_VERSION)
    return ask.org.jobs.get(ask.params["job"], IngestJob)


def _past(job: IngestJob) -> str:
    return {"JobComplete": "Completed", "UploadComplete": "closed", "InProgress": "closed"}.get(job.state, job.state)


def _second_upload(job: IngestJob) -> ApiError:
    """The service's own spelling."""
    message = (
        f"Found multipe contents for job: <{job.id[:15]}>, please 'Close' / 'Abort' / 'Delete' the current Job then create a new "
        "Job and make sure you only do 'PUT' once on a given Job."
    )
    return ApiError(400, "BULK_API_ERROR", message)


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALIDJOB", f"InvalidJob : {message}")
