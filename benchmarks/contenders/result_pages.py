"""Result pages: the calls of a Bulk API 2.0 query by a bare `http.client`, for the floors."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

POLL_S = 0.1
WIDTH = 4  # pages at the same time, as Halocline's default
VERSION = "v67.0"


def ordered(wanted: dict[str, Any]) -> str:
    """The id of a job that is complete; `wanted` is `{url, token, fields}`, and `where`, if not everything is asked for."""
    where = f" WHERE {wanted['where']}" if wanted.get("where") else ""
    query = f"SELECT {', '.join(wanted['fields'])} FROM Account{where}"
    made = _ask(wanted, "POST", f"/services/data/{VERSION}/jobs/query", {"operation": "queryAll", "query": query})
    while (state := _ask(wanted, "GET", f"/services/data/{VERSION}/jobs/query/{made['id']}")["state"]) != "JobComplete":
        if state in ("Failed", "Aborted"):
            raise SystemExit(f"the job ended in state {state}")
        time.sleep(POLL_S)
    return str(made["id"])


def listed(wanted: dict[str, Any], job: str) -> Iterator[str]:
    """The paths of its pages."""
    answer = _ask(wanted, "GET", f"/services/data/{VERSION}/jobs/query/{job}/resultPages")
    yield from (page["resultUrl"] for page in answer["resultPages"])
    while not answer["done"]:
        answer = _ask(wanted, "GET", answer["nextRecordsUrl"])
        yield from (page["resultUrl"] for page in answer["resultPages"])


def requested(wanted: dict[str, Any], url: str, *, packed: bool) -> http.client.HTTPResponse:
    """The answer of a page, of which nothing is read yet; its connection ends with it."""
    connection = _connection(wanted)
    coding = {"Accept-Encoding": "gzip" if packed else "identity", "Connection": "close"}
    connection.request("GET", url, headers={**_login(wanted), **coding})
    return connection.getresponse()


def deleted(wanted: dict[str, Any], job: str) -> None:
    """Let the org forget the job."""
    _ask(wanted, "DELETE", f"/services/data/{VERSION}/jobs/query/{job}")


def _ask(wanted: dict[str, Any], method: str, path: str, body: object = None) -> Any:
    connection = _connection(wanted)
    headers = {**_login(wanted), "Content-Type": "application/json"}
    connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
    text = connection.getresponse().read()
    connection.close()
    return json.loads(text) if text else None


def _connection(wanted: dict[str, Any]) -> http.client.HTTPConnection:
    parts = urlsplit(wanted["url"])
    return http.client.HTTPConnection(str(parts.hostname), parts.port)


def _login(wanted: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {wanted['token']}"}
