"""Laws of queries: rows come as a stream of Arrow, in the types that they have there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.connectors.snowflake.server import Server

from halocline import registry
from halocline.connectors.snowflake.query import open_query
from halocline.errors import BadQuery, FixConfig


@pytest.fixture
def connection(server: Server, tmp_path: Path) -> Iterator[Any]:
    made = server.connect(server.database(tmp_path))
    yield made
    made.close()


def test_each_type_is_what_it_is(server: Server, tmp_path: Path) -> None:
    """Numbers are exact, instants are in UTC, what Arrow has no type for is Snowflake's text."""
    sql = (
        "SELECT 1::NUMBER(5,0) AS i, 9223372036854775807::NUMBER(38,0) AS b, 1.50::NUMBER(5,2) AS n, 0.1::FLOAT AS d,"
        " TRUE AS t, 'Łódź\n' AS x, '2024-02-29'::DATE AS day, '10:20:30.005'::TIME AS clock,"
        " '2024-09-24 03:26:07.123+02:00'::TIMESTAMP_TZ AS at, '2024-09-24 03:26:00'::TIMESTAMP_NTZ AS wall,"
        " NULL::VARCHAR AS nothing"
    )
    table = registry.open_query(server.uri(server.database(tmp_path)), sql).read_all()
    assert table.rename_columns([name.lower() for name in table.column_names]).to_pylist() == [
        {
            "i": 1,
            "b": Decimal(2**63 - 1),
            "n": Decimal("1.50"),
            "d": 0.1,
            "t": True,
            "x": "Łódź\n",
            "day": dt.date(2024, 2, 29),
            "clock": dt.time(10, 20, 30, 5000),
            "at": dt.datetime(2024, 9, 24, 1, 26, 7, 123000, dt.UTC),
            "wall": dt.datetime(2024, 9, 24, 3, 26, tzinfo=dt.UTC).replace(tzinfo=None),
            "nothing": None,
        }
    ]
    assert [table.schema.field(at).type for at in (2, 8)] == [pa.decimal128(5, 2), pa.timestamp("us", "UTC")]


def test_values_are_bound(connection: Any) -> None:
    """What is handed in as a value is never read as SQL, by position or by name."""
    word = "it's; DROP TABLE x --"
    found = open_query(connection, "SELECT %s AS a, %s AS b", parameters=[word, 5]).read_all().to_pylist()
    assert [tuple(row.values()) for row in found] == [(word, 5)]
    found = open_query(connection, "SELECT %(w)s AS a", parameters={"w": word}).read_all().to_pylist()
    assert [tuple(row.values()) for row in found] == [(word,)]


def test_many_rows_come_in_the_types_of_the_first(connection: Any) -> None:
    """Batches of small and of large numbers have one schema; no row has it as well."""
    connection.cursor().execute("CREATE TABLE many AS SELECT * FROM (VALUES (1, 1.5), (3000000000, NULL)) t (n, x)")
    reader = open_query(connection, "SELECT n::NUMBER(18,0) AS n, x::NUMBER(9,3) AS x FROM many ORDER BY 1")
    assert reader.schema.types == [pa.int64(), pa.decimal128(9, 3)]
    assert [tuple(row.values()) for row in reader.read_all().to_pylist()] == [(1, Decimal("1.500")), (3_000_000_000, None)]
    empty = open_query(connection, "SELECT n::NUMBER(18,0) AS n FROM many WHERE FALSE")
    assert (empty.schema.types, empty.read_all().num_rows) == ([pa.int64()], 0)


def test_a_connection_is_left_as_it_was(connection: Any) -> None:
    """It reads its own uncommitted rows, stays open, and has its own way with numbers again."""
    connection.cursor().execute("CREATE TABLE mine (n int)")
    connection.cursor().execute("BEGIN TRANSACTION")
    connection.cursor().execute("INSERT INTO mine SELECT 1")
    before = connection.arrow_number_to_decimal
    assert open_query(connection, "SELECT count(*) AS n FROM mine").read_all().to_pylist()[0].popitem()[1] == 1
    assert connection.arrow_number_to_decimal is before
    connection.cursor().execute("ROLLBACK")


@pytest.mark.parametrize(
    ("sql", "said"), [("SELECT * FROM nowhere", "(?i)nowhere"), ("SELEC 1", "."), ("SELECT 1 AS a, 2 AS a", "a")]
)
def test_a_mistake_in_the_query_is_told(connection: Any, sql: str, said: str) -> None:
    """With Snowflake's own words; columns of one name are told apart first."""
    with pytest.raises(BadQuery, match=said):
        open_query(connection, sql)


def test_a_uri_that_cannot_be_read_is_not_repeated() -> None:
    """A password may be in any piece of it."""
    with pytest.raises(FixConfig) as caught:
        open_query("snowflake://me:secret@ word@acc/db", "SELECT 1")
    assert "secret" not in str(caught.value)
