"""simple-salesforce's `bulk2.<object>.download(query, path)`: result pages in files, then DuckDB's own CSV load.

Started by extract.py in the peer's own environment with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import duckdb
from simple_salesforce import Salesforce

TYPES = {"boolean": "BOOLEAN", "int": "BIGINT", "date": "DATE", "datetime": "TIMESTAMPTZ", "currency": "DECIMAL(18,0)"}
WAIT_S = 1  # seconds before the first look at the job; its default is 5


def main() -> None:
    """`{url, token, home, database, memory_limit, fields: {name: type}}`."""
    wanted = json.loads(sys.argv[1])
    began = time.monotonic()
    folder = Path(wanted["home"]) / "pages"
    folder.mkdir(parents=True)
    salesforce = Salesforce(session_id=wanted["token"], instance_url=wanted["url"], version="67.0")
    salesforce.bulk2_url = f"{wanted['url']}/services/data/v67.0/jobs/"  # it always writes https://
    query = f"SELECT {', '.join(wanted['fields'])} FROM Account"
    pages = salesforce.bulk2.Account.download(query, str(folder), wait=WAIT_S)
    downloaded_s = time.monotonic() - began
    columns = ", ".join(f"'{name}': '{TYPES.get(kind, 'VARCHAR')}'" for name, kind in wanted["fields"].items())
    with duckdb.connect(wanted["database"]) as database:
        database.execute(f"SET memory_limit = '{wanted['memory_limit']}'")
        database.execute("SET TimeZone = 'UTC'")
        database.execute("SET preserve_insertion_order = false")
        database.execute(
            f"CREATE TABLE accounts AS SELECT * FROM read_csv(?, columns = {{{columns}}}, header = true, auto_detect = false,"
            " delim = ',', quote = '\"', escape = '\"', nullstr = '', new_line = '\\n')",
            [[page["file"] for page in pages]],
        )
        counted = database.execute("SELECT count(*) FROM accounts").fetchone()
    shutil.rmtree(folder)
    told = {"wall_s": time.monotonic() - began, "downloaded_s": downloaded_s, "rows_read": counted[0] if counted else 0}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
