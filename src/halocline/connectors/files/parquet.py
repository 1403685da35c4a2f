"""Parquet: Arrow's own types (exact decimals, instants in UTC and microseconds), zstd; JSON is text, `halocline.kind` says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from halocline.connectors.files.format import damaged, fitted
from halocline.connectors.files.keys import KEY, between, key_of
from halocline.schema import Kind, Schema

_GROUP_ROWS = 65_536  # of a row group: what is decoded at once when a file is looked at
_GROUP_BYTES = 24 << 20  # likewise, of wide rows
_BATCH_ROWS = 16_384


class Parquet:
    """The format `parquet`."""

    def writer(self, path: Path, schema: Schema) -> ParquetFileWriter:
        """A new file."""
        return ParquetFileWriter(path, schema)

    def batches(self, path: Path, schema: Schema) -> Iterator[pa.RecordBatch]:
        """The rows of a file, a piece of a row group at a time."""
        try:
            with parquet.ParquetFile(path) as file:
                names = [name for name in schema.names if name in file.schema_arrow.names]
                for batch in file.iter_batches(_BATCH_ROWS, columns=names, use_threads=False):
                    yield fitted(batch, schema)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(path, error) from error

    def hits(self, path: Path, schema: Schema, *, key: Sequence[str], keys: pa.Array) -> Iterator[pa.Table]:
        """Read the key columns only, of row groups that may hold a key; all columns only where one is there."""
        try:
            with parquet.ParquetFile(path) as file:
                names = [name for name in schema.names if name in file.schema_arrow.names]
                if not set(key) <= set(names):  # written before the column was there: all its values are null
                    return
                for group in range(file.num_row_groups):
                    wanted = _in_range(file, group, key=key, keys=keys)
                    if len(wanted):
                        yield from _hits(file, group, names, schema=schema, key=key, keys=wanted)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(path, error) from error


class ParquetFileWriter:
    """A Parquet file in the making; rows are held until they make a row group."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._schema = _marked(schema)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._held: list[pa.Table] = []
        self._rows = 0
        self._bytes = 0

    def write(self, rows: pa.Table) -> None:
        """Append rows."""
        self._held.append(pa.Table.from_arrays(rows.columns, schema=self._schema))
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is held, and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held), row_group_size=_GROUP_ROWS)
        self._held, self._rows, self._bytes = [], 0, 0


def _hits(
    file: parquet.ParquetFile, group: int, names: Sequence[str], *, schema: Schema, key: Sequence[str], keys: pa.Array
) -> Iterator[pa.Table]:
    found = key_of(file.read_row_group(group, columns=list(key), use_threads=False), key)
    mask = pc.is_in(found, value_set=keys)
    if pc.any(mask).as_py():
        rows = fitted(file.read_row_group(group, columns=list(names), use_threads=False), schema)
        yield rows.append_column(KEY, found).filter(mask)


def _in_range(file: parquet.ParquetFile, group: int, *, key: Sequence[str], keys: pa.Array) -> pa.Array:
    """Those of the sorted keys that a row group may hold, by its statistics; only those of texts are in the order of keys."""
    name = key[0]
    place = file.schema_arrow.names.index(name)
    if len(key) > 1 or not pa.types.is_string(file.schema_arrow.field(place).type):
        return keys
    found = file.metadata.row_group(group).column(place).statistics
    return between(keys, low=found.min, high=found.max) if found is not None and found.has_min_max else keys


def _marked(schema: Schema) -> pa.Schema:
    """The Arrow schema, with the kind of columns that Arrow has no type for."""
    plain = schema.arrow
    marks = {c.name: {b"halocline.kind": b"json"} for c in schema if c.kind is Kind.JSON}
    return pa.schema([field.with_metadata(marks[field.name]) if field.name in marks else field for field in plain])
