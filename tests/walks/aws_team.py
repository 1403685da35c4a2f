"""An AWS team with SQS and DynamoDB: the first messages, each handled once, and the first tables in PostgreSQL."""

from __future__ import annotations

from tests.walks.walk import Look, Part, Walk, main

_PAYMENTS = """
import sqlite3
print(sqlite3.connect("shop.sqlite").execute("SELECT count(*), count(DISTINCT id), sum(amount) FROM payments").fetchall())
"""
_TABLES = """
import os, psycopg
with psycopg.connect(os.environ["WAREHOUSE"]) as warehouse:
    for table in ("people", "cases"):
        print(warehouse.execute(f"SELECT array_agg(id ORDER BY id) FROM raw.{table}").fetchone())
"""

WALK = Walk(
    "AWS team",
    [
        Part("messages-once", "halocline listen payments > second.out", Look(_PAYMENTS, ("[(3, 3, 30)]",))),
        Part("dynamodb-to-postgres", "halocline run demand", Look(_TABLES, ("(['p1', 'p2'],)", "(['c1'],)"))),
    ],
)

if __name__ == "__main__":
    main(WALK)
