"""The floor of a file job: bytes go as they lie from the bucket into one Bulk 2.0 job, what it refused becomes the report.

The bare calls and nothing else: GetObject piped into the upload, looks at the job, its failed rows as the report, CopyObject and
DeleteObject, one execution record. No row is parsed, nothing is kept, a failure is the end.
Started by files.py with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

API = "/services/data/v67.0"
PIECE_BYTES = 1 << 20
POLL_S, MAX_POLL_S, POLL_GROWTH = 0.1, 0.25, 1.05  # so that the end of a job is seen at most a quarter of a second too late


def main() -> None:
    """`{url, token, aws, bucket, key, sobject, key_field, execution}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    org, store = Calls(wanted["url"], wanted["token"]), Calls(wanted["aws"], "nobody")
    landed = f"/{wanted['bucket']}/{wanted['key']}"
    order = {"operation": "upsert", "object": wanted["sobject"], "externalIdFieldName": wanted["key_field"]}
    job = f"{API}/jobs/ingest/{org.told('POST', f'{API}/jobs/ingest', order)['id']}"
    store.pipe(landed, org, f"{job}/batches")
    org.told("PATCH", job, {"state": "UploadComplete"})
    ended = _ended(org, job)
    failed = org.ask("GET", f"{job}/failedResults")
    store.ask("PUT", f"/{wanted['bucket']}/errors/report.csv", failed, kind="text/csv")
    store.ask("PUT", f"/{wanted['bucket']}/archive/landed.csv", more={"x-amz-copy-source": landed})
    store.ask("DELETE", landed)
    refused = int(ended["numberRecordsFailed"])
    record = {"Number_of_Errors__c": refused, "Error_Report__c": f"{wanted['aws']}/errors", "Data_File__c": wanted["key"]}
    org.told("POST", f"{API}/sobjects/{wanted['execution']}", record)
    print(json.dumps({"refused": refused}), flush=True)


def _ended(org: Calls, job: str) -> dict[str, Any]:
    pause_s = POLL_S
    while (told := org.told("GET", job))["state"] in ("UploadComplete", "InProgress"):
        time.sleep(pause_s)
        pause_s = min(pause_s * POLL_GROWTH, MAX_POLL_S)
    if told["state"] != "JobComplete":
        raise SystemExit(f"the job ended: {told}")
    return told


class Calls:
    """One connection to one server; nothing is signed, for the fake AWS takes it so."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, blocksize=PIECE_BYTES)
        self._login = {"Authorization": f"Bearer {token}"}

    def told(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """What a JSON resource answers."""
        text = None if body is None else json.dumps(body).encode()
        told: dict[str, Any] = json.loads(self.ask(method, path, text, kind="application/json") or b"{}")
        return told

    def ask(self, method: str, path: str, body: Any = None, *, kind: str = "", more: dict[str, str] | None = None) -> bytes:
        """The bytes of an answer."""
        self._connection.request(method, path, body, self._login | ({"Content-Type": kind} if kind else {}) | (more or {}))
        reply = self._connection.getresponse()
        words = reply.read()
        if reply.status >= 300:
            raise SystemExit(f"{method} {path}: {reply.status} {words.decode()}")
        return words

    def pipe(self, path: str, other: Calls, to: str) -> None:
        """Let what a GET answers be the body of another server's PUT."""
        self._connection.request("GET", path, headers=self._login)
        reply = self._connection.getresponse()
        if reply.status >= 300:
            raise SystemExit(f"GET {path}: {reply.status} {reply.read().decode()}")
        other.ask("PUT", to, reply, kind="text/csv", more={"Content-Length": str(reply.length)})


if __name__ == "__main__":
    main()
