"""Every format gives back the values that it was given."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from halocline.connectors.files.format import NAMES, format_of
from halocline.errors import FixConfig, SchemaConflict, Truncated
from halocline.schema import Column, Kind, Schema

SCHEMA = Schema(
    (
        Column("Id", Kind.STRING),
        Column('odd "name", Łódź', Kind.STRING),
        Column("Flag", Kind.BOOLEAN),
        Column("Count", Kind.INTEGER),
        Column("Amount", Kind.DECIMAL, precision=38, scale=9),
        Column("Ratio", Kind.DOUBLE),
        Column("Born", Kind.DATE),
        Column("At", Kind.TIME),
        Column("Stamp", Kind.DATETIME),
        Column("Bytes", Kind.BINARY),
        Column("Nested", Kind.JSON),
    ),
    ("Id",),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "NA", "null", " ", "\r\n", '"', '""', "\r", "\\n", "a,b", "\x00", "\x1f", "\u2028", "true", "=1+1", "\ufeff"]
)
ROWS = st.lists(
    st.tuples(
        TEXT,
        st.none() | TEXT,
        st.none() | st.booleans(),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal((n < 0, [int(d) for d in str(abs(n))], -9))),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.dates(),
        st.none() | st.times(),
        st.none() | st.datetimes(timezones=st.just(dt.UTC)),
        st.none() | st.binary(max_size=8),
        st.none() | st.sampled_from(['{"a": [1, "x"]}', "[]", "{}"]),
    ),
    min_size=1,
    max_size=12,
)


def table(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = [pa.array(values, column.arrow) for values, column in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    return pa.Table.from_arrays(columns, schema=SCHEMA.arrow)


def written(path: Path, name: str, *tables: pa.Table, schema: Schema = SCHEMA) -> Path:
    with closing(format_of(name).writer(path, schema)) as writer:
        for one in tables:
            writer.write(one)
    return path


def read(path: Path, name: str, schema: Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_batches(format_of(name).batches(path, schema), schema=schema.arrow)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=examples(20))
@given(rows=ROWS)
def test_values_come_back_as_they_were(
    name: str, rows: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the values, null and empty text included, reading a file gives what was written."""
    given_rows = table(rows)
    path = written(tmp_path_factory.mktemp("round") / "x", name, given_rows, given_rows)
    assert read(path, name).to_pylist() == pa.concat_tables([given_rows, given_rows]).to_pylist()


@pytest.mark.parametrize("name", NAMES)
def test_a_value_longer_than_a_block_comes_back(name: str, tmp_path: Path) -> None:
    """Neither a text of five megabytes nor line ends at the borders of blocks are changed."""
    schema = Schema((Column("Id", Kind.STRING), Column("Text", Kind.STRING)))
    texts = ["x" * 5_000_000, *('\r\n"' * 400_000, "y\r\n" * 300_000)]
    rows = pa.table({"Id": ["1", "2", "3"], "Text": texts}, schema=schema.arrow)
    path = written(tmp_path / "x", name, rows, schema=schema)
    assert read(path, name, schema).column("Text").to_pylist() == texts


@pytest.mark.parametrize("name", NAMES)
def test_a_column_that_a_file_lacks_is_null(name: str, tmp_path: Path) -> None:
    """An older file, written before a column was added, reads as having nulls there."""
    rows = pa.table({"Id": ["1"]})
    path = written(tmp_path / "x", name, rows, schema=SCHEMA.select(["Id"]))
    assert read(path, name).to_pylist() == [{"Id": "1", **dict.fromkeys(SCHEMA.names[1:])}]


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_told(name: str, tmp_path: Path) -> None:
    """A file of something else is no table."""
    path = tmp_path / "x"
    path.write_bytes(b'\x00\x01"Id\n{{{\n"1')
    with pytest.raises(Truncated, match="damaged"):
        read(path, name)


def test_a_number_that_json_lacks_is_refused(tmp_path: Path) -> None:
    """NaN and infinity are no JSON; they are not written as something else."""
    schema = Schema((Column("Ratio", Kind.DOUBLE),))
    with pytest.raises(SchemaConflict, match="Ratio"):
        written(tmp_path / "x", "jsonl", pa.table({"Ratio": [1.0, None, float("inf")]}), schema=schema)


def test_csv_tells_null_from_empty(tmp_path: Path) -> None:
    """Null is nothing, the empty text is two quotes, an instant ends in Z."""
    schema = SCHEMA.select(["Id", "Count", "Stamp"])
    rows = pa.table([["", "a"], [1, None], [dt.datetime(2026, 3, 1, tzinfo=dt.UTC), None]], schema=schema.arrow)
    assert written(tmp_path / "x", "csv", rows, schema=schema).read_text() == (
        '"Id","Count","Stamp"\n"",1,"2026-03-01T00:00:00.000000Z"\n"a",,\n'
    )


def test_jsonl_keeps_every_digit(tmp_path: Path) -> None:
    """A decimal is a JSON number with all its digits."""
    schema = SCHEMA.select(["Id", "Amount"])
    rows = pa.table([['a"\n'], [Decimal("12345678901234567890.000000001")]], schema=schema.arrow)
    assert written(tmp_path / "x", "jsonl", rows, schema=schema).read_text() == (
        '{"Id":"a\\"\\n","Amount":12345678901234567890.000000001}\n'
    )


def test_an_unknown_format_is_refused() -> None:
    """The error lists what there is."""
    with pytest.raises(FixConfig, match="parquet, csv, jsonl"):
        format_of("xlsx")
