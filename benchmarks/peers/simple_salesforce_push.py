"""simple-salesforce's `bulk2.<object>.upsert(records=...)` or `insert`, then both result files of every job to disk.

Started by push.py in the peer's own environment with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

WAIT_S = 1  # seconds before the first look at the job, and about as many between looks; its default is 5


def main() -> None:
    """`{url, token, home, operation, sobject, key, rows}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    with Path(wanted["rows"]).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    began, cpu = time.monotonic(), time.process_time()
    from simple_salesforce import Salesforce

    salesforce = Salesforce(session_id=wanted["token"], instance_url=wanted["url"], version="67.0")
    salesforce.bulk2_url = f"{wanted['url']}/services/data/v67.0/jobs/"  # it always writes https://
    bulk = getattr(salesforce.bulk2, wanted["sobject"])
    options = {"external_id_field": wanted["key"]} if wanted["operation"] == "upsert" else {}
    jobs = getattr(bulk, wanted["operation"])(records=rows, wait=WAIT_S, **options)
    for job in jobs:
        path = Path(wanted["home"]) / job["job_id"]
        bulk.get_successful_records(job["job_id"], file=f"{path}-successes.csv")
        bulk.get_failed_records(job["job_id"], file=f"{path}-failures.csv")
    refused = sum(job["numberRecordsFailed"] for job in jobs)
    written = sum(job["numberRecordsProcessed"] for job in jobs) - refused
    told = {"written": written, "refused": refused}
    print(json.dumps(told | {"wall_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu}), flush=True)


if __name__ == "__main__":
    main()
