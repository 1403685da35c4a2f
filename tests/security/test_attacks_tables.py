"""T26: a table, a schema or a column of any name is that one alone, in every destination and in every table beside."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from tests.connectors.postgres.server import Place
from tests.examples import in_turn
from tests.security.attacks import Attacks

import halocline
from halocline.compat.demand.database import insert_data_into_table
from halocline.config import Settings
from halocline.errors import HaloclineError
from halocline.standard_sql import quoted
from halocline.tables import TableCopy

NAMES = (
    *('a"; DROP TABLE kept; --', "a'; DROP TABLE kept; --", 'kept" (x); DROP TABLE kept; --', "\\", "[kept]", "a\nb"),
    *("%s ? :1 $1", "\uff4bept", "x" * 129, "\u202ekept", "SELECT"),
)
KINDS = ("duckdb", "sqlite")
NO_NAMES = ("a\0b", "\ud800")  # of which DuckDB takes the first


def _opened(path: Path, kind: str) -> Any:
    return duckdb.connect(str(path)) if kind == "duckdb" else sqlite3.connect(path)


def _asked(path: Path, kind: str, sql: str) -> list[Any]:
    database = _opened(path, kind)
    try:
        return list(database.execute(sql).fetchall())
    finally:
        database.close()


def _made(path: Path, kind: str) -> None:
    database = _opened(path, kind)
    database.execute("CREATE TABLE kept (x INTEGER)")
    database.execute("INSERT INTO kept VALUES (1)")
    database.commit()
    database.close()


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_tables_and_columns(attacks: Attacks, tmp_path: Path, kind: str) -> None:
    """What a copy makes has the name that was given, or the copy is refused; the table beside it is as it was."""
    tried = [name for name, into in in_turn((*NAMES, *NO_NAMES), KINDS) if into == kind]
    source = tmp_path / "source.duckdb"
    with duckdb.connect(str(source)) as database:
        for number, name in enumerate(NAMES):
            database.execute(f"CREATE TABLE s{number} AS SELECT 'k' AS id, 'v' AS {quoted(name)}")
    path = tmp_path / "target"
    _made(path, kind)
    settings = Settings(tmp_path / "home", tmp_path / "spool")
    for number, name in enumerate(tried):
        table = TableCopy(f"s{number % len(NAMES)}", to=name, key=("id",), mode=("merge", "replace")[number % 2])
        try:
            halocline.copy(f"duckdb:///{source}", f"{kind}:///{path}", table, settings=settings)
            was_made = True
        except HaloclineError:
            was_made = False
        attacks.blocked(f"{kind}: {name!r} was made", not (was_made and name in NO_NAMES[kind == "duckdb" :]))
        attacks.blocked(f"{kind}: {name!r} changed another table", _asked(path, kind, "SELECT * FROM kept") == [(1,)])
    listed = (
        "SELECT table_name FROM duckdb_tables()" if kind == "duckdb" else "SELECT name FROM sqlite_master WHERE type = 'table'"
    )
    there = {str(name).lower() for (name,) in _asked(path, kind, listed)}
    strange = there - {"kept", "_halocline_positions"} - {name.lower() for name in (*NAMES, *NO_NAMES)}
    attacks.blocked(f"{kind}: {strange}", not strange)
    assert len(there) > len(tried) // 2, "most of them are names that a table may have"


@pytest.mark.system
def test_names_in_the_lists_of_an_older_pipeline(attacks: Attacks, place: Place) -> None:
    """`insert_data_into_table` formats no name into a statement that is not a table or a column that is there."""
    place.run("CREATE TABLE kept (x integer)")
    place.run("INSERT INTO kept VALUES (1)")
    with psycopg.connect(place.uri()) as connection:
        for name in (
            *NAMES,
            *NO_NAMES,
            "kept; DROP TABLE kept",
            "kept (x) SELECT 1; --",
            "pg_catalog.pg_class",
            "public.kept; --",
        ):
            attacks.refused(f"a table {name!r}", lambda name=name: insert_data_into_table(connection, name, ["x"], [(2,)]))
            attacks.refused(f"a column {name!r}", lambda name=name: insert_data_into_table(connection, "kept", [name], [(2,)]))
            connection.rollback()
        attacks.refused("values that are no numbers", lambda: insert_data_into_table(connection, "kept", ["x"], [("2); --",)]))
        connection.rollback()
    attacks.blocked("the table was changed", place.rows("SELECT * FROM kept") == [(1,)])
