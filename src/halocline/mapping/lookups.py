"""Targets that find a parent by a key of its own: `Account.Ext__c`, or `User:Owner.Ext__c` where it may be of several types.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Relationship Fields in a Header Row (2.0)": one level up, and by an indexed
field only; REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID". Read November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from halocline.mapping.finding import Finding
from halocline.mapping.near import near


def reference(target: str, describe: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The reference field that a dotted target sets, None where the object has no such relationship."""
    relationship = target.partition(".")[0].rpartition(":")[2].lower()
    fields = describe["fields"]
    return next((field for field in fields if str(field.get("relationshipName") or "").lower() == relationship), None)


def finds(field: Mapping[str, Any]) -> bool:
    """Whether a record can be found by the field's value."""
    return bool(field.get("externalId") or field.get("idLookup") or field["type"] == "id")


def examine(
    target: str, describe: Mapping[str, Any], *, describe_of: Callable[[str], Mapping[str, Any]] | None
) -> Iterator[Finding]:
    """What is wrong with a dotted target; without `describe_of`, the parent's key is taken on trust, and a finding says so."""
    path, _, key = target.partition(".")
    field = reference(target, describe)
    if "." in key:
        yield Finding(target, "a lookup reaches one level up, not further", hint="Set the lookup of the parent itself.")
    elif field is None:
        names = [str(one["relationshipName"]) for one in describe["fields"] if one.get("relationshipName")]
        yield Finding(target, f"{describe['name']} has no relationship {path!r}", tuple(near(path.rpartition(":")[2], names)))
    else:
        yield from _of_parent(target, field, describe_of=describe_of)


def _of_parent(
    target: str, field: Mapping[str, Any], *, describe_of: Callable[[str], Mapping[str, Any]] | None
) -> Iterator[Finding]:
    path, _, key = target.partition(".")
    kind = path.rpartition(":")[0]
    parents = [str(name) for name in field.get("referenceTo") or () if not kind or str(name).lower() == kind.lower()]
    if not parents:
        yield Finding(target, f"{field['name']} does not point at {kind}", hint=f"It points at {_list(field['referenceTo'])}.")
    elif len(parents) > 1:
        hint = f"Say which one, as in {parents[0]}:{target}."
        yield Finding(target, f"{field['name']} may point at {_list(parents)}", hint=hint)
    elif describe_of is None:
        problem = f"whether {key} is an external id of {parents[0]} was not checked"
        yield Finding(target, problem, hint="Give `describe_of` to have it checked.", fatal=False)
    else:
        yield from _of_key(target, key, parent=describe_of(parents[0]))


def _of_key(target: str, key: str, *, parent: Mapping[str, Any]) -> Iterator[Finding]:
    fields = {str(field["name"]).lower(): field for field in parent["fields"]}
    found = fields.get(key.lower())
    keys = [str(field["name"]) for field in fields.values() if finds(field)]
    if found is None:
        names = [str(field["name"]) for field in fields.values()]
        yield Finding(target, f"{parent['name']} has no field {key!r}", tuple(near(key, names)))
    elif not finds(found):
        hint = f"Keys of {parent['name']}: {', '.join(keys)}."
        yield Finding(target, f"{parent['name']}.{found['name']} is no external id, so no record can be found by it", hint=hint)


def _list(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names)
