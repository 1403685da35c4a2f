"""Halocline: `copy` by columns or with a builder, and the document's own names. Started by dynamodb.py with one JSON argument."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from halocline.unneeded import leave_out

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.dynamodb_rows import COLUMNS, TABLE, TARGET, build


def _copy(uri: str, *, builder: bool) -> int:
    from halocline.tables import TableCopy, copy

    run = copy(f"dynamodb://{TABLE}", uri, TableCopy(TABLE, TARGET, build=build if builder else None, adopt=True))
    return run.rows_read


def _names(uri: str) -> int:
    import psycopg

    from halocline.compat.demand.utils import get_dynamo_table, insert_data_into_table, parallel_scan_dynamo_table

    items = parallel_scan_dynamo_table(get_dynamo_table(TABLE))
    with psycopg.connect(uri) as connection:
        return insert_data_into_table(connection, TARGET, list(COLUMNS), [build(item) for item in items])


def main() -> None:
    """`{uri, way}`: `columns`, `builder` or `names`."""
    leave_out()  # as where pandas is not installed: pyarrow would load it, and no part of ours needs it
    wanted = json.loads(sys.argv[1])
    way = wanted["way"]
    rows = _names(wanted["uri"]) if way == "names" else _copy(wanted["uri"], builder=way == "builder")
    print(json.dumps({"rows": rows}), flush=True)


if __name__ == "__main__":
    main()
