"""How builders are annotated, for type checkers: read by them, never run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from halocline import TableCopy

__all__ = ["copies"]


def changed(item: dict[str, object]) -> dict[str, object] | None:
    item["name"] = str(item["name"]).strip()
    return item if item["name"] else None


def looked_at(item: Mapping[str, object]) -> list[Mapping[str, object]]:
    return [item]


def one_by_one(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number in item["numbers"]:
        yield {"number": number + 1}


def of_nothing(item: int) -> dict[str, int]:
    return {"number": item}


def copies() -> list[TableCopy]:
    TableCopy("documents", build=of_nothing)  # type: ignore[arg-type]  # wrong: an item is a dict
    plain = TableCopy("documents", build=changed)
    return [plain, TableCopy("documents", build=looked_at), TableCopy("documents", build=one_by_one)]
