"""Replace: a full load takes the place of a table's rows.

prepared   the side table, a temporary one, is filled, settled and counted; the table gets the columns that it lacks
published  in one transaction `INSERT OVERWRITE` puts the side table's rows in the place of the table's, with the position. The
           table stays what it is, and so do its grants, views, policies and streams
by key     where the table has columns of its own, rows that are gone are deleted, changed ones updated, new ones inserted, and
           the columns keep their values

Source: "INSERT" (OVERWRITE), https://docs.snowflake.com/en/sql-reference/sql/insert, read November 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from halocline.batch import Op
from halocline.connector import Deletes, Lease, Plan
from halocline.connectors.snowflake.alteration import alter
from halocline.connectors.snowflake.client import Cursor, Database, number, rows, touched, transaction
from halocline.connectors.snowflake.identity import equal, refuse_repeats, refuse_shared_keys
from halocline.connectors.snowflake.merge import Work, refuse_long_texts, values
from halocline.connectors.snowflake.staging import Piece, Place, Stage, deleting, examine, fill
from halocline.connectors.snowflake.tables import Table, clashes, count, described, listed
from halocline.connectors.snowflake.types import sql_type
from halocline.errors import NotFound, SchemaConflict, Stop
from halocline.guards import refuse_loss
from halocline.outcome import Counts
from halocline.quantity import quantity
from halocline.staged import Found

_REFILL = "Rename or drop the table's own columns, or the table, and run again."


@dataclass(frozen=True, slots=True)
class Side:
    """A side table that is ready to be published: live rows in it, and what becomes of all that was staged."""

    table: Table
    live: int
    counts: Counts


def prepare(cursor: Cursor, *, plan: Plan, stage: Stage, place: Place, pieces: Sequence[Piece]) -> Side:
    """Fill, settle and count the side table.

    Raises: SchemaConflict when live records share a key; Truncated.
    """
    stage.make(cursor, plan, pieces=pieces)
    gone, deletions, side = deleting(pieces), 0, stage.rows
    with transaction(cursor):
        fill(cursor, side, place=place, pieces=[piece for piece in pieces if piece.op is Op.UPSERT])
        if gone:
            deletions = fill(cursor, stage.gone, place=place, pieces=gone)
        found = examine(cursor, side, plan=plan)
        kept = live = 0
        if found.repeats:
            refuse_repeats(cursor, side, plan=plan)
            refuse_shared_keys(cursor, side, plan=plan)
        else:
            kept, live = _settled(cursor, side, stage, plan=plan, found=found, deletions=deletions)
    if found.repeats:
        stage.settle(cursor, plan)
        side = stage.settled
        with transaction(cursor):
            kept, live = _settled(cursor, side, stage, plan=plan, found=found, deletions=deletions)
    counts = Counts(inserted=kept, unchanged=found.rows + deletions - kept, highest=found.highest)
    return Side(side, live, counts)


def make_room(cursor: Cursor, database: Database, *, table: Table, side: Side, plan: Plan, lease: Lease) -> bool:
    """All that DDL has to do before the side table's rows can be published; whether a column got another type.

    A column of another type is dropped and made anew, because Snowflake changes few types in place. Until the rows are published
    it is empty, and the run after one that dies here reads everything.
    Source: "ALTER TABLE ... ALTER COLUMN", https://docs.snowflake.com/en/sql-reference/sql/alter-table-column (unverified).
    Raises: LeaseLost; SchemaConflict or NotFound when the table's own columns could not be kept; Refused as `publish`.
    """
    table = described(cursor, table)  # now: the copying took its time, and DDL on what is no longer true would do harm
    strange = clashes(table, plan.schema)
    refuse_long_texts(cursor, table, stage=side.table, plan=plan)
    if table.exists and (strange or table.missing(plan.schema) or table.only_here(plan.schema)):  # else `publish` is the first
        _refuse_loss(cursor, table, side, plan=plan)
        _refuse_doubles(cursor, table, plan)
    alter(cursor, database, table=table, schema=plan.schema, lease=lease, anew=strange)
    return bool(strange)


def publish(cursor: Cursor, table: Table, *, side: Side, plan: Plan) -> bool:
    """Put the side table's rows in the place of the table's, in the cursor's transaction; whether that was done by key.

    Raises: Refused when an empty answer would replace rows, or one that lacks more than the plan's share of them; Stop when the
    table holds another number of rows afterwards.
    """
    table = described(cursor, table)
    _refuse_loss(cursor, table, side, plan=plan)
    by_key = bool(table.only_here(plan.schema))
    if by_key:
        _refill(cursor, table, side, plan=plan)
        there = count(cursor, table)
    else:
        rows_of = f"SELECT {values(plan)} FROM {side.table.sql}"
        there = touched(cursor, f"INSERT OVERWRITE INTO {table.sql} ({listed(plan.schema.names)}) {rows_of}")["inserted"]
    if there != side.counts.inserted:
        cause = f"{quantity(side.counts.inserted, 'row was')} to be there, {there:,} are"
        raise Stop(f"Replacing {table.label}", cause, hint="Nothing was published.")
    return by_key


def _settled(cursor: Cursor, side: Table, stage: Stage, *, plan: Plan, found: Found, deletions: int) -> tuple[int, int]:
    """Take the deleted rows out of the side table, in the cursor's transaction; how many rows it has then, and how many live."""
    if not (deletions or found.repeats):
        live = found.rows - found.flagged
        if plan.deletes is Deletes.SOFT or not found.flagged:
            return found.rows, live
    _drop_flagged(cursor, side, plan)
    if deletions:
        _apply_deletions(cursor, side, stage, plan=plan)
    kept, alive = rows(cursor, f"SELECT count(*), {_live(plan)} FROM {side.sql}")[0]
    return int(kept), int(alive or 0)


def _drop_flagged(cursor: Cursor, side: Table, plan: Plan) -> None:
    """Rows that are marked as deleted go, unless such rows are wanted."""
    for name in plan.flag_columns if plan.deletes is not Deletes.SOFT else ():
        cursor.execute(f"DELETE FROM {side.sql} WHERE {listed([name])}")


def _apply_deletions(cursor: Cursor, side: Table, stage: Stage, *, plan: Plan) -> None:
    """Apply deletions newer than the row that was read; without a stamp, the row wins."""
    for name in plan.cursor_columns:
        stamp, key = listed([name]), listed(plan.key)
        newest = f"SELECT {key}, max({stamp}) AS {stamp} FROM {stage.gone.sql} GROUP BY {key}"
        start = f"MERGE INTO {side.sql} t USING ({newest}) s ON {equal(plan.key)} WHEN MATCHED AND s.{stamp} > t.{stamp}"
        if plan.deletes is Deletes.HARD:
            cursor.execute(f"{start} THEN DELETE")
        for flag in map(_one, plan.flag_columns if plan.deletes is Deletes.SOFT else ()):
            cursor.execute(f"{start} AND NOT COALESCE(t.{flag}, FALSE) THEN UPDATE SET {flag} = TRUE, {stamp} = s.{stamp}")


def _one(name: str) -> str:
    return listed([name])


def _live(plan: Plan, table: Table | None = None) -> str:
    """The SQL expression that counts rows which are not marked as deleted."""
    flags = [name for name in plan.flag_columns if table is None or table.type_of(name) == "BOOLEAN"]
    return f"COUNT_IF(NOT COALESCE({listed(flags)}, FALSE))" if flags else "count(*)"


def _refuse_loss(cursor: Cursor, table: Table, side: Side, *, plan: Plan) -> None:
    old = number(cursor, f"SELECT {_live(plan, table)} FROM {table.sql}")
    refuse_loss(table.label, plan, old=old, new=side.live)


def _refuse_doubles(cursor: Cursor, table: Table, plan: Plan) -> None:
    """A table with columns of its own is refreshed by key, so it has to have one, which stays as it is."""
    if not table.only_here(plan.schema):
        return
    doing = f"Replacing {table.label}"
    for name in plan.key:
        if table.type_of(name) is None:
            raise NotFound(doing, f"the table has no key column {name!r} to keep its own columns by", hint=_REFILL)
    for column in clashes(table, plan.schema.select(plan.key)):
        kinds = f"is {table.type_of(column.name)} there, and would have to be {sql_type(column)} now"
        cause = f"the table has columns of its own, which are kept by key, and its key column {column.name} {kinds}"
        raise SchemaConflict(doing, cause, hint=_REFILL, column=column.name)
    if rows(cursor, f"SELECT 1 FROM {table.sql} GROUP BY {listed(plan.key)} HAVING count(*) > 1 LIMIT 1"):
        cause = f"the table has columns of its own, and several rows of one key ({', '.join(plan.key)})"
        raise SchemaConflict(doing, cause, hint=f"Delete the doubles. {_REFILL}")


def _refill(cursor: Cursor, table: Table, side: Side, *, plan: Plan) -> None:
    """Make the table's rows those of the side table. Columns that only the table has keep their values."""
    lost = " AND ".join(f"{listed([name], 's')} IS NULL" for name in plan.key)
    gone = f"SELECT DISTINCT {listed(plan.key, 't')} FROM {table.sql} t LEFT JOIN {side.table.sql} s ON {equal(plan.key)}"
    same = " AND ".join(f"{listed([name], 't')} IS NOT DISTINCT FROM {listed([name], 's')}" for name in plan.key)
    cursor.execute(f"MERGE INTO {table.sql} t USING ({gone} WHERE {lost}) s ON {same} WHEN MATCHED THEN DELETE")
    cursor.execute(Work(table, side.table, replace(plan, deletes=Deletes.SOFT)).upsert())
