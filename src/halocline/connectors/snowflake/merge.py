"""Merge: staged rows meet a table by key.

    remove   the table's row goes
    mark     a deletion without its row: the table's row gets its flag set and its stamp raised
    flag     as update, and the row is newly marked as deleted at the source
    update   the table's row differs in some column, and gets the staged row's values
    insert   the table has no row of that key
    absent   a row of the table that a complete read lacks: it gets its flag set, and keeps its stamp
    same     nothing to do

The first three are one MERGE, the next two another, `absent` a third: what each answers is what is told. Of the staged rows each
key has one, so that none is ambiguous. All that makes or changes a table is done before: DDL would commit the transaction.
Source: "Transactions" (DDL), https://docs.snowflake.com/en/sql-reference/transactions, and "MERGE" (duplicate join behavior),
https://docs.snowflake.com/en/sql-reference/sql/merge, read November 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halocline.batch import Op
from halocline.connector import Deletes, Lease, Plan
from halocline.connectors.snowflake.alteration import alter
from halocline.connectors.snowflake.client import Cursor, Database, number, rows, touched, transaction
from halocline.connectors.snowflake.identity import equal, refuse_moved_keys, refuse_repeats, refuse_shared_keys
from halocline.connectors.snowflake.staging import (
    GONE,
    Piece,
    Place,
    Stage,
    deleting,
    deletion_schema,
    examine,
    fill,
)
from halocline.connectors.snowflake.tables import Table, check_types, count, described, listed
from halocline.connectors.snowflake.types import longest
from halocline.errors import SchemaConflict
from halocline.guards import refuse_emptied, refuse_loss, refuse_mass_delete, refuse_unmarkable
from halocline.outcome import Counts
from halocline.quantity import quantity
from halocline.schema import Kind
from halocline.staged import Found
from halocline.standard_sql import quoted

_UNLIMITED = 16_777_216  # characters of a VARCHAR without a length; newer ones take more
_GONE = quoted(GONE)


@dataclass(frozen=True, slots=True)
class Changes:
    """Staged rows that are ready to be merged: one of each key in `rows`, deletions with their mark."""

    rows: Table
    found: Found
    gone: int


def make_room(cursor: Cursor, database: Database, *, table: Table, changes: Changes, plan: Plan, lease: Lease) -> None:
    """All that DDL has to do before the changes can be merged: the table gets the columns that it lacks.

    Raises: LeaseLost; SchemaConflict for a changed type.
    """
    table = described(cursor, table)  # now: the copying took its time
    check_types(table, plan, doing=f"Merging into {table.label}")
    if changes.found.rows:
        refuse_long_texts(cursor, table, stage=changes.rows, plan=plan)
    alter(cursor, database, table=table, schema=plan.schema, lease=lease)


def prepare(cursor: Cursor, *, plan: Plan, stage: Stage, place: Place, pieces: Sequence[Piece]) -> Changes:
    """Copy the files into temporary tables and settle them, deletions with their mark; no table is made where nothing was staged.

    Of several staged rows with one key the newest stamp wins; at equal stamps a row wins over a deletion.
    Raises: SchemaConflict for a chosen key that tells records badly apart; Truncated.
    """
    if not plan.complete and not any(piece.rows for piece in pieces):
        return Changes(stage.rows, Found(0, 0, repeats=False, highest=None), 0)
    deletions, gone = deleting(pieces), 0
    stage.make(cursor, plan, pieces=pieces)
    with transaction(cursor):
        fill(cursor, stage.rows, place=place, pieces=[piece for piece in pieces if piece.op is Op.UPSERT])
        if deletions:
            gone = fill(cursor, stage.gone, place=place, pieces=deletions)
            names = listed(deletion_schema(plan).names)
            cursor.execute(f"INSERT INTO {stage.rows.sql} ({names}, {_GONE}) SELECT {names}, TRUE FROM {stage.gone.sql}")
        found = examine(cursor, stage.rows, plan=plan)
        if found.repeats:
            refuse_repeats(cursor, stage.rows, plan=plan)
            refuse_shared_keys(cursor, stage.rows, plan=plan)
            _drop_covered(cursor, stage.rows, plan)
    if not found.repeats:
        return Changes(stage.rows, found, gone)
    stage.settle(cursor, plan)
    return Changes(stage.settled, found, gone)


def merge(cursor: Cursor, table: Table, *, plan: Plan, changes: Changes) -> Counts:
    """Merge settled rows into the table, in the cursor's transaction.

    A deletion older than the table's row is ignored. Rows that would not change are left alone. Those that a complete read lacks
    are flagged where deletes are soft.
    Raises: SchemaConflict for a chosen key that tells records badly apart; Refused for a mass delete, or a complete read that
    lacks too much.
    """
    if not changes.found.rows and not plan.complete:
        return Counts()
    if plan.own_key:
        refuse_moved_keys(cursor, changes.rows, table=described(cursor, table), plan=plan)
    _refuse_repeats_in(cursor, table, changes.rows, plan=plan)
    work = Work(table, changes.rows, plan)
    if plan.complete:
        _refuse_loss(cursor, work)
    deletions = _delete(cursor, work, changes)
    done = touched(cursor, work.upsert())
    if plan.concluded:
        refuse_emptied(table.label, plan, removed=deletions, left=count(cursor, table))
    return Counts(
        inserted=done["inserted"],
        updated=done["updated"],
        deleted=deletions,
        unchanged=changes.found.rows - done["inserted"] - done["updated"] - deletions,
        highest=changes.found.highest,
        vanished=_flag_absent(cursor, work) if plan.complete and plan.deletes is Deletes.SOFT else 0,
    )


def refuse_long_texts(cursor: Cursor, table: Table, *, stage: Table, plan: Plan) -> None:
    """Name the column whose limit a text exceeds; Snowflake names none.

    Raises: SchemaConflict.
    """
    limits = {column.name: longest(table.type_of(column.name) or "") or _UNLIMITED for column in plan.schema}
    narrow = [name for name, limit in limits.items() if limit < _UNLIMITED]
    if not narrow:
        return
    lengths = ", ".join(f"max(LENGTH({listed([name])}))" for name in narrow)
    for name, length in zip(narrow, rows(cursor, f"SELECT {lengths} FROM {stage.sql}")[0], strict=True):
        if length is not None and int(length) > limits[name]:
            cause = f"the column {name} takes {quantity(limits[name], 'character')} there, and a text of {int(length):,} came"
            hint = f"Widen it: ALTER TABLE {table.sql} ALTER COLUMN {listed([name])} SET DATA TYPE VARCHAR."
            raise SchemaConflict(f"Loading into {table.label}", cause, hint=hint, column=name)


@dataclass(frozen=True, slots=True)
class Work:
    """The statements of a merge: s is a staged row, of which each key has one, t the table's."""

    table: Table
    stage: Table
    plan: Plan

    def upsert(self) -> str:
        """Rows that differ are updated, rows that are not there inserted."""
        names = listed(self.plan.schema.names)
        insert = f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({listed(self.plan.schema.names, 's')})"
        update = f"WHEN MATCHED AND ({self._differs}) THEN UPDATE SET {self._sets} " if self._others else ""
        return f"{self._using(self._live)} {update}{insert}"

    def remove(self) -> str:
        """Rows whose deletion came go, and those that are flagged."""
        flagged = f" OR (s.{self.flag} AND NOT s.{_GONE})" if self.flag else ""
        return f"{self._using(self._ending)} WHEN MATCHED AND (({self._told}){flagged}) THEN DELETE"

    def mark(self) -> str:
        """Rows whose deletion came get their flag, and its stamp where it has one; those newly flagged get all their values."""
        fresh = f"NOT COALESCE(t.{self.flag}, FALSE)"
        clauses = []
        if self._stamp:
            sets = f"{self.flag} = TRUE, {self._stamp} = s.{self._stamp}"
            clauses.append(f"WHEN MATCHED AND {self._told} AND {fresh} AND s.{self._stamp} IS NOT NULL THEN UPDATE SET {sets}")
        clauses.append(f"WHEN MATCHED AND {self._told} AND {fresh} THEN UPDATE SET {self.flag} = TRUE")
        clauses.append(f"WHEN MATCHED AND NOT s.{_GONE} AND s.{self.flag} AND {fresh} THEN UPDATE SET {self._sets}")
        return f"{self._using(self._ending)} {' '.join(clauses)}"

    def absent(self) -> str:
        """Rows whose key was not staged get their flag."""
        key = listed(self.plan.key, "t")
        lacking = " AND ".join(f"{listed([name], 's')} IS NULL" for name in self.plan.key)
        joined = f"{self.table.sql} t LEFT JOIN {self.stage.sql} s ON {equal(self.plan.key)}"
        gone = f"SELECT DISTINCT {key} FROM {joined} WHERE {lacking}"
        clause = f"WHEN MATCHED AND NOT COALESCE(t.{self.flag}, FALSE) THEN UPDATE SET {self.flag} = TRUE"
        return f"MERGE INTO {self.table.sql} t USING ({gone}) s ON {equal(self.plan.key)} {clause}"

    def live(self, rows_of: Table) -> str:
        """How many rows are not marked as deleted."""
        return f"SELECT count(*) FROM {rows_of.sql} WHERE " + (f"NOT COALESCE({self.flag}, FALSE)" if self.flag else "TRUE")

    def hit(self) -> str:
        """How many rows deletions would mark."""
        joined = f"{self.stage.sql} s JOIN {self.table.sql} t ON {equal(self.plan.key)}"
        return f"SELECT count(*) FROM {joined} WHERE {self._told}"

    @property
    def flag(self) -> str | None:
        """The column that marks deleted rows."""
        return next((listed([name]) for name in self.plan.flag_columns), None)

    @property
    def _stamp(self) -> str | None:
        return next((listed([name]) for name in self.plan.cursor_columns), None)

    @property
    def _live(self) -> str:
        """The condition that a staged row is to be in the table."""
        flagged = f" AND NOT COALESCE({self.flag}, FALSE)" if self.flag and self.plan.deletes is not Deletes.SOFT else ""
        return f"NOT {_GONE}{flagged}"

    @property
    def _ending(self) -> str:
        """The condition that a staged row tells a deletion."""
        return f"{_GONE} OR COALESCE({self.flag}, FALSE)" if self.flag else _GONE

    @property
    def _told(self) -> str:
        """The condition that a staged deletion is no older than the table's row."""
        return f"s.{_GONE} AND NOT COALESCE(s.{self._stamp} < t.{self._stamp}, FALSE)" if self._stamp else f"s.{_GONE}"

    @property
    def _others(self) -> list[str]:
        return list(self.plan.other_columns)

    @property
    def _sets(self) -> str:
        return ", ".join(f"{listed([name])} = {listed([name], 's')}" for name in self._others)

    @property
    def _differs(self) -> str:
        pairs = [(self._compared(name, "t"), self._compared(name, "s")) for name in self._others]
        return " OR ".join(f"{ours} IS DISTINCT FROM {theirs}" for ours, theirs in pairs)

    def _compared(self, name: str, side: str) -> str:
        column = self.plan.schema.column(name)
        value = listed([name], side)
        return f"TO_JSON({value})" if column is not None and column.kind is Kind.JSON else value

    def _using(self, wanted: str) -> str:
        rows_of = f"SELECT {values(self.plan)}, {_GONE} FROM {self.stage.sql} WHERE {wanted}"
        return f"MERGE INTO {self.table.sql} t USING ({rows_of}) s ON {equal(self.plan.key)}"


def values(plan: Plan) -> str:
    """The columns of staged rows as a table has them: JSON is parsed."""
    return ", ".join(
        f"PARSE_JSON({listed([column.name])}) AS {listed([column.name])}" if column.kind is Kind.JSON else listed([column.name])
        for column in plan.schema
    )


def _delete(cursor: Cursor, work: Work, changes: Changes) -> int:
    """Apply deletions and flags, and return how many rows went or were newly marked.

    Raises: Refused for a mass delete.
    """
    plan = work.plan
    if plan.deletes is Deletes.IGNORE or not (changes.gone or changes.found.flagged):
        return 0
    if plan.deletes is Deletes.SOFT and work.flag is None:
        refuse_unmarkable(work.table.label, plan, deletions=number(cursor, work.hit()))
        return 0
    there = count(cursor, work.table)
    done = touched(cursor, work.mark() if plan.deletes is Deletes.SOFT else work.remove())
    deletions = done["updated"] + done["deleted"]
    if not plan.complete:
        refuse_mass_delete(work.table.label, plan, deletions=deletions, there=there)
    return deletions


def _refuse_loss(cursor: Cursor, work: Work) -> None:
    old, new = number(cursor, work.live(work.table)), number(cursor, f"{work.live(work.stage)} AND NOT {_GONE}")
    refuse_loss(work.table.label, work.plan, old=old, new=new)


def _flag_absent(cursor: Cursor, work: Work) -> int:
    """Flag the rows that a complete read lacks, and return how many; when they went is not known, so their stamp stays."""
    return touched(cursor, work.absent())["updated"] if work.flag else 0


def _drop_covered(cursor: Cursor, stage: Table, plan: Plan) -> None:
    """Drop deletions of rows that came flagged: such a row says all that its deletion says, and more, whichever is newer."""
    for name in plan.flag_columns:
        flagged = f"SELECT DISTINCT {listed(plan.key)} FROM {stage.sql} WHERE {listed([name])} AND NOT {_GONE}"
        covered = f"t.{_GONE} AND {equal(plan.key)}"
        cursor.execute(f"MERGE INTO {stage.sql} t USING ({flagged}) s ON {covered} WHEN MATCHED THEN DELETE")


def _refuse_repeats_in(cursor: Cursor, table: Table, stage: Table, *, plan: Plan) -> None:
    joined = f"SELECT 1 FROM {stage.sql} s JOIN {table.sql} t ON {equal(plan.key)}"
    if rows(cursor, f"{joined} GROUP BY {listed(plan.key, 's')} HAVING count(*) > 1 LIMIT 1"):
        cause = f"the table holds several rows of one key ({', '.join(plan.key)}), which Snowflake does not prevent"
        raise SchemaConflict(f"Merging into {table.label}", cause, hint="Delete the doubles, or replace the rows by a full sync.")
