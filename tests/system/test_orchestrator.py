"""Orchestrator: the documented class, with its names and hooks, and none of the ways in which its predecessor lost something."""

from __future__ import annotations

import csv
import gc
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from halocline.config import Settings
from halocline.errors import Changed, FixConfig, HaloclineError, NotFound
from halocline.landed import Landed
from halocline.ledger import SqliteLedger
from halocline.orchestrator import Orchestrator
from halocline.s3_files import upload_file
from halocline.sf_client import SfClient
from tests.examples import in_turn
from tests.system.file_world import EXECUTION, FileWorld, fetched, file_world

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

GOOD = {"success": True, "created": True, "id": "001000000000001AAA", "errors": []}
BAD = {"success": False, "created": False, "id": None, "errors": [{"statusCode": "BAD", "message": "=no", "fields": []}]}


class Mine(Orchestrator):
    """As the document has it: the object's name is set in the constructor, the fields are a property."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execution_object_name = EXECUTION.sobject

    @property
    def execution_sfdc_hash(self) -> Mapping[str, object]:
        return {
            "Number_of_Errors__c": self.error_count,
            "Error_Report__c": self.error_report_link,
            "Data_File__c": self.s3_object_key,
        }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileWorld]:
    with file_world(tmp_path_factory.mktemp("orchestrator")) as world:
        yield world


@pytest.fixture
def world(running: FileWorld) -> Iterator[FileWorld]:
    running.afresh()
    with pytest.MonkeyPatch.context() as patch:  # as a Lambda has it: all of it comes from the environment
        patch.setenv("HALOCLINE_HOME", str(running.home))
        patch.setenv("HALOCLINE_SPOOL", str(running.home / "spool"))
        yield running


def made(world: FileWorld, key: str = "in/a/f.csv", kind: type[Orchestrator] = Mine, **options: Any) -> Any:
    return kind(key, world.bucket.name, world.client, **options)


def finished(world: FileWorld, mine: Orchestrator, errors: int = 1) -> None:
    rows = [{"Name": "A name", "Ext__c": str(number)} for number in range(errors + 1)]
    mine.log_batch([GOOD, *[BAD] * errors], rows, "Account", "Ext__c")
    mine.automagically_finish_up()


def report_of(world: FileWorld, key: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(world.objects()[key].decode(), newline="")))


def test_the_documented_use(world: FileWorld) -> None:
    """Download, log, finish: report with the six headers, archive, record with a link that works."""
    world.drop("in/a/f.csv", b"the file")
    mine = made(world)
    assert mine.downloaded_file.read_bytes() == b"the file"
    finished(world, mine, 2)
    assert set(world.objects()) == {mine.archive_file_s3_key, mine.error_file_s3_key}
    assert world.objects()[mine.archive_file_s3_key] == b"the file"
    report = report_of(world, mine.error_file_s3_key)
    assert list(report[0]) == ["salesforce_object", "code", "message", "upsert_key", "upsert_key_value", "object_json"]
    assert [json.loads(line["object_json"])["Ext__c"] for line in report] == ["1", "2"]
    assert [line["message"] for line in report] == ["'=no"] * 2
    (record,) = world.records()
    assert (record["Number_of_Errors__c"], record["Data_File__c"]) == (2, "in/a/f.csv")
    assert fetched(str(record["Error_Report__c"])) == world.objects()[mine.error_file_s3_key]


@pytest.mark.parametrize("name", ["error-report.csv", "error report.csv", "report.csv"])
def test_a_file_that_is_called_as_the_report_is_another(world: FileWorld, name: str) -> None:
    """The report has its lines alone, and what was fetched stays what landed."""
    world.drop(f"in/{name}", b"the file")
    mine = made(world, f"in/{name}")
    finished(world, mine, 1)
    assert mine.downloaded_file.read_bytes() == b"the file"
    assert [line["code"] for line in report_of(world, mine.error_file_s3_key)] == ["BAD"]
    assert world.objects()[mine.archive_file_s3_key] == b"the file"


def test_the_link_of_the_document_stays_the_users_own_text(world: FileWorld) -> None:
    """A property of the subclass is what the record says, whatever it leads to."""

    class Linked(Mine):
        @property
        def error_report_link(self) -> str:
            return f"https://{self.bucket_name}.us-east-1.amazonaws.com/{self.error_file_s3_key}"

    world.drop("in/a/f.csv", b"x")
    mine = made(world, kind=Linked)
    finished(world, mine)
    assert (
        world.records()[0]["Error_Report__c"] == f"https://{world.bucket.name}.us-east-1.amazonaws.com/{mine.error_file_s3_key}"
    )


def test_two_runs_in_one_minute_do_not_meet(world: FileWorld) -> None:
    """Neither do two files of one name in two folders: as many reports, copies and rows as there were runs."""
    for key in ("in/a/f.csv", "in/b/f.csv", "in/a/f.csv"):
        data = f"{key} {len(world.objects())}".encode()
        world.drop(key, data)
        mine = made(world, key)
        finished(world, mine, 3)
        assert world.objects()[mine.archive_file_s3_key] == data
        assert len(report_of(world, mine.error_file_s3_key)) == 3
    assert len(world.objects()) == 6
    assert [record["Number_of_Errors__c"] for record in world.records()] == [3, 3, 3]


def test_the_names_that_are_given_are_taken(world: FileWorld) -> None:
    """Folders, the report's name, the timestamp; and the hooks that set them."""
    world.drop("in/a/f.csv", b"x")
    mine = made(world, archive_folder="done/", error_folder="wrong", error_report_file_name="mine.csv")
    assert mine.error_file_s3_key == "wrong/mine.csv"
    mine.set_timestamp("20260101T0000")
    assert mine.archive_file_s3_key.startswith("done/in/a/f-20260101T0000-")
    mine.set_error_report_name()
    assert mine.error_file_s3_key.startswith("wrong/error-report-20260101T0000-")
    finished(world, mine)
    assert set(world.objects()) == {mine.archive_file_s3_key, mine.error_file_s3_key}


def test_the_hooks_of_an_instant_are_the_constructors(world: FileWorld) -> None:
    """It calls `set_timestamp`, so that a subclass may set what its `get_timestamp` gives, also from what was fetched."""

    class Own(Mine):
        def set_timestamp(self, timestamp: str | None = None) -> None:
            self.instant = timestamp or f"T{len(self.downloaded_file.read_bytes())}"

        def get_timestamp(self) -> str:
            return self.instant

    class Local(Mine):
        def set_timestamp(self, timestamp: str | None = None) -> None:
            super().set_timestamp(timestamp or "20260102T0304")

    for kind, instant in ((Own, "T8"), (Local, "20260102T0304")):
        world.drop("in/a/f.csv", b"the file")
        mine = made(world, kind=kind)
        assert mine.get_timestamp() == instant
        assert mine.error_file_s3_key.startswith(f"errors/error-report-{instant}-")
        assert mine.archive_file_s3_key.startswith(f"archive/in/a/f-{instant}-")
        finished(world, mine)
        assert {mine.archive_file_s3_key, mine.error_file_s3_key} <= set(world.objects())


def test_a_report_may_be_uploaded_by_the_subclass(world: FileWorld) -> None:
    """The local file is `error_report_path`, as in the older library."""

    class Uploading(Mine):
        def upload_error_report(self) -> str:
            return upload_file(self.error_report_path, self.bucket_name, "elsewhere/report.csv")

    world.drop("in/a/f.csv", b"x")
    mine = made(world, kind=Uploading)
    finished(world, mine, 2)
    assert set(world.objects()) == {mine.archive_file_s3_key, "elsewhere/report.csv"}
    assert [line["code"] for line in report_of(world, "elsewhere/report.csv")] == ["BAD"] * 2


def test_an_end_without_a_batch_is_an_end(world: FileWorld) -> None:
    """Nothing was sent: an empty report, the file archived, a record with no errors."""
    world.drop("in/a/f.csv", b"x")
    mine = made(world)
    mine.automagically_finish_up()
    assert report_of(world, mine.error_file_s3_key) == []
    assert world.records()[0]["Number_of_Errors__c"] == 0
    assert "in/a/f.csv" not in world.objects()


def test_results_that_do_not_match_lose_no_row(world: FileWorld) -> None:
    """Fewer results than rows, a refusal without a reason, a row without its key: each row is one line and counts once."""
    world.drop("in/a/f.csv", b"x")
    mine = made(world)
    mine.log_batch([GOOD], [{"Ext__c": "1"}, {"Ext__c": "2"}], "Account", "Ext__c")
    mine.log_batch([{"success": False}, GOOD], [{"Name": "no key"}, {"Ext__c": "3"}], "Account", "Ext__c")
    assert mine.error_count == 3
    mine.automagically_finish_up()
    assert [line["upsert_key_value"] for line in report_of(world, mine.error_file_s3_key)] == ["1", "2", ""]


class Failing(Mine):
    """It dies once, at the step that the class is told."""

    at = ""

    def archive_file(self) -> str | None:
        if self.at == "archive":
            raise OSError("died before the archive")
        key = super().archive_file()
        if self.at == "archived":
            raise OSError("died after the archive")
        return key

    def create_execution_object(self) -> str | None:
        if self.at == "record":
            raise OSError("died before the record")
        made = super().create_execution_object()
        if self.at == "recorded":
            raise OSError("died after the record")
        return made


@pytest.mark.parametrize(("at", "forgets"), in_turn(["archive", "archived", "record", "recorded"], [False, True]))
def test_an_end_that_died_is_come_to_by_the_next(world: FileWorld, at: str, *, forgets: bool) -> None:
    """The file is fetched from the archive where it is only there; one copy, one report, one record."""
    world.drop("in/a/f.csv", b"x")
    Failing.at = at
    mine = made(world, kind=Failing)
    with pytest.raises(OSError, match="died"):
        finished(world, mine, 2)
    if forgets:
        shutil.rmtree(world.home)
    Failing.at = ""
    again = made(world, kind=Failing)
    assert again.downloaded_file.read_bytes() == b"x"
    assert (again.archive_file_s3_key, again.error_file_s3_key) == (mine.archive_file_s3_key, mine.error_file_s3_key)
    finished(world, again, 2)
    assert set(world.objects()) == {mine.archive_file_s3_key, mine.error_file_s3_key}
    assert len(world.records()) == 1


def test_a_run_that_was_begun_and_not_noted_is_ended_without_its_ledger(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is lost, the record made, and a delivery dies right after its run was booked: no second record."""
    world.drop("in/a/f.csv", b"x")
    Failing.at = "recorded"
    with pytest.raises(OSError, match="died"):
        finished(world, made(world, kind=Failing))
    shutil.rmtree(world.home)
    Failing.at = ""
    mine = made(world, kind=Failing)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "note", _killed)
        with pytest.raises(OSError, match="killed"):
            finished(world, mine)
    finished(world, made(world, kind=Failing))
    assert (len(world.records()), len(world.objects())) == (1, 2)


def _killed(*_: object, **__: object) -> None:
    raise OSError("killed")


@pytest.mark.parametrize("told", [True, False], ids=["landed", "by name"])
def test_a_class_takes_what_another_has_archived_for_a_file_of_its_own(world: FileWorld, *, told: bool) -> None:
    """Two classes on one landing: each has its report, its copy and its record, whoever was first."""
    where = world.drop("in/a/f.csv", b"x")
    finished(world, made(world, landed=where if told else None))
    first = world.state()[2]
    for _ in range(2):
        mine = made(world, kind=Failing, landed=where if told else None)
        assert mine.downloaded_file.read_bytes() == b"x"
        finished(world, mine, 2)
        assert set(world.objects()) == {*first, mine.archive_file_s3_key, mine.error_file_s3_key}
        assert [record["Number_of_Errors__c"] for record in world.records()] == [1, 2]
    assert len(world.objects()) == 4


def test_dates_and_decimals_may_be_in_the_record(world: FileWorld) -> None:
    """They are noted before they are sent, and what is no JSON at all is told for what it is."""

    class Dated(Mine):
        fields: ClassVar[dict[str, object]] = {}

        @property
        def execution_sfdc_hash(self) -> Mapping[str, object]:
            return self.fields

    world.drop("in/a/f.csv", b"x")
    Dated.fields = {"Data_File__c": date(2026, 1, 1), "Number_of_Errors__c": Decimal("1.5")}
    finished(world, made(world, kind=Dated))
    assert [(one["Data_File__c"], one["Number_of_Errors__c"]) for one in world.records()] == [("2026-01-01", 1.5)]
    world.drop("in/b/f.csv", b"x")
    Dated.fields = {"Data_File__c": object()}
    with pytest.raises(FixConfig, match=r"Data_File__c is .*, which is no JSON"):
        finished(world, made(world, "in/b/f.csv", kind=Dated))


def test_an_external_id_makes_the_record_safe_to_repeat(world: FileWorld) -> None:
    """Even without the ledger."""
    world.drop("in/a/f.csv", b"x")
    Failing.at = "recorded"
    with pytest.raises(OSError, match="died"):
        finished(world, made(world, kind=Failing, execution_external_id="Run__c"))
    shutil.rmtree(world.home)
    Failing.at = ""
    finished(world, made(world, kind=Failing, execution_external_id="Run__c"))
    assert len(world.records()) == 1


def test_a_file_that_is_done_stays_done(world: FileWorld) -> None:
    """Whoever takes it up once more gets the file, and changes nothing."""
    world.drop("in/a/f.csv", b"x")
    finished(world, made(world))
    before, stamps = world.state(), world.stamps()
    mine = made(world)
    finished(world, mine)
    assert mine.create_execution_object() == world.records()[0]["Id"]
    assert (world.state(), world.stamps()) == (before, stamps)


def test_a_landing_names_the_object_that_is_meant(world: FileWorld) -> None:
    """The one of the event, or its copy in the archive, and never the newer one under its key."""
    old = world.drop("in/a/f.csv", b"old")
    with pytest.raises(NotFound, match="no copy"):
        made(world, "in/none.csv")
    mine = made(world, landed=old)
    world.drop("in/a/f.csv", b"new")
    with pytest.raises(Changed, match="written over"):
        made(world, landed=old)
    finished(world, mine)
    assert (world.objects()["in/a/f.csv"], world.objects()[mine.archive_file_s3_key]) == (b"new", b"old")
    assert made(world, landed=old).downloaded_file.read_bytes() == b"old"


def test_keys_are_no_paths_and_local_files_go_away(world: FileWorld) -> None:
    """The download has a plain name in a folder of its own, which is gone with the object."""
    world.drop("in/../../../etc/x y.csv", b"x")
    mine = made(world, "in/../../../etc/x y.csv")
    folder = mine.downloaded_file.parent
    assert (mine.downloaded_file.name, folder.parent) == ("x_y.csv", world.home / "spool")
    del mine
    gc.collect()
    assert not folder.exists()


def test_without_an_object_there_is_no_record_and_without_fields_an_error(world: FileWorld) -> None:
    """The error says what the subclass lacks; by then the file is archived, and it can be ended later."""
    world.drop("in/a/f.csv", b"x")
    finished(world, made(world, kind=Orchestrator))
    assert world.records() == []
    world.drop("in/b/f.csv", b"x")
    with pytest.raises(NotImplementedError, match="execution_sfdc_hash"):
        finished(world, made(world, "in/b/f.csv", kind=Orchestrator, execution_object_name=EXECUTION.sobject))


def test_a_client_of_simple_salesforce_manners_will_do(world: FileWorld) -> None:
    """It is only asked as that library is: client.Object.create, .upsert, .describe and client.query_all."""
    ours, name = world.client, EXECUTION.sobject

    def upsert(path: str, record: dict[str, Any]) -> int:
        field, _, value = path.partition("/")
        ours.upsert(name, record, external_id_field=field, value=value)
        return 201

    theirs = SimpleNamespace(
        create=lambda record: {"id": ours.create(name, record)}, upsert=upsert, describe=lambda: ours.describe(name)
    )
    client = SimpleNamespace(**{name: theirs}, query_all=lambda soql: {"records": list(ours.query(soql))})
    for number, key in enumerate((None, "Run__c")):
        world.drop(f"in/{number}.csv", b"x")
        mine = Mine(f"in/{number}.csv", world.bucket.name, client, execution_external_id=key)
        finished(world, mine)
        assert mine.create_execution_object() == world.records()[-1]["Id"]
    assert len(world.records()) == 2


@pytest.mark.parametrize("key", [None, "Run__c"])
def test_the_documented_client_writes_the_rows_and_the_record(world: FileWorld, key: str | None) -> None:
    """SfClient: its bulk results are what log_batch takes, in the order of the rows."""
    world.drop("in/a/f.csv", b"x")
    with SfClient(client=world.client) as salesforce:
        mine = Mine("in/a/f.csv", world.bucket.name, sf_client=salesforce, execution_external_id=key)
        rows = [{"Name": "A name", "Ext__c": "1"}, {"Ext__c": "2"}, {"Name": "Another", "Ext__c": "3"}]
        mine.log_batch(salesforce.bulk.Account.upsert(rows, "Ext__c"), rows, "Account", "Ext__c")
        mine.automagically_finish_up()
    (line,) = report_of(world, mine.error_file_s3_key)
    assert (line["code"], json.loads(line["object_json"])) == ("REQUIRED_FIELD_MISSING", {"Ext__c": "2"})
    assert [record["Number_of_Errors__c"] for record in world.records()] == [1]


def test_ledger_settings_and_buckets_may_be_given(world: FileWorld) -> None:
    """And then the environment is not asked."""
    world.drop("in/a/f.csv", b"x")
    home = world.folder / "given"
    with SqliteLedger(home / "ledger.sqlite") as ledger, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALOCLINE_HOME", "/nowhere")
        finished(world, made(world, ledger=ledger, settings=Settings(home, home / "spool"), buckets=world.buckets))
        (run,) = ledger.runs()
    assert (run.state, run.rows_read, run.counts.changed, run.counts.rejected) == ("done", 2, 1, 1)


def test_a_delivery_that_failed_is_booked(world: FileWorld) -> None:
    """The ledger says what stopped it."""
    world.drop("in/a/f.csv", b"x")
    mine = made(world)
    mine.execution_object_name = "Nothing__c"
    with pytest.raises(HaloclineError):
        finished(world, mine)
    with SqliteLedger(world.home / "ledger.sqlite") as ledger:
        (run,) = ledger.runs()
    assert run.state == "failed"
    assert "Nothing__c" in str(run.error)


def test_a_landing_by_hand_has_a_flow(world: FileWorld) -> None:
    """A file is one flow, whoever names it."""
    world.drop("in/a/f.csv", b"x")
    mine = made(world, landed=Landed(world.bucket.name, "in/a/f.csv"))
    finished(world, mine)
    with SqliteLedger(world.home / "ledger.sqlite") as ledger:
        assert [run.flow for run in ledger.runs()] == [f"Mine: s3://{world.bucket.name}/in/a/f.csv"]
