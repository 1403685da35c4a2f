"""A file that lands in a bucket is in Salesforce, reported on, archived and recorded, once, however often its event comes."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from halocline.buckets import Stored
from halocline.connector import Lease
from halocline.consume.aws.s3_events import landed
from halocline.emulator.faults import FOREVER
from halocline.errors import BadQuery, FixConfig, LeaseHeld, LeaseLost, NetworkFailed, NotFound, RetryLater, StillRunning, Stop
from halocline.filejob import Execution, FileJob, FileOutcome, FileState, Limits, run
from halocline.landed import Landed
from halocline.ledger import MemoryLedger
from tests.system.file_world import EXECUTION, Failing, FileWorld, Meddling, Say, broken, csv_of, fetched, file_world, small

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileWorld]:
    with file_world(tmp_path_factory.mktemp("files")) as world:
        yield world


@pytest.fixture
def world(running: FileWorld) -> FileWorld:
    running.afresh()
    return running


def delivered_again(world: FileWorld, where: Landed, times: int) -> list[FileOutcome]:
    """The same event, several times at once; one that finds another at work is delivered once more, as a queue does."""

    def deliver(_: int) -> FileOutcome:
        while True:
            try:
                return world.deliver(where)
            except LeaseHeld:
                continue

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(deliver, range(times)))


def check_whole_story(world: FileWorld, data: bytes, *, rows: int, bad: list[str]) -> None:
    """An event, and all that is to come of it; then the same event three times more, one after the other and at once."""
    where = world.drop("in/north/companies.csv", data)
    outcome = world.deliver(where)
    assert (outcome.state, outcome.rows, outcome.written, outcome.errors) == (FileState.DONE, rows, rows - len(bad), len(bad))
    there = [row["Ext__c"] for row in world.emulator.query("SELECT Ext__c FROM Account")]
    assert len(there) == len(set(there)) == rows - len(bad)
    report = world.report(outcome)
    assert sorted(line["upsert_key_value"] for line in report) == sorted(f"'{key}" for key in bad)
    assert {json.loads(line["object_json"])["Symbol"] for line in report} == set(bad)
    assert list(report[0])[:6] == ["salesforce_object", "code", "message", "upsert_key", "upsert_key_value", "object_json"]
    assert world.objects()[str(outcome.archive_key)] == data
    assert set(world.objects()) == {outcome.archive_key, outcome.error_key}
    (record,) = world.records()
    assert (record["Number_of_Errors__c"], record["Number_of_Rows__c"], record["Data_File__c"]) == (
        len(bad),
        rows,
        outcome.archive_key,
    )
    assert fetched(str(record["Error_Report__c"])) == world.objects()[str(outcome.error_key)]

    before, stamps = world.state(), world.stamps()
    world.writes()
    again = [world.deliver(where), *delivered_again(world, where, 3)]
    assert {one.state for one in again} == {FileState.AGAIN}
    assert {(one.archive_key, one.errors, one.record_id) for one in again} == {(outcome.archive_key, len(bad), record["Id"])}
    assert (world.state(), world.stamps(), world.writes()) == (before, stamps, 0)


def test_the_real_list_with_twenty_broken_rows(world: FileWorld, recorded_data: Path, record_property: Say) -> None:
    """503 companies and 20 rows that Salesforce refuses: exactly those are in the report; four deliveries more change nothing."""
    lines = (recorded_data / "sp500_companies.csv").read_bytes()
    bad = [broken(number) for number in range(20)]
    check_whole_story(world, lines + csv_of(bad).split(b"\n", 1)[1], rows=523, bad=[row[0] for row in bad])
    record_property(
        "says", "T24 one file: 503 companies in the org, 20 of 20 broken rows in the report, 4 deliveries more: 0 changes"
    )


def test_an_own_list_with_broken_rows(world: FileWorld) -> None:
    """The same with a small file of our own."""
    check_whole_story(world, small(), rows=15, bad=["=BAD0", "=BAD1", "=BAD2"])


def test_all_deliveries_at_once(world: FileWorld) -> None:
    """An event that is delivered four times before the first is done with it: one does the work."""
    where = world.drop("in/companies.csv", small())
    states = [one.state for one in delivered_again(world, where, 4)]
    assert sorted(states) == [FileState.AGAIN] * 3 + [FileState.DONE]
    assert len(world.records()) == 1
    assert len(world.emulator.query("SELECT Id FROM Account")) == 12


def test_events_as_a_queue_brings_them(world: FileWorld, record_property: Say) -> None:
    """In SNS in SQS, with a test event among them, keys encoded, each one to three times and in any order: each file once."""
    chance, told = random.Random(7), list[dict[str, Any]]()
    for number, key in enumerate(("in/a/f.csv", "in/b/f.csv", "in/a b+c%2B/ä.csv", "in/a/f.csv")):
        data = csv_of([[f"F{number}R{row}", f"Name {row}", "Energy", "Oil", "", "1999-01-01", "1", "1869"] for row in range(3)])
        told += [{"Records": [world.record(key, data)]}] * chance.randint(1, 3)
    told.insert(2, {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": world.bucket.name})
    chance.shuffle(told)
    envelopes = [json.dumps({"Type": "Notification", "Message": json.dumps(one)}) for one in told]
    event = {"Records": [{"messageId": str(n), "eventSource": "aws:sqs", "body": body} for n, body in enumerate(envelopes)]}
    landings = [where for _ in range(2) for where in landed(event)]
    states = Counter(world.deliver(where).state for where in landings)
    assert states[FileState.DONE] == 3
    assert states[FileState.REPLACED] == 1  # the first of the two under one key: it was written over before anybody heard of it
    keys = [str(one["Ext__c"]) for one in world.emulator.query("SELECT Ext__c FROM Account")]
    assert sorted(keys) == [f"F{number}R{row}" for number in (1, 2, 3) for row in range(3)]
    assert (len(world.records()), len(world.objects())) == (3, 3)
    deliveries = sum(states.values())
    record_property(
        "says", f"T24 queue: {len(told)} events, {deliveries} deliveries, 3 files done: 0 double loads, 0 collisions, 0 orphans"
    )


# ---- files that are none, and files with odd names


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.csv", b"", "the file is empty"),
        ("latin.csv", "Symbol,Security\nA,Münch".encode("latin-1"), "is not utf-8"),
        ("wide.csv", "Symbol,Security\nA,b\n".encode("utf-16"), 'encoding="utf-16"'),
        ("binary.csv", bytes(range(256)) * 8, "binary.csv"),
        ("quote.csv", b'Symbol,Security\n"A,b\nB,c\n', "never closed"),
        ("image.png", b"\x89PNG", "its ending is none that we read"),
        ("torn.csv.gz", gzip.compress(small())[:-30], "damaged"),
        ("no.csv.gz", b"Symbol,Security\nA,b\n", "damaged"),
        ("bomb.csv.gz", gzip.compress(b"Symbol,Security\n" + b"A,b\n" * 300_000), "larger than 1,000,000 bytes"),
        ("line.csv", b"Symbol,Security\nA," + b"x" * 4_000_000, "larger than 1,000,000 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_file_that_cannot_be_read_is_told(world: FileWorld, name: str, data: bytes, says: str) -> None:
    """It sends nothing, its report says in one line what is wrong, it is archived and recorded; once, as any other."""
    world.with_job(limits=Limits(unpacked_bytes=1_000_000))
    where = world.drop(f"in/{name}", data)
    outcome = world.deliver(where)
    assert (outcome.state, outcome.rows, outcome.errors, outcome.written) == (FileState.UNREADABLE, 0, 1, 0)
    assert says in outcome.message
    (line,) = world.report(outcome)
    assert (line["code"], says in line["message"]) == ("FILE_UNREADABLE", True)
    assert world.objects()[str(outcome.archive_key)] == data
    (record,) = world.records()
    assert (record["Number_of_Errors__c"], record["Status__c"]) == (1, "unreadable: 0 of 0")
    assert not world.emulator.query("SELECT Id FROM Account")
    assert world.deliver(where).state is FileState.AGAIN


def test_a_file_of_another_encoding_is_read_where_the_job_says_so(world: FileWorld) -> None:
    """And one without rows is a file without errors."""
    world.with_job(encoding="cp1252", delimiter=";")
    outcome = world.deliver(world.drop("in/a.csv", "Symbol;Security\nA;Münch\n".encode("cp1252")))
    assert outcome.written == 1
    assert world.emulator.query("SELECT Name FROM Account")[0]["Name"] == "Münch"
    outcome = world.deliver(world.drop("in/b.csv", b"Symbol;Security\n"))
    assert (outcome.state, outcome.rows, outcome.clean, outcome.error_key) == (FileState.DONE, 0, True, None)
    assert len(world.records()) == 2


ODD_KEYS = (
    "in/../../etc/x.csv",
    "in//etc/passwd.csv",
    "in/株式 会社+%2e%2e.csv",
    "in/" + "x" * (1_024 - 7) + ".csv",
    "in/" + "é" * 508 + ".csv",
    "in/C:\\x.csv",
)


@pytest.mark.parametrize("key", ODD_KEYS, ids=range(len(ODD_KEYS)))
def test_a_key_is_never_a_path(world: FileWorld, key: str) -> None:
    """Files with odd keys are taken care of, and nothing is written but into the home and the bucket's own prefixes."""
    around = {path for path in world.folder.rglob("*") if world.home not in path.parents}
    outcome = world.deliver(world.drop(key, small()))
    assert outcome.written == 12
    made = {path for path in world.folder.rglob("*") if world.home not in path.parents} - around - {world.home}
    assert made == set()
    assert set(world.objects()) == {outcome.archive_key, outcome.error_key}
    assert all(name.startswith(("archive/in/", "errors/in/")) for name in world.objects())


def test_keys_that_no_bucket_takes_are_refused_by_it_alone(world: FileWorld) -> None:
    """A NUL, or 1,025 bytes: whatever the bucket says of them, no file of ours gets such a name."""
    for key in ("in/a\0b.csv", "in/" + "x" * 1_025):
        with pytest.raises((FixConfig, NotFound)):
            world.deliver(Landed(world.bucket.name, key, etag="e"))


def test_the_same_name_in_two_folders_and_twice_in_a_minute(world: FileWorld) -> None:
    """Three landings, three copies, three reports, three records; the same bytes under the same key as well."""
    data = small(2, 1)
    outcomes = [world.deliver(world.drop(key, data)) for key in ("in/a/f.csv", "in/b/f.csv", "in/a/f.csv")]
    assert {one.state for one in outcomes} == {FileState.DONE}
    assert len({one.archive_key for one in outcomes} | {one.error_key for one in outcomes}) == len(world.objects()) == 6
    assert len(world.records()) == 3


def test_a_job_never_takes_what_it_puts_into_the_bucket(world: FileWorld) -> None:
    """Also where it takes the whole bucket: its own prefixes are not its files."""
    world.with_job(prefix="")
    outcome = world.deliver(world.drop("f.csv", small(2, 1)))
    for key in (outcome.archive_key, outcome.error_key):
        with pytest.raises(FixConfig, match="none of its files"):
            world.deliver(Landed(world.bucket.name, str(key)))
    with pytest.raises(FixConfig, match="below its own"):
        FileJob(name="j", bucket="b", sobject="Account", key="Ext__c", prefix="archive/in/")


# ---- without the ledger, and against the clock


@pytest.mark.parametrize("key", ["Run__c", None])
def test_without_its_ledger_a_job_asks_the_world(world: FileWorld, key: str | None) -> None:
    """A Lambda that keeps no ledger, an event that is delivered three times: the same as once."""
    world.with_job(execution=replace(EXECUTION, external_id_field=key))
    where = world.drop("in/f.csv", small())
    world.deliver_to(MemoryLedger(), where)
    before, stamps = world.state(), world.stamps()
    for _ in range(2):
        assert world.deliver_to(MemoryLedger(), where).errors == 3
    assert (world.state(), world.stamps()) == (before, stamps)


class Stopping(MemoryLedger):
    """A ledger that fails when a step is noted, until it is told that no step is."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step = step

    def note(self, run: str, *, plan: Any, lease: Lease | None = None) -> None:
        if self.step in plan.get("steps", {}):
            raise StillRunning("Noting", "the ledger is gone")
        super().note(run, plan=plan, lease=lease)


@pytest.mark.parametrize("step", ["fetch", "submit", "report", "archive", "record"])
def test_a_run_that_stops_and_forgets_is_ended_by_the_next(world: FileWorld, step: str) -> None:
    """After each step the process and its ledger are lost; an upsert may be repeated, and all else is found."""
    where = world.drop("in/f.csv", small())
    with pytest.raises(StillRunning):
        world.deliver_to(Stopping(step), where)
    outcome = world.deliver_to(MemoryLedger(), where)
    assert (outcome.written, outcome.errors, len(world.records()), len(world.objects())) == (12, 3, 1, 2)
    assert len(world.emulator.query("SELECT Id FROM Account")) == 12


@pytest.mark.parametrize("at", [1, 2])
def test_a_bucket_that_cannot_be_asked_what_is_done_is_asked_again(world: FileWorld, at: int) -> None:
    """The ledger is lost and the network goes away while the bucket is asked: nothing is sent twice, and the record is made."""
    world.with_job(mode="insert", key=None)
    where = world.drop("in/f.csv", small(4, 1))
    with pytest.raises(NetworkFailed):
        world.deliver_to(MemoryLedger(), where, buckets=Failing(world.buckets, "copy"))
    ledger = MemoryLedger()
    with pytest.raises(NetworkFailed):
        world.deliver_to(ledger, where, buckets=Failing(world.buckets, "head", at))
    outcome = world.deliver_to(ledger, where)
    assert (outcome.written, outcome.errors, len(world.records()), len(world.objects())) == (4, 1, 1, 2)
    assert len(world.emulator.query("SELECT Id FROM Account")) == 4


@pytest.mark.parametrize("step", ["fetch", "submit"])
def test_what_the_bucket_said_is_noted_as_a_whole(world: FileWorld, step: str) -> None:
    """The ledger is lost, the file in the archive, and a delivery dies while it notes that: the next one ends the work."""
    where = world.drop("in/f.csv", small(4, 1))
    with pytest.raises(StillRunning):
        world.deliver_to(Stopping("archive"), where)
    ledger = Stopping(step)
    with pytest.raises(StillRunning):
        world.deliver_to(ledger, where)
    ledger.step = ""
    outcome = world.deliver_to(ledger, where)
    assert (outcome.state, outcome.written, len(world.records()), len(world.objects())) == (FileState.DONE, 4, 1, 2)


@pytest.mark.parametrize("gone", [False, True], ids=["replaced", "gone"])
def test_a_file_whose_rows_were_sent_is_recorded_though_it_is_there_no_more(world: FileWorld, *, gone: bool) -> None:
    """The report tells that they were: without a ledger too the record is made, with no copy to point at."""
    where = world.drop("in/f.csv", small(4, 1))
    with pytest.raises(StillRunning):
        world.deliver_to(Stopping("report"), where)
    if gone:
        world.bucket.client.delete_object(Bucket=where.bucket, Key=where.key)
    else:
        world.drop("in/f.csv", small(5, 0))
    outcome = world.deliver_to(MemoryLedger(), where)
    assert (outcome.state, outcome.written, outcome.errors, outcome.archive_key) == (FileState.DONE, 4, 1, None)
    assert str(outcome.error_key) in world.objects()
    assert [record["Number_of_Errors__c"] for record in world.records()] == [1]
    assert any("there is no copy of it" in one for one in world.told)


def test_a_delivery_that_lost_its_lease_takes_nothing_from_the_books(world: FileWorld) -> None:
    """It wakes up after another has ended the run: what that one noted stays, and the next delivery knows of the record."""
    where, ledger = world.drop("in/f.csv", small(4, 1)), MemoryLedger()
    record = list[str | None]()

    def overtaken() -> None:
        (flow,) = {run.flow for run in ledger.runs() if run.flow.endswith("in/f.csv")}
        hold = ledger._holds[flow]
        hold.until = hold.seen
        record.append(world.deliver_to(ledger, where).record_id)

    with pytest.raises(LeaseLost):
        world.deliver_to(ledger, where, buckets=Meddling(world.buckets, "delete", overtaken))
    assert world.deliver_to(ledger, where).record_id == record[0] == world.records()[0]["Id"]
    assert len(world.records()) == 1


def test_an_insert_whose_end_was_not_noted_is_not_sent_again(world: FileWorld) -> None:
    """Its push is done, as the ledger has it, and that is enough."""
    world.with_job(mode="insert", key=None)
    where, ledger = world.drop("in/f.csv", small()), Stopping("submit")
    with pytest.raises(StillRunning):
        world.deliver_to(ledger, where)
    ledger.step = ""
    assert world.deliver_to(ledger, where).written == 12
    assert len(world.emulator.query("SELECT Id FROM Account")) == 12


def test_a_deadline_ends_a_delivery_and_the_next_goes_on(world: FileWorld) -> None:
    """What is done is done; nothing is lost, and no error is told that is none."""
    where = world.drop("in/f.csv", small())
    with pytest.raises(StillRunning, match="the time that it was given is over"):
        world.deliver(where, deadline=time.monotonic() - 1)
    assert world.deliver(where, deadline=time.monotonic() + 600).written == 12
    assert len(world.records()) == 1


@pytest.mark.parametrize("kind", ["ingest.create", "ingest.upload", "ingest.end"])
def test_a_deadline_that_comes_in_the_middle_is_heard(world: FileWorld, kind: str) -> None:
    """The push stops at its next call; the next delivery goes on with the job that this one has begun."""
    where = world.drop("in/f.csv", small())
    world.with_job(api="bulk")
    rule = world.emulator.faults.add("delay", kind=kind, nth=1, where="after", seconds=1.0)
    with pytest.raises(StillRunning, match="the time that it was given is over"):
        world.deliver(where, deadline=time.monotonic() + 0.9)
    assert world.emulator.faults.counters(rule)["struck"] <= 1
    world.emulator.faults.clear()
    outcome = world.deliver(where)
    assert (outcome.written, outcome.errors, len(world.records())) == (12, 3, 1)
    assert len(world.emulator.query("SELECT Id FROM Account")) == 12


def test_an_insert_is_never_sent_twice(world: FileWorld) -> None:
    """Stopped in the middle it is gone on with; without its folder it is told, and not repeated."""
    world.with_job(mode="insert", key=None, api="bulk")
    for name, forgets in (("in/kept.csv", False), ("in/lost.csv", True)):
        where = world.drop(name, small())
        world.emulator.faults.add("cut", kind="ingest.upload", where="after", times=FOREVER)
        with pytest.raises(RetryLater):
            world.deliver(where)
        world.emulator.faults.clear()
        if forgets:
            shutil.rmtree(world.home / "runs")
            with pytest.raises(Stop, match="its folder"):
                world.deliver(where)
        else:
            assert world.deliver(where).written == 12
    assert len(world.emulator.query("SELECT Id FROM Account")) == 12


# ---- the record


def test_a_link_that_is_too_long_for_its_field_becomes_the_plain_address(world: FileWorld) -> None:
    """Salesforce would refuse the whole record; who reads it is told where the report is, and a person that it was so."""
    fields = {"Short_Link__c": "{error_report_link}", "Data_File__c": "{key}" * 30, "Number_of_Errors__c": "{errors}"}
    world.with_job(execution=Execution(EXECUTION.sobject, fields))
    outcome = world.deliver(world.drop("in/f.csv", small()))
    (record,) = world.records()
    assert record["Short_Link__c"] == f"https://{world.bucket.name}.s3.amazonaws.com/{outcome.error_key}"
    assert record["Data_File__c"] == ("in/f.csv" * 40)[:255] if len("in/f.csv" * 30) > 255 else "in/f.csv" * 30
    assert any("signed link" in one for one in world.told)


def test_a_record_that_is_refused_is_made_by_the_next_delivery(world: FileWorld) -> None:
    """The error says why; everything before it stays done, and is not done again."""
    where = world.drop("in/f.csv", small())
    world.with_job(execution=Execution(EXECUTION.sobject, {"Number_of_Errors__c": "many"}))
    for _ in range(2):
        with pytest.raises(BadQuery, match="Creating a record"):
            world.deliver(where)
    world.with_job(execution=Execution(EXECUTION.sobject, {"Number_of_Errors__c": "{errors}"}))
    world.writes()
    outcome = world.deliver(where)
    assert (outcome.written, len(world.records()), world.writes()) == (12, 1, 1)


@pytest.mark.parametrize("dark", [False, True], ids=["once", "then dark"])
def test_a_record_whose_answer_was_lost_is_looked_for(world: FileWorld, *, dark: bool) -> None:
    """It was made, and can only be created: found in the same delivery, or where nothing can be asked then, in the next."""
    world.with_job(execution=replace(EXECUTION, external_id_field=None))
    where, faults = world.drop("in/f.csv", small()), world.emulator.faults
    rule = faults.add("cut", kind="record.create", nth=1, where="after")
    if dark:
        faults.add("cut", kind="query", nth=2, where="before", times=FOREVER)  # the first query is before the record is made
        with pytest.raises(RetryLater):
            world.deliver(where)
    else:
        world.deliver(where)
    assert faults.counters(rule)["struck"] == 1
    faults.clear()
    assert world.deliver(where).record_id == world.records()[0]["Id"]
    assert len(world.records()) == 1


def test_a_record_that_was_not_made_is_made_by_the_next_delivery(world: FileWorld) -> None:
    """The request never arrived; an equal record of somebody else is not taken for it."""
    fields = {"Number_of_Errors__c": "{errors}"}
    world.with_job(execution=Execution(EXECUTION.sobject, fields))
    world.emulator.create(EXECUTION.sobject, {"Number_of_Errors__c": 3})
    where = world.drop("in/f.csv", small())
    world.emulator.faults.add("cut", kind="record.create", where="before", times=FOREVER)
    with pytest.raises(RetryLater):
        world.deliver(where)
    world.emulator.faults.clear()
    outcome = world.deliver(where)
    assert len(world.records()) == 2
    assert outcome.record_id in {record["Id"] for record in world.records()}


def test_a_record_takes_as_few_calls_as_can_be(world: FileWorld) -> None:
    """One describe, a look whether an equal one is there, and the record; another file's equal record is no double of it."""
    world.with_job(execution=Execution(EXECUTION.sobject, {"Number_of_Errors__c": "{errors}"}))
    world.deliver(world.drop("in/a.csv", small(1, 0)))
    world.emulator.calls.clear()
    made = Meddling(world.client, "create", lambda: world.emulator.create(EXECUTION.sobject, {"Number_of_Errors__c": 0}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "records_of", lambda _: made)
        world.deliver(world.drop("in/b.csv", small(1, 0)))
    about = [call.method for call in world.emulator.calls if EXECUTION.sobject in call.path or call.kind == "query"]
    assert about == ["GET", "GET", "POST"]
    assert world.told == []


@pytest.mark.parametrize("value", [date(2026, 1, 1), Decimal("1.5"), float("nan"), [b"x"]], ids=repr)
def test_a_value_that_is_no_json_is_refused_when_the_job_is_made(value: object) -> None:
    """It could be sent, and not be noted before: every delivery would end there."""
    with pytest.raises(FixConfig, match=r"Data_File__c is .*, which is no JSON"):
        Execution(EXECUTION.sobject, {"Data_File__c": value})


@pytest.mark.parametrize("template", ["{erors}", "{errors:>9}", "{errors.real}", "{errors", "{}"])
def test_a_template_that_cannot_be_is_refused_when_the_job_is_made(template: str) -> None:
    """Not when the first file has been taken care of."""
    with pytest.raises(FixConfig, match="template"):
        Execution(EXECUTION.sobject, {"Run__c": template})


def test_a_stored_object_needs_no_event(world: FileWorld) -> None:
    """A file that is found by listing the bucket is a landing as well."""
    world.drop("in/f.csv", small())
    found: list[Stored] = list(world.buckets.each(world.bucket.name, "in/"))
    outcome = world.deliver(Landed(found[0].bucket, found[0].key, etag=found[0].etag, size=found[0].size))
    assert outcome.written == 12
