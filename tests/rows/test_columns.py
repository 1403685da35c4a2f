"""Laws of tables: Arrow, polars, pandas, DuckDB's relations, and streams of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from tests.rows.reading import all_of

from halocline.connectors.salesforce.cells import texts_of
from halocline.connectors.salesforce.collections import _dicts
from halocline.errors import FixConfig, StorageFailed
from halocline.push.order import Nulls
from halocline.rows.of import rows_of

ROWS: list[dict[str, Any]] = [{"n": n, "t": None if n % 3 else f"t{n}"} for n in range(45_000)]


def table() -> pa.Table:
    return pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize("make", [table, lambda: table().to_reader(max_chunksize=700)], ids=["table", "reader"])
def test_columns_come_as_arrow_in_pieces(make: Any, tmp_path: Path) -> None:
    """At most 20,000 rows at a time, however the source cuts them; small batches are put together."""
    rows = rows_of(make(), folder=tmp_path)
    assert all_of(rows) == ROWS
    sizes = [batch.rows.num_rows for batch in rows.batches() if isinstance(batch.rows, pa.RecordBatch)]
    assert sum(sizes) == 45_000
    assert max(sizes) <= 20_000
    assert len(sizes) == 3
    assert (rows.name, rows.nulls, rows.clears) == ("rows", Nulls.CLEAR, None)


def test_a_table_in_memory_is_not_copied(tmp_path: Path) -> None:
    """The batches lie where the table's columns lie, and no file is made."""
    given = table()
    batch = next(rows_of(given, folder=tmp_path).batches()).rows
    assert isinstance(batch, pa.RecordBatch)
    assert batch.column(0).buffers()[1].address == given.column(0).chunk(0).buffers()[1].address
    assert list(tmp_path.iterdir()) == []


def test_a_reader_is_put_into_a_file_and_read_from_there(tmp_path: Path) -> None:
    """Arrow holds no more than a few pieces of it; closing deletes the file."""

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(100):
            yield pa.record_batch({"t": [f"{number:0100}"] * 10_000})

    before = pa.total_allocated_bytes()
    rows = rows_of(pa.RecordBatchReader.from_batches(pa.schema([("t", pa.string())]), batches()), folder=tmp_path)
    held = max(pa.total_allocated_bytes() - before for _ in rows.batches())
    assert len(rows) == 1_000_000
    assert held < 20_000_000
    rows.close()
    rows.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises((StorageFailed, ValueError)):
        rows.records([0])


def test_what_a_stream_raises_comes_through_and_leaves_nothing(tmp_path: Path) -> None:
    """The very error, and no file."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise KeyError("mine")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches())
    with pytest.raises(KeyError, match="mine"):
        rows_of(reader, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_dictionaries_come_as_their_values(tmp_path: Path) -> None:
    """Also where every batch of a stream brings a dictionary of its own."""
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", "y"]))
    other = pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(["z"]))
    batches = [pa.record_batch({"w": words}), pa.record_batch({"w": other})]
    rows = rows_of(pa.RecordBatchReader.from_batches(batches[0].schema, batches), folder=tmp_path)
    assert all_of(rows) == [{"w": "x"}, {"w": "y"}, {"w": None}, {"w": "z"}]
    batch = next(rows.batches()).rows
    assert isinstance(batch, pa.RecordBatch)
    assert batch.schema.types == [pa.string()]


@pytest.mark.parametrize(
    "source",
    [
        pa.table({"a": pa.array([], pa.int64())}),
        pa.table({}),
        pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), []),
    ],
    ids=["table", "no columns", "reader"],
)
def test_an_empty_table_is_no_rows(source: Any, tmp_path: Path) -> None:
    """Whether it has columns or not."""
    assert all_of(rows_of(source, folder=tmp_path)) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (pa.table([[1], [2]], names=["a", "a"]), "several columns are called 'a'"),
        (pa.chunked_array([[1]]), "a ChunkedArray is no table"),
    ],
    ids=["names", "column"],
)
def test_tables_that_are_no_rows_are_refused(source: Any, told: str, tmp_path: Path) -> None:
    """Two columns of one name would lose one of them; a column is no table."""
    with pytest.raises(FixConfig, match=told):
        rows_of(source, folder=tmp_path)


def test_polars_tables(tmp_path: Path) -> None:
    """Texts, categories and nested values come in types that Arrow's functions know."""
    polars = pytest.importorskip("polars")
    values = {"t": ["x", None], "b": [b"x", None], "s": [{"q": ["x"]}, {"q": []}], "k": ["u", "v"], "n": [None, None]}
    frame = polars.DataFrame(values, schema_overrides={"k": polars.Categorical})
    rows = rows_of(frame, folder=tmp_path)
    assert all_of(rows) == frame.to_dicts()
    batch = next(rows.batches()).rows
    assert isinstance(batch, pa.RecordBatch)
    types = [pa.string(), pa.binary(), pa.struct([("q", pa.large_list(pa.string()))]), pa.string(), pa.null()]
    assert batch.schema.types == types
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FixConfig, match="must be collected first"):
        rows_of(frame.lazy(), folder=tmp_path)


def test_polars_columns_of_python_objects_are_taken_by_value(tmp_path: Path) -> None:
    """To Arrow polars hands them as addresses in memory: other keys in every run."""
    polars = pytest.importorskip("polars")
    values: dict[str, list[object]] = {"id": [UUID(int=1), None], "mixed": ["x", 5], "n": [1, 2]}
    frame = polars.DataFrame(values, schema_overrides={"mixed": polars.Object})
    assert frame.dtypes == [polars.Object, polars.Object, polars.Int64]
    wanted = [{"id": UUID(int=1), "mixed": "x", "n": 1}, {"id": None, "mixed": 5, "n": 2}]
    assert all_of(rows_of(frame, folder=tmp_path)) == wanted
    (first,) = texts_of(frame.select("id"), "id")
    assert first.batch.column("id").to_pylist() == [str(UUID(int=1)), "#N/A"]
    assert all_of(rows_of(frame.clear(), folder=tmp_path)) == []


def test_pandas_tables(tmp_path: Path) -> None:
    """NaN, NaT and NA are nulls, the index is left out, and whole numbers stay whole."""
    pandas = pytest.importorskip("pandas")
    when = pandas.Timestamp("2026-01-01", tz="UTC")
    values = {"f": [1.5, float("nan")], "t": ["x", None], "w": [when, pandas.NaT], "i": pandas.array([None, 3], dtype="Int64")}
    rows = rows_of(pandas.DataFrame(values, index=[7, 9]), folder=tmp_path)
    told = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert all_of(rows) == [{"f": 1.5, "t": "x", "w": told, "i": None}, {"f": None, "t": None, "w": None, "i": 3}]
    assert isinstance(next(rows.batches()).rows, pa.RecordBatch)


@pytest.mark.parametrize(
    "values",
    [[1, "x", None], ["x", b"y", None], [{"a": 1}, {}, None], [10**30, 1, None], [Decimal("1.0"), True, None]],
    ids=["number and text", "text and bytes", "dicts", "long", "decimal and bool"],
)
def test_mixed_columns_of_pandas_come_as_dicts(values: list[Any], tmp_path: Path) -> None:
    """Each value as it is, where Arrow refuses the column or would make something else of it."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"m": pandas.Series([*values, float("nan")], dtype=object), "n": [1, 2, 3, 4]})
    rows = rows_of(frame, folder=tmp_path)
    told = all_of(rows)
    assert [row["m"] for row in told] == [*values, None]
    assert [(row["n"], type(row["n"])) for row in told] == [(n, int) for n in (1, 2, 3, 4)]
    assert [type(row["m"]) for row in told[:2]] == [type(value) for value in values[:2]]


def test_a_period_of_pandas_is_no_number(tmp_path: Path) -> None:
    """Arrow would hand out days since 1970."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"p": pandas.period_range("2026", periods=1)})
    assert all_of(rows_of(frame, folder=tmp_path)) == [{"p": pandas.Period("2026-01-01", "D")}]


def test_pandas_tables_that_are_no_rows_are_refused(tmp_path: Path) -> None:
    """Rows without columns, and two columns of one name; an empty table is no rows."""
    pandas = pytest.importorskip("pandas")
    with pytest.raises(FixConfig, match="3 rows have no columns"):
        rows_of(pandas.DataFrame(index=range(3)), folder=tmp_path)
    with pytest.raises(FixConfig, match="two columns are called 'a'"):
        rows_of(pandas.DataFrame([[1, 2]], columns=["a", "a"]), folder=tmp_path)
    assert all_of(rows_of(pandas.DataFrame(), folder=tmp_path)) == []
    assert all_of(rows_of(pandas.DataFrame({0: [1]}), folder=tmp_path)) == [{"0": 1}]


def test_a_relation_of_duckdb_keeps_offsets_and_bits() -> None:
    """Which its Arrow stream loses: also where records are sent without a push."""
    with duckdb.connect() as connection:
        asked = connection.sql("SELECT '10:00:00+02'::TIMETZ AS at, '10101'::BIT AS bits, 1 AS \"n\"\"\"")
        (texts,) = texts_of(asked, None)
        assert list(_dicts(asked)) == [{"at": "10:00:00+02", "bits": "10101", 'n"': 1}]
    assert texts.batch.to_pylist() == [{"at": "10:00:00+02", "bits": "10101", 'n"': "1"}]
