"""Jobs and batches as values, and how the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from halocline.emulator.bulk1 import xml
from halocline.emulator.bulk1.chunking import Chunking
from halocline.emulator.bulk2.jobs import wire_stamp
from halocline.emulator.clock import stamp

QUERIES = ("query", "queryAll")
OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete", *QUERIES)
BATCH_ENDED = ("Completed", "Failed", "NotProcessed")


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now; every change makes a new one. `state` is Open, Closed, Aborted or Failed; it leaves Open once."""

    id: str
    operation: str
    sobject: str
    user_id: str
    version: str
    created: datetime
    changed: datetime
    content_type: str = "XML"
    concurrency: str = "Parallel"
    external_id: str | None = None
    assignment_rule: str | None = None
    chunking: Chunking | None = None
    state: str = "Open"

    @property
    def is_query(self) -> bool:
        """Whether its batches are queries."""
        return self.operation in QUERIES


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it is now. `state` goes Queued, InProgress, and then Completed, Failed or NotProcessed, never back.

    `request` is the file of what was uploaded, `results` are the files of what came out.
    `is_chunk` is true of a batch that PK chunking made. `milliseconds` is how long the work took.
    """

    id: str
    job_id: str
    created: datetime
    changed: datetime
    request: Path
    state: str = "Queued"
    message: str | None = None
    records: int = 0
    failed: int = 0
    milliseconds: int = 0
    is_chunk: bool = False
    results: tuple[Path, ...] = ()

    @property
    def result_ids(self) -> tuple[str, ...]:
        """The ids under which the results of a query are read: the names of their files."""
        return tuple(path.name for path in self.results)


def job_xml(job: Job, batches: Sequence[Batch]) -> bytes:
    """`jobInfo`, fields in the order of recorded answers."""
    return xml.document("jobInfo", xml.elements(_job_fields(job, batches)))


def job_json(job: Job, batches: Sequence[Batch]) -> dict[str, object]:
    """The job as JSON: numbers as numbers, datetimes with `+0000`.
    Source: Bulk API Developer Guide, "Get Job Details"; the null fields as in the vendor's public Postman collection.
    """
    nulls = {"assignmentRuleId": None, "externalIdFieldName": None, "fastPathEnabled": False}
    fields = {**nulls, **_job_fields(job, batches), "apiVersion": float(job.version)}
    return _as_json(fields, job.created, job.changed)


def batch_xml(batch: Batch) -> bytes:
    """`batchInfo`, fields in the order of recorded answers."""
    return xml.document("batchInfo", xml.elements(_batch_fields(batch)))


def batches_xml(batches: Sequence[Batch]) -> bytes:
    """`batchInfoList`."""
    return xml.document("batchInfoList", "".join(f"<batchInfo>{xml.elements(_batch_fields(one))}</batchInfo>" for one in batches))


def batch_json(batch: Batch) -> dict[str, object]:
    """The batch as JSON. Source: Bulk API Developer Guide, "Get Information for a Batch"."""
    return _as_json({**_batch_fields(batch), "stateMessage": batch.message}, batch.created, batch.changed)


def _job_fields(job: Job, batches: Sequence[Batch]) -> dict[str, object]:
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.sobject,
        "createdById": job.user_id,
        "createdDate": stamp(job.created),
        "systemModstamp": stamp(job.changed),
        "state": job.state,
        **_optional({"externalIdFieldName": job.external_id, "assignmentRuleId": job.assignment_rule}),
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        **{f"numberBatches{state}": _count(batches, state) for state in ("Queued", "InProgress", "Completed", "Failed")},
        "numberBatchesTotal": len(batches),
        "numberRecordsProcessed": sum(batch.records for batch in batches),
        "numberRetries": 0,
        "apiVersion": job.version,
        "numberRecordsFailed": sum(batch.failed for batch in batches),
        **_times(sum(batch.milliseconds for batch in batches)),
    }


def _batch_fields(batch: Batch) -> dict[str, object]:
    return {
        "id": batch.id,
        "jobId": batch.job_id,
        "state": batch.state,
        **_optional({"stateMessage": batch.message}),
        "createdDate": stamp(batch.created),
        "systemModstamp": stamp(batch.changed),
        "numberRecordsProcessed": batch.records,
        "numberRecordsFailed": batch.failed,
        **_times(batch.milliseconds),
    }


def _times(milliseconds: int) -> dict[str, object]:
    """There are no triggers here, so Apex takes no time."""
    return {"totalProcessingTime": milliseconds, "apiActiveProcessingTime": milliseconds, "apexProcessingTime": 0}


def _optional(fields: dict[str, str | None]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _count(batches: Sequence[Batch], state: str) -> int:
    return sum(batch.state == state for batch in batches)


def _as_json(fields: dict[str, object], created: datetime, changed: datetime) -> dict[str, object]:
    dates = {"createdDate": wire_stamp(created), "systemModstamp": wire_stamp(changed)}
    return dict(sorted({**fields, **dates}.items()))
