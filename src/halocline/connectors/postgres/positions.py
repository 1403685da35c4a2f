"""Positions: where each flow's next read starts, and who may write, kept in the database beside the rows.

One row for each flow without a target holds the fencing number; one row for each flow and table holds the position. The table
is the one that the search path leads to; where there is none yet, it is made in the first schema of the path.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from halocline import unfilled
from halocline.batch import Position
from halocline.connector import Lease
from halocline.connectors.postgres.client import Cursor, number, one, rows
from halocline.connectors.postgres.tables import Table
from halocline.errors import LeaseLost
from halocline.standard_sql import quoted

TABLE = "_halocline_positions"
_NO_TARGET = ""


def claim(cursor: Cursor, flow: str, *, owner: str) -> Lease:
    """Take the flow: its fencing number grows by one, so that a commit under an older one fails."""
    sql = (
        f"INSERT INTO {_made(cursor)} AS p (flow, target, epoch, owner, updated_at) VALUES ($1, $2, 1, $3, now())"
        " ON CONFLICT (flow, target)"
        " DO UPDATE SET epoch = p.epoch + 1, owner = excluded.owner, updated_at = now() RETURNING epoch"
    )
    return Lease(flow, owner, number(cursor, sql, values=(flow, _NO_TARGET, owner)))


def read(cursor: Cursor, *, flow: str, table: Table) -> Position | None:
    """The position that the last commit of `flow` into `table` stored, with its note (`unfilled`), or None."""
    name = _found(cursor)
    if name is None:
        return None
    found = rows(cursor, f"SELECT position::text FROM {name} WHERE flow = $1 AND target = $2", values=(flow, table.label))
    position = json.loads(str(found[0][0])) if found and found[0][0] is not None else None
    return position if isinstance(position, dict) else None


def flows(cursor: Cursor, *, table: Table) -> list[str]:
    """The flows that have a position in `table`."""
    name = _found(cursor)
    if name is None:
        return []
    sql = f"SELECT flow FROM {name} WHERE target = $1 AND position IS NOT NULL ORDER BY flow"
    return [str(flow) for (flow,) in rows(cursor, sql, values=(table.label,))]


def check(cursor: Cursor, *, lease: Lease, hold: bool = False) -> None:
    """Hold a lease against the database; with `hold`, nobody can claim the flow before the transaction ends.

    Raises: LeaseLost when a newer claim was made.
    """
    name = _found(cursor)
    sql = f"SELECT epoch, owner FROM {name} WHERE flow = $1 AND target = $2{' FOR UPDATE' if hold else ''}"
    found = rows(cursor, sql, values=(lease.flow, _NO_TARGET)) if name else []
    fence, owner = found[0] if found else (0, "nobody: the claim is gone")
    if (fence, owner) != (lease.fence, lease.owner):
        hint = "Nothing of this run was published; the newer run goes on."
        raise LeaseLost(f"Committing the flow {lease.flow}", f"a newer run ({owner}) took it over", hint=hint, owner=owner)


def write(cursor: Cursor, *, lease: Lease, flow: str, table: Table, position: Position) -> None:
    """Store the position of `flow` in `table`, in the cursor's transaction."""
    sql = (
        f"INSERT INTO {_made(cursor)} (flow, target, position, epoch, owner, updated_at)"
        " VALUES ($1, $2, $3::jsonb, $4, $5, now()) ON CONFLICT (flow, target) DO UPDATE SET"
        " position = excluded.position, epoch = excluded.epoch, owner = excluded.owner, updated_at = excluded.updated_at"
    )
    cursor.execute(sql, [flow, table.label, json.dumps(position), lease.fence, lease.owner])


def carry(cursor: Cursor, *, lease: Lease, labels: Sequence[str]) -> bool:
    """Whether the lease's own commit stored a position in all of these tables."""
    name = _found(cursor)
    where = "epoch = $1 AND owner = $2 AND position IS NOT NULL AND target = ANY ($3::text[])"
    sql = f"SELECT count(DISTINCT target) FROM {name} WHERE {where}"
    return name is not None and number(cursor, sql, values=(lease.fence, lease.owner, list(labels))) == len(labels)


def forget_others(cursor: Cursor, *, flows: Collection[str], table: Table) -> None:
    """Drop the positions that other flows hold in `table`: its rows were replaced, and theirs are no longer there."""
    sql = f"DELETE FROM {_made(cursor)} WHERE target = $1 AND flow <> ALL ($2::text[])"
    cursor.execute(sql, [table.label, list(flows)])


def note_unfilled(cursor: Cursor, *, table: Table, columns: Sequence[str]) -> None:
    """Note beside every position in `table` that these columns, which are made in the cursor's transaction, hold nothing."""
    name = _made(cursor)
    for flow in flows(cursor, table=table):
        position = read(cursor, flow=flow, table=table)
        if position is not None:
            told = json.dumps(unfilled.noted(position, columns))
            cursor.execute(f"UPDATE {name} SET position = $1::jsonb WHERE flow = $2 AND target = $3", [told, flow, table.label])


def _found(cursor: Cursor) -> str | None:
    sql = f"SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('{TABLE}')"
    found = rows(cursor, sql)
    return quoted(str(found[0][0]), TABLE) if found else None


def _made(cursor: Cursor) -> str:
    """The table's name; the table is made where there is none. Who makes it at the same instant waits."""
    name = _found(cursor)
    if name is None:
        one(cursor, "SELECT pg_advisory_xact_lock(hashtext('halocline positions'))")
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {TABLE} (flow text, target text, position jsonb, epoch bigint NOT NULL, owner text,"
            " updated_at timestamptz, PRIMARY KEY (flow, target))"
        )
        name = _found(cursor)
        assert name is not None, "it was made a moment ago, where the search path begins"
    return name
