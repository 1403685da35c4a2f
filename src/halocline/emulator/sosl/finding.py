"""A search carried out: which records hold the words, and what they look like.

Matching is done on the words of each record's text fields; the clauses of RETURNING are left to the query engine.
Source: SOQL and SOSL Reference, "SOSL Limits on Search Results": at most 2,000 matches of an object are looked at further.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from halocline.emulator import tables
from halocline.emulator.errors import ApiError
from halocline.emulator.query import prepare
from halocline.emulator.sosl.parser import MOST_ROWS, Returning, Search, malformed
from halocline.emulator.sosl.terms import Matches, matcher, words_of
from halocline.emulator.tables import quoted

if TYPE_CHECKING:
    from halocline.emulator.objects import Field, SObject
    from halocline.emulator.wire import Ask

_TEXT_TYPES = frozenset({"string", "textarea", "picklist", "multipicklist", "combobox", "phone", "email", "url"})
_NAMES = frozenset({"name", "firstname", "lastname", "middlename"})


def found(ask: Ask, search: Search) -> list[dict[str, object]]:
    """The records, object by object in the order of RETURNING (of the catalog without one), at most `search.limit` of them.

    Raises: ApiError(400): MALFORMED_SEARCH, INVALID_SEARCH, or what the query engine says about the clauses.
    """
    matches = matcher(search.text)
    returning = search.returning or tuple(Returning(one.name) for one in ask.org.catalog if _is_searchable(one))
    records: list[dict[str, object]] = []
    for one in returning:
        records += _of_object(ask, one, matches=matches, group=search.group)
    return records[: search.limit]


def _of_object(ask: Ask, one: Returning, *, matches: Matches, group: str) -> list[dict[str, object]]:
    sobject = ask.org.catalog.get(one.sobject)
    if sobject is None or not _is_searchable(sobject):
        message = f"sObject type '{one.sobject}' is not supported."
        raise ApiError(400, "INVALID_TYPE", message)
    ids = list(islice(_matching(ask, sobject, matches=matches, group=group), MOST_ROWS))
    among = ", ".join(f"'{record_id}'" for record_id in ids) or "null"
    if one.where:  # alone first: it must be a condition by itself, not half of the one around it
        prepare(ask.org.view, f"SELECT Id FROM {sobject.name} WHERE {one.where}", all_rows=False, user_id=ask.user_id)
    where = f"Id IN ({among})" + (f" AND ({one.where})" if one.where else "")
    soql = f"SELECT {one.fields or 'Id'} FROM {sobject.name} WHERE {where} {one.tail}"
    prepared = prepare(ask.org.view, soql, all_rows=False, user_id=ask.user_id)
    if prepared.is_count or prepared.plan.is_aggregate:
        raise malformed("aggregate functions are not supported", one.fields)
    return prepared.records(ask.version, 0, MOST_ROWS)


def _is_searchable(sobject: SObject) -> bool:
    return sobject.queryable and sobject.overrides.get("searchable") is not False


def _matching(ask: Ask, sobject: SObject, *, matches: Matches, group: str) -> Iterator[str]:
    """Ids of the live records whose words match, oldest first."""
    fields = [field for field in sobject.stored_fields() if _in_group(field, group)]
    if not fields:
        return
    columns = ", ".join(tables.expression(sobject, field, "t") for field in fields)
    live = " WHERE t.IsDeleted = 0" if sobject.field("IsDeleted") else ""
    rows = ask.org.store.read(f"SELECT t.Id, {columns} FROM {quoted(sobject.name)} AS t{live} ORDER BY t.rowid")
    for record_id, *texts in rows:
        if matches([words_of(str(text)) for text in texts if text is not None]):
            yield str(record_id)


def _in_group(field: Field, group: str) -> bool:
    is_name = field.name_field or field.name.lower() in _NAMES
    wanted = {
        "all": field.type in _TEXT_TYPES,
        "name": is_name,
        "email": field.type == "email",
        "phone": field.type == "phone",
        "sidebar": is_name or field.type in ("email", "phone"),
    }
    return wanted[group]
