"""Target: an org to write to. Every contender gets a fresh copy of the same one, in an emulator process of its own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from measuring.org import API, Door
from measuring.process import Failed, run

SOBJECT, KEY = "Customer__c", "Code__c"
FLOOR = Path(__file__).resolve().parent.parent / "contenders" / "push_floor.py"
_SCHEMA = """
object: Customer__c
label: Customer
plural: Customers
fields:
  Code__c: {type: string(20) external unique}
  Phone__c: string(40)
  City__c: string(80)
  Notes__c: string(255)
  Revenue__c: double(18,2)
  Employees__c: double(18,0)
  Founded__c: date
"""


class Undone(Exception):
    """The org does not hold what a contender was asked to write."""


class Target(Door):
    """An org with the object Customer__c; `store` is its file, `schemas` say which objects it has instead."""

    def __init__(self, store: Path, *, schemas: Sequence[str] = (_SCHEMA,), options: Sequence[str] = ()) -> None:
        more = list(options)
        for number, text in enumerate(schemas):
            path = store.parent / f"schema-{number}.yaml"
            path.write_text(text, encoding="utf-8")
            more += ["--schema", str(path)]
        super().__init__(["--store", str(store), *more, "--daily-api-requests", "1000000"])

    def slow_down(self, latency_s: float) -> None:
        """From now on every API request waits so long before it is worked on; requests wait side by side."""
        fault = {"action": "delay", "seconds": latency_s, "path": "/services/data", "every": 1}  # without `every` just one waits
        self.call("POST", "/__emulator__/faults", json.dumps(fault).encode())

    def quicken(self) -> int:
        """No request waits any more; how many did.

        Raises: Failed if there was one that did not wait.
        """
        (rule,) = self.call("GET", "/__emulator__/faults")["faults"]
        self.call("DELETE", "/__emulator__/faults")
        if not rule["seen"] or rule["seen"] != rule["struck"]:
            raise Failed(f"of {rule['seen']:,} requests {rule['struck']:,} had latency")
        return int(rule["struck"])

    def jobs(self) -> dict[str, float]:
        """How many `jobs` this emulator was given; of a single one, for several overlap, how many seconds it took (`org_s`)."""
        ids = [str(job["id"]) for job in self.call("GET", f"{API}/jobs/ingest?jobType=V2Ingest")["records"]]
        times = [int(self.call("GET", f"{API}/jobs/ingest/{one}")["totalProcessingTime"]) for one in ids]
        return {"jobs": len(times), "org_s": times[0] / 1_000 if len(times) == 1 else 0.0}

    def check(self, truth: Mapping[str, Any]) -> None:
        """Compare the org with what it must hold: the number of records, sums over all of them, and some records whole.

        Raises: Undone, saying what differs.
        """
        counted = self.query(f"SELECT COUNT(Id) n, SUM(Revenue__c) r, SUM(Employees__c) e FROM {SOBJECT}")[0]
        if counted["n"] != truth["rows"]:
            raise Undone(f"the org holds {counted['n']:,} records, not {truth['rows']:,}")
        if [counted["r"], counted["e"]] != truth["sums"]:
            raise Undone(f"the sums of the org's records are {counted['r']}, {counted['e']}, not {truth['sums']}")
        for wanted in truth["sample"]:
            names = ", ".join(wanted)
            there = self.query(f"SELECT {names} FROM {SOBJECT} WHERE {KEY} = '{wanted[KEY]}'")
            if there != [wanted]:
                raise Undone(f"the org holds {there}, not {wanted}")

    def query(self, soql: str) -> list[dict[str, Any]]:
        """The records of the first page of a query's answer."""
        records: list[dict[str, Any]] = self.call("GET", f"{API}/query?q={quote(soql)}")["records"]
        return [{name: value for name, value in record.items() if name != "attributes"} for record in records]


class Targets:
    """Fresh orgs: empty ones, or such as hold the records of some CSV files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: Path | None = None

    def know(self, files: Sequence[str]) -> None:
        """Let orgs for upserts hold these records."""
        home = self._folder / "known"
        home.mkdir()
        target = Target(home / "org.sqlite")
        try:
            wanted = {"url": target.url, "token": target.token, "operation": "insert", "files": files, "home": str(home)}
            told = run([sys.executable, str(FLOOR)], wanted | {"sobject": SOBJECT, "key": KEY}).told
            if told["refused"]:
                raise Failed(f"the org could not be filled: {told}")
        finally:
            target.stop()
        self._known = home

    @contextmanager
    def fresh(self, operation: str) -> Iterator[Target]:
        """An org of its own for one contender; upserts find what is known."""
        home = self._folder / "org"
        if operation == "upsert" and self._known is not None:
            shutil.copytree(self._known, home)
        else:
            home.mkdir()
        target = Target(home / "org.sqlite")
        try:
            yield target
        finally:
            target.stop()
            shutil.rmtree(home)
