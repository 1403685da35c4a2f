"""Identity: a key that the user chose (`match_field`) held against the source's own, which tells records apart for sure.

Rows are matched by the chosen key. Where two records share a value of it, or a record's value changes, rows would be merged
into one, or left behind, without anybody being told; so the load is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from halocline.connector import Plan
from halocline.connectors.duckdb.client import Cursor, number, rows
from halocline.connectors.duckdb.tables import Table
from halocline.identity import moved_keys, shared_key, taken_keys
from halocline.identity import repeated as repeats
from halocline.standard_sql import quoted


def refuse_shared_keys(cursor: Cursor, table: str, *, plan: Plan) -> None:
    """Hold the rows of a table of staged rows against each other; records marked as deleted may share a key with a live one.

    Raises: SchemaConflict when several live records have one key.
    """
    own = plan.own_key
    if not own:
        return
    key = ", ".join(quoted(name) for name in plan.key)
    alive = " AND ".join(f"{quoted(name)} IS NOT TRUE" for name in plan.flag_columns) or "true"
    records = f"count(DISTINCT ({', '.join(map(quoted, own))}))"
    sql = f"SELECT {key}, {records} AS n FROM {table} WHERE {alive} GROUP BY {key} HAVING n > 1 ORDER BY n DESC, {key} LIMIT 1"
    for *values, count in rows(cursor, sql):
        raise shared_key(plan, values, records=count)


def refuse_repeats(cursor: Cursor, table: str, *, plan: Plan, rows_only: str = "true") -> None:
    """Hold staged rows to the source's promise of each record once; what arrived twice came in place of something else.

    `rows_only` is the condition that leaves deletions out, which may follow a row.
    Raises: Truncated when a record is there twice.
    """
    if not plan.once or not plan.schema.key:
        return
    own = ", ".join(map(quoted, plan.schema.key))
    sql = f"SELECT count(*) - count(DISTINCT ({own})) FROM {table} WHERE {rows_only}"
    if repeated := number(cursor, sql):
        raise repeats(plan, repeated)


def refuse_moved_keys(cursor: Cursor, stage: str, *, table: Table, plan: Plan) -> None:
    """Hold staged rows against the table's, before they are merged by a key that the user chose.

    Raises: SchemaConflict when a record's key is another than in the table, or a live record of the table would be overwritten.
    """
    own = plan.own_key
    if not own or any(table.type_of(name) is None for name in own):
        return
    same_key, same_record = _equal(plan.key), _equal(own)
    moved = number(cursor, f"SELECT count(*) FROM {stage} s JOIN {table.sql} t ON {same_record} WHERE NOT ({same_key})")
    if moved:
        raise moved_keys(plan, moved)
    alive = " AND ".join(f"{side}.{quoted(name)} IS NOT TRUE" for name in plan.flag_columns for side in "st") or "true"
    shared = number(
        cursor, f"SELECT count(*) FROM {stage} s JOIN {table.sql} t ON {same_key} WHERE NOT ({same_record}) AND {alive}"
    )
    if shared:
        raise taken_keys(plan, shared)


def _equal(names: Sequence[str]) -> str:
    return " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in names)
