"""Marks: which rows of a push lie staged, and which of them were told; one byte a row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from halocline.spool import IN_HOME, arriving, storage, to_disk

_STAGED = b"\1"  # and 0: no such row to send; 2: told


class Marks:
    """The rows that are to be told, by number. `wrong` counts rows told twice, or told and never staged."""

    def __init__(self, staged: bytes = b"") -> None:
        self._marks = bytearray(staged)
        self.wrong = 0

    @classmethod
    def load(cls, path: Path) -> Self:
        """The rows that `save` wrote, none of them told.

        Raises: StorageFailed.
        """
        with storage(f"Reading {path}"):
            return cls(path.read_bytes())

    def save(self, path: Path) -> None:
        """Write durably which rows are staged. Called before any is told.

        Raises: StorageFailed.
        """
        with storage(f"Writing {path}", room=IN_HOME):
            with arriving(path) as partial, partial.open("wb") as file:
                file.write(self._marks)
                file.flush()
                os.fsync(file.fileno())  # the ledger will say that they are there
            to_disk(path.parent)

    @property
    def staged(self) -> int:
        """How many rows lie staged, the told ones included."""
        return len(self._marks) - self._marks.count(0)

    @property
    def untold(self) -> int:
        """How many staged rows were not told yet."""
        return self._marks.count(_STAGED)

    def stage(self, numbers: Sequence[int]) -> None:
        """These rows lie staged."""
        if not numbers:
            return
        if len(self._marks) <= max(numbers[0], numbers[-1]):
            self._marks.extend(bytes(max(numbers[0], numbers[-1]) + 1 - len(self._marks)))
        for number in numbers:
            self._marks[number] = 1

    def tell(self, numbers: Sequence[int]) -> None:
        """These rows were told."""
        for number in numbers:
            if 0 <= number < len(self._marks) and self._marks[number] == 1:
                self._marks[number] = 2
            else:
                self.wrong += 1

    def each_untold(self) -> Iterator[int]:
        """The staged rows that were not told, in order."""
        at = self._marks.find(_STAGED)
        while at >= 0:
            yield at
            at = self._marks.find(_STAGED, at + 1)
