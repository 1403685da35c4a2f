"""A world in which files land: a bucket, an org, and whatever a delivery of an event leaves in both."""

from __future__ import annotations

import csv
import io
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx2

from halocline import registry
from halocline.buckets import Buckets
from halocline.config import Settings
from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.consume.aws.s3_events import landed
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.errors import NetworkFailed
from halocline.events import Event
from halocline.filejob import Execution, FileJob, FileOutcome, run_file
from halocline.landed import Landed
from halocline.ledger import Ledger, open_ledger
from halocline.mapping import FieldMapper
from halocline.orchestrator import Orchestrator
from halocline.outcome import RowResult
from halocline.retry import Pace, Policy
from tests.connectors.aws import servers
from tests.connectors.files.server import Bucket, bucket

SCHEMA = """
object: Account
fields:
  Ext__c: {type: string(40) external}
  Index_Date__c: date
  Cik__c: string(10)
  Founded__c: string(80)
---
object: Integration_Execution__c
label: Integration Execution
plural: Integration Executions
fields:
  Number_of_Errors__c: double(18,0)
  Number_of_Rows__c: double(18,0)
  Error_Report__c: textarea(32000)
  Short_Link__c: string(255)
  Data_File__c: string(255)
  Status__c: string(40)
  Run__c: {type: string(40) external unique}
"""  # Ext__c is not unique: the org itself would not keep a row from being there twice
MAPPING = FieldMapper(
    {
        "Symbol": "Ext__c",
        "Security": "Name",
        "GICS Sector": "Industry",
        "GICS Sub-Industry": "Description",
        "Headquarters Location": "BillingStreet",
        "Date added": "Index_Date__c",
        "CIK": "Cik__c",
        "Founded": "Founded__c",
    }
)
HEADS = ("Symbol", "Security", "GICS Sector", "GICS Sub-Industry", "Headquarters Location", "Date added", "CIK", "Founded")
EXECUTION = Execution(
    "Integration_Execution__c",
    {
        "Number_of_Errors__c": "{errors}",
        "Number_of_Rows__c": "{rows}",
        "Error_Report__c": "{error_report_link}",
        "Data_File__c": "{archive_key}",
        "Status__c": "{state}: {written} of {rows}",
    },
    "Run__c",
)
QUICK = Pace(sleep=lambda seconds: time.sleep(min(seconds, 0.01)))

ROUTES = ("flow", "flow without a key", "class")
"""Ways to take care of a file: a FileJob; one whose record can only be created; an Orchestrator, likewise."""

_SEQUENCERS = itertools.count(0x0055AED6DCD90281E5)


def job_of(name: str, *, route: str = "flow") -> FileJob:
    """The job that most stories tell of, on the bucket of this name."""
    return FileJob(
        name="companies",
        bucket=name,
        prefix="in/",
        sobject="Account",
        key="Ext__c",
        mapping=MAPPING,
        execution=EXECUTION if route == "flow" else replace(EXECUTION, external_id_field=None),
    )


class Companies(Orchestrator):
    """The same as a class."""

    @property
    def execution_sfdc_hash(self) -> dict[str, object]:
        """What the record tells."""
        return {
            "Number_of_Errors__c": self.error_count,
            "Error_Report__c": self.error_report_link,
            "Data_File__c": self.archive_file_s3_key,
        }


def carried(
    route: str, job: FileJob, where: Landed, *, client: SalesforceClient, buckets: Buckets, ledger: Ledger, settings: Settings
) -> object:
    """Take care of a file by one of the routes."""
    if route != "class":
        return run_file(job, where, client=client, buckets=buckets, ledger=ledger, settings=settings)
    name, given = EXECUTION.sobject, {"buckets": buckets, "ledger": ledger, "settings": settings}
    mine = Companies(where.key, where.bucket, client, execution_object_name=name, landed=where, **given)
    with mine.downloaded_file.open(encoding="utf-8", newline="") as file:
        rows = [dict(MAPPING.transform(row)) for row in csv.DictReader(file)]
    mine.log_batch(
        [_result(one) for one in client.upsert_many("Account", rows, external_id_field="Ext__c")], rows, "Account", "Ext__c"
    )
    mine.automagically_finish_up()
    return mine


def _result(one: RowResult) -> dict[str, Any]:
    errors = [] if one.success else [{"statusCode": one.code, "message": one.message, "fields": list(one.fields)}]
    return {"success": one.success, "created": one.created, "id": one.id, "errors": errors}


def broken(number: int) -> list[str]:
    """A row that Salesforce refuses, in one of four ways; every one of them would also be run by a spreadsheet."""
    good = [f"=BAD{number}", f"+Bad {number}", "Energy", "@SUM(A1)", "-1+1", "2020-01-02", "1", "1999"]
    wrong = {0: (1, ""), 1: (5, "2026-13-45"), 2: (6, "12345678901"), 3: (7, "x" * 81)}
    at, value = wrong[number % 4]
    return [*good[:at], value, *good[at + 1 :]]


def csv_of(rows: list[list[str]]) -> bytes:
    """The file with the heads of the company list and these rows."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([HEADS, *rows])
    return file.getvalue().encode()


def small(good: int = 12, bad: int = 3) -> bytes:
    """An own little list: good rows, with broken ones among them."""
    rows = [[f"S{n}", f"Øre {n}, Co", "Energy", "Oil", "Two\nLines", "1999-01-01", str(n), "1869"] for n in range(good)]
    for number in range(bad):
        rows.insert(number * 3, broken(number))
    return csv_of(rows)


@dataclass
class FileWorld:
    """An org and a bucket, a home, and what was noticed."""

    emulator: Emulator
    client: SalesforceClient
    bucket: Bucket
    folder: Path
    buckets: Buckets
    homes: Iterator[int] = field(default_factory=itertools.count)
    home: Path = Path()
    told: list[str] = field(default_factory=list)
    job: FileJob = field(init=False, repr=False)

    def afresh(self) -> None:
        """An empty org, an empty bucket, an empty home; the job that most stories tell of."""
        self.emulator.reset()
        self.bucket, self.home = bucket(), self.folder / f"home-{next(self.homes)}"
        self.told.clear()
        self.job = job_of(self.bucket.name)

    def drop(self, key: str, data: bytes) -> Landed:
        """Put a file into the bucket; the event that S3 tells of it, read as every event is."""
        (where,) = landed({"Records": [self.record(key, data)]})
        return where

    def record(self, key: str, data: bytes) -> dict[str, Any]:
        """Put a file into the bucket; what S3 tells of it."""
        answer, size = self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=data), len(data)
        stored = {
            "key": quote_plus(key),
            "size": size,
            "eTag": answer["ETag"].strip('"'),
            "sequencer": f"{next(_SEQUENCERS):018X}",
        }
        if "VersionId" in answer:
            stored["versionId"] = answer["VersionId"]
        place = {"bucket": {"name": self.bucket.name}, "object": stored}
        at = "2026-11-21T12:00:00.000Z"
        return {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": at, "s3": place}

    def deliver(self, where: Landed, **options: Any) -> FileOutcome:
        """One delivery of an event, with the ledger of this home."""
        with open_ledger(self.home / "ledger.sqlite") as ledger:
            return self.deliver_to(ledger, where, **options)

    def deliver_to(self, ledger: Ledger, where: Landed, *, job: FileJob | None = None, **options: Any) -> FileOutcome:
        """The same with a ledger of the caller's."""
        settings = Settings(self.home, self.home / "spool")
        given: dict[str, Any] = {"client": self.client, "buckets": self.buckets, **options}
        return run_file(job or self.job, where, ledger=ledger, settings=settings, sink=self.hear, **given)

    def hear(self, event: Event) -> None:
        """Keep what a person should know."""
        if type(event).__name__ == "Noticed":
            self.told.append(event.message)  # type: ignore[union-attr]  # a Noticed has one

    def with_job(self, **changes: Any) -> FileJob:
        """The job with some of it changed; it is the world's from now on."""
        self.job = replace(self.job, **changes)
        return self.job

    def state(self) -> tuple[Any, ...]:
        """Everything that a reader of the org or the bucket sees, ids and stamps aside."""
        accounts = self.emulator.query("SELECT Ext__c, Name, Industry, Founded__c FROM Account ORDER BY Ext__c, Name")
        fields = "Number_of_Errors__c, Number_of_Rows__c, Data_File__c, Status__c, Run__c"
        records = self.emulator.query(f"SELECT {fields} FROM Integration_Execution__c ORDER BY Data_File__c")
        return (_plain(accounts), _plain(records), self.objects())

    def stamps(self) -> list[Any]:
        """Ids and instants of the last change, of everything in the org."""
        return [
            _plain(self.emulator.query(f"SELECT Id, SystemModstamp FROM {name} ORDER BY Id"))
            for name in ("Account", "Integration_Execution__c")
        ]

    def objects(self) -> dict[str, bytes]:
        """The bucket."""
        client = self.bucket.client
        return {name: client.get_object(Bucket=self.bucket.name, Key=name)["Body"].read() for name in self.bucket.names()}

    def report(self, outcome: FileOutcome) -> list[dict[str, str]]:
        """The error report, as a program reads it."""
        assert outcome.error_key is not None
        return list(csv.DictReader(io.StringIO(self.objects()[outcome.error_key].decode(), newline="")))

    def records(self) -> list[dict[str, Any]]:
        """The execution records."""
        fields = "Id, Number_of_Errors__c, Number_of_Rows__c, Error_Report__c, Data_File__c, Status__c, Run__c, Short_Link__c"
        return self.emulator.query(f"SELECT {fields} FROM Integration_Execution__c ORDER BY CreatedDate, Id")

    def writes(self) -> int:
        """Calls since this was asked last that may have written something into the org."""
        found = sum(call.method != "GET" and call.kind != "token" for call in self.emulator.calls)
        self.emulator.calls.clear()
        return found


class Meddling:
    """Buckets in which something happens right after one kind of call. Otherwise those it is made of."""

    def __init__(self, inner: Any, after: str, deed: Any) -> None:
        self._inner, self._after, self._deed = inner, after, deed

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name != self._after:
            return method

        def called(*values: Any, **options: Any) -> Any:
            answer, deed = method(*values, **options), self._deed
            self._deed = lambda: None
            deed()
            return answer

        return called


class Failing:
    """Buckets whose network is away at the n-th call of one kind. Otherwise those it is made of."""

    def __init__(self, inner: Any, kind: str, at: int = 1) -> None:
        self._inner, self._kind, self._left = inner, kind, at

    def __getattr__(self, name: str) -> Any:
        if name == self._kind:
            self._left -= 1
            if self._left == 0:
                raise NetworkFailed(f"Calling {name}", "the network is away")
        return getattr(self._inner, name)


def _plain(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(value for name, value in record.items() if name != "attributes") for record in records]


def fetched(link: str) -> bytes:
    """What anybody who has the link gets."""
    answer = httpx2.get(link)
    assert answer.status_code == 200, answer.text
    return answer.content


@contextmanager
def file_world(folder: Path) -> Iterator[FileWorld]:
    """Everything running, until the block ends."""
    schema = folder / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    with Emulator(EmulatorConfig(schemas=(schema,))) as emulator, servers.fake():
        emulator.checkpoint()
        keys = emulator.config
        login = ClientCredentialsAuthenticator(keys.consumer_key, keys.consumer_secret, login_url=emulator.url)
        with SalesforceClient(login, pace=QUICK, retry=Policy(attempts=4)) as client:
            yield FileWorld(emulator, client, bucket(), folder, registry.open_buckets())


Say = Callable[[str, object], None]
