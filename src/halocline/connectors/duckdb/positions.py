"""Positions: where each flow's next read starts, and who may write, kept in the database beside the rows.

One row for each flow without a target holds the fencing number; one row for each flow and table holds the position.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import duckdb

from halocline import unfilled
from halocline.batch import Position
from halocline.connector import Lease
from halocline.connectors.duckdb.client import Cursor, Database, number, rows
from halocline.connectors.duckdb.tables import Table
from halocline.errors import LeaseHeld, LeaseLost
from halocline.standard_sql import quoted

TABLE = "_halocline_positions"
_NO_TARGET = ""
_ATTEMPTS = 20  # two claims at the same instant collide once; more collisions than this mean that something is wrong
_WAIT_S = 0.005  # between them: the other's transaction takes about a millisecond, if its thread is let run


def claim(database: Database, flow: str, *, owner: str) -> Lease:
    """Take the flow: its fencing number grows by one, so that a commit under an older one fails.

    Raises: LeaseHeld when others claim the same flow at the same instant, again and again.
    """
    for _ in range(_ATTEMPTS):
        with _collision() as collided, database.transaction() as cursor:
            _ensure(cursor, database)
            fence = _raise_epoch(cursor, database, flow=flow, owner=owner)
        if not collided:
            return Lease(flow, owner, fence)
        time.sleep(_WAIT_S)
    raise LeaseHeld(f"Claiming the flow {flow}", "other runs claim it at the same time", hint="Start one run at a time.")


def read(database: Database, cursor: Cursor, *, flow: str, table: Table) -> Position | None:
    """The position that the last commit of `flow` into `table` stored, with its note (`unfilled`), or None."""
    if not _exists(database, cursor):
        return None
    sql = f"SELECT position FROM {_name(database)} WHERE flow = ? AND target = ?"
    found = rows(cursor, sql, values=(flow, table.label))
    if not found or found[0][0] is None:
        return None
    position = json.loads(str(found[0][0]))
    return position if isinstance(position, dict) else None


def flows(database: Database, cursor: Cursor, *, table: Table) -> list[str]:
    """The flows that have a position in `table`."""
    if not _exists(database, cursor):
        return []
    sql = f"SELECT flow FROM {_name(database)} WHERE target = ? AND position IS NOT NULL ORDER BY flow"
    return [str(flow) for (flow,) in rows(cursor, sql, values=[table.label])]


def check(database: Database, cursor: Cursor, *, lease: Lease) -> None:
    """Hold a lease against the database.

    Raises: LeaseLost when a newer claim was made.
    """
    fence, owner = _holder(database, cursor, lease.flow)
    if fence != lease.fence:
        hint = "Nothing of this run was published; the newer run goes on."
        raise LeaseLost(f"Committing the flow {lease.flow}", f"a newer run ({owner}) took it over", hint=hint, owner=owner)


def hold(database: Database, cursor: Cursor, *, lease: Lease) -> None:
    """Touch the lease's epoch inside a commit, so that a claim made meanwhile and this commit cannot both succeed.

    It must be this column, and a plain UPDATE on both sides: DuckDB finds two updates in conflict by row and column, and
    runs `ON CONFLICT DO UPDATE` and `UPDATE ... RETURNING` as delete and insert, which it does not hold against an update.
    Source: https://github.com/duckdb/duckdb/issues/17223 (reproduced with 2.0.0), read November 2026.
    """
    sql = f"UPDATE {_name(database)} SET epoch = ? WHERE flow = ? AND target = ?"
    cursor.execute(sql, [lease.fence, lease.flow, _NO_TARGET])


def write(database: Database, cursor: Cursor, *, lease: Lease, flow: str, table: Table, position: Position) -> None:
    """Store the position of `flow` in `table`, in the cursor's transaction."""
    sql = (
        f"INSERT INTO {_name(database)} VALUES (?, ?, ?, ?, ?, now()) ON CONFLICT (flow, target) DO UPDATE SET"
        " position = excluded.position, epoch = excluded.epoch, owner = excluded.owner, updated_at = excluded.updated_at"
    )
    cursor.execute(sql, [flow, table.label, json.dumps(position), lease.fence, lease.owner])


def forget_others(database: Database, cursor: Cursor, *, flows: Collection[str], table: Table) -> None:
    """Drop the positions that other flows hold in `table`: its rows were replaced, and theirs are no longer there."""
    others = f"flow NOT IN ({', '.join('?' * len(flows))})" if flows else "true"
    cursor.execute(f"DELETE FROM {_name(database)} WHERE target = ? AND {others}", [table.label, *flows])


def note_unfilled(database: Database, cursor: Cursor, *, table: Table, columns: Sequence[str]) -> None:
    """Note beside every position in `table` that these columns, which are made in the cursor's transaction, hold nothing."""
    name = _name(database)
    for flow in flows(database, cursor, table=table):
        position = read(database, cursor, flow=flow, table=table)
        if position is not None:
            told = json.dumps(unfilled.noted(position, columns))
            cursor.execute(f"UPDATE {name} SET position = ? WHERE flow = ? AND target = ?", [told, flow, table.label])


def _raise_epoch(cursor: Cursor, database: Database, *, flow: str, owner: str) -> int:
    where = "WHERE flow = ? AND target = ?"
    update = f"UPDATE {_name(database)} SET epoch = epoch + 1, owner = ?, updated_at = now() {where}"
    if number(cursor, update, values=(owner, flow, _NO_TARGET)) == 0:
        cursor.execute(f"INSERT INTO {_name(database)} VALUES (?, ?, NULL, 1, ?, now())", [flow, _NO_TARGET, owner])
    return number(cursor, f"SELECT epoch FROM {_name(database)} {where}", values=(flow, _NO_TARGET))


def _holder(database: Database, cursor: Cursor, flow: str) -> tuple[int, str]:
    if not _exists(database, cursor):
        return 0, "nobody: the table of positions is gone"
    sql = f"SELECT epoch, owner FROM {_name(database)} WHERE flow = ? AND target = ?"
    found = rows(cursor, sql, values=(flow, _NO_TARGET))
    return (int(str(found[0][0])), str(found[0][1])) if found else (0, "nobody: the claim is gone")


def _name(database: Database) -> str:
    return quoted(database.catalog, "main", TABLE)


def _exists(database: Database, cursor: Cursor) -> bool:
    sql = "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'main' AND table_name = ?"
    return bool(rows(cursor, sql, values=(database.catalog, TABLE)))


def _ensure(cursor: Cursor, database: Database) -> None:
    cursor.execute(
        f"CREATE TABLE IF NOT EXISTS {_name(database)} (flow VARCHAR, target VARCHAR, position JSON,"
        " epoch BIGINT, owner VARCHAR, updated_at TIMESTAMPTZ, PRIMARY KEY (flow, target))"
    )


@contextmanager
def _collision() -> Iterator[list[duckdb.Error]]:
    """Hold back the error of two transactions that met; the list then has it."""
    met: list[duckdb.Error] = []
    try:
        yield met
    except (duckdb.TransactionException, duckdb.ConstraintException) as error:
        met.append(error)
