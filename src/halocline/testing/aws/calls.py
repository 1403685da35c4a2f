"""The call log: how often clients asked for what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase

_ALIKE = 0.9  # of 1: no two operations of one of these services are so near each other, where one is served here and one is not
_OPERATION = re.compile(r"[A-Z]\w+")


class Calls:
    """Calls by service and operation: `sqs.SendMessageBatch`, `s3.PutObject`. `operations` tells what can be asked of each."""

    def __init__(self, operations: Callable[[], Mapping[str, Iterable[str]]]) -> None:
        self._operations = operations
        self._counts: Counter[str] = Counter()

    def note(self, service: str, operation: str) -> None:
        self._counts[f"{service}.{operation}"] += 1

    def count(self, pattern: str = "*") -> int:
        """How many calls there were of a kind: `sqs.*`, `*.GetObject`. Calls that a fault refused are among them.
        Raises: ValueError for a misspelt one: a service that is not there, an operation that is nearly one of ours.
        """
        found = [count for name, count in dict(self._counts).items() if fnmatchcase(name, pattern)]
        if not found:
            _check(pattern, self._operations())
        return sum(found)

    def clear(self) -> None:
        """Forget all calls."""
        self._counts.clear()


def _check(pattern: str, operations: Mapping[str, Iterable[str]]) -> None:
    """Raises: ValueError for a kind that no call can have: with it a test would pass for nothing.

    What AWS can be asked and is not served here passes: its name is not so near one of ours.
    """
    known = [f"{service}.{operation}" for service, several in operations.items() for operation in several]
    if any(fnmatchcase(name, pattern) for name in known):
        return
    service, _, operation = pattern.rpartition(".")
    alike = get_close_matches(operation, operations.get(service, ()), cutoff=_ALIKE)
    if not alike and service in operations and _OPERATION.fullmatch(operation):
        return
    among = [name for name in known if name.startswith(f"{service}.")] if service in operations else known
    named = [name for name in among if name.partition(".")[2].lower() == operation.lower()]
    meant = named or [f"{service}.{one}" for one in alike] or get_close_matches(pattern, among, n=3)
    services = f"a kind is a service and its operation, such as sqs.SendMessage or s3.*; services are {', '.join(operations)}"
    hint = f"did you mean {' or '.join(meant)}?" if meant else services
    raise ValueError(f"no call can be of the kind {pattern!r}; {hint}")
