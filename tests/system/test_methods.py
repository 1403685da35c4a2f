"""Laws of the choice: which of the six documented methods carries how many rows, proved by what the org was asked."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest

from halocline.connectors.salesforce import soql
from halocline.events import Committed, Event, PartStaged
from halocline.plan import BULK_API_THRESHOLD, STAGE_THRESHOLD
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.system.laptop import Laptop, laptop

pytestmark = pytest.mark.system

PAGE_ROWS = 2_000  # records in a REST page of the emulator
LOOKS = {"describe", "deleted"}  # asked once by every sync, whatever the method


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path) as running:
        yield running


@dataclass(slots=True)
class Witness:
    """What lay in the spool as parts were staged (`parsed`), and, with what had been asked, as rows became visible."""

    here: Laptop
    pages: list[str] = field(default_factory=list)
    parsed: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if isinstance(event, PartStaged):
            self.parsed += [path.name for path in self.here.folder.glob("spool/*/*.arrow")]
        if isinstance(event, Committed):
            self.pages = sorted(path.name for path in self.here.folder.glob("spool/*/*.csv"))
            self.kinds = [call.kind for call in self.here.org.calls]


def sync(here: Laptop, *, bulk: int = BULK_API_THRESHOLD, stage: int = STAGE_THRESHOLD, **options: Any) -> dict[str, object]:
    """One sync of Accounts, its calls held against its own method."""
    witness = Witness(here)
    here.kinds()
    told = here.system(bulk=bulk, stage=stage, sink=witness).sync_sobject(
        "Account", "raw", "accounts", fields=["Name"], **options
    )
    assert told["success"] is True, told["error"]
    estimated = told["estimated_records"]
    assert isinstance(estimated, int)
    prove(here, witness, str(told["sync_method"]), rows=estimated)
    return told


def prove(here: Laptop, witness: Witness, method: str, *, rows: int) -> None:
    """The org was asked what this method asks, and nothing else; a job is one, and is deleted after the commit."""
    kinds = here.kinds()
    counted = {kind: kinds.count(kind) for kind in kinds}
    counts = counted.pop("queryAll")  # the estimate is a COUNT(), and the REST query's first page is another
    assert {kind for kind in LOOKS if counted.pop(kind) != 1} == set()
    if method.startswith("regular_api"):
        assert counts == 2
        assert counted == ({"query.more": more} if (more := max(0, (rows - 1) // PAGE_ROWS)) else {})
        assert witness.pages == []
        return
    assert counts == 1
    assert counted.pop("bulk.status") >= 1
    assert counted == {"bulk.create": 1, "bulk.pages": 1, "bulk.results": max(1, -(-rows // 50_000)), "bulk.delete": 1}
    assert "bulk.delete" not in witness.kinds, "the job was deleted before its rows were durable"
    assert kinds[-1] == "bulk.delete"
    assert witness.pages, "the result pages stay until their rows are durable"
    assert bool(witness.parsed) == ("stage" not in method), "a stage method, and no other, loads the result pages as they came"


BORDERS = [(999, "regular_api"), (1_000, "bulk_api"), (49_999, "bulk_api"), (50_000, "bulk_api_stage")]


@pytest.mark.parametrize(
    ("at_first", "later"),
    [
        (BORDERS[0], BORDERS[1]),
        pytest.param(BORDERS[1], BORDERS[0], marks=pytest.mark.long),
        pytest.param(BORDERS[3], BORDERS[2], marks=pytest.mark.long),
        pytest.param(BORDERS[2], BORDERS[3], marks=pytest.mark.long),
    ],
)
def test_the_documented_thresholds_choose_the_method(here: Laptop, at_first: tuple[int, str], later: tuple[int, str]) -> None:
    """At 999, 1,000, 49,999 and 50,000 rows the method is the documented one, at first and later; tests/test_plan.py has all.

    The short run reads 999 and 1,000.
    """
    rows, way = at_first
    here.seed("Account", rows)
    here.days_pass()  # what was made just before the first sync would be in the overlap of the second
    told = sync(here)
    assert (told["sync_method"], told["estimated_records"], told["actual_records"]) == (f"{way}_full", rows, rows)
    here.days_pass()
    more, way = later
    here.seed("Account", more, number=1, hours=1)
    told = sync(here)
    assert (told["sync_method"], told["estimated_records"], told["actual_records"]) == (f"{way}_incremental", more, more)
    assert here.rows('SELECT count(*), count(DISTINCT "Id") FROM raw.accounts') == [(rows + more, rows + more)]


@pytest.mark.parametrize(
    ("rows", "way"),
    [
        (4_999, "regular_api"),
        (5_000, "bulk_api"),
        pytest.param(24_999, "bulk_api", marks=pytest.mark.long),
        pytest.param(25_000, "bulk_api_stage", marks=pytest.mark.long),
    ],
)
def test_the_documented_example_of_other_thresholds_holds(here: Laptop, rows: int, way: str) -> None:
    """With 5,000 and 25,000 set, as the document shows, the borders are there: the later number is already the larger way."""
    here.seed("Account", rows)
    assert sync(here, bulk=5_000, stage=25_000)["sync_method"] == f"{way}_full"


@pytest.mark.parametrize(("rows", "way"), [(4, "regular_api"), (5, "bulk_api"), (9, "bulk_api"), (10, "bulk_api_stage")])
def test_thresholds_choose_by_the_rows_in_the_window(here: Laptop, rows: int, way: str) -> None:
    """A later sync is judged by what it will read, not by the size of the table; below, at, and above each threshold."""
    here.add("Account", 30, Name="old {n}")
    here.days_pass()
    assert sync(here, bulk=5, stage=10)["sync_method"] == "bulk_api_stage_full"
    here.days_pass()
    here.add("Account", rows, Name="new {n}")
    later = sync(here, bulk=5, stage=10)
    assert (later["sync_method"], later["estimated_records"], later["actual_records"]) == (f"{way}_incremental", rows, rows)


def test_the_overlap_counts_for_the_choice(here: Laptop) -> None:
    """Rows that are read again because of the overlap are estimated, choose the method, and are not reported as changed."""
    here.add("Account", 6, Name="{n}")
    sync(here, bulk=5, stage=10)
    (added,) = here.add("Account", Name="one more")
    later = sync(here, bulk=5, stage=10)
    assert (later["sync_method"], later["estimated_records"], later["actual_records"]) == ("bulk_api_incremental", 7, 1)
    assert here.rows(f"""SELECT "Name" FROM raw.accounts WHERE "Id" = '{added}'""") == [("one more",)]


def test_equal_thresholds_leave_no_room_between(here: Laptop) -> None:
    """With both thresholds equal there is REST below and a stage from there on; with both zero always a stage."""
    here.add("Account", 3, Name="{n}")
    methods = [sync(here, bulk=n, stage=n, force_full_sync=True)["sync_method"] for n in (4, 3, 0)]
    assert methods == ["regular_api_full", "bulk_api_stage_full", "bulk_api_stage_full"]


def test_regular_api_threshold_is_another_name(here: Laptop) -> None:
    """REGULAR_API_THRESHOLD is read and written as BULK_API_THRESHOLD."""
    system = here.system()
    system.REGULAR_API_THRESHOLD = 2
    assert system.BULK_API_THRESHOLD == 2
    here.add("Account", 2, Name="{n}")
    assert system.sync_sobject("Account", "raw", "accounts")["sync_method"] == "bulk_api_full"


def test_crossed_thresholds_are_an_error(here: Laptop) -> None:
    """Bulk above stage is refused before anything is asked of the org, and says which two numbers are crossed."""
    told = here.system(bulk=11, stage=10).sync_sobject("Account", "raw", "accounts")
    assert told["success"] is False
    assert "BULK_API_THRESHOLD (11) is above STAGE_THRESHOLD (10)" in str(told["error"])
    assert here.kinds() == []


def test_use_stage_stages_at_any_size(here: Laptop) -> None:
    """use_stage=True stages three rows; False means by threshold, also where that is a stage."""
    here.add("Account", 3, Name="{n}")
    assert sync(here, use_stage=True)["sync_method"] == "bulk_api_stage_full"
    here.days_pass()
    here.add("Account", 2, Name="{n}")
    assert sync(here, use_stage=True)["sync_method"] == "bulk_api_stage_incremental"
    assert sync(here, use_stage=False, bulk=1, stage=2, force_full_sync=True)["sync_method"] == "bulk_api_stage_full"


@pytest.mark.parametrize(("use_stage", "method"), [(True, "bulk_api_stage_full"), (False, "regular_api_full")])
def test_a_stage_name_is_ignored_with_a_reason_where_there_are_no_stages(here: Laptop, *, use_stage: bool, method: str) -> None:
    """stage_name decides nothing on DuckDB, and the plan says so, whether the pages are staged or not."""
    here.add("Account", 3, Name="{n}")
    assert sync(here, use_stage=use_stage, stage_name="@SALESFORCE_STAGE")["sync_method"] == method
    run = Run.new()
    job = SobjectSync("Account", "raw", "elsewhere", fields=["Name"], use_stage=use_stage, stage_name="@SALESFORCE_STAGE")
    here.system().run(job, run)
    assert run.plan is not None
    (reason,) = [reason for reason in run.plan.reasons if "@SALESFORCE_STAGE" in reason]
    assert "ignored: this destination has no stages" in reason


def test_force_full_sync_reads_all_and_replaces(here: Laptop) -> None:
    """A forced full sync reads everything in the way of its size, and rows that the org no longer has are gone."""
    kept, purged = here.add("Account", 2, Name="{n}")
    sync(here, bulk=2, stage=10)
    here.lake.execute("UPDATE raw.accounts SET \"Name\" = 'scribbled'")
    here.days_pass(30)
    here.purge("Account", purged)
    forced = sync(here, bulk=2, stage=10, force_full_sync=True)
    assert (forced["sync_method"], forced["estimated_records"]) == ("regular_api_full", 1)
    assert here.rows('SELECT "Id", "Name" FROM raw.accounts') == [(kept, "0")]
    assert sync(here)["sync_method"] == "regular_api_incremental", "a full sync leaves a position"


def test_a_where_clause_is_estimated_read_and_kept(here: Laptop) -> None:
    """The condition chooses the rows, the estimate, and so the method; the next sync is incremental under the same condition."""
    here.add("Account", 8, Name="in {n}", Industry="Energy")
    here.add("Account", 8, Name="out {n}", Industry="Media")
    here.days_pass()
    where = "Industry = 'Energy' OR Industry = 'Hospitality'"
    first = sync(here, bulk=10, where_clause=where)
    assert (first["sync_method"], first["estimated_records"], first["actual_records"]) == ("regular_api_full", 8, 8)
    here.days_pass()
    here.add("Account", 1, Name="in 8", Industry="Hospitality")
    here.add("Account", 1, Name="out 8", Industry="Media")
    later = sync(here, bulk=10, where=where)  # as the command line and halocline.yaml call it
    assert (later["sync_method"], later["estimated_records"], later["actual_records"]) == ("regular_api_incremental", 1, 1)
    assert here.number("SELECT count(*) FROM raw.accounts WHERE \"Name\" LIKE 'in %'") == 9
    assert here.number("SELECT count(*) FROM raw.accounts") == 9


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wher": "x"}, "a sync has no option 'wher'; did you mean where"),
        ({"where": "x", "where_clause": "y"}, "where and where_clause are one option"),
        ({"colour": 1}, "a sync has no option 'colour'$"),
    ],
)
def test_an_option_that_is_not_there_is_refused(options: dict[str, Any], says: str) -> None:
    """As Python refuses it, before anything is asked; with what may have been meant. Of a job likewise."""
    with pytest.raises(TypeError, match=says):
        IntelligentSync("duckdb:///:memory:", None).sync_sobject("Account", "raw", "accounts", **options)
    with pytest.raises(TypeError, match=says):
        SobjectSync("Account", "raw", "accounts", **options)


def test_a_job_takes_the_names_of_the_command_line() -> None:
    """As the options of a sync: either name makes the same job, which can be copied and changed as before."""
    given: dict[str, Any] = {"where": "x", "key": "Ext__c", "full": True, "lookback": 5.0}
    own: dict[str, Any] = {"where_clause": "x", "match_field": "Ext__c", "force_full_sync": True, "lookback_s": 5.0}
    job = SobjectSync("Account", "raw", "accounts", **given)
    assert job == SobjectSync("Account", "raw", "accounts", **own)
    assert replace(job, force_full_sync=False).match_field == "Ext__c"
    assert list(inspect.signature(SobjectSync).parameters) == [one.name for one in fields(SobjectSync)]


def test_another_where_clause_reads_all_again_with_the_reason(here: Laptop) -> None:
    """Rows that a new condition lets in may be old, so everything is read, and the plan says why."""
    here.add("Account", 1, Industry="Energy", Name="e")
    here.add("Account", 1, Industry="Media", Name="m")
    sync(here, where_clause="Industry = 'Energy'")
    here.days_pass()
    job = SobjectSync("Account", "raw", "accounts", fields=["Name"], where_clause="Industry = 'Media'")
    _, plan = here.system().plan(job)
    assert (plan.method, plan.expected_rows) == ("regular_api_full", 1)
    assert "Everything is read: the where clause is another than at the last read." in plan.reasons


def test_objects_have_tables_methods_and_positions_of_their_own(here: Laptop) -> None:
    """Several objects through one system: each by the method of its own size, each with its own position."""
    here.add("Account", 12, Name="{n}")
    here.add("Contact", 6, LastName="{n}")
    here.add("Campaign", 2, Name="{n}")
    here.days_pass()
    system = here.system(bulk=5, stage=10)
    names = ("Account", "Contact", "Campaign")
    first = [system.sync_sobject(name, "raw", name)["sync_method"] for name in names]
    assert first == ["bulk_api_stage_full", "bulk_api_full", "regular_api_full"]
    here.days_pass()
    here.add("Contact", 1, LastName="later")
    later = {name: system.sync_sobject(name, "raw", name) for name in names}
    assert {told["sync_method"] for told in later.values()} == {"regular_api_incremental"}
    assert {name: told["actual_records"] for name, told in later.items()} == {"Account": 0, "Contact": 1, "Campaign": 0}


def test_an_object_that_bulk_does_not_query_goes_by_rest_with_the_reason(tmp_path: Path) -> None:
    """Above the threshold but refused by Bulk: the rows come by REST, and the plan says why."""
    schema = tmp_path / "schema.yaml"
    schema.write_text("object: Quiet__c\nlabel: Quiet\nplural: Quiets\nflags: -bulkQueryable\n", encoding="utf-8")
    with laptop(tmp_path, schemas=(schema,)) as here:
        here.add("Quiet__c", 3, Name="{n}")
        run = here.system(bulk=2, stage=3).run(SobjectSync("Quiet__c", "raw", "quiet"))
        assert run.plan is not None
        assert (run.plan.method, run.durable_rows) == ("regular_api_full", 3)
        assert any(reason.startswith("Bulk is not possible here") for reason in run.plan.reasons)


def test_an_object_too_wide_for_a_uri_goes_by_bulk_with_the_reason(tmp_path: Path) -> None:
    """Below the threshold but with a query too long for a GET: Bulk carries the rows, and the plan says why."""
    fields = "\n".join(f"  {'Wide_' * 7}{n:03}__c: string(20)" for n in range(400))
    schema = tmp_path / "schema.yaml"
    schema.write_text(f"object: Wide__c\nlabel: Wide\nplural: Wides\nfields:\n{fields}\n", encoding="utf-8")
    with laptop(tmp_path, schemas=(schema,)) as here:
        here.add("Wide__c", 2, **{"Name": "w{n}", f"{'Wide_' * 7}399__c": "last {n}"})
        run = here.system().run(SobjectSync("Wide__c", "raw", "wide"))
        assert run.plan is not None
        assert run.plan.method == "bulk_api_full"
        assert any("bytes in a URI" in reason for reason in run.plan.reasons)
        assert here.rows(f'SELECT "{"Wide_" * 7}399__c" FROM raw.wide ORDER BY 1') == [("last 0",), ("last 1",)]
        assert max(len(f"{call.path}?{call.query}") for call in here.org.calls) < soql.MAX_URI_BYTES
