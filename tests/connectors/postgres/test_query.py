"""Laws of queries: rows come from a cursor on the server, in flat memory, in the types that they have there."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from psycopg.rows import dict_row
from tests.connectors.postgres.server import Place, Server
from tests.rows.reading import all_of

from halocline import registry
from halocline.connectors.postgres.query import open_query
from halocline.errors import AccessDenied, BadQuery, FixConfig, LoginRefused
from halocline.rows.of import rows_of
from halocline.rows.query import Query


def test_each_type_is_what_it_is(place: Place) -> None:
    """Numbers, instants and bytes are Arrow's own; what Arrow has no type for is PostgreSQL's text."""
    sql = (
        "SELECT 1 AS i, 2::smallint AS s, 9223372036854775807 AS b, 1.50::numeric(5,2) AS n, 1/3.0 AS m, 0.1::float8 AS d,"
        " true AS t, 'Łódź\r\n' AS x, 'ab'::char(3) AS c, '\\x00ff'::bytea AS y, '2024-02-29'::date AS day,"
        " '10:20:30.005'::time AS clock, '2024-09-24 03:26:07.123+02'::timestamptz AS at, '2024-09-24 03:26'::timestamp AS wall,"
        """ '{"a": [1.50]}'::jsonb AS j, '{1,NULL}'::int[] AS l, '1 day'::interval AS v, NULL::text AS nothing,"""
        " 'c0ffee00-0000-4000-8000-000000000000'::uuid AS u"
    )
    table = open_query(place.uri(TimeZone="Asia/Tokyo"), sql).read_all()
    assert table.to_pylist() == [
        {
            "i": 1,
            "s": 2,
            "b": 2**63 - 1,
            "n": Decimal("1.50"),
            "m": "0.33333333333333333333",
            "d": 0.1,
            "t": True,
            "x": "Łódź\r\n",
            "c": "ab ",
            "y": b"\x00\xff",
            "day": dt.date(2024, 2, 29),
            "clock": dt.time(10, 20, 30, 5000),
            "at": dt.datetime(2024, 9, 24, 1, 26, 7, 123000, dt.UTC),
            "wall": dt.datetime(2024, 9, 24, 3, 26, tzinfo=dt.UTC).replace(tzinfo=None),
            "j": '{"a": [1.50]}',
            "l": "{1,NULL}",
            "v": "1 day",
            "nothing": None,
            "u": "c0ffee00-0000-4000-8000-000000000000",
        }
    ]
    assert [table.schema.field(name).type for name in ("n", "i", "wall")] == [pa.decimal128(5, 2), pa.int32(), pa.timestamp("us")]


def test_memory_stays_flat(place: Place) -> None:
    """A result of 250 megabytes passes through a process that never holds more than a few batches of it."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("this system has no /proc")

    def resident_kb() -> int:
        return int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * 4

    def passed(wanted: int) -> tuple[int, int]:
        """Rows of five kilobytes that came, and the most memory while they did."""
        most = rows = 0
        for batch in open_query(place.uri(), f"SELECT n, repeat('x', 5000) AS t FROM generate_series(1, {wanted}) n"):
            rows += batch.num_rows
            most = max(most, resident_kb())
        return rows, most

    _, few = passed(10_000)
    rows, most = passed(50_000)
    assert rows == 50_000
    assert most - few < 100_000  # the 40,000 rows more are 200 MB


def test_parameters_are_bound(place: Place) -> None:
    """By position and by name, as psycopg writes them; without any, a percent sign is one."""
    assert open_query(place.uri(), "SELECT %s::int AS a", parameters=[7]).read_all().to_pylist() == [{"a": 7}]
    assert open_query(place.uri(), "SELECT %(x)s::text AS a", parameters={"x": "';"}).read_all().to_pylist() == [{"a": "';"}]
    assert open_query(place.uri(), "SELECT 7 % 4 AS a").read_all().to_pylist() == [{"a": 3}]


def test_a_live_connection_shows_what_its_transaction_sees(place: Place) -> None:
    """Its uncommitted rows and temporary tables are there; it stays open, and its transaction too."""
    with psycopg.connect(place.uri(), row_factory=dict_row) as connection:
        assert registry.can_query(connection)
        connection.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
        assert registry.open_query(connection, "SELECT a FROM mine").read_all().to_pylist() == [{"a": 1}]
        connection.rollback()
        connection.autocommit = True
        assert registry.open_query(connection, "SELECT 2 AS a").read_all().to_pylist() == [{"a": 2}]
        assert connection.execute("SELECT 3 AS a").fetchall() == [{"a": 3}]


@pytest.fixture(scope="module")
def latin(server: Server) -> Iterator[Place]:
    """A database whose encoding is LATIN1."""
    with server.connected("postgres") as admin:
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with server.connected("latin") as admin:
        yield Place(server.running, "latin", admin)


LATIN_TEXTS = "SELECT 'caf' || chr(233) AS a, chr(195) || chr(169) AS b, '{\"k\": \"' || chr(233) || '\"}'::text AS c"


def test_text_is_text_whatever_the_databases_encoding(latin: Place) -> None:
    """A URI asks for UTF-8; a live connection's text is decoded as the connection says, and its setting is kept."""
    there = [{"a": "café", "b": "Ã©", "c": '{"k": "é"}'}]
    assert open_query(latin.uri(), LATIN_TEXTS).read_all().to_pylist() == there
    assert open_query(latin.uri() + "&client_encoding=LATIN1", LATIN_TEXTS).read_all().to_pylist() == there
    for encoding in ("LATIN1", "UTF8"):
        with psycopg.connect(latin.uri(), client_encoding=encoding) as connection:
            assert open_query(connection, LATIN_TEXTS).read_all().to_pylist() == there
            assert connection.execute("SHOW client_encoding").fetchall() == [(encoding,)]


def test_bytes_without_an_encoding_are_refused(latin: Place) -> None:
    """A connection that converts nothing delivers bytes: what is no UTF-8 is told, and not guessed."""
    with psycopg.connect(latin.uri(), client_encoding="SQL_ASCII") as connection:
        assert open_query(connection, "SELECT 'plain' AS a").read_all().to_pylist() == [{"a": "plain"}]
        with pytest.raises(BadQuery, match="cannot be decoded"):
            open_query(connection, LATIN_TEXTS).read_all()


def test_an_empty_answer_has_its_columns(place: Place) -> None:
    """No rows, but names and types."""
    assert open_query(place.uri(), "SELECT 1 AS a WHERE false").read_all().schema == pa.schema({"a": pa.int32()})


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * FROM nope", 'relation "nope" does not exist'),
        ("SELEC", "syntax error"),
        ("CREATE TABLE u (a int)", "syntax error|cannot"),
        ("SELECT 1 AS a, 2 AS a", "several columns are called 'a'"),
        ("SELECT 1 / (n - 7000) AS a FROM generate_series(1, 9000) n", "division by zero"),
        ("SELECT 'infinity'::date AS a", "date too large"),
    ],
)
def test_a_refused_query_is_told_in_the_servers_words(sql: str, told: str, place: Place) -> None:
    """Also where the refusal comes after the first rows."""
    with pytest.raises(BadQuery, match=told):
        open_query(place.uri(), sql).read_all()


def test_a_uri_only_reads_and_rights_are_told(place: Place) -> None:
    """A query cannot write through a function either; a table that may not be read is named."""
    place.run("CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a'")
    with pytest.raises(BadQuery, match="read-only transaction"):
        open_query(place.uri(), "SELECT f() AS a").read_all()
    with pytest.raises(AccessDenied, match="permission denied for table t"):
        open_query(place.user("stranger"), "SELECT * FROM t").read_all()
    with pytest.raises(LoginRefused) as refused:
        open_query(place.uri(word="wrong-secret"), "SELECT 1")
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(FixConfig, match="got a int"):
        open_query(7, "SELECT 1")


def test_rows_of_a_query_can_be_pushed(place: Place, tmp_path: Path) -> None:
    """The rows reader takes the URI; their name holds nothing of the login."""
    query = Query(place.uri(), "SELECT n AS id FROM generate_series(1, 3) n")
    assert all_of(rows_of(query, folder=tmp_path)) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert query.name.startswith(f"postgresql:{place.database}:")
    assert "secret" not in Query("postgresql://me:secret@host", "SELECT 1").name
