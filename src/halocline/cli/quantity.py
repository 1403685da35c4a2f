"""How many of what, as people say it."""

from __future__ import annotations


def quantity(count: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"
