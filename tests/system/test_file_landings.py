"""Files that land under one key one after the other, that change, that go, that two jobs would have: none is mixed up or lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from halocline import registry
from halocline.emulator.faults import FOREVER
from halocline.errors import NotFound, RetryLater, StorageFailed
from halocline.filejob import FileState, names
from halocline.landed import Landed
from halocline.ledger import open_ledger
from halocline.push.past import overtaken, overtaker
from halocline.testing.aws import FakeAWS
from tests.connectors.files.server import bucket
from tests.system.file_world import Failing, FileWorld, Meddling, csv_of, file_world, job_of, small

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileWorld]:
    with file_world(tmp_path_factory.mktemp("files")) as world:
        yield world


@pytest.fixture
def world(running: FileWorld) -> FileWorld:
    running.afresh()
    return running


@pytest.fixture
def faked(world: FileWorld, aws: FakeAWS) -> Iterator[FileWorld]:
    """The same on an S3 whose clock can be moved, and which holds to the limits."""
    before = world.buckets
    world.bucket, world.buckets = bucket(), registry.open_buckets()
    world.job = job_of(world.bucket.name)
    yield world
    world.buckets = before


def test_a_file_that_was_replaced_before_it_was_read_is_left_to_its_own_event(world: FileWorld) -> None:
    """The older event does nothing; the newer does all."""
    old, new = world.drop("in/f.csv", small(2, 0)), world.drop("in/f.csv", small(3, 1))
    assert world.deliver(old).state is FileState.REPLACED
    assert (world.state()[0], world.records()) == ([], [])
    assert world.deliver(new).written == 3
    assert world.deliver(old).state is FileState.AGAIN


@pytest.mark.parametrize("key", ["in/f.csv", "in/report.csv", "in/error report.csv"])
def test_a_file_that_is_replaced_while_it_is_at_work_is_archived_as_it_was_read(world: FileWorld, key: str) -> None:
    """What was read is what was sent, reported on and archived; the newer file lies where it was put, and has its own run;
    whatever it is called: a file by the name of the local report, too.
    """
    where, newer = world.drop(key, small(4, 1)), list[Landed]()
    meddling = Meddling(world.buckets, "download", lambda: newer.append(world.drop(key, small(5, 0))))
    outcome = world.deliver(where, buckets=meddling)
    assert outcome.written == 4
    assert world.objects()[str(outcome.archive_key)] == small(4, 1)
    assert world.objects()[key] == small(5, 0)
    assert world.deliver(newer[0]).written == 5
    assert key not in world.objects()


def test_a_newer_file_survives_the_deletion_of_the_older(world: FileWorld) -> None:
    """It lands between the copy and the deletion."""
    where, newer = world.drop("in/f.csv", small(4, 1)), list[Landed]()
    meddling = Meddling(world.buckets, "copy", lambda: newer.append(world.drop("in/f.csv", small(5, 0))))
    world.deliver(where, buckets=meddling)
    assert world.objects()["in/f.csv"] == small(5, 0)


def test_a_file_that_is_replaced_after_a_push_died_is_gone_on_with_from_what_was_put_aside(world: FileWorld) -> None:
    """Its rows are all sent, and its report has them by number; the newer file is left to its event."""
    world.with_job(api="bulk")
    where = world.drop("in/f.csv", small())
    world.emulator.faults.add("cut", kind="ingest.upload", where="before", times=FOREVER)
    with pytest.raises(RetryLater):
        world.deliver(where)
    world.emulator.faults.clear()
    newer = world.drop("in/f.csv", small(2, 0))
    outcome = world.deliver(where)
    assert (outcome.state, outcome.written, outcome.errors, outcome.archive_key) == (FileState.DONE, 12, 3, None)
    assert sorted(line["row"] for line in world.report(outcome)) == ["0", "3", "6"]
    assert any("written over before it could be archived" in one for one in world.told)
    assert world.deliver(newer).written == 2


def test_a_bucket_with_versions_gives_each_event_its_own_file(world: FileWorld) -> None:
    """Two landings of one key, and the older event is delivered last: each reads, archives and deletes its own version."""
    client, name = world.bucket.client, versioned(world)
    world.with_job(mode="insert", key=None)
    old, new = world.drop("in/f.csv", small(2, 1)), world.drop("in/f.csv", small(3, 1))
    outcomes = [world.deliver(new), world.deliver(old)]
    assert [one.written for one in outcomes] == [3, 2]
    assert [world.objects()[str(one.archive_key)] for one in outcomes] == [small(3, 1), small(2, 1)]
    left = client.list_object_versions(Bucket=name, Prefix="in/")
    assert [*left.get("Versions", ()), *left.get("DeleteMarkers", ())] == []


def versioned(world: FileWorld) -> str:
    """The name of the world's bucket, which keeps versions from now on."""
    name = world.bucket.name
    world.bucket.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def one_row(value: str) -> bytes:
    return csv_of([["S1", value, "Energy", "Oil", "", "1999-01-01", "1", "1869"]])


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "sent"])
def test_an_older_file_never_puts_its_values_over_newer_ones(world: FileWorld, *, ended: bool) -> None:
    """Its event comes after the newer was sent: it is archived and recorded, and outcome, record and a notice say it was not."""
    versioned(world)
    old, new = world.drop("in/f.csv", one_row("Old")), world.drop("in/f.csv", one_row("New"))
    if ended:
        assert world.deliver(new).clean
    else:  # its rows are sent, and that is all
        with pytest.raises(RetryLater):
            world.deliver(new, buckets=Failing(world.buckets, "copy"))
    outcome = world.deliver(old)
    assert (outcome.state, outcome.rows, outcome.error_key, outcome.clean) == (FileState.SUPERSEDED, 0, None, False)
    assert "landed later" in outcome.message
    assert any(outcome.message in one for one in world.told)
    assert [one["Name"] for one in world.emulator.query("SELECT Name FROM Account")] == ["New"]
    assert world.objects()[str(outcome.archive_key)] == one_row("Old")
    assert world.records()[-1]["Status__c"] == "superseded: 0 of 0"
    again = world.deliver(old)
    assert (again.state, again.message, again.record_id) == (FileState.AGAIN, outcome.message, outcome.record_id)
    assert world.deliver(new).written == 1
    assert world.deliver(world.drop("in/f.csv", one_row("Newest"))).state is FileState.DONE


def test_an_older_file_that_was_begun_says_so(world: FileWorld) -> None:
    """Its push died, and the newer file was sent before it was gone on with: what is left of it is not sent; whatever the clock
    said when the newer one began.
    """
    versioned(world)
    world.with_job(api="bulk")
    old = world.drop("in/f.csv", one_row("Old"))
    world.emulator.faults.add("cut", kind="ingest.upload", where="before", times=FOREVER)
    with pytest.raises(RetryLater):
        world.deliver(old)
    world.emulator.faults.clear()
    with open_ledger(world.home / "ledger.sqlite") as ledger:
        (push,) = ledger.runs(names.push_flow_of(world.job.name, names.run_of(world.job.name, old)))
        assert not overtaken(push.run, push.flow, ledger=ledger)
        assert world.deliver(world.drop("in/f.csv", one_row("New"))).written == 1
        assert overtaken(push.run, push.flow, ledger=ledger), "by whatever way it is taken up"
        assert overtaker(push.flow) == "a file that landed later under its key"
    with closing(sqlite3.connect(world.home / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE runs SET started = '2020-01-01T00:00:00.000000+00:00' WHERE seq = (SELECT max(seq) - 1 FROM runs)")
    with open_ledger(world.home / "ledger.sqlite") as ledger:
        assert [one.started[:4] for one in ledger.runs(limit=2)][1] == "2020", "the newer file's"
        assert overtaken(push.run, push.flow, ledger=ledger)
    outcome = world.deliver(old)
    assert (outcome.state, "may have been sent" in outcome.message) == (FileState.SUPERSEDED, True)
    assert [one["Name"] for one in world.emulator.query("SELECT Name FROM Account")] == ["New"]


def test_what_became_of_the_rows_of_an_older_file_is_told(world: FileWorld) -> None:
    """Some were refused before its push was cut off: they are in the report, and the push is named.

    All rows but one are broken: of any two calls that come first, one has a row to refuse.
    """
    versioned(world)
    world.with_job(api="collections", batch_size=1)
    old = world.drop("in/f.csv", small(1, 4))
    world.emulator.faults.add("cut", kind="collections.upsert", where="before", nth=3, times=FOREVER)
    with pytest.raises(RetryLater):
        world.deliver(old)
    world.emulator.faults.clear()
    assert world.deliver(world.drop("in/f.csv", one_row("New"))).written == 1
    outcome = world.deliver(old)
    refused = {line["row"] for line in world.report(outcome) if line["fate"] == "refused"}
    assert (outcome.state, outcome.push_run is None) == (FileState.SUPERSEDED, False)
    assert refused
    assert refused <= {"0", "2", "3", "4"}
    assert outcome.errors == len(world.report(outcome))


def test_a_push_that_sent_nothing_supersedes_nothing(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer file's push died before its first row went: the older one is sent, and the newer one when it comes again."""
    versioned(world)
    old, new = world.drop("in/f.csv", one_row("Old")), world.drop("in/f.csv", one_row("New"))
    with monkeypatch.context() as patch:
        patch.setattr("halocline.push.push._stage", _no_room)
        with pytest.raises(StorageFailed):
            world.deliver(new)
    assert world.deliver(old).written == 1
    assert world.deliver(new).written == 1
    assert [one["Name"] for one in world.emulator.query("SELECT Name FROM Account")] == ["New"]


def test_the_rows_of_a_file_are_overtaken_whichever_file_was_begun_first(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer was begun before the older and sent after it: what is left of the older is not taken up unasked."""
    versioned(world)
    world.with_job(api="bulk")
    old, new = world.drop("in/f.csv", one_row("Old")), world.drop("in/f.csv", one_row("New"))
    with monkeypatch.context() as patch:
        patch.setattr("halocline.push.push._stage", _no_room)
        with pytest.raises(StorageFailed):
            world.deliver(new)
    world.emulator.faults.add("cut", kind="ingest.upload", where="before", times=FOREVER)
    with pytest.raises(RetryLater):
        world.deliver(old)
    world.emulator.faults.clear()
    with open_ledger(world.home / "ledger.sqlite") as ledger:
        (push,) = ledger.runs(names.push_flow_of(world.job.name, names.run_of(world.job.name, old)))
        assert not overtaken(push.run, push.flow, ledger=ledger)
        assert world.deliver(new).written == 1
        assert overtaken(push.run, push.flow, ledger=ledger)
        newer = ledger.runs(names.push_flow_of(world.job.name, names.run_of(world.job.name, new)))[0]
        assert not overtaken(newer.run, newer.flow, ledger=ledger), "nothing came after it"


def test_a_long_history_of_a_key_forgets_nothing(world: FileWorld) -> None:
    """However many runs of it there were since, an older file that comes late is not sent."""
    versioned(world)
    old = [world.drop("in/f.csv", one_row(f"Old {number}")) for number in range(2)]
    world.deliver(world.drop("in/f.csv", one_row("New")))
    with open_ledger(world.home / "ledger.sqlite") as ledger:
        for number in range(60):  # more than a ledger tells where nobody says how many
            ledger.start(names.flow_of(world.job.name, old[0]), run=f"since-{number}", pid=os.getpid(), host="here")
            ledger.finish(f"since-{number}", state="done")
    assert {world.deliver(one).state for one in reversed(old)} == {FileState.SUPERSEDED}


def _no_room(*_: object, **__: object) -> None:
    raise StorageFailed("Staging", "the disk is full")


def test_the_same_bytes_dropped_again_while_the_first_are_at_work_are_another_file(faked: FileWorld, aws: FakeAWS) -> None:
    """Their ETag is the same: the instant at which they landed tells them, and they are not deleted before their own event."""
    faked.with_job(mode="insert", key=None)
    where, second = faked.drop("in/f.csv", small(4, 0)), list[Landed]()

    def drop() -> None:
        aws.clock.advance(2)
        second.append(faked.drop("in/f.csv", small(4, 0)))

    assert faked.deliver(where, buckets=Meddling(faked.buckets, "download", drop)).written == 4
    assert faked.deliver(second[0]).written == 4
    assert len(faked.emulator.query("SELECT Id FROM Account")) == 8
    assert "in/f.csv" not in faked.objects()


@pytest.mark.parametrize("forgets", [False, True], ids=["ledger", "no ledger"])
def test_the_same_bytes_that_land_after_the_copy_was_made_stay(faked: FileWorld, aws: FakeAWS, *, forgets: bool) -> None:
    """A delivery died between copy and deletion: the next one finds the copy, and under the key a file that is not its own."""
    where = faked.drop("in/f.csv", small(4, 0))
    with pytest.raises(RetryLater):
        faked.deliver(where, buckets=Failing(faked.buckets, "delete"))
    if forgets:
        shutil.rmtree(faked.home)
    aws.clock.advance(2)
    second = faked.drop("in/f.csv", small(4, 0))
    assert faked.deliver(where).written == 4
    assert faked.deliver(second).state is FileState.DONE
    assert len(faked.records()) == 2


@pytest.mark.parametrize("own", [200, 1_900])
def test_metadata_of_a_file_that_are_too_many_for_its_copy_are_left_out_and_told(faked: FileWorld, own: int) -> None:
    """S3 takes 2 KB: what the run says of itself is there, and the file's own where there is room."""
    client, name = faked.bucket.client, faked.bucket.name
    client.put_object(Bucket=name, Key="in/f.csv", Body=small(4, 0), Metadata={"a": "x" * own})
    outcome = faked.deliver(Landed(name, "in/f.csv"))
    told = client.head_object(Bucket=name, Key=outcome.archive_key)["Metadata"]
    assert told["halocline-run"] == outcome.run
    assert told["halocline-job"] == "companies"
    assert ("a" in told) is (own == 200)
    assert any("without its own metadata (a)" in one for one in faked.told) is (own != 200)


def test_a_message_has_room_in_metadata_whatever_letters_it_has(faked: FileWorld) -> None:
    """Each may take twelve bytes there; the file is archived, and the report says what has room."""
    faked.with_job(name="企業" * 200)
    faces = "\N{GRINNING FACE}" * 200
    data = f"{faces},{faces}\nA,b\n".encode()
    faked.bucket.client.put_object(Bucket=faked.bucket.name, Key="in/a.csv", Body=data, Metadata={"whose": "its own" * 20})
    outcome = faked.deliver(Landed(faked.bucket.name, "in/a.csv"))
    assert (outcome.state, outcome.archive_key in faked.objects()) == (FileState.UNREADABLE, True)
    assert outcome.message


def test_two_jobs_on_one_file_do_not_take_each_others_work_for_their_own(world: FileWorld) -> None:
    """The second finds the file gone and a copy of the first: that is told, each time, and not taken for its own success."""
    where = world.drop("in/f.csv", small(4, 0))
    copy = world.deliver(where).archive_key
    other = replace(world.job, name="other")
    with open_ledger(world.home / "ledger.sqlite") as ledger:
        for _ in range(2):
            with pytest.raises(NotFound, match="made by another job") as caught:
                world.deliver_to(ledger, where, job=other)
    assert str(copy) in str(caught.value)


def test_a_long_key_is_found_in_the_archive(world: FileWorld) -> None:
    """The end of such a name is left out: at the same place for the copy and for who looks for it."""
    where = world.drop("in/" + "a" * 1_012 + ".csv", small(4, 0))
    assert world.deliver(replace(where, sequencer="")).written == 4
    assert world.deliver(where).state is FileState.AGAIN


def test_a_file_that_is_gone_is_told(world: FileWorld) -> None:
    """Nobody archived it: nothing is done, and whoever delivers it hears so each time."""
    where = world.drop("in/f.csv", small())
    world.bucket.client.delete_object(Bucket=where.bucket, Key=where.key)
    for _ in range(2):
        with pytest.raises(NotFound, match="no copy of it is in the archive"):
            world.deliver(where)
    assert world.records() == []


def test_a_file_that_another_way_took_care_of_is_done(world: FileWorld) -> None:
    """Named by hand it has no sequencer, so it is another landing; the event that comes later finds its copy."""
    where = world.drop("in/f.csv", small(2, 1))
    assert world.deliver(replace(where, sequencer="")).written == 2
    before = world.state()
    assert world.deliver(where).state is FileState.AGAIN
    assert world.state() == before
