"""What is SQLite's own: files, types by words, tables that somebody else made, kills in a commit, and SQLite as a source."""

from __future__ import annotations

import datetime as dt
import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline.config import Settings
from halocline.connector import Deletes, Mode, Part, Target
from halocline.connectors import sqlite as connector
from halocline.connectors.sqlite import client
from halocline.connectors.sqlite.client import path_of
from halocline.connectors.sqlite.destination import SQLiteDestination
from halocline.connectors.sqlite.source import Snapshot, open_source
from halocline.errors import BadQuery, FixConfig, NotFound, RetryLater, SchemaConflict, StorageFailed
from halocline.ledger import MemoryLedger, SqliteLedger
from halocline.place import place_of, schema_in
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool
from halocline.sync import IntelligentSync
from halocline.tables import TableCopy, copy
from halocline.testing.destinations import FLOW, SCHEMA, TARGET, Bench, DestinationSuite, account, batch, deletions
from halocline.wanted import holding_back

EVERY_KIND = """
    SELECT 1::BIGINT AS id, 'Łódź' AS name, 0.10::DECIMAL(38,2) AS amount, 9007199254740993::BIGINT AS big, 0.1::DOUBLE AS ratio,
    true AS yes, DATE '0001-01-01' AS day, TIME '10:20:30.000005' AS clock, TIMESTAMPTZ '2026-03-01 10:20:30.123456+02' AS seen,
    'a\\x00b'::BLOB AS bytes, '{"n": 1.10}'::JSON AS doc
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lake.sqlite"


@pytest.fixture
def bench(file: Path) -> Iterator[Bench]:
    spool = Spool("test", file.parent)
    yield Bench(DestinationSuite(), SQLiteDestination(f"sqlite:///{file}", spool=spool))
    spool.close()


def asked(file: Path, sql: str) -> list[Any]:
    """What a connection of somebody else sees."""
    with closing(sqlite3.connect(file)) as beside, beside:
        return beside.execute(sql).fetchall()


@pytest.fixture
def app() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    yield connection
    connection.close()


def test_a_uri_names_a_file() -> None:
    """Three slashes stand before a relative path, four before an absolute one; what is in memory nobody else can see."""
    assert [path_of(uri) for uri in ("sqlite:///lake.db", "SQLite:////data/lake.db")] == [Path("lake.db"), Path("/data/lake.db")]
    for session in ("sqlite:///", "sqlite://host/x", "sqlite:///x?key=secret", "sqlite:///:memory:"):
        with pytest.raises(FixConfig, match="names no database file") as refused:
            path_of(session)
        assert "secret" not in str(refused.value)
    with closing(sqlite3.connect(":memory:")) as memory, pytest.raises(FixConfig, match="in memory"):
        path_of(memory)
    assert connector.accepts("SQLite:///x")
    assert not any(map(connector.accepts, ("duckdb:///x", object())))


def test_the_core_knows_it_by_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Place and schema come from the connector alone."""
    monkeypatch.chdir(tmp_path)
    assert place_of("sqlite:///lake.db") == f"sqlite:{tmp_path / 'lake.db'}"
    assert schema_in("sqlite:///lake.db", None) == "main"


def test_files_that_cannot_be_used_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder, a file of another kind, and one that others hold; nothing is made where only is looked."""
    spool = Spool("test", tmp_path)
    with pytest.raises(NotFound, match="four slashes"):
        SQLiteDestination(f"sqlite:///{tmp_path}/nowhere/x.sqlite", spool=spool)
    (tmp_path / "text").write_bytes(b"x" * 5_000)
    with pytest.raises(StorageFailed, match="no SQLite file"):
        SQLiteDestination(f"sqlite:///{tmp_path}/text", spool=spool)
    looking = SQLiteDestination(f"sqlite:///{tmp_path}/new.sqlite", spool=spool, read_only=True)
    assert looking.position(FLOW, TARGET) is None
    assert not (tmp_path / "new.sqlite").exists()
    monkeypatch.setattr(client, "_BUSY_S", 0.0)
    with closing(sqlite3.connect(tmp_path / "held.sqlite", isolation_level=None)) as holder:
        destination = SQLiteDestination(holder, spool=spool)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(RetryLater, match="holds the file"):
            destination.claim(FLOW, "test")
        holder.execute("ROLLBACK")
        assert destination.claim(FLOW, "test").fence == 1


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_no_table_goes_into_a_ledger(app: duckdb.DuckDBPyConnection, tmp_path: Path, mode: str) -> None:
    """Neither its own nor another's, by a URI, a link or a connection; of its runs none is lost, and nothing is added."""
    app.execute("CREATE TABLE runs AS SELECT 'r' AS id, 'mine' AS flow")
    path = tmp_path / "ledger.sqlite"
    (tmp_path / "link.sqlite").symlink_to(path)
    with SqliteLedger(path) as ledger:
        copy(app, f"sqlite:///{tmp_path}/lake.sqlite", "runs", ledger=ledger)
        before = asked(path, "SELECT name FROM sqlite_master ORDER BY name"), [one.run for one in ledger.runs()]
        table = TableCopy("runs", mode=mode, key=["id"], adopt=True)
        for books in (ledger, MemoryLedger()):
            for to in (f"sqlite:///{path}", f"sqlite:///{tmp_path}/link.sqlite"):
                with pytest.raises(FixConfig, match="it is a ledger of Halocline, and no place for tables"):
                    copy(app, to, table, ledger=books)
            with closing(sqlite3.connect(path)) as connection, pytest.raises(FixConfig, match="it is a ledger of Halocline"):
                copy(app, connection, table, ledger=books)
        assert (asked(path, "SELECT name FROM sqlite_master ORDER BY name"), [one.run for one in ledger.runs()]) == before


def test_a_sync_never_goes_into_its_own_ledger(tmp_path: Path) -> None:
    """Also where that was made a moment ago, and before anybody is asked."""
    settings = Settings.from_env({"HALOCLINE_LEDGER": f"{tmp_path}/own.sqlite", "HALOCLINE_HOME": str(tmp_path)})
    with IntelligentSync(f"sqlite:///{tmp_path}/own.sqlite", {}, settings=settings) as system:
        answer = system.sync_sobject("Account", "main", "runs", force_full_sync=True)
    assert "it is a ledger of Halocline" in str(answer["error"])


def test_values_are_what_sqlite_can_use(bench: Bench, file: Path) -> None:
    """Decimals keep their digits as text, instants and dates are text that its functions read, truth is 0 or 1."""
    bench.load(batch([account(1, Amount__c=Decimal("1250.50"))]))
    sql = (
        "SELECT Amount__c, typeof(Count__c), typeof(Ratio__c), Born__c, At__c, IsDeleted, SystemModstamp, %s FROM 'raw.Accounts'"
    )
    assert asked(file, sql % "datetime(SystemModstamp, '+1 day')") == [
        ("1250.50", "integer", "real", "1999-12-31", "10:20:30.005000", 0, "2026-03-01T00:00:00.000000Z", "2026-03-02 00:00:00")
    ]


def test_what_it_cannot_hold_is_refused(bench: Bench) -> None:
    """NaN would become null without a word; the column is named, and nothing is published."""
    bench.load(batch([account(1)]))
    for mode in Mode:
        with pytest.raises(SchemaConflict, match=r"Ratio__c.*NaN"):
            bench.load(batch([account(1), account(2, Ratio__c=math.nan)]), mode=mode)
    assert bench.destination.columns(TARGET) is not None
    assert [dict(row) for rows in bench.destination.rows(TARGET, bench.suite.plan()) for row in rows.to_pylist()] == [account(1)]


def test_objects_may_be_wide(bench: Bench) -> None:
    """Rows of more columns than SQLite lets conditions nest are compared as wholes, null or not."""
    wide = Schema((*SCHEMA.columns, *(Column(f"c{n}__c", Kind.STRING) for n in range(1_100))), SCHEMA.key)
    empty = dict.fromkeys(wide.names[len(SCHEMA) :])
    bench.load(batch([{**account(n), **empty} for n in range(3)], schema=wide), schema=wide)
    changed = [{**account(0), **empty}, {**account(1), **empty, "c1099__c": "x"}]
    counts = bench.merge(batch(changed, schema=wide), schema=wide)
    assert (counts.updated, counts.unchanged) == (1, 1)


def test_what_users_made_on_a_table_goes_on_working(bench: Bench, file: Path) -> None:
    """Indexes, triggers, views and columns of their own survive full loads, also one that changes a type, and merges."""
    bench.load(batch([account(1), account(2)]))
    asked(file, "ALTER TABLE 'raw.Accounts' ADD COLUMN mine INTEGER DEFAULT 7")
    asked(file, "CREATE UNIQUE INDEX by_id ON 'raw.Accounts' (Id)")
    asked(file, "CREATE VIEW seen AS SELECT Id, mine FROM 'raw.Accounts'")
    asked(file, "CREATE TRIGGER noted AFTER INSERT ON 'raw.Accounts' BEGIN SELECT 1; END")
    other = Schema(tuple(Column(c.name, Kind.STRING) if c.name == "Count__c" else c for c in SCHEMA), SCHEMA.key)
    changed = {**account(2, at=1), "Count__c": "x"}
    for mode, schema, row in (
        (Mode.MERGE, SCHEMA, account(2, at=1)),
        (Mode.REPLACE, SCHEMA, account(2)),
        (Mode.REPLACE, other, changed),
    ):
        plain = {**account(1), "Count__c": "1"} if schema is other else account(1)
        bench.load(batch([plain, row], schema=schema), mode=mode, schema=schema)
        assert asked(file, "SELECT count(*), sum(mine) FROM seen") == [(2, 14)]
        made = asked(file, "SELECT name FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('index', 'trigger') ORDER BY name")
        assert made == [("_halocline_key_raw.Accounts",), ("by_id",), ("noted",)]
    with pytest.raises(FixConfig, match="that is a view"):
        bench.destination.position(FLOW, Target(None, "seen"))


def test_a_table_of_other_words_is_merged_into_where_it_holds_the_values(bench: Bench, file: Path) -> None:
    """VARCHAR and BIGINT do; NUMERIC would make floating point of a decimal, and is refused by name."""
    columns = "Id VARCHAR(18), Name TEXT, Count__c BIGINT, Ratio__c REAL, Born__c DATE, At__c TIME, IsDeleted BOOL"
    asked(file, f"CREATE TABLE 'raw.Accounts' ({columns}, SystemModstamp TIMESTAMP)")
    assert bench.merge(batch([account(1)])).inserted == 1
    asked(file, "DROP TABLE 'raw.Accounts'")
    asked(file, f"CREATE TABLE 'raw.Accounts' ({columns}, Amount__c NUMERIC)")
    with pytest.raises(SchemaConflict, match="Amount__c is NUMERIC there"):
        bench.merge(batch([account(1)]))


@pytest.mark.parametrize(
    "made",
    [
        "Id TEXT PRIMARY KEY, mine INTEGER DEFAULT 7) WITHOUT ROWID",
        "Id TEXT, mine INTEGER DEFAULT 7, _ROWID_ AS (NULL), rowid AS (1), oid INTEGER)",
        "Id TEXT, mine INTEGER DEFAULT 7, _rowid_ AS (NULL))",
        "_rowid_ INTEGER PRIMARY KEY, Id TEXT UNIQUE, mine INTEGER DEFAULT 7)",
    ],
)
def test_a_table_is_merged_into_whatever_it_calls_the_numbers_of_its_rows(bench: Bench, file: Path, made: str) -> None:
    """One that has none, computed columns that hide them, and one whose key is the number: rows are met, changed and removed."""
    asked(file, f"CREATE TABLE 'raw.Accounts' ({made}")
    bench.merge(batch([account(n) for n in range(5)]))
    changed = [account(1, at=5, Name="b"), account(2, at=5, IsDeleted=True), account(5)]
    counts = bench.merge(batch([account(0), *changed]), deletions((3, 6)))
    assert (counts.inserted, counts.updated, counts.deleted, counts.unchanged) == (1, 1, 2, 1)
    assert bench.merge(deletions((0, 6), (4, 6)), deletes=Deletes.HARD).deleted == 2
    rows = [*changed[:2], account(3, at=6, IsDeleted=True), changed[2]]
    for mode in Mode:
        bench.load(batch(rows), mode=mode)
        found = [row for some in bench.destination.rows(TARGET, bench.suite.plan()) for row in some.to_pylist()]
        assert sorted(found, key=lambda row: str(row["Id"])) == rows
        assert asked(file, "SELECT count(*), sum(mine) FROM 'raw.Accounts'") == [(4, 28)]


def test_every_kind_goes_there_and_back(app: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Tables of DuckDB come back from SQLite as they were, two by one commit."""
    app.execute(f"CREATE TABLE things AS {EVERY_KIND} UNION ALL BY NAME SELECT 2 AS id; CREATE TABLE few AS SELECT 1 AS id")
    ledger = MemoryLedger()
    assert len(copy(app, f"sqlite:///{file}", ["things", "few"], ledger=ledger).tables) == 2
    copy(f"sqlite:///{file}", app, [TableCopy("things", "back"), TableCopy("few", "few_back")], ledger=ledger)
    wanted, found = (app.execute(f"FROM {name} ORDER BY id").fetchall() for name in ("things", "back"))
    assert wanted == found
    types = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{}' ORDER BY column_name"
    assert app.execute(types.format("things")).fetchall() == app.execute(types.format("back")).fetchall()


def test_a_cursor_brings_what_changed(app: duckdb.DuckDBPyConnection, file: Path) -> None:
    """By a column of stamps, as SQLite's users write them; a computed column has the type of its values."""
    asked(file, "CREATE TABLE cases (id INTEGER PRIMARY KEY, name TEXT, written DATETIME)")
    asked(file, "INSERT INTO cases VALUES (1, 'a', '2026-03-01 10:00:00'), (2, 'b', '2026-03-01T12:00:00Z')")
    table = TableCopy("cases", mode="merge", cursor="written")
    ledger = MemoryLedger()
    assert copy(f"sqlite:///{file}", app, table, ledger=ledger).rows_read == 2
    asked(file, "INSERT INTO cases VALUES (3, 'c', '2026-03-01 13:00:00')")
    assert copy(f"sqlite:///{file}", app, table, ledger=ledger).rows_read == 2  # the newest, again, and the new one
    written = dt.datetime(2026, 3, 1, 13, tzinfo=dt.UTC)
    assert app.execute("SELECT * FROM cases WHERE id = 3").fetchall() == [(3, "c", written)]
    told = TableCopy(query="SELECT count(*) AS n, avg(id) AS middle, max(name) AS last FROM cases", to="told")
    few = TableCopy(query="SELECT id, written FROM cases WHERE id > 1;", to="few", key=["id"])
    copy(f"sqlite:///{file}", app, [told, few], ledger=ledger)
    assert app.execute("FROM told").fetchall() == [(3, 2.0, "c")]
    assert app.execute("FROM few WHERE id = 3").fetchall() == [(3, written)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("TIME", "10:00:00.000000"),
        ("DATETIME", "2026-01-01 10:00"),
        ("DATE", "2026-01-01"),
        ("BOOLEAN", 1),
        ("DECIMAL TEXT(9,2)", "1.50"),
    ],
)
def test_what_came_to_nothing_is_found_again_however_its_key_is_spelled(file: Path, kind: str, value: object) -> None:
    """A later read brings the row that the position names, though its stamp is long past."""
    asked(file, f"CREATE TABLE cases (id {kind}, written DATETIME)")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany("INSERT INTO cases VALUES (?, ?)", [(value, "2026-03-01"), (None, "2026-05-01")])
    with closing(Snapshot(f"sqlite:///{file}")) as snapshot:
        source = open_source(snapshot, table="cases", cursor="written")
        position = source.survey(None).next_position
        (rows,) = (batch.rows for batch in source.read(Part("all")))
        left = [(rows.column("id")[0].as_py(),)]
        assert source.survey(position).estimated_rows == 1
        assert source.survey(holding_back(position, None, key=["id"], left=left)).estimated_rows == 2


@pytest.mark.parametrize(
    ("kind", "values", "asked"),
    [
        ("INTEGER", [1, 2], [1]),
        ("INTEGER", [1, 2], [1.0]),
        ("TEXT", ["1", "1.0"], ["1"]),
        ("", ["1", 2, 3.5], ["2", "3.5"]),
        ("DOUBLE", [1, 2.5], [2.5, 1]),
        ("BOOLEAN", [0, 1], [True]),
        ("BLOB", [b"a\0b", "b"], [b"b", b"a\0b"]),
        ("DATE", ["2026-01-01", "2026-01-02"], [dt.date(2026, 1, 1)]),
        ("TIME", ["10:00", "11:00"], [dt.time(10)]),
        ("DATETIME", ["2026-01-01 10:00", "2026-01-01T12:00:00+01:00"], [dt.datetime(2026, 1, 1, 11, tzinfo=dt.UTC)]),
        ("DATETIME", ["2026-01-01 10:00:00.000001", "2026-01-01 10:00"], [dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC)]),
        ("DECIMAL TEXT(9,2)", ["1.50", "2"], [Decimal("1.5"), Decimal("2.00")]),
        ("DECIMAL TEXT(38,2)", ["123456789012345678.01", "123456789012345678.02"], [Decimal("123456789012345678.02")]),
    ],
)
def test_rows_are_read_again_by_key_however_it_is_spelled(
    file: Path, kind: str, values: list[object], asked: list[object]
) -> None:
    """As the column compares: by what a value means, and no other row comes with it."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"CREATE TABLE cases (id {kind})")
        connection.executemany("INSERT INTO cases VALUES (?)", [(one,) for one in values])
    with closing(Snapshot(f"sqlite:///{file}")) as snapshot:
        source = open_source(snapshot, table="cases")
        plan = replace(DestinationSuite().plan(), key=("ID",), schema=source.survey(None).schema)
        found = [one for batch in source.again(plan, asked) for rows in batch.arrow() for one in rows.column("id").to_pylist()]
    assert len(found) == len(asked)
    assert set(found) == set(asked)


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        ({"source": "case"}, NotFound, "cases"),
        ({"source": "cases", "columns": ["nmae"]}, NotFound, "name"),
        ({"source": "cases", "mode": "merge", "cursor": "name"}, FixConfig, "does not say when"),
        ({"query": "SELECT 1 AS a FORM cases", "to": "x"}, BadQuery, "syntax"),
        ({"query": "SELECT id, name AS ID FROM cases", "to": "x"}, BadQuery, "called 'id'"),
        ({"query": "SELECT id FROM case_", "to": "x"}, BadQuery, "no such table"),
        ({"query": "DELETE FROM cases", "to": "x"}, BadQuery, "syntax"),
        ({"source": "cases", "filter": "nmae = 1"}, BadQuery, "no such column"),
        ({"source": "odd"}, SchemaConflict, "column n.*'many'"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(
    app: duckdb.DuckDBPyConnection, file: Path, wanted: dict[str, Any], kind: type[Exception], words: str
) -> None:
    """By name, with what there is; and a value that is not of its column's type, which SQLite lets be."""
    asked(file, "CREATE TABLE cases (id INTEGER PRIMARY KEY, name TEXT)")
    asked(file, "CREATE TABLE odd (n INTEGER)")
    asked(file, "INSERT INTO odd VALUES ('many')")
    with pytest.raises(kind, match=words):
        copy(f"sqlite:///{file}", app, TableCopy(**wanted), ledger=MemoryLedger())


_DRIVER = """
import os, shutil, signal, sqlite3, sys
from pathlib import Path

from halocline.connector import Deletes, Mode
from halocline.connectors.sqlite.client import Database
from halocline.connectors.sqlite.destination import SQLiteDestination
from halocline.connectors.sqlite.source import Snapshot, open_source
from halocline.spool import Spool
from halocline.testing.destinations import Bench, DestinationSuite, account, batch, deletions

folder, every = Path(sys.argv[1]), int(sys.argv[2])
plain = Database.connect

def load(path, mode, deadly):
    spool = Spool(path.stem, folder)
    bench = Bench(DestinationSuite(), SQLiteDestination(str(path), spool=spool))
    if not deadly:
        return bench, bench.load(batch([account(n) for n in range(20)]), position={"state": "old"})
    done = 0
    def deadly_connection(self, **how):
        connection = plain(self, **how)
        def count(sql):
            nonlocal done
            if sql.startswith("INSERT INTO temp._halocline_stage"):
                return  # a row of many
            done += 1
            if done == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        connection.set_trace_callback(count)
        return connection
    Database.connect = deadly_connection
    rows = [account(n, at=5, Name="new") for n in range(10, 30)]
    bench.load(batch(rows), deletions((3, 9)), mode=mode, deletes=Deletes.HARD, position={"state": "new"})

def state(path):
    with sqlite3.connect(path) as beside:
        rows = beside.execute("SELECT count(*), sum(Name = 'new'), sum(Id LIKE '%003') FROM 'raw.Accounts'").fetchall()
        (position,) = beside.execute("SELECT position FROM _halocline_positions WHERE position IS NOT NULL").fetchall()
    return *rows[0], position[0]

load(folder / "old.sqlite", None, 0)
for number, mode in enumerate(Mode):
    found, point, ended = [], 1 + number % every - every, False
    while not ended:
        point += every
        path = folder / f"{mode}-{point}.sqlite"
        shutil.copy(folder / "old.sqlite", path)
        pid = os.fork()
        if pid == 0:
            load(path, mode, point)
            os._exit(0)
        ended = os.waitpid(pid, 0)[1] == 0
        found.append(state(path))
    print(sorted(set(found)), point)
"""


def test_a_kill_leaves_the_old_or_the_new(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Before any statement of a commit: rows and position are both as before, or both new.

    Each mode is killed before every fifth statement, another fifth each; `--long`: before all.
    """
    every = 1 if pytestconfig.getoption("--long") else 5
    command = [sys.executable, "-c", _DRIVER, str(tmp_path), str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for mode, line in zip(Mode, done.stdout.splitlines(), strict=True):
        new = (20, 20, 0) if mode is Mode.REPLACE else (29, 20, 0)
        states = sorted([(20, 0, 1, '{"state": "old"}'), (*new, '{"state": "new"}')])
        told, _, points = line.rpartition(" ")
        assert told == str(states), mode
        assert int(points) > 30, mode


def test_a_file_is_made_by_the_first_claim(file: Path, bench: Bench) -> None:
    """Whoever is refused before leaves none, and a missing folder is told at once all the same."""
    assert (bench.destination.position(FLOW, TARGET), bench.destination.columns(TARGET)) == (None, None)
    assert not file.exists()
    bench.destination.claim(FLOW, "a")
    assert file.exists()
    with pytest.raises(NotFound, match="Make the folder first"):
        SQLiteDestination(f"sqlite:///{file.parent}/nowhere/lake.sqlite", spool=Spool("other", file.parent))
