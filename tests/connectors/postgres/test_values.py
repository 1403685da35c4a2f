"""What a value becomes: exact in every type, as received or as Arrow, or refused by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from tests.connectors.duckdb.pages import text_schema
from tests.connectors.duckdb.test_csv import AWKWARD
from tests.connectors.postgres.pages import leftovers, load, table, written
from tests.connectors.postgres.server import Place

from halocline.batch import Batch, Op
from halocline.connector import Deletes, Mode
from halocline.connectors.postgres import pages
from halocline.connectors.postgres.destination import PostgresDestination
from halocline.errors import HaloclineError, SchemaConflict, Truncated
from halocline.schema import Column, Kind, Schema

STORABLE = [text for text in AWKWARD if "\0" not in text]


def _one_column(kind: Kind, values: Sequence[str | None], path: Path, **digits: int) -> tuple[Batch, Schema]:
    schema = Schema((Column("Id", Kind.STRING), Column("V", kind, **digits)), ("Id",))
    return Batch(raw=written(path / "page.csv", schema, [(f"{i:03}", value) for i, value in enumerate(values)])), schema


def _values(place: Place) -> list[object]:
    return [row["v"] for row in table(place)]


def test_awkward_text_arrives_as_it_was(destination: PostgresDestination, place: Place, tmp_path: Path) -> None:
    """Line ends, quotes, delimiters, backslashes and words that look like nulls are text like any other; so in Arrow."""
    batch, schema = _one_column(Kind.STRING, [*STORABLE, "\\.", "\n\\.\n"], tmp_path)
    load(destination, [batch], schema)
    assert _values(place) == [*STORABLE, "\\.", "\n\\.\n"]
    load(destination, [Batch(rows=one) for one in batch.arrow()], schema, mode=Mode.MERGE)
    assert _values(place) == [*STORABLE, "\\.", "\n\\.\n"]


def test_a_nul_character_is_refused_by_name(destination: PostgresDestination, place: Place, tmp_path: Path) -> None:
    """PostgreSQL cannot store it: the error names field and record, whichever way the row came, and nothing is published."""
    batch, schema = _one_column(Kind.STRING, ["fine", "a\0b"], tmp_path)
    for one in (batch, Batch(rows=next(iter(batch.arrow())))):
        with pytest.raises(SchemaConflict, match=r"text in V of the record 001 holds a NUL.*exclude=V"):
            load(destination, [one], schema)
    assert place.rows("SELECT to_regclass('raw.page')") == [(None,)]
    assert leftovers(place) == []


def test_empty_is_null_in_a_page_and_text_in_arrow(destination: PostgresDestination, place: Place, tmp_path: Path) -> None:
    """A quoted empty value and a bare one are null in a page of every type; in Arrow an empty text is one."""
    kinds = [Kind.STRING, Kind.INTEGER, Kind.DOUBLE, Kind.BOOLEAN, Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.JSON]
    columns = [Column(f"C{i}", kind) for i, kind in enumerate(kinds)] + [Column("D", Kind.DECIMAL, precision=9, scale=1)]
    schema = text_schema(*columns)
    page = written(tmp_path / "nulls.csv", schema, [])
    names = ",".join(schema.names)
    page.path.write_text(f"{names}\n" + '"1"' + ',""' * 10 + "\n" + '"2"' + "," * 10 + "\n", newline="")
    load(destination, [Batch(raw=written(tmp_path / "x.csv", schema, [])), _recounted(page, schema, 2)], schema)
    assert [set(row.values()) for row in table(place)] == [{"1", None}, {"2", None}]
    empty = pa.RecordBatch.from_pylist([{"Id": "1", "Text": ""}], schema=text_schema().arrow)
    load(destination, [Batch(rows=empty)], text_schema(), mode=Mode.MERGE)
    assert table(place)[0]["text"] == ""


def _recounted(page: object, schema: Schema, rows: int) -> Batch:
    from halocline.connectors.salesforce.pages import Page

    assert isinstance(page, Page)
    return Batch(raw=Page(page.path, rows, schema.names, schema, "Page", page.path.stat().st_size))


@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [
        (Kind.BOOLEAN, ["true", "false"], [True, False]),
        (Kind.INTEGER, ["12", "12.0", "-3", "9223372036854775807"], [12, 12, -3, 2**63 - 1]),
        (Kind.DOUBLE, ["0.1", "1.0E-7", "1e300"], [0.1, 1e-7, 1e300]),
        (
            Kind.DATE,
            ["2024-02-29", "1700-01-01", "4000-12-31"],
            [dt.date(2024, 2, 29), dt.date(1700, 1, 1), dt.date(4000, 12, 31)],
        ),
        (Kind.TIME, ["10:20:30.000Z", "23:59:59.999Z"], [dt.time(10, 20, 30), dt.time(23, 59, 59, 999000)]),
        (
            Kind.DATETIME,
            ["2024-09-24T03:26:07.123Z", "2024-09-24T03:26:07.000+0000"],
            [dt.datetime(2024, 9, 24, 3, 26, 7, us, dt.UTC) for us in (123000, 0)],
        ),
        (Kind.JSON, ['{"city": "\u0141\u00f3d\u017a", "geo": [1.50, null]}'], [{"city": "Łódź", "geo": [1.5, None]}]),
    ],
)
def test_each_type_is_read_from_its_text(
    kind: Kind, texts: list[str], values: list[object], destination: PostgresDestination, place: Place, tmp_path: Path
) -> None:
    """The spellings that the bulk API uses give the values that they mean, as received and by way of Arrow."""
    batch, schema = _one_column(kind, texts, tmp_path)
    load(destination, [batch], schema)
    assert _values(place) == values
    load(destination, [Batch(rows=one) for one in batch.arrow()], schema)
    assert _values(place) == values


def test_bytes_arrive_as_they_are(destination: PostgresDestination, place: Place) -> None:
    """Bytes come as Arrow; any of them may be there, or none."""
    schema = Schema((Column("Id", Kind.STRING), Column("V", Kind.BINARY)), ("Id",))
    values = [bytes(range(256)), b"", None]
    rows = [{"Id": f"{number}", "V": value} for number, value in enumerate(values)]
    load(destination, [Batch(rows=pa.RecordBatch.from_pylist(rows, schema=schema.arrow))], schema)
    assert _values(place) == values


def test_types_are_as_documented(destination: PostgresDestination, place: Place) -> None:
    """Each neutral type has its one type in PostgreSQL."""
    schema = Schema((Column("Id", Kind.STRING), *(Column(f"C_{k}", k, precision=18, scale=2) for k in Kind)), ("Id",))
    load(destination, [], schema)
    sql = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
    sql += " WHERE attrelid = 'raw.page'::regclass AND attnum > 0"
    assert dict(place.rows(sql)) == {
        "id": "text",
        "c_string": "text",
        "c_boolean": "boolean",
        "c_integer": "bigint",
        "c_decimal": "numeric(18,2)",
        "c_double": "double precision",
        "c_date": "date",
        "c_time": "time without time zone",
        "c_datetime": "timestamp with time zone",
        "c_binary": "bytea",
        "c_json": "jsonb",
    }


def test_decimals_keep_every_digit(destination: PostgresDestination, place: Place, tmp_path: Path) -> None:
    """Eighteen digits arrive; zeros beyond the scale and exponents are spellings of the same number."""
    texts = ["1234567890123456.78", "0.10", "0.1", "-0.05", "1.0E7", "1.2345E2", "5", "7.000000", "12E-2"]
    batch, schema = _one_column(Kind.DECIMAL, texts, tmp_path, precision=18, scale=2)
    load(destination, [batch], schema)
    assert _values(place) == [Decimal(text).quantize(Decimal("0.01")) for text in texts]


@pytest.mark.parametrize(
    ("text", "exact"), [("20.0", True), ("20.000", True), ("-7", True), ("20.05", False), ("20.001", False), ("2E1", False)]
)
def test_a_page_of_whole_amounts_goes_as_received(text: str, exact: bool, tmp_path: Path) -> None:
    """Zeros beyond the scale lose nothing, and Salesforce writes them; any other digit there does, and is parsed first."""
    batch, schema = _one_column(Kind.DECIMAL, ["1.0", text, None], tmp_path, precision=18, scale=0)
    assert batch.raw is not None
    assert pages.is_exact(batch.raw, schema) is exact


@pytest.mark.parametrize("value", ["0.005", "1.001", "1.0001", "1E-3", "1.23456E2", "99999999.9", "x", "NaN", "0x10", "1e999"])
@pytest.mark.parametrize("mode", list(Mode))
def test_a_decimal_is_never_rounded(value: str, mode: Mode, destination: PostgresDestination, tmp_path: Path) -> None:
    """PostgreSQL would round it without a word: the load stops, and the error names column and value."""
    batch, schema = _one_column(Kind.DECIMAL, ["1.00", value], tmp_path, precision=9, scale=2)
    with pytest.raises(SchemaConflict) as caught:
        load(destination, [batch], schema, mode=mode)
    assert value in str(caught.value)
    assert "V" in str(caught.value)


@pytest.mark.parametrize(("kind", "value"), [(Kind.INTEGER, "12.5"), (Kind.INTEGER, "9223372036854775808"), (Kind.DATE, "soon")])
def test_a_value_of_another_type_is_named(kind: Kind, value: str, destination: PostgresDestination, tmp_path: Path) -> None:
    """A value that its column cannot hold stops the load by name."""
    batch, schema = _one_column(kind, [value], tmp_path)
    with pytest.raises(SchemaConflict, match=value.replace(".", r"\.")):
        load(destination, [batch], schema)


@pytest.mark.parametrize("announced", [1, 3])
def test_a_page_with_other_rows_than_announced_is_refused(
    announced: int, destination: PostgresDestination, tmp_path: Path
) -> None:
    """Fewer rows in the file than the source announced, or more, stop the load."""
    page = written(tmp_path / "page.csv", text_schema(), [("1", "a"), ("2", "b")])
    with pytest.raises(Truncated, match=f"{announced} were announced"):
        load(destination, [_recounted(page, text_schema(), announced)], text_schema())


@pytest.mark.parametrize("tail", [b'"3","cut', b'"3"\n', b'"3","c","d"\n', b'"3","\xff"\n', b'[{"errorCode": "X"}]\n'])
@pytest.mark.parametrize("watched", [False, True])
def test_a_damaged_page_is_refused(
    tail: bytes, watched: bool, destination: PostgresDestination, place: Place, tmp_path: Path
) -> None:
    """A page that ends inside a value, has too few or many values in a line, is no UTF-8 or no CSV stops the load."""
    kind = Kind.DECIMAL if watched else Kind.STRING
    schema = Schema((Column("Id", Kind.STRING), Column("V", kind, precision=9)), ("Id",))
    page = written(tmp_path / "page.csv", schema, [("1", "1"), ("2", "2")])
    page.path.write_bytes(page.path.read_bytes() + tail)
    with pytest.raises(HaloclineError) as caught:
        load(destination, [_recounted(page, schema, 3)], schema)
    assert isinstance(caught.value, Truncated) or (watched and isinstance(caught.value, SchemaConflict))
    assert place.rows("SELECT to_regclass('raw.page')") == [(None,)]


def test_columns_are_matched_by_name(destination: PostgresDestination, place: Place, tmp_path: Path) -> None:
    """Pages may order and spell their columns each in its own way, and have some that nobody asked for."""
    wide = Schema((Column("Id", Kind.STRING), Column("Other", Kind.STRING), Column("Text", Kind.STRING)), ("Id",))
    pages = [
        written(tmp_path / "a.csv", text_schema(), [("a", "1")], names=("TEXT", "ID")),
        written(tmp_path / "b.csv", wide, [("2", "x", "b")]),
    ]
    load(destination, [Batch(raw=page) for page in pages], text_schema())
    assert table(place) == [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]


def test_an_empty_answer_may_come_without_its_header(destination: PostgresDestination, tmp_path: Path) -> None:
    """An empty file announced as such is an answer without rows."""
    headed = written(tmp_path / "headed.csv", text_schema(), [])
    empty = written(tmp_path / "empty.csv", text_schema(), [])
    empty.path.write_bytes(b"")
    assert load(destination, [Batch(raw=empty), Batch(raw=headed)], text_schema()).accounted == 0


def test_files_and_arrow_batches_mix(destination: PostgresDestination, place: Place, tmp_path: Path) -> None:
    """Rows as received, rows as Arrow and deletions of both sorts make one table."""
    schema = text_schema(Column("Stamp", Kind.DATETIME))
    keys = schema.select(["Id", "Stamp"])
    old = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    arrow = [{"Id": f"{n}", "Text": "arrow", "Stamp": old} for n in (3, 4)]
    page = written(tmp_path / "rows.csv", schema, [("1", "csv", "2024-01-01T00:00:00.000Z"), ("2", "csv", None)])
    gone = written(tmp_path / "gone.csv", keys, [("1", "2024-01-02T00:00:00.000Z")])
    also = pa.RecordBatch.from_pylist([{"Id": "4", "Stamp": old + dt.timedelta(1)}], schema=keys.arrow)
    batches = [
        Batch(raw=page),
        Batch(rows=pa.RecordBatch.from_pylist(arrow, schema=schema.arrow)),
        Batch(raw=gone, op=Op.DELETE),
        Batch(rows=also, op=Op.DELETE),
    ]
    for mode in Mode:
        counts = load(destination, batches, schema, cursor="Stamp", deletes=Deletes.HARD, mode=mode, allow_replace=True)
        assert [row["id"] for row in table(place)] == ["2", "3"]
        assert counts.accounted == 6
