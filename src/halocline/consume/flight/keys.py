"""Keys: messages of the same key are claimed one after the other."""

from __future__ import annotations

from collections import deque

from halocline.consume.flight.roster import Stay


class Keys:
    """Who has each key, and who waits for it: a worker must not claim a key whose work it has under way."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Stay]] = {}

    def ask(self, stay: Stay) -> bool:
        """Whether the message has its key now; if not, it waits."""
        line = self._lines.get(stay.key)
        if line is None:
            self._lines[stay.key] = deque((stay,))
            return True
        line.append(stay)
        return False

    def free(self, stay: Stay) -> Stay | None:
        """The message neither has nor wants its key any more: who has it now instead."""
        line = self._lines.get(stay.key)
        if line is None:
            return None
        if line[0] is not stay:
            if stay in line:
                line.remove(stay)
            return None
        line.popleft()
        if line:
            return line[0]
        del self._lines[stay.key]
        return None
