"""A name that an object does not have: what may have been meant, and what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halocline.mapping.finding import Finding
from halocline.mapping.near import near

_SEEN = "check that the user may see it (field-level security)."


def unknown_field(name: str, describe: Mapping[str, Any], *, sobject: str, or_else: str = "") -> Finding:
    """The finding for the name of no field; `or_else` is what may be done besides.

    Meant may be a field by its label, as reports head their columns (`Account Name`), a relationship in place of a field, a
    lookup as Data Loader spells it (`Account:Ext__c`), a name with spaces around it, or one that is close.
    """
    fields = describe["fields"]
    told = name.strip().lower()
    by_name = [str(field["name"]) for field in fields if str(field["name"]).lower() == told]
    by_label = [str(field["name"]) for field in fields if str(field.get("label") or "").lower() == told]
    by_relationship = _lookups(name.strip(), fields)
    hint = f"{or_else}, or {_SEEN}" if or_else else f"{_SEEN[0].upper()}{_SEEN[1:]}"
    if by_name:
        return Finding(name, "there are spaces around the name", tuple(by_name), "Take them out, or map the column.")
    if by_label:
        return Finding(name, "it is the label of a field, not its name", tuple(by_label[:3]), "Name the column so, or map it.")
    if by_relationship:
        problem = "it is no field, but leads to another object"
        return Finding(name, problem, tuple(by_relationship), "A record is named by its id, or by an external id of its own.")
    return Finding(name, f"{sobject} has no such field", tuple(near(name, [str(field["name"]) for field in fields])), hint)


def _lookups(told: str, fields: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the lookup is written whose relationship the name is, alone or before a colon."""
    relationship, colon, key = told.partition(":")
    found = next((field for field in fields if str(field.get("relationshipName") or "").lower() == relationship.lower()), None)
    if found is None:
        return []
    spelled = f"{found['relationshipName']}.{key}" if colon and key else f"{found['relationshipName']}.<external id>"
    return [spelled] if colon else [str(found["name"]), spelled]
