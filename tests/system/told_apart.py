"""Which moments of a piece of work are worth a trial: a death that leaves what the one before left is the same death.

What a death leaves is told from outside: the files, what was sent to others, and what a database has committed. A read between
two writes changes nothing of it. Of the pieces in which one file is written the first, one in the middle and the last stand for
all: a file is torn, wherever.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from halocline.testing.faults import Operations, Seam, When

OUTSIDE = ("request", "s3", "step")  # operations that change what others have, or may


class Marking(Operations):
    """Operations that strike nowhere, and note at each moment that counts what a death there would leave (`marks`).

    `folder` takes all files of the work; `committed` tells how far a database is that lies elsewhere.
    """

    def __init__(self, folder: Path, *, committed: Callable[[], object] = lambda: None, **options: Any) -> None:
        super().__init__(**options)
        self.marks: list[str] = []
        self._folder, self._committed = folder, committed
        self._sent = 0
        self._noting = threading.RLock()
        self._looking = False

    def moment(self, when: When, name: str, *, seam: Seam) -> None:
        """As every moment; what is there is noted."""
        if not self._counts():
            return
        with self._noting:
            if self._looking:  # what is asked of a database passes here as well
                return
            self._sent += when is not When.BEFORE and seam.kind in OUTSIDE
            before = len(self.seen)
            super().moment(when, name, seam=seam)
            if len(self.seen) > before:
                self._looking = True
                self.marks.append(f"{self._sent} {self._committed()} {files_of(self._folder)}")
                self._looking = False


def counting(die: Mapping[str, Any], folder: Path) -> Operations:
    """What counts the `kinds` of an order to die: it kills the process `at` one of them (0: none), or marks all."""
    if die["marks"]:
        return Marking(folder, kinds=die["kinds"])
    return Operations(kinds=die["kinds"], at=die["at"])


def files_of(folder: Path) -> str:
    """A digest of the folder: its names, and what is in each file. What readers of a SQLite share is none of it."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.name.endswith("-shm"):
            continue
        digest.update(f"{path.relative_to(folder)}\n".encode())
        with suppress(FileNotFoundError, IsADirectoryError):  # another thread may have let it go
            digest.update(path.read_bytes())
    return digest.hexdigest()


def worth_trying(moments: Sequence[str], marks: Sequence[str] = ()) -> list[int]:
    """The numbers (from 1) of the moments that differ; with no marks only the pieces of one file are told apart.

    A moment is told as `kind when name`; of an operation that fails all stay, for each is told to another caller.
    """
    differing = (at for at, mark in enumerate(marks) if not at or mark != marks[at - 1])
    chosen = set(differing) if marks else set(range(len(moments)))
    return sorted(at + 1 for at in chosen & set(_few_pieces(moments)))


def _few_pieces(moments: Sequence[str]) -> Iterator[int]:
    """All moments but those of the writes between the first, the middle and the last of one file."""
    for (kind, _), run in groupby(range(len(moments)), key=lambda at: _of(moments[at])):
        there = list(run)
        if kind != "write":
            yield from there
            continue
        each = len({moments[at] for at in there})  # moments of one write
        writes = [there[first : first + each] for first in range(0, len(there), each)]
        for number in sorted({0, len(writes) // 2, len(writes) - 1}):
            yield from writes[number]


def _of(moment: str) -> tuple[str, str]:
    kind, _, name = moment.split(" ", 2)
    return kind, name if kind == "write" else ""
