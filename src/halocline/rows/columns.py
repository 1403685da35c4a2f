"""ColumnRows: rows in Arrow columns, in memory or in a file, of plain types.

Those are without dictionaries and views, for which many of Arrow's functions are not written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa

from halocline.errors import FixConfig
from halocline.moments import rows_of
from halocline.push.destination import RowBatch
from halocline.push.order import Nulls
from halocline.quantity import quantity
from halocline.rows.place import new_file
from halocline.spool import storage

ARROW_ROWS = 20_000  # rows that are handed out at a time
_PIECE_BYTES = 1 << 24  # and about how many bytes of them, so that large cells do not add up


class ColumnRows:
    """Rows in pieces of at most 20,000: `lengths` says how many rows each has, `piece` gets the one of that index.

    They come with plain types: dictionaries and views as the values that they stand for.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        piece: Callable[[int], pa.RecordBatch],
        *,
        name: str,
        nulls: Nulls = Nulls.CLEAR,
        clears: str | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.nulls = nulls
        self.clears = clears
        self._starts = [0, *accumulate(lengths)]
        self._piece = piece
        self._done = done

    def __len__(self) -> int:
        return self._starts[-1]

    def batches(self) -> Iterator[RowBatch]:
        """All rows in order, at most 20,000 at a time."""
        for index, first in enumerate(self._starts[:-1]):
            yield RowBatch(range(first, self._starts[index + 1]), self._piece(index))

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """The rows of these numbers as dicts."""
        wanted: dict[int, list[tuple[int, int]]] = {}  # of each piece: place in the answer, row in the piece
        for place, number in enumerate(numbers):
            if not 0 <= number < len(self):
                raise IndexError(number)
            index = bisect_right(self._starts, number) - 1
            wanted.setdefault(index, []).append((place, number - self._starts[index]))
        told: list[Mapping[str, object]] = [{}] * len(numbers)
        for index, places in wanted.items():
            rows = rows_of(self._piece(index).take(pa.array([row for _, row in places], pa.int64())))
            for (place, _), row in zip(places, rows, strict=True):
                told[place] = row
        return told

    def close(self) -> None:
        """Let go of the rows, and delete the file that they were put into. Idempotent."""
        done, self._done = self._done, None
        if done is not None:
            done()


def table_rows(table: pa.Table | pa.RecordBatch, *, name: str = "rows") -> ColumnRows:
    """The rows of a table, which is kept as it is.

    Raises: FixConfig for rows without columns, or two columns of one name.
    """
    doing = "Reading the table"
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if table.num_rows and not table.num_columns:
        raise FixConfig(
            doing, f"its {quantity(table.num_rows, 'row has')} no columns", hint="Pass a table with the fields as columns."
        )
    schema = plain_schema(table.schema, doing=doing)
    pieces = [one for one in table.to_batches(max_chunksize=ARROW_ROWS) if one.num_rows]
    return ColumnRows([one.num_rows for one in pieces], lambda index: plain(pieces[index], schema), name=name)


def spooled(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    folder: Path,
    name: str = "rows",
    nulls: Nulls = Nulls.CLEAR,
    clears: str | None = None,
) -> ColumnRows:
    """The rows of a stream, drawn now, in a new file in `folder`. What the stream raises is raised, and no file is left.

    Raises: StorageFailed; FixConfig for two columns of one name.
    """
    told = plain_schema(schema, doing=f"Reading {name}")
    path = new_file(folder, "arrow")
    try:
        lengths = _write(batches, told, path)
        return _read(path, lengths, name=name, nulls=nulls, clears=clears)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> list[int]:
    """How many rows each piece in the file has."""
    doing, lengths = "Putting rows aside in the run's folder", list[int]()
    with storage(doing):
        sink = pa.OSFile(str(path), "wb")
    with sink:
        with storage(doing):  # the head of the file is written here, and its end by `close`
            file = pa.ipc.new_file(sink, schema)
        for piece in _pieces(batches, schema):
            with storage(doing):
                file.write_batch(piece)
            lengths.append(piece.num_rows)
        with storage(doing):
            file.close()
            sink.close()
    return lengths


def _pieces(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows in pieces of at most ARROW_ROWS; small batches are put together, for each piece has its price."""
    held, rows, size = list[pa.RecordBatch](), 0, 0
    for batch in batches:
        for start in range(0, batch.num_rows, ARROW_ROWS):
            some = plain(batch.slice(start, ARROW_ROWS), schema)
            if held and (rows + some.num_rows > ARROW_ROWS or size + some.nbytes > _PIECE_BYTES):
                yield pa.concat_batches(held)
                held, rows, size = [], 0, 0
            held, rows, size = [*held, some], rows + some.num_rows, size + some.nbytes
    if held:
        yield pa.concat_batches(held)


def _read(path: Path, lengths: Sequence[int], **about: Any) -> ColumnRows:
    """The rows of the file, read piece by piece; mapped into memory they would count as the process's own."""
    with storage(f"Reading {path.name}"):
        source = pa.OSFile(str(path))
        file = pa.ipc.open_file(source)

    def piece(index: int) -> pa.RecordBatch:
        with storage(f"Reading {path.name}"):
            return file.get_batch(index)

    def done() -> None:
        source.close()
        path.unlink(missing_ok=True)

    return ColumnRows(lengths, piece, done=done, **about)


def plain_schema(schema: pa.Schema, *, doing: str) -> pa.Schema:
    """The schema with plain types and no metadata.

    Raises: FixConfig for two columns of one name: a row could hold only one of them.
    """
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        hint = "Give each column a name of its own (in SQL: AS)."
        raise FixConfig(doing, f"several columns are called {', '.join(map(repr, twice))}", hint=hint)
    return pa.schema([field.with_type(_plain(field.type)).remove_metadata() for field in schema])


def plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the types of its plain schema."""
    if batch.schema.equals(schema):
        return batch.replace_schema_metadata(None)
    columns = [_made_plain(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _made_plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column with its plain type. Dictionaries of views, which polars makes, are beyond Arrow's own cast."""
    if column.type.equals(kind):
        return column
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _made_plain(column.dictionary, kind)).dictionary_decode()
    if pa.types.is_struct(column.type):
        inner = [_made_plain(column.field(at), field.type) for at, field in enumerate(kind)]
        return pa.StructArray.from_arrays(inner, fields=list(kind), mask=column.is_null())
    return column.cast(kind)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([inner.with_type(_plain(inner.type)) for inner in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain(kind.value_type)))
    return kind
