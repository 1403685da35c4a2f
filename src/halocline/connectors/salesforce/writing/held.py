"""Held: rows that Salesforce refused for the moment (a lock, a time-out), put by until they are sent again."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from halocline.connectors.salesforce.writing.prepared import Chunk
from halocline.outcome import RowResult


class Held:
    """The rows of one round that are to be sent again, by the chunk that they were in: about 16 bytes for each."""

    def __init__(self) -> None:
        self._rows: dict[Chunk, array[int]] = {}
        self._codes: dict[Chunk, list[str]] = {}
        self._known: dict[str, str] = {}  # each code is one text, however many rows have it

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def put(self, chunk: Chunk, refused: RowResult) -> None:
        """Hold a row of a chunk back."""
        assert refused.row is not None
        self._rows.setdefault(chunk, array("q")).append(refused.row)
        self._codes.setdefault(chunk, []).append(self._known.setdefault(refused.code, refused.code))

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks that such rows were in, in the order in which they were told."""
        return list(self._rows)

    def rows(self, chunk: Chunk) -> array[int]:
        """The rows of a chunk that are held back."""
        return self._rows[chunk]

    def codes(self) -> Iterator[tuple[int, str]]:
        """Every row, with the code of its refusal."""
        for chunk, rows in self._rows.items():
            yield from zip(rows, self._codes[chunk], strict=True)
