"""Capacity: the units that reads and writes cost, and how they are told.

Source: "DynamoDB read and write operations",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halocline.testing.aws.dynamodb_table import Index, Table

_READ_BYTES, _WRITE_BYTES = 4096, 1024


def read_units(size: int, *, consistent: bool, times: int = 1) -> float:
    """What it costs to read so many bytes; `times` 2 in a transaction."""
    units = max(1, -(-size // _READ_BYTES))
    return float(units * times) if consistent or times > 1 else units / 2


def write_units(size: int, *, times: int = 1) -> float:
    """What it costs to write so many bytes; `times` 2 in a transaction."""
    return float(max(1, -(-size // _WRITE_BYTES)) * times)


def is_wanted(params: Mapping[str, Any]) -> bool:
    """Whether a request wants to know."""
    return params.get("ReturnConsumedCapacity") in ("TOTAL", "INDEXES")


def consumed(params: Mapping[str, Any], table: Table, *, units: float, index: Index | None = None) -> dict[str, Any]:
    """What a request consumed of a table, or of one of its indexes."""
    told: dict[str, Any] = {"TableName": table.name, "CapacityUnits": units}
    if params.get("ReturnConsumedCapacity") == "INDEXES":
        told["Table"] = {"CapacityUnits": units if index is None else 0.0}
        if index is not None:
            kind = "GlobalSecondaryIndexes" if index.is_global else "LocalSecondaryIndexes"
            told[kind] = {index.name: {"CapacityUnits": units}}
    return told


def with_consumed(told: dict[str, Any], params: Mapping[str, Any], *, table: Table, units: float) -> dict[str, Any]:
    """An answer, with what it consumed where the request wants to know."""
    return {**told, "ConsumedCapacity": consumed(params, table, units=units)} if is_wanted(params) else told
