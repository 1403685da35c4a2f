"""The table that a DynamoDB benchmark fills, and builders of its rows: as the document has them, and as ours takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

TABLE, KEY = "documents", "documentId"
TARGET = "raw.documents"
COLUMNS = {
    "documentId": "text PRIMARY KEY",
    "name": "text",
    "city": "text",
    "notes": "text",
    "status": "text",
    "createdTs": "bigint",
    "version": "integer",
    "amount": "numeric(18,2)",
    "total": "numeric(38,6)",
    "active": "boolean",
    "deletedBy": "text",
    "reference": "bytea",
    "claimInfo": "jsonb",
    "attachments": "jsonb",
    "tags": "jsonb",
    "scores": "jsonb",
}
NESTED = frozenset(name for name, word in COLUMNS.items() if word == "jsonb")
CREATE = f"CREATE SCHEMA raw; CREATE TABLE {TARGET} ({', '.join(f'{name} {word}' for name, word in COLUMNS.items())})"
FIELDS = {name: word.partition(" ")[0] for name, word in COLUMNS.items()}
"""For the comparison of two tables, whose columns are of the same types."""


def build(item: Mapping[str, Any]) -> dict[str, Any]:
    """The row of an item, its nested values as they are."""
    return {name: item.get(name) for name in COLUMNS}


def build_tuple(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """The row of an item as `execute_values` takes it: nested values are JSON text, boto3's bytes are bytes."""
    return tuple(_text(item.get(name)) if name in NESTED else _bare(item.get(name)) for name in COLUMNS)


def _bare(value: Any) -> Any:
    return bytes(value.value) if hasattr(value, "value") else value  # boto3's Binary


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """What `json` has no form for, as the document's encoder has it."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, set):
        return sorted(value)
    raise TypeError(type(value).__name__)
