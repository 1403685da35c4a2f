"""rows_of: anything becomes Rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from halocline.errors import FixConfig
from halocline.mapping.near import near
from halocline.rows.columns import spooled, table_rows
from halocline.rows.drawn import drawn
from halocline.rows.files import FileOptions, file_rows, kind_of
from halocline.rows.frame import frame_rows
from halocline.rows.memory import MemoryRows
from halocline.rows.query import Query, query_rows
from halocline.rows.rows import Rows

_DOING = "Reading the rows"
_HINT = "Pass a list of records ([{...}, {...}]), an iterator of them, a table, a Query, or the path of a file."
_SQL = (
    "A SELECT is a question to a database: on the command line name that with --from, such as --from duckdb:///lake.duckdb. "
    "For SQL pass Query(connection, sql)."
)
_QUESTION = re.compile(r"[\s(]*(select|with)\b(?!\.)", re.IGNORECASE)  # how a query begins
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
        return file_rows(_path_of(source), folder, name=name, options=options)
    if isinstance(source, Query):
        return query_rows(source, folder, name=name, memory_limit=memory_limit)
    table = _table_rows(source, folder, name=name or _NAME)
    if table is not None:
        return table
    _refuse(source)
    if isinstance(source, Sequence):
        return MemoryRows(source, name=name or _NAME)
    assert isinstance(source, Iterable)
    return drawn(source, folder, name=name or _NAME)


def _path_of(source: str | Path) -> Path:
    """The path that a text is.

    Raises: FixConfig for a text that is none.
    """
    if isinstance(source, Path):
        return source
    path, asks = Path(source), _QUESTION.match(source)
    close: list[str] = []
    try:
        if source and "\0" not in source:
            if path.exists() or (kind_of(path) is not None and not asks):
                return path
            close = [] if asks else near(path.name, [one.name for one in path.parent.iterdir()])
    except OSError:  # too long to be the name of a file, or there is no such folder
        pass
    hint = f"{_SQL} {_HINT}" if asks else f"Did you mean {' or '.join(close)}? {_HINT}" if close else _HINT
    raise FixConfig(_DOING, "a text was passed that is not the path of a file that we read", hint=hint)


def _table_rows(source: Any, folder: Path, *, name: str) -> Rows | None:
    """The rows of what is made of columns; None for anything else."""
    if isinstance(source, (pa.Table, pa.RecordBatch)):
        return table_rows(source, name=name)
    if _is_frame(source, "pandas"):
        return frame_rows(source, name=name)
    if not hasattr(source, "__arrow_c_stream__"):
        return None
    try:
        # A reader taken as a stream would turn what its Python source raises into an error of Arrow's.
        reader = source if isinstance(source, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(source)
    except pa.ArrowInvalid as error:  # the stream of a single column
        raise FixConfig(_DOING, f"a {type(source).__name__} is no table ({error})", hint=_HINT) from error
    if _is_frame(source, "polars"):
        return table_rows(reader.read_all(), name=name)
    return spooled(reader, reader.schema, folder=folder, name=name)


def _is_frame(source: object, package: str) -> bool:
    return any(kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == package for kind in type(source).__mro__)


def _refuse(source: object) -> None:
    """Raises: FixConfig for what is not several records."""
    if isinstance(source, Mapping):
        raise FixConfig(_DOING, "a single record was passed", hint=_HINT)
    if isinstance(source, (bytes, bytearray, memoryview)) or not isinstance(source, Iterable):
        kind = "None" if source is None else f"a value of the type {type(source).__name__}"
        hint = f"A LazyFrame must be collected first. {_HINT}" if hasattr(source, "collect") else _HINT
        raise FixConfig(_DOING, f"{kind} holds no records", hint=hint)
