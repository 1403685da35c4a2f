"""Repeats: rows of one load that have the same key; 16 bytes for each row."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


class Repeats:
    """The keys of a load's rows, by their numbers (`digests.places`), to be asked once all rows were seen."""

    def __init__(self) -> None:
        self._places: list[pa.Array] = []
        self._rows: list[pa.Array] = []

    def add(self, places: pa.Array, rows: Sequence[int]) -> None:
        """Take note of the keys of these rows."""
        self._places.append(places)
        self._rows.append(pa.array(rows, pa.int64()))

    def clear(self) -> None:
        """Forget them all: another load begins."""
        self._places, self._rows = [], []

    def first(self) -> tuple[int, int] | None:
        """The numbers of two rows that have the same key; None where no two have."""
        if not self._places:
            return None
        seen = pa.table([pa.chunked_array(self._places), pa.chunked_array(self._rows)], names=["place", "row"])
        seen = seen.sort_by([("place", "ascending"), ("row", "ascending")]).combine_chunks()
        place, row = seen.column("place"), seen.column("row")
        again = pc.indices_nonzero(pc.equal(place.slice(1), place.slice(0, len(place) - 1)).combine_chunks())
        return (row[again[0].as_py()].as_py(), row[again[0].as_py() + 1].as_py()) if len(again) else None
