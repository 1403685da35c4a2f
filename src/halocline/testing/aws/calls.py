"""The call log: how often clients asked for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase


class Calls:
    """Calls by service and operation: `sqs.SendMessageBatch`, `s3.PutObject`. `operations` tells what there is of each."""

    def __init__(self, operations: Callable[[], Mapping[str, Iterable[str]]]) -> None:
        self._operations = operations
        self._counts: Counter[str] = Counter()

    def note(self, service: str, operation: str) -> None:
        self._counts[f"{service}.{operation}"] += 1

    def count(self, pattern: str = "*") -> int:
        """How many calls there were of a kind: `sqs.*`, `*.GetObject`. Calls that a fault refused are among them.
        Raises: ValueError for a pattern that fits neither what can be asked nor what was.
        """
        found = [count for name, count in dict(self._counts).items() if fnmatchcase(name, pattern)]
        if not found:
            _check(pattern, self._operations())
        return sum(found)

    def clear(self) -> None:
        """Forget all calls."""
        self._counts.clear()


def _check(pattern: str, operations: Mapping[str, Iterable[str]]) -> None:
    """Raises: ValueError for a kind that no call can have: with it a test would pass for nothing."""
    known = [f"{service}.{operation}" for service, several in operations.items() for operation in several]
    if any(fnmatchcase(name, pattern) for name in known):
        return
    service, dot, operation = pattern.rpartition(".")
    named = [name for name in known if name.partition(".")[2].lower() == operation.lower()]
    of_service = operations.get(service, ())
    meant = (
        named
        or get_close_matches(pattern, known, n=3)
        or [f"{service}.{one}" for one in get_close_matches(operation, of_service)]
    )
    if meant:
        hint = f"did you mean {' or '.join(meant)}?"
    elif of_service and dot:
        hint = f"{service} has {', '.join(of_service)}"
    else:
        hint = f"a kind is a service and its operation, such as sqs.SendMessage or s3.*; services are {', '.join(operations)}"
    raise ValueError(f"no call can be of the kind {pattern!r}; {hint}")
