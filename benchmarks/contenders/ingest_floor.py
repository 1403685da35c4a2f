"""The least that keeping a million CSV rows can cost: pyarrow reads them, SQLite takes them by their key; nothing is checked.

Started by pages.py with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time

from pyarrow import csv


def main() -> None:
    """`{csv, database, times}`: the seconds of each time that the same rows are put in."""
    wanted = json.loads(sys.argv[1])
    with sqlite3.connect(wanted["database"]) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("CREATE TABLE rows (Id INTEGER PRIMARY KEY, Code TEXT UNIQUE, Name TEXT, Phone TEXT, Revenue REAL)")
        took = [_put(database, wanted["csv"]) for _ in range(wanted["times"])]
    print(json.dumps({"seconds": took}), flush=True)


def _put(database: sqlite3.Connection, path: str) -> float:
    began = time.perf_counter()
    for batch in csv.open_csv(path):
        columns = [column.to_pylist() for column in batch.columns]
        database.executemany(
            "INSERT INTO rows (Code, Name, Phone, Revenue) VALUES (?, ?, ?, ?) ON CONFLICT (Code) DO UPDATE"
            " SET Name = excluded.Name, Phone = excluded.Phone, Revenue = excluded.Revenue",
            zip(*columns, strict=True),
        )
    database.commit()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
