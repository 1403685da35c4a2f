"""Items of DynamoDB with something of every type, and what their rows in PostgreSQL say they are."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Item = dict[str, Any]
NESTED = {"words", "numbers", "blobs", "map", "list"}
_EDGES = (
    Decimal("99999999999999999999999999999999999999"),
    Decimal("-0.00000000000000000000000000000000000001"),
    Decimal("1E-130"),
    Decimal("9.9999999999999999999999999999999999999E+125"),
    Decimal(0),
)


def made(number: int, *, version: int = 0) -> Item:
    """The item of a number: all ten types, the edges of numbers, text beyond Latin; some attributes are in some items only."""
    always = {
        "pk": f"item-{number % 997:03}",
        "sk": number,
        "version": version,
        "price": Decimal(f"{number}.{number % 100:02}"),
        "edge": _EDGES[number % 5],
        "name": f'näme {number}, "quoted"\n日本 \\N \t{"" if number % 11 else "𝄞"}',
        "flag": number % 3 == 0,
        "nothing": None,
        "raw": bytes([number % 256, 0, 255]),
        "words": {f"w{number}", "x", "ä"},
        "numbers": {Decimal(number), Decimal("1000.5"), Decimal("0.1")},
        "blobs": {b"a", bytes([number % 256, 1])},
        "map": {"a": [Decimal(1), "x", None, True, {"deep": Decimal("1.5"), "sum": _EDGES[0]}], "b": {"c": Decimal(number)}},
        "list": [Decimal(number), {"k": "v\n"}, []],
    }
    sometimes: Item = {} if number % 5 else {"sometimes": "here"}
    return always | sometimes | ({"late": Decimal(number)} if number > 100 and number % 7 == 0 else {})


def back(row: Mapping[str, Any]) -> Item:
    """The item that a row is."""
    item = {name: _value(name, value) for name, value in row.items() if value is not None or name == "nothing"}
    item["edge"] = Decimal(item["edge"])
    for name in ("words", "numbers", "blobs"):
        assert len(item[name]) == len({*item[name]})
        item[name] = {*item[name]}
    item["blobs"] = {base64.b64decode(one) for one in item["blobs"]}
    return item


def _value(name: str, value: Any) -> Any:
    if name not in NESTED:
        return bytes(value) if isinstance(value, memoryview) else value
    return json.loads(value, parse_float=Decimal, parse_int=Decimal)
