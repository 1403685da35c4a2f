"""The call log: how often clients asked for what."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase


class Calls:
    """Calls by service and operation: `sqs.SendMessageBatch`, `s3.PutObject`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, service: str, operation: str) -> None:
        self._counts[f"{service}.{operation}"] += 1

    def count(self, pattern: str = "*") -> int:
        """How many calls there were of a kind: `sqs.*`, `*.GetObject`. Calls that a fault refused are among them."""
        return sum(count for name, count in dict(self._counts).items() if fnmatchcase(name, pattern))

    def clear(self) -> None:
        """Forget all calls."""
        self._counts.clear()
