"""The floor: the same result pages downloaded with no parsing, and DuckDB's own CSV load. Nothing is checked or merged.

Started by extract.py with one JSON argument; answers with one JSON line. `encoding` is `identity`, `gzip` (decoded by isal
while it is written) or `gz` (written as it came; DuckDB decodes).
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
from isal import igzip
from result_pages import WIDTH, deleted, listed, ordered, requested

PIECE_BYTES = 1 << 18
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
    job = ordered(wanted)
    waited_s = time.monotonic() - began
    urls = list(listed(wanted, job))
    with ThreadPoolExecutor(WIDTH) as pool:
        paths = list(pool.map(lambda numbered: _download(wanted, *numbered), enumerate(urls)))
    downloaded_s = time.monotonic() - began
    rows = _load(wanted, paths)
    deleted(wanted, job)
    shutil.rmtree(_spool(wanted))
    told = {"wall_s": time.monotonic() - began, "waited_s": waited_s, "downloaded_s": downloaded_s, "rows_read": rows}
    print(json.dumps(told), flush=True)


def _download(wanted: dict[str, Any], number: int, url: str) -> str:
    packed = wanted["encoding"] != "identity"
    path = _spool(wanted) / f"{number:05}.csv{'.gz' if wanted['encoding'] == 'gz' else ''}"
    reply: Any = requested(wanted, url, packed=packed)
    if wanted["encoding"] == "gzip":
        reply = igzip.IGzipFile(fileobj=reply)  # type: ignore[no-untyped-call]  # isal ships no types for it
    with path.open("wb", buffering=0) as file:
        while piece := reply.read(PIECE_BYTES):
            file.write(piece)
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


def _spool(wanted: dict[str, Any]) -> Path:
    path = Path(wanted["home"]) / "pages"
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
