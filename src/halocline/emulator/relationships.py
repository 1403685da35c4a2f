"""`/sobjects/X/{id}/{relationship}`: records reached from another one, and the binary content of its fields.

The same paths with the name of a field in place of the id lead to records by external id.
Source: REST API Developer Guide, "sObject Relationships", "Traverse Relationships with Friendly URLs", "sObject Blob Get".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from halocline.emulator import records, rest
from halocline.emulator.errors import deleted_record, method_not_allowed, not_found, unknown_record
from halocline.emulator.ids import is_valid, to_18
from halocline.emulator.selection import listed, selected
from halocline.emulator.wire import Answer, Ask

if TYPE_CHECKING:
    from halocline.emulator.objects import ChildRelationship, SObject

MOST_LEVELS = 5  # from child to parent. Source: SOQL and SOSL Reference, "Understanding Relationship Query Limitations"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path has led to: a record."""

    sobject: SObject
    id: str

    def addressed(self, ask: Ask) -> Ask:
        """The request as if it had named the record itself."""
        return replace(ask, params={**ask.params, "sobject": self.sobject.name, "id": self.id})


def read(ask: Ask) -> Answer:
    """`GET`: the parent record, the child records as a query would list them, or the content of a binary field."""
    if not _starts_at_record(ask):
        return records.read_by_key(ask)
    *steps, last = _steps(ask)
    place = _walked(ask, steps)
    field = place.sobject.field(last)
    if field is not None and field.type == "base64":
        return _content(ask, place, field.name)
    children = _children(ask, place.sobject, last)
    if children is not None and not steps:
        return _listed(ask, place, children)
    return records.read(_parent(ask, place, last).addressed(ask))


def change(ask: Ask) -> Answer:
    """`PATCH`: changes the parent record, or upserts by external id."""
    return _written(ask, records.upsert, records.change)


def delete(ask: Ask) -> Answer:
    """`DELETE`: deletes the parent record, or the one with that external id."""
    return _written(ask, records.delete_by_key, records.delete)


def _written(ask: Ask, by_key: Callable[[Ask], Answer], by_id: Callable[[Ask], Answer]) -> Answer:
    if not _starts_at_record(ask):
        return by_key(ask)
    *steps, last = _steps(ask)
    place = _walked(ask, steps)
    if _children(ask, place.sobject, last) is not None:
        raise method_not_allowed(ask.method, ("GET",))
    return by_id(_parent(ask, place, last).addressed(ask))


def _starts_at_record(ask: Ask) -> bool:
    """Whether the path begins with an id, not with the name of a field and its value.
    Raises: ApiError(404) for a path that goes on behind such a value.
    """
    sobject = ask.org.sobject(ask.params["sobject"])
    key = ask.params["key"]
    found = sobject.field(key) is None and is_valid(key) and key[:3] == sobject.key_prefix
    if not found and "path" in ask.params:
        raise not_found()
    return found


def _steps(ask: Ask) -> list[str]:
    steps = [ask.params["value"], *(ask.params["path"].split("/") if "path" in ask.params else ())]
    if len(steps) > MOST_LEVELS:
        raise not_found()
    return steps


def _walked(ask: Ask, steps: list[str]) -> _Place:
    place = _Place(ask.org.sobject(ask.params["sobject"]), to_18(ask.params["key"]))
    _row(ask, place)
    for step in steps:
        place = _parent(ask, place, step)
    return place


def _row(ask: Ask, place: _Place) -> dict[str, object]:
    row = ask.org.store.get(place.sobject, place.id)
    if row is None:
        raise unknown_record(place.id)
    if row.get("IsDeleted"):
        raise deleted_record()
    return row


def _parent(ask: Ask, place: _Place, name: str) -> _Place:
    """Raises: ApiError(404) where the object has no such relationship, or the record nothing at its end."""
    reference = place.sobject.relationship(name)
    parent_id = _row(ask, place).get(reference.name) if reference is not None else None
    parent = ask.org.catalog.by_prefix(str(parent_id)) if parent_id is not None else None
    if parent is None:
        raise not_found()
    return _Place(parent, str(parent_id))


def _children(ask: Ask, sobject: SObject, name: str) -> ChildRelationship | None:
    named = (one for one in ask.org.catalog.children(sobject.name) if one.relationship_name)
    return next((one for one in named if cast("str", one.relationship_name).lower() == name.lower()), None)


def _listed(ask: Ask, place: _Place, children: ChildRelationship) -> Answer:
    child = ask.org.sobject(children.child_sobject)
    names = ", ".join(selected(child, listed(ask.query.get("fields", ""))))
    soql = f"SELECT {names} FROM {child.name} WHERE {children.field} = '{place.id}'"
    return rest.query(replace(ask, query={"q": soql}))


def _content(ask: Ask, place: _Place, name: str) -> Answer:
    """The bytes of a field; its content type is unverified for objects that do not keep one."""
    row = _row(ask, place)
    if row.get(name) is None:
        raise not_found()
    try:
        content = base64.b64decode(str(row[name]), validate=True)
    except binascii.Error:
        content = str(row[name]).encode()
    return Answer(200, content, str(row.get("ContentType") or "application/octet-stream"))
