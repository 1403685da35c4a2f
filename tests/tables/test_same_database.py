"""Laws of a copy within one database: it works, or what stands in its way is told before anything is written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from tests.command_line import app
from tests.connectors.postgres.server import Place
from tests.tables.test_copy import tables
from typer.testing import CliRunner

from halocline.errors import FixConfig
from halocline.ledger import MemoryLedger
from halocline.run import Run
from halocline.tables import TableCopy

MADE = "CREATE TABLE src (id integer PRIMARY KEY, name text)", "INSERT INTO src VALUES (1, 'a'), (2, 'b')"
ROWS = [(1, "a"), (2, "b")]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A file of DuckDB with two rows."""
    with duckdb.connect(str(tmp_path / "same.duckdb")) as made:
        for statement in MADE:
            made.execute(statement)
    return tmp_path / "same.duckdb"


def sqlite_file(path: Path, mode: str) -> Path:
    """A file of SQLite with two rows, and a journal of that mode."""
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"PRAGMA journal_mode = {mode}")
        for statement in MADE:
            made.execute(statement)
        made.commit()
    return path


def copied(source: object, to: object, *wanted: TableCopy, tmp_path: Path) -> Run:
    return tables(source, to, *wanted, ledger=MemoryLedger(), tmp_path=tmp_path).run()


def test_a_duckdb_file_is_copied_within(lake: Path, tmp_path: Path) -> None:
    """By its URI on both sides, also by another path, and as often as it is run; nothing of it is open afterwards."""
    uri, link = f"duckdb:///{lake}", tmp_path / "link.duckdb"
    link.symlink_to(lake)
    for source in (uri, f"duckdb:///{link}", uri):
        copied(
            source,
            uri,
            TableCopy("src", "mart.dst"),
            TableCopy(query="SELECT max(id) AS id FROM src", to="top"),
            tmp_path=tmp_path,
        )
    with duckdb.connect(str(lake), read_only=True) as look:  # refused while a connection of another kind is open
        assert look.execute("SELECT * FROM mart.dst ORDER BY id").fetchall() == ROWS
        assert look.execute("SELECT * FROM top").fetchall() == [(2,)]


def test_a_duckdb_file_is_read_beside_a_callers_connection(lake: Path, tmp_path: Path) -> None:
    """The connection stays open, and as it was."""
    with duckdb.connect(str(lake)) as connection:
        copied(f"duckdb:///{lake}", connection, TableCopy("src", "dst"), tmp_path=tmp_path)
        assert connection.execute("SELECT * FROM dst ORDER BY id").fetchall() == ROWS
        connection.execute("CREATE SCHEMA mart; CREATE TABLE mart.src AS SELECT 7 AS id, 'of the mart' AS name; USE mart")
        copied(f"duckdb:///{lake}", connection, TableCopy("src", "main.again"), tmp_path=tmp_path)
        assert connection.execute("SELECT * FROM main.again ORDER BY id").fetchall() == ROWS, "the URI begins in its own schema"
        assert connection.execute("SELECT current_schema()").fetchall() == [("mart",)]


def test_a_flow_within_a_duckdb_file_is_checked_planned_and_run(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three agree."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    flow = "{kind: tables, from: lake, to: lake, tables: [{from: src, to: mart.dst}]}"
    Path("halocline.yaml").write_text(f"connections: {{lake: 'duckdb:///{lake}'}}\nflows:\n  y: {flow}\n")
    for words in (["check"], ["plan", "y"], ["run", "y"]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    with duckdb.connect(str(lake)) as look:
        assert look.execute("SELECT * FROM mart.dst ORDER BY id").fetchall() == ROWS


def test_a_name_in_a_query_is_a_table(lake: Path, tmp_path: Path) -> None:
    """And no variable of ours that happens to be called so."""
    asked = TableCopy(query="SELECT * FROM pa", to="dst")
    with pytest.raises(Exception, match=r"(?i)table with name pa does not exist"):
        copied(f"duckdb:///{lake}", f"duckdb:///{lake}", asked, tmp_path=tmp_path)


def test_a_sqlite_file_with_a_log_is_copied_within(tmp_path: Path) -> None:
    """Also a table onto itself."""
    path = sqlite_file(tmp_path / "same.sqlite", "WAL")
    for wanted in (TableCopy("src", "dst"), TableCopy("src", "dst"), TableCopy("src", adopt=True)):
        copied(f"sqlite:///{path}", f"sqlite:///{path}", wanted, tmp_path=tmp_path)
    with closing(sqlite3.connect(path)) as look:
        assert look.execute("SELECT * FROM dst ORDER BY id").fetchall() == ROWS
        assert look.execute("SELECT * FROM src ORDER BY id").fetchall() == ROWS


def test_a_sqlite_file_without_a_log_is_refused_by_check_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read would keep the commit out until that gives up; the way out is told at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    path = sqlite_file(tmp_path / "same.sqlite", "DELETE")
    uri = f"sqlite:///{path}"
    with closing(sqlite3.connect(path)) as connection:
        for source, to in ((uri, uri), (connection, uri), (uri, connection)):
            with pytest.raises(FixConfig, match="journal_mode = WAL"):
                copied(source, to, TableCopy("src", "dst"), tmp_path=tmp_path)
    Path("halocline.yaml").write_text(
        f"flows: {{y: {{kind: tables, from: '{uri}', to: '{uri}', tables: [{{from: src, to: dst}}]}}}}"
    )
    done = CliRunner().invoke(app, ["check", "--json"])
    assert done.exit_code == 2
    assert "journal_mode = WAL" in str([json.loads(line) for line in done.stdout.splitlines()])


@pytest.mark.parametrize("key", ["id", ()])
def test_a_postgresql_table_may_be_copied_onto_itself(place: Place, tmp_path: Path, key: Any) -> None:
    """What was read is let go of before the commit, which may have to lock it; of two tables that change places too."""
    for statement in (*MADE, "CREATE TABLE other AS SELECT 3 AS id, 'c'::text AS name"):
        place.run(statement)
    wanted = [TableCopy("src", "other", key=key, adopt=True), TableCopy("other", "src", key=key, adopt=True)]
    uri = place.uri(lock_timeout="2s")
    copied(uri, uri, TableCopy("src", adopt=True, key=key), tmp_path=tmp_path)
    copied(uri, uri, *wanted, tmp_path=tmp_path)
    assert place.rows("SELECT * FROM other ORDER BY id") == ROWS
    assert place.rows("SELECT * FROM src") == [(3, "c")]


@pytest.mark.parametrize("autocommit", [True, False])
def test_one_postgresql_connection_is_no_two_sides(place: Place, tmp_path: Path, *, autocommit: bool) -> None:
    """It says what to pass in its place, and is left as it was; two connections work."""
    for statement in MADE:
        place.run(statement)
    with psycopg.connect(place.uri(), autocommit=autocommit) as one, psycopg.connect(place.uri()) as other:
        with pytest.raises(FixConfig, match="two connections, or the URI"):
            copied(one, one, TableCopy("src", "dst"), tmp_path=tmp_path)
        assert copied(one, other, TableCopy("src", "dst"), tmp_path=tmp_path).rows_read == 2
