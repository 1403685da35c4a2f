"""Names with dots: values found below a record's fields, and rows with dotted names as nested dicts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Absent(Enum):
    """No value at all, which is not the same as a null."""

    MISSING = "missing"  # the record has no such field
    UNTOUCHED = "untouched"  # a function's answer: leave the field as it is


MISSING: Final = Absent.MISSING
UNTOUCHED: Final = Absent.UNTOUCHED


def value_at(record: Mapping[str, object], path: str) -> object:
    """The value at a dotted path, MISSING where the record has none.

    A field whose whole name is the path comes first (a CSV header may hold dots), then the longest field name that the path
    starts with. Below a null everything is null; below a text or a number there is nothing.
    """
    if path in record:
        return record[path]
    for head, rest in splits(path):
        if head in record:
            inner = record[head]
            if inner is None:
                return None
            return value_at(inner, rest) if isinstance(inner, Mapping) else MISSING
    return MISSING


def splits(path: str) -> list[tuple[str, str]]:
    """The path cut at each of its dots, the longest head first."""
    parts = path.split(".")
    return [(".".join(parts[:cut]), ".".join(parts[cut:])) for cut in range(len(parts) - 1, 0, -1)]


def nested(row: Mapping[str, object]) -> dict[str, object]:
    """The row with dotted names turned into dicts: `Account.Ext__c` into `{"Account": {"Ext__c": ...}}`.

    The type of a lookup that may be of several, as in `User:Owner.Ext__c`, becomes its `attributes`.
    Source: REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID" (relationships; that `attributes`
    tells the type of a polymorphic one is unverified).
    """
    told: dict[str, object] = {}
    for name, value in row.items():
        if "." not in name:
            told[name] = value
            continue
        place = told
        *parents, leaf = name.split(".")
        for parent in parents:
            kind, _, field = parent.rpartition(":")
            inner = place.setdefault(field, {"attributes": {"type": kind}} if kind else {})
            assert isinstance(inner, dict), "steps and conditions refuse a name that is a value and a parent"
            place = inner
        place[leaf] = value
    return told
