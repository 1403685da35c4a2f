"""Rows of files: CSV, JSON lines, JSON, Parquet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from halocline.errors import FixConfig
from halocline.mapping.near import near
from halocline.quantity import quantity
from halocline.rows.columns import ARROW_ROWS, spooled
from halocline.rows.delimited import delimited_rows
from halocline.rows.drawn import drawn
from halocline.rows.objects import json_lines, json_list
from halocline.rows.rows import Rows
from halocline.rows.text import missing, reading

_BUFFER_BYTES = 1 << 20  # of a column of Parquet at a time

DOING = "Reading the rows"
HINT = "Pass a list of records ([{...}, {...}]), an iterator of them, a table, a Query, or the path of a file."
_SQL = (
    "A SELECT is a question to a database: on the command line name that with --from, such as --from duckdb:///lake.duckdb. "
    "For SQL pass Query(connection, sql)."
)
_QUESTION = re.compile(r"[\s(]*(select|with)\b(?!\.)", re.IGNORECASE)  # how a query begins


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How text files are read. `delimiter` is that of CSV files; None: a tab in .tsv files, else a comma; .txt
    files need one.

    Raises: FixConfig for a delimiter that cannot be one.
    """

    encoding: str = "utf-8"
    delimiter: str | None = None

    def __post_init__(self) -> None:
        mark = self.delimiter
        if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n\0'):
            raise FixConfig("Reading a file", f"{mark!r} cannot be a delimiter", hint='Name one character, such as ";".')


def kind_of(path: Path) -> str | None:
    """The ending that says how a file is read, without .gz: `.csv`; None for a file of a kind that we do not read."""
    endings = [one.lower() for one in path.suffixes]
    if endings[-1:] == [".gz"]:
        endings.pop()
        return endings[-1] if endings and endings[-1] in _READERS and endings[-1] != ".parquet" else None
    return endings[-1] if endings and endings[-1] in _READERS else None


def file_rows(path: Path, folder: Path, *, name: str | None = None, options: FileOptions | None = None) -> Rows:
    """The rows of a file, read and checked as a whole now: it may change or go away afterwards.

    Raises: NotFound with close names of the folder, AccessDenied; FixConfig for a file that is not what its ending says.
    """
    if path.is_dir():
        raise FixConfig(f"Reading {path}", "it is a folder", hint="Name one file in it.")
    if not path.exists():
        raise missing(path)
    if not path.is_file():  # it would be read more than once, and the second reader of a pipe waits for ever
        raise FixConfig(
            f"Reading {path}",
            "it is a pipe or a device, and no file",
            hint="On the command line read it by `-`: halocline push - ... < it.",
        )
    kind = kind_of(path)
    if kind is None:
        known = ", ".join(_READERS)
        raise FixConfig(f"Reading {path.name}", "its ending is none that we read", hint=f"Known are {known}, with .gz for texts.")
    return _READERS[kind](path, folder, name or path.name, options or FileOptions())


def path_of(source: str | Path) -> Path:
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
    hint = f"{_SQL} {HINT}" if asks else f"Did you mean {' or '.join(close)}? {HINT}" if close else HINT
    raise FixConfig(DOING, "a text was passed that is not the path of a file that we read", hint=hint)


def _csv(path: Path, folder: Path, name: str, options: FileOptions) -> Rows:
    return delimited_rows(path, folder, name=name, encoding=options.encoding, delimiter=options.delimiter or ",")


def _tsv(path: Path, folder: Path, name: str, options: FileOptions) -> Rows:
    return delimited_rows(path, folder, name=name, encoding=options.encoding, delimiter=options.delimiter or "\t")


def _txt(path: Path, folder: Path, name: str, options: FileOptions) -> Rows:
    if options.delimiter is None:
        hint = 'Say what divides its columns, perhaps delimiter="\\t" (--delimiter tab).'
        raise FixConfig(f"Reading {path.name}", "a .txt file may have any form", hint=hint)
    return _csv(path, folder, name, options)


def _json_lines(path: Path, folder: Path, name: str, options: FileOptions) -> Rows:
    return drawn(json_lines(path, options.encoding), folder, name=name)


def _json(path: Path, folder: Path, name: str, options: FileOptions) -> Rows:
    return drawn(json_list(path, options.encoding), folder, name=name)


def _parquet(path: Path, folder: Path, name: str, _: FileOptions) -> Rows:
    doing = f"Reading {path.name}"
    try:
        with reading(path), parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            return spooled(_row_groups(file), file.schema_arrow, folder=folder, name=name)
    except (pa.ArrowException, OSError) as error:
        raise FixConfig(doing, f"it is no Parquet file, or it is damaged ({error})", hint="Write the file again.") from error


def _row_groups(file: parquet.ParquetFile) -> Iterator[pa.RecordBatch]:
    if file.metadata.num_rows and not file.schema_arrow.names:
        raise FixConfig("Reading a Parquet file", f"its {quantity(file.metadata.num_rows, 'row has')} no columns")
    yield from file.iter_batches(batch_size=ARROW_ROWS, use_threads=False)  # each thread would keep memory of its own


_READERS: dict[str, Callable[[Path, Path, str, FileOptions], Rows]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".txt": _txt,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
}
