"""What is DuckDB's own about the destination: connections, URIs, views, indexes, the table of positions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import duckdb
import pytest
from tests.connectors.duckdb.pages import FLOW, TARGET, load, plan, table, text_schema, written

from halocline import spooled
from halocline.batch import Batch, Op
from halocline.connector import Deletes, Mode, Part, Target
from halocline.connectors import duckdb as connector
from halocline.connectors.duckdb.client import Database, path_of
from halocline.connectors.duckdb.destination import DuckDBDestination
from halocline.connectors.duckdb.errors import gate
from halocline.connectors.duckdb.replace import replace
from halocline.errors import AccessDenied, FixConfig, LeaseLost, NotFound, RetryLater, SchemaConflict, StorageFailed
from halocline.outcome import Counts
from halocline.schema import Column, Kind
from halocline.spool import Spool
from halocline.standard_sql import quoted
from halocline.testing.destinations import NoJournal


@pytest.fixture
def page(tmp_path: Path) -> Batch:
    return Batch(raw=written(tmp_path / "page.csv", ("Id", "Text"), [("1", "a"), ("2", "b")]))


def test_the_driver_is_not_loaded_to_recognise_a_session() -> None:
    """`accepts` looks at the session without importing DuckDB."""
    code = (
        "import sys; from halocline.connectors.duckdb import accepts\n"
        "assert accepts('duckdb:///x') and accepts('DuckDB:///x') and not accepts('postgresql://x') and not accepts(object())\n"
        "assert not {'duckdb', '_duckdb', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_connection_is_recognised(connection: duckdb.DuckDBPyConnection) -> None:
    """A live DuckDB connection is a session of this connector."""
    assert connector.accepts(connection)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("duckdb:///lake.duckdb", "lake.duckdb"),
        ("duckdb:////data/lake.duckdb", "/data/lake.duckdb"),
        ("duckdb:///:memory:", ":memory:"),
        ("duckdb:lake.duckdb", "lake.duckdb"),
        ("/data/lake.duckdb", "/data/lake.duckdb"),
    ],
)
def test_a_uri_names_a_file(uri: str, path: str) -> None:
    """Three slashes stand before a relative path, four before an absolute one."""
    assert path_of(uri) == path


@pytest.mark.parametrize("uri", ["duckdb:", "duckdb:///", "duckdb://host/lake", "duckdb:///lake?x=1"])
def test_a_uri_without_a_file_is_refused(uri: str) -> None:
    """A host, an option or nothing at all is not silently taken for a file name."""
    with pytest.raises(FixConfig):
        path_of(uri)


def test_an_option_that_may_be_a_token_is_not_repeated() -> None:
    """What follows the question mark of a refused URI stays out of the message."""
    with pytest.raises(FixConfig, match=r"takes none.*Write duckdb:///md:lake;") as refused:
        path_of("duckdb:///md:lake?motherduck_token=secret")
    assert "secret" not in str(refused.value)


def test_an_interrupt_during_a_statement_stays_an_interrupt() -> None:
    """DuckDB makes this RuntimeError of Ctrl-C; above the gate it is a KeyboardInterrupt again. Others stay what they are."""
    with pytest.raises(KeyboardInterrupt), gate("Counting"):
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="another"), gate("Counting"):
        raise RuntimeError("another one")


def test_a_missing_folder_is_named(spool: Spool, tmp_path: Path) -> None:
    """The error says which folder is missing, and how absolute paths are written."""
    with pytest.raises(NotFound, match=r"nowhere.*four slashes"):
        DuckDBDestination(f"duckdb:///{tmp_path}/nowhere/lake.duckdb", spool=spool)


def test_a_damaged_file_is_refused(spool: Spool, tmp_path: Path) -> None:
    """A file that is no database is left alone."""
    (tmp_path / "x.duckdb").write_bytes(b"x" * 5_000)
    with pytest.raises(StorageFailed, match="not a valid DuckDB database"):
        DuckDBDestination(f"{tmp_path}/x.duckdb", spool=spool)
    assert (tmp_path / "x.duckdb").read_bytes() == b"x" * 5_000


@contextmanager
def _holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process


def test_a_locked_file_names_its_holder(spool: Spool, tmp_path: Path) -> None:
    """The error says which process has the file open, and that later will do: it may be another run."""
    with _holder(tmp_path / "x.duckdb") as holder, pytest.raises(RetryLater) as caught:
        DuckDBDestination(f"{tmp_path}/x.duckdb", spool=spool)
    assert f"PID {holder.pid}" in str(caught.value)


def test_a_read_only_connection_is_refused(spool: Spool, tmp_path: Path) -> None:
    """Claiming through a connection that may only read fails with a word about it, before anything is read."""
    duckdb.connect(tmp_path / "x.duckdb").close()
    with duckdb.connect(tmp_path / "x.duckdb", read_only=True) as connection:
        destination = DuckDBDestination(connection, spool=spool)
        assert destination.position(FLOW, TARGET) is None
        with pytest.raises(StorageFailed, match="read-only"):
            destination.claim(FLOW, "test")


def test_a_closed_connection_is_refused(spool: Spool) -> None:
    """A connection closed by its owner is reported as such."""
    connection = duckdb.connect()
    connection.close()
    with pytest.raises(FixConfig, match="closed"):
        DuckDBDestination(connection, spool=spool)


def test_a_bad_setting_is_refused(spool: Spool) -> None:
    """A memory limit that DuckDB does not understand is a mistake to correct."""
    with pytest.raises(FixConfig, match=r"Memory must have a number.*HALOCLINE_DUCKDB_MEMORY"):
        DuckDBDestination("duckdb:///:memory:", spool=spool, memory_limit="lots")


def test_a_connection_that_may_not_read_files_is_told(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch
) -> None:
    """With external access off, DuckDB refuses the staged files, and the error says so."""
    connection.execute("SET enable_external_access = false")
    with pytest.raises(AccessDenied):
        load(destination, [page], text_schema())


def test_the_users_transaction_is_not_touched(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch
) -> None:
    """A transaction that the user has open neither sees nor ends with a load, and can still be rolled back."""
    connection.execute("CREATE TABLE mine (x INTEGER)")
    connection.execute("BEGIN; INSERT INTO mine VALUES (1)")
    load(destination, [page], text_schema())
    assert connection.execute("SELECT count(*) FROM mine").fetchall() == [(1,)]
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM mine").fetchall() == [(0,)]
    assert len(table(connection)) == 2


def test_the_users_settings_are_kept(connection: duckdb.DuckDBPyConnection, spool: Spool, page: Batch) -> None:
    """Threads, memory, order and time zone of a user's connection are as they were."""
    sql = "SELECT current_setting('threads'), current_setting('memory_limit'), current_setting('preserve_insertion_order')"
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    before = connection.execute(sql).fetchall()
    load(DuckDBDestination(connection, spool=spool), [page], text_schema())
    assert connection.execute(sql).fetchall() == before
    assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("Asia/Tokyo",)]


def test_a_target_without_schema_lies_in_the_users(connection: duckdb.DuckDBPyConnection, spool: Spool, page: Batch) -> None:
    """The schema and database that the user's connection uses are the ones that a bare table name means."""
    connection.execute('ATTACH \':memory:\' AS "la""ke"; USE "la""ke"; CREATE SCHEMA mine; USE "la""ke".mine')
    destination = DuckDBDestination(connection, spool=spool)
    unit = destination.begin(destination.claim(FLOW, "test"))
    opened = unit.open(Target(None, 'my "table"'), plan(text_schema()), NoJournal())
    unit.commit({FLOW: {}}, [opened.stage(Part("p"), iter([page]))])
    unit.close()
    assert connection.execute('SELECT count(*) FROM "la""ke".mine."my ""table"""').fetchall() == [(2,)]
    assert destination.position(FLOW, Target("MINE", 'My "Table"')) == {}


def test_a_view_on_the_table_goes_on_working(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch
) -> None:
    """A full load replaces the table under the views that users made on it."""
    load(destination, [page], text_schema())
    connection.execute("CREATE VIEW mine AS SELECT upper(Text) AS loud FROM raw.page")
    load(destination, [page], text_schema(), deletes=Deletes.HARD)
    assert sorted(connection.execute("FROM mine").fetchall()) == [("A",), ("B",)]


def test_a_view_is_no_target(destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch) -> None:
    """A load into a view is refused by name."""
    connection.execute("CREATE SCHEMA raw; CREATE VIEW raw.page AS SELECT 1 AS Id")
    with pytest.raises(FixConfig, match="that is a view"):
        load(destination, [page], text_schema())


def test_indexes_are_made_again(destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch) -> None:
    """An index that a user made is there after a full load, and after a merge."""
    load(destination, [page], text_schema())
    connection.execute("CREATE UNIQUE INDEX by_id ON raw.page (Id)")
    for mode in Mode:
        load(destination, [page], text_schema(), mode=mode)
        assert connection.execute("SELECT index_name, table_name FROM duckdb_indexes()").fetchall() == [("by_id", "page")]


def test_a_merge_works_with_a_primary_key(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A table that a user made with a primary key takes updates of its rows."""
    connection.execute("CREATE SCHEMA raw; CREATE TABLE raw.page (ID VARCHAR PRIMARY KEY, TEXT VARCHAR, mine INTEGER DEFAULT 7)")
    connection.execute("INSERT INTO raw.page VALUES ('1', 'old', 1), ('2', 'b', 2)")
    changed = written(tmp_path / "changed.csv", ("Id", "Text"), [("1", "new"), ("2", "b"), ("3", "c")])
    counts = load(destination, [Batch(raw=changed)], text_schema(), mode=Mode.MERGE)
    assert connection.execute("FROM raw.page ORDER BY Id").fetchall() == [("1", "new", 1), ("2", "b", 2), ("3", "c", 7)]
    assert (counts.inserted, counts.updated, counts.unchanged) == (1, 1, 1)


def test_a_key_that_repeats_in_the_table_stops_a_merge(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch
) -> None:
    """A table with two rows of one key cannot be merged into by key: the load stops instead of guessing."""
    load(destination, [page], text_schema())
    connection.execute("INSERT INTO raw.page FROM raw.page")
    with pytest.raises(SchemaConflict, match="several rows of one key"):
        load(destination, [page], text_schema(), mode=Mode.MERGE)


def test_a_row_without_key_stops_a_load(destination: DuckDBDestination, tmp_path: Path) -> None:
    """A key that is null identifies nothing."""
    nameless = written(tmp_path / "nameless.csv", ("Id", "Text"), [(None, "a")])
    with pytest.raises(SchemaConflict, match="1 row has no value in the key"):
        load(destination, [Batch(raw=nameless)], text_schema())


def test_several_columns_make_a_key(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Rows are matched by all columns of the key together."""
    first = written(tmp_path / "first.csv", ("Id", "Text", "V"), [("1", "a", "x"), ("1", "b", "y")])
    second = written(tmp_path / "second.csv", ("Id", "Text", "V"), [("1", "b", "z"), ("2", "a", "w")])
    schema = text_schema(Column("V", Kind.STRING))
    load(destination, [Batch(raw=first)], schema, key=("Id", "Text"))
    load(destination, [Batch(raw=second)], schema, key=("Id", "Text"), mode=Mode.MERGE)
    assert sorted(str(row["V"]) for row in table(connection)) == ["w", "x", "z"]


def test_a_deletion_that_nothing_could_mark_is_refused(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch, tmp_path: Path
) -> None:
    """Soft deletes need a flag column: without one, a deletion of a row that the table has stops the load."""
    load(destination, [page], text_schema())
    gone = Batch(raw=written(tmp_path / "gone.csv", ("Id",), [("1",)]), op=Op.DELETE)
    with pytest.raises(FixConfig, match='deletes="hard"'):
        load(destination, [gone], text_schema(), mode=Mode.MERGE)
    assert len(table(connection)) == 2


def test_claims_at_the_same_instant_get_different_fences(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection
) -> None:
    """However many threads claim a flow, no two hold the same fence; the first of all makes the table of positions."""

    def claims(number: int) -> list[int]:
        found = []
        for _ in range(5):
            try:
                found.append(destination.claim(FLOW, f"thread {number}").fence)
            except RetryLater:
                continue
        return found

    with ThreadPoolExecutor(4) as pool:
        fences = [fence for found in pool.map(claims, range(4)) for fence in found]
    assert sorted(fences) == list(range(1, len(fences) + 1))
    assert fences


def test_a_claim_during_a_commit_wins(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim made after our commit looked at its lease, and before it ended, makes the commit fail."""

    def claimed_meanwhile(*args: Any, **kwargs: Any) -> Counts:
        assert destination.claim(FLOW, "newer").fence == 2
        return replace(*args, **kwargs)

    monkeypatch.setattr("halocline.connectors.duckdb.destination.replace", claimed_meanwhile)
    with pytest.raises(LeaseLost, match="newer"):
        load(destination, [page], text_schema())
    assert connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'page'").fetchall() == [(0,)]


def test_several_tables_become_visible_together(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch, tmp_path: Path
) -> None:
    """A unit with two loads publishes both or none: a bad value in the second leaves the first as it was."""
    schema = text_schema()
    numbers = text_schema(Column("N", Kind.INTEGER))
    for value, tables in (("1.5", 0), ("1", 2)):
        other = Batch(raw=written(tmp_path / "other.csv", ("Id", "Text", "N"), [("1", "x", value)]))
        unit = destination.begin(destination.claim(FLOW, "test"))
        one = unit.open(Target("raw", "one"), plan(schema), NoJournal()).stage(Part("p"), iter([page]))
        two = unit.open(Target("raw", "two"), plan(numbers), NoJournal()).stage(Part("p"), iter([other]))
        try:
            counts = unit.commit({FLOW: {"n": 1}}, [one, two])
            assert counts.inserted == 3
        except SchemaConflict:
            assert value == "1.5"
        unit.close()
        sql = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw'"
        assert connection.execute(sql).fetchall() == [(tables,)]
    assert destination.position(FLOW, Target("raw", "two")) == {"n": 1}


def test_flows_that_make_the_same_schema_at_once_all_publish(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A first sync of many objects at the same time fails for none of them."""
    spool, together, ready = Spool("run", tmp_path), Barrier(6), []
    for number in range(6):
        one = DuckDBDestination(connection.cursor(), spool=spool)
        unit = one.begin(one.claim(f"flow {number}", "test"))
        page = Batch(raw=written(spool.file(f"{number}.csv"), ("Id", "Text"), [("1", "a")]))
        load = unit.open(Target("raw", f"t{number}"), plan(text_schema()), NoJournal())
        ready.append(partial(unit.commit, {f"flow {number}": {}}, [load.stage(Part("p"), iter([page]))]))

    def carry(commit: Callable[[], Counts]) -> int:
        together.wait(30)
        return commit().inserted

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(carry, ready)) == [1] * 6


def test_a_schema_in_a_transaction_of_the_user_is_told(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, page: Batch
) -> None:
    """Who has made the schema and not committed it yet stands in the way for good: nothing is published, and that is said."""
    connection.execute("BEGIN; CREATE SCHEMA raw")
    with pytest.raises(RetryLater, match="run this again"):
        load(destination, [page], text_schema())
    connection.execute("COMMIT")
    assert load(destination, [page], text_schema()).inserted == 2


def test_closing_a_unit_leaves_no_file(destination: DuckDBDestination, spool: Spool) -> None:
    """What was staged as Arrow is deleted with its unit; nothing half-written stays either."""
    import pyarrow as pa

    rows = pa.RecordBatch.from_pylist([{"Id": "1", "Text": "a"}], schema=text_schema().arrow)
    unit = destination.begin(destination.claim(FLOW, "test"))
    opened = unit.open(TARGET, plan(text_schema()), NoJournal())

    def broken() -> Iterator[Batch]:
        yield Batch(rows=rows)
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError):
        opened.stage(Part("a"), broken())
    assert list(spool.path.iterdir()) == []
    opened.stage(Part("a"), iter([Batch(rows=rows)]))
    assert len(list(spool.path.iterdir())) == 1
    unit.close()
    assert list(spool.path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_while_putting_aside_is_told_as_such(destination: DuckDBDestination, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure of the first write is what is raised, not that of ending a file that could not be written."""
    import pyarrow as pa

    @contextmanager
    def full(_: Path) -> Iterator[Path]:
        yield Path("/dev/full")

    monkeypatch.setattr(spooled, "arriving", full)
    rows = pa.RecordBatch.from_pylist([{"Id": "1", "Text": "a"}], schema=text_schema().arrow)
    opened = destination.begin(destination.claim(FLOW, "test")).open(TARGET, plan(text_schema()), NoJournal())
    with pytest.raises(StorageFailed, match="No space left on device"):
        opened.stage(Part("a"), iter([Batch(rows=rows)]))


def test_a_full_disk_is_reported_and_nothing_changes(spool: Spool, tmp_path: Path) -> None:
    """When DuckDB's disk space for what exceeds its memory runs out, the load stops with StorageFailed; the table stays."""
    rows = [(f"{n:09}", f"{n}" * 20) for n in range(60_000)]
    pages = [Batch(raw=written(tmp_path / f"{i}.csv", ("Id", "Text"), [(f"{i}{k}", v) for k, v in rows])) for i in range(4)]
    with duckdb.connect(tmp_path / "x.duckdb") as connection:
        destination = DuckDBDestination(connection, spool=spool, memory_limit="40MB", threads=1)
        load(destination, [Batch(raw=written(tmp_path / "old.csv", ("Id", "Text"), [("1", "old")]))], text_schema())
        connection.execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(StorageFailed):
            load(destination, pages, text_schema(), mode=Mode.MERGE)
        assert table(connection) == [{"Id": "1", "Text": "old"}]


def test_the_place_is_the_file_whoever_opened_it(tmp_path: Path, spool: Spool, connection: duckdb.DuckDBPyConnection) -> None:
    """By a URI, by a connection, by one that has chosen another of its databases; what has no file has none."""
    lake = tmp_path / "lake.duckdb"
    owned = DuckDBDestination(f"duckdb:///{lake}", spool=spool)
    assert owned.place == f"duckdb:{lake}"
    owned.close()
    assert DuckDBDestination(connection, spool=spool).place == ""
    connection.execute(f"ATTACH '{lake}' AS lake; USE lake")
    assert DuckDBDestination(connection, spool=spool).place == f"duckdb:{lake}"


def test_names_are_quoted() -> None:
    """A name may hold any character."""
    assert quoted('a"b', "c d") == '"a""b"."c d"'


def test_a_failed_transaction_is_undone(connection: duckdb.DuckDBPyConnection) -> None:
    """An error inside a transaction is raised as it is, and everything done before it is undone."""
    database = Database(connection, "memory", "main", owned=False)

    def fail_halfway() -> None:
        with database.transaction() as cursor:
            cursor.execute("CREATE TABLE half (x INTEGER)")
            cursor.execute("SELECT CAST('x' AS INTEGER)").fetchall()

    with pytest.raises(duckdb.ConversionException):
        fail_halfway()
    assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_a_database_opened_by_name_has_bounded_memory_and_a_connection_keeps_its_own(tmp_path: Path, spool: Spool) -> None:
    """Memory stays flat unless somebody says otherwise; a user's connection is never re-set."""
    query = "SELECT current_setting('memory_limit'), current_setting('threads')"
    owned = DuckDBDestination(f"duckdb:///{tmp_path}/lake.duckdb", spool=spool)
    with owned._database.cursor() as cursor:
        memory, threads = cursor.execute(query).fetchall()[0]
    owned.close()
    assert memory == "488.2 MiB"
    assert 1 <= threads <= 4
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 1}) as mine:
        before = mine.execute(query).fetchall()
        DuckDBDestination(mine, spool=spool)
        assert mine.execute(query).fetchall() == before


def test_a_sync_into_a_nameless_memory_is_refused(spool: Spool) -> None:
    """A database that is gone when the sync ends keeps nothing; a connection in memory is the caller's, and fine."""
    with pytest.raises(FixConfig, match="gone when the sync ends"):
        connector.open_destination("duckdb:///:memory:", spool=spool)


def test_a_file_is_made_by_the_first_claim(tmp_path: Path, spool: Spool, page: Batch) -> None:
    """Whoever is refused before leaves none; it is known by the same place before, while and after it is made."""
    file = tmp_path / "lake.duckdb"
    destination = DuckDBDestination(f"duckdb:///{file}", spool=spool)
    place = destination.place
    assert (destination.position(FLOW, TARGET), destination.columns(TARGET), destination.flows(TARGET)) == (None, None, [])
    assert not file.exists()
    destination.close()
    assert not file.exists()
    destination = DuckDBDestination(f"duckdb:///{file}", spool=spool)
    load(destination, [page], text_schema())
    assert destination.place == place == f"duckdb:{file}"
    destination.close()
    with duckdb.connect(str(file)) as beside:
        assert [row["Text"] for row in table(beside)] == ["a", "b"]


def test_a_file_that_another_made_meanwhile_is_read(tmp_path: Path, spool: Spool, page: Batch) -> None:
    """Both looked at a file that was not there; the rows of the first are there for the second, and none is lost."""
    uri = f"duckdb:///{tmp_path / 'lake.duckdb'}"
    first, second = (DuckDBDestination(uri, spool=spool) for _ in range(2))
    assert second.position(FLOW, TARGET) is None
    load(first, [page], text_schema())
    assert second.position(FLOW, TARGET) == first.position(FLOW, TARGET) is not None
    first.close()
    assert second.columns(TARGET) is not None
    second.close()
    third, fourth = (DuckDBDestination(uri.replace("lake", "other"), spool=spool) for _ in range(2))
    lease = third.claim(FLOW, "a")
    third.close()
    unit = fourth.begin(lease)  # of another's claim, in the file that it made
    unit.commit({}, [])
    unit.close()
    fourth.close()


@pytest.mark.parametrize("path", ["missing/lake.duckdb", "deep/../lake.duckdb", "link/lake.duckdb"])
def test_a_path_that_is_not_plain_is_opened_at_once(tmp_path: Path, spool: Spool, path: str) -> None:
    """A missing folder is told before anybody is asked for anything; a file that DuckDB knows by another name is made as ever."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "deep")
    if "missing" in path:
        with pytest.raises(FixConfig, match="Make the folder first"):
            DuckDBDestination(f"duckdb:///{tmp_path}/{path}", spool=spool)
        return
    DuckDBDestination(f"duckdb:///{tmp_path}/{path}", spool=spool).close()
    assert (tmp_path / path).exists()
