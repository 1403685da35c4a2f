"""lht's `retl.upsert` or `retl.insert`, through a stand-in for the Snowpark session that answers its query with rows at hand.

What lht writes to its log tables is taken and forgotten. It fetches no result files: its answer knows jobs, not rows.
Started by push.py in the peer's own environment with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.pop(0)  # its folder has a file called like the package that is imported

QUERY = "SELECT * FROM CUSTOMERS"
BATCH_ROWS = 200_000  # of a job; its default is 25,000, and it waits ten seconds for each


class Answer:
    """What `sql` gives: something to collect from."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def collect(self) -> list[dict[str, Any]]:
        return self._rows


class Session:
    """The one method of a Snowpark session that reverse ETL uses."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def sql(self, text: str) -> Answer:
        return Answer(self._rows if text == QUERY else [])


def main() -> None:
    """`{url, token, operation, sobject, key, rows}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    with Path(wanted["rows"]).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    began, cpu = time.monotonic(), time.process_time()
    from lht.salesforce import retl

    login = {"access_token": wanted["token"], "instance_url": wanted["url"]}
    if wanted["operation"] == "upsert":
        result = retl.upsert(Session(rows), login, wanted["sobject"], QUERY, wanted["key"], batch_size=BATCH_ROWS)
        told = {"failed_jobs": result["failed_batches"]}
    else:
        retl.insert(Session(rows), login, wanted["sobject"], QUERY)
        told = {"failed_jobs": 0}
    print(json.dumps(told | {"wall_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu}), flush=True)


if __name__ == "__main__":
    main()
