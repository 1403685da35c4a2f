"""Scenes of salesforce-bulk. `login` is what its `SalesforceBulk` class takes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from play import play
from salesforce_bulk import CsvDictsAdapter, SalesforceBulk

WAIT_S: Any = 0.02  # between its looks at a batch; it counts the pauses, and gives up after ten minutes of them
Record = dict[str, Any]


def logged_in(login: Record) -> str:
    return str(SalesforceBulk(**login).endpoint)


def loaded(login: Record, operation: str, sobject: str, records: list[Record], **options: Any) -> Record:
    """A job of one CSV batch, sent row by row, and its results."""
    bulk = SalesforceBulk(**login)
    job_id = getattr(bulk, f"create_{operation}_job")(sobject, contentType="CSV", **options)
    batch_id = bulk.post_batch(job_id, CsvDictsAdapter(iter(records)))
    bulk.close_job(job_id)
    bulk.wait_for_batch(job_id, batch_id, sleep_interval=WAIT_S)
    return {"results": bulk.get_batch_results(batch_id), "job": bulk.job_status(job_id), "batches": bulk.get_batch_list(job_id)}


def loaded_as(login: Record, kind: str, sobject: str, body: str) -> Record:
    """An insert job of one XML or JSON batch, and its results."""
    bulk = SalesforceBulk(**login)
    job_id = bulk.create_insert_job(sobject, contentType=kind)
    batch_id = bulk.post_batch(job_id, body.encode())
    bulk.close_job(job_id)
    bulk.wait_for_batch(job_id, batch_id, sleep_interval=WAIT_S)
    return {"results": bulk.get_batch_results(batch_id), "batch": bulk.batch_status(batch_id)}


def queried(login: Record, sobject: str, soql: str, kind: str = "CSV", operation: str = "query") -> Record:
    bulk = SalesforceBulk(**login)
    job_id = getattr(bulk, f"create_{operation}_job")(sobject, contentType=kind)
    batch_id = bulk.query(job_id, soql)
    bulk.close_job(job_id)
    bulk.wait_for_batch(job_id, batch_id, sleep_interval=WAIT_S)
    texts = [io.TextIOWrapper(result, encoding="utf-8").read() for result in bulk.get_all_results_for_query_batch(batch_id)]
    records = [row for text in texts for row in _rows(text, kind)]
    return {"texts": texts, "records": records, "request": bulk.get_query_batch_request(batch_id)}


def chunked(login: Record, sobject: str, soql: str, size: int) -> Record:
    """A query with PK chunking: the states of its batches, and the rows of those that ran."""
    bulk = SalesforceBulk(**login)
    job_id = bulk.create_query_job(sobject, contentType="CSV", pk_chunking=size)
    first = bulk.query(job_id, soql)
    while bulk.batch_state(first, job_id, reload=True) not in ("NotProcessed", "Failed", "Completed"):
        pass
    others = [batch["id"] for batch in bulk.get_batch_list(job_id) if batch["id"] != first]
    for batch_id in others:
        bulk.wait_for_batch(job_id, batch_id, sleep_interval=WAIT_S)
    bulk.close_job(job_id)
    pages = [
        [
            row
            for result in bulk.get_all_results_for_query_batch(batch_id, job_id)
            for row in _rows(io.TextIOWrapper(result, encoding="utf-8").read(), "CSV")
        ]
        for batch_id in others
    ]
    return {"first": bulk.batch_state(first, job_id, reload=True), "pages": pages}


def aborted(login: Record, sobject: str) -> Any:
    bulk = SalesforceBulk(**login)
    job_id = bulk.create_insert_job(sobject)
    bulk.abort_job(job_id)
    return bulk.job_state(job_id)


def _rows(text: str, kind: str) -> list[Any]:
    if kind == "JSON":
        return list(json.loads(text))
    return list(csv.DictReader(io.StringIO(text, newline=""))) if kind == "CSV" else [text]


play(logged_in, loaded, loaded_as, queried, chunked, aborted)
