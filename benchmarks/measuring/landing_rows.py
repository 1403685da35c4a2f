"""Landing rows: a CSV file as it lands in a bucket; Salesforce refuses some of its rows. Started by files.py as a process.

Every cell has a value, because contenders disagree on what an empty one means.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import duckdb

BROKEN = 20
# Every second broken row has a date that is none, the others a text that is too long for its field.
_ROWS = """
SELECT
    printf('C%09d', i) AS Code__c,
    'Customer number ' || i AS Name,
    'customer.' || i || '@example.com' AS Email__c,
    CASE WHEN broken AND i % 2 = 1 THEN repeat('+41 44 ', 20) ELSE '+41 44 ' || printf('%07d', i % 10000000) END AS Phone__c,
    CASE WHEN i % 50 = 0 THEN 'Care of "Q, Ltd."' || chr(10) ELSE '' END || 'Mill Lane ' || i % 97 AS Street__c,
    ['Zürich', 'Αθήνα', 'Seattle', '上海', 'San José'][1 + i % 5] AS City__c,
    printf('%05d', (i * 31) % 100000) AS Postcode__c,
    ['CH', 'GR', 'US', 'CN', 'CR'][1 + i % 5] AS Country__c,
    ['Banking', 'Energy', 'Retail', 'Shipping', 'Education', 'Media', 'Insurance'][1 + i % 7] AS Industry__c,
    CAST((i * 37) % 1000003 + 0.25 AS DECIMAL(18, 2)) AS Revenue__c,
    CAST((i * 7) % 10000 + 1 AS INTEGER) AS Employees__c,
    CASE WHEN broken AND i % 2 = 0 THEN 'the day before' ELSE CAST(DATE '1970-01-01' + CAST(i % 18000 AS INTEGER) AS VARCHAR) END
        AS Founded__c
FROM (SELECT i, i % {step} = {odd} OR i % {step} = {even} AS broken FROM range({rows}) AS numbers(i))
"""
_SAMPLES = 25


def main() -> None:
    """`{path, rows}`. Tells what the org must hold, and the keys of the rows that it must have refused."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    count, path = int(wanted["rows"]), str(wanted["path"])
    step = count // (BROKEN // 2)
    if count % BROKEN:
        raise SystemExit(f"the number of rows must be divisible by {BROKEN}, and {count} is not")
    rows = _ROWS.format(rows=count, step=step, odd=1, even=step // 2 // 2 * 2)
    with duckdb.connect() as database:
        database.execute(
            f"CREATE TABLE made AS SELECT *, length(Phone__c) > 40 OR Founded__c NOT LIKE '____-%' AS broken FROM ({rows})"
        )
        database.execute(f"COPY (SELECT * EXCLUDE (broken) FROM made ORDER BY Code__c) TO '{path}' (FORMAT csv, HEADER)")
        broken = [key for (key,) in database.execute("SELECT Code__c FROM made WHERE broken ORDER BY 1").fetchall()]
        sums = database.execute("SELECT CAST(sum(Revenue__c) AS DOUBLE), sum(Employees__c) FROM made WHERE NOT broken").fetchone()
        sample = database.execute(
            f"SELECT * EXCLUDE (broken) FROM made WHERE NOT broken AND right(Code__c, 9)::BIGINT % {count // _SAMPLES} = 0"
        )
        names = [column[0] for column in sample.description]
        told = [dict(zip(names, row, strict=True)) for row in sample.fetchall()]
    if len(broken) != BROKEN:
        raise SystemExit(f"{len(broken)} rows are broken, and not {BROKEN}")
    truth = {"rows": count - BROKEN, "sums": sums, "sample": told}
    print(json.dumps({"truth": truth, "broken": broken}, default=float), flush=True)


if __name__ == "__main__":
    main()
