"""Identity: a key that the user chose (`match_field`) held against the source's own, which tells records apart for sure.

Rows are matched by the chosen key. Where two records share a value of it, or a record's value changes, rows would be merged
into one, or left behind, without anybody being told; so the load is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from halocline import identity
from halocline.connector import Plan
from halocline.connectors.snowflake.client import Cursor, number, rows
from halocline.connectors.snowflake.staging import GONE
from halocline.connectors.snowflake.tables import Table, listed
from halocline.identity import repeated, shared_key
from halocline.standard_sql import quoted

_ROWS = f"NOT {quoted(GONE)}"


def refuse_shared_keys(cursor: Cursor, table: Table, *, plan: Plan) -> None:
    """Hold staged rows against each other; records marked as deleted may share a key with a live one.

    Raises: SchemaConflict when several live records have one key.
    """
    chosen = {name.lower() for name in plan.key}
    own = [name for name in plan.own_key if name.lower() not in chosen]
    if not own:
        return
    key = listed(plan.key)
    alive = " AND ".join([_ROWS, *(f"NOT COALESCE({listed([name])}, FALSE)" for name in plan.flag_columns)])
    each = f"SELECT DISTINCT {key}, {listed(own)} FROM {table.sql} WHERE {alive}"
    sql = f"SELECT {key}, count(*) AS n FROM ({each}) r GROUP BY {key} HAVING count(*) > 1 ORDER BY n DESC, {key} LIMIT 1"
    for *values, count in rows(cursor, sql):
        raise shared_key(plan, values, records=count)


def refuse_repeats(cursor: Cursor, table: Table, *, plan: Plan) -> None:
    """Hold staged rows to the source's promise of each record once; what arrived twice came in place of something else.

    Raises: Truncated when a record is there twice; a deletion may follow a row.
    """
    if not plan.once or not plan.schema.key:
        return
    each = f"SELECT DISTINCT {listed(plan.schema.key)} FROM {table.sql} WHERE {_ROWS}"
    there = number(cursor, f"SELECT count(*) FROM {table.sql} WHERE {_ROWS}")
    if twice := there - number(cursor, f"SELECT count(*) FROM ({each}) r"):
        raise repeated(plan, twice)


def refuse_moved_keys(cursor: Cursor, stage: Table, *, table: Table, plan: Plan) -> None:
    """See `identity.refuse_moved_keys`; a table without the source's own key has nothing to be held against."""
    own = plan.own_key
    if not own or any(table.type_of(name) is None for name in own):
        return
    identity.refuse_moved_keys(
        plan, stage.sql, table=table.sql, count=partial(number, cursor), listed=listed, unset="NOT COALESCE({}, FALSE)"
    )


def equal(names: Sequence[str]) -> str:
    """The SQL condition that the rows s and t agree in these columns."""
    return identity.agree(names, listed)
