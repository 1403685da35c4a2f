"""Parquet: how large the rows of a Parquet file are, told without unfolding them.

A value that stands in a dictionary once may be that of a billion rows, so a file of some kilobytes can be gigabytes of rows.
Texts are left in their dictionaries here and only their lengths are added up, which takes next to nothing for what expands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from halocline.errors import FixConfig

_ROWS = 16_384  # of a batch, in which what is no text is unfolded
_BUFFER_BYTES = 1 << 20


def announced(path: Path) -> int:
    """The bytes that the file says its pages have when they are unpacked.

    Raises: FixConfig for a file that cannot be read.
    """
    with _reading(path), parquet.ParquetFile(path) as file:
        return sum(file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups))


def sizes(path: Path) -> Iterator[tuple[int, int, int]]:
    """For some rows at a time: how many they are, their bytes in all, and the bytes of the longest one's own texts.

    A value counts as one byte more than it has, as in a text file, so that rows of nulls are not nothing.
    Raises: FixConfig for a file that cannot be read.
    """
    with _reading(path):
        with parquet.ParquetFile(path) as file:
            columns = [file.schema.column(number) for number in range(len(file.schema))]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        with parquet.ParquetFile(path, read_dictionary=texts, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
                yield batch.num_rows, sum(_bytes(column) + batch.num_rows for column in batch.columns), _longest(batch)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        cause = f"it is no Parquet file, or it is damaged ({error})"
        raise FixConfig(f"Reading {path.name}", cause, hint="Write the file again.") from error


def _bytes(column: Any) -> int:
    """The bytes of the values, those of a dictionary as often as they stand in a row."""
    if pa.types.is_dictionary(column.type):
        return pc.sum(_lengths(column)).as_py() or 0
    if pa.types.is_struct(column.type):
        return sum(map(_bytes, column.flatten()))
    if pa.types.is_map(column.type):
        return _bytes(column.keys) + _bytes(column.items)
    if pa.types.is_nested(column.type):
        return _bytes(column.flatten())
    return int(column.nbytes)


def _longest(batch: pa.RecordBatch) -> int:
    lengths = [pc.fill_null(_lengths(column), 0) for column in batch.columns if pa.types.is_dictionary(column.type)]
    if not lengths or not batch.num_rows:
        return 0
    whole = lengths[0]
    for more in lengths[1:]:
        whole = pc.add(whole, more)
    return int(pc.max(whole).as_py())


def _lengths(column: Any) -> Any:
    if not (pa.types.is_string(column.type.value_type) or pa.types.is_binary(column.type.value_type)):
        return pa.array([8] * len(column), pa.int64())  # numbers that their writer put into a dictionary
    return pc.cast(pc.take(pc.binary_length(column.dictionary), column.indices), pa.int64())
