"""Alteration: the columns of a standing table made as a plan wants them.

DDL commits by itself, and so before the rows that fill a new column. So each position of the table notes such columns first: if
the run dies between the two, the flow's next run takes them for lost, and reads all rows for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from halocline.connector import Lease
from halocline.connectors.snowflake import positions
from halocline.connectors.snowflake.client import Cursor, Database, transaction
from halocline.connectors.snowflake.tables import Table, defined, listed, make
from halocline.schema import Column, Schema


def alter(cursor: Cursor, database: Database, *, table: Table, schema: Schema, lease: Lease, anew: Sequence[Column] = ()) -> None:
    """Make the table, or the columns that it lacks; those of `anew`, which it has with another type, are dropped and made anew.

    All of them are empty until rows are published. A run that was overtaken ends before it changes anything.
    Raises: LeaseLost.
    """
    if not table.exists:
        make(cursor, table, schema=schema)
        return
    empty = [*table.missing(schema), *anew]
    if not empty:
        return
    with transaction(cursor):
        positions.check(cursor, database, lease=lease, hold=True)
        positions.note_unfilled(cursor, database, table=table, columns=[table.cased(column.name) for column in empty])
    for column in anew:
        cursor.execute(f"ALTER TABLE {table.sql} DROP COLUMN {listed([column.name])}")
    for column in empty:
        cursor.execute(f"ALTER TABLE {table.sql} ADD COLUMN {defined(column)}")
