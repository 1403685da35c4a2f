"""Texts: the fields in which a number is a text. There `1.10` and `1.1` are two values and two keys; in a number they are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NO_TEXTS = frozenset({"boolean", "int", "long", "double", "currency", "percent"})


def text_fields(describe: Mapping[str, Any]) -> frozenset[str]:
    """In lower case, the fields of the object that hold no number and no checkbox, and its relationships.

    The key of a lookup counts as text: it is a field of another object, and a number's digits are as good as a number.
    """
    fields = describe.get("fields", ())
    relationships = {str(field["relationshipName"]).lower() for field in fields if field.get("relationshipName")}
    return frozenset({str(field["name"]).lower() for field in fields if field.get("type") not in _NO_TEXTS} | relationships)


def holds_text(name: str, texts: frozenset[str]) -> bool:
    """Whether the field `name`, in any case, or a lookup such as `Account.Ext__c`, is one of `texts`."""
    return "." in name or name.lower() in texts
