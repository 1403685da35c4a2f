"""Replace: all rows of a table give way to the staged ones, inside the connection's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from halocline.connector import Deletes, Plan
from halocline.connectors.sqlite.client import number, touched
from halocline.connectors.sqlite.staging import GONE, STAGE, deduplicate, refuse_repeats, refuse_shared_keys, same_key, stage
from halocline.connectors.sqlite.tables import Table, expect, index, make, widen
from halocline.guards import refuse_loss
from halocline.outcome import Counts
from halocline.spooled import StagedFile
from halocline.standard_sql import quoted
from halocline.standing_table import check_kept

_KEPT = "temp._halocline_kept"


def replace(connection: sqlite3.Connection, table: Table, *, plan: Plan, files: Sequence[StagedFile]) -> Counts:
    """Put the staged rows in the place of the table's. A table whose types no longer fit is made anew.

    Columns that only the table has are kept, with their values by key; indexes, triggers and views go on working. A table that is
    made anew loses the constraints and defaults that somebody gave it.
    Raises: SchemaConflict when live records share a key; Truncated; Refused when an empty answer would replace rows, or one
    that lacks more than the plan's share of them.
    """
    staged = stage(connection, plan, files=files)
    if staged.repeats:
        refuse_repeats(connection, plan)
        refuse_shared_keys(connection, plan)
        deduplicate(connection, plan, rows_only=f"NOT {GONE}")
    _apply_deletions(connection, plan)
    kept = number(connection, f"SELECT count(*) FROM {STAGE} WHERE NOT {GONE}")
    if table.exists:
        refuse_loss(table.name, plan, old=_live(connection, table.sql, plan, table), new=_live(connection, STAGE, plan))
    extra = _keep(connection, table, plan) if table.exists else ()
    _empty(connection, table, plan, extra=extra)
    _fill(connection, table, plan, extra=extra, wanted=kept)
    for temporary in (_KEPT, STAGE):
        connection.execute(f"DROP TABLE IF EXISTS {temporary}")
    return Counts(inserted=kept, unchanged=staged.rows - kept, highest=staged.highest)


def _apply_deletions(connection: sqlite3.Connection, plan: Plan) -> None:
    """Leave no row that is marked as deleted, unless such rows are wanted; apply deletions newer than the row that was read."""
    if plan.deletes is not Deletes.SOFT:
        for flag in map(quoted, plan.flag_columns):
            connection.execute(f"DELETE FROM {STAGE} WHERE NOT {GONE} AND {flag}")
    for stamp in map(quoted, plan.cursor_columns if plan.key else ()):  # without a stamp, the row that was read wins
        newer = f"FROM {STAGE} d WHERE d.{GONE} AND {same_key(plan, of='ds')} AND d.{stamp} > s.{stamp}"
        hit = f"NOT s.{GONE} AND EXISTS (SELECT 1 {newer})"
        if plan.deletes is Deletes.HARD:
            connection.execute(f"DELETE FROM {STAGE} AS s WHERE {hit}")
        for flag in map(quoted, plan.flag_columns if plan.deletes is Deletes.SOFT else ()):
            sets = f"{flag} = true, {stamp} = (SELECT max(d.{stamp}) {newer})"
            connection.execute(f"UPDATE {STAGE} AS s SET {sets} WHERE {hit} AND s.{flag} IS NOT TRUE")


def _live(connection: sqlite3.Connection, rows: str, plan: Plan, table: Table | None = None) -> int:
    """Rows that are not marked as deleted."""
    flags = [quoted(name) for name in plan.flag_columns if table is None or table.type_of(name) == "BOOLEAN"]
    conditions = [f"{flag} IS NOT TRUE" for flag in flags] + ([f"NOT {GONE}"] if table is None else [])
    return number(connection, f"SELECT count(*) FROM {rows} WHERE {' AND '.join(conditions) or 'true'}")


def _keep(connection: sqlite3.Connection, table: Table, plan: Plan) -> tuple[str, ...]:
    """Save what the table holds in columns of its own, by key; their names.

    Raises: FixConfig where no key says to which row their values belong, NotFound where the table lacks it.
    """
    extra = table.only_here(plan.schema)
    if not extra:
        return ()
    check_kept(table, plan, doing=f"Replacing {table.name}", extra=extra)
    key, names = (", ".join(map(quoted, some)) for some in (plan.key, extra))
    connection.execute(f"CREATE TABLE {_KEPT} AS SELECT {key}, {names} FROM {table.sql} GROUP BY {key}")
    schema, _, name = _KEPT.partition(".")
    connection.execute(f"CREATE INDEX {schema}._halocline_kept_key ON {name} ({key})")
    return extra


def _empty(connection: sqlite3.Connection, table: Table, plan: Plan, *, extra: Sequence[str]) -> None:
    """Leave an empty table that has all columns, in the types of the plan."""
    if table.exists and table.misfit(plan.schema) is None:
        connection.execute(f"DELETE FROM {table.sql}")
        widen(connection, table, schema=plan.schema)
        return
    if table.exists:
        connection.execute(f"DROP TABLE {table.sql}")
    make(connection, table, schema=plan.schema, extra={name: str(table.type_of(name)) for name in extra})
    for statement in table.made_by:
        connection.execute(statement)
    index(connection, table, key=plan.key)


def _fill(connection: sqlite3.Connection, table: Table, plan: Plan, *, extra: Sequence[str], wanted: int) -> None:
    names = ", ".join(map(quoted, (*plan.schema.names, *extra)))
    values = ", ".join([f"s.{quoted(name)}" for name in plan.schema.names] + [f"k.{quoted(name)}" for name in extra])
    source = f"{STAGE} s LEFT JOIN {_KEPT} k ON {same_key(plan, of='sk')}" if extra else f"{STAGE} s"
    new = f"INSERT INTO {table.sql} ({names}) SELECT {values} FROM {source} WHERE NOT s.{GONE}"
    expect(table, touched(connection, new), wanted=wanted)
