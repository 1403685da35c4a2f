"""Identity: what every destination of tables says of the chosen key, and of the source's own, which tells records apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from halocline.connector import Mode, Plan, Target
from halocline.errors import FixConfig, NotFound, SchemaConflict, Truncated
from halocline.quantity import quantity

_HINT = "Choose a key that every record has to itself and that never changes, such as Id."
_FULL = "If records were only renamed or deleted for good, a full sync (--full, force_full_sync=True) sets it right."


class Spelling(Protocol):
    """How a database's SQL has columns by comma, of the table with the alias `side` where one is given."""

    def __call__(self, names: Sequence[str], side: str = "") -> str:
        """The SQL of it."""


def check_key(plan: Plan, target: Target) -> None:
    """Hold the plan's key against its columns.

    Raises: NotFound when a key column is missing.
    """
    for name in plan.key:
        if plan.schema.column(name) is None:
            near = [known for known in plan.schema.names if known.lower().startswith(name.lower()[:3])][:3]
            cause = f"the key column {name!r} is not among the columns of {plan.object}"
            raise NotFound(f"Opening a load into {target}", cause, suggestions=near)


def need_key(plan: Plan, target: Target) -> None:
    """Hold a merge to naming what its rows are matched by.

    Raises: FixConfig when it names no key.
    """
    if plan.mode is Mode.MERGE and not plan.key:
        raise FixConfig(f"Opening a load into {target}", "a merge needs a key", hint="Name the column that identifies a row.")


def keyless(plan: Plan, rows: int, *, key: Sequence[str] = ()) -> SchemaConflict:
    """The error for rows that were read without a value in the `key` (the plan's, where none is named)."""
    cause = f"{quantity(rows, 'row has')} no value in the key {', '.join(key or plan.key)}"
    return SchemaConflict(f"Loading {plan.object}", cause, hint="Choose a key that every row has.")


def agree(names: Sequence[str], listed: Spelling) -> str:
    """The SQL condition that the rows s and t have the same in these columns."""
    return " AND ".join(f"{listed([name], 's')} = {listed([name], 't')}" for name in names)


def refuse_shared_keys(plan: Plan, table: str, *, ask: Callable[[str], Sequence[Sequence[object]]], listed: Spelling) -> None:
    """Hold the rows of a table of staged rows against each other; records marked as deleted may share a key with a live one.

    `ask` answers a statement with its rows.
    Raises: SchemaConflict when several live records have one key.
    """
    if not plan.own_key:
        return
    key = listed(plan.key)
    alive = " AND ".join(f"{listed([name])} IS NOT TRUE" for name in plan.flag_columns) or "true"
    records = f"count(DISTINCT ({listed(plan.own_key)}))"
    sql = f"SELECT {key}, {records} FROM {table} WHERE {alive} GROUP BY {key} HAVING {records} > 1"
    for *values, count in ask(f"{sql} ORDER BY {records} DESC, {key} LIMIT 1"):
        raise shared_key(plan, values, records=count)


def refuse_repeats(plan: Plan, table: str, *, count: Callable[[str], int], listed: Spelling, rows_only: str) -> None:
    """Hold staged rows to the source's promise of each record once; what arrived twice came in place of something else.

    `rows_only` is the condition that leaves deletions out, which may follow a row.
    Raises: Truncated when a record is there twice.
    """
    if not plan.once or not plan.schema.key:
        return
    sql = f"SELECT count(*) - count(DISTINCT ({listed(plan.schema.key)})) FROM {table} WHERE {rows_only}"
    if twice := count(sql):
        raise repeated(plan, twice)


def refuse_moved_keys(
    plan: Plan, stage: str, *, table: str, count: Callable[[str], int], listed: Spelling, unset: str = "{} IS NOT TRUE"
) -> None:
    """Hold staged rows against the table's, before they are merged by a key that the user chose; both are names in SQL.

    `count` answers a statement with its number; `unset` is the condition that a flag is not set.
    Raises: SchemaConflict when a record's key is another than in the table, or a live record of the table would be overwritten.
    """
    same_key, same_record = agree(plan.key, listed), agree(plan.own_key, listed)
    joined = f"SELECT count(*) FROM {stage} s JOIN {table} t ON"
    if moved := count(f"{joined} {same_record} WHERE NOT ({same_key})"):
        raise moved_keys(plan, moved)
    alive = " AND ".join(unset.format(listed([name], side)) for name in plan.flag_columns for side in "st") or "true"
    if shared := count(f"{joined} {same_key} WHERE NOT ({same_record}) AND {alive}"):
        raise taken_keys(plan, shared)


def shared_key(plan: Plan, values: Iterable[object], *, records: object) -> SchemaConflict:
    """The error for live records that were read with one key, of these `values`."""
    shown = ", ".join(str(value)[:80] for value in values)
    return _conflict(plan, f"{records} records share the value {shown!r} of the key {', '.join(plan.key)}")


def moved_keys(plan: Plan, records: int) -> SchemaConflict:
    """The error for records whose key is another than in the table."""
    return _conflict(plan, f"{quantity(records, 'record has')} another value in the key {', '.join(plan.key)} than before")


def taken_keys(plan: Plan, records: int) -> SchemaConflict:
    """The error for records whose key another live record of the table has."""
    return _conflict(plan, f"{quantity(records, 'record has')} the key {', '.join(plan.key)} of another record of the table")


def repeated(plan: Plan, rows: int) -> Truncated:
    """The error for records that came twice from a source that promises each once: something else did not come."""
    if plan.method.startswith("table_"):
        cause = f"{quantity(rows, 'row has')} a key ({', '.join(plan.key)}) that another row has"
        return Truncated(f"Loading {plan.object}", cause, hint="Choose a key that every row has to itself.", rows=rows)
    cause = f"{quantity(rows, 'record')} arrived twice, so the source delivered a page again and perhaps not another one"
    return Truncated(f"Loading {plan.object}", cause, hint="Run it again; nothing was published.", rows=rows)


def _conflict(plan: Plan, cause: str) -> SchemaConflict:
    """By such a key rows would be merged into one, or left behind, without anybody being told."""
    return SchemaConflict(f"Loading {plan.object}", cause, hint=f"{_HINT} {_FULL}")
