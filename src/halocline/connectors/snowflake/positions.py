"""Positions: where each flow's next read starts, and who may write, kept in the database beside the rows.

One row for each flow without a target holds the fencing number; one row for each flow and table holds the position. The table
lies in the session's current schema, or in PUBLIC. Snowflake enforces no key: two first claims at one instant may both add a row,
and what is written here holds then, too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from snowflake.connector.errors import ProgrammingError

from halocline import unfilled
from halocline.batch import Position
from halocline.connector import Lease
from halocline.connectors.snowflake.client import Cursor, Database, literal, number, rows, touched, transaction
from halocline.connectors.snowflake.errors import is_missing
from halocline.connectors.snowflake.tables import Table, answered, create
from halocline.errors import LeaseLost

TABLE = "_HALOCLINE_POSITIONS"
_TYPES = '"FLOW" VARCHAR, "TARGET" VARCHAR, "POSITION" VARCHAR, "EPOCH" NUMBER(38,0), "OWNER" VARCHAR, "UPDATED_AT" TIMESTAMP_TZ'
_NAMES = '"FLOW", "TARGET", "POSITION", "EPOCH", "OWNER", "UPDATED_AT"'


def claim(database: Database, flow: str, *, owner: str) -> Lease:
    """Take the flow: its fencing number grows by one, so that a commit under an older one fails."""
    with database.cursor() as cursor:
        try:
            fence, holder = _taken(cursor, database, flow, owner=owner)
        except ProgrammingError as error:
            if not is_missing(error):
                raise
            create(cursor, f"CREATE TABLE IF NOT EXISTS {_table(database).sql} ({_TYPES})")
            fence, holder = _taken(cursor, database, flow, owner=owner)
    return Lease(flow, owner, int(fence) if holder == owner else 0)


def read(
    cursor: Cursor, database: Database, *, flow: str, table: Table, emptied: bool = False
) -> tuple[Position | None, tuple[str, ...]]:
    """The position that the last commit of `flow` into `table` stored, and the columns that were made since and never filled.

    None without a position, or if the table is gone or empty; with `emptied`, if it is gone or is not.
    """
    holds = f"NOT {_filled(table)}" if emptied else _filled(table)
    where = f'{_of(flow, table.label)} AND {holds} ORDER BY "EPOCH" DESC LIMIT 1'
    found = answered(cursor, f'SELECT "POSITION" FROM {_table(database).sql} WHERE {where}')
    position = json.loads(str(found[0]["position"])) if found and found[0]["position"] is not None else None
    return unfilled.taken(position if isinstance(position, dict) else None)


def flows(cursor: Cursor, database: Database, *, table: Table) -> list[str]:
    """The flows that have a position in `table`; none where it is gone or empty."""
    where = f'"TARGET" = {literal(table.label)} AND "POSITION" IS NOT NULL AND {_filled(table)}'
    found = answered(cursor, f'SELECT DISTINCT "FLOW" FROM {_table(database).sql} WHERE {where} ORDER BY 1')
    return [str(line["flow"]) for line in found or ()]


def check(cursor: Cursor, database: Database, *, lease: Lease, hold: bool = False) -> None:
    """Hold a lease against the database; with `hold`, nobody can claim the flow before the transaction ends.

    Raises: LeaseLost when a newer claim was made.
    """
    mine = f'{_claimed(lease.flow)} AND "EPOCH" = {lease.fence} AND "OWNER" = {literal(lease.owner)}'
    name = _table(database).sql
    if hold:
        kept = touched(cursor, f'UPDATE {name} SET "UPDATED_AT" = CURRENT_TIMESTAMP() WHERE {mine}')["updated"]
    else:
        kept = number(cursor, f"SELECT count(*) FROM {name} WHERE {mine}")
    if kept:
        return
    found = rows(cursor, f'SELECT "OWNER" FROM {name} WHERE {_claimed(lease.flow)}')
    owner = found[0][0] if found else "nobody: the claim is gone"
    hint = "Nothing of this run was published; the newer run goes on."
    raise LeaseLost(f"Committing the flow {lease.flow}", f"a newer run ({owner}) took it over", hint=hint, owner=owner)


def write(cursor: Cursor, database: Database, *, lease: Lease, flow: str, table: Table, position: Position) -> None:
    """Store the position of `flow` in `table`, in the cursor's transaction."""
    name, told, owner = _table(database).sql, literal(json.dumps(position)), literal(lease.owner)
    sets = f'"POSITION" = {told}, "EPOCH" = {lease.fence}, "OWNER" = {owner}, "UPDATED_AT" = CURRENT_TIMESTAMP()'
    if not touched(cursor, f"UPDATE {name} SET {sets} WHERE {_of(flow, table.label)}")["updated"]:
        values = f"{literal(flow)}, {literal(table.label)}, {told}, {lease.fence}, {owner}, CURRENT_TIMESTAMP()"
        cursor.execute(f"INSERT INTO {name} ({_NAMES}) SELECT {values}")


def carry(cursor: Cursor, database: Database, *, lease: Lease, labels: Sequence[str]) -> bool:
    """Whether the lease's own commit stored a position in all of these tables."""
    targets = ", ".join(literal(label) for label in labels)
    where = f'"POSITION" IS NOT NULL AND "EPOCH" = {lease.fence} AND "OWNER" = {literal(lease.owner)}'
    found = f'SELECT count(DISTINCT "TARGET") FROM {_table(database).sql} WHERE {where} AND "TARGET" IN ({targets})'
    return number(cursor, found) == len(labels)


def forget_others(cursor: Cursor, database: Database, *, flows: Collection[str], table: Table) -> None:
    """Drop the positions that other flows hold in `table`: its rows were replaced, and theirs are no longer there."""
    kept = ", ".join(literal(flow) for flow in flows)
    cursor.execute(f'DELETE FROM {_table(database).sql} WHERE "TARGET" = {literal(table.label)} AND "FLOW" NOT IN ({kept})')


def note_unfilled(cursor: Cursor, database: Database, *, table: Table, columns: Sequence[str]) -> None:
    """Note beside every position in `table` that these columns hold nothing, until the commit that stores it anew.

    Whose position is, and of which commit, stays as it is; one that another flow stores meanwhile is not written over.
    """
    name, here = _table(database).sql, f'"TARGET" = {literal(table.label)}'
    for (text,) in rows(cursor, f'SELECT DISTINCT "POSITION" FROM {name} WHERE {here} AND "POSITION" IS NOT NULL'):
        position = json.loads(str(text))
        if isinstance(position, dict):
            sets = f'"POSITION" = {literal(json.dumps(unfilled.noted(position, columns)))}'
            cursor.execute(f'UPDATE {name} SET {sets} WHERE {here} AND "POSITION" = {literal(str(text))}')


def _taken(cursor: Cursor, database: Database, flow: str, *, owner: str) -> tuple[Any, ...]:
    """Raise the flow's number; what it is then, and whose."""
    while True:
        with transaction(cursor):
            _raise(cursor, database, flow, owner=owner)
        found = rows(cursor, f'SELECT DISTINCT "EPOCH", "OWNER" FROM {_table(database).sql} WHERE {_claimed(flow)}')
        if len(found) == 1:  # else another's first claim came at the same instant; who raises the number after both is the newest
            return found[0]


def _raise(cursor: Cursor, database: Database, flow: str, *, owner: str) -> None:
    name = _table(database).sql
    sets = f'"EPOCH" = "EPOCH" + 1, "OWNER" = {literal(owner)}, "UPDATED_AT" = CURRENT_TIMESTAMP()'
    raised = touched(cursor, f"UPDATE {name} SET {sets} WHERE {_claimed(flow)}")["updated"]
    if not raised:
        values = f"{literal(flow)}, '', NULL, 1, {literal(owner)}, CURRENT_TIMESTAMP()"
        cursor.execute(f"INSERT INTO {name} ({_NAMES}) SELECT {values}")
    elif raised > 1:  # each is raised above all of them
        highest = number(cursor, f'SELECT max("EPOCH") FROM {name} WHERE {_claimed(flow)}')
        cursor.execute(f'UPDATE {name} SET "EPOCH" = {highest} WHERE {_claimed(flow)}')


def _table(database: Database) -> Table:
    return Table(database.name, database.schema, TABLE)


def _filled(table: Table) -> str:
    """The condition that the table holds a row: whoever empties one wants it filled again, not only with what changes."""
    return f"EXISTS (SELECT 1 FROM {table.sql} LIMIT 1)"


def _claimed(flow: str) -> str:
    return _of(flow, "")


def _of(flow: str, target: str) -> str:
    return f'"FLOW" = {literal(flow)} AND "TARGET" = {literal(target)}'
