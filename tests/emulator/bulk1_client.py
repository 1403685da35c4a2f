"""A client of Bulk API 1.0 for the tests: plain HTTP, with what real clients send."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import httpx2
from defusedxml.ElementTree import fromstring
from tests.emulator.conftest import login_form

from halocline.emulator.server import Emulator

NS = "{http://www.force.com/2009/06/asyncapi/dataload}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
TYPES = {"CSV": "text/csv", "XML": "application/xml", "JSON": "application/json"}
ENDED = ("Completed", "Failed", "NotProcessed")


class Classic:
    """A session with `/services/async/66.0`."""

    def __init__(self, emulator: Emulator, version: str = "66.0") -> None:
        token = httpx2.post(f"{emulator.url}/services/oauth2/token", data=login_form(emulator.config)).json()["access_token"]
        root = f"{emulator.url}/services/async/{version}"
        self.http = httpx2.Client(base_url=root, headers={"X-SFDC-Session": token}, timeout=30)

    def create(self, operation: str, sobject: str, kind: str = "CSV", **more: str) -> str:
        """The id of a new job; `headers_...` go into the request's headers, the rest into the job."""
        headers = {name[8:].replace("_", "-"): value for name, value in more.items() if name.startswith("headers_")}
        settings = {name: value for name, value in more.items() if not name.startswith("headers_")}
        body = {"operation": operation, "object": sobject, "contentType": kind, **settings}
        answer = self.http.post("/job", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as JSON."""
        found: dict[str, Any] = self.http.get(f"/job/{job_id}", headers={"Content-Type": "application/json"}).json()
        return found

    def end(self, job_id: str, state: str = "Closed") -> httpx2.Response:
        """Close or abort a job."""
        return self.http.post(f"/job/{job_id}", json={"state": state})

    def post(self, job_id: str, content: str | bytes, kind: str = "CSV", **headers: str) -> httpx2.Response:
        """Add a batch."""
        return self.http.post(f"/job/{job_id}/batch", content=content, headers={"Content-Type": TYPES[kind], **headers})

    def add(self, job_id: str, content: str | bytes, kind: str = "CSV") -> str:
        """The id of a new batch."""
        answer = self.post(job_id, content, kind)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"] if kind == "JSON" else fields(fromstring(answer.content))["id"])

    def batch(self, job_id: str, batch_id: str) -> dict[str, str]:
        """The batch, every value as text."""
        answer = self.http.get(f"/job/{job_id}/batch/{batch_id}")
        if answer.headers["content-type"] == "application/json":
            return {name: str(value) for name, value in answer.json().items()}
        return fields(fromstring(answer.content))

    def batches(self, job_id: str) -> list[dict[str, str]]:
        """All batches of a CSV or XML job."""
        return [fields(one) for one in fromstring(self.http.get(f"/job/{job_id}/batch").content)]

    def ended(self, job_id: str, batch_id: str) -> dict[str, str]:
        """The batch once it has ended, asked for as clients do."""
        return until(lambda: self.batch(job_id, batch_id), lambda batch: batch["state"] in ENDED)

    def result(self, job_id: str, batch_id: str) -> httpx2.Response:
        """The answer with a batch's result."""
        return self.http.get(f"/job/{job_id}/batch/{batch_id}/result")

    def changed(self, operation: str, sobject: str, content: str, kind: str = "CSV", **more: str) -> httpx2.Response:
        """The result of a batch that was processed."""
        job_id = self.create(operation, sobject, kind, **more)
        batch_id = self.add(job_id, content, kind)
        batch = self.ended(job_id, batch_id)
        assert batch["state"] == "Completed", batch
        return self.result(job_id, batch_id)

    def failed(self, operation: str, sobject: str, content: str | bytes, kind: str = "CSV", **more: str) -> str:
        """The message of a batch that failed."""
        job_id = self.create(operation, sobject, kind, **more)
        batch = self.ended(job_id, self.add(job_id, content, kind))
        assert batch["state"] == "Failed", batch
        return batch["stateMessage"]

    def queried(self, soql: str, kind: str = "CSV", operation: str = "query", sobject: str = "Account") -> httpx2.Response:
        """The only result of a query."""
        job_id = self.create(operation, sobject, kind)
        batch_id = self.add(job_id, soql, kind)
        batch = self.ended(job_id, batch_id)
        assert batch["state"] == "Completed", batch
        answer = self.result(job_id, batch_id)
        ids = answer.json() if kind == "JSON" else [one.text for one in fromstring(answer.content)]
        return self.http.get(f"/job/{job_id}/batch/{batch_id}/result/{ids[0]}")


def until(ask: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """What `ask` says once it is so."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        said = ask()
        if is_so(said):
            return said
    raise AssertionError("it never came true")


def fields(item: Element) -> dict[str, str]:
    """The text of the elements in an element."""
    return {one.tag.removeprefix(NS): one.text or "" for one in item}


def rows(answer: httpx2.Response) -> list[list[str]]:
    """The rows of a CSV answer."""
    assert answer.headers["content-type"] == "text/csv"
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


def refused(answer: httpx2.Response, status: int = 400) -> tuple[str, str]:
    """Code and message of a refusal, after checking its shape."""
    assert answer.status_code == status, answer.text
    if answer.headers["content-type"] == "application/json":
        body = answer.json()
    else:
        assert answer.headers["content-type"] == "application/xml"
        root = fromstring(answer.content)
        assert root.tag == f"{NS}error"
        body = fields(root)
    assert list(body) == ["exceptionCode", "exceptionMessage"]
    return body["exceptionCode"], body["exceptionMessage"]
