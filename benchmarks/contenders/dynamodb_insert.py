"""Rows that are in Python already into a table: by `insert_data_into_table`, or by DELETE and `execute_values`.

The clocks run for that alone, the commit included. Started by dynamodb.py with one JSON argument.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.dynamodb_rows import COLUMNS, TARGET, build, build_tuple


def _ours(uri: str, rows: list[Any]) -> None:
    import psycopg

    from halocline.compat.demand.utils import insert_data_into_table

    with psycopg.connect(uri) as connection:
        insert_data_into_table(connection, TARGET, list(COLUMNS), rows)


def _document(uri: str, rows: list[Any]) -> None:
    import psycopg2
    from psycopg2.extras import execute_values

    connection = psycopg2.connect(uri)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TARGET}")
        execute_values(cursor, f"INSERT INTO {TARGET} ({', '.join(COLUMNS)}) VALUES %s", rows)
    connection.close()


def main() -> None:
    """`{uri, items, way, nested}`: a file of items; `ours` or `document`; whether what is nested comes as values, so that ours
    makes text of it, and the document's builder within the time as well.
    """
    wanted = json.loads(sys.argv[1])
    items = pickle.loads(Path(wanted["items"]).read_bytes())
    put, is_ours = (_ours, True) if wanted["way"] == "ours" else (_document, False)
    put(wanted["warm"], [build_tuple(item) for item in items[:10]])  # imports, and what a driver learns at first
    rows: list[Any] = [build(item) if wanted["nested"] else build_tuple(item) for item in items]
    wall_s, cpu_s = time.monotonic(), time.process_time()
    put(wanted["uri"], rows if is_ours or not wanted["nested"] else [build_tuple(row) for row in rows])
    told = {"wall_s": time.monotonic() - wall_s, "cpu_s": time.process_time() - cpu_s, "rows": len(rows)}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
