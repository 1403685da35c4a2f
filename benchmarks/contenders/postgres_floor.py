"""The floor into PostgreSQL: a bare HTTP reader piped into COPY, page by page. Nothing is checked, counted or kept on disk.

Started by postgres.py with one JSON argument; answers with one JSON line. `keyed` adds the primary key afterwards; `where` asks
for some rows only, which meet the table by `INSERT ... ON CONFLICT`.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from isal import igzip
from result_pages import WIDTH, deleted, listed, ordered, requested

PIECE_BYTES = 1 << 18
TYPES = {
    "boolean": "boolean",
    "int": "bigint",
    "date": "date",
    "datetime": "timestamptz",
    "currency": "numeric(18,0)",
}


def main() -> None:
    """`{url, token, uri, fields: {name: type}, encoding: identity | gzip, keyed, where}`."""
    wanted = json.loads(sys.argv[1])
    began = time.monotonic()
    job = ordered(wanted)
    waited_s = time.monotonic() - began
    urls = list(listed(wanted, job))
    rows = _merged(wanted, urls) if wanted.get("where") else _made(wanted, urls)
    deleted(wanted, job)
    print(json.dumps({"wall_s": time.monotonic() - began, "waited_s": waited_s, "rows_read": rows}), flush=True)


def _made(wanted: dict[str, Any], urls: list[str]) -> int:
    """A new table, by several connections."""
    columns = ", ".join(f"{name} {TYPES.get(kind, 'text')}" for name, kind in wanted["fields"].items())
    with psycopg.connect(wanted["uri"], autocommit=True) as connection:
        connection.execute("CREATE SCHEMA raw")
        connection.execute(f"CREATE TABLE raw.accounts ({columns})")
        with ThreadPoolExecutor(WIDTH) as pool:
            rows = sum(pool.map(lambda url: _page(wanted, url), urls))
        if wanted.get("keyed"):
            connection.execute("ALTER TABLE raw.accounts ADD PRIMARY KEY (id)")
    return rows


def _page(wanted: dict[str, Any], url: str) -> int:
    with psycopg.connect(wanted["uri"]) as connection:
        return _copied(wanted, url, connection.cursor(), "raw.accounts")


def _merged(wanted: dict[str, Any], urls: list[str]) -> int:
    """Rows that meet a table by its key, in one transaction."""
    names = [name.lower() for name in wanted["fields"]]
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    with psycopg.connect(wanted["uri"]) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE staged (LIKE raw.accounts)")
        rows = sum(_copied(wanted, url, cursor, "staged") for url in urls)
        cursor.execute(f"INSERT INTO raw.accounts SELECT * FROM staged ON CONFLICT (id) DO UPDATE SET {sets}")
    return rows


def _copied(wanted: dict[str, Any], url: str, cursor: psycopg.Cursor[Any], table: str) -> int:
    packed, names = wanted["encoding"] == "gzip", ", ".join(wanted["fields"])
    reply: Any = requested(wanted, url, packed=packed)
    if packed:
        reply = igzip.IGzipFile(fileobj=reply)  # type: ignore[no-untyped-call]  # isal ships no types for it
    with cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT csv, HEADER true, FORCE_NULL ({names}))") as copy:
        while piece := reply.read(PIECE_BYTES):
            copy.write(piece)
    return cursor.rowcount


if __name__ == "__main__":
    main()
