"""Identity: a key that the user chose (`match_field`) held against the source's own, which tells records apart for sure.

Rows are matched by the chosen key. Where two records share a value of it, or a record's value changes, rows would be merged
into one, or left behind, without anybody being told; so the load is refused.
"""

from __future__ import annotations

from functools import partial

from halocline import identity
from halocline.connector import Plan
from halocline.connectors.duckdb.client import Cursor, number, rows
from halocline.connectors.duckdb.tables import Table
from halocline.standard_sql import listed


def refuse_shared_keys(cursor: Cursor, table: str, *, plan: Plan) -> None:
    """See `identity.refuse_shared_keys`."""
    identity.refuse_shared_keys(plan, table, ask=partial(rows, cursor), listed=listed)


def refuse_repeats(cursor: Cursor, table: str, *, plan: Plan, rows_only: str = "true") -> None:
    """See `identity.refuse_repeats`."""
    identity.refuse_repeats(plan, table, count=partial(number, cursor), listed=listed, rows_only=rows_only)


def refuse_moved_keys(cursor: Cursor, stage: str, *, table: Table, plan: Plan) -> None:
    """See `identity.refuse_moved_keys`; a table without the source's own key has nothing to be held against."""
    own = plan.own_key
    if not own or any(table.type_of(name) is None for name in own):
        return
    identity.refuse_moved_keys(plan, stage, table=table.sql, count=partial(number, cursor), listed=listed)
