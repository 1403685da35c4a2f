"""Replace: a full load takes a table's place.

prepared   the side table, filled by the parts, is counted and settled, before anything is locked
swapped    in one transaction the old table goes, and the side table gets its name and its grants
in place   where something depends on the table or belongs to it, it stays: in one transaction rows that are no longer there
are deleted, others updated and inserted (all deleted and inserted where no key tells them apart); nobody's view, trigger, index
or column is lost
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from halocline.batch import Op
from halocline.connector import Deletes, Plan
from halocline.connectors.postgres.attached import attached, grants
from halocline.connectors.postgres.client import Cursor, Database, number, one, rows, touched
from halocline.connectors.postgres.exact import differs, refuse_long_texts, refuse_lost
from halocline.connectors.postgres.identity import equal, refuse_repeats, refuse_shared_keys
from halocline.connectors.postgres.staging import Piece, Stage, deduplicate, examine, highest, settle_pieces
from halocline.connectors.postgres.tables import Table, add_key, check_kind, is_empty, listed, widen
from halocline.connectors.postgres.types import holds, sql_type
from halocline.errors import SchemaConflict, Stop
from halocline.guards import refuse_loss
from halocline.outcome import Counts
from halocline.quantity import quantity
from halocline.standard_sql import quoted
from halocline.standing_table import check_kept


@dataclass(frozen=True, slots=True)
class Side:
    """A side table that is ready to be published: rows, live rows among them, and what becomes of all that was staged."""

    table: Table
    live: int
    counts: Counts


def prepare(database: Database, stage: Stage, *, plan: Plan, pieces: Sequence[Piece]) -> Side:
    """Count and settle the side table, in transactions of their own.

    Raises: SchemaConflict when live records share a key; Truncated.
    """
    with database.transaction() as cursor:
        deletions = settle_pieces(cursor, stage.gone, pieces=[piece for piece in pieces if piece.op is Op.DELETE])
        look = f"SELECT count(*), {_live(plan)}, {highest(plan)} FROM {stage.rows.sql}"
        staged = settle_pieces(cursor, stage.rows, pieces=[piece for piece in pieces if piece.op is Op.UPSERT])
        kept, live, found = rows(cursor, look)[0]
        if _settle(cursor, stage.rows, plan) or deletions:
            _apply_deletions(cursor, stage, plan)
            kept, live, _ = rows(cursor, look)[0]
    stamp = None if found is None else str(found)
    return Side(stage.rows, int(live), Counts(inserted=int(kept), unchanged=staged + deletions - int(kept), highest=stamp))


def publish(cursor: Cursor, table: Table, *, side: Side, plan: Plan) -> tuple[str, ...]:
    """Put the side table's rows in the place of the table's, which is locked; why the table itself stayed, where it did.

    Raises: Refused when an empty answer would replace rows, or one that lacks more than the plan's share of them;
    SchemaConflict when a table that has to stay cannot take the rows; Stop when a trigger or rule of it kept one out.
    """
    check_kind(table, plan)
    if not table.exists:
        _rename(cursor, table, side)
        return ()
    _refuse_loss(cursor, table, side, plan=plan)
    reasons = attached(cursor, table, key=plan.key) + tuple(f"its column {name}" for name in table.only_here(plan.schema))
    if not reasons:
        reasons = _swap(cursor, table, side)
    if reasons:
        _refill(cursor, table, side, plan=plan)
    return reasons


def _settle(cursor: Cursor, side: Table, plan: Plan) -> bool:
    """One row for each key, which the primary key sees to; none that is marked as deleted, unless such rows are wanted.

    Whether any row went.
    """
    flags = [listed([name]) for name in plan.flag_columns]
    keyed = _keyed(cursor, side, plan)
    gone = 0
    if not keyed:
        examine(cursor, side, plan=plan)
        refuse_repeats(cursor, side, plan=plan)
        refuse_shared_keys(cursor, side, plan=plan)
        gone += deduplicate(cursor, side, plan=plan, last=[f"{name} NULLS FIRST" for name in flags])
    if flags and plan.deletes is not Deletes.SOFT:
        gone += touched(cursor, f"DELETE FROM {side.sql} WHERE {flags[0]}")
    if not keyed:
        add_key(cursor, side, key=plan.key)
    return gone > 0


def _keyed(cursor: Cursor, side: Table, plan: Plan) -> bool:
    """Whether the key could be made: building its index is the cheapest way to find what repeats or has none."""
    try:
        with cursor.connection.transaction():
            add_key(cursor, side, key=plan.key)
    except (psycopg.errors.UniqueViolation, psycopg.errors.NotNullViolation):
        return False
    return True


def _apply_deletions(cursor: Cursor, stage: Stage, plan: Plan) -> None:
    """Apply deletions newer than the row that was read; without a stamp, the row wins."""
    for name in plan.cursor_columns:
        stamp, key = listed([name]), listed(plan.key)
        source = f"(SELECT {key}, max({stamp}) AS {stamp} FROM {stage.gone.sql} GROUP BY {key}) s"
        hit = f"{equal(plan.key)} AND s.{stamp} > t.{stamp}"
        if plan.deletes is Deletes.HARD:
            cursor.execute(f"DELETE FROM {stage.rows.sql} t USING {source} WHERE {hit}")
        for flag in map(quoted, _lower(plan.flag_columns) if plan.deletes is Deletes.SOFT else ()):
            sets = f"{flag} = true, {stamp} = s.{stamp}"
            cursor.execute(f"UPDATE {stage.rows.sql} t SET {sets} FROM {source} WHERE {hit} AND t.{flag} IS NOT TRUE")


def _lower(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _live(plan: Plan, table: Table | None = None) -> str:
    """The SQL expression that counts rows which are not marked as deleted."""
    flags = [name for name in plan.flag_columns if table is None or table.type_of(name) == "boolean"]
    return f"count(*) FILTER (WHERE {listed(flags)} IS NOT TRUE)" if flags else "count(*)"


def _refuse_loss(cursor: Cursor, table: Table, side: Side, *, plan: Plan) -> None:
    if plan.allow_empty or (side.live and plan.allow_replace):
        return  # what is allowed need not be counted
    old = number(cursor, f"SELECT {_live(plan, table)} FROM {table.sql}")
    refuse_loss(table.label, plan, old=old, new=side.live)


def _swap(cursor: Cursor, table: Table, side: Side) -> tuple[str, ...]:
    """Drop the table and give its name to the side table; why that cannot be, if something nobody thought of depends on it."""
    wanted = grants(cursor, table, heir=side.table)
    try:
        with cursor.connection.transaction():
            cursor.execute(f"DROP TABLE {table.sql}")
    except psycopg.errors.DependentObjectsStillExist as error:
        return (error.diag.message_detail or "something depends on it",)
    for statement in wanted:
        cursor.execute(statement)
    _rename(cursor, table, side)
    return ()


def _rename(cursor: Cursor, table: Table, side: Side) -> None:
    sql = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::regclass AND indisprimary"
    index = rows(cursor, sql, values=(side.table.sql,))
    cursor.execute(f"ALTER TABLE {side.table.sql} RENAME TO {quoted(table.name)}")
    name = f"{table.name.encode()[:58].decode(errors='ignore')}_pkey"
    if index and one(cursor, "SELECT to_regclass($1)", values=(quoted(table.schema, name),)) is None:
        cursor.execute(f"ALTER INDEX {index[0][0]} RENAME TO {quoted(name)}")


def _refill(cursor: Cursor, table: Table, side: Side, *, plan: Plan) -> None:
    """Make the table's rows those of the side table. Columns that only the table has keep their values by key."""
    doing = f"Replacing {table.label}"
    check_kept(table, plan, doing=doing)
    refuse_long_texts(cursor, table, stage=side.table, plan=plan, doing=doing)
    if plan.key:
        # The planner would take it for a small table, and join row by row. It joins by nothing but the key, and to look at
        # columns of JSON takes longer than to fill them.
        cursor.execute(f"ANALYZE {side.table.sql} ({listed(plan.key)})")
    _retype(cursor, table, plan)
    widen(cursor, table, schema=plan.schema)
    names = listed(plan.schema.names)
    if plan.key:
        _by_key(cursor, table, side, plan=plan)
    else:
        cursor.execute(f"DELETE FROM {table.sql}")
        cursor.execute(f"INSERT INTO {table.sql} ({names}) SELECT {names} FROM {side.table.sql}")
    there = number(cursor, f"SELECT count(*) FROM {table.sql}")
    if there != side.counts.inserted:
        cause = f"{quantity(side.counts.inserted, 'row was')} to be there, {there:,} are (a trigger or rule of the table?)"
        raise Stop(doing, cause, hint="Nothing was published.")
    if plan.key:
        refuse_lost(cursor, table, stage=side.table, plan=plan, live="true", doing=doing)
    cursor.execute(f"DROP TABLE {side.table.sql}")


def _by_key(cursor: Cursor, table: Table, side: Side, *, plan: Plan) -> None:
    """Delete the rows that are no longer there, update those that differ, and insert the others."""
    same_key = equal(plan.key)
    cursor.execute(f"DELETE FROM {table.sql} t WHERE NOT EXISTS (SELECT 1 FROM {side.table.sql} s WHERE {same_key})")
    if frozenset(_lower(plan.key)) not in table.unique:
        ranked = f"SELECT ctid, row_number() OVER (PARTITION BY {listed(plan.key)}) AS n FROM {table.sql}"
        cursor.execute(f"DELETE FROM {table.sql} WHERE ctid IN (SELECT ctid FROM ({ranked}) r WHERE n > 1)")
    others = [name for name in _lower(plan.schema.names) if name not in _lower(plan.key)]
    if others:
        sets = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in others)
        where = f"WHERE {same_key} AND {differs(plan, 's')}"
        cursor.execute(f"UPDATE {table.sql} t SET {sets} FROM {side.table.sql} s {where}")
    names = listed(plan.schema.names)
    absent = f"NOT EXISTS (SELECT 1 FROM {table.sql} t WHERE {same_key})"
    cursor.execute(f"INSERT INTO {table.sql} ({names}) SELECT {names} FROM {side.table.sql} s WHERE {absent}")


def _retype(cursor: Cursor, table: Table, plan: Plan) -> None:
    """Give columns that cannot hold the new values their new type; all values are written anew.

    Raises: SchemaConflict for the key: rows that nothing can be found by would have to go, and all that hangs on them.
    """
    keys = set(_lower(plan.key))
    for column in plan.schema:
        there = table.type_of(column.name)
        if there is None or holds(there, column):
            continue
        name = listed([column.name])
        if column.name.lower() in keys and not is_empty(cursor, table):
            cause = f"the key {column.name} is {there} there, and would have to be {sql_type(column)} now"
            hint = "Change its type by hand, or drop what hangs on the table (or the table), and run again."
            raise SchemaConflict(f"Replacing {table.label}", cause, hint=hint, column=column.name)
        cursor.execute(f"ALTER TABLE {table.sql} ALTER COLUMN {name} DROP DEFAULT")
        cursor.execute(f"ALTER TABLE {table.sql} ALTER COLUMN {name} TYPE {sql_type(column)} USING NULL")
