"""simple-salesforce's `bulk2.<object>.query(query)`, each page parsed by pandas, and pandas' `to_sql` by psycopg2.

Started by postgres.py in the peer's own environment with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import io
import json
import sys
import time

import pandas as pd
from simple_salesforce import Salesforce
from sqlalchemy import create_engine, text

WAIT_S = 1  # seconds before the first look at the job; its default is 5
CHUNK_ROWS = 1_000


def main() -> None:
    """`{url, token, uri, fields: {name: type}, method: null | multi}`."""
    wanted = json.loads(sys.argv[1])
    began, start_cpu_s = time.monotonic(), time.process_time()
    salesforce = Salesforce(session_id=wanted["token"], instance_url=wanted["url"], version="67.0")
    salesforce.bulk2_url = f"{wanted['url']}/services/data/v67.0/jobs/"  # it always writes https://
    query = f"SELECT {', '.join(wanted['fields'])} FROM Account"
    engine = create_engine(wanted["uri"].replace("postgresql:", "postgresql+psycopg2:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA raw"))
        for page in salesforce.bulk2.Account.query(query, wait=WAIT_S):
            # Text, and null only where it is empty: pandas' own types would make 20.0 of 20 and null of "NA".
            frame = pd.read_csv(io.StringIO(page), dtype=object, keep_default_na=False, na_values=[""])
            options = {"schema": "raw", "if_exists": "append", "index": False, "chunksize": CHUNK_ROWS}
            frame.to_sql("accounts", connection, method=wanted["method"], **options)
    print(json.dumps({"wall_s": time.monotonic() - began, "start_cpu_s": start_cpu_s}), flush=True)


if __name__ == "__main__":
    main()
