"""Positions: where each flow's next read starts, and who may write, kept in the file beside the rows.

One row for each flow without a target holds the fencing number; one row for each flow and table holds the position.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from halocline import unfilled
from halocline.batch import Position
from halocline.connector import Lease
from halocline.connectors.sqlite.tables import Table
from halocline.errors import LeaseLost, StorageFailed

_TABLE = "main._halocline_positions"
_NO_TARGET = ""
_MAKE = (
    f"CREATE TABLE IF NOT EXISTS {_TABLE} (flow TEXT, target TEXT, position TEXT, epoch INTEGER, owner TEXT,"
    " updated_at TEXT DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (flow, target))"
)


def claim(connection: sqlite3.Connection, flow: str, *, owner: str) -> Lease:
    """Take the flow, in the connection's transaction: its fencing number grows by one, and a commit under an older one fails."""
    connection.execute(_MAKE)
    connection.execute(
        f"INSERT INTO {_TABLE} (flow, target, epoch, owner) VALUES (?, ?, 1, ?) ON CONFLICT (flow, target) DO UPDATE SET"
        " epoch = epoch + 1, owner = excluded.owner, updated_at = CURRENT_TIMESTAMP",
        (flow, _NO_TARGET, owner),
    )
    ((fence,),) = connection.execute(f"SELECT epoch FROM {_TABLE} WHERE flow = ? AND target = ?", (flow, _NO_TARGET)).fetchall()
    return Lease(flow, owner, int(fence))


def read(connection: sqlite3.Connection, *, flow: str, table: Table) -> Position | None:
    """The position that the last commit of `flow` into `table` stored, with its note (`unfilled`), or None.

    Raises: StorageFailed for one that is damaged.
    """
    if not _exists(connection):
        return None
    sql = f"SELECT position FROM {_TABLE} WHERE flow = ? AND target = ? AND position IS NOT NULL"
    found = connection.execute(sql, (flow, table.label)).fetchall()
    try:
        position = json.loads(found[0][0]) if found else None
    except ValueError as error:  # SQLite keeps no checksums
        hint = "Restore the file from a copy, or read the whole table again: --full."
        raise StorageFailed(f"Reading the position of the flow {flow}", f"it is damaged ({error})", hint=hint) from error
    return position if isinstance(position, dict) else None


def flows(connection: sqlite3.Connection, *, table: Table) -> list[str]:
    """The flows that have a position in `table`."""
    if not _exists(connection):
        return []
    sql = f"SELECT flow FROM {_TABLE} WHERE target = ? AND position IS NOT NULL ORDER BY flow"
    return [str(flow) for (flow,) in connection.execute(sql, (table.label,)).fetchall()]


def check(connection: sqlite3.Connection, *, lease: Lease) -> None:
    """Hold a lease against the file, inside the transaction beside which nobody claims.

    Raises: LeaseLost when a newer claim was made.
    """
    sql = f"SELECT epoch, owner FROM {_TABLE} WHERE flow = ? AND target = ?"
    found = connection.execute(sql, (lease.flow, _NO_TARGET)).fetchall() if _exists(connection) else []
    fence, owner = found[0] if found else (0, "nobody: the claim is gone")
    if fence != lease.fence:
        hint = "Nothing of this run was published; the newer run goes on."
        raise LeaseLost(f"Committing the flow {lease.flow}", f"a newer run ({owner}) took it over", hint=hint, owner=owner)


def write(connection: sqlite3.Connection, *, lease: Lease, flow: str, table: Table, position: Position) -> None:
    """Store the position of `flow` in `table`, in the connection's transaction."""
    connection.execute(
        f"INSERT OR REPLACE INTO {_TABLE} (flow, target, position, epoch, owner) VALUES (?, ?, ?, ?, ?)",
        (flow, table.label, json.dumps(position), lease.fence, lease.owner),
    )


def forget_others(connection: sqlite3.Connection, *, flows: Collection[str], table: Table) -> None:
    """Drop the positions that other flows hold in `table`: its rows were replaced, and theirs are no longer there."""
    others = f"flow NOT IN ({', '.join('?' * len(flows))})" if flows else "1"
    connection.execute(f"DELETE FROM {_TABLE} WHERE target = ? AND {others}", (table.label, *flows))


def note_unfilled(connection: sqlite3.Connection, *, table: Table, columns: Sequence[str]) -> None:
    """Note beside every position in `table` that these columns, which are made in the connection's transaction, hold nothing."""
    for flow in flows(connection, table=table):
        position = read(connection, flow=flow, table=table)
        if position is not None:
            told = json.dumps(unfilled.noted(position, columns))
            connection.execute(f"UPDATE {_TABLE} SET position = ? WHERE flow = ? AND target = ?", (told, flow, table.label))


def _exists(connection: sqlite3.Connection) -> bool:
    name = _TABLE.partition(".")[2]
    return bool(connection.execute("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?", (name,)).fetchall())
