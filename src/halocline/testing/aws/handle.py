"""Receipt handles: which message of which queue, and which of its deliveries."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"AQEB([0-9a-f]{16})([0-9a-f]{12})([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Handle:
    """What a receipt handle says; `queue` is a number of that very queue, so that one of the same name later does not take it."""

    queue: str
    serial: int
    receipt: int

    @classmethod
    def read(cls, text: str) -> Handle | None:
        """What a text says; None if no queue ever gave it out."""
        found = _FORM.fullmatch(text)
        return cls(found[1], int(found[2], 16), int(found[3], 16)) if found else None


def written(queue: str, serial: int, *, receipt: int) -> str:
    """The text of a handle. It is made for each delivery, so no object is made first."""
    return f"AQEB{queue}{serial:012x}{receipt:08x}"
