"""The ids of written rows."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from halocline.push import ids
from halocline.push.ids import WrittenIds


def _batch(rows: list[int]) -> pa.RecordBatch:
    texts = [f"a{row}" for row in rows]
    columns = [pa.array(rows, pa.int64()), pa.array(texts), pa.nulls(len(rows), pa.bool_())]
    return pa.RecordBatch.from_arrays(columns, names=["row", "id", "created"])


@pytest.mark.parametrize("most", [0, 2, 3, 100])
def test_ids_come_in_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Whatever of them was put aside, ids come back complete, in the order of the rows, and again after more were taken in."""
    monkeypatch.setattr(ids, "IN_MEMORY_ROWS", most)
    held = WrittenIds()
    assert held.in_order() == []
    for rows in ([4, 5], [0], [3, 2, 1]):
        held.add(_batch(rows))
    assert held.in_order() == [f"a{row}" for row in range(6)]
    held.add(_batch([6]))
    assert held.in_order() == [f"a{row}" for row in range(7)]


@pytest.mark.parametrize("most", [0, 2, 100])
def test_ids_come_back_from_another_process(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """What was put aside comes along; both go on on their own."""
    monkeypatch.setattr(ids, "IN_MEMORY_ROWS", most)
    held = WrittenIds()
    for rows in ([4, 5], [0], [3, 2, 1]):
        held.add(_batch(rows))
    there: WrittenIds = pickle.loads(pickle.dumps(held))
    there.add(_batch([6]))
    assert there.in_order() == [f"a{row}" for row in range(7)]
    assert held.in_order() == [f"a{row}" for row in range(6)]
