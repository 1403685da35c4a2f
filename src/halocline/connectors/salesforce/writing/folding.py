"""Folding: the rows of one key become one row, which says what all of them said, one after the other.

    {"Ext__c": "a", "Name": "x"}, {"Ext__c": "a", "Phone": "1"}  ->  {"Ext__c": "a", "Name": "x", "Phone": "1"}

Keys are the same where Salesforce would take them for one record, as the object's describe says: `push/keys.py`. It refuses both
rows of one call or job otherwise, each time anew. Candidates are found by 64 bits of a hash, and the true keys decide.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce.writing.frames import (
    KIND,
    PLACE,
    ROW,
    Frames,
    fields_of,
    fitted,
    in_order,
    joined,
    pieces,
    release,
)
from halocline.connectors.salesforce.writing.parents import sharing
from halocline.push.keys import Alike

MERGED = "merged.arrow"  # the file of the rows that others were folded into
_AT, _FIRST, _HASH = "\0at", "\0first", "\0hash"  # the row's place in the source, that of its group's first row, its key's hash


@dataclass(frozen=True, slots=True)
class Fold:
    """What folding did. Places are those of the staged rows, from 0.

    `merged` holds the rows that others were folded into, and their neighbours by hash; `at` is the place of each. `alone` marks
    the staged rows that nothing happened to. `rows` were folded into `into` (row numbers), sorted by `into`.
    """

    merged: Frames
    at: pa.Array
    alone: pa.Array
    rows: pa.Array
    into: pa.Array


def hashed(keys: pa.Array) -> array[int]:
    """A number for each key; another one in every process."""
    return array("q", map(hash, keys.to_pylist()))


def column_of(numbers: array[int] | memoryview[int]) -> pa.Array:
    """The numbers as Arrow, in the same memory."""
    return pa.Array.from_buffers(pa.int64() if numbers.itemsize == 8 else PLACE, len(numbers), [None, pa.py_buffer(numbers)])


def fold(
    staged: Frames, key: str, *, alike: Alike, hashes: pa.Array, schema: pa.Schema, targets: Mapping[str, str]
) -> Fold | None:
    """The rows of each key as one, or None where no key comes twice. `targets` says which field each column sets."""
    at, equal = _candidates(hashes)
    if not len(at):
        return None
    places = pc.inverse_permutation(at, max_index=len(hashes) - 1)
    alone = pc.is_null(places)
    rows = in_order([(staged, places)], schema, rows=len(at), folder=staged.path.parent)
    del places, hashes  # 8 and 16 MB for two million rows
    release()
    with Frames(staged.path.with_name(MERGED)) as merged:
        folding = _Folding(key, schema, alike=alike, targets=targets, merged=merged)
        folding.run(rows, at=at, hashes=equal)
        merged.finish()
    del equal
    return _fold(folding, at, alone=alone, numbers=_numbers(staged))


def _candidates(hashes: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The places of the rows whose hash comes more than once, and the hashes: equal ones side by side, places growing."""
    order = pc.array_sort_indices(hashes)  # stable
    ordered = hashes.take(order)
    same = pc.equal(ordered[1:], ordered[:-1])
    edge = pa.array([False])
    doubtful = pc.or_(pa.concat_arrays([edge, same]), pa.concat_arrays([same, edge]))
    return order.filter(doubtful).cast(PLACE), ordered.filter(doubtful)


class _Folding:
    """Goes through the candidates, equal hashes side by side. The rows of the last hash wait for those that may follow."""

    def __init__(self, key: str, schema: pa.Schema, *, alike: Alike, targets: Mapping[str, str], merged: Frames) -> None:
        self.merged = merged
        self.places: list[pa.Array] = []  # of the merged rows
        self.firsts: list[pa.Array] = []  # of every candidate, the place of its group's first row
        self._key, self._alike, self._targets = key, alike, targets
        marks = [pa.field(_AT, PLACE), pa.field(_FIRST, PLACE), pa.field(_HASH, pa.int64())]
        self._schema, self._marked = schema, pa.schema([*schema, *marks])

    def run(self, rows: Iterator[pa.RecordBatch], *, at: pa.Array, hashes: pa.Array) -> None:
        """Fold the candidates; they come with their places and their keys' hashes."""
        waiting, done = None, 0
        for batch in rows:
            span = at.slice(done, batch.num_rows)
            marked = [*fitted(batch, self._schema).columns, span, span, hashes.slice(done, batch.num_rows)]
            done += batch.num_rows
            fresh = pa.RecordBatch.from_arrays(marked, schema=self._marked)
            together = fresh if waiting is None else joined([waiting, fresh])
            folded, first = self._folded(together)
            self.firsts.append(first.slice(together.num_rows - batch.num_rows))
            is_open = pc.equal(folded.column(_HASH), together.column(_HASH)[-1])
            waiting = folded.filter(is_open)
            self._keep(folded.filter(pc.invert(is_open)))
        if waiting is not None:
            self._keep(waiting)

    def _keep(self, batch: pa.RecordBatch) -> None:
        for piece in pieces(batch.select(self._schema.names)):
            self.merged.append(piece)
        self.places.append(batch.column(_AT))

    def _folded(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.Array]:
        """The rows of each key as one, in the order in which the keys came, and for each row the place of its group's first."""
        keys = self._alike.common(batch.column(self._key)).dictionary_encode().indices
        here = pa.array(range(batch.num_rows), pa.int64())
        names = fields_of(batch.schema)
        filled = [pc.if_else(pc.is_valid(batch.column(name)), here, pa.scalar(None, pa.int64())) for name in names]
        table = pa.table(
            [keys, here, batch.column(_FIRST), *filled], names=["key", "last", "first", *map(str, range(len(names)))]
        )
        asked = [("last", "max"), ("first", "min"), *((str(place), "max") for place in range(len(names)))]
        told = table.group_by("key", use_threads=False).aggregate(asked).combine_chunks().sort_by("key")
        last, first = (told.column(name).combine_chunks() for name in ("last_max", "first_min"))
        chosen = {name: told.column(f"{place}_max").combine_chunks() for place, name in enumerate(names)}
        chosen = _newest(chosen, self._targets)
        columns = {name: batch.column(name).take(last) for name in (ROW, _AT, _HASH)}
        columns |= {name: batch.column(name).take(rows) for name, rows in chosen.items()}
        marks = [name for name in batch.schema.names if name.endswith(KIND)]
        columns |= {name: batch.column(name).take(chosen[name.removesuffix(KIND)]) for name in marks}
        columns[_FIRST] = first
        made = pa.RecordBatch.from_arrays([columns[name] for name in self._marked.names], schema=self._marked)
        return made, first.take(keys)


def _newest(chosen: Mapping[str, pa.Array], targets: Mapping[str, str]) -> dict[str, pa.Array]:
    """Of several columns that set one field, such as `AccountId` and `Account.Ext__c`, only what the latest row says."""
    newest = dict(chosen)
    for names in sharing({name: targets.get(name, name.lower()) for name in chosen}):
        latest = pc.max_element_wise(*(chosen[name] for name in names))
        for name in names:
            newest[name] = pc.if_else(pc.equal(chosen[name], latest), chosen[name], pa.scalar(None, pa.int64()))
    return newest


def _fold(folding: _Folding, at: pa.Array, *, alone: pa.Array, numbers: pa.Array) -> Fold:
    """Which row travels in which: in its group's last."""
    lasts = array("i", bytes(4 * len(numbers)))  # by the place of a group's first row
    start = 0
    for part in folding.firsts:
        for first, place in zip(part.to_pylist(), at.slice(start, len(part)).to_pylist(), strict=True):
            lasts[first] = place  # the places of a group grow
        start += len(part)
    travels = column_of(lasts).take(pa.concat_arrays(folding.firsts))
    folding.firsts.clear()
    is_folded = pc.not_equal(travels, at)
    at, travels = at.filter(is_folded), travels.filter(is_folded)
    order = pc.array_sort_indices(travels)  # stable, so that the rows that travel in one grow
    at, travels = at.take(order), travels.take(order)
    del order
    release()
    return Fold(folding.merged, pa.concat_arrays(folding.places), alone, numbers.take(at), numbers.take(travels))


def _numbers(staged: Frames) -> pa.Array:
    return pa.concat_arrays([batch.column(ROW) for batch in staged.batches()])
