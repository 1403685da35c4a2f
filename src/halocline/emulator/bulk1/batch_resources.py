"""Batches over HTTP: added, looked at, and what came out of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from halocline.emulator.bulk1 import xml
from halocline.emulator.bulk1.changes import change_data
from halocline.emulator.bulk1.job import Batch, Job, batch_json, batch_xml, batches_xml
from halocline.emulator.bulk1.packing import MOST_BYTES, too_large
from halocline.emulator.bulk1.refusals import CSV_TYPE, JSON_TYPE, XML_TYPE, client_error, content_type, invalid_batch
from halocline.emulator.wire import SLICE_BYTES, Answer, Ask, json_bytes

if TYPE_CHECKING:
    from halocline.emulator.bulk1.jobs import Done

_MEDIA_TYPES = {"CSV": CSV_TYPE, "XML": XML_TYPE, "JSON": JSON_TYPE}
_CHARSET = re.compile(r"charset=\"?([\w.:-]+)", re.IGNORECASE)


def add(ask: Ask) -> Answer:
    """`POST /job/{id}/batch`: 201 with the new batch, which waits for its turn.
    Raises: ApiError InvalidJobState for a job that is not open, ClientInputError for a body that is too large or of another type,
    ExceededQuota when the day's batches are used up.
    """
    jobs = ask.org.bulk1
    job = jobs.get(ask.params["job"])
    _check_type(ask, job)
    if len(ask.body) > MOST_BYTES:
        raise too_large()
    work = _work(job, ask)
    return _answer(job, jobs.submit(job, lambda batch: work(ask.org, job, batch=batch), request=ask.body), status=201)


def _work(job: Job, ask: Ask) -> Callable[..., Done]:
    if not job.is_query:
        return partial(change_data, charset=_charset(ask))
    from halocline.emulator.bulk1.queries import query_data  # pyarrow is only wanted on the bulk paths

    return query_data


def list_all(ask: Ask) -> Answer:
    """`GET /job/{id}/batch`: every batch of the job, oldest first."""
    job = ask.org.bulk1.get(ask.params["job"])
    batches = ask.org.bulk1.batches(job.id)
    if job.content_type == "JSON":
        return Answer(200, json_bytes({"batchInfo": [batch_json(batch) for batch in batches]}), JSON_TYPE)
    return Answer(200, batches_xml(batches), XML_TYPE)


def show(ask: Ask) -> Answer:
    """`GET /job/{id}/batch/{id}`."""
    return _answer(*_found(ask))


def request(ask: Ask) -> Answer:
    """`GET /job/{id}/batch/{id}/request`: what was uploaded; of a chunk, its query."""
    job, batch = _found(ask)
    return _file(batch.request, _MEDIA_TYPES[job.content_type])


def result(ask: Ask) -> Answer:
    """`GET /job/{id}/batch/{id}/result`: the result of every row, or the ids of a query's results.
    Raises: ApiError InvalidBatch before there is one.
    """
    job, batch = _completed(ask)
    if not job.is_query:
        return _file(batch.results[0], _MEDIA_TYPES[job.content_type])
    if job.content_type == "JSON":
        return Answer(200, json_bytes(batch.result_ids), JSON_TYPE)
    return Answer(200, xml.document("result-list", "".join(xml.element("result", one) for one in batch.result_ids)), XML_TYPE)


def query_result(ask: Ask) -> Answer:
    """`GET /job/{id}/batch/{id}/result/{id}`: records, streamed."""
    job, batch = _completed(ask)
    wanted = ask.params["result"]
    path = next((one for one in batch.results if job.is_query and wanted in (one.name, one.name[:15])), None)
    if path is None:  # words unverified
        raise invalid_batch(f"Unable to find result for id: {wanted}")
    return _file(path, _MEDIA_TYPES[job.content_type])


def _answer(job: Job, batch: Batch, *, status: int = 200) -> Answer:
    """In the format of the job, whatever the request says: CSV jobs have XML batches."""
    if job.content_type == "JSON":
        return Answer(status, json_bytes(batch_json(batch)), JSON_TYPE)
    return Answer(status, batch_xml(batch), XML_TYPE)


def _found(ask: Ask) -> tuple[Job, Batch]:
    job = ask.org.bulk1.get(ask.params["job"])
    return job, ask.org.bulk1.batch(job, ask.params["batch"])


def _completed(ask: Ask) -> tuple[Job, Batch]:
    job, batch = _found(ask)
    if batch.state != "Completed":  # words from memory of real answers: unverified
        raise invalid_batch("Records not processed" if batch.state in ("Failed", "NotProcessed") else "Batch not completed")
    return job, batch


def _check_type(ask: Ask, job: Job) -> None:
    """A batch says the type of its job. Source: Bulk API Developer Guide, "Add a Batch to a Job"; code and words unverified."""
    given, expected = content_type(ask), _MEDIA_TYPES[job.content_type]
    if given and given != expected:
        raise client_error(f"Content-Type {given} does not match the job's content type: {job.content_type}")


def _charset(ask: Ask) -> str:
    found = _CHARSET.search(ask.headers.get("content-type", ""))
    return found.group(1) if found else "utf-8"


def _file(path: Path, media_type: str) -> Answer:
    return Answer(200, _slices(path), media_type)


def _slices(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(SLICE_BYTES):
            yield piece
