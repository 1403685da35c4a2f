"""Effects: rows of a table in PostgreSQL, one for each message if all is well, and what is to be done for a message.

It is loaded by consumers in environments of their own, which have psycopg and the standard library.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

CONNECTIONS = 6  # of one worker
_TABLE = """
CREATE TABLE effects (
    id bigserial PRIMARY KEY, number integer NOT NULL, fence bigint NOT NULL, in_doubt boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
_COUNT = """
WITH each AS (
    SELECT number, count(*) AS rows, count(*) FILTER (WHERE NOT in_doubt) AS sure FROM effects GROUP BY number
)
SELECT count(*), coalesce(sum(rows - 1), 0), coalesce(sum(greatest(sure - 1, 0)), 0), coalesce(sum(rows - sure), 0),
    coalesce(max(rows), 0)
FROM each
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A message: its number, and how long its handler takes before and after its effect."""

    number: int
    before_s: float
    after_s: float

    def begin(self) -> None:
        """The time before the effect."""
        time.sleep(self.before_s)

    def write(self, connection: psycopg.Connection[Any], *, fence: int, in_doubt: bool) -> None:
        """The effect, which is committed at once, or with the transaction that was begun."""
        connection.execute("INSERT INTO effects (number, fence, in_doubt) VALUES (%s, %s, %s)", (self.number, fence, in_doubt))

    def end(self) -> None:
        """The time after the effect, in which a death leaves the effect and no word of it."""
        time.sleep(self.after_s)


class Effects:
    """A worker's connections to the database, made when they are first needed."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._free: list[psycopg.Connection[Any]] = []
        self._places = threading.BoundedSemaphore(CONNECTIONS)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of nobody else's while the block runs, in autocommit."""
        with self._places:
            connection = self._free.pop() if self._free else psycopg.connect(self._database, autocommit=True)
            yield connection
            self._free.append(connection)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a queue: see `tests.system.torture`. `in_doubt` effects were said to be so, `most` is of one message."""

    messages: int
    lost: int
    doubled: int
    unflagged: int
    in_doubt: int
    most: int
    kills: int
    seconds: float

    def __str__(self) -> str:
        each = self.doubled / self.kills if self.kills else 0.0
        return (
            f"{self.messages:,} messages, {self.kills:,} kills in {self.seconds:.0f} s: {self.lost:,} lost,"
            f" {self.doubled:,} doubled ({each:.2f} a kill, at most {self.most} effects of one message),"
            f" {self.in_doubt:,} effects in doubt, {self.unflagged:,} doubled and not in doubt"
        )


def make_table(admin: psycopg.Connection[Any]) -> None:
    """An empty table of effects."""
    admin.execute("DROP TABLE IF EXISTS effects")
    admin.execute(_TABLE)


def outcome(admin: psycopg.Connection[Any], *, messages: int, kills: int, seconds: float) -> Outcome:
    """Count the effects. One of a message's effects need not be in doubt: which of several it was does not matter."""
    found = admin.execute(_COUNT).fetchone()
    assert found is not None
    there, doubled, unflagged, in_doubt, most = map(int, found)
    return Outcome(messages, messages - there, doubled, unflagged, in_doubt, most, kills, seconds)
