"""What the tests of rows share: reading all of them."""

from __future__ import annotations

from typing import Any

from halocline.rows.rows import Rows


def all_of(rows: Rows) -> list[Any]:
    """Every row, once it is sure that numbers, length, batches and records agree, and that reading again gives the same."""
    numbers, read = list[int](), list[Any]()
    for batch in rows.batches():
        some = batch.rows if isinstance(batch.rows, list) else batch.rows.to_pylist()
        assert len(some) == len(batch.numbers)
        numbers += batch.numbers
        read += some
    assert numbers == list(range(len(rows)))
    assert rows.records([]) == []
    backwards = range(len(rows) - 1, -1, -1)
    assert rows.records(backwards) == read[::-1]
    again = [one for batch in rows.batches() for one in (batch.rows if isinstance(batch.rows, list) else batch.rows.to_pylist())]
    assert again == read
    return read
