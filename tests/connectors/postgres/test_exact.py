"""What is staged is what is published: nothing of the table, and nothing that others do meanwhile, changes a row unheard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from tests.connectors.duckdb.pages import FLOW, TARGET, plan, text_schema
from tests.connectors.postgres.pages import load, table, written
from tests.connectors.postgres.server import Place

from halocline.batch import Batch, Op
from halocline.connector import Deletes, Lease, Mode, Part
from halocline.connectors.postgres import positions
from halocline.connectors.postgres.client import Database
from halocline.connectors.postgres.destination import PostgresDestination
from halocline.connectors.salesforce.pages import Page
from halocline.errors import HaloclineError, LeaseLost, NetworkFailed, SchemaConflict, Stop, Truncated
from halocline.guards import refuse_imbalance
from halocline.outcome import Counts
from halocline.schema import Column, Kind
from halocline.testing.destinations import NoJournal

WAIT_S = 20.0
HOLDER = "(SELECT min(h) FROM pg_stat_activity, unnest(pg_blocking_pids(pid)) h WHERE datname = current_database())"
FLAGGED = text_schema(Column("IsDeleted", Kind.BOOLEAN))


def _batch(*rows: tuple[str, str]) -> Batch:
    return Batch(rows=pa.RecordBatch.from_pylist([{"Id": key, "Text": text} for key, text in rows], schema=text_schema().arrow))


def _gone(*keys: str) -> Batch:
    schema = text_schema().select(["Id"])
    return Batch(rows=pa.RecordBatch.from_pylist([{"Id": key} for key in keys], schema=schema.arrow), op=Op.DELETE)


def _trigger(place: Place, event: str, body: str) -> None:
    place.run(
        f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f" CREATE TRIGGER meddle BEFORE {event} ON raw.page FOR EACH ROW EXECUTE FUNCTION meddle()"
    )


def _made(place: Place, columns: str, *rows: str) -> None:
    place.run(f"CREATE SCHEMA raw; CREATE TABLE raw.page ({columns})")
    for row in rows:
        place.run(f"INSERT INTO raw.page VALUES ({row})")


# ---- triggers and rules of the table

SKIP = "IF NEW.id = '2' THEN RETURN NULL; END IF; RETURN NEW;"


@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    ("event", "body"), [("INSERT", SKIP), ("UPDATE", "RETURN NULL;"), ("INSERT", "NEW.text := 'mine'; RETURN NEW;")]
)
def test_a_row_that_a_trigger_keeps_out_or_changes_stops_the_load(
    event: str, body: str, mode: Mode, key: str, destination: PostgresDestination, place: Place
) -> None:
    """It is neither told as unchanged nor its position stored: the trigger is named, and the table is as before."""
    _made(place, f"id text {key}, text text", "'1', 'old'")
    _trigger(place, event, body)
    with pytest.raises(Stop, match=r"(not in the table as loaded|rows were to be there).*trigger"):
        load(destination, [_batch(("1", "a"), ("2", "b"))], text_schema(), mode=mode, allow_replace=True)
    assert table(place) == [{"id": "1", "text": "old"}]
    assert place.rows("SELECT 1 FROM _halocline_positions WHERE target <> ''") == []


def test_a_rule_that_swallows_rows_stops_a_merge(destination: PostgresDestination, place: Place) -> None:
    """Likewise a rule, on a table without a unique index."""
    _made(place, "id text, text text")
    place.run("CREATE RULE swallow AS ON INSERT TO raw.page WHERE NEW.id = '2' DO INSTEAD NOTHING")
    with pytest.raises(Stop, match=r"1 row is not in the table.*the rule swallow"):
        load(destination, [_batch(("1", "a"), ("2", "b"))], text_schema(), mode=Mode.MERGE)
    assert table(place) == []


@pytest.mark.parametrize(("deletes", "event"), [(Deletes.HARD, "DELETE"), (Deletes.SOFT, "UPDATE")])
def test_a_deletion_that_a_trigger_skips_stops_a_merge(
    deletes: Deletes, event: str, destination: PostgresDestination, place: Place
) -> None:
    """A row that was to go, or to be marked, is still there as it was: nothing is published."""
    _made(place, "id text PRIMARY KEY, text text, isdeleted boolean", "'1', 'a', false")
    _trigger(place, event, "RETURN NULL;")
    with pytest.raises(Stop, match=r"1 row is still in the table, deleted at the source.*the trigger meddle"):
        load(destination, [_gone("1")], FLAGGED, mode=Mode.MERGE, deletes=deletes, delete_flag="IsDeleted")
    assert table(place) == [{"id": "1", "text": "a", "isdeleted": False}]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_trigger_that_minds_its_own_columns_is_no_matter(mode: Mode, destination: PostgresDestination, place: Place) -> None:
    """A trigger that fills a column of the user's own lets every row pass, and the counts are the usual ones."""
    _made(place, "id text PRIMARY KEY, text text, note text", "'1', 'old', NULL")
    _trigger(place, "INSERT OR UPDATE", "NEW.note := 'seen'; RETURN NEW;")
    counts = load(destination, [_batch(("1", "a"), ("2", "b"))], text_schema(), mode=mode, allow_replace=True)
    assert counts.accounted == 2
    assert table(place) == [{"id": "1", "text": "a", "note": "seen"}, {"id": "2", "text": "b", "note": "seen"}]


# ---- what others do meanwhile


@pytest.mark.parametrize("level", ["read committed", "repeatable read"])
@pytest.mark.parametrize("mode", list(Mode))
def test_a_column_that_is_added_while_a_commit_waits_is_kept(mode: Mode, level: str, place: Place) -> None:
    """The table is looked at once it is locked: whoever changed it until then loses nothing, whatever the isolation level."""
    destination = PostgresDestination(place.uri(default_transaction_isolation=level.replace(" ", "\\ ")))
    load(destination, [_batch(("1", "a"), ("2", "b"))], text_schema())
    unit = destination.begin(destination.claim(FLOW, "test"))
    manifest = unit.open(TARGET, plan(text_schema(), mode=mode), NoJournal()).stage(
        Part("p"), iter([_batch(("1", "a"), ("2", "c"))])
    )
    place.run("BEGIN; ALTER TABLE raw.page ADD COLUMN note text; UPDATE raw.page SET note = 'mine'")
    told: list[object] = []

    def commit() -> None:
        try:
            told.append(unit.commit({FLOW: {}}, [manifest]).accounted)
        except HaloclineError as error:
            told.append(error)

    thread = threading.Thread(target=commit)
    thread.start()
    _wait_for_a_lock(place)
    place.run("COMMIT")
    thread.join(WAIT_S)
    unit.close()
    destination.close()
    assert told == [2]
    assert table(place) == [{"id": "1", "text": "a", "note": "mine"}, {"id": "2", "text": "c", "note": "mine"}]


def _wait_for_a_lock(place: Place) -> None:
    """Until another session of the database waits for one."""
    deadline = time.monotonic() + WAIT_S
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not place.rows(waiting):
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


@pytest.mark.parametrize("mode", list(Mode))
def test_rows_of_one_batch_do_not_make_up_for_anothers(mode: Mode, destination: PostgresDestination, place: Place) -> None:
    """Two rows that were lost and two that were staged twice are the number announced, and not the rows announced."""
    unit = destination.begin(destination.claim(FLOW, "test"))
    opened = unit.open(TARGET, plan(text_schema(), mode=mode), NoJournal())
    first = opened.stage(Part("p0"), iter([_batch(("1", "a"), ("2", "b"))]))
    place.run(f"TRUNCATE {opened.stage_tables.rows.sql}")
    again = [opened.stage(Part("p1"), iter([_batch(("3", "a"), ("4", "b"))])) for _ in range(2)][-1]
    with pytest.raises(Truncated, match="2 rows are staged, 4 were announced; 1 of 2 batches differs"):
        unit.commit({FLOW: {}}, [first, again])
    unit.close()
    assert place.rows("SELECT to_regclass('raw.page')") == [(None,)]


# ---- a table that something hangs on


@pytest.mark.parametrize("own", ["note text", "text2 text UNIQUE"])
def test_a_key_of_another_type_is_no_reason_to_empty_a_table(own: str, destination: PostgresDestination, place: Place) -> None:
    """What users wrote beside the rows, and what refers to them, stays: the refresh is refused."""
    _made(place, f"id bigint PRIMARY KEY, text text, {own}", "1, 'a', 'mine'")
    place.run("CREATE TABLE raw.child (page bigint REFERENCES raw.page ON DELETE CASCADE); INSERT INTO raw.child VALUES (1)")
    with pytest.raises(SchemaConflict, match="the key Id is bigint there, and would have to be text now"):
        load(destination, [_batch(("1", "a"))], text_schema(), allow_replace=True)
    assert [(row["id"], row["text"]) for row in table(place)] == [(1, "a")]
    assert place.rows("SELECT page FROM raw.child") == [(1,)]


def test_blanks_at_the_end_are_not_cut_by_a_refresh_in_place(destination: PostgresDestination, place: Place) -> None:
    """A text longer than its column is refused also where only its last blanks are too many."""
    _made(place, "id text PRIMARY KEY, text varchar(3)")
    place.run("CREATE VIEW raw.loud AS SELECT * FROM raw.page")
    with pytest.raises(SchemaConflict, match=r"Replacing raw\.page.*takes 3 characters there, and a text of 6 came"):
        load(destination, [_batch(("1", "abc   "))], text_schema())
    assert table(place) == []


@pytest.mark.parametrize(
    ("columns", "look"),
    [
        ('id text PRIMARY KEY, text text COLLATE "POSIX"', "SELECT attcollation::regcollation::text FROM pg_attribute"),
        ("text text PRIMARY KEY, id text", "SELECT pg_get_constraintdef(oid) FROM pg_constraint"),
    ],
)
def test_a_collation_and_another_primary_key_survive_a_full_refresh(
    columns: str, look: str, destination: PostgresDestination, place: Place
) -> None:
    """They are the user's, so the table stays in its place."""
    _made(place, columns)
    column = "attrelid" if "attribute" in look else "conrelid"
    look += f" WHERE {column} = 'raw.page'::regclass{' AND attnum > 0' if column == 'attrelid' else ''} ORDER BY 1"
    before = place.rows(look)
    for _ in range(2):
        load(destination, [_batch(("1", "a"), ("2", "b"))], text_schema(), allow_replace=True)
    assert place.rows(look) == before
    assert [(row["id"], row["text"]) for row in table(place)] == [("1", "a"), ("2", "b")]


# ---- the lease, and a commit without an answer


def test_a_lease_is_its_owners(destination: PostgresDestination) -> None:
    """A database that was set back may give a number out again: the owner tells the two claims apart."""
    mine = destination.claim(FLOW, "mine")
    unit = destination.begin(Lease(FLOW, "another", mine.fence))
    unit.open(TARGET, plan(text_schema()), NoJournal())
    with pytest.raises(LeaseLost, match="mine"):
        unit.commit({FLOW: {}}, [])
    unit.close()


@contextmanager
def _no_answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExitStack]]:
    """The next commit of a unit gets no answer; the list then holds the server's transaction, still open, to be ended."""
    plain, check = Database.transaction, positions.check
    held: list[object] = []
    left: list[ExitStack] = []

    def checked(cursor: Any, *, lease: Lease, hold: bool = False) -> None:
        check(cursor, lease=lease, hold=hold)
        if hold:
            held.append(cursor)

    @contextmanager
    def lossy(database: Database) -> Iterator[Any]:
        with ExitStack() as stack:
            cursor = stack.enter_context(plain(database))
            yield cursor
            if held[:1] == [cursor]:
                left.append(stack.pop_all())
                raise psycopg.OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(positions, "check", checked)
        patched.setattr(Database, "transaction", lossy)
        yield left


@pytest.mark.parametrize("made", [True, False])
def test_a_commit_that_the_server_is_still_at_is_waited_for(made: bool, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection broke, and the server ends the transaction only later: what is told is what came of it."""
    destination = PostgresDestination(place.uri())
    load(destination, [_batch(("1", "old"))], text_schema())

    def end() -> None:
        _wait_for_a_lock(place)
        if not made:
            place.run(f"SELECT pg_terminate_backend({HOLDER}, 5000)")
        with suppress(HaloclineError, psycopg.Error):
            left[0].close()

    with _no_answer(monkeypatch) as left:
        thread = threading.Thread(target=end)
        thread.start()
        try:
            if made:
                assert load(destination, [_batch(("1", "new"))], text_schema(), mode=Mode.MERGE).updated == 1
            else:
                with pytest.raises(NetworkFailed, match="Nothing was published"):
                    load(destination, [_batch(("1", "new"))], text_schema(), mode=Mode.MERGE)
        finally:
            thread.join(WAIT_S)
    destination.close()
    assert table(place) == [{"id": "1", "text": "new" if made else "old"}]


def test_a_commit_of_which_nothing_is_known_is_told_as_such(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not say in time what came of it: nobody claims that nothing was published; the next run is right."""
    destination = PostgresDestination(place.uri(lock_timeout="200ms"))
    load(destination, [_batch(("1", "old"))], text_schema())
    with _no_answer(monkeypatch) as left:
        with pytest.raises(NetworkFailed, match="Whether this was published is not known") as refused:
            load(destination, [_batch(("1", "new"))], text_schema(), mode=Mode.MERGE)
        left[0].close()
    assert "Nothing was published" not in str(refused.value)
    assert table(place) == [{"id": "1", "text": "new"}]
    assert load(destination, [_batch(("1", "new"))], text_schema(), mode=Mode.MERGE).unchanged == 1
    destination.close()


def test_a_lost_answer_and_a_newer_run_leave_it_open(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newer run may have written over the position that would tell."""
    destination = PostgresDestination(place.uri())
    load(destination, [_batch(("1", "old"))], text_schema())
    other = PostgresDestination(place.uri())
    with _no_answer(monkeypatch) as left, monkeypatch.context() as patched:
        check = positions.check

        def newer_first(cursor: Any, *, lease: Lease, hold: bool = False) -> None:
            if left:
                left.pop().close()
                load(other, [_batch(("1", "newer"))], text_schema(), mode=Mode.MERGE)
            check(cursor, lease=lease, hold=hold)

        patched.setattr(positions, "check", newer_first)
        with pytest.raises(NetworkFailed, match="Whether this was published is not known"):
            load(destination, [_batch(("1", "new"))], text_schema(), mode=Mode.MERGE)
    destination.close()
    other.close()
    assert table(place) == [{"id": "1", "text": "newer"}]


# ---- the books


def test_a_remainder_below_zero_is_no_balance() -> None:
    """Counts that add up only because one is negative are refused by every destination; several tables' counts are added."""
    whole = Counts.total([Counts(inserted=2, rejected=1, highest="a"), Counts(inserted=1, deleted=4, highest="b"), Counts()])
    assert whole == Counts(inserted=3, deleted=4, rejected=1, highest="b")
    refuse_imbalance(TARGET, whole, staged=8)
    for wrong in (whole, Counts(inserted=9, unchanged=-2)):
        with pytest.raises(Stop, match="7 rows were staged"):
            refuse_imbalance(TARGET, wrong, staged=7)


def test_a_page_that_is_refused_is_parsed_no_more_than_twice(destination: PostgresDestination, tmp_path: Path) -> None:
    """Once to be sent in other words, once to name the record."""
    parsed: list[int] = []

    class Counted(Page):
        def arrow(self) -> Iterator[pa.RecordBatch]:
            parsed.append(1)
            return super().arrow()

    page = written(tmp_path / "nul.csv", text_schema(), [("1", "a\0b")])
    counted = Counted(page.path, page.rows, page.columns, text_schema(), "Page", page.path.stat().st_size)
    with pytest.raises(SchemaConflict, match="record 1 holds a NUL"):
        load(destination, [Batch(raw=counted)], text_schema())
    assert len(parsed) == 2
