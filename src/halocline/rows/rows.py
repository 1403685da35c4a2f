"""Rows: what a push reads, whatever it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from halocline.push.destination import RowBatch
from halocline.push.order import Nulls

DICT_ROWS = 2_000  # dicts that are handed out at a time


class Rows(Protocol):
    """The rows of one source. They can be read several times, and one by one by their numbers."""

    @property
    def name(self) -> str:
        """What they are, for people and for the flow's name: `rows`, `accounts.csv`, `duckdb:lake.duckdb`."""

    @property
    def nulls(self) -> Nulls:
        """What a null means here, where nobody says otherwise: an empty cell of a file leaves the field, a null clears it."""

    @property
    def clears(self) -> str | None:
        """A text that clears a field here, as `#N/A` does in CSV files."""

    def __len__(self) -> int: ...

    def batches(self) -> Iterator[RowBatch]:
        """All rows in order, as Arrow where the source is made of columns, else as dicts."""

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """The rows of these numbers as the source has them, untouched: the very dicts where it was made of dicts."""

    def close(self) -> None:
        """Let go of files. Idempotent."""
