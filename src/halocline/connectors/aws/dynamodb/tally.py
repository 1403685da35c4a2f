"""Tally: what parts were given out, read and staged, so that nothing goes missing between two of these."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from halocline.connector import Manifest, Part
from halocline.errors import Truncated
from halocline.quantity import quantity, quantity_of

_HINT = "Run it again; nothing was published."


class Tally:
    """Counts the parts of one read. Threads may share it."""

    def __init__(self) -> None:
        self._issued: list[str] = []
        self._read: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._issued, self._read = [], {}

    def issued(self, part: Part) -> Part:
        """The part, which is given out."""
        with self._lock:
            self._issued.append(part.id)
        return part

    def read(self, part: Part, *, announced: int, besides: int = 0) -> None:
        """A part was read to its end: so many items, `besides` those of them that are no rows."""
        with self._lock:
            self._read[part.id] = announced, besides

    def check(self, name: str, manifests: Sequence[Manifest]) -> None:
        """Hold what was staged against what was read.

        Raises: Truncated when a part is missing, or has another number of rows.
        """
        doing = f"Checking what was read of {name}"
        staged = {one.part: one.rows + one.deletes for one in manifests}
        missing = [one for one in self._issued if one not in staged or one not in self._read]
        if missing:
            raise Truncated(
                doing, f"{quantity_of(len(missing), len(self._issued), what='part was')} not read ({missing[0]}, ...)", hint=_HINT
            )
        for part, (announced, besides) in self._read.items():
            if staged.get(part, 0) + besides != announced:
                cause = f"{quantity(announced, 'item')} of {part} came, and {staged.get(part, 0) + besides:,} are accounted for"
                raise Truncated(doing, cause, hint=_HINT)
