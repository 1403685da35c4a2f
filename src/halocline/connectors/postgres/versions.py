"""Versions: how staged rows meet a table that keeps history, inside the cursor's transaction.

Every staged row gets a verdict, and each that changes something takes effect at an instant of its own:

    insert         a version of a key that has no current one
    update, flag   the current version is closed, and the staged row is the next; flagged, it is newly marked as deleted
    mark           likewise, and the next is the same row with its flag set and its stamp raised
    remove         the current version is closed
    absent         as mark or remove: a current row that a complete read lacks; as remove where that need not be gone
    same           nothing to do
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from halocline import guards
from halocline.connector import Deletes, Plan
from halocline.connectors.postgres.client import Cursor, number, rows, touched
from halocline.connectors.postgres.exact import differs, refuse_lost
from halocline.connectors.postgres.identity import equal
from halocline.connectors.postgres.staging import GONE
from halocline.connectors.postgres.tables import FULL_SYNC, Table, add_key, listed
from halocline.errors import SchemaConflict, Stop
from halocline.quantity import quantity
from halocline.standard_sql import quoted
from halocline.verdicts import rules
from halocline.versions import COLUMNS, VALID_FROM, VALID_TO, stamps, start_after, start_anew

_GONE, _FROM, _TO = quoted(GONE), quoted(VALID_FROM), quoted(VALID_TO)
_VERDICT, _STARTS = quoted("_halocline_verdict"), quoted("_halocline_starts")
_NOT_OURS = """
SELECT attname::text FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND (attgenerated <> '' OR attidentity = 'a')
"""


@dataclass(frozen=True, slots=True)
class _Current(Table):
    """The current rows of a table, for reading: it stands where a table may stand. No constraint tells its rows apart."""

    unique: frozenset[frozenset[str]] = field(default=frozenset(), init=False)

    @property
    def sql(self) -> str:
        """A query in brackets."""
        return f"(SELECT * FROM {quoted(self.schema, self.name)} WHERE {_TO} IS NULL)"


def current(table: Table) -> Table:
    """The current rows of a table that keeps history, as what staged rows meet."""
    return _Current(table.schema, table.name, table.oid, table.columns)


def begin(cursor: Cursor, table: Table, *, plan: Plan, stage: Table) -> int:
    """Fill a table that was just made with first versions, and give it its keys; how many there are.

    Keys are cheaper to make for rows that are there than to keep while they come, and no row has to be held against another.
    """
    stamp = next((f"s.{listed([name])}" for name in stamps(plan)), None)
    values = ", ".join(f"s.{listed([name])}" for name in plan.schema.names)
    picked = f"SELECT {values}, {start_anew(plan, stamp=stamp, ended='NULL')} FROM {stage.sql} s WHERE {_live(plan)}"
    done = touched(cursor, f"INSERT INTO {table.sql} ({listed([*plan.schema.names, VALID_FROM])}) {picked}")
    add_key(cursor, table, key=(*plan.key, VALID_FROM))
    cursor.execute(f"CREATE UNIQUE INDEX ON {table.sql} ({listed(plan.key)}) WHERE {_TO} IS NULL")
    return done


def apply(cursor: Cursor, table: Table, *, plan: Plan, stage: Table) -> dict[str, int]:
    """Close versions and add new ones, and return the staged and absent rows by their verdict.

    Raises: SchemaConflict where several current rows have one key; Refused for a mass delete, or a complete read that lacks too
    much; Stop where a trigger or rule of the table kept a row out.
    """
    steps = _Versions(cursor, table, stage, plan)
    steps.judge()
    steps.refuse_loss()
    steps.close()
    steps.add()
    tally = steps.tally()
    cursor.execute(f"DROP TABLE {steps.next.sql}")
    refuse_lost(cursor, current(table), stage=stage, plan=plan, live=_live(plan), doing=f"Merging into {table.label}")
    return tally


def _live(plan: Plan) -> str:
    """The condition that a staged row is to be current."""
    flags = plan.flag_columns if plan.deletes is not Deletes.SOFT else ()
    return f"NOT s.{_GONE}" + "".join(f" AND s.{listed([name])} IS NOT TRUE" for name in flags)


@dataclass(frozen=True, slots=True)
class _Versions:
    """The statements of one merge: s is a staged row, of which each key has one, t the table's current one, n what happens."""

    cursor: Cursor
    table: Table
    stage: Table
    plan: Plan

    @property
    def next(self) -> Table:
        """The table of verdicts: key, verdict, start. It is made and dropped in the commit's transaction."""
        return Table(self.stage.schema, f"{self.stage.name}_next")

    @property
    def flag(self) -> str | None:
        """The column that marks deleted rows."""
        return next((listed([name]) for name in self.plan.flag_columns), None)

    @property
    def _marking(self) -> tuple[str, ...]:
        """The verdicts behind which a flagged version starts, where deletes are soft."""
        return ("mark",) if self.plan.conditional else ("mark", "absent")

    def judge(self) -> None:
        """Give every staged row its verdict and, for a complete read, every current row that it lacks."""
        decided = rules(self.plan, listed, gone=f"s.{_GONE}", absent=f"t.{_FROM} IS NULL", differs=differs(self.plan, "s"))
        cases = " ".join(f"WHEN {condition} THEN '{verdict}'" for condition, verdict in decided)
        key = ", ".join(f"s.{listed([name])}" for name in self.plan.key)
        judged = f"SELECT {key}, CASE {cases} ELSE 'same' END AS {_VERDICT}, {self._starts()} AS {_STARTS}"
        source = f"{self.stage.sql} s LEFT JOIN {current(self.table).sql} t ON {equal(self.plan.key)}"
        names = listed(self.plan.key)
        ended = f"SELECT {names}, max({_TO}) AS ended FROM {self.table.sql} WHERE {_TO} IS NOT NULL GROUP BY {names}"
        source += f" LEFT JOIN ({ended}) e ON {self._equal('s', 'e')}"
        there = touched(self.cursor, f"CREATE UNLOGGED TABLE {self.next.sql} AS {judged} FROM {source}")
        if there != number(self.cursor, f"SELECT count(*) FROM {self.stage.sql}"):
            cause = f"the table holds several current rows of one key ({', '.join(self.plan.key)})"
            raise SchemaConflict(f"Merging into {self.table.label}", cause, hint=FULL_SYNC)
        if self.plan.complete and self.plan.deletes is not Deletes.IGNORE:
            self._judge_absent()
        self.cursor.execute(f"ANALYZE {self.next.sql}")

    def refuse_loss(self) -> None:
        """Hold what would go against what is there, before anything is changed."""
        tally, label = self.tally(), self.table.label
        if self.plan.deletes is Deletes.SOFT and self.flag is None:
            guards.refuse_unmarkable(label, self.plan, deletions=sum(tally.get(verdict, 0) for verdict in self._marking))
        live = f" AND {self.flag} IS NOT TRUE" if self.flag else ""
        known = current(self.table).sql
        if self.plan.complete:
            old = number(self.cursor, f"SELECT count(*) FROM {known} t WHERE true{live}")
            new = number(self.cursor, f"SELECT count(*) FROM {self.stage.sql} WHERE NOT {_GONE}{live}")
            guards.refuse_loss(label, self.plan, old=old, new=new)
            return
        deletions = sum(tally.get(verdict, 0) for verdict in ("flag", "mark", "remove"))
        if deletions > guards.SMALL_DELETE_ROWS:  # else the table need not be counted
            there = number(self.cursor, f"SELECT count(*) FROM {known} t")
            guards.refuse_mass_delete(label, self.plan, deletions=deletions, there=there)

    def close(self) -> None:
        """Close the versions that end; before the new ones come, for a key has one current version."""
        ends = f"n.{_VERDICT} NOT IN ('insert', 'same')"
        sql = f"UPDATE {self.table.sql} t SET {_TO} = n.{_STARTS} FROM {self.next.sql} n"
        done = touched(self.cursor, f"{sql} WHERE {self._equal('n', 't')} AND t.{_TO} IS NULL AND {ends}")
        self._expect(done, ends)

    def add(self) -> None:
        """Add the versions that start."""
        staged = {name: f"s.{listed([name])}" for name in self.plan.schema.names}
        kept = {name: f"t.{quoted(name)}" for name in self._extra()}
        self._insert(staged, chosen=f"n.{_VERDICT} = 'insert'")
        self._insert({**staged, **kept}, chosen=f"n.{_VERDICT} IN ('update', 'flag')")
        if self.plan.deletes is Deletes.SOFT:
            marked = {name: f"t.{listed([name])}" for name in self.plan.schema.names}
            marked |= dict.fromkeys(self.plan.flag_columns, "true")
            marked |= {n: f"greatest(t.{listed([n])}, s.{listed([n])})" for n in self.plan.cursor_columns}
            self._insert({**marked, **kept}, chosen=f"n.{_VERDICT} IN ({', '.join(map(repr, self._marking))})")

    def tally(self) -> dict[str, int]:
        """Rows by verdict."""
        found = rows(self.cursor, f"SELECT {_VERDICT}, count(*) FROM {self.next.sql} GROUP BY 1")
        return {str(verdict): int(count) for verdict, count in found}

    def _starts(self) -> str:
        stamp = next((listed([name]) for name in stamps(self.plan)), None)
        s, known = (f"s.{stamp}", f"t.{stamp}") if stamp else (None, "")
        after = start_after(self.plan, stamp=s, known=known, since=f"t.{_FROM}")
        return f"CASE WHEN t.{_FROM} IS NULL THEN {start_anew(self.plan, stamp=s, ended='e.ended')} ELSE {after} END"

    def _judge_absent(self) -> None:
        key = ", ".join(f"t.{listed([name])}" for name in self.plan.key)
        live = f"t.{self.flag} IS NOT TRUE" if self.flag and self.plan.deletes is Deletes.SOFT else "true"
        lacking = f"NOT EXISTS (SELECT 1 FROM {self.stage.sql} s WHERE {equal(self.plan.key)})"
        starts = start_after(self.plan, stamp=None, known="", since=f"t.{_FROM}")
        absent = f"SELECT {key}, 'absent', {starts} FROM {current(self.table).sql} t WHERE {live} AND {lacking}"
        self.cursor.execute(f"INSERT INTO {self.next.sql} {absent}")

    def _insert(self, values: Mapping[str, str], *, chosen: str) -> None:
        """Add versions; t is the one that was closed for it: no two versions of a key end at the same instant."""
        source = f"{self.next.sql} n LEFT JOIN {self.stage.sql} s ON {self._equal('n', 's')}"
        source += f" LEFT JOIN {self.table.sql} t ON {self._equal('n', 't')} AND t.{_TO} = n.{_STARTS}"
        source = f"{source} AND n.{_VERDICT} <> 'insert'"
        picked = f"SELECT {', '.join(values.values())}, n.{_STARTS} FROM {source} WHERE {chosen}"
        done = touched(self.cursor, f"INSERT INTO {self.table.sql} ({listed([*values, VALID_FROM])}) {picked}")
        self._expect(done, chosen)

    def _extra(self) -> list[str]:
        """The columns that the source does not have, and that take values: these go on from version to version."""
        own = {column.name for column in COLUMNS}
        own |= {str(name) for (name,) in rows(self.cursor, _NOT_OURS, values=(self.table.sql,))}
        return [name for name in self.table.only_here(self.plan.schema) if name not in own]

    def _expect(self, done: int, chosen: str) -> None:
        wanted = number(self.cursor, f"SELECT count(*) FROM {self.next.sql} n WHERE {chosen}")
        if done != wanted:
            cause = f"{quantity(wanted, 'version was')} to be written, {done:,} were (a trigger or rule of the table?)"
            raise Stop(f"Merging into {self.table.label}", cause, hint="Nothing was published.")

    def _equal(self, one: str, other: str) -> str:
        return " AND ".join(f"{one}.{listed([name])} = {other}.{listed([name])}" for name in self.plan.key)
