"""Staging: the rows of a load in a temporary table of the commit's connection, and what can be said of them there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from halocline import identity
from halocline.batch import Op
from halocline.connector import Plan
from halocline.connectors.sqlite.client import number, touched
from halocline.connectors.sqlite.types import sql_type, values_of
from halocline.identity import keyless, repeated, shared_key
from halocline.schema import Schema
from halocline.spooled import StagedFile
from halocline.standard_sql import listed, quoted

STAGE = "temp._halocline_stage"
GONE = "_halocline_delete"
ROW = "_halocline_row"
"""The staged rows, deletions marked in the column GONE, each with its number: a column of the source may hide SQLite's own."""

_AT_ONCE = 10_000  # rows that are Python values at one time


@dataclass(frozen=True, slots=True)
class Staged:
    """What was staged: rows and deletions together, how many of them repeat a key, the greatest cursor value of the rows."""

    rows: int
    repeats: int
    highest: str | None


def stage(connection: sqlite3.Connection, plan: Plan, *, files: Sequence[StagedFile]) -> Staged:
    """Bring the files into STAGE.

    Raises: Truncated when a file holds fewer or more rows than announced, SchemaConflict for a row without key, or a value that
    its column cannot hold.
    """
    columns = ", ".join(f"{quoted(column.name)} {sql_type(column)}" for column in plan.schema)
    connection.execute(f"CREATE TABLE {STAGE} ({columns}, {GONE} BOOLEAN, {ROW} INTEGER PRIMARY KEY)")
    for file in files:
        schema = plan.schema.select(file.columns)
        names = ", ".join([*map(quoted, schema.names), GONE])
        marks = f"{'?, ' * len(schema)}{int(file.op is Op.DELETE)}"
        connection.executemany(f"INSERT INTO {STAGE} ({names}) VALUES ({marks})", _rows(file, schema))
    return _examined(connection, plan)


def same_key(plan: Plan, *, of: str) -> str:
    """The condition that two rows have one key; `of` are the two letters that stand for them."""
    one, other = list(of)
    return " AND ".join(f"{one}.{quoted(name)} = {other}.{quoted(name)}" for name in plan.key)


def deduplicate(connection: sqlite3.Connection, plan: Plan, *, rows_only: str = "true") -> int:
    """Delete all but one staged row of each key, and return how many went: the newest stamp stays, of equal ones a live row."""
    key = ", ".join(map(quoted, plan.key))
    order = [f"{quoted(name)} DESC NULLS LAST" for name in plan.cursor_columns]
    order += [GONE, *(f"{quoted(name)} NULLS FIRST" for name in plan.flag_columns)]
    rank = f"row_number() OVER (PARTITION BY {key} ORDER BY {', '.join(order)})"
    ranked = f"SELECT {ROW}, {rank} AS n FROM {STAGE} WHERE {rows_only}"
    return touched(connection, f"DELETE FROM {STAGE} WHERE {ROW} IN (SELECT {ROW} FROM ({ranked}) WHERE n > 1)")


def refuse_repeats(connection: sqlite3.Connection, plan: Plan) -> None:
    """Hold staged rows to the source's promise of each record once; what arrived twice came in place of something else.

    Raises: Truncated when a record is there twice.
    """
    if plan.once and plan.schema.key:
        own = ", ".join(map(quoted, plan.schema.key))
        rows = number(connection, f"SELECT count(*) FROM {STAGE} WHERE NOT {GONE}")
        different = number(connection, f"SELECT count(*) FROM (SELECT DISTINCT {own} FROM {STAGE} WHERE NOT {GONE})")
        if rows != different:
            raise repeated(plan, rows - different)


def refuse_shared_keys(connection: sqlite3.Connection, plan: Plan) -> None:
    """Hold staged rows against each other; records marked as deleted may share a key with a live one.

    Raises: SchemaConflict when several live records have one key, which is not the source's own.
    """
    if not plan.own_key:
        return
    key = ", ".join(map(quoted, plan.key))
    both = ", ".join(map(quoted, dict.fromkeys((*plan.key, *plan.own_key))))
    alive = " AND ".join([f"NOT {GONE}", *(f"{quoted(name)} IS NOT TRUE" for name in plan.flag_columns)])
    records = f"SELECT DISTINCT {both} FROM {STAGE} WHERE {alive}"
    sql = f"SELECT {key}, count(*) AS n FROM ({records}) GROUP BY {key} HAVING n > 1 ORDER BY n DESC, {key} LIMIT 1"
    for *values, count in connection.execute(sql).fetchall():
        raise shared_key(plan, values, records=count)


def refuse_moved_keys(connection: sqlite3.Connection, plan: Plan, *, into: str) -> None:
    """See `identity.refuse_moved_keys`."""
    identity.refuse_moved_keys(plan, STAGE, table=into, count=partial(number, connection), listed=listed)


def _rows(file: StagedFile, schema: Schema) -> Iterator[tuple[object, ...]]:
    for batch in file.batches():
        for start in range(0, batch.num_rows, _AT_ONCE):
            piece: pa.RecordBatch = batch.slice(start, _AT_ONCE)
            yield from zip(*(values_of(piece.column(column.name), column) for column in schema), strict=True)


def _examined(connection: sqlite3.Connection, plan: Plan) -> Staged:
    rows = number(connection, f"SELECT count(*) FROM {STAGE}")
    repeats = 0
    if plan.key:
        key = ", ".join(map(quoted, plan.key))
        nameless = number(
            connection, f"SELECT count(*) FROM {STAGE} WHERE {' OR '.join(f'{quoted(k)} IS NULL' for k in plan.key)}"
        )
        if nameless:
            raise keyless(plan, nameless)
        schema, _, name = STAGE.partition(".")
        connection.execute(f"CREATE INDEX {schema}._halocline_stage_key ON {name} ({key})")
        repeats = rows - number(connection, f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM {STAGE})")
    highest = None
    for name in plan.cursor_columns:
        ((highest,),) = connection.execute(f"SELECT max({quoted(name)}) FROM {STAGE} WHERE NOT {GONE}").fetchall()
    return Staged(rows, repeats, None if highest is None else str(highest))
