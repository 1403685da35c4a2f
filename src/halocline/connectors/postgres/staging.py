"""Stage: the tables that take a run's rows, unseen by readers of the target, and what lies in them.

    rows   what was read. Of a full load it is the table that will take the target's place, and is logged; of a merge it is
           unlogged: a server that crashes empties it, and the count tells
    gone   deletions: key and stamp

Parts are copied by several connections, each batch in a transaction of its own whose number the manifest carries. A row shows the
number of the transaction that made it (`xmin`), so rows of a part that failed or was repeated are told from those that count.
Source: "System Columns", https://www.postgresql.org/docs/18/ddl-system-columns.html, read November 2026.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg

from halocline.batch import Op
from halocline.connector import Lease, Manifest, Mode, Plan
from halocline.connectors.postgres.client import Cursor, rows, touched
from halocline.connectors.postgres.tables import Table, create, listed
from halocline.errors import Truncated
from halocline.identity import keyless
from halocline.quantity import quantity, quantity_of
from halocline.schema import Kind, Schema
from halocline.staged import Found, pieces_of
from halocline.standard_sql import quoted

GONE = "_halocline_delete"
_PREFIX = "_halocline_"
_FIRST = 3  # keys that are shown
_SWEEP_WAIT = "500ms"  # for a table that a paused run still copies into; the next run sweeps it


@dataclass(frozen=True, slots=True)
class Piece:
    """One batch as copied: whose load, rows or deletions, by which transaction, how many."""

    load: str
    op: Op
    xid: int
    rows: int

    def to_text(self) -> str:
        """This value as the text that a manifest carries; `from_text` reads it back."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_text(cls, text: str) -> Piece:
        """The value that `to_text` wrote."""
        data = json.loads(text)
        return cls(**{**data, "op": Op(data["op"])})


@dataclass(frozen=True, slots=True)
class Stage:
    """The two tables of a load, named by flow, target and fence."""

    rows: Table
    gone: Table

    @classmethod
    def of(cls, table: Table, *, lease: Lease) -> Stage:
        """The stage of a load into `table`."""
        name = f"{_PREFIX}{_digest(table, lease.flow)}_{lease.fence}"
        return cls(Table(table.schema, name), Table(table.schema, f"{name}_gone"))

    def table(self, op: Op) -> Table:
        """Where batches of this kind go."""
        return self.rows if op is Op.UPSERT else self.gone

    def make(self, cursor: Cursor, plan: Plan, *, like: Table) -> None:
        """Make both tables, empty, with the types of the target's where a column of the plan names them."""
        self.drop(cursor)
        if plan.mode is Mode.REPLACE:
            create(cursor, self.rows, schema=plan.schema, like=like)
        else:
            flag = f", {quoted(GONE)} boolean NOT NULL DEFAULT false"
            create(cursor, self.rows, schema=plan.schema, kind="UNLOGGED TABLE", more=flag, like=like)
        create(cursor, self.gone, schema=deletion_schema(plan), kind="UNLOGGED TABLE", like=like)

    def drop(self, cursor: Cursor) -> None:
        """Drop both tables where they are still there."""
        cursor.execute(f"DROP TABLE IF EXISTS {self.rows.sql}, {self.gone.sql}")


def sweep(cursor: Cursor, table: Table, *, lease: Lease) -> None:
    """Drop what dead runs of the flow left beside `table`; what cannot be dropped now is left to the next run."""
    start = f"{_PREFIX}{_digest(table, lease.flow)}_"
    sql = "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    sql += " WHERE nspname = $1 AND starts_with(relname::text, $2) AND relkind = 'r'"
    found = [str(name) for (name,) in rows(cursor, sql, values=(table.schema, start))]
    old = [name for name in found if _fence(name[len(start) :]) < lease.fence]
    for name in old:
        try:
            with cursor.connection.transaction():
                cursor.execute(f"SET LOCAL lock_timeout = '{_SWEEP_WAIT}'")
                cursor.execute(f"DROP TABLE IF EXISTS {quoted(table.schema, name)}")
        except (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege):
            continue  # nothing depends on it: its name is never used again


def staged_pieces(manifests: Iterable[Manifest]) -> list[Piece]:
    """The pieces that the manifests name; of a part staged more than once, those of its last manifest.

    Raises: Truncated when a manifest counts other rows than its pieces.
    """
    return pieces_of(manifests, Piece.from_text, doing="Loading the staged rows", called="pieces")


def without_value(cursor: Cursor, table: Table, *, column: str, key: Sequence[str]) -> str:
    """How many staged rows have nothing in a column, with the keys of the first few; empty where none has."""
    where = f"FROM {table.sql} s WHERE s.{listed([column])} IS NULL"
    ((count,),) = rows(cursor, f"SELECT count(*) {where}")
    if not count:
        return ""
    said = f"{quantity(int(count), 'row has')} no value in it"
    if not key:
        return said
    names = [f"s.{listed([one])}" for one in key]
    texts = ", ".join(f"{name}::text" for name in names)
    found = rows(cursor, f"SELECT {texts} {where} ORDER BY {', '.join(names)} LIMIT {_FIRST}")
    shown = [", ".join(f"{one} = {value}" for one, value in zip(key, row, strict=True)) for row in found]
    return f"{said}: {'; '.join(shown)}{', ...' if int(count) > len(shown) else ''}"


def settle_pieces(cursor: Cursor, table: Table, *, pieces: Sequence[Piece]) -> int:
    """Leave just the rows of these pieces in a staging table, and return how many they are.

    Each piece is counted for itself: rows of one that is gone are not made up for by another's.
    Raises: Truncated when a piece has other rows than announced.
    """
    announced: Counter[str] = Counter()
    for piece in pieces:
        announced[str(piece.xid)] += piece.rows
    found = Counter({str(xid): int(count) for xid, count in rows(cursor, f"SELECT xmin, count(*) FROM {table.sql} GROUP BY 1")})
    if strange := [xid for xid in found if not announced[xid]]:
        cursor.execute(f"DELETE FROM {table.sql} WHERE xmin::text = ANY ($1::text[])", [strange])
    wrong = sum(found[xid] != count for xid, count in announced.items())
    there = sum(found[xid] for xid in announced)
    if wrong:
        differ = quantity_of(wrong, len(announced), what="batch differs")
        cause = f"{quantity(there, 'row is')} staged, {announced.total():,} were announced; {differ}"
        raise Truncated("Loading the staged rows", cause, hint="Run it again; nothing was published.", rows=there)
    return there


def examine(cursor: Cursor, table: Table, *, plan: Plan, rows_only: str = "true") -> Found:
    """Look at staged rows. `rows_only` is the condition under which a row's cursor value counts as loaded.

    Raises: SchemaConflict for rows without a key.
    """
    whole = " AND ".join(f"{listed([name])} IS NOT NULL" for name in plan.key) or "true"
    repeats = f"EXISTS (SELECT 1 FROM {table.sql} GROUP BY {listed(plan.key)} HAVING count(*) > 1)" if plan.key else "false"
    flagged = " OR ".join(listed([name]) for name in plan.flag_columns) or "false"
    counts = f"count(*), count(*) FILTER (WHERE {whole}), count(*) FILTER (WHERE {flagged})"
    total, keyed, marked, stamp, repeated = rows(
        cursor, f"SELECT {counts}, {highest(plan, rows_only)}, {repeats} FROM {table.sql}"
    )[0]
    if keyed != total:
        raise keyless(plan, total - keyed)
    return Found(int(total), int(marked), bool(repeated), None if stamp is None else str(stamp))


def deduplicate(cursor: Cursor, table: Table, *, plan: Plan, last: Sequence[str]) -> int:
    """Delete all but one row of each key, and return how many went: the newest stamp stays, then the least by `last`."""
    order = [f"{listed([name])} DESC NULLS LAST" for name in plan.cursor_columns] + list(last)
    rank = f"row_number() OVER (PARTITION BY {listed(plan.key)} ORDER BY {', '.join(order) or '1'})"
    ranked = f"SELECT ctid, {rank} AS n FROM {table.sql}"
    return touched(cursor, f"DELETE FROM {table.sql} WHERE ctid IN (SELECT ctid FROM ({ranked}) r WHERE n > 1)")


def highest(plan: Plan, rows_only: str = "true") -> str:
    """The SQL expression for the greatest cursor value of the rows that fulfil a condition, as text."""
    for name in plan.cursor_columns:
        column = plan.schema.column(name)
        greatest = f"max({listed([name])}) FILTER (WHERE {rows_only})"
        if column is not None and column.kind is Kind.DATETIME:
            return f"""to_char({greatest} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
        return f"{greatest}::text"
    return "NULL"


def deletion_schema(plan: Plan) -> Schema:
    """What is kept of a deletion: its key, and its stamp where there is one."""
    wanted = {name.lower() for name in (*plan.key, *plan.cursor_columns)}
    return plan.schema.select([name for name in plan.schema.names if name.lower() in wanted])


def _digest(table: Table, flow: str) -> str:
    return hashlib.sha256(f"{table.label}\0{flow}".encode()).hexdigest()[:16]


def _fence(rest: str) -> int:
    digits = rest.removesuffix("_gone")
    return int(digits) if digits.isdecimal() else 0
