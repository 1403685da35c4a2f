"""SQL transaction: a block of work on a connection of a driver that leaves BEGIN and COMMIT to who uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar


class _Executes(Protocol):
    """A cursor, or a connection that is one."""

    def execute(self, query: str, /) -> Any:
        """Run a statement."""


C = TypeVar("C", bound=_Executes)


@contextmanager
def in_transaction(cursor: C, *, begin: str, failure: type[Exception]) -> Iterator[C]:
    """The cursor in a transaction that the statement `begin` opens: committed when the block ends well, else rolled back.

    Raises: what ended the block, or kept it from being committed. A `failure` to roll back hides none of it: databases do so by
    themselves where they cannot go on.
    """
    cursor.execute(begin)
    with begun(cursor, failure=failure):
        yield cursor


@contextmanager
def begun(cursor: C, *, failure: type[Exception]) -> Iterator[C]:
    """As `in_transaction`, in a transaction that is open."""
    try:
        yield cursor
        cursor.execute("COMMIT")
    except BaseException:
        with suppress(failure):
            cursor.execute("ROLLBACK")
        raise
