"""Laws that an older tool for the same job broke. Each test says in its docstring what was lost or changed there.

Where a test has two axes, the short run meets each value of both, and `--long` every pair of them. Rows by Bulk come as they do
by stage and land as they do by REST: where neither pages nor values are the point, the short run leaves Bulk out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline import registry
from halocline.connectors.duckdb.client import Database
from halocline.connectors.salesforce.bulk import MAX_POLL_S, POLL_S, BulkQuery
from halocline.emulator import rest
from halocline.errors import StillRunning
from halocline.retry import Pace
from halocline.run import Run
from halocline.sync import SobjectSync, sync_sobject_intelligent
from tests.examples import in_turn, stride
from tests.system.laptop import QUICK, Laptop, laptop

pytestmark = pytest.mark.system

THINGS = Path(__file__).with_name("things.yaml")
FIELDS = ["Name", "Fax", "Site", "Industry"]
WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}  # thresholds that choose each way at any size
every_way = pytest.mark.parametrize("way", list(WAYS))
bulk_ways = pytest.mark.parametrize("way", ["bulk", "stage"])
each_end = pytest.mark.parametrize("way", ["rest", pytest.param("bulk", marks=pytest.mark.long), "stage"])
PAGE = 10  # rows
TABLES = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw' ORDER BY 1"
JOB = r"/jobs/query/\w+"


def planned(way: str) -> pytest.MarkDecorator:
    """A law of the plan, which is made before the way is chosen: the short run shows it by this one."""
    return pytest.mark.parametrize("way", [pytest.param(one, marks=() if one == way else pytest.mark.long) for one in WAYS])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    """A laptop with the objects of things.yaml and pages of a few rows, whose sources do not wait between repeats."""
    real = registry.open_source
    monkeypatch.setattr(registry, "open_source", lambda *args, **options: real(*args, **options, pace=QUICK))
    for limit in ("SMALLEST_PAGE", "LARGEST_PAGE"):  # our client asks for the largest pages there are
        monkeypatch.setattr(rest, limit, PAGE)
    with laptop(tmp_path, schemas=(THINGS,), page_rows=PAGE) as running:
        yield running


def sync(here: Laptop, way: str, sobject: str = "Account", *, table: str = "", **options: Any) -> dict[str, object]:
    """One sync by this way, whatever came of it; of Accounts some fields are read, for the time that all of them take."""
    bulk, stage = WAYS[way]
    if sobject == "Account":
        options.setdefault("fields", FIELDS)
    return here.system(bulk=bulk, stage=stage).sync_sobject(sobject, "raw", table or sobject, **options)


def synced(here: Laptop, way: str, sobject: str = "Account", **options: Any) -> dict[str, object]:
    """One sync by this way that must end well."""
    told = sync(here, way, sobject, **options)
    assert told["success"] is True, told["error"]
    return told


def picture(here: Laptop) -> list[tuple[Any, ...]]:
    """The table of Accounts and where the next sync starts, as any reader sees them."""
    rows = here.rows('SELECT * FROM raw."Account" ORDER BY ALL')
    columns = here.rows("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'Account' ORDER BY column_index")
    positions = here.rows("SELECT position FROM main._halocline_positions WHERE target <> '' ORDER BY 1")
    return [*columns, *rows, *positions, *here.rows(TABLES)]


# ---- 1, 2: first and later syncs load what they say


@every_way
def test_a_first_sync_of_any_size_loads_every_row(here: Laptop, way: str) -> None:
    """Several pages of rows are all there after the first sync, the answer is a dict: there the first ended in a NameError."""
    rows = 4 * PAGE + 5
    here.seed("Account", rows)
    here.days_pass()
    first = synced(here, way, fields=["Name"])
    assert (first["estimated_records"], first["actual_records"]) == (rows, rows)
    later = synced(here, way, fields=["Name"])
    assert (later["estimated_records"], later["actual_records"]) == (0, 0)
    assert here.rows('SELECT count(*), count(DISTINCT "Id") FROM raw."Account"') == [(rows, rows)]


@each_end
def test_changed_rows_replace_their_older_selves(here: Laptop, way: str) -> None:
    """An incremental sync leaves one row an id and counts what changed: there it inserted them again and reported none."""
    ids = here.add("Account", 60, Name="old {n}")
    here.days_pass()
    synced(here, way)
    here.days_pass()
    for number, record in enumerate(ids[:25]):
        here.change("Account", record, Name=f"new {number}")
    assert synced(here, way)["actual_records"] == 25
    assert here.rows('SELECT count(*), count(DISTINCT "Id") FROM raw."Account"') == [(60, 60)]
    assert here.number('SELECT count(*) FROM raw."Account" WHERE "Name" LIKE \'new %\'') == 25


# ---- 4, 12: values arrive as they were

NOTHING = ("Text__c", "Note__c", "Pick__c", "Count__c", "Weight__c", "Amount__c", "Share__c", "Due__c", "Sent__c", "At__c")
WORDS = ["nan", "NaN", "NULL", "null", "None", "NA", "N/A", "#N/A", "n/a", "nil", "-", "0", "false", "1900-01-01"]


@every_way
def test_nothing_stays_nothing(here: Laptop, way: str) -> None:
    """A field without a value is NULL in every type: there it became 0, the empty text, or the first of January 1900."""
    here.add("Thing__c", 1, Name="bare")
    synced(here, way, "Thing__c")
    columns = ", ".join(NOTHING)
    assert here.rows(f"SELECT {columns} FROM raw.Thing__c") == [(None,) * len(NOTHING)]


@every_way
def test_words_for_nothing_are_words(here: Laptop, way: str) -> None:
    """Text such as `nan` beside a real NULL: both arrive as they were, where there each became the other."""
    for word in WORDS:
        here.add("Thing__c", 1, Name=word, Text__c=word, Note__c=word)
    here.add("Thing__c", 1, Name="bare")
    synced(here, way, "Thing__c")
    found = here.rows("SELECT Name, Text__c, Note__c FROM raw.Thing__c")
    assert sorted(found, key=str) == sorted([*((word, word, word) for word in WORDS), ("bare", None, None)], key=str)


@bulk_ways
def test_a_checkbox_without_a_value_is_null_and_spoils_no_page(here: Laptop, way: str) -> None:
    """A boolean that comes empty is NULL and its page is loaded: there the cast of 'nan' lost the whole page."""
    ids = here.add("Thing__c", 2, Name="{n}")
    lines = [
        f'"{ids[0]}","false","0","2026-01-01T00:00:00.000Z",""',
        f'"{ids[1]}","false","nan","2026-01-01T00:00:00.000Z","true"',
    ]
    body = '"Id","IsDeleted","Name","SystemModstamp","Checked__c"\n' + "\n".join(lines) + "\n"
    head = {"Sforce-NumberOfRecords": "2", "Sforce-Locator": "null"}
    here.org.faults.add("answer", path=f"{JOB}/results$", status=200, body=body, content_type="text/csv", headers=head)
    synced(here, way, "Thing__c", fields=["Name", "Checked__c"])
    assert here.rows("SELECT Name, Checked__c FROM raw.Thing__c ORDER BY 1") == [("0", None), ("nan", True)]


# ---- 5: whether the table is there is looked at


@planned("rest")
def test_a_schema_without_the_table_is_a_first_sync(here: Laptop, way: str) -> None:
    """That the schema exists says nothing about the table: there the table was always believed to exist."""
    here.lake.execute("CREATE SCHEMA raw; CREATE TABLE raw.other (x INTEGER)")
    here.add("Account", 3, Name="{n}")
    told = synced(here, way)
    assert str(told["sync_method"]).endswith("_full")
    assert here.number('SELECT count(*) FROM raw."Account"') == 3


@planned("stage")
def test_a_table_that_was_dropped_is_read_in_full(here: Laptop, way: str) -> None:
    """A position without its table is worth nothing: rows from before it are read again."""
    here.add("Account", 3, Name="{n}")
    here.days_pass()
    synced(here, way)
    here.lake.execute('DROP TABLE raw."Account"')
    here.days_pass()
    told = synced(here, way)
    assert (str(told["sync_method"]).rpartition("_")[2], told["actual_records"]) == ("full", 3)


# ---- 6: the second of the watermark


@planned("rest")
def test_a_table_that_they_filled_is_taken_over_by_one_full_sync(here: Laptop, way: str) -> None:
    """Unasked it is refused, for its greatest stamp says nothing of what they left out; asked once, it is whole, and later
    syncs are incremental: as the page for those who come from there says.
    """
    first, second, *_ = here.add("Account", 5, Name="new {n}")
    here.days_pass()
    here.lake.execute("CREATE SCHEMA raw; CREATE TABLE raw.ACCOUNT (ID VARCHAR, NAME VARCHAR, LASTMODIFIEDDATE TIMESTAMP)")
    for record in (first, second, second):
        here.lake.execute("INSERT INTO raw.ACCOUNT VALUES (?, 'old', '2099-01-01')", [record])
    told = sync(here, way, table="ACCOUNT", fields=["Name", "LastModifiedDate"])
    assert (told["success"], here.number("SELECT count(*) FROM raw.ACCOUNT")) == (False, 3)
    assert "force_full_sync=True" in str(told["error"])
    synced(here, way, table="ACCOUNT", fields=["Name", "LastModifiedDate"], force_full_sync=True)
    here.days_pass()
    here.change("Account", first, Name="newer")
    assert synced(here, way, table="ACCOUNT", fields=["Name", "LastModifiedDate"])["actual_records"] == 1
    found = here.rows("SELECT NAME FROM raw.ACCOUNT ORDER BY ALL")
    assert found == [("new 1",), ("new 2",), ("new 3",), ("new 4",), ("newer",)]


@pytest.mark.parametrize(("way", "overlap_s"), in_turn(WAYS, (0.0, 600.0)))
def test_edits_in_the_second_of_the_last_sync_are_found(
    here: Laptop, monkeypatch: pytest.MonkeyPatch, way: str, overlap_s: float
) -> None:
    """Rows made and edited after a sync, in the very second that it saw last, come with the next, even without an overlap."""
    monkeypatch.setattr("halocline.sync.OVERLAP_S", overlap_s)
    here.org.clock.freeze(here.org.clock.now().replace(microsecond=0))
    edited, untouched = here.add("Account", 2, Name="before {n}")
    synced(here, way)
    (made,) = here.add("Account", 1, Name="same second")
    here.change("Account", edited, Name="edited in it")
    stamps = here.rows('SELECT DISTINCT "SystemModstamp" FROM raw."Account"')
    here.org.clock.advance(5)
    assert synced(here, way)["actual_records"] == 2
    assert dict(here.rows('SELECT "Id", "Name" FROM raw."Account"')) == {
        made: "same second",
        edited: "edited in it",
        untouched: "before 1",
    }
    assert here.rows('SELECT DISTINCT "SystemModstamp" FROM raw."Account"') == stamps, "it was the same second"


@pytest.mark.parametrize(("way", "late_s"), in_turn(WAYS, (1, 599, 7_200)))
def test_a_row_committed_late_with_an_older_stamp_is_found(here: Laptop, way: str, late_s: int) -> None:
    """A transaction stamps its rows at once and shows them at its end, after syncs that looked past them: they still come."""
    here.add("Account", 1, Name="seen")
    transaction = here.org.store.begin()
    here.org.store.insert(here.sobject("Account"), {"Name": "late"}, user_id=here.org.org.api_user_id, transaction=transaction)
    for _ in range(3):
        here.org.clock.advance(late_s)
        here.add("Account", 1, Name="seen")
        synced(here, way)
    assert here.number('SELECT count(*) FROM raw."Account" WHERE "Name" = \'late\'') == 0
    here.org.store.commit(transaction)
    here.org.clock.advance(late_s)
    synced(here, way)
    assert here.rows('SELECT "Name", count(*) FROM raw."Account" GROUP BY 1 ORDER BY 1') == [("late", 1), ("seen", 4)]


@planned("rest")
def test_without_salesforces_word_the_position_stays_behind(here: Laptop, way: str) -> None:
    """Of objects of which Salesforce does not say what is complete, rows are found that come as late as lag and overlap reach."""
    late_s = 1_140.0  # a lag and an overlap of ten minutes each, less a minute
    transaction = here.org.store.begin()
    user = here.org.org.api_user_id
    here.org.store.insert(here.sobject("ThingShare"), {"What": "late"}, user_id=user, transaction=transaction)
    here.org.clock.advance(late_s)
    here.add("ThingShare", 1, What="seen")
    synced(here, way, "ThingShare")
    here.org.store.commit(transaction)
    assert str(synced(here, way, "ThingShare")["sync_method"]).endswith("_incremental")
    assert sorted(here.rows("SELECT What FROM raw.ThingShare")) == [("late",), ("seen",)]


# ---- 7, 8, 9: a failure is one, leaves nothing, and destroys nothing


@every_way
def test_a_failure_to_load_is_never_success(here: Laptop, way: str) -> None:
    """A value that the table cannot hold fails the sync with the reason, no row counted, the job kept; there it was success."""
    here.add("Thing__c", 3, Name="{n}", Amount__c=1.25)
    here.days_pass()
    synced(here, way, "Thing__c")
    here.days_pass()
    (bad,) = here.add("Thing__c", 1, Name="bad", Amount__c=1.234)
    here.add("Thing__c", 2, Name="good", Amount__c=2.5)
    here.kinds()
    told = sync(here, way, "Thing__c")
    assert (told["success"], told["actual_records"], told["records_processed"]) == (False, 0, 0)
    assert all(word in str(told["error"]) for word in ("Amount__c", "1.234", 'numbers="double"'))
    assert here.tally()["bulk.delete"] == 0, "the job of a failed load is kept for a look"
    assert here.number("SELECT count(*) FROM raw.Thing__c") == 3
    here.change("Thing__c", bad, Amount__c=1.23)
    assert synced(here, way, "Thing__c")["actual_records"] == 3
    assert here.number("SELECT count(*) FROM raw.Thing__c") == 6


@pytest.mark.parametrize(("way", "begun"), in_turn(["bulk", "stage"], (False, True)))
def test_a_failure_in_the_middle_leaves_nothing_and_the_next_run_completes(here: Laptop, way: str, *, begun: bool) -> None:
    """The third of five pages never comes: no row of the others shows, no position moves. There, rows were lost for good."""
    if begun:
        here.add("Account", 15, Name="old {n}")
        here.days_pass()
        synced(here, way)
        here.days_pass()
    before = picture(here) if begun else here.rows(TABLES)
    here.add("Account", 45, Name="new {n}")
    fault = here.org.faults.add("cut", path=f"{JOB}/results$", nth=3, times=0, after_bytes=60)
    told = sync(here, way)
    assert (told["success"], told["actual_records"], told["records_processed"]) == (False, 0, 0)
    assert (picture(here) if begun else here.rows(TABLES)) == before
    here.org.faults.remove(fault)
    assert synced(here, way)["actual_records"] == 45
    assert here.rows('SELECT count(*), count(DISTINCT "Id") FROM raw."Account"') == [(45 + 15 * begun,) * 2]


def test_a_rest_page_that_never_comes_leaves_nothing(here: Laptop) -> None:
    """The same for REST: the third page dies, the table is as it was, the next run has all."""
    here.add("Account", 15, Name="old {n}")
    here.days_pass()
    synced(here, "rest")
    here.days_pass()
    before = picture(here)
    here.add("Account", 45, Name="new {n}")
    fault = here.org.faults.add("answer", path=r"/query(All)?/", nth=2, times=0, status=500, body="[]")
    told = sync(here, "rest")
    assert (told["success"], told["records_processed"]) == (False, 0)
    assert picture(here) == before
    here.org.faults.remove(fault)
    told = sync(here, "rest")
    assert (told["success"], told["sync_method"], told["actual_records"]) == (True, "regular_api_incremental", 45)


@pytest.mark.parametrize(("way", "force"), in_turn(WAYS, (False, True)))
def test_a_conflict_in_the_database_never_drops_the_table(here: Laptop, way: str, *, force: bool) -> None:
    """Somebody else's open DDL makes ours fail: the table keeps every row, and all is well afterwards. There it was dropped."""
    here.add("Account", 30, Name="{n}")
    here.days_pass()
    synced(here, way)
    before = picture(here)
    here.add("Account", 2, Name="new {n}")
    with here.lake.cursor() as other:
        other.execute('BEGIN; ALTER TABLE raw."Account" ADD COLUMN theirs INTEGER')
        told = sync(here, way, force_full_sync=force)
        other.execute("ROLLBACK")
    assert (told["success"], told["records_processed"]) == (False, 0)
    assert picture(here) == before
    assert synced(here, way, force_full_sync=force)["actual_records"] == (32 if force else 2)
    assert here.number('SELECT count(*) FROM raw."Account"') == 32


@pytest.mark.parametrize("force", [False, True], ids=["incremental", "full"])
def test_no_failing_statement_costs_a_row(here: Laptop, monkeypatch: pytest.MonkeyPatch, *, force: bool) -> None:
    """Every fifth statement of a sync (`--long`: every one) fails once: each time the table and the position are as they were."""
    here.add("Account", 12, Name="{n}")
    here.days_pass()
    synced(here, "stage")
    before = picture(here)
    here.add("Account", 1, Name="new")
    failing = FailingStatement(Database.cursor)
    monkeypatch.setattr(Database, "cursor", failing.cursor)
    for failing.at in range(1, 200, stride(5)):
        failing.seen = 0
        told = sync(here, "stage", force_full_sync=force)
        if told["success"]:
            break
        if (
            here.number('SELECT count(*) FROM raw."Account"') == 13
        ):  # a dead run's work is in the table, and what followed it failed
            before = picture(here)
        assert picture(here) == before, f"statement {failing.at} left something behind"
    assert 10 < failing.at < 195, "the loop ended because no statement was left to fail"
    assert here.number('SELECT count(*) FROM raw."Account"') == 13


class FailingStatement:
    """Database.cursor, on which the `at`-th statement of all fails as a disk does."""

    def __init__(self, real: Callable[[Database], AbstractContextManager[duckdb.DuckDBPyConnection]]) -> None:
        self.at = self.seen = 0
        self._real = real

    @property
    def cursor(self) -> Callable[[Database], AbstractContextManager[Any]]:
        @contextmanager
        def opened(database: Database) -> Iterator[Any]:
            with self._real(database) as cursor:
                yield Fallible(cursor, self)

        return opened

    def count(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise duckdb.IOException("IO Error: the disk did not answer")


class Fallible:
    """A cursor whose statements are counted."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, failing: FailingStatement) -> None:
        self._cursor, self._failing = cursor, failing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql != "ROLLBACK":
            self._failing.count()
        return self._cursor.execute(sql, *values)


# ---- 10, 11: what the org is asked


@bulk_ways
def test_a_sync_makes_one_job_and_describes_once(here: Laptop, way: str) -> None:
    """One job for each sync, deleted when its rows are durable, and one describe: there it was two, one left behind."""
    here.add("Account", 3, Name="{n}")
    for _ in range(2):
        here.kinds()
        synced(here, way)
        tally = here.tally()
        assert (tally["bulk.create"], tally["bulk.delete"], tally["describe"]) == (1, 1, 1)
        assert here.org.org.jobs.all() == []


def reply(status: int, code: str, message: str) -> dict[str, Any]:
    """The settings of a fault that answers with an error as Salesforce words it."""
    return {"status": status, "body": f'[{{"message": "{message}", "errorCode": "{code}"}}]'}


@each_end
def test_an_error_reply_is_told_and_drops_no_column(here: Laptop, way: str) -> None:
    """A refused query fails at once in Salesforce's words, columns untouched: there it was asked again with ever fewer fields."""
    here.add("Account", 3, Name="{n}")
    synced(here, way)
    before = picture(here)
    path = r"/queryAll$" if way == "rest" else r"/jobs/query$"
    here.org.faults.add("answer", path=path, times=0, nth=2 if way == "rest" else 1, **reply(400, "INVALID_FIELD", REFUSED))
    here.kinds()
    told = sync(here, way)
    assert told["success"] is False
    assert "No such column 'Fax' on entity 'Account'" in str(told["error"])
    assert len(here.kinds()) <= 5
    here.org.faults.clear()
    assert picture(here) == before


REFUSED = r"\nSELECT Id, Fax\n           ^\nERROR at Row:1:Column:12\nNo such column 'Fax' on entity 'Account'."


@pytest.mark.parametrize(("way", "trouble"), in_turn(WAYS, ("expire_session", "busy", "lose_reply")))
def test_trouble_at_any_call_costs_no_column_and_no_row(here: Laptop, way: str, trouble: str) -> None:
    """A session ends, the server is busy, a reply is lost, at every second call of a sync (`--long`: each): all is whole."""
    here.add("Account", 12, Name="{n}", Fax="{n}", Site="{n}")
    synced(here, way, table="expected")
    expected = here.rows('SELECT * FROM raw.expected ORDER BY "Id"')
    here.kinds()
    synced(here, way, table="counted")
    calls = len(here.kinds())
    for nth in range(1, calls + 1, stride(2)):
        here.org.faults.clear()
        if trouble == "busy":
            here.org.faults.add("answer", path="/data/", nth=nth, **reply(503, "SERVER_UNAVAILABLE", "busy"))
        else:
            here.org.faults.add(trouble, path="/data/", nth=nth)  # type: ignore[arg-type]  # one of its actions
        synced(here, way, table=f"try_{nth}")
        assert here.rows(f'SELECT * FROM raw.try_{nth} ORDER BY "Id"') == expected, f"trouble at call {nth} of {calls}"


# ---- 13: the condition


@each_end
def test_an_or_in_the_condition_stays_inside_the_window(here: Laptop, way: str) -> None:
    """`A OR B` reads, estimates and loads changed rows only: there the OR escaped the window, and the estimate ignored it."""
    here.add("Account", 20, Name="a{n}", Industry="Energy")
    here.add("Account", 20, Name="b{n}", Industry="Media")
    here.add("Account", 20, Name="c{n}", Industry="Banking")
    where = "Industry = 'Energy' OR Industry = 'Media'"
    here.days_pass()
    assert synced(here, way, where_clause=where)["estimated_records"] == 40
    here.days_pass()
    here.add("Account", 1, Name="new", Industry="Media")
    here.add("Account", 1, Name="not asked for", Industry="Banking")
    bulk, stage = WAYS[way]
    run = here.system(bulk=bulk, stage=stage).run(SobjectSync("Account", "raw", "Account", where_clause=where, fields=FIELDS))
    assert run.survey is not None
    assert (run.survey.estimated_rows, run.rows_read, run.durable_rows) == (1, 1, 1)
    assert here.number('SELECT count(*) FROM raw."Account"') == 41
    assert here.number('SELECT count(*) FROM raw."Account" WHERE "Industry" = \'Banking\'') == 0


# ---- 14: waiting


@bulk_ways
def test_a_job_is_waited_for_until_a_deadline_and_goes_on(tmp_path: Path, way: str) -> None:
    """When our patience ends, the answer says so with the job's id; the job is neither aborted nor deleted. There: no end."""
    with laptop(tmp_path, job_ms=600_000) as here:
        here.add("Account", 1, Name="slow")
        bulk, stage = WAYS[way]
        system = here.system(bulk=bulk, stage=stage)
        system.JOB_DEADLINE_S = 0.3
        run = Run.new()
        with pytest.raises(StillRunning) as caught:
            system.run(SobjectSync("Account", "raw", "Account"), run)
        (job,) = here.org.org.jobs.all()
        assert (job.state, caught.value.facts["job_id"]) == ("InProgress", job.id)
        assert {"bulk.abort", "bulk.delete"} & set(here.kinds()) == set()
        assert (run.durable_rows, here.rows(TABLES)) == (0, [])


def test_polls_come_soon_and_then_ever_more_rarely(tmp_path: Path) -> None:
    """The first look comes after a fraction of a second, each pause is longer up to a ceiling, and their sum is the deadline."""
    slept: list[float] = []
    with laptop(tmp_path, job_ms=600_000) as here:
        pace = Pace(clock=lambda: sum(slept), sleep=slept.append)  # time passes only while it sleeps
        query = BulkQuery(here.client.transport, deadline_s=300.0, pace=pace)
        with pytest.raises(StillRunning):
            query.run("SELECT Id FROM Account", sobject="Account")
        *pauses, last = slept
        assert pauses[0] == POLL_S
        assert pauses == sorted(pauses)
        assert (pauses[-1], max(last, *pauses)) == (MAX_POLL_S, MAX_POLL_S)
        assert sum(slept) == pytest.approx(300.0)
        assert here.tally()["bulk.status"] == len(slept) + 1 < 100


# ---- 18: silence, deletions, objects without the usual stamp


@each_end
def test_nothing_is_printed(here: Laptop, capfd: pytest.CaptureFixture[str], way: str) -> None:
    """A sync writes nothing to standard output or error, be it well or not: there every page was printed as JSON."""
    here.add("Account", 3, Name="{n}")
    capfd.readouterr()
    synced(here, way)
    sync(here, way, "Acount")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("way", "deletes"), in_turn(WAYS, ("soft", "hard")))
def test_deleted_and_purged_records_are_seen(here: Laptop, way: str, deletes: str) -> None:
    """A record in the recycle bin and one that is gone for good leave the table, or are flagged: there the second stayed."""
    binned, purged, kept = here.add("Account", 3, Name="{n}")
    here.days_pass()
    synced(here, way, deletes=deletes)
    here.days_pass()
    here.delete("Account", binned)
    here.delete("Account", purged)
    here.purge("Account", purged)
    assert synced(here, way, deletes=deletes)["actual_records"] == 2
    found = dict(here.rows('SELECT "Id", "IsDeleted" FROM raw."Account"'))
    assert found == ({binned: True, purged: True, kept: False} if deletes == "soft" else {kept: False})


@pytest.mark.parametrize(("way", "stamped"), in_turn(WAYS, (("ThingHistory", "CreatedDate"), ("ThingShare", "SystemModstamp"))))
def test_an_object_without_lastmodifieddate_is_read_by_another_stamp(here: Laptop, way: str, stamped: tuple[str, str]) -> None:
    """CreatedDate or SystemModstamp serve as well: there such objects were reloaded whole, every time."""
    sobject, cursor = stamped
    here.add(sobject, 20, What="old {n}")
    here.days_pass()
    synced(here, way, sobject)
    here.days_pass()
    here.add(sobject, 2, What="new {n}")
    bulk, stage = WAYS[way]
    run = here.system(bulk=bulk, stage=stage).run(SobjectSync(sobject, "raw", sobject))
    assert run.plan is not None
    assert (run.plan.cursor, run.plan.full, run.rows_read, run.durable_rows) == (cursor, False, 2, 2)
    assert here.number(f"SELECT count(*) FROM raw.{sobject}") == 22


@planned("stage")
def test_an_object_without_any_stamp_is_read_in_full_with_the_reason(here: Laptop, way: str) -> None:
    """Where no stamp can be filtered by, everything is read each time, the plan says so, and no row doubles or lingers."""
    first, second = here.add("ThingStatus", 2, What="{n}")
    synced(here, way, "ThingStatus")
    here.change("ThingStatus", first, What="changed")
    here.purge("ThingStatus", second)
    (third,) = here.add("ThingStatus", 1, What="new")
    bulk, stage = WAYS[way]
    run = here.system(bulk=bulk, stage=stage).run(SobjectSync("ThingStatus", "raw", "ThingStatus"))
    assert run.plan is not None
    assert (run.plan.cursor, run.plan.full) == (None, True)
    assert "Everything is read: ThingStatus has no stamp that can be filtered by." in run.plan.reasons
    assert dict(here.rows("SELECT Id, What FROM raw.ThingStatus")) == {first: "changed", third: "new"}


def test_the_documented_signature_is_kept() -> None:
    """The arguments of the documented function are there, by those names, in that order, with those defaults."""
    taken = inspect.signature(sync_sobject_intelligent).parameters
    names = ["session", "access_info", "sobject", "schema", "table", "match_field", "use_stage", "stage_name", "force_full_sync"]
    assert list(taken)[:9] == names
    assert [taken[name].default for name in names[5:]] == ["ID", False, None, False]
