"""MemoryRows: a list of records that the caller holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from halocline.push.destination import RowBatch
from halocline.push.order import Nulls

DICT_ROWS = 2_000  # dicts that are handed out at a time


class MemoryRows:
    """The caller's own list (or other sequence): nothing is copied, and `records` answers the very dicts."""

    nulls = Nulls.CLEAR
    clears: str | None = None

    def __init__(self, records: Sequence[Mapping[str, object]], *, name: str = "rows") -> None:
        self.name = name
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def batches(self) -> Iterator[RowBatch]:
        """All rows in order, about 2,000 at a time."""
        rest, first = iter(self._records), 0
        while some := list(islice(rest, DICT_ROWS)):
            yield RowBatch(range(first, first + len(some)), some)
            first += len(some)

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """The very dicts of these rows."""
        return [self._records[number] for number in numbers]

    def close(self) -> None:
        """Nothing: the list is the caller's."""
