"""Identity: what every destination of tables says of the chosen key, and of the source's own, which tells records apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from halocline.connector import Mode, Plan, Target
from halocline.errors import FixConfig, NotFound, SchemaConflict, Truncated
from halocline.quantity import quantity

_HINT = "Choose a match field that every record has to itself and that never changes, such as Id."
_FULL = "If records were only renamed or deleted for good, a full sync (--full, force_full_sync=True) sets it right."


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


def shared_key(plan: Plan, values: Iterable[object], *, records: object) -> SchemaConflict:
    """The error for live records that were read with one key, of these `values`."""
    shown = ", ".join(str(value)[:80] for value in values)
    return _conflict(plan, f"{records} records share the value {shown!r} of the match field {', '.join(plan.key)}")


def moved_keys(plan: Plan, records: int) -> SchemaConflict:
    """The error for records whose key is another than in the table."""
    return _conflict(
        plan, f"{quantity(records, 'record has')} another value in the match field {', '.join(plan.key)} than before"
    )


def taken_keys(plan: Plan, records: int) -> SchemaConflict:
    """The error for records whose key another live record of the table has."""
    return _conflict(
        plan, f"{quantity(records, 'record has')} the match field {', '.join(plan.key)} of another record of the table"
    )


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
