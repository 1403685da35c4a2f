"""CSV files: checked as a whole, and put aside as text columns.

    header -> names      every record -> text columns (Arrow's reader behind Hold) -> a file of Arrow's own, null where empty

Arrow's reader gives columns, and forgives too much: it takes a quote that is never closed, or has text behind it, as if nothing
were wrong, drops it, or makes one cell of the lines up to there. So Python's strict reader looks at every file that has quotes
(under a second for a million rows); it also finds the line of what Arrow refuses.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from halocline.errors import FixConfig
from halocline.push.order import Nulls
from halocline.quantity import quantity
from halocline.report import refuse_report
from halocline.rows.columns import ColumnRows, spooled
from halocline.rows.hold import Readable
from halocline.rows.text import opened, undecodable, which_encoding
from halocline.rows.texts import TextCsv

CLEARS = "#N/A"  # what clears a field in CSV files, where an empty cell leaves it: the meaning that Bulk API 2.0 gives them
_BLOCK_BYTES = 1 << 20  # of CSV at a time, and more only for a record that is longer
_MAX_BLOCK_BYTES = 1 << 28
_TOO_SMALL = "straddl"  # in pyarrow's words for a block that holds no whole record
_LIMIT = threading.Lock()  # Python's limit for cells is one for the whole process


def delimited_rows(path: Path, folder: Path, *, name: str, encoding: str, delimiter: str) -> ColumnRows:
    """The rows of a CSV file with a header line, all columns text; lines without anything are no rows.

    Raises: FixConfig saying which line is wrong; NotFound; StorageFailed. Nothing is handed out before the whole file is checked.
    """
    names, block = _header(path, encoding=encoding, delimiter=delimiter), _BLOCK_BYTES
    schema = pa.schema([(one, pa.string()) for one in names])
    while True:
        batches = _batches(path, names, encoding=encoding, delimiter=delimiter, block_bytes=block)
        try:
            return spooled(batches, schema, folder=folder, name=name, nulls=Nulls.KEEP, clears=CLEARS)
        except pa.ArrowInvalid as error:
            if _TOO_SMALL not in str(error) or block >= _MAX_BLOCK_BYTES:
                if "UTF8" in str(error):
                    raise undecodable(path, encoding) from error
                _examine(path, len(names), encoding=encoding, delimiter=delimiter)
                raise FixConfig(f"Reading {path.name}", f"it is no CSV of {quantity(len(names), 'column')} ({error})") from error
            block *= 4


def _header(path: Path, *, encoding: str, delimiter: str) -> tuple[str, ...]:
    doing = f"Reading {path.name}"
    with opened(path, encoding) as file, _text(file) as text:
        try:
            names = next(csv.reader(text, delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            raise FixConfig(doing, f"the header line is no CSV ({error})", hint="Look at its quotes.") from error
    if names is None:
        raise FixConfig(doing, "the file is empty", hint="It needs a header line with the names of the columns.")
    if not names:
        raise FixConfig(doing, "its first line is empty", hint="The first line is the header, with the names of the columns.")
    if any("\0" in name for name in names):
        raise FixConfig(doing, "the header holds zero bytes", hint=which_encoding(path, encoding))
    if "" in names:
        at = names.index("") + 1
        raise FixConfig(doing, f"column {at} of the header has no name", hint="Name it, or take the column out of the file.")
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise FixConfig(doing, f"two columns of the header are called {twice!r}", hint="Give each a name of its own.")
    refuse_report(names, doing)
    return tuple(names)


def _batches(path: Path, names: Sequence[str], *, encoding: str, delimiter: str, block_bytes: int) -> Iterator[pa.RecordBatch]:
    """The records as text columns; when all have come, what Arrow forgives is looked for.

    Raises: FixConfig, or what Arrow raises.
    """
    header = {"column_names": list(names), "skip_rows_after_names": 1}  # the header itself, whatever line ends it holds
    with opened(path, encoding) as file:
        watched = _Watched(file)
        with TextCsv(names, delimiter=delimiter, skips_empty_lines=True).reader(
            watched, block_bytes=block_bytes, **header
        ) as reader:
            yield from reader
    if watched.has_quotes:
        _examine(path, len(names), encoding=encoding, delimiter=delimiter)


class _Watched:
    """A file that says whether it has quotes, and that ends with a line end: Arrow does not take a header without."""

    def __init__(self, file: Readable) -> None:
        self.has_quotes = False
        self._file = file
        self._last = b"\n"

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.has_quotes = self.has_quotes or b'"' in data
        self._last = data[-1:] or self._last
        if len(data) < size and self._last not in {b"\n", b"\r"}:  # a buffered reader answers less at the end only
            data, self._last = data + b"\n", b"\n"
        return data


def _examine(path: Path, columns: int, *, encoding: str, delimiter: str) -> None:
    """Look at every record with Python's reader.

    Raises: FixConfig naming the line of the first that is not as it should be.
    """
    doing, line = f"Reading {path.name}", 1
    with opened(path, encoding) as file, _text(file) as text, _large_cells():
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            for record in reader:
                if record and len(record) != columns:
                    cause = f"line {line:,} has {quantity(len(record), 'value')}, and the header has {columns:,}"
                    hint = "A value that holds the delimiter or a line end must stand in quotes."
                    raise FixConfig(doing, cause, hint=hint, line=line)
                line = reader.line_num + 1
        except csv.Error as error:
            raise _damaged(doing, str(error), first=line, last=reader.line_num) from error


def _damaged(doing: str, words: str, *, first: int, last: int) -> FixConfig:
    """The error for what Python's reader says of the record from line `first` to line `last`."""
    if "unexpected end" in words:
        cause = f"a quote is opened in the record that begins in line {first:,}, and never closed"
    elif "expected after" in words:
        cause = f"line {last:,} has text behind a closing quote"
    else:
        cause = f"line {first:,} is no CSV ({words})"
    return FixConfig(doing, cause, hint="A quote inside a quoted value is written twice.", line=first)


@contextmanager
def _large_cells() -> Iterator[None]:
    with _LIMIT:
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, _MAX_BLOCK_BYTES))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _text(file: io.BufferedReader) -> io.TextIOWrapper:
    return io.TextIOWrapper(file, encoding="utf-8", newline="")
