"""Staging: how files of rows that a load put aside are read into a table, and what is then there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from halocline.connector import Plan
from halocline.connectors.duckdb.client import Cursor, number, rows
from halocline.connectors.duckdb.load import CSV
from halocline.connectors.duckdb.row_numbers import hides_number
from halocline.connectors.duckdb.types import csv_type, csv_value
from halocline.errors import Truncated
from halocline.identity import keyless
from halocline.quantity import quantity
from halocline.schema import Kind, Schema
from halocline.spooled import StagedFile
from halocline.standard_sql import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Longest record of a CSV file. A Salesforce record holds 400,000 characters: 3.2 MB at four bytes each, all quotes doubled.

Source: "Bulk API and Bulk API 2.0 Limits and Allocations" (maximum characters per record), Salesforce Developer Limits
Quick Reference. DuckDB's own limit is 2 MB. A buffer of the same size costs no more memory than the default one (measured).
"""

STAGE = quoted("temp", "main", "_halocline_stage")
VERDICTS = quoted("temp", "main", "_halocline_verdicts")
GONE = "_halocline_delete"
"""The temporary tables of a merge: the staged rows, deletions marked in the column GONE, and what becomes of each."""

_FIRST = quoted("temp", "main", "_halocline_first")
_ARROW_VIEW = "_halocline_arrow"
_CSV_OPTIONS = (
    "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', nullstr = '', new_line = '\\n',"
    f" encoding = 'utf-8', max_line_size = {MAX_LINE_BYTES}, buffer_size = {MAX_LINE_BYTES}"
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a table of staged rows holds: rows, rows with a key, whether keys may repeat, the greatest cursor value."""

    rows: int
    keyed: int
    repeats: bool
    highest: str | None


def fill(cursor: Cursor, into: str, *, files: Sequence[StagedFile], schema: Schema, constants: Mapping[str, str]) -> int:
    """Insert the rows of `files` into the table `into`, and return how many there were.

    All files of a kind with the same columns are read by one statement. `constants` are further columns with one SQL
    value for all rows.
    Raises: Truncated when a file holds fewer or more rows than announced, SchemaConflict for a number that would be rounded.
    """
    loaded = 0
    for (kind, columns), group in groupby(sorted(files, key=_shape), key=_shape):
        chosen = schema.select(columns)
        read = _insert_csv if kind == CSV else _insert_arrow
        loaded += read(cursor, _Insert(into, chosen, columns, constants), [file.path for file in group])
    expected = sum(file.rows for file in files)
    if loaded != expected:
        cause = f"the files hold {quantity(loaded, 'row')}, and {expected:,} announced"
        raise Truncated("Loading the staged files", cause, hint="Run it again; nothing was published.", rows=loaded)
    return loaded


def examine(cursor: Cursor, table: str, *, plan: Plan, rows_only: str = "true") -> Found:
    """Look at staged rows. Keys are compared by a 64-bit hash: two that collide only cost a closer look.

    `rows_only` is the condition under which a row's cursor value counts as loaded.
    """
    key = [quoted(name) for name in plan.key]
    whole = " AND ".join(f"{name} IS NOT NULL" for name in key) or "true"
    distinct = f"count(DISTINCT hash({', '.join(key)})) FILTER ({whole})" if key else "count(*)"
    sql = f"SELECT count(*), count(*) FILTER ({whole}), {distinct}, {_stamp(plan, rows_only)} FROM {table}"
    total, keyed, different, highest = rows(cursor, sql)[0]
    found = Found(int(str(total)), int(str(keyed)), different != keyed, None if highest is None else str(highest))
    if found.keyed != found.rows:
        raise keyless(plan, found.rows - found.keyed)
    return found


def deduplicate(cursor: Cursor, table: str, *, plan: Plan, last: Sequence[str]) -> int:
    """Delete all but one row of each key, and return how many went: the newest stamp stays, then the least by `last`."""
    key = ", ".join(quoted(name) for name in plan.key)
    order = [f"{quoted(name)} DESC NULLS LAST" for name in plan.cursor_columns] + list(last)
    rank = f"row_number() OVER (PARTITION BY {key} ORDER BY {', '.join(order) or '1'})"
    if hides_number(plan.schema.names):
        return _keep_first(cursor, table, rank)
    return number(cursor, f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} QUALIFY {rank} > 1)")


def _keep_first(cursor: Cursor, table: str, rank: str) -> int:
    """As `deduplicate`, of rows that no number tells apart."""
    cursor.execute(f"CREATE TEMP TABLE {_FIRST} AS SELECT * FROM {table} QUALIFY {rank} = 1")
    before = number(cursor, f"DELETE FROM {table}")
    kept = number(cursor, f"INSERT INTO {table} SELECT * FROM {_FIRST}")
    cursor.execute(f"DROP TABLE {_FIRST}")
    return before - kept


@dataclass(frozen=True, slots=True)
class _Insert:
    """Insert the columns of `schema`, from files that hold `held`, and `constants`."""

    into: str
    schema: Schema
    held: tuple[str, ...]
    constants: Mapping[str, str]

    def sql(self, source: str, value: Callable[[str], str]) -> str:
        names = [*self.schema.names, *self.constants]
        values = [*(value(name) for name in self.schema.names), *self.constants.values()]
        return f"INSERT INTO {self.into} ({', '.join(map(quoted, names))}) SELECT {', '.join(values)} FROM {source}"


def _shape(file: StagedFile) -> tuple[str, tuple[str, ...]]:
    return file.kind, file.columns


def _insert_csv(cursor: Cursor, insert: _Insert, paths: Sequence[str]) -> int:
    known = {column.name.lower(): column for column in insert.schema}
    types = {name: csv_type(known[name.lower()]) if name.lower() in known else "VARCHAR" for name in insert.held}
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    names = ", ".join(literal(_no_glob(path)) for path in paths)
    source = f"read_csv([{names}], columns = {{{columns}}}, {_CSV_OPTIONS})"
    return number(cursor, insert.sql(source, lambda name: csv_value(known[name.lower()])))


def _insert_arrow(cursor: Cursor, insert: _Insert, paths: Sequence[str]) -> int:
    reader = pa.RecordBatchReader.from_batches(insert.schema.arrow, _batches(paths))
    cursor.register(_ARROW_VIEW, reader)
    try:
        return number(cursor, insert.sql(_ARROW_VIEW, quoted))
    finally:
        cursor.unregister(_ARROW_VIEW)


def _batches(paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pa.OSFile(path) as file, pa.ipc.open_stream(file) as stream:
            yield from stream


def _no_glob(path: str) -> str:
    """The path for `read_csv`, which takes `*`, `?` and `[` for patterns: each as a class of one character."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(Path(path)))


def _stamp(plan: Plan, rows_only: str) -> str:
    """The SQL expression for the greatest cursor value of the rows that fulfil a condition, as text."""
    for name in plan.cursor_columns:
        column = plan.schema.column(name)
        greatest = f"max({quoted(name)}) FILTER ({rows_only})"
        if column is not None and column.kind is Kind.DATETIME:
            return f"strftime({greatest}, '%Y-%m-%dT%H:%M:%S.%fZ')"
        return greatest
    return "NULL"
