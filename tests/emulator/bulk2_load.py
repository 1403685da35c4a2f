"""What the tests of ingest jobs share: one job from its creation to its results."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True, slots=True)
class Loaded:
    """A job that ended: its info, and its result files as text."""

    info: dict[str, Any]
    success: str
    failed: str
    unprocessed: str

    @property
    def counts(self) -> tuple[str, int, int]:
        """State, records processed, records failed."""
        return self.info["state"], self.info["numberRecordsProcessed"], self.info["numberRecordsFailed"]

    @property
    def ids(self) -> list[str]:
        """Ids of the records that were written, as listed."""
        return [row["sf__Id"] for row in records(self.success)]

    @property
    def errors(self) -> list[str]:
        """Why records were refused."""
        return [row["sf__Error"] for row in records(self.failed)]


def create(client: httpx2.Client, sobject: str = "Account", operation: str = "insert", **more: object) -> dict[str, Any]:
    answer = client.post("/jobs/ingest", json={"object": sobject, "operation": operation, **more})
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def put(client: httpx2.Client, job_id: str, content: str | bytes, **headers: str) -> httpx2.Response:
    data = content.encode() if isinstance(content, str) else content
    return client.put(f"/jobs/ingest/{job_id}/batches", content=data, headers={"Content-Type": "text/csv", **headers})


def close(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    answer = client.patch(f"/jobs/ingest/{job_id}", json={"state": "UploadComplete"})
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def ended(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    """Asks until the job is final, as clients do."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/jobs/ingest/{job_id}").json()
        if job["state"] in ("JobComplete", "Failed", "Aborted"):
            return job
    raise AssertionError("the job did not end")


def results(client: httpx2.Client, job_id: str) -> Loaded:
    info = ended(client, job_id)
    names = ("successfulResults", "failedResults", "unprocessedrecords")
    texts = [client.get(f"/jobs/ingest/{job_id}/{name}").content.decode() for name in names]
    return Loaded(client.get(f"/jobs/ingest/{job_id}").json() | {"state": info["state"]}, *texts)


def load(
    client: httpx2.Client, content: str | bytes, sobject: str = "Account", operation: str = "insert", **more: object
) -> Loaded:
    job_id = create(client, sobject, operation, **more)["id"]
    assert put(client, job_id, content).status_code == 201
    close(client, job_id)
    return results(client, job_id)


def records(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
