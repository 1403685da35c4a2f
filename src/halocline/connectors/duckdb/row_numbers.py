"""Row numbers: what tells a row of a table, or of a merge's stage, from the others of it in a statement.

DuckDB has a number for each row, called `rowid`. A column of that name hides it, and it has no other: such rows are told apart by
their key, of which a merge has one row only, and versions of one key by their start.
Source: "SELECT Statement", section "Row IDs", https://duckdb.org/docs/stable/sql/statements/select, read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from halocline.connector import Plan
from halocline.connectors.duckdb.tables import Table
from halocline.standard_sql import listed
from halocline.versions import VALID_FROM

_NUMBER = "rowid"


def hides_number(names: Iterable[str]) -> bool:
    """Whether one of the columns of a table has the name of the row's number."""
    return _NUMBER in map(str.lower, names)


def is_numbered(table: Table, plan: Plan) -> bool:
    """Whether the rows of a table have their numbers still when it has all columns of the plan."""
    return not hides_number((*(table.columns or {}), *plan.schema.names))


def staged_row(plan: Plan, side: str) -> str:
    """The SQL expression that tells a staged row from all others, once there is one of each key."""
    return _numbered(side) if not hides_number(plan.schema.names) else _keyed(plan.key, side)


def table_row(table: Table, plan: Plan, *, side: str = "") -> str:
    """The SQL expression that tells a row that can meet a staged one from all others of the table; null where there is no row."""
    if is_numbered(table, plan):
        return _numbered(side)
    return _keyed((*plan.key, VALID_FROM) if plan.history else plan.key, side)


def _numbered(side: str) -> str:
    return f"{side}.{_NUMBER}" if side else _NUMBER


def _keyed(key: Sequence[str], side: str) -> str:
    parts = ", ".join(f"'k{at}': {listed([name], side)}" for at, name in enumerate(key))
    return f"CASE WHEN {listed(key[:1], side)} IS NOT NULL THEN {{{parts}}} END"
