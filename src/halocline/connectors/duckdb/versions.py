"""Versions: what a merge's verdicts do to a table that keeps history.

Each verdict that changes something takes effect at an instant of its own:

    insert         a version of a key that has no current one
    update, flag   the current version is closed, and the staged row is the next
    mark           likewise, and the next is the same row with its flag set and its stamp raised
    remove         the current version is closed
    absent         as mark or remove: a current row that a complete read lacks; as remove where that need not be gone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halocline import guards
from halocline.connector import Deletes, Plan
from halocline.connectors.duckdb.client import Cursor, number
from halocline.connectors.duckdb.row_numbers import is_numbered, staged_row, table_row
from halocline.connectors.duckdb.staging import STAGE, VERDICTS
from halocline.connectors.duckdb.tables import Table, expect
from halocline.standard_sql import quoted
from halocline.versions import COLUMNS, VALID_FROM, VALID_TO, stamps, start_after, start_anew

_NEXT = quoted("temp", "main", "_halocline_next")
_FROM, _TO = quoted(VALID_FROM), quoted(VALID_TO)
_CURRENT = f"{_TO} IS NULL"


@dataclass(frozen=True, slots=True)
class _Current(Table):
    """The current rows of a table, for reading: it stands where a table may stand, and keeps the numbers of rows if any."""

    numbered: bool = True

    @property
    def sql(self) -> str:
        """A query in brackets."""
        columns = "rowid, *" if self.numbered else "*"
        return f"(SELECT {columns} FROM {quoted(self.catalog, self.schema, self.name)} WHERE {_CURRENT})"


def current(table: Table, plan: Plan) -> Table:
    """The current rows of a table that keeps history and has all columns of the plan, as what staged rows meet."""
    return _Current(table.catalog, table.schema, table.name, table.columns, numbered=is_numbered(table, plan))


def apply(cursor: Cursor, table: Table, *, plan: Plan, wanted: int) -> int:
    """Close versions and add new ones, as the verdicts say, of which `wanted` change something; how many rows vanished."""
    steps = _Versions(cursor, table, plan)
    vanished = steps.plan_versions(wanted)
    steps.add()
    steps.close()
    cursor.execute(f"DROP TABLE {_NEXT}")
    return vanished


@dataclass(frozen=True, slots=True)
class _Versions:
    """The statements of one merge: s is a staged row, t the table's current one, n what happens and when."""

    cursor: Cursor
    table: Table
    plan: Plan

    def plan_versions(self, wanted: int) -> int:
        """Say for each verdict when it takes effect; how many current rows are absent from a complete read."""
        stamp = next((quoted(name) for name in stamps(self.plan)), None)
        s, t = (f"s.{stamp}", f"t.{stamp}") if stamp else (None, "")
        since = f"t.{_FROM}"
        starts = (
            f"CASE WHEN v.verdict = 'insert' THEN {start_anew(self.plan, stamp=s, ended='e.ended')}"
            f" ELSE {start_after(self.plan, stamp=s, known=t, since=since)} END"
        )
        key = ", ".join(quoted(name) for name in self.plan.key)
        ended = f"(SELECT {key}, max({_TO}) AS ended FROM {self.table.sql} WHERE NOT ({_CURRENT}) GROUP BY {key})"
        planned = number(
            self.cursor,
            f"CREATE TEMP TABLE {_NEXT} AS SELECT v.stage_row, v.table_row, v.verdict, {starts} AS starts FROM {VERDICTS} v"
            f" JOIN {STAGE} s ON {self._staged} = v.stage_row LEFT JOIN {self.table.sql} t ON {self._row} = v.table_row"
            f" LEFT JOIN {ended} e ON {self._same_key('e')} WHERE v.verdict <> 'same'",
        )
        expect(self.table, planned, wanted=wanted)
        return self._plan_absent() if self.plan.complete and self.plan.deletes is not Deletes.IGNORE else 0

    def _plan_absent(self) -> int:
        kept = self.plan.flag_columns if self.plan.deletes is Deletes.SOFT else ()
        live = "".join(f" AND t.{quoted(name)} IS NOT TRUE" for name in kept)
        starts = start_after(self.plan, stamp=None, known="", since=f"t.{_FROM}")
        lacking = f"NOT EXISTS (SELECT 1 FROM {STAGE} s WHERE {self._same_key('t')})"
        where = f"t.{_CURRENT}{live} AND {lacking}"
        sql = f"INSERT INTO {_NEXT} SELECT NULL, {self._row}, 'absent', {starts} FROM {self.table.sql} t WHERE {where}"
        absent = number(self.cursor, sql)
        if self._marks_absent:
            guards.refuse_unmarkable(self.table.label, self.plan, deletions=absent)
        return absent

    def add(self) -> None:
        """Add the new versions: before the old ones are closed, for an update may move a row to another `rowid`."""
        staged = {name: f"s.{quoted(name)}" for name in self.plan.schema.names}
        kept = {name: f"t.{quoted(name)}" for name in self._extra}
        self._insert(staged, verdicts=("insert",))
        self._insert({**staged, **kept}, verdicts=("update", "flag"))
        if self.plan.deletes is Deletes.SOFT:
            self._refuse_unmarkable()
            marked = {name: f"t.{quoted(name)}" for name in self.plan.schema.names}
            marked |= dict.fromkeys(self.plan.flag_columns, "true")
            marked |= {n: f"greatest(t.{quoted(n)}, s.{quoted(n)})" for n in self.plan.cursor_columns}
            self._insert({**marked, **kept}, verdicts=("mark", "absent") if self._marks_absent else ("mark",))

    def close(self) -> None:
        """Close the versions that have ended."""
        ended = self._count("n.table_row IS NOT NULL")
        sql = f"UPDATE {self.table.sql} t SET {_TO} = n.starts FROM {_NEXT} n WHERE {self._row} = n.table_row"
        expect(self.table, number(self.cursor, sql), wanted=ended)

    @property
    def _marks_absent(self) -> bool:
        return self.plan.deletes is Deletes.SOFT and not self.plan.conditional

    @property
    def _extra(self) -> list[str]:
        """The columns that the source does not have: their values go on from version to version."""
        own = {column.name for column in COLUMNS}
        return [name for name in self.table.only_here(self.plan.schema) if name.lower() not in own]

    @property
    def _staged(self) -> str:
        return staged_row(self.plan, "s")

    @property
    def _row(self) -> str:
        return table_row(self.table, self.plan, side="t")

    def _insert(self, values: dict[str, str], *, verdicts: Sequence[str]) -> None:
        chosen = f"n.verdict IN ({', '.join(repr(verdict) for verdict in verdicts)})"
        wanted = self._count(chosen)
        if wanted == 0:
            return
        names = ", ".join(quoted(name) for name in values)
        source = f"{_NEXT} n LEFT JOIN {STAGE} s ON {self._staged} = n.stage_row"
        source += f" LEFT JOIN {self.table.sql} t ON {self._row} = n.table_row"
        picked = f"SELECT {', '.join(values.values())}, n.starts FROM {source} WHERE {chosen}"
        expect(self.table, number(self.cursor, f"INSERT INTO {self.table.sql} ({names}, {_FROM}) {picked}"), wanted=wanted)

    def _refuse_unmarkable(self) -> None:
        guards.refuse_unmarkable(self.table.label, self.plan, deletions=self._count("n.verdict = 'mark'"))

    def _count(self, condition: str) -> int:
        return number(self.cursor, f"SELECT count(*) FROM {_NEXT} n WHERE {condition}")

    def _same_key(self, side: str) -> str:
        return " AND ".join(f"s.{quoted(name)} = {side}.{quoted(name)}" for name in self.plan.key)
