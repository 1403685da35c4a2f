"""Laws of files and queues that an older tool for the same job broke. Each test says in its docstring what was lost there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from pydantic import BaseModel

from halocline import SfClient, SoapAuthenticator
from halocline.compat.kicksaw import Orchestrator
from halocline.compat.kicksaw.aws import SQSQueue
from halocline.compat.kicksaw.csv_helpers import create_error_report
from halocline.compat.kicksaw.sfdc_helpers import extract_errors_from_results, parse_bulk_upsert_results
from halocline.compat.kicksaw.sqs_helpers import acknowledge_messages, pull_n_number_of_messages
from halocline.compat.kicksaw.step_function_helpers import cache_data_in_s3, pull_cached_data_from_s3
from halocline.config import Settings
from halocline.connectors.salesforce import soap_login
from halocline.emulator.server import Emulator
from halocline.errors import NotFound, RetryLater
from halocline.ledger import MemoryLedger
from halocline.retry import Policy
from tests.connectors.files.server import bucket, s3
from tests.connectors.salesforce.writable import writable

pytestmark = pytest.mark.system

REFUSED = {"success": False, "created": False, "id": None, "errors": [{"statusCode": "BAD", "message": "no", "fields": []}]}
WRITTEN = {"success": True, "created": True, "id": "001", "errors": []}


class Job(Orchestrator):
    """The document's subclass, on an object that every org has."""

    @property
    def execution_sfdc_hash(self) -> dict[str, object]:
        return {"LastName": self.s3_object_key[-80:], "Code__c": str(self.error_count)}


class Here:
    """A bucket, an org, a ledger."""

    def __init__(self, emulator: Emulator, client: Any, folder: Path) -> None:
        self.emulator = emulator
        self.options = {"settings": Settings(folder / "home", folder / "spool"), "ledger": MemoryLedger()}
        self.sf = SfClient(client=client, **self.options)  # type: ignore[arg-type]
        self.bucket = bucket().name
        self.client = boto3.client("s3")

    def job(self, key: str, *, body: str = "Name\na\n", record: bool = False) -> Job:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body.encode())
        name = "Contact" if record else None
        return Job(key, self.bucket, sf_client=self.sf, execution_object_name=name, **self.options)

    def keys(self, prefix: str = "") -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", ())]

    def text(self, key: str) -> str:
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body.decode()

    def lines(self, key: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text(key))))

    def calls(self, path: str, method: str = "GET") -> int:
        return sum(path in call.path and call.method == method for call in self.emulator.calls)

    def names(self) -> list[object]:
        return [row["Name"] for row in self.emulator.query("SELECT Name FROM Account ORDER BY Name")]


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[str]:
    with s3() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Any]]:
    with writable(tmp_path_factory.mktemp("org")) as (emulator, client):
        client.limits()  # logged in before the checkpoint, so that each test finds the session there
        emulator.checkpoint()
        yield emulator, client


@pytest.fixture
def here(org: tuple[Emulator, Any], tmp_path: Path) -> Here:
    org[0].reset()
    return Here(*org, tmp_path)


def rows(count: int, **more: object) -> list[dict[str, Any]]:
    return [{"Ext__c": f"e{number:05}", "Name": f"n{number:05}", **more} for number in range(count)]


# ---- 1: the samples run: tests/samples/test_kicksaw.py


# ---- 2: names of one minute


def test_runs_of_one_minute_do_not_meet(here: Here) -> None:
    """Each has its report with its own rows, and its archive: there the second report held the first one's rows, and the second
    archive overwrote the first.
    """
    for number, body in enumerate(("Name\none\n", "Name\ntwo\n"), start=1):
        job = here.job("in/file.csv", body=body)
        job.log_batch([REFUSED] * number, [{"Name": str(number)}] * number, "Account", "Ext__c")
        job.automagically_finish_up()
    archived = here.keys("archive/")
    assert len(archived) == 2
    assert {here.text(key) for key in archived} == {"Name\none\n", "Name\ntwo\n"}
    assert sorted(len(here.lines(key)) for key in here.keys("errors/")) == [1, 2]


def test_one_name_in_two_folders_is_two_files(here: Here) -> None:
    """There the archive of `b/f.csv` took the place of that of `a/f.csv`."""
    for key in ("a/f.csv", "b/f.csv"):
        here.job(key).automagically_finish_up()
    assert [key.split("/")[1] for key in here.keys("archive/")] == ["a", "b"]
    assert len(here.keys("errors/")) == 2


def test_nothing_stays_on_this_machine(here: Here, tmp_path: Path) -> None:
    """There the local report was never deleted, and a warm Lambda appended to it."""
    job = here.job("in/file.csv")
    path = job.downloaded_file
    job.automagically_finish_up()
    del job
    assert not path.exists()
    assert not [one for one in (tmp_path / "spool").rglob("*") if one.is_file()]


# ---- 3: the order of the end


def test_a_file_without_rows_is_finished_too(here: Here) -> None:
    """Report, archive and record are there without any `log_batch`: there the file was moved, then came FileNotFoundError."""
    here.job("in/file.csv", record=True).automagically_finish_up()
    (report,) = here.keys("errors/")
    assert here.lines(report) == []
    assert (here.keys("in/"), len(here.keys("archive/"))) == ([], 1)
    assert here.emulator.query("SELECT LastName, Code__c FROM Contact") == [{"LastName": "in/file.csv", "Code__c": "0"}]


# ---- 4: results and rows


def test_fewer_results_than_rows_are_reported(here: Here) -> None:
    """Every row has its line, which says so: there an AssertionError lost the whole report."""
    job = here.job("in/file.csv")
    job.log_batch([REFUSED], rows(3), "Account", "Ext__c")
    job.automagically_finish_up()
    (report,) = here.keys("errors/")
    assert [(line["code"], line["upsert_key_value"]) for line in here.lines(report)] == [
        ("NO_RESULT", row["Ext__c"]) for row in rows(3)
    ]


def test_a_failed_job_gives_each_row_its_error(here: Here) -> None:
    """And each is in the report: there a failed batch had no rows at all."""
    here.emulator.faults.add("job_failed", object="Account", times=1)
    job = here.job("in/file.csv")
    results = here.sf.bulk.Account.insert(rows(5))
    job.log_batch(results, rows(5), "Account", "Ext__c")
    assert (len(results), job.error_count, here.names()) == (5, 5, [])


def test_a_refusal_without_a_reason_counts() -> None:
    """There it was counted nowhere."""
    silent = {"success": False, "created": False, "id": None, "errors": []}
    successes, errors = parse_bulk_upsert_results([WRITTEN, silent], rows(2), "Account", "Ext__c")
    assert successes == [WRITTEN]
    assert [(one["code"], one["upsert_key_value"]) for one in errors] == [("UNKNOWN_ERROR", "e00001")]
    assert [one["statusCode"] for one in extract_errors_from_results([WRITTEN, silent, REFUSED])] == ["UNKNOWN_ERROR", "BAD"]


def test_a_row_without_its_key_is_reported() -> None:
    """There it was a KeyError."""
    _, errors = parse_bulk_upsert_results([REFUSED], [{"Name": "a"}], "Account", "Ext__c")
    assert (errors[0]["upsert_key_value"], errors[0]["code"]) == ("", "BAD")


def test_errors_are_counted_in_rows_and_told_in_json(tmp_path: Path, here: Here) -> None:
    """A row with two errors is one: there it was two. The row is JSON: there it was Python's own spelling."""
    twice = {**REFUSED, "errors": [*REFUSED["errors"], {"statusCode": "WORSE", "message": "never", "fields": []}]}  # type: ignore[misc]
    job = here.job("in/file.csv")
    job.log_batch([twice], [{"Ext__c": "x", "On__c": True, "None__c": None}], "Account", "Ext__c")
    assert job.error_count == 1
    _, errors = parse_bulk_upsert_results([twice], [{"Ext__c": "x", "On__c": True, "None__c": None}], "Account", "Ext__c")
    assert create_error_report(errors, tmp_path / "r.csv") == 1
    (line,) = csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text()))
    assert (line["code"], line["message"]) == ("BAD; WORSE", "no; never")
    assert json.loads(line["object_json"]) == {"Ext__c": "x", "On__c": True, "None__c": None}


def test_the_report_is_called_both_ways(tmp_path: Path) -> None:
    """With lists of errors it answers path and number, with a path the number: there the document's own call failed."""
    _, errors = parse_bulk_upsert_results([REFUSED, REFUSED])
    path, count = create_error_report([errors, errors])
    assert (count, path.parent.name, len(path.read_text().splitlines())) == (4, "errors", 5)
    assert [create_error_report(errors, tmp_path / "a" / "r.csv") for _ in range(2)] == [2, 2]
    assert len((tmp_path / "a" / "r.csv").read_text().splitlines()) == 5
    assert create_error_report([{"x": "=1+1"}], tmp_path / "f.csv", ["x"]) == 1
    assert (tmp_path / "f.csv").read_text().splitlines() == ["x", "'=1+1"]


# ---- 5, 6, 10: bulk writes


def test_results_are_asked_for_again(here: Here) -> None:
    """A connection that breaks while they are fetched costs nothing: there it was tried once, and the results were lost."""
    here.emulator.faults.add("cut", path="/successfulResults", times=2)
    assert all(one["success"] for one in here.sf.bulk.Account.insert(rows(10)))
    assert here.calls("/successfulResults") == 3


@pytest.mark.parametrize(
    ("method", "path", "calls"), [("POST", "/jobs/ingest", 2), ("PUT", "/batches", 2), ("PATCH", "/jobs/ingest/", 1)]
)
def test_a_batch_that_was_taken_is_not_sent_twice(here: Here, method: str, path: str, calls: int) -> None:
    """Whichever answer is lost: there the batch was sent again, and inserts were doubled."""
    here.emulator.faults.add("lose_reply", path=path, method=method, times=1)
    assert all(one["success"] for one in here.sf.bulk.Account.insert(rows(10)))
    assert (here.calls(path, method), len(here.names())) == (calls, 10)


def test_rows_too_large_for_one_request_travel_in_several(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are cut by their bytes beforehand: there the cut was by number, once, and then an exception left a job open."""
    monkeypatch.setattr("halocline.connectors.salesforce.sheets.MAX_BYTES", 20_000)
    told = here.sf.bulk.Account.insert(rows(30, Description="x" * 3_000))
    assert [one["success"] for one in told] == [True] * 30
    assert here.calls("/batches", "PUT") > 4
    assert len(here.names()) == 30


@pytest.mark.parametrize("count", [1, 200, 201])
def test_the_last_single_record_is_sent(here: Here, count: int) -> None:
    """There a last batch of one record was dropped."""
    assert len(here.sf.bulk.Account.upsert(rows(count), "Ext__c")) == count
    assert len(here.names()) == count


# ---- 7: logging in


def test_a_login_that_never_comes_is_an_error(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many tries as there: there the fifth ended in silence, and a client that was half made."""
    monkeypatch.setattr(soap_login, "_POLICY", Policy(attempts=5, base_s=0.001))
    fault = '<s:Fault xmlns:s="x"><faultcode>SERVER_UNAVAILABLE</faultcode><faultstring>busy</faultstring></s:Fault>'
    here.emulator.faults.add("answer", path="/services/Soap", status=500, body=fault, times=0)
    here.emulator.calls.clear()
    with pytest.raises(RetryLater, match="SERVER_UNAVAILABLE: busy"):
        SoapAuthenticator("someone", "password", login_url=here.emulator.url).authenticate()
    assert len(here.emulator.calls) == 5


# ---- 8: payloads


def test_a_payload_is_taken_and_deleted(here: Here) -> None:
    """There deleting was an AttributeError."""
    key = cache_data_in_s3({"a": 1}, here.bucket)
    assert pull_cached_data_from_s3(here.bucket, key, True) == {"a": 1}
    with pytest.raises(NotFound):
        pull_cached_data_from_s3(here.bucket, key)


# ---- 9: queues


class Patient(BaseModel):
    name: str


def queue(name: str) -> SQSQueue[Patient]:
    boto3.client("sqs").create_queue(QueueName=name)
    return SQSQueue(name=name, message_model=Patient)


def test_no_more_messages_than_asked_for() -> None:
    """There 15 were asked for, and 20 came."""
    asked = queue("fifteen")
    assert all(asked.send_messages([Patient(name=str(number)) for number in range(20)]))
    handles, messages = asked.receive_messages(max_messages=15)
    assert (len(handles), len(messages)) == (15, 15)
    assert len(pull_n_number_of_messages(boto3.client("sqs"), "fifteen", n=3)) == 3


def test_one_bad_message_loses_no_other() -> None:
    """It is in its place, with its handle, and can be deleted: there its error left a whole fetch in flight without handles."""
    mixed = queue("mixed")
    client = boto3.client("sqs")
    mixed.send_messages([Patient(name="a")])
    client.send_message(QueueUrl=mixed.url, MessageBody="no json")
    mixed.send_messages([Patient(name="b")])
    handles, messages = mixed.receive_messages(max_messages=3)
    good = sorted(one.name for one in messages if isinstance(one, Patient))
    assert (len(handles), len(messages), good) == (3, 3, ["a", "b"])
    assert all(mixed.delete_messages(handles))


def test_a_short_page_is_not_the_end() -> None:
    """All messages come, ten at a time: there the first page with fewer than ten was the last."""
    many = queue("many")
    many.send_messages([Patient(name=str(number)) for number in range(23)])
    client = boto3.client("sqs")
    messages = pull_n_number_of_messages(client, "many")
    assert len(messages) == 23
    acknowledge_messages(client, "many", messages)
    assert pull_n_number_of_messages(client, "many") == []


def test_a_batch_is_cut_by_its_bytes() -> None:
    """Ten large messages are sent in several calls: there the call was refused as a whole."""
    large = queue("large")
    sent = large.send_messages([Patient(name="x" * 200_000) for _ in range(10)])
    assert [bool(one) for one in sent] == [True] * 10
