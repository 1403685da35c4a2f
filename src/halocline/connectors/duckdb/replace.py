"""Replace: a new table is filled and counted beside the old one, and takes its place, inside the cursor's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from halocline.batch import Op
from halocline.connector import Deletes, Plan
from halocline.connectors.duckdb.client import Cursor, number
from halocline.connectors.duckdb.identity import refuse_repeats, refuse_shared_keys
from halocline.connectors.duckdb.staging import Found, deduplicate, examine, fill
from halocline.connectors.duckdb.tables import Table, check_kind, create, indexes
from halocline.connectors.duckdb.types import sql_type
from halocline.guards import refuse_loss
from halocline.outcome import Counts
from halocline.spooled import StagedFile
from halocline.standard_sql import quoted
from halocline.standing_table import check_kept

_DELETED = quoted("temp", "main", "_halocline_deleted")


def replace(cursor: Cursor, table: Table, *, plan: Plan, files: Sequence[StagedFile]) -> Counts:
    """Fill a new table from the files and put it in the place of the old one, whose types may differ.

    Columns that only the old table has are kept, with their values by key. Views on the table go on working; its
    indexes are made again. Constraints, defaults and comments that somebody added to the old table are not carried over,
    and a table that a foreign key points to cannot be replaced.
    Raises: SchemaConflict when live records share a key; Truncated; Refused when an empty answer would replace rows, or one
    that lacks more than the plan's share of them.
    """
    check_kind(table, plan)
    side = table.beside("side")
    create(cursor, side, schema=plan.schema)
    staged = fill(cursor, side.sql, files=[file for file in files if file.op is Op.UPSERT], schema=plan.schema, constants={})
    found = examine(cursor, side.sql, plan=plan)
    _settle(cursor, side, plan, found=found)
    deletions = _apply_deletions(cursor, side, plan, files=[file for file in files if file.op is Op.DELETE])
    kept = number(cursor, f"SELECT count(*) FROM {side.sql}")
    if table.exists:
        refuse_loss(table.label, plan, old=_live(cursor, table, plan), new=_live(cursor, side, plan))
        side = _with_extra(cursor, table, side, plan=plan)
    _swap(cursor, table, side)
    return Counts(inserted=kept, unchanged=staged + deletions - kept, highest=found.highest)


def _settle(cursor: Cursor, side: Table, plan: Plan, *, found: Found) -> None:
    """One row for each key; none that is marked as deleted, unless such rows are wanted."""
    flags = [quoted(name) for name in plan.flag_columns]
    if found.repeats:
        refuse_repeats(cursor, side.sql, plan=plan)
        refuse_shared_keys(cursor, side.sql, plan=plan)
        deduplicate(cursor, side.sql, plan=plan, last=[f"{name} NULLS FIRST" for name in flags])
    if flags and plan.deletes is not Deletes.SOFT:
        cursor.execute(f"DELETE FROM {side.sql} WHERE {flags[0]}")


def _apply_deletions(cursor: Cursor, side: Table, plan: Plan, *, files: Sequence[StagedFile]) -> int:
    """Apply deletions newer than the row that was read, and return how many were staged."""
    if not files:
        return 0
    schema = plan.schema.select([*plan.key, *plan.cursor_columns])
    columns = ", ".join(f"{quoted(column.name)} {sql_type(column)}" for column in schema)
    cursor.execute(f"CREATE TEMP TABLE {_DELETED} ({columns})")
    staged = fill(cursor, _DELETED, files=files, schema=schema, constants={})
    for name in plan.cursor_columns:  # without a stamp, the row that was read wins
        _delete_older(cursor, side, plan, stamp=quoted(name))
    cursor.execute(f"DROP TABLE {_DELETED}")
    return staged


def _delete_older(cursor: Cursor, side: Table, plan: Plan, *, stamp: str) -> None:
    key = ", ".join(quoted(name) for name in plan.key)
    same_key = " AND ".join(f"d.{quoted(name)} = s.{quoted(name)}" for name in plan.key)
    source = f"(SELECT {key}, max({stamp}) AS {stamp} FROM {_DELETED} GROUP BY {key}) d"
    hit = f"{same_key} AND d.{stamp} > s.{stamp}"
    if plan.deletes is Deletes.HARD:
        cursor.execute(f"DELETE FROM {side.sql} s USING {source} WHERE {hit}")
    for flag in plan.flag_columns if plan.deletes is Deletes.SOFT else ():
        sets = f"{quoted(flag)} = true, {stamp} = d.{stamp}"
        cursor.execute(f"UPDATE {side.sql} s SET {sets} FROM {source} WHERE {hit} AND s.{quoted(flag)} IS NOT TRUE")


def _live(cursor: Cursor, table: Table, plan: Plan) -> int:
    """Rows that are not marked as deleted."""
    flags = [quoted(name) for name in plan.flag_columns if table.columns is None or table.type_of(name) == "BOOLEAN"]
    where = f" WHERE {flags[0]} IS NOT TRUE" if flags else ""
    return number(cursor, f"SELECT count(*) FROM {table.sql}{where}")


def _with_extra(cursor: Cursor, table: Table, side: Table, *, plan: Plan) -> Table:
    """The side table, with the columns that only the old table has and their values."""
    extra = table.only_here(plan.schema)
    if not extra:
        return side
    check_kept(table, plan, doing=f"Replacing {table.label}", extra=extra)
    wide = table.beside("wide")
    key = ", ".join(quoted(name) for name in plan.key)
    kept = ", ".join(f"any_value({quoted(name)}) AS {quoted(name)}" for name in extra)
    values = ", ".join(f"o.{quoted(name)}" for name in extra)
    cursor.execute(
        f"CREATE TABLE {wide.sql} AS SELECT s.*, {values} FROM {side.sql} s"
        f" LEFT JOIN (SELECT {key}, {kept} FROM {table.sql} GROUP BY {key}) o USING ({key})"
    )
    cursor.execute(f"DROP TABLE {side.sql}")
    return wide


def _swap(cursor: Cursor, table: Table, side: Table) -> None:
    made = indexes(cursor, table) if table.exists else []
    if table.exists:
        cursor.execute(f"DROP TABLE {table.sql}")
    cursor.execute(f"ALTER TABLE {side.sql} RENAME TO {quoted(table.name)}")
    if made:
        cursor.execute(f"USE {quoted(table.catalog, table.schema)}")  # the stored statements name no catalog
    for statement in made:
        cursor.execute(statement)
