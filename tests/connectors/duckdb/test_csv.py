"""CSV files as received: text arrives as it was, and no digit is lost."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.duckdb.pages import Page, load, table, text_schema, written
from tests.examples import examples

from halocline.batch import Batch, Op
from halocline.connector import Deletes, Mode
from halocline.connectors.duckdb.destination import DuckDBDestination
from halocline.connectors.duckdb.staging import MAX_LINE_BYTES
from halocline.errors import SchemaConflict, Truncated
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool

AWKWARD = [
    "\r\n", "\r", "\n", "a\r\nb", "a\rb", "\r\n\r\n", '"', '""', ',"', "a,b", " pad ", "NA", "null", "NULL", "nan", "#N/A", "N/A",
    "\\N", "\\", "'", "\U0001f600", "\u0000", "\ufeff", "日本語", "1.0", "true", "é\r", "\t", "--", ";",
]  # fmt: skip


@pytest.fixture(scope="module")
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


@pytest.fixture
def connection(lake: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """One database for all: to make one takes longer than to load a page. Each test finds it empty."""
    yield lake
    lake.execute("DROP SCHEMA IF EXISTS raw CASCADE; DROP TABLE IF EXISTS _halocline_positions")
    assert lake.execute("SELECT table_name FROM duckdb_tables()").fetchall() == []


def _one_column(
    kind: Kind, values: Sequence[str | None], path: Path, *, precision: int = 0, scale: int = 0
) -> tuple[Batch, Schema]:
    schema = Schema((Column("Id", Kind.STRING), Column("V", kind, precision=precision, scale=scale)), ("Id",))
    page = written(path / "page.csv", ("Id", "V"), [(f"{i:03}", value) for i, value in enumerate(values)])
    return Batch(raw=page), schema


def test_awkward_text_arrives_as_it_was(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Line ends, quotes, delimiters and words that look like nulls are text like any other."""
    batch, schema = _one_column(Kind.STRING, AWKWARD, tmp_path)
    load(destination, [batch], schema)
    assert [row["V"] for row in table(connection)] == AWKWARD


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=30))
def test_any_text_arrives_as_it_was(
    connection: duckdb.DuckDBPyConnection, values: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For every list of texts, the table holds that list; in a merge as well."""
    folder = tmp_path_factory.mktemp("any")
    spool = Spool("any", folder)
    connection.execute("DROP TABLE IF EXISTS raw.page")
    try:
        for mode in Mode:
            batch, schema = _one_column(Kind.STRING, values, folder)
            load(DuckDBDestination(connection, spool=spool), [batch], schema, mode=mode)
            assert [row["V"] for row in table(connection)] == values
    finally:
        spool.close()


def test_text_survives_the_borders_of_the_readers_blocks(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """In a file of several blocks, with fields of 131,072 characters, every value arrives, whatever lies across a border."""
    rng = random.Random(7)
    rows = []
    for number in range(240):
        long = rng.choice(AWKWARD) * (131_072 // 2)
        rows.append((f"{number:06}", long[: rng.randrange(100_000, 131_072)] or "x"))
    page = written(tmp_path / "long.csv", ("Id", "Text"), rows)
    assert page.path.stat().st_size > 2 * MAX_LINE_BYTES
    load(destination, [Batch(raw=page)], text_schema())
    assert [(row["Id"], row["Text"]) for row in table(connection)] == rows


def test_empty_is_null(destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A quoted empty value and a bare one are null, in every type."""
    kinds = [Kind.STRING, Kind.INTEGER, Kind.DOUBLE, Kind.BOOLEAN, Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.JSON]
    columns = [Column(f"C{i}", kind) for i, kind in enumerate(kinds)] + [Column("D", Kind.DECIMAL, precision=9, scale=1)]
    names = ("Id", "Text", *(column.name for column in columns))
    path = tmp_path / "nulls.csv"
    path.write_text(",".join(names) + "\n" + '"1"' + ',""' * 10 + "\n" + '"2"' + "," * 10 + "\n", newline="")
    load(destination, [Batch(raw=Page(path, 2, names))], text_schema(*columns))
    assert [set(row.values()) for row in table(connection)] == [{"1", None}, {"2", None}]


@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [
        (Kind.BOOLEAN, ["true", "false"], [True, False]),
        (Kind.INTEGER, ["12", "12.0", "-3", "1.2E1", "1E2", "9223372036854775807"], [12, 12, -3, 12, 100, 2**63 - 1]),
        (Kind.DOUBLE, ["0.1", "1.0E-7", "1e300"], [0.1, 1e-7, 1e300]),
        (
            Kind.DATE,
            ["2024-02-29", "1700-01-01", "4000-12-31"],
            [dt.date(2024, 2, 29), dt.date(1700, 1, 1), dt.date(4000, 12, 31)],
        ),
        (Kind.TIME, ["10:20:30.000Z", "23:59:59.999Z"], [dt.time(10, 20, 30), dt.time(23, 59, 59, 999000)]),
        (
            Kind.DATETIME,
            ["2024-09-24T03:26:07.123Z", "2024-09-24T03:26:07.000+0000", "2024-09-23T19:26:07.000-0800"],
            [dt.datetime(2024, 9, 24, 3, 26, 7, us, dt.UTC) for us in (123000, 0, 0)],
        ),
        (Kind.JSON, ['{"a": "\r\n"}'.replace("\r\n", "\\r\\n")], ['{"a": "\\r\\n"}']),
    ],
)
def test_each_type_is_read_from_its_text(
    kind: Kind,
    texts: list[str],
    values: list[object],
    destination: DuckDBDestination,
    connection: duckdb.DuckDBPyConnection,
    tmp_path: Path,
) -> None:
    """The spellings that the bulk API uses give the values that they mean, whatever the user's time zone is."""
    connection.execute("SET TimeZone = 'America/New_York'")
    batch, schema = _one_column(kind, texts, tmp_path)
    load(destination, [batch], schema)
    assert [row["V"] for row in table(connection)] == values


def test_decimals_keep_every_digit(destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Eighteen digits arrive; zeros beyond the scale and exponents are spellings of the same number."""
    texts = ["1234567890123456.78", "0.10", "0.1", "-0.05", "1.0E7", "1.2345E2", "5", "7.000000", "12E-2"]
    batch, schema = _one_column(Kind.DECIMAL, texts, tmp_path, precision=18, scale=2)
    load(destination, [batch], schema)
    assert [row["V"] for row in table(connection)] == [Decimal(text).quantize(Decimal("0.01")) for text in texts]


@pytest.mark.parametrize("value", ["0.005", "1.001", "1E-3", "1.23456E2", "99999999.9", "x", "0x10", "1e999", "NaN", "1 000"])
@pytest.mark.parametrize("mode", list(Mode))
def test_a_decimal_is_never_rounded(value: str, mode: Mode, destination: DuckDBDestination, tmp_path: Path) -> None:
    """A number that the column cannot hold stops the load; the error names column, value and the way out."""
    batch, schema = _one_column(Kind.DECIMAL, ["1.00", value], tmp_path, precision=9, scale=2)
    with pytest.raises(SchemaConflict) as caught:
        load(destination, [batch], schema, mode=mode)
    told = str(caught.value)
    assert "column V" in told
    assert value in told
    assert 'numbers="double"' in told


@pytest.mark.parametrize("value", ["10000", "1E4", "1.0e4", "-1.2e+4", "99995E-1"])
def test_a_decimal_holds_no_digit_too_many(value: str, destination: DuckDBDestination, tmp_path: Path) -> None:
    """A number with more digits than its column is refused however it is spelled; one that just fits is loaded."""
    fits, schema = _one_column(Kind.DECIMAL, ["9999", "1.0e3", "9.999E3"], tmp_path, precision=4)
    load(destination, [fits], schema)
    batch, schema = _one_column(Kind.DECIMAL, [value], tmp_path, precision=4)
    with pytest.raises(SchemaConflict, match=re.escape(value)):
        load(destination, [batch], schema)


@pytest.mark.parametrize("value", ["12.5", "1.25E1", "9223372036854775808", "1E-1"])
def test_an_integer_is_never_rounded(value: str, destination: DuckDBDestination, tmp_path: Path) -> None:
    """An integer column that gets something else stops the load."""
    batch, schema = _one_column(Kind.INTEGER, [value], tmp_path)
    with pytest.raises(SchemaConflict, match=value.replace(".", r"\.")):
        load(destination, [batch], schema)


def test_a_value_of_another_type_is_named(destination: DuckDBDestination, tmp_path: Path) -> None:
    """A text where a date was announced stops the load; the error names column and value."""
    batch, schema = _one_column(Kind.DATE, ["2024-01-01", "yesterday"], tmp_path)
    with pytest.raises(SchemaConflict, match=r"column V .*'yesterday'"):
        load(destination, [batch], schema)


@pytest.mark.parametrize("announced", [1, 3])
def test_a_page_with_other_rows_than_announced_is_refused(announced: int, destination: DuckDBDestination, tmp_path: Path) -> None:
    """Fewer rows in the file than the source announced, or more, stop the commit."""
    page = written(tmp_path / "page.csv", ("Id", "Text"), [("1", "a"), ("2", "b")])
    with pytest.raises(Truncated, match=f"{announced} announced"):
        load(destination, [Batch(raw=Page(page.path, announced, page.columns))], text_schema())


@pytest.mark.parametrize("tail", [b'"3","cut', b'"3"\n', b'"3","c","d"\n', b'"3","\xff"\n', b'[{"errorCode": "X"}]\n'])
def test_a_damaged_page_is_refused(tail: bytes, destination: DuckDBDestination, tmp_path: Path) -> None:
    """A page that ends inside a value, has too few or many values in a line, is no UTF-8 or no CSV stops the commit."""
    page = written(tmp_path / "page.csv", ("Id", "Text"), [("1", "a"), ("2", "b")])
    page.path.write_bytes(page.path.read_bytes() + tail)
    with pytest.raises(Truncated):
        load(destination, [Batch(raw=Page(page.path, 3, page.columns))], text_schema())


def test_a_page_with_another_header_is_refused(destination: DuckDBDestination, tmp_path: Path) -> None:
    """A page whose header line is not the one announced is not staged: its values would land in other columns."""
    page = written(tmp_path / "page.csv", ("Text", "Id"), [("a", "1")])
    with pytest.raises(SchemaConflict):
        load(destination, [Batch(raw=Page(page.path, 1, ("Id", "Text")))], text_schema())


def test_a_page_without_a_column_of_the_plan_is_refused(destination: DuckDBDestination, tmp_path: Path) -> None:
    """A page that lacks a column is not filled up with nulls."""
    page = written(tmp_path / "page.csv", ("Id",), [("1",)])
    with pytest.raises(SchemaConflict, match="Text"):
        load(destination, [Batch(raw=page)], text_schema())


def test_columns_are_matched_by_name(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Pages may order and spell their columns each in its own way, and have some that nobody asked for."""
    pages = [
        written(tmp_path / "a.csv", ("TEXT", "ID"), [("a", "1")]),
        written(tmp_path / "b.csv", ("Id", "Other'\"s", "Text"), [("2", "x", "b")]),
    ]
    load(destination, [Batch(raw=page) for page in pages], text_schema())
    assert table(connection) == [{"Id": "1", "Text": "a"}, {"Id": "2", "Text": "b"}]


def test_an_empty_answer_may_come_without_its_header(destination: DuckDBDestination, tmp_path: Path) -> None:
    """An empty file announced as such is an answer without rows."""
    empty, headed = tmp_path / "empty.csv", written(tmp_path / "headed.csv", ("Id", "Text"), [])
    empty.write_bytes(b"")
    assert load(destination, [Batch(raw=Page(empty, 0, ())), Batch(raw=headed)], text_schema()).accounted == 0


def test_a_file_name_is_no_pattern(destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Only the file itself is read, also where its name looks like a pattern that matches others."""
    page = written(tmp_path / "p[1]*?'.csv", ("Id", "Text"), [("1", "a")])
    written(tmp_path / "p1xy'.csv", ("Id", "Text"), [("2", "b")])
    load(destination, [Batch(raw=page)], text_schema())
    assert len(table(connection)) == 1


def test_files_and_arrow_batches_mix(
    destination: DuckDBDestination, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Rows as received, rows as Arrow and deletions of both sorts make one table."""
    schema = text_schema(Column("Stamp", Kind.DATETIME))
    old = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    arrow = [{"Id": f"{n}", "Text": "arrow", "Stamp": old} for n in (3, 4)]
    page = written(tmp_path / "rows.csv", ("Id", "Text", "Stamp"), [("1", "csv", "2024-01-01T00:00:00.000Z"), ("2", "csv", None)])
    gone = written(tmp_path / "gone.csv", ("Id", "Stamp"), [("1", "2024-01-02T00:00:00.000Z")])
    also = pa.RecordBatch.from_pylist([{"Id": "4", "Stamp": old + dt.timedelta(1)}], schema=schema.select(["Id", "Stamp"]).arrow)
    batches = [
        Batch(raw=page),
        Batch(rows=pa.RecordBatch.from_pylist(arrow, schema=schema.arrow)),
        Batch(raw=gone, op=Op.DELETE),
        Batch(rows=also, op=Op.DELETE),
    ]
    counts = load(destination, batches, schema, cursor="Stamp", deletes=Deletes.HARD, mode=Mode.MERGE)
    assert [row["Id"] for row in table(connection)] == ["2", "3"]
    assert (counts.inserted, counts.unchanged) == (2, 4)
