"""Merge: staged rows meet a table by key, inside the connection's transaction; each gets its verdict (`halocline.verdicts`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from halocline.connector import Deletes, Plan
from halocline.connectors.sqlite.client import number, touched
from halocline.connectors.sqlite.staging import (
    GONE,
    ROW,
    STAGE,
    deduplicate,
    refuse_moved_keys,
    refuse_repeats,
    refuse_shared_keys,
    same_key,
    stage,
)
from halocline.connectors.sqlite.tables import FULL_SYNC, Table, check_types, expect, index, make, row_number, widen
from halocline.errors import SchemaConflict
from halocline.guards import refuse_emptied, refuse_loss, refuse_mass_delete, refuse_unmarkable
from halocline.outcome import Counts
from halocline.spooled import StagedFile
from halocline.standard_sql import listed, quoted
from halocline.verdicts import Tally, rules

_VERDICTS = "temp._halocline_verdicts"
_MET = f"{STAGE} s JOIN {_VERDICTS} v ON v.stage_row = s.{ROW}"


def merge(connection: sqlite3.Connection, table: Table, *, plan: Plan, files: Sequence[StagedFile]) -> Counts:
    """Merge the files into the table, which is made, or gets the columns that it lacks.

    Of several staged rows with one key the newest stamp wins; at equal stamps a row wins over a deletion. A deletion
    older than the table's row is ignored. Rows that would not change are left alone. Those that a complete read lacks are
    flagged where deletes are soft.
    Raises: SchemaConflict for a changed type, or a chosen key that tells records badly apart; Truncated, Refused for a mass
    delete.
    """
    check_types(table, plan, doing=f"Merging into {table.name}")
    if table.exists:
        widen(connection, table, schema=plan.schema)
    else:
        make(connection, table, schema=plan.schema)
        index(connection, table, key=plan.key)
    staged = stage(connection, plan, files=files)
    repeated = _settle(connection, plan) if staged.repeats else 0
    if plan.own_key and all(table.type_of(name) is not None for name in plan.own_key):
        refuse_moved_keys(connection, plan, into=table.sql)
    row = row_number(connection, table)
    tally = _judge(connection, table, plan, row=row, staged=staged.rows - repeated)
    if plan.complete:
        _refuse_loss(connection, table, plan)
    else:
        there = number(connection, f"SELECT count(*) FROM {table.sql}")
        refuse_mass_delete(table.name, plan, deletions=tally.deletions, there=there)
        refuse_emptied(table.name, plan, removed=tally.remove, left=there + tally.insert - tally.remove)
    if tally.touched:
        _apply(connection, table, plan, row=row, tally=tally)
    if plan.complete and plan.deletes is Deletes.SOFT:
        tally = replace(tally, absent=_flag_absent(connection, table, plan))
    for temporary in (_VERDICTS, STAGE):
        connection.execute(f"DROP TABLE {temporary}")
    return tally.counts(unchanged=tally.same + repeated, highest=staged.highest)


def _settle(connection: sqlite3.Connection, plan: Plan) -> int:
    """Leave one staged row of each key, and return how many went.

    A row that is flagged as deleted says all that its deletion says, and more, whichever of their stamps is newer.
    """
    refuse_repeats(connection, plan)
    refuse_shared_keys(connection, plan)
    gone = 0
    for flag in map(quoted, plan.flag_columns):
        told = f"SELECT 1 FROM {STAGE} s WHERE {same_key(plan, of='sd')} AND s.{flag} AND NOT s.{GONE}"
        gone = touched(connection, f"DELETE FROM {STAGE} AS d WHERE d.{GONE} AND EXISTS ({told})")
    return gone + deduplicate(connection, plan)


def _judge(connection: sqlite3.Connection, table: Table, plan: Plan, *, row: str | None, staged: int) -> Tally:
    """Give every staged row its verdict; how many there are of each.

    Key, stamp and flag decide about most rows: another stamp is another row. Only rows of equal stamp are compared in full.
    """
    absent = f"{listed(plan.key[:1], 't')} IS NULL"  # no staged row is without it, and so none that meets one
    decided = rules(plan, listed, gone=f"s.{GONE}", absent=absent, differs=_differs(plan))
    cases = " ".join(f"WHEN {condition} THEN '{verdict}'" for condition, verdict in decided)
    connection.execute(
        f"CREATE TABLE {_VERDICTS} AS SELECT s.{ROW} AS stage_row, {f't.{row}' if row else 'NULL'} AS table_row,"
        f" CASE {cases} ELSE 'same' END AS verdict FROM {STAGE} s LEFT JOIN {table.sql} t ON {same_key(plan, of='st')}"
    )
    tally = dict(connection.execute(f"SELECT verdict, count(*) FROM {_VERDICTS} GROUP BY verdict").fetchall())
    if sum(tally.values()) != staged:
        cause = f"the table holds several rows of one key ({', '.join(plan.key)})"
        raise SchemaConflict(f"Merging into {table.name}", cause, hint=FULL_SYNC)
    return Tally(**tally)


def _differs(plan: Plan) -> str:
    """The condition that a staged row has other values than the table's."""
    stamps = {name.lower() for name in plan.cursor_columns}
    names = sorted(plan.schema.names, key=lambda name: name.lower() not in stamps)  # a stamp tells the soonest
    # A row as a whole: conditions may nest 1,000 deep only, and objects are as wide.
    return f"({listed(names, 's')}) IS NOT ({listed(names, 't')})"


def _refuse_loss(connection: sqlite3.Connection, table: Table, plan: Plan) -> None:
    live = " AND ".join(f"{quoted(name)} IS NOT TRUE" for name in plan.flag_columns) or "true"
    old = number(connection, f"SELECT count(*) FROM {table.sql} WHERE {live}")
    new = number(connection, f"SELECT count(*) FROM {STAGE} WHERE NOT {GONE} AND {live}")
    refuse_loss(table.name, plan, old=old, new=new)


def _flag_absent(connection: sqlite3.Connection, table: Table, plan: Plan) -> int:
    """Flag the rows whose key was not staged, and return how many; when they went is not known, so their stamp stays."""
    flagged = 0
    for flag in map(quoted, plan.flag_columns):
        lacking = f"NOT EXISTS (SELECT 1 FROM {STAGE} s WHERE {same_key(plan, of='st')})"
        sql = f"UPDATE {table.sql} AS t SET {flag} = true WHERE t.{flag} IS NOT TRUE AND {lacking}"
        flagged = touched(connection, sql)
    return flagged


def _apply(connection: sqlite3.Connection, table: Table, plan: Plan, *, row: str | None, tally: Tally) -> None:
    met = _met(plan, row)
    _mark(connection, table, plan, met=met, wanted=tally.mark)
    expect(table, _remove(connection, table, plan, row=row), wanted=tally.remove)
    sets = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in plan.schema.names)
    where = f"WHERE {met} AND v.verdict IN ('update', 'flag')"
    updated = touched(connection, f"UPDATE {table.sql} AS t SET {sets} FROM {_MET} {where}")
    expect(table, updated, wanted=tally.update + tally.flag)
    names = ", ".join(map(quoted, plan.schema.names))
    values = ", ".join(f"s.{quoted(name)}" for name in plan.schema.names)
    new = f"INSERT INTO {table.sql} ({names}) SELECT {values} FROM {_MET} WHERE v.verdict = 'insert'"
    expect(table, touched(connection, new), wanted=tally.insert)


def _met(plan: Plan, row: str | None) -> str:
    """The condition that a row of the table is the one that a staged row met: by its number where it has one, else by key."""
    return f"t.{row} = v.table_row" if row else same_key(plan, of="st")


def _remove(connection: sqlite3.Connection, table: Table, plan: Plan, *, row: str | None) -> int:
    if row:
        chosen = f"{row} IN (SELECT table_row FROM {_VERDICTS} WHERE verdict = 'remove')"
    else:
        key = ", ".join(f"t.{quoted(name)} COLLATE BINARY" for name in plan.key)  # as the stage's columns, by which rows met
        chosen = f"({key}) IN (SELECT {listed(plan.key, 's')} FROM {_MET} WHERE v.verdict = 'remove')"
    return touched(connection, f"DELETE FROM {table.sql} AS t WHERE {chosen}")


def _mark(connection: sqlite3.Connection, table: Table, plan: Plan, *, met: str, wanted: int) -> None:
    """Set the flag of rows deleted at the source, and raise their stamp to the deletion's."""
    if wanted == 0:
        return
    refuse_unmarkable(table.name, plan, deletions=wanted)
    sets = [f"{quoted(name)} = true" for name in plan.flag_columns]
    stamps = map(quoted, plan.cursor_columns)
    sets += [f"{name} = max(coalesce(t.{name}, s.{name}), coalesce(s.{name}, t.{name}))" for name in stamps]
    sql = f"UPDATE {table.sql} AS t SET {', '.join(sets)} FROM {_MET} WHERE {met} AND v.verdict = 'mark'"
    expect(table, touched(connection, sql), wanted=wanted)
