"""Landing: a file in a bucket and an empty org, new for each contender, and what both must hold when the job is done."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring.cloud import Cloud
from measuring.process import Cost, run
from measuring.target import KEY, Target, Undone

BUCKET, LANDED = "landing", "in/customers.csv"
EXECUTION = "Integration_Execution__c"
USER = ("bench@example.com", "password-of-bench", "TOKENOFBENCH")
_ARCHIVE, _ERRORS = "archive/", "errors/"
_SCHEMAS = (
    """
object: Customer__c
label: Customer
plural: Customers
fields:
  Code__c: {type: string(20) external unique}
  Email__c: email
  Phone__c: string(40)
  Street__c: string(120)
  City__c: string(80)
  Postcode__c: string(10)
  Country__c: string(2)
  Industry__c: string(40)
  Revenue__c: double(18,2)
  Employees__c: double(18,0)
  Founded__c: date
""",
    """
object: Integration_Execution__c
label: Integration Execution
plural: Integration Executions
fields:
  Number_of_Errors__c: double(18,0)
  Error_Report__c: string(255)
  Data_File__c: string(255)
""",
)


class Landing:
    """One org and one bucket with the file, for one contender."""

    def __init__(self, path: Path, target: Target, cloud: Cloud) -> None:
        self._path = path
        self._target = target
        self._cloud = cloud
        self._etag = str(cloud.ask("land", bucket=BUCKET, key=LANDED, path=str(path)))

    @property
    def wanted(self) -> dict[str, Any]:
        """What a contender is told."""
        org = {"url": self._target.url, "token": self._target.token, "user": USER, "execution": EXECUTION}
        return {**org, "aws": self._cloud.url, "bucket": BUCKET, "key": LANDED, "etag": self._etag}

    def measured(self, command: Sequence[str], wanted: Mapping[str, Any], *, env: Mapping[str, str]) -> Cost:
        """What a contender took; in `told` the CPU of the org and of AWS, and the number of calls to each.

        Raises: Failed.
        """
        org_s, aws = self._target.cpu_s, self._cloud.ask("cost")
        self._target.call("DELETE", "/__emulator__/calls")
        cost = run(command, self.wanted | dict(wanted), env={**self._cloud.environment, **env})
        after = self._cloud.ask("cost")
        calls = len(self._target.call("GET", "/__emulator__/calls")["calls"])
        facts = {
            "org_cpu_s": self._target.cpu_s - org_s,
            "aws_cpu_s": after["cpu_s"] - aws["cpu_s"],
            "org_calls": calls,
            "aws_calls": after["calls"] - aws["calls"],
        }
        return Cost(cost.wall_s, cost.cpu_s, cost.peak_mb, {**cost.told, **facts})

    def check(self, truth: Mapping[str, Any], broken: Sequence[str], home: Path) -> None:
        """Look whether all of the job is done: the org's rows, the report, the archive, the execution record.

        Raises: Undone, saying what is not.
        """
        self._target.check(truth)
        there = dict(self._cloud.ask("objects", bucket=BUCKET))
        archived = [key for key in there if key.startswith(_ARCHIVE)]
        reports = [key for key in there if key.startswith(_ERRORS)]
        if len(archived) != 1 or len(reports) != 1 or len(there) != 2:
            raise Undone(f"the bucket holds {sorted(there)}, and not one file in the archive and one report")
        with self._path.open("rb") as file:
            landed = hashlib.file_digest(file, "sha256").hexdigest()  # in pieces: a child's peak memory starts at this process's
        if there[archived[0]] != landed:
            raise Undone(f"{archived[0]} is another file than the one that landed")
        if (told := self._reported(reports[0], home)) != list(broken):
            raise Undone(f"the report tells of the rows {told}, and not of {list(broken)}")
        records = self._target.query(f"SELECT Number_of_Errors__c, Data_File__c FROM {EXECUTION}")
        if records != [{"Number_of_Errors__c": len(broken), "Data_File__c": LANDED}]:
            raise Undone(f"the execution records are {records}")

    def _reported(self, key: str, home: Path) -> list[str]:
        """The keys of the rows in the report, sorted."""
        path = home / "report.csv"
        self._cloud.ask("fetch", bucket=BUCKET, key=key, path=str(path))
        with path.open(encoding="utf-8", newline="") as file:
            return sorted(str(row.get("upsert_key_value") or row.get(KEY)) for row in csv.DictReader(file))


@contextmanager
def landing(folder: Path, path: Path, cloud: Cloud) -> Iterator[Landing]:
    """A landing of the file at `path` for one contender."""
    home = folder / "org"
    home.mkdir()
    target = Target(home / "org.sqlite", schemas=_SCHEMAS, options=["--user", ":".join(USER)])
    try:
        yield Landing(path, target, cloud)
    finally:
        target.stop()
        shutil.rmtree(home)
