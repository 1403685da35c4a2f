"""dlt into PostgreSQL: result pages downloaded to files, then its fastest way (Arrow, Parquet, ADBC) or its usual one (dicts).

Started by postgres.py in the peer's own environment with one JSON argument; answers with one JSON line. dlt has no Bulk API
reader that keeps pages, so requests downloads them.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

API = "/services/data/v67.0/jobs/query"
TYPES = {"boolean": "bool", "int": "bigint", "date": "date", "datetime": "timestamp", "currency": "decimal"}
POLL_S = 0.1
PIECE_BYTES = 1 << 18
SLICE_ROWS = 10_000


def main() -> None:
    """`{url, token, uri, home, fields: {name: type}, way: arrow | dicts, where}`; with `where` the rows are merged by Id."""
    wanted = json.loads(sys.argv[1])
    home = Path(wanted["home"])
    os.environ |= {"DLT_DATA_DIR": str(home / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    import dlt
    from dlt.destinations import postgres

    began, start_cpu_s = time.monotonic(), time.process_time()
    pages = list(_downloaded(wanted, home))
    arrow = wanted["way"] == "arrow"
    hints = {name: {"data_type": TYPES.get(kind, "text")} for name, kind in wanted["fields"].items()}
    merged = {"write_disposition": "merge", "primary_key": "Id"} if wanted.get("where") else {"write_disposition": "replace"}
    rows = dlt.resource(
        _tables(wanted, pages) if arrow else _dicts(wanted, pages),
        name="accounts",
        columns=None if arrow else hints,
        **merged,
    )
    pipeline = dlt.pipeline("accounts", destination=postgres(wanted["uri"]), dataset_name="raw", pipelines_dir=str(home / "dlt"))
    told = pipeline.run(rows, loader_file_format="parquet" if arrow else None)
    told.raise_on_failed_jobs()
    print(json.dumps({"wall_s": time.monotonic() - began, "start_cpu_s": start_cpu_s}), flush=True)


def _downloaded(wanted: dict[str, Any], home: Path) -> Iterator[Path]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {wanted['token']}"
        where = f" WHERE {wanted['where']}" if wanted.get("where") else ""
        query = f"SELECT {', '.join(wanted['fields'])} FROM Account{where}"
        job = session.post(f"{wanted['url']}{API}", json={"operation": "queryAll", "query": query}).json()["id"]
        while (state := session.get(f"{wanted['url']}{API}/{job}").json()["state"]) != "JobComplete":
            if state in ("Failed", "Aborted"):
                raise SystemExit(f"the job ended in state {state}")
            time.sleep(POLL_S)
        locator, number = "", 0
        while locator != "null":
            more = {"locator": locator} if locator else {}
            with session.get(f"{wanted['url']}{API}/{job}/results", params=more, stream=True) as reply:
                reply.raise_for_status()
                path = home / f"{number:05}.csv"
                with path.open("wb") as file:
                    for piece in reply.iter_content(PIECE_BYTES):
                        file.write(piece)
                locator, number = reply.headers["Sforce-Locator"], number + 1
            yield path


def _tables(wanted: dict[str, Any], pages: list[Path]) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    types = {"boolean": pa.bool_(), "int": pa.int64(), "date": pa.date32(), "datetime": pa.timestamp("us", "UTC")}
    types["currency"] = pa.decimal128(18, 0)
    options = pa_csv.ConvertOptions(
        column_types={name: types.get(kind, pa.string()) for name, kind in wanted["fields"].items()},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    for page in pages:
        # One block a page: pyarrow loses the LF of a CR LF within a value that lies across the end of a block.
        read = pa_csv.ReadOptions(block_size=page.stat().st_size + 1)
        yield pa_csv.read_csv(page, read_options=read, parse_options=parse, convert_options=options)


def _dicts(wanted: dict[str, Any], pages: list[Path]) -> Iterator[list[dict[str, Any]]]:
    booleans = [name for name, kind in wanted["fields"].items() if kind == "boolean"]
    for page in pages:
        with page.open(encoding="utf-8", newline="") as file:
            some: list[dict[str, Any]] = []
            for row in csv.DictReader(file):
                plain: dict[str, Any] = {name: value or None for name, value in row.items()}
                some.append(plain | {name: row[name] == "true" for name in booleans})
                if len(some) == SLICE_ROWS:
                    yield some
                    some = []
            yield some


if __name__ == "__main__":
    main()
