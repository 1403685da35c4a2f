"""Decode: captured pages become Arrow or Python values, ours beside boto3's way; no server or network. All ways take turns.

Started by dynamodb.py with one JSON argument, `{items, rounds, seed}`; answers with one JSON line: by kind of item and way the
items a second of CPU of each round. Before, every way is held to the values that boto3 reads.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

sys.path.append(str(Path(__file__).resolve().parents[1]))

from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.shape import Shape
from halocline.schema import Kind, Schema
from measuring.dynamodb_pages import KINDS, baseline, pages

_OF_BOTO3 = 3  # pages that boto3 reads in a round: it takes a second for five thousand items
_KEY = "documentId"


class Decoding:
    """The ways to read pages of one kind."""

    def __init__(self, kind: str, items: int) -> None:
        self._pages = pages(kind, items)
        shape = Shape.infer(self._pages, key=(_KEY,))
        self._schema = shape.schema
        self._flat = Schema(tuple(column for column in shape.schema if column.kind is not Kind.JSON), shape.schema.key)
        ours, columns = Pages(shape), Pages(Shape.declared(self._flat, only=True))
        few = self._pages[:_OF_BOTO3]
        self.ways: dict[str, tuple[Callable[[bytes], Any], Sequence[bytes]]] = {
            "boto3": (baseline(), few),
            "all": (ours.decode, self._pages),
            "columns": (columns.decode, self._pages),
            "items": (ours.items, self._pages),
        }

    def check(self) -> None:
        """Hold every way to the values of the baseline.

        Raises: SystemExit where one has others.
        """
        page = self._pages[0]
        truth = [_bare(item) for item in self.ways["boto3"][0](page)]
        if self.ways["items"][0](page) != truth:
            raise SystemExit("items as Python values are not those that boto3 reads")
        for way, schema in (("all", self._schema), ("columns", self._flat)):
            decoded = self.ways[way][0](page)
            json_columns = {column.name for column in schema if column.kind is Kind.JSON}
            wanted = [{name: _told(item, name, as_json=name in json_columns) for name in schema.names} for item in truth]
            if decoded.rejected or _values(decoded.batch, json_columns) != wanted:
                raise SystemExit(f"the rows of {way} are not what boto3 reads")

    def rate(self, way: str) -> float:
        """Items a second of CPU."""
        read, some = self.ways[way]
        began = time.process_time()
        for page in some:
            read(page)
        return sum(map(_count, some)) / (time.process_time() - began)


def _count(page: bytes) -> int:
    return int(page[page.rindex(b":") + 1 : -1])


def _bare(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value.value if hasattr(value, "value") else value for name, value in item.items()}


def _told(item: dict[str, Any], name: str, *, as_json: bool) -> Any:
    return _plain(item[name]) if as_json and name in item else item.get(name)


def _plain(value: Any) -> Any:
    """As JSON has it: a set is a sorted list."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, set)):
        return [_plain(one) for one in (sorted(value) if isinstance(value, set) else value)]
    return value


def _values(rows: pa.RecordBatch, json_columns: set[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows.to_pylist()
    for row in found:
        for name in json_columns:
            if row[name] is not None:
                row[name] = json.loads(row[name], parse_float=Decimal, parse_int=Decimal)
    return found


def main() -> None:
    """Check, measure, tell."""
    wanted = json.loads(sys.argv[1])
    kinds = {kind: Decoding(kind, wanted["items"]) for kind in KINDS}
    for decoding in kinds.values():
        decoding.check()
    turns = [(kind, way) for kind, decoding in kinds.items() for way in decoding.ways]
    rates: dict[str, dict[str, list[float]]] = {kind: {way: [] for way in decoding.ways} for kind, decoding in kinds.items()}
    dice = random.Random(wanted["seed"])
    for _ in range(wanted["rounds"]):
        dice.shuffle(turns)
        for kind, way in turns:
            rates[kind][way].append(kinds[kind].rate(way))
    print(json.dumps(rates), flush=True)


if __name__ == "__main__":
    main()
