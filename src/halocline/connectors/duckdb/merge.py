"""Merge: staged rows meet a table by key, inside the cursor's transaction, and each gets its verdict (`halocline.verdicts`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from halocline.batch import Op
from halocline.connector import Deletes, Plan
from halocline.connectors.duckdb import versions
from halocline.connectors.duckdb.client import Cursor, number
from halocline.connectors.duckdb.client import rows as answered
from halocline.connectors.duckdb.identity import refuse_moved_keys, refuse_repeats, refuse_shared_keys
from halocline.connectors.duckdb.row_numbers import staged_row, table_row
from halocline.connectors.duckdb.staging import GONE, STAGE, VERDICTS, deduplicate, examine, fill
from halocline.connectors.duckdb.tables import FULL_SYNC, Table, check_kind, check_types, create, expect, widen
from halocline.connectors.duckdb.types import sql_type
from halocline.errors import SchemaConflict
from halocline.guards import refuse_emptied, refuse_loss, refuse_mass_delete, refuse_unmarkable
from halocline.outcome import Counts
from halocline.spooled import StagedFile
from halocline.standard_sql import listed, quoted
from halocline.verdicts import Tally, rules
from halocline.versions import table_schema

_DIFFERENT = quoted("temp", "main", "_halocline_different")
_KEPT = quoted("temp", "main", "_halocline_kept")
_ROW = "_halocline_row"


def merge(cursor: Cursor, table: Table, *, plan: Plan, files: Sequence[StagedFile]) -> Counts:
    """Merge the files into the table, which is made, or gets the columns that it lacks.

    Of several staged rows with one key the newest stamp wins; at equal stamps a row wins over a deletion. A deletion
    older than the table's row is ignored. Rows that would not change are left alone. Those that a complete read lacks are
    flagged where deletes are soft.
    Raises: SchemaConflict for a changed type, or a chosen key that tells records badly apart; Truncated, Refused for a mass
    delete.
    """
    check_kind(table, plan)
    check_types(table, plan)
    if table.exists:
        widen(cursor, table, schema=plan.schema)
    else:
        create(cursor, table, schema=table_schema(plan))
    met = versions.current(table, plan) if plan.history else table
    _stage(cursor, plan, files)
    found = examine(cursor, STAGE, plan=plan, rows_only=f"NOT {GONE}")
    if found.repeats:
        refuse_repeats(cursor, STAGE, plan=plan, rows_only=f"NOT {GONE}")
        refuse_shared_keys(cursor, STAGE, plan=plan)
    repeated = _settle(cursor, plan) if found.repeats else 0
    refuse_moved_keys(cursor, STAGE, table=met, plan=plan)
    _judge(cursor, met, plan, staged=found.rows - repeated)
    tally = _tally(cursor)
    if plan.complete:
        _refuse_loss(cursor, met, plan)
    else:
        there = number(cursor, f"SELECT count(*) FROM {met.sql}")
        refuse_mass_delete(table.label, plan, deletions=tally.deletions, there=there)
        refuse_emptied(table.label, plan, removed=tally.remove, left=there + tally.insert - tally.remove)
    if plan.history:
        vanished = versions.apply(cursor, table, plan=plan, wanted=tally.touched)
    else:
        vanished = _apply(cursor, table, plan, tally=tally)
    for temporary in (_KEPT, VERDICTS, STAGE):
        cursor.execute(f"DROP TABLE IF EXISTS {temporary}")
    return replace(tally, absent=vanished).counts(unchanged=tally.same + repeated, highest=found.highest)


def _stage(cursor: Cursor, plan: Plan, files: Sequence[StagedFile]) -> None:
    columns = [f"{quoted(column.name)} {sql_type(column)}" for column in plan.schema]
    cursor.execute(f"CREATE TEMP TABLE {STAGE} ({', '.join(columns)}, {GONE} BOOLEAN)")
    for op, gone in ((Op.UPSERT, "false"), (Op.DELETE, "true")):
        fill(cursor, STAGE, files=[file for file in files if file.op is op], schema=plan.schema, constants={GONE: gone})


def _settle(cursor: Cursor, plan: Plan) -> int:
    """Leave one staged row of each key, and return how many went.

    A row that is flagged as deleted says all that its deletion says, and more, whichever of their stamps is newer.
    """
    flags = [quoted(name) for name in plan.flag_columns]
    same_key = " AND ".join(f"s.{quoted(name)} = d.{quoted(name)}" for name in plan.key)
    told = f"EXISTS (SELECT 1 FROM {STAGE} s WHERE {same_key} AND s.{flags[0]} AND NOT s.{GONE})" if flags else "false"
    gone = number(cursor, f"DELETE FROM {STAGE} d WHERE d.{GONE} AND {told}")
    return gone + deduplicate(cursor, STAGE, plan=plan, last=[GONE, *(f"{name} NULLS FIRST" for name in flags)])


def _judge(cursor: Cursor, table: Table, plan: Plan, *, staged: int) -> None:
    """Give every staged row its verdict, and read no more of the table than that takes.

    Key, stamp and flag decide about most rows: another stamp is another row. Only rows of equal stamp are compared in full.
    """
    same_key = " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in plan.key)
    restamped = " OR ".join(f"s.{quoted(name)} IS DISTINCT FROM t.{quoted(name)}" for name in plan.cursor_columns) or "false"
    row = table_row(table, plan, side="t")
    decided = rules(plan, listed, gone=f"s.{GONE}", absent=f"{row} IS NULL", differs=restamped)
    cases = " ".join(f"WHEN {condition} THEN '{verdict}'" for condition, verdict in decided)
    judged = number(
        cursor,
        f"CREATE TEMP TABLE {VERDICTS} AS SELECT {staged_row(plan, 's')} AS stage_row, {row} AS table_row,"
        f" CASE {cases} ELSE 'look' END AS verdict FROM {STAGE} s LEFT JOIN {table.sql} t ON {same_key}",
    )
    if judged != staged:
        cause = f"the table holds several rows of one key ({', '.join(plan.key)})"
        raise SchemaConflict(f"Merging into {table.label}", cause, hint=FULL_SYNC)
    if number(cursor, f"SELECT count(*) FROM {VERDICTS} WHERE verdict = 'look'"):
        _look_closer(cursor, table, plan)


def _look_closer(cursor: Cursor, table: Table, plan: Plan) -> None:
    others = [quoted(name) for name in plan.other_columns]
    differs = " OR ".join(f"s.{name} IS DISTINCT FROM t.{name}" for name in others) or "false"
    row = table_row(table, plan)
    # The inner condition looks redundant, but lets DuckDB fetch just these rows: 64 of a million took 0.07 s instead of 0.55 s.
    looked_at = f"{row} IN (SELECT table_row FROM {VERDICTS} WHERE verdict = 'look')"
    few = f"(SELECT {row} AS {_ROW}, {', '.join(others) or '1'} FROM {table.sql} WHERE {looked_at})"
    met = f"{VERDICTS} v JOIN {STAGE} s ON {staged_row(plan, 's')} = v.stage_row JOIN {few} t ON t.{_ROW} = v.table_row"
    where = f"WHERE v.verdict = 'look' AND ({differs})"
    cursor.execute(f"CREATE TEMP TABLE {_DIFFERENT} AS SELECT v.stage_row FROM {met} {where}")
    verdict = f"CASE WHEN stage_row IN (SELECT stage_row FROM {_DIFFERENT}) THEN 'update' ELSE 'same' END"
    cursor.execute(f"UPDATE {VERDICTS} SET verdict = {verdict} WHERE verdict = 'look'")
    cursor.execute(f"DROP TABLE {_DIFFERENT}")


def _tally(cursor: Cursor) -> Tally:
    counted = answered(cursor, f"SELECT verdict, count(*) FROM {VERDICTS} GROUP BY verdict")
    return Tally(**{str(verdict): int(str(count)) for verdict, count in counted})


def _refuse_loss(cursor: Cursor, met: Table, plan: Plan) -> None:
    """Hold a complete read against the current live rows.

    Raises: Refused when it is empty, or lacks more than the plan's share of them.
    """
    live = " AND ".join(f"{quoted(name)} IS NOT TRUE" for name in plan.flag_columns) or "true"
    old = number(cursor, f"SELECT count(*) FROM {met.sql} WHERE {live}")
    new = number(cursor, f"SELECT count(*) FROM {STAGE} WHERE NOT {GONE} AND {live}")
    refuse_loss(met.label, plan, old=old, new=new)


def _apply(cursor: Cursor, table: Table, plan: Plan, *, tally: Tally) -> int:
    """Do as the verdicts say; how many rows were flagged because a complete read lacked them."""
    if tally.touched:
        _change(cursor, table, plan, tally=tally)
    return _flag_absent(cursor, table, plan) if plan.complete and plan.deletes is Deletes.SOFT else 0


def _flag_absent(cursor: Cursor, table: Table, plan: Plan) -> int:
    """Flag the rows whose key was not staged; when they went is not known, so their stamp stays."""
    flagged = 0
    for flag in map(quoted, plan.flag_columns):
        same_key = " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in plan.key)
        lacking = f"NOT EXISTS (SELECT 1 FROM {STAGE} s WHERE {same_key})"
        flagged = number(cursor, f"UPDATE {table.sql} t SET {flag} = true WHERE t.{flag} IS NOT TRUE AND {lacking}")
    return flagged


def _change(cursor: Cursor, table: Table, plan: Plan, *, tally: Tally) -> None:
    _mark(cursor, table, plan, expected=tally.mark)
    only_here = table.only_here(plan.schema)
    if only_here:
        _keep(cursor, table, plan, names=only_here)
    replaced = f"SELECT table_row FROM {VERDICTS} WHERE verdict IN ('update', 'flag', 'remove')"
    removed = number(cursor, f"DELETE FROM {table.sql} WHERE {table_row(table, plan)} IN ({replaced})")
    expect(table, removed, wanted=tally.update + tally.flag + tally.remove)
    inserted = _insert(cursor, table, plan, verdicts="'insert'" if only_here else "'insert', 'update', 'flag'", kept=())
    if only_here:
        inserted += _insert(cursor, table, plan, verdicts="'update', 'flag'", kept=only_here)
    expect(table, inserted, wanted=tally.insert + tally.update + tally.flag)


def _keep(cursor: Cursor, table: Table, plan: Plan, *, names: Sequence[str]) -> None:
    """Save what the rows to be replaced hold in the columns that the source does not have."""
    values = ", ".join(f"t.{quoted(name)}" for name in names)
    source = f"{VERDICTS} v JOIN {table.sql} t ON {table_row(table, plan, side='t')} = v.table_row"
    cursor.execute(
        f"CREATE TEMP TABLE {_KEPT} AS SELECT v.stage_row, {values} FROM {source} WHERE v.verdict IN ('update', 'flag')"
    )


def _insert(cursor: Cursor, table: Table, plan: Plan, *, verdicts: str, kept: Sequence[str]) -> int:
    """Insert staged rows of some verdicts; without `kept`, columns that the source does not have get their defaults."""
    names = ", ".join(quoted(name) for name in [*plan.schema.names, *kept])
    values = ", ".join([f"s.{quoted(n)}" for n in plan.schema.names] + [f"k.{quoted(n)}" for n in kept])
    source = f"{STAGE} s JOIN {VERDICTS} v ON v.stage_row = {staged_row(plan, 's')}"
    source += f" JOIN {_KEPT} k ON k.stage_row = v.stage_row" if kept else ""
    return number(cursor, f"INSERT INTO {table.sql} ({names}) SELECT {values} FROM {source} WHERE v.verdict IN ({verdicts})")


def _mark(cursor: Cursor, table: Table, plan: Plan, *, expected: int) -> None:
    """Set the flag of rows deleted at the source, and raise their stamp to the deletion's."""
    if expected == 0:
        return
    refuse_unmarkable(table.label, plan, deletions=expected)
    sets = [f"{quoted(name)} = true" for name in plan.flag_columns]
    sets += [f"{quoted(name)} = greatest(t.{quoted(name)}, s.{quoted(name)})" for name in plan.cursor_columns]
    source = f"{STAGE} s JOIN {VERDICTS} v ON v.stage_row = {staged_row(plan, 's')}"
    met = f"{table_row(table, plan, side='t')} = v.table_row"
    sql = f"UPDATE {table.sql} t SET {', '.join(sets)} FROM {source} WHERE {met} AND v.verdict = 'mark'"
    expect(table, number(cursor, sql), wanted=expected)
