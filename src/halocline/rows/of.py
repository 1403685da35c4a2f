"""rows_of: anything becomes Rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from halocline.errors import FixConfig
from halocline.foreign_table import by_value, is_frame
from halocline.push.destination import RowBatch
from halocline.push.order import Nulls
from halocline.rows.columns import spooled, table_rows
from halocline.rows.drawn import drawn
from halocline.rows.files import DOING, HINT, FileOptions, file_rows, path_of
from halocline.rows.frame import frame_rows
from halocline.rows.query import Query, query_rows
from halocline.rows.rows import DICT_ROWS, Rows

_NAME = "rows"


def rows_of(
    source: object,
    *,
    folder: Path,
    name: str | None = None,
    options: FileOptions | None = None,
    memory_limit: str | None = None,
) -> Rows:
    """The rows of a list or an iterator of records, an Arrow, polars or pandas table, an Arrow stream, a Query, or a file.

    What cannot be read twice is drawn now, into a file in `folder`; the others stay where they are. Elements of a list that are
    no records are handed out as they are. `options` are for text files, `memory_limit` is for an embedded database that a Query
    opens.
    Raises: FixConfig for what cannot be rows; NotFound; StorageFailed; what an iterator raises.
    """
    if isinstance(source, (str, Path)):
        return file_rows(path_of(source), folder, name=name, options=options)
    if isinstance(source, Query):
        return query_rows(source, folder, name=name, memory_limit=memory_limit)
    source = by_value(source)
    table = _table_rows(source, folder, name=name or _NAME)
    if table is not None:
        return table
    _refuse(source)
    if isinstance(source, Sequence):
        return MemoryRows(source, name=name or _NAME)
    assert isinstance(source, Iterable)
    return drawn(source, folder, name=name or _NAME)


def _table_rows(source: Any, folder: Path, *, name: str) -> Rows | None:
    """The rows of what is made of columns; None for anything else."""
    if isinstance(source, (pa.Table, pa.RecordBatch)):
        return table_rows(source, name=name)
    if is_frame(source, "pandas"):
        return frame_rows(source, name=name)
    if not hasattr(source, "__arrow_c_stream__"):
        return None
    try:
        # A reader taken as a stream would turn what its Python source raises into an error of Arrow's.
        reader = source if isinstance(source, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(source)
    except pa.ArrowInvalid as error:  # the stream of a single column
        raise FixConfig(DOING, f"a {type(source).__name__} is no table ({error})", hint=HINT) from error
    if is_frame(source, "polars"):
        return table_rows(reader.read_all(), name=name)
    return spooled(reader, reader.schema, folder=folder, name=name)


def _refuse(source: object) -> None:
    """Raises: FixConfig for what is not several records."""
    if isinstance(source, Mapping):
        raise FixConfig(DOING, "a single record was passed", hint=HINT)
    if isinstance(source, (bytes, bytearray, memoryview)) or not isinstance(source, Iterable):
        kind = "None" if source is None else f"a value of the type {type(source).__name__}"
        hint = f"A LazyFrame must be collected first. {HINT}" if hasattr(source, "collect") else HINT
        raise FixConfig(DOING, f"{kind} holds no records", hint=hint)


class MemoryRows:
    """The caller's own list (or other sequence): nothing is copied, and `records` answers the very dicts."""

    nulls = Nulls.CLEAR
    clears: str | None = None

    def __init__(self, records: Sequence[Mapping[str, object]], *, name: str = "rows") -> None:
        self.name = name
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def batches(self) -> Iterator[RowBatch]:
        """All rows in order, about 2,000 at a time."""
        rest, first = iter(self._records), 0
        while some := list(islice(rest, DICT_ROWS)):
            yield RowBatch(range(first, first + len(some)), some)
            first += len(some)

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """The very dicts of these rows."""
        return [self._records[number] for number in numbers]

    def close(self) -> None:
        """Nothing: the list is the caller's."""
