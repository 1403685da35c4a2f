"""simple-salesforce's `bulk2.<object>.query(query)`: each result page as a text, parsed by pandas, inserted into DuckDB.

Started by extract.py in the peer's own environment with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import io
import json
import sys
import time

import duckdb
import pandas as pd
from simple_salesforce import Salesforce

TYPES = {"boolean": "BOOLEAN", "int": "BIGINT", "date": "DATE", "datetime": "TIMESTAMPTZ", "currency": "DECIMAL(18,0)"}
WAIT_S = 1  # seconds before the first look at the job; its default is 5


def main() -> None:
    """`{url, token, database, memory_limit, fields: {name: type}}`."""
    wanted = json.loads(sys.argv[1])
    began = time.monotonic()
    salesforce = Salesforce(session_id=wanted["token"], instance_url=wanted["url"], version="67.0")
    salesforce.bulk2_url = f"{wanted['url']}/services/data/v67.0/jobs/"  # it always writes https://
    query = f"SELECT {', '.join(wanted['fields'])} FROM Account"
    rows = 0
    with duckdb.connect(wanted["database"]) as database:
        database.execute(f"SET memory_limit = '{wanted['memory_limit']}'")
        database.execute("SET TimeZone = 'UTC'")
        database.execute("SET preserve_insertion_order = false")
        columns = ", ".join(f'"{name}" {TYPES.get(kind, "VARCHAR")}' for name, kind in wanted["fields"].items())
        database.execute(f"CREATE TABLE accounts ({columns})")
        for text in salesforce.bulk2.Account.query(query, wait=WAIT_S):
            # Text, and null only where it is empty: pandas' own types would make 20.0 of 20 and null of "NA".
            page = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""])
            database.register("page", page)
            database.execute("INSERT INTO accounts SELECT * FROM page")
            database.unregister("page")
            rows += len(page)
    print(json.dumps({"wall_s": time.monotonic() - began, "rows_read": rows}), flush=True)


if __name__ == "__main__":
    main()
