"""The floor: the same result pages downloaded with no parsing, and DuckDB's own CSV load. Nothing is checked or merged.

Started by extract.py with one JSON argument; answers with one JSON line. `encoding` is `identity`, `gzip` (decoded by isal
while it is written) or `gz` (written as it came; DuckDB decodes).
"""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
from isal import igzip

PIECE_BYTES = 1 << 18
POLL_S = 0.1
WIDTH = 4  # pages at the same time, as Halocline's default
VERSION = "v67.0"
TYPES = {
    "boolean": "BOOLEAN",
    "int": "BIGINT",
    "date": "DATE",
    "datetime": "TIMESTAMPTZ",
    "currency": "DECIMAL(18,0)",
}


def main() -> None:
    """`{url, token, home, database, memory_limit, fields: {name: type}, encoding}`."""
    wanted = json.loads(sys.argv[1])
    began = time.monotonic()
    job = _job(wanted)
    waited_s = time.monotonic() - began
    urls = list(_pages(wanted, job))
    with ThreadPoolExecutor(WIDTH) as pool:
        paths = list(pool.map(lambda numbered: _download(wanted, *numbered), enumerate(urls)))
    downloaded_s = time.monotonic() - began
    rows = _load(wanted, paths)
    _ask(wanted, "DELETE", f"/services/data/{VERSION}/jobs/query/{job}")
    shutil.rmtree(_spool(wanted))
    told = {"wall_s": time.monotonic() - began, "waited_s": waited_s, "downloaded_s": downloaded_s, "rows_read": rows}
    print(json.dumps(told), flush=True)


def _job(wanted: dict[str, Any]) -> str:
    query = f"SELECT {', '.join(wanted['fields'])} FROM Account"
    made = _ask(wanted, "POST", f"/services/data/{VERSION}/jobs/query", {"operation": "queryAll", "query": query})
    while (state := _ask(wanted, "GET", f"/services/data/{VERSION}/jobs/query/{made['id']}")["state"]) != "JobComplete":
        if state in ("Failed", "Aborted"):
            raise SystemExit(f"the job ended in state {state}")
        time.sleep(POLL_S)
    return str(made["id"])


def _pages(wanted: dict[str, Any], job: str) -> Iterator[str]:
    answer = _ask(wanted, "GET", f"/services/data/{VERSION}/jobs/query/{job}/resultPages")
    yield from (page["resultUrl"] for page in answer["resultPages"])
    while not answer["done"]:
        answer = _ask(wanted, "GET", answer["nextRecordsUrl"])
        yield from (page["resultUrl"] for page in answer["resultPages"])


def _download(wanted: dict[str, Any], number: int, url: str) -> str:
    packed = wanted["encoding"] != "identity"
    path = _spool(wanted) / f"{number:05}.csv{'.gz' if wanted['encoding'] == 'gz' else ''}"
    connection = _connection(wanted)
    connection.request("GET", url, headers={**_login(wanted), "Accept-Encoding": "gzip" if packed else "identity"})
    reply: Any = connection.getresponse()
    if wanted["encoding"] == "gzip":
        reply = igzip.IGzipFile(fileobj=reply)  # type: ignore[no-untyped-call]  # isal ships no types for it
    with path.open("wb", buffering=0) as file:
        while piece := reply.read(PIECE_BYTES):
            file.write(piece)
    connection.close()
    return str(path)


def _load(wanted: dict[str, Any], paths: list[str]) -> int:
    columns = ", ".join(f"'{name}': '{TYPES.get(kind, 'VARCHAR')}'" for name, kind in wanted["fields"].items())
    with duckdb.connect(wanted["database"]) as database:
        database.execute(f"SET memory_limit = '{wanted['memory_limit']}'")
        database.execute("SET TimeZone = 'UTC'")
        database.execute("SET preserve_insertion_order = false")  # as Halocline: it lets both cores insert
        database.execute(
            f"CREATE TABLE accounts AS SELECT * FROM read_csv(?, columns = {{{columns}}}, header = true, auto_detect = false,"
            " delim = ',', quote = '\"', escape = '\"', nullstr = '', new_line = '\\n')",
            [paths],
        )
        counted = database.execute("SELECT count(*) FROM accounts").fetchone()
    assert counted is not None
    return int(counted[0])


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


def _spool(wanted: dict[str, Any]) -> Path:
    path = Path(wanted["home"]) / "pages"
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
