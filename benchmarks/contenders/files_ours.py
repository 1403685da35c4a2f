"""Halocline's ways to take care of a file that landed: `run_file`, the documented Orchestrator, and `halocline run`.

Started by files.py with one JSON argument; answers with one JSON line.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FLOW = """
connections:
  org: {{kind: salesforce, access_token: "env:SF_ACCESS_TOKEN", instance_url: "env:SF_INSTANCE_URL"}}
  landing: {{kind: s3, bucket: {bucket}}}
flows:
  customers:
    kind: file
    from: landing
    prefix: in/
    to: org
    object: {sobject}
    key: {key_field}
    execution:
      object: {execution}
      fields: {{Number_of_Errors__c: "{{errors}}", Error_Report__c: "{{error_report_link}}", Data_File__c: "{{key}}"}}
"""


def main() -> None:
    """`{url, token, user, home, bucket, key, etag, sobject, key_field, execution, front}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps({"refused": _FRONTS[wanted["front"]](wanted)}), flush=True)


def _by_run_file(wanted: dict[str, Any]) -> int:
    from halocline import registry
    from halocline.config import Settings
    from halocline.filejob import Execution, FileJob, run_file
    from halocline.landed import Landed
    from halocline.ledger import open_ledger
    from halocline.unneeded import leave_out

    leave_out()  # as where pandas is not installed: pyarrow would load it, and no part of ours needs it
    fields = {"Number_of_Errors__c": "{errors}", "Error_Report__c": "{error_report_link}", "Data_File__c": "{key}"}
    job = FileJob(
        name="customers",
        bucket=wanted["bucket"],
        prefix="in/",
        sobject=wanted["sobject"],
        key=wanted["key_field"],
        execution=Execution(wanted["execution"], fields),
    )
    settings = Settings.from_env()
    login = {"access_token": wanted["token"], "instance_url": wanted["url"]}
    where = Landed(wanted["bucket"], wanted["key"], etag=wanted["etag"])
    with open_ledger(settings.ledger) as ledger:
        return run_file(job, where, client=login, buckets=registry.open_buckets(), ledger=ledger, settings=settings).errors


def _by_orchestrator(wanted: dict[str, Any]) -> int:
    """The same program as kicksaw's, with our classes in the place of its own."""
    from halocline.unneeded import leave_out

    leave_out()
    from halocline.orchestrator import Orchestrator
    from halocline.sf_client import SfClient

    class Landing(Orchestrator):
        @property
        def execution_sfdc_hash(self) -> dict[str, object]:
            return {
                "Number_of_Errors__c": self.error_count,
                "Error_Report__c": self.error_report_link,
                "Data_File__c": self.s3_object_key,
            }

    salesforce = SfClient(*wanted["user"], wanted["url"])
    orchestrator = Landing(wanted["key"], wanted["bucket"], sf_client=salesforce, execution_object_name=wanted["execution"])
    with orchestrator.downloaded_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    results = getattr(salesforce.bulk, wanted["sobject"]).upsert(rows, wanted["key_field"])
    orchestrator.log_batch(results, rows, wanted["sobject"], wanted["key_field"])
    orchestrator.automagically_finish_up()
    return orchestrator.error_count


def _by_command(wanted: dict[str, Any]) -> int:
    """As a user starts it: a program of its own, in a folder with a halocline.yaml."""
    folder = Path(wanted["home"])
    (folder / "halocline.yaml").write_text(FLOW.format(**wanted), encoding="utf-8")
    login = {"SF_ACCESS_TOKEN": wanted["token"], "SF_INSTANCE_URL": wanted["url"]}
    command = [sys.executable, "-m", "halocline", "run", "customers", "--json"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **login}, stdout=subprocess.PIPE, text=True, check=False
    )  # not all rows can be written, and its exit code says so
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return int(told["errors"])


_FRONTS: dict[str, Callable[[dict[str, Any]], int]] = {
    "run_file": _by_run_file,
    "orchestrator": _by_orchestrator,
    "command": _by_command,
}


if __name__ == "__main__":
    main()
