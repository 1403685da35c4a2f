"""Table: how many rows a contender's table has, and a hash of all its values. Started by extract.py as a process of its own.

The hash does not depend on the order of rows, on the case of names, or on which of two types for the same value was chosen.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import duckdb

_CANONICAL = {"boolean": "BOOLEAN", "int": "BIGINT", "date": "DATE", "datetime": "TIMESTAMPTZ", "currency": "DOUBLE"}


def main() -> None:
    """`{database, table, fields: {name: type}}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    values = ", ".join(f"CAST({name} AS {_CANONICAL.get(kind, 'VARCHAR')})" for name, kind in sorted(wanted["fields"].items()))
    awkward = {
        "newlines": r"regexp_matches(Description, '\n')",
        "quotes": "contains(Description, '\"')",
        "beyond_latin": r"regexp_matches(BillingCity || coalesce(Description, ''), '[^\x{0}-\x{24F}]')",
        "nulls": "Description IS NULL",
    }
    counts = ", ".join(f"count(*) FILTER ({condition}) AS {name}" for name, condition in awkward.items())
    with duckdb.connect(wanted["database"], read_only=True) as database:
        database.execute("SET TimeZone = 'UTC'")
        cursor = database.execute(
            f"SELECT count(*) AS rows, CAST(sum(CAST(hash({values}) AS HUGEINT)) AS VARCHAR) AS content, {counts}"
            f" FROM {wanted['table']}"
        )
        found = dict(zip([column[0] for column in cursor.description], cursor.fetchall()[0], strict=True))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
