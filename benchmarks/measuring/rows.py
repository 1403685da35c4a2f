"""Rows: the same rows in every form that a contender takes. Started by push.py as a process of its own.

Text beyond Latin, quotes, commas and line breaks are in them; nulls are not, because contenders disagree on what a null means.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import duckdb

_ROWS = """
SELECT
    printf('C%09d', i) AS Code__c,
    'Customer number ' || i AS Name,
    '+41 44 ' || printf('%07d', i % 10000000) AS Phone__c,
    ['Zürich', 'Αθήνα', 'Seattle', '上海', 'San José'][1 + i % 5] AS City__c,
    CASE WHEN i % 50 = 0 THEN 'said "yes", then' || chr(10) || 'left' ELSE 'came by, ' || i % 97 || ' times' END AS Notes__c,
    CAST((i * 37) % 1000003 + 0.25 AS DECIMAL(18, 2)) AS Revenue__c,
    CAST((i * 7) % 10000 + 1 AS INTEGER) AS Employees__c,
    DATE '1970-01-01' + CAST(i % 18000 AS INTEGER) AS Founded__c
FROM range({first}, {end}) AS numbers(i)
"""
# What the org holds before an upsert: every second row, with other values.
_KNOWN = "SELECT * REPLACE ('old' AS Name, 0.25 AS Revenue__c) FROM ({rows}) WHERE right(Code__c, 1) IN ('0', '2', '4', '6', '8')"
_SAMPLES = 50


def main() -> None:
    """`{folder, rows, forms: [known, json, csv, parquet], files}`: `csv` makes so many `files`. Tells what the org must hold."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    folder, count, files = Path(wanted["folder"]), int(wanted["rows"]), int(wanted["files"])
    rows = _ROWS.format(first=0, end=count)
    paths: dict[str, list[str]] = {}
    with duckdb.connect() as database:
        for form in wanted["forms"]:
            for number in range(files if form == "csv" else 1):
                path = folder / f"{form}-{number}.{'csv' if form == 'known' else form}"
                first, end = count * number // files, count * (number + 1) // files
                part = {"known": _KNOWN.format(rows=rows), "csv": _ROWS.format(first=first, end=end)}.get(form, rows)
                kind = {"json": "FORMAT json", "parquet": "FORMAT parquet"}.get(form, "FORMAT csv, HEADER")
                database.execute(f"COPY ({part}) TO '{path}' ({kind})")
                paths.setdefault(form, []).append(str(path))
        step = max(1, count // _SAMPLES)
        sums = database.execute(f"SELECT CAST(sum(Revenue__c) AS DOUBLE), sum(Employees__c) FROM ({rows})").fetchone()
        sample = database.execute(f"{rows} WHERE i % {step} = 0 OR i % {step} = 1 ORDER BY i LIMIT {2 * _SAMPLES}")
        names = [column[0] for column in sample.description]
        told = [dict(zip(names, row, strict=True)) for row in sample.fetchall()]
    truth = {"rows": count, "sums": sums, "sample": told}
    print(json.dumps({"paths": paths, "truth": truth}, default=_plain), flush=True)


def _plain(value: object) -> object:
    return str(value) if hasattr(value, "isoformat") else float(str(value))


if __name__ == "__main__":
    main()
