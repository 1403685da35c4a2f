"""Exact: whether a table has taken staged rows as they are, which a limit, a trigger or a rule of it may prevent in silence."""

from __future__ import annotations

from halocline.connector import Plan
from halocline.connectors.postgres.client import Cursor, number, rows
from halocline.connectors.postgres.identity import equal
from halocline.connectors.postgres.tables import Table, listed
from halocline.connectors.postgres.types import has_no_equality, longest
from halocline.errors import SchemaConflict, Stop
from halocline.quantity import quantity

_MEDDLERS = """
WITH RECURSIVE part AS (SELECT $1::oid AS relid UNION SELECT inhrelid FROM pg_inherits JOIN part ON inhparent = relid)
SELECT 'the trigger ' || tgname FROM pg_trigger JOIN part ON tgrelid = relid WHERE NOT tgisinternal
UNION SELECT 'the rule ' || rulename FROM pg_rewrite JOIN part ON ev_class = relid
UNION SELECT 'row security' FROM pg_class JOIN part ON oid = relid WHERE relrowsecurity
ORDER BY 1
"""
_WAY_OUT = "Nothing was published. Let the trigger, rule or policy pass what is loaded, or load into a table of its own."


def meddlers(cursor: Cursor, table: Table) -> tuple[str, ...]:
    """What may change or drop a row on its way into the table, or its parts, without an error: in words."""
    return tuple(str(found) for (found,) in rows(cursor, _MEDDLERS, values=(table.oid,))) if table.oid else ()


def differs(plan: Plan, side: str) -> str:
    """The SQL condition that some column but the key differs from the table's row t.

    A row compared at once stops at the first that does.
    """
    others = [(listed([c.name]), "::text" if has_no_equality(c) else "") for c in plan.schema.select(plan.other_columns)]
    ours, theirs = (", ".join(f"{one_side}.{name}{cast}" for name, cast in others) for one_side in ("t", side))
    return f"({ours}) IS DISTINCT FROM ({theirs})" if others else "false"


def refuse_lost(cursor: Cursor, table: Table, *, stage: Table, plan: Plan, live: str, doing: str) -> None:
    """Look whether each staged row that fulfils `live` is now in a table with triggers, rules or policies, as it was staged.

    Raises: Stop when one is not.
    """
    found = meddlers(cursor, table)
    if not found:
        return
    kept = f"SELECT 1 FROM {table.sql} t WHERE {equal(plan.key)} AND NOT ({differs(plan, 's')})"
    lost = number(cursor, f"SELECT count(*) FROM {stage.sql} s WHERE {live} AND NOT EXISTS ({kept})")
    if lost:
        raise _meddled(doing, f"{quantity(lost, 'row is')} not in the table as loaded", found)


def refuse_kept(cursor: Cursor, table: Table, *, source: str, where: str, doing: str) -> None:
    """Look whether a row that was to be deleted, or marked as deleted, is still in such a table as it was.

    Raises: Stop when one is.
    """
    found = meddlers(cursor, table)
    if found and (kept := number(cursor, f"SELECT count(*) FROM {source} WHERE {where}")):
        raise _meddled(doing, f"{quantity(kept, 'row is')} still in the table, deleted at the source", found)


def refuse_long_texts(cursor: Cursor, table: Table, *, stage: Table, plan: Plan, doing: str) -> None:
    """Name the column whose limit a text exceeds; PostgreSQL names none, and cuts blanks at the end without a word.

    Raises: SchemaConflict for such a text.
    """
    for column in plan.schema:
        limit = longest(table.type_of(column.name) or "")
        if limit is None:
            continue
        name = listed([column.name])
        longest_there = number(cursor, f"SELECT coalesce(max(char_length({name})), 0) FROM {stage.sql}")
        if longest_there > limit:
            cause = f"the column {column.name} takes {quantity(limit, 'character')} there, and a text of {longest_there:,} came"
            hint = f"Widen it: ALTER TABLE {table.sql} ALTER COLUMN {name} TYPE text."
            raise SchemaConflict(doing, cause, hint=hint, column=column.name)


def _meddled(doing: str, cause: str, found: tuple[str, ...]) -> Stop:
    return Stop(doing, f"{cause}; it has {', '.join(found[:5])}", hint=_WAY_OUT)
