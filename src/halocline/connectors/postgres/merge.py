"""Merge: staged rows meet a table by key, inside the cursor's transaction.

    remove   the table's row goes
    mark     a deletion without its row: the table's row gets its flag set and its stamp raised
    flag     as update, and the row is newly marked as deleted at the source
    update   the table's row differs in some column, and gets the staged row's values
    insert   the table has no row of that key
    absent   a row of the table that a complete read lacks: it gets its flag set, and keeps its stamp
    same     nothing to do

Each is a statement whose count of rows is what is told; a commit that turns out to be refused is rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from halocline.batch import Op
from halocline.connector import Deletes, Plan
from halocline.connectors.postgres import versions
from halocline.connectors.postgres.client import Cursor, number, rows, touched
from halocline.connectors.postgres.exact import differs, refuse_kept, refuse_long_texts, refuse_lost
from halocline.connectors.postgres.identity import equal, refuse_moved_keys, refuse_repeats, refuse_shared_keys
from halocline.connectors.postgres.staging import GONE, Piece, Stage, deduplicate, deletion_schema, examine, settle_pieces
from halocline.connectors.postgres.tables import (
    FULL_SYNC,
    Table,
    add_key,
    check_kind,
    check_types,
    create,
    is_empty,
    listed,
    widen,
)
from halocline.errors import SchemaConflict
from halocline.guards import SMALL_DELETE_ROWS, refuse_emptied, refuse_loss, refuse_mass_delete, refuse_unmarkable
from halocline.outcome import Counts
from halocline.standard_sql import quoted
from halocline.verdicts import Tally
from halocline.versions import table_schema

_GONE = quoted(GONE)


def merge(cursor: Cursor, table: Table, *, plan: Plan, stage: Stage, pieces: Sequence[Piece]) -> Counts:
    """Merge the staged rows into the table, which is locked, or is made here; it gets the columns that it lacks.

    Of several staged rows with one key the newest stamp wins; at equal stamps a row wins over a deletion. A deletion
    older than the table's row is ignored. Rows that would not change are left alone.
    Raises: SchemaConflict for a changed type, or a chosen key that tells records badly apart; Truncated, Refused for a mass
    delete; Stop where a trigger or rule of the table kept a row out.
    """
    doing = f"Merging into {table.label}"
    fresh = not table.exists
    table = _ready(cursor, table, plan)
    met = versions.current(table) if plan.history else table
    gone = _gather(cursor, plan, stage, pieces=pieces)
    found = examine(cursor, stage.rows, plan=plan, rows_only=f"NOT {_GONE}")
    if found.repeats:
        refuse_repeats(cursor, stage.rows, plan=plan, rows_only=f"NOT {_GONE}")
        refuse_shared_keys(cursor, stage.rows, plan=plan)
        _settle(cursor, stage, plan)
    refuse_moved_keys(cursor, stage.rows, table=met, plan=plan)
    refuse_long_texts(cursor, table, stage=stage.rows, plan=plan, doing=doing)
    if plan.history and fresh:
        tally = Tally(insert=versions.begin(cursor, table, plan=plan, stage=stage.rows))
    elif plan.history:
        tally = Tally(**versions.apply(cursor, table, plan=plan, stage=stage.rows))
    else:
        _refuse_repeats_in(cursor, table, stage, plan=plan)
        steps = _Merge(cursor, table, stage.rows, plan)
        tally = steps.run(gone=gone > 0, flagged=found.flagged > 0)
        steps.check(doing)
    return tally.counts(unchanged=found.rows - tally.touched, highest=found.highest)


def _ready(cursor: Cursor, table: Table, plan: Plan) -> Table:
    """The table with all columns; it was locked before it was looked at."""
    check_kind(table, plan)
    if not table.exists:
        create(cursor, table, schema=table_schema(plan))
        if plan.history:
            return table
        add_key(cursor, table, key=plan.key)
        return replace(table, unique=frozenset({frozenset(name.lower() for name in plan.key)}))
    check_types(table, plan)
    widen(cursor, table, schema=plan.schema)
    return table


def _gather(cursor: Cursor, plan: Plan, stage: Stage, *, pieces: Sequence[Piece]) -> int:
    """All that was staged in one table, deletions with their mark; how many these are."""
    settle_pieces(cursor, stage.rows, pieces=[piece for piece in pieces if piece.op is Op.UPSERT])
    gone = settle_pieces(cursor, stage.gone, pieces=[piece for piece in pieces if piece.op is Op.DELETE])
    if gone:
        names = listed(deletion_schema(plan).names)
        cursor.execute(f"INSERT INTO {stage.rows.sql} ({names}, {_GONE}) SELECT {names}, true FROM {stage.gone.sql}")
    # The planner would take it for a small table and join row by row; the other columns would cost ten times as much to look at.
    cursor.execute(f"ANALYZE {stage.rows.sql} ({listed(plan.key)})")
    return gone


def _settle(cursor: Cursor, stage: Stage, plan: Plan) -> None:
    """Leave one staged row of each key.

    A row that is flagged as deleted says all that its deletion says, and more, whichever of their stamps is newer.
    """
    flags = [listed([name]) for name in plan.flag_columns]
    for flag in flags:
        told = f"EXISTS (SELECT 1 FROM {stage.rows.sql} s WHERE {equal(plan.key)} AND s.{flag} AND NOT s.{_GONE})"
        cursor.execute(f"DELETE FROM {stage.rows.sql} t WHERE t.{_GONE} AND {told}")
    deduplicate(cursor, stage.rows, plan=plan, last=[_GONE, *(f"{flag} NULLS FIRST" for flag in flags)])


def _refuse_repeats_in(cursor: Cursor, table: Table, stage: Stage, *, plan: Plan) -> None:
    if frozenset(name.lower() for name in plan.key) in table.unique:
        return
    joined = f"SELECT 1 FROM {stage.rows.sql} s JOIN {table.sql} t ON {equal(plan.key)}"
    key = ", ".join(f"s.{listed([name])}" for name in plan.key)
    if rows(cursor, f"{joined} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"):
        cause = f"the table holds several rows of one key ({', '.join(plan.key)})"
        raise SchemaConflict(f"Merging into {table.label}", cause, hint=FULL_SYNC)


@dataclass(frozen=True, slots=True)
class _Merge:
    """The statements of one merge: s is a staged row, of which each key has one, t the table's."""

    cursor: Cursor
    table: Table
    stage: Table
    plan: Plan

    def run(self, *, gone: bool, flagged: bool) -> Tally:
        """Do it all; `gone` and `flagged` say whether deletions and flagged rows are there at all."""
        if self.plan.complete:
            self._refuse_loss()
        tally = Tally(
            absent=self._flag_absent(),
            mark=self._mark() if gone else 0,
            remove=self._remove() if gone or flagged else 0,
            flag=self._newly_flagged() if flagged else 0,
        )
        if tally.deletions > SMALL_DELETE_ROWS and not self.plan.complete:  # else the table need not be counted
            there = number(self.cursor, f"SELECT count(*) FROM {self.table.sql}") + tally.remove
            refuse_mass_delete(self.table.label, self.plan, deletions=tally.deletions, there=there)
        unique = frozenset(name.lower() for name in self.plan.key) in self.table.unique
        insert, update = self._upsert() if unique else self._update_and_insert()
        if self.plan.concluded and tally.remove:
            left = 0 if is_empty(self.cursor, self.table) else 1
            refuse_emptied(self.table.label, self.plan, removed=tally.remove, left=left)
        return replace(tally, insert=insert, update=update - tally.flag)

    def check(self, doing: str) -> None:
        """Look whether it was all done: a trigger may skip a row without an error, and nobody would miss it."""
        refuse_lost(self.cursor, self.table, stage=self.stage, plan=self.plan, live=self._live, doing=doing)
        deletions = {Deletes.HARD: self._removed, Deletes.SOFT: self._marked if self._flag else "false", Deletes.IGNORE: "false"}
        both = f"{self.stage.sql} s, {self.table.sql} t"
        refuse_kept(self.cursor, self.table, source=both, where=deletions[self.plan.deletes], doing=doing)
        refuse_kept(self.cursor, self.table, source=f"{self.table.sql} t", where=self._absent or "false", doing=doing)

    @property
    def _flag(self) -> str | None:
        return next((listed([name]) for name in self.plan.flag_columns), None)

    @property
    def _stamp(self) -> str | None:
        return next((listed([name]) for name in self.plan.cursor_columns), None)

    @property
    def _live(self) -> str:
        """The condition that a staged row is to be in the table."""
        flagged = f" AND s.{self._flag} IS NOT TRUE" if self._flag and self.plan.deletes is not Deletes.SOFT else ""
        return f"NOT s.{_GONE}{flagged}"

    @property
    def _told(self) -> str:
        """The condition that a staged deletion is no older than the table's row."""
        return f"s.{_GONE} AND (s.{self._stamp} < t.{self._stamp}) IS NOT TRUE" if self._stamp else f"s.{_GONE}"

    @property
    def _removed(self) -> str:
        """The condition that the table's row goes."""
        gone = f"({self._told}) OR (s.{self._flag} AND NOT s.{_GONE})" if self._flag else self._told
        return f"{equal(self.plan.key)} AND ({gone})"

    @property
    def _marked(self) -> str:
        """The condition that the table's row is to be marked."""
        return f"{equal(self.plan.key)} AND {self._told} AND t.{self._flag} IS NOT TRUE"

    @property
    def _absent(self) -> str | None:
        """The condition that the table's row is to be flagged because a complete read lacks it; None where none is."""
        if not self.plan.complete or self.plan.deletes is not Deletes.SOFT or self._flag is None:
            return None
        return f"t.{self._flag} IS NOT TRUE AND NOT EXISTS (SELECT 1 FROM {self.stage.sql} s WHERE {equal(self.plan.key)})"

    def _refuse_loss(self) -> None:
        live = f"{self._flag} IS NOT TRUE" if self._flag else "true"
        old = number(self.cursor, f"SELECT count(*) FROM {self.table.sql} WHERE {live}")
        new = number(self.cursor, f"SELECT count(*) FROM {self.stage.sql} WHERE NOT {_GONE} AND {live}")
        refuse_loss(self.table.label, self.plan, old=old, new=new)

    def _flag_absent(self) -> int:
        where = self._absent
        return touched(self.cursor, f"UPDATE {self.table.sql} t SET {self._flag} = true WHERE {where}") if where else 0

    def _mark(self) -> int:
        """Set the flag of rows deleted at the source, and raise their stamp to the deletion's."""
        if self.plan.deletes is not Deletes.SOFT:
            return 0
        source = f"FROM {self.stage.sql} s"
        if self._flag is None:
            where = f"{equal(self.plan.key)} AND {self._told}"
            hit = number(self.cursor, f"SELECT count(*) {source}, {self.table.sql} t WHERE {where}")
            refuse_unmarkable(self.table.label, self.plan, deletions=hit)
            return 0
        sets = f"{self._flag} = true"
        sets += f", {self._stamp} = greatest(t.{self._stamp}, s.{self._stamp})" if self._stamp else ""
        return touched(self.cursor, f"UPDATE {self.table.sql} t SET {sets} {source} WHERE {self._marked}")

    def _remove(self) -> int:
        if self.plan.deletes is not Deletes.HARD:
            return 0
        return touched(self.cursor, f"DELETE FROM {self.table.sql} t USING {self.stage.sql} s WHERE {self._removed}")

    def _newly_flagged(self) -> int:
        if self.plan.deletes is not Deletes.SOFT or self._flag is None:
            return 0
        newly = f"NOT s.{_GONE} AND s.{self._flag} AND t.{self._flag} IS NOT TRUE"
        joined = f"{self.stage.sql} s JOIN {self.table.sql} t ON {equal(self.plan.key)}"
        return number(self.cursor, f"SELECT count(*) FROM {joined} WHERE {newly}")

    def _upsert(self) -> tuple[int, int]:
        """One pass by the unique index. A row that was there before has been locked by its update, which its `xmax` shows."""
        names, values = self._columns()
        done = f"DO UPDATE SET {self._sets('excluded')} WHERE {differs(self.plan, 'excluded')}" if self._others else "DO NOTHING"
        staged = f"SELECT {values} FROM {self.stage.sql} s WHERE {self._live}"
        sql = (
            f"WITH done AS (INSERT INTO {self.table.sql} AS t ({names}) {staged}"
            f" ON CONFLICT ({listed(self.plan.key)}) {done} RETURNING t.xmax = 0 AS fresh)"
            " SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM done"
        )
        inserted, updated = rows(self.cursor, sql)[0]
        return int(inserted), int(updated)

    def _update_and_insert(self) -> tuple[int, int]:
        names, values = self._columns()
        source, same_key = f"{self.stage.sql} s", equal(self.plan.key)
        updated = 0
        if self._others:
            where = f"WHERE {same_key} AND {self._live} AND {differs(self.plan, 's')}"
            updated = touched(self.cursor, f"UPDATE {self.table.sql} t SET {self._sets('s')} FROM {source} {where}")
        absent = f"NOT EXISTS (SELECT 1 FROM {self.table.sql} t WHERE {same_key})"
        sql = f"INSERT INTO {self.table.sql} ({names}) SELECT {values} FROM {source} WHERE {self._live} AND {absent}"
        return touched(self.cursor, sql), updated

    @property
    def _others(self) -> list[str]:
        return list(self.plan.other_columns)

    def _columns(self) -> tuple[str, str]:
        return listed(self.plan.schema.names), ", ".join(f"s.{listed([name])}" for name in self.plan.schema.names)

    def _sets(self, side: str) -> str:
        return ", ".join(f"{listed([name])} = {side}.{listed([name])}" for name in self._others)
