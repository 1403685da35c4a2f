"""What an object's describe means for a read: columns, cursor, delete flag, and what is left out on purpose.

Source: REST API Developer Guide, "sObject Describe"; SOAP API Developer Guide, "DescribeSObjectResult". Read November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from halocline.connector import Reference
from halocline.connectors.salesforce import types
from halocline.errors import FixConfig, NotFound
from halocline.mapping.near import near
from halocline.schema import Column, Kind, Schema

KEY = "Id"
DELETE_FLAG = "IsDeleted"
CREATED = "CreatedDate"
CURSORS = ("SystemModstamp", "LastModifiedDate", CREATED)  # best first; only the first moves with every change

_UP_TO_DATE = "only a full sync or a formula refresh (formula_refresh) brings them all up to date"

# Objects that Bulk API 2.0 refuses to query, as Airbyte's Salesforce connector and tap-salesforce list them (read November 2026).
# It is not complete: what else Bulk refuses, it says when the job is created, and the plan is made again without Bulk.
NOT_IN_BULK = frozenset(
    {
        "acceptedeventrelation",
        "assettokenevent",
        "attachedcontentnote",
        "casestatus",
        "contractstatus",
        "declinedeventrelation",
        "eventwhorelation",
        "fieldsecurityclassification",
        "orderstatus",
        "partnerrole",
        "quotetemplaterichtextdata",
        "recentlyviewed",
        "serviceappointmentstatus",
        "solutionstatus",
        "taskpriority",
        "taskstatus",
        "taskwhorelation",
        "undecidedeventrelation",
    }
)


@dataclass(frozen=True, slots=True)
class Sobject:
    """An object as we read it. `cursor` None: it can only be read in full. `not_in_bulk` says why Bulk cannot query it.

    `ordered`: its rows can be asked for in the order of their Ids, from behind any of them.
    """

    name: str
    schema: Schema
    cursor: str | None
    delete_flag: str | None
    replicateable: bool
    not_in_bulk: str = ""
    notes: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    ordered: bool = True


def read(
    describe: Mapping[str, Any], *, fields: Sequence[str] | None = None, exclude: Sequence[str] = (), numbers: str = "decimal"
) -> Sobject:
    """The object behind a describe, with `fields` (None: all) less `exclude`; names are matched in any case. The key is first.

    Key, cursor and delete flag are always read. A compound field asked for by name stands for its components.
    Raises: NotFound for a name that the object does not have, with near ones; FixConfig for an object that cannot be queried.
    """
    sobject = str(describe["name"])
    if not describe.get("queryable", True):
        raise FixConfig(f"Describing {sobject}", "Salesforce does not let this object be queried")
    every = list(describe["fields"])
    needed = _needed(every)
    chosen = _chosen(every, fields=fields, exclude=exclude, sobject=sobject)
    kept = sorted((field for field in every if field["name"] in chosen | needed), key=lambda field: field["name"] != KEY)
    columns = [types.column(field, numbers=types.check_numbers(numbers)) for field in kept if not types.left_out(field)]
    cursor = next((name for name in CURSORS if name in needed), None)
    return Sobject(
        name=sobject,
        schema=Schema(tuple(columns), (KEY,)),
        cursor=cursor,
        delete_flag=DELETE_FLAG if DELETE_FLAG in needed else None,
        replicateable=bool(describe.get("replicateable")),
        not_in_bulk=_not_in_bulk(sobject),
        notes=(*_type_notes(kept), *_need_notes(needed - chosen), *_cursor_notes(cursor), *_formula_notes(columns)),
        references=tuple(
            Reference(str(field["name"]), tuple(field["referenceTo"])) for field in kept if field.get("referenceTo")
        ),
        ordered=all(field.get("sortable", True) and field.get("filterable", True) for field in every if field["name"] == KEY),
    )


def kind(column: Column) -> str:
    """A column's type in words that change when rows of one type do not fit the other: `decimal(18,2)`, `string`."""
    return f"decimal({column.precision},{column.scale})" if column.kind is Kind.DECIMAL else str(column.kind)


def without_new(sobject: Sobject, known: Mapping[str, str] | None) -> Sobject:
    """The object without the columns that the last read did not know; key, cursor and delete flag stay."""
    if known is None:
        return sobject
    always = {KEY.lower(), (sobject.cursor or "").lower(), (sobject.delete_flag or "").lower()}
    fresh = [c.name for c in sobject.schema if c.name.lower() not in known and c.name.lower() not in always]
    if not fresh:
        return sobject
    columns = tuple(column for column in sobject.schema if column.name not in fresh)
    references = tuple(reference for reference in sobject.references if reference.column not in fresh)
    note = f"Left out as new since the last read, as the contract (discard) says: {', '.join(fresh)}."
    return replace(sobject, schema=Schema(columns, (KEY,)), notes=(*sobject.notes, note), references=references)


def with_parents(sobject: Sobject, columns: Sequence[Column]) -> Sobject:
    """The object with columns of its parents behind its own."""
    if not columns:
        return sobject
    told = ", ".join(column.name for column in columns)
    note = f"Parents change without moving a row's stamp; {_UP_TO_DATE}: {told}."
    return replace(sobject, schema=Schema((*sobject.schema, *columns), (KEY,)), notes=(*sobject.notes, note))


def with_suggestions(error: NotFound, known: Iterable[str], *, wanted: str | None = None) -> NotFound:
    """The same error with near names; `wanted` None takes the name that Salesforce's own message says is unknown."""
    quoted = re.search(r"(?:column|type|relationship) '(\w+)'", error.cause)
    wanted = wanted or (quoted[1] if quoted else "")
    return NotFound(error.doing, error.cause, suggestions=near(wanted, known), hint=error.hint, code=error.code, **error.facts)


def _needed(every: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names that every read takes along: key, cursor, delete flag."""
    there = {field["name"]: field for field in every}
    cursors = [name for name in CURSORS if name in there and there[name].get("filterable")]
    return {name for name in (KEY, DELETE_FLAG) if name in there} | set(cursors[:1])


def _chosen(
    every: Sequence[Mapping[str, Any]], *, fields: Sequence[str] | None, exclude: Sequence[str], sobject: str
) -> set[str]:
    wanted = {str(field["name"]) for field in every}
    if fields is not None:
        wanted = _with_components(every, _spelled(every, fields, sobject=sobject))
    return wanted - _with_components(every, _spelled(every, exclude, sobject=sobject))


def _with_components(every: Sequence[Mapping[str, Any]], chosen: set[str]) -> set[str]:
    """The names, and for each address or location the names of its components."""
    compounds = {field["name"] for field in every if field["name"] in chosen and types.left_out(field)}
    return chosen | {str(field["name"]) for field in every if field.get("compoundFieldName") in compounds}


def _spelled(every: Sequence[Mapping[str, Any]], names: Sequence[str], *, sobject: str) -> set[str]:
    """The names as the object spells them.

    Raises: NotFound for the first that it does not have.
    """
    there = {str(field["name"]).lower(): str(field["name"]) for field in every}
    for name in names:
        if name.lower() not in there:
            hint = "Check that the user may see it (field-level security)."
            raise NotFound(
                f"Choosing fields of {sobject}", f"there is no field {name!r}", suggestions=near(name, there.values()), hint=hint
            )
    return {there[name.lower()] for name in names}


def _not_in_bulk(sobject: str) -> str:
    return f"the Bulk API does not query {sobject}" if sobject.lower() in NOT_IN_BULK else ""


def _type_notes(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    """One note for each reason to leave fields out, and one for each type that we have no rule for."""
    grouped: dict[str, list[str]] = {}
    for field in kept:
        reason = types.left_out(field)
        if reason:
            grouped.setdefault(f"Left out as {reason}", []).append(field["name"])
        elif not types.is_known(field):
            grouped.setdefault(f"Read as text, for the type {field['type']!r} is not known here", []).append(field["name"])
    return [f"{told}: {', '.join(names)}." for told, names in grouped.items()]


def _need_notes(added: set[str]) -> list[str]:
    told = ", ".join(sorted(added))
    return [f"Read although not chosen, because every sync needs them: {told}."] if added else []


def _cursor_notes(cursor: str | None) -> list[str]:
    if cursor is None:
        return ["The object has no stamp that can be filtered by, so it is read in full every time."]
    if cursor == CURSORS[0]:
        return []
    missed = "changes made by the system" if cursor == CURSORS[1] else "changes of rows that were read before"
    return [f"SystemModstamp cannot be filtered by here; {cursor} is used, which does not move with {missed}."]


def _formula_notes(columns: Sequence[Column]) -> list[str]:
    """Formulas change without a stamp. Source: Salesforce Help, "Formula Field Limits and Restrictions" (unverified wording)."""
    formulas = [column.name for column in columns if column.calculated]
    if not formulas:
        return []
    return [f"Formulas change without moving a row's stamp; {_UP_TO_DATE}: {', '.join(formulas)}."]
