"""Reading: the rows of a table as they stand, in a plan's columns, to be compared with the source's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from halocline.batch import JSON
from halocline.connector import Plan
from halocline.connectors.duckdb.client import Cursor
from halocline.connectors.duckdb.tables import FULL_SYNC, Table, check_kind
from halocline.connectors.duckdb.types import sql_type
from halocline.errors import NotFound, SchemaConflict
from halocline.schema import Column
from halocline.standard_sql import quoted
from halocline.versions import VALID_TO

_BATCH_ROWS = 20_000


def read_rows(cursor: Cursor, table: Table, *, plan: Plan, keys: Sequence[JSON] | None = None) -> Iterator[pa.RecordBatch]:
    """See `Destination.rows`.

    Raises: SchemaConflict for a column of another type, NotFound for a table without its key column, Refused for a history where
    the plan says plain rows, and the other way round.
    """
    check_kind(table, plan)
    columns = ", ".join(_value(table, column) for column in plan.schema)
    conditions = [f"{quoted(VALID_TO)} IS NULL"] if plan.history else []
    values: list[object] = []
    for name in plan.key if keys is not None else ():
        conditions.append(f"{quoted(name)} IN (SELECT unnest(?))")
        values.append(list(keys or ()))
    for name in plan.key:
        if table.type_of(name) is None:
            raise NotFound(f"Reading {table.label}", f"the table has no key column {name!r}", hint=FULL_SYNC)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    asked = cursor.sql(f"SELECT {columns} FROM {table.sql}{where}", params=values)
    wanted = plan.schema.arrow
    reader: pa.RecordBatchReader = asked.to_arrow_reader(_BATCH_ROWS)
    for rows in reader:
        yield rows.cast(wanted)


def _value(table: Table, column: Column) -> str:
    """The SQL expression for a column's values; JSON as text.

    Raises: SchemaConflict for another type than a load would make.
    """
    there, name = table.type_of(column.name), quoted(column.name)
    if there is None:
        return f"CAST(NULL AS {sql_type(column)}) AS {name}"
    if there != sql_type(column):
        cause = f"the column {column.name} is {there} there, and would have to be {sql_type(column)} now"
        raise SchemaConflict(f"Reading {table.label}", cause, hint=FULL_SYNC, column=column.name)
    return f"CAST({name} AS VARCHAR) AS {name}" if there == "JSON" else f"{name} AS {name}"
