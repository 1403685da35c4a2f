"""Transactions: an effect and the note that it was applied, kept together in the handler's own database.

A store of claims elsewhere can only narrow the window between an effect and the word about it. Here there is none: the key of a
message is a row with a unique key, written in the transaction of the effect. Of two runs of a message, whichever they are, one
commits, and the other is told so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from halocline.config import resolved
from halocline.registry import open_once


def once_in(place: object, key: str, *, fence: int = 0) -> AbstractContextManager[Any]:
    """A connection inside a transaction that also holds the note of `key`: both are kept when the block ends well, else neither.

    `place` is an open connection without a transaction (psycopg, `sqlite3`, DuckDB), which stays open, or a URI (`postgresql://`,
    `sqlite:///file`, `duckdb:///file`), also as `env:NAME` or `aws-sm:NAME#KEY`. The note is a row of the table
    `_halocline_applied` (in the schema `public` of PostgreSQL, `main` of the others), made when it is not there, and is kept for
    15 days. `fence` is the number of the run: of two transactions with one number and key the second is a mistake.
    Raises: AlreadyApplied at the beginning, where the note is there; FixConfig for a place that cannot be used, for no key, and
    for a block that would have ended the transaction; BrokenTransaction where it has; as the database's own, when it begins and
    commits. Threads that share a connection wait for each other's block. Of SQLite and DuckDB the block gets the connection
    behind a watch, which refuses what would end the transaction.
    """
    meant = resolved(place)
    return open_once(meant, key, fence=fence) if isinstance(meant, str) else _in_turn(meant, key, fence)


@dataclass(slots=True)
class _Turn:
    """Whose turn it is on a connection, and how many threads have it or wait for it."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    threads: int = 0


_turns: dict[int, _Turn] = {}  # by the connection's id, as long as a thread has it
_turns_lock = threading.Lock()


@contextmanager
def _in_turn(connection: Any, key: str, fence: int) -> Iterator[Any]:
    """The transaction, once no other thread has one on this connection: handlers may share it."""
    with _turns_lock:
        turn = _turns.setdefault(id(connection), _Turn())
        turn.threads += 1
    try:
        with turn.lock, open_once(connection, key, fence=fence) as opened:
            yield opened
    finally:
        with _turns_lock:
            turn.threads -= 1
            if not turn.threads:
                del _turns[id(connection)]
