"""Known: what was sent, in memory, to hold a batch of rows against; 25 bytes for each record."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from halocline.push.diff.digests import Digests, places
from halocline.push.diff.store import Store

_UNSEEN, _HELD_BACK, _LET_THROUGH = 0, 1, 2
_PART = 20_000
_BY_PLACE = [("place", "ascending"), ("line", "ascending")]


@dataclass(frozen=True, slots=True)
class Held:
    """For each row of a batch: whether it is as it was last written, its line (None: it has none), the number of its key."""

    unchanged: list[bool]
    lines: list[int | None]
    places: pa.Array


class Known:
    """The lines of a store as they are now, and which of them the rows of this load have touched."""

    def __init__(self, store: Store) -> None:
        self._store, self._alike = store, store.alike
        columns = _loaded(store)
        order = pc.sort_indices(pa.RecordBatch.from_arrays(columns[:2], names=["line", "place"]), sort_keys=_BY_PLACE)
        # One column at a time, so that of only one there are two copies.
        self._digests = columns.pop().take(order)
        self._places = columns.pop().take(order)
        self._lines = columns.pop().take(order)
        self._drop_doubles()
        self._touched = bytearray(len(self._lines))

    def __len__(self) -> int:
        return len(self._lines)

    def hold_against(self, told: Digests) -> Held:
        """Which rows are as they were last written.

        A row is let through when a row with its key was let through before it, for it must have the last word again. One that
        comes before any other form of its key and is held back is what the record holds already.
        """
        numbers = places(self._alike.common(told.keys))
        spots, found = self._find(numbers)
        if not pc.any(found).as_py():
            return Held([False] * len(numbers), [None] * len(numbers), numbers)
        lines: list[int | None] = pc.if_else(found, self._lines.take(spots), None).to_pylist()
        same = _sure(pc.and_(found, pc.equal(self._digests.take(spots), told.rows)))
        touched = self._touched
        for spot in spots.filter(pc.and_not(found, same)).to_pylist():
            touched[spot] = _LET_THROUGH
        pairs = zip(spots.to_pylist(), same.to_pylist(), strict=True)
        unchanged = [equal and touched[spot] != _LET_THROUGH for spot, equal in pairs]
        for spot in spots.filter(pa.array(unchanged, pa.bool_())).to_pylist():
            touched[spot] = _HELD_BACK
        return Held(unchanged, lines, numbers)

    def untouched(self) -> Iterator[list[int]]:
        """The numbers of the lines whose key did not come in this load, some at a time."""
        if not len(self):
            return
        first, _ = self._find(self._places)  # keys that share a number, should there be any, are touched together
        touched = pa.Array.from_buffers(pa.uint8(), len(self), [None, pa.py_buffer(bytes(self._touched))])
        lines = self._lines.filter(pc.equal(touched.take(first), _UNSEEN)).sort()
        for start in range(0, len(lines), _PART):
            yield lines.slice(start, _PART).to_pylist()

    def _find(self, numbers: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Where each number stands first, and whether it is there at all."""
        if not len(self):
            return pa.repeat(0, len(numbers)), _sure(pa.nulls(len(numbers), pa.bool_()))
        spots = pc.min_element_wise(pc.search_sorted(self._places, pc.fill_null(numbers, 0)).cast(pa.int64()), len(self) - 1)
        return spots, _sure(pc.equal(self._places.take(spots), numbers))

    def _drop_doubles(self) -> None:
        """A key that was written twice in one load has two lines: the later one tells what the record holds."""
        if len(self) < 2:
            return
        equal = pc.equal(self._places.slice(1), self._places.slice(0, len(self) - 1))
        if not pc.any(equal).as_py():
            return
        spots = sorted({spot for at in pc.indices_nonzero(equal).to_pylist() for spot in (at, at + 1)})
        named = self._store.named(self._lines.take(pa.array(spots)).to_pylist())
        keys = self._alike.common(pa.array([key for _, key, _ in named], pa.string())).to_pylist()
        numbered = sorted((key, n) for key, (n, _, _) in zip(keys, named, strict=True))
        doubles = [(n, later) for (key, n), (next_key, later) in pairwise(numbered) if key == next_key]
        self._store.drop(doubles)
        keep = pc.invert(pc.is_in(self._lines, value_set=pa.array([n for n, _ in doubles], pa.int64())))
        self._lines, self._places, self._digests = (one.filter(keep) for one in (self._lines, self._places, self._digests))


def _loaded(store: Store) -> list[pa.Array]:
    """The numbers of all lines, the numbers of their keys, and their digests."""
    columns = (array("q"), array("q"), array("q"))
    for part in store.lines():
        for column, values in zip(columns, zip(*part, strict=True), strict=True):
            column.extend(values)
    return [pa.Array.from_buffers(pa.int64(), len(one), [None, pa.py_buffer(one)]) for one in columns]


def _sure(mask: pa.Array) -> pa.Array:
    """The mask, with no for what is not known."""
    return pc.fill_null(mask, fill_value=False)
