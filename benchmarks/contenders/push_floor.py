"""The floor of a push: CSV files that lie ready, sent from disk by a bare HTTP client; result files to disk, and not read.

Started by push.py with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

API = "/services/data/v67.0/jobs/ingest"
PIECE_BYTES = 1 << 20
POLL_S, MAX_POLL_S, POLL_GROWTH = 0.1, 0.25, 1.05  # so that the end of a job is seen at most a quarter of a second too late


def main() -> None:
    """`{url, token, home, operation, sobject, key, files}`."""
    wanted = json.loads(sys.argv[1])
    began, cpu = time.monotonic(), time.process_time()
    parts = urlsplit(wanted["url"])
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, blocksize=PIECE_BYTES)
    floor = Floor(wanted, connection)
    jobs = [floor.begun(Path(path)) for path in wanted["files"]]
    ended = [floor.ended(job) for job in jobs]
    refused = sum(int(job["numberRecordsFailed"]) for job in ended)
    told = {
        "wall_s": time.monotonic() - began,
        "cpu_s": time.process_time() - cpu,
        "written": sum(int(job["numberRecordsProcessed"]) for job in ended) - refused,
        "refused": refused,
    }
    print(json.dumps(told), flush=True)


class Floor:
    """The calls of Bulk API 2.0 ingest on one connection."""

    def __init__(self, wanted: dict[str, Any], connection: http.client.HTTPConnection) -> None:
        self._wanted = wanted
        self._connection = connection

    def begun(self, path: Path) -> str:
        """A job that has the file and works on it."""
        order = {"operation": self._wanted["operation"], "object": self._wanted["sobject"]}
        if order["operation"] == "upsert":
            order["externalIdFieldName"] = self._wanted["key"]
        job = str(self._ask("POST", API, order)["id"])
        with path.open("rb") as file:
            size = {"Content-Length": str(path.stat().st_size)}
            self._connection.request("PUT", f"{API}/{job}/batches", file, self._headers("text/csv") | size)
            self._read()
        self._ask("PATCH", f"{API}/{job}", {"state": "UploadComplete"})
        return job

    def ended(self, job: str) -> dict[str, Any]:
        """The job once it is complete, and both its result files on disk."""
        pause_s = POLL_S
        while (told := self._ask("GET", f"{API}/{job}"))["state"] in ("UploadComplete", "InProgress"):
            time.sleep(pause_s)
            pause_s = min(pause_s * POLL_GROWTH, MAX_POLL_S)
        if told["state"] != "JobComplete":
            raise SystemExit(f"the job ended: {told}")
        for name in ("successfulResults", "failedResults"):
            self._connection.request("GET", f"{API}/{job}/{name}", headers=self._headers("application/json"))
            with (Path(self._wanted["home"]) / f"{job}-{name}.csv").open("wb") as file:
                shutil.copyfileobj(self._connection.getresponse(), file, PIECE_BYTES)
        return told

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, self._headers("application/json"))
        told: dict[str, Any] = json.loads(self._read())
        return told

    def _read(self) -> bytes:
        reply = self._connection.getresponse()
        words = reply.read()
        if reply.status >= 300:
            raise SystemExit(f"{reply.status} {words.decode()}")
        return words

    def _headers(self, kind: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._wanted['token']}", "Content-Type": kind}


if __name__ == "__main__":
    main()
