"""Versions: what a table that keeps history holds, and when a version starts; the same for every destination of tables.

    Id | Name    | SystemModstamp | valid_from | valid_to
    1  | Acme    | 09:00          | 09:00      | 11:30      a version, closed by the next one
    1  | Acme AG | 11:30          | 11:30      | null       the current version

A version holds from `valid_from` up to, not including, `valid_to`. The versions of a key never overlap, none is empty, and none
is ever deleted. The current rows are those that a table without history would hold.
"""

from __future__ import annotations

from datetime import datetime

from halocline.connector import Plan
from halocline.errors import FixConfig, Refused, Stop
from halocline.schema import Column, Kind, Schema

VALID_FROM, VALID_TO = "valid_from", "valid_to"
COLUMNS = (Column(VALID_FROM, Kind.DATETIME, nullable=False), Column(VALID_TO, Kind.DATETIME))
BY_HAND = "A history is not built anew: change the type in the table (ALTER TABLE), or go on in a new table."


def table_schema(plan: Plan) -> Schema:
    """The columns of the table that a plan makes: those of the source, and of a history the two instants."""
    return Schema((*plan.schema.columns, *COLUMNS), plan.schema.key) if plan.history else plan.schema


def refuse_taken_names(schema: Schema, name: str) -> None:
    """Hold the columns of the object `name` against those that a history adds.

    Raises: FixConfig when the object has one of that name itself.
    """
    taken = [column.name for own in COLUMNS if (column := schema.column(own.name)) is not None]
    if taken:
        cause = f"{name} has a column {' and '.join(taken)} itself, which a history needs for its own instants"
        hint = "Leave the column out (exclude), rename it (rename), or sync without history."
        raise FixConfig(f"Planning the sync of {name}", cause, hint=hint)


def refuse_other_kind(label: str, plan: Plan, *, names: dict[str, bool]) -> None:
    """Hold the kind of a table that exists against the plan's. `names` are its columns in lower case: whether each is an instant
    with its time zone.

    Raises: Refused for a history into a table without versions, or for plain rows into a history.
    """
    own = {name.lower() for name in plan.schema.names}
    kept = all(names.get(column.name, False) and column.name not in own for column in COLUMNS)
    if plan.history and not kept:
        hint = "Sync the history into another table; its first versions are the rows as they are now."
        raise Refused(f"Keeping history in {label}", "the table was filled without history, and its past is not known", hint=hint)
    if kept and not plan.history:
        cause = "the table keeps history, and a sync without it would mix versions and rows"
        raise Refused(f"Loading {label}", cause, hint="Sync with history (--history), or into another table.")


def stamps(plan: Plan) -> tuple[str, ...]:
    """The cursor's column where its values are instants, at which versions may start; else none."""
    found = [plan.schema.column(name) for name in plan.cursor_columns]
    return tuple(column.name for column in found if column is not None and column.kind is Kind.DATETIME)


def start_after(plan: Plan, *, stamp: str | None, known: str, since: str) -> str:
    """The SQL expression for the start of the version that follows one: at the record's stamp where that moved on, else at the
    end of the window, which is the server's clock; in any case later than `since`, where the version before it starts.

    `stamp` and `known` are the stamps of the record now and in the table; `stamp` is None where there is none.
    """
    seen = f"greatest({_end(plan)}, {since} + INTERVAL '1 microsecond')"
    return f"CASE WHEN {stamp} > {known} AND {stamp} > {since} THEN {stamp} ELSE {seen} END" if stamp else seen


def start_anew(plan: Plan, *, stamp: str | None, ended: str) -> str:
    """The SQL expression for the start of a version of a key that has no current one: at the record's stamp, else at the end of
    the window; never before `ended`, when the last version of the key was closed (null: there was none).
    """
    end = _end(plan)
    anew = f"CASE WHEN {ended} IS NULL THEN coalesce({stamp}, {end})" if stamp else f"CASE WHEN {ended} IS NULL THEN {end}"
    again = f" WHEN {stamp} >= {ended} THEN {stamp}" if stamp else ""
    return f"{anew}{again} ELSE greatest({end}, {ended}) END"


def _end(plan: Plan) -> str:
    try:
        end = datetime.fromisoformat(plan.window[1])
    except ValueError as error:
        raise Stop(f"Keeping history of {plan.object}", f"the window ends at {plan.window[1]!r}, which is no instant") from error
    if end.tzinfo is None:
        raise Stop(f"Keeping history of {plan.object}", f"the window ends at {plan.window[1]!r}, without a time zone")
    return f"TIMESTAMPTZ '{end.isoformat()}'"
