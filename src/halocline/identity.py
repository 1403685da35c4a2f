"""Identity: what every destination of tables says of the chosen key, and of the source's own, which tells records apart."""

from __future__ import annotations

from halocline.connector import Plan, Target
from halocline.errors import NotFound, SchemaConflict, Truncated

_HINT = "Choose a match field that every record has to itself and that never changes, such as Id."
_FULL = "If records were only renamed or deleted for good, a full sync (force_full_sync=True) sets it right."


def check_key(plan: Plan, target: Target) -> None:
    """Hold the plan's key against its columns.

    Raises: NotFound when a key column is missing.
    """
    for name in plan.key:
        if plan.schema.column(name) is None:
            near = [known for known in plan.schema.names if known.lower().startswith(name.lower()[:3])][:3]
            cause = f"the key column {name!r} is not among the columns of {plan.object}"
            raise NotFound(f"Opening a load into {target}", cause, suggestions=near)


def key_conflict(plan: Plan, cause: str) -> SchemaConflict:
    """The error for a chosen key by which rows would be merged into one, or left behind, without anybody being told."""
    return SchemaConflict(f"Loading {plan.object}", cause, hint=f"{_HINT} {_FULL}")


def repeated(plan: Plan, rows: int) -> Truncated:
    """The error for records that came twice from a source that promises each once: something else did not come."""
    cause = f"{rows:,} records arrived twice, so the source delivered a page again and perhaps not another one"
    return Truncated(f"Loading {plan.object}", cause, hint="Run it again; nothing was published.", rows=rows)
