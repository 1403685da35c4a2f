"""Laws of queries: asked once, told in the database's own words where it refuses."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from tests.rows.reading import all_of

from halocline.connectors.duckdb.query import open_query
from halocline.errors import BadQuery, FixConfig, NetworkFailed, NotFound
from halocline.push.order import Nulls
from halocline.rows.of import rows_of
from halocline.rows.query import Query


@pytest.fixture
def lite() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (n, b)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, b"x") for number in range(4_500)])
        connection.commit()
        yield connection


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as connection:
        yield connection


@pytest.fixture
def lake(tmp_path: Path) -> str:
    with closing(duckdb.connect(tmp_path / "lake.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS n, 'x' AS t FROM range(50000)")
    return f"duckdb:///{tmp_path}/lake.duckdb"


def test_a_query_of_sqlite(lite: sqlite3.Connection, tmp_path: Path) -> None:
    """Dicts under the names of the columns; parameters are bound."""
    rows = rows_of(Query(lite, "SELECT n, b FROM t WHERE n < ? ORDER BY n", (3_000,)), folder=tmp_path)
    assert all_of(rows) == [{"n": number, "b": b"x"} for number in range(3_000)]
    assert (rows.nulls, rows.clears) == (Nulls.CLEAR, None)
    assert lite.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("make", [lambda c: c, lambda c: c.cursor(), lambda c: c.cursor, lambda c: lambda: c])
def test_connections_cursors_and_functions_that_make_them(make: Any, lite: sqlite3.Connection, tmp_path: Path) -> None:
    """Each will do; rows that are mappings of their own are as good as tuples."""
    lite.row_factory = sqlite3.Row
    rows = rows_of(Query(make(lite), "SELECT n FROM t WHERE n = :n", {"n": 7}), folder=tmp_path)
    assert all_of(rows) == [{"n": 7}]


@pytest.mark.parametrize(
    ("sql", "kind", "told"),
    [
        ("SELECT * FROM nope", BadQuery, "no such table: nope"),
        ("SELEC", BadQuery, "syntax error"),
        ("CREATE TABLE u (a)", BadQuery, "the statement answers no rows"),
        ("SELECT 1 AS a, 2 AS a", FixConfig, "several columns are called 'a'"),
        (" ", FixConfig, "the query is empty"),
    ],
)
def test_a_refused_query_is_told_in_the_databases_words(
    sql: str, kind: type[FixConfig], told: str, lite: sqlite3.Connection, tmp_path: Path
) -> None:
    """And leaves nothing behind."""
    with pytest.raises(kind, match=told):
        rows_of(Query(lite, sql), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sql", [None, b"SELECT 1", 5])
def test_sql_that_is_no_text_is_refused(sql: Any) -> None:
    """When the query is made, so that whatever takes one is spared it."""
    with pytest.raises(FixConfig, match=f"the query is a {type(sql).__name__}"):
        Query(None, sql)


class OperationalError(Exception):
    pass


class Waiting:
    """A cursor as psycopg2's named ones: it describes nothing before it has fetched, and answers bytes as views."""

    name = "server side"

    def __init__(self, *, breaks: bool = False) -> None:
        self.description: list[tuple[str]] | None = None
        self.closed = False
        self._breaks = breaks
        self._rows = iter([[{"a": 1, "b": memoryview(b"x")}], [{"a": 2, "b": memoryview(b"y")}]])

    def execute(self, sql: str) -> None:
        self.sql = sql

    def fetchmany(self, size: int) -> list[dict[str, object]]:
        if self._breaks and self.description:
            raise OperationalError("server closed the connection")
        self.description = [("a",), ("b",)]
        return next(self._rows, [])

    def close(self) -> None:
        self.closed = True


def test_a_cursor_on_the_server(tmp_path: Path) -> None:
    """Is read to its end and closed, and its views become bytes."""
    cursor = Waiting()
    rows = rows_of(Query(lambda: cursor, "SELECT a, b FROM t"), folder=tmp_path)
    assert all_of(rows) == [{"a": 1, "b": b"x"}, {"a": 2, "b": b"y"}]
    assert cursor.closed


def test_a_server_that_goes_away_is_no_fault_of_the_query(tmp_path: Path) -> None:
    """It may answer later; the cursor is closed, and no row is left half read."""
    cursor = Waiting(breaks=True)
    with pytest.raises(NetworkFailed, match="server closed the connection"):
        rows_of(Query(lambda: cursor, "SELECT a, b FROM t"), folder=tmp_path)
    assert cursor.closed
    assert list(tmp_path.iterdir()) == []


def test_an_adbc_connection_answers_arrow(tmp_path: Path) -> None:
    """No dict is made where the driver has columns."""
    adbc = pytest.importorskip("adbc_driver_sqlite.dbapi")
    with adbc.connect() as connection:
        rows = rows_of(Query(connection, "SELECT 1 AS a, 'x' AS b"), folder=tmp_path)
        assert all_of(rows) == [{"a": 1, "b": "x"}]
        assert isinstance(next(rows.batches()).rows, pa.RecordBatch)


def test_a_file_of_duckdb_is_asked_and_left_as_it_is(lake: str, tmp_path: Path) -> None:
    """Arrow batches; the file is closed afterwards, and was never open for writing."""
    rows = rows_of(Query(lake, "SELECT n, t FROM t WHERE n >= $low ORDER BY n", {"low": 10}), folder=tmp_path / "run")
    assert all_of(rows) == [{"n": number, "t": "x"} for number in range(10, 50_000)]
    assert isinstance(next(rows.batches()).rows, pa.RecordBatch)
    with closing(duckdb.connect(tmp_path / "lake.duckdb")) as connection:
        connection.execute("DROP TABLE t")
    with pytest.raises(BadQuery, match="read-only mode"):
        rows_of(Query(lake, "CREATE TABLE u (a INTEGER)"), folder=tmp_path / "run")


def test_duckdb_draws_nothing_into_standard_output(lake: str) -> None:
    """Where Python runs no script, DuckDB shows a bar while a query takes long, in the midst of what a program says."""
    sql = "SELECT current_setting('enable_progress_bar') AS shown"
    code = f"from halocline.registry import open_query\nprint(open_query({lake!r}, {sql!r}).read_all().to_pylist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[{'shown': False}]\n"


@pytest.mark.parametrize(("given", "limit", "threads"), [(None, "488.2 MiB", 4), ("64MB", "61.0 MiB", None)])
def test_a_file_of_duckdb_is_asked_within_the_memory_that_was_set(
    given: str | None, limit: str, threads: int | None, lake: str, tmp_path: Path
) -> None:
    """Without a limit 512 MB and a few threads; the order of rows is kept either way, for they are numbered by it."""
    names = ("memory_limit", "threads", "preserve_insertion_order", "access_mode")
    sql = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in names)
    (told,) = all_of(rows_of(Query(lake, sql), folder=tmp_path, memory_limit=given))
    assert (told["memory_limit"], told["preserve_insertion_order"], told["access_mode"]) == (limit, True, "read_only")
    assert threads is None or told["threads"] <= threads


def test_a_live_connection_keeps_its_own_settings(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """It is its owner's."""
    duck.execute("SET memory_limit = '256MB'")
    rows = rows_of(Query(duck, "SELECT current_setting('memory_limit') AS m"), folder=tmp_path, memory_limit="64MB")
    assert all_of(rows) == [{"m": "244.1 MiB"}]


def test_names_of_queries(lake: str, lite: sqlite3.Connection, duck: duckdb.DuckDBPyConnection) -> None:
    """The file or the driver, and a digest of the SQL that parameters do not change."""
    name = Query(lake, "SELECT 1").name
    assert name.startswith("duckdb:lake.duckdb:")
    assert len(name.rpartition(":")[2]) == 8
    assert Query(lake, "SELECT 1", (1,)).name == name
    assert Query(lake, "SELECT 2").name != name
    assert Query(lite, "SELECT 1").name == name.replace("duckdb:lake.duckdb", "sqlite3")
    assert Query(duck, "SELECT 1").name == name.replace("duckdb:lake.duckdb", "duckdb")
    assert Query(lite.cursor, "SELECT 1").name.startswith("query:")


@pytest.mark.parametrize(
    ("uri", "kind", "told"),
    [
        ("duckdb:///{}/lak.duckdb", NotFound, r"Did you mean lake\.duckdb\?"),
        ("duckdb:///{}", FixConfig, "it is a folder"),
        ("duckdb:///:memory:", FixConfig, "holds no rows"),
        ("oracle://scott:tiger@db", FixConfig, "nothing here knows how to query oracle://"),
    ],
)
def test_a_database_that_is_not_there_is_not_made(uri: str, kind: type[FixConfig], told: str, lake: str, tmp_path: Path) -> None:
    """It is an error that says what is there; no secret is repeated."""
    with pytest.raises(kind, match=told) as caught:
        rows_of(Query(uri.format(tmp_path), "SELECT 1"), folder=tmp_path / "run")
    assert "tiger" not in str(caught.value)
    assert [path.name for path in tmp_path.glob("*.duckdb*")] == ["lake.duckdb"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM nope", "Table with name nope does not exist"),
        ("SELEC", 'syntax error at or near "SELEC"'),
        ("SELECT 1 AS a, 2 AS a", "several columns are called 'a'"),
        ("SELECT CASE WHEN range < 3000000 THEN '1' ELSE 'y' END::INT AS n FROM range(3000001)", "Could not convert string 'y'"),
        ("-- nothing", "the statement answers no rows"),
        ("SELECT 340282366920938463463374607431768211455::UHUGEINT AS n", "Could not cast value"),
    ],
)
def test_duckdb_refuses_in_its_own_words(sql: str, told: str, duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Also where it finds out only after many rows; no file is left."""
    with pytest.raises(BadQuery) as caught:
        rows_of(Query(duck, sql), folder=tmp_path)
    assert told in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [Query, lambda c, sql: c.sql(sql)], ids=["query", "relation"])
def test_wide_numbers_of_duckdb_can_be_sent(make: Callable[..., Any], duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Sums, unsigned and very long numbers are integers or decimals; bits and times with a zone are text."""
    sql = """SELECT sum(range)::HUGEINT AS s, 255::UTINYINT AS u, 18446744073709551615::UBIGINT AS ub, 7::UHUGEINT AS uh,
        12345678901234567890123::BIGNUM AS b, '101'::BIT AS bits, '10:00:00+01'::TIMETZ AS z, 'a'::ENUM ('a') AS e
        FROM range(3)"""
    told = {"s": Decimal(3), "u": 255, "ub": 18446744073709551615, "uh": Decimal(7), "b": Decimal(12345678901234567890123)}
    assert all_of(rows_of(make(duck, sql), folder=tmp_path)) == [{**told, "bits": "101", "z": "10:00:00+01", "e": "a"}]


@pytest.mark.parametrize("make", [Query, lambda c, sql: c.sql(sql)], ids=["query", "relation"])
def test_a_query_is_asked_once(make: Callable[..., Any], duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """However often its rows are read: a query without an order may answer otherwise the next time."""
    duck.execute("CREATE SEQUENCE s")
    rows = rows_of(make(duck, "SELECT nextval('s') AS n FROM range(3)"), folder=tmp_path)
    assert all_of(rows) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert duck.execute("SELECT nextval('s')").fetchone() == (4,)


def test_a_connection_of_duckdb_shows_its_own_tables(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Temporary ones, and rows that are not committed; an empty answer is no rows."""
    duck.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
    duck.execute("BEGIN")
    duck.execute("INSERT INTO mine VALUES (2)")
    assert all_of(rows_of(Query(duck, "SELECT a FROM mine ORDER BY a"), folder=tmp_path)) == [{"a": 1}, {"a": 2}]
    assert all_of(rows_of(Query(duck, "SELECT a FROM mine WHERE a > 2"), folder=tmp_path)) == []


@pytest.mark.parametrize("given", [3, object()])
def test_what_is_no_connection_is_refused(given: object, tmp_path: Path) -> None:
    """Naming its type and nothing in it."""
    with pytest.raises(FixConfig, match="is no connection to a database"):
        rows_of(Query(given, "SELECT 1"), folder=tmp_path)
    with pytest.raises(FixConfig, match=f"got a {type(given).__name__}"):
        open_query(given, "SELECT 1")
