"""Context: what a handler may know of its run, and its way to an effect that happens once.

A handler asks for it by a parameter named `context`, or annotated with `Context`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from halocline.applied import PART
from halocline.errors import LeaseLost
from halocline.idempotency import Claim
from halocline.queues import Delivery

_LOGGER = logging.getLogger("halocline.handler")


class Lease:
    """A handler's right to work on its message. When it is lost, somebody else may be working on the message already."""

    __slots__ = ("_lock", "_lost", "_tell", "reason")

    def __init__(self) -> None:
        self.reason = ""
        self._lock = threading.Lock()
        self._lost: threading.Event | None = None  # made when it is first asked for: most handlers never do
        self._tell: list[Callable[[], object]] = []

    @property
    def lost(self) -> threading.Event:
        """Set when the lease is lost: `lost.is_set()`, `lost.wait(seconds)`."""
        with self._lock:
            if self._lost is None:
                self._lost = threading.Event()
                if self.reason:
                    self._lost.set()
            return self._lost

    def lose(self, reason: str) -> None:
        """Tell the handler, as the worker does, that it lost its lease, and why. The first reason stays."""
        with self._lock:
            if self.reason:
                return
            self.reason = reason or "it ended"
            tell, self._tell = self._tell, []
            if self._lost is not None:
                self._lost.set()
        for call in tell:
            call()

    def on_lost(self, call: Callable[[], object]) -> None:
        """Have something called when the lease is lost, from the thread that finds out; at once where it is lost already."""
        with self._lock:
            if not self.reason:
                self._tell.append(call)
                return
        call()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One run of a handler for one message.

    `key` is what the message is remembered by, `fence` the number of this claim on it (0: nothing is remembered). `receives` is
    how often the message was handed out by now, `attempts` how many runs before this one failed with an error. `deaths` is how
    many ended without a word since the last of these: what they did, nobody knows. `deadline` is when the run must be over, by
    `time.monotonic()`.
    """

    message_id: str = ""
    queue: str = ""
    key: str = ""
    fence: int = 0
    receives: int = 1
    attempts: int = 0
    deaths: int = 0
    deadline: float | None = None
    lease: Lease = field(default_factory=Lease)
    _begun: int = field(default_factory=lambda: time.time_ns() // 1000, repr=False, compare=False)

    @classmethod
    def of(
        cls, delivery: Delivery, claim: Claim | None = None, *, queue: str = "", key: str = "", deadline: float | None = None
    ) -> Context:
        """The context for a delivery whose key is claimed; None: nothing is remembered."""
        if claim is None:
            return cls(message_id=delivery.id, queue=queue, key=key, receives=delivery.receives, deadline=deadline)
        return cls(
            message_id=delivery.id,
            queue=queue,
            key=key,
            fence=claim.fence,
            receives=delivery.receives,
            attempts=claim.attempts,
            deaths=claim.deaths,
            deadline=deadline,
        )

    @property
    def in_doubt(self) -> bool:
        """Whether a run before this one died at work: its effect may have come about, or not. A run that fails ends the doubt."""
        return self.deaths > 0

    @property
    def left_s(self) -> float | None:
        """Seconds until the deadline, negative behind it; None: there is none."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def check(self) -> None:
        """Raises: LeaseLost where the lease is lost. Ask before each step that others must not repeat."""
        if self.lease.reason:
            hint = "What this run did so far may be done again by another one; end here."
            raise LeaseLost(f"Handling the message {self.message_id}", self.lease.reason, hint=hint)

    def transaction(self, place: object, *, name: str = "") -> AbstractContextManager[Any]:
        """The handler's effect and the note that it happened, in one transaction of a database: both are kept, or neither.

            with context.transaction(connection) as transaction:
                transaction.execute("INSERT INTO ...")

        `place` is an open connection to PostgreSQL (psycopg), SQLite or DuckDB, or the URI of one. The block does not commit or
        roll back by itself. A message has one transaction in a database, or several that have a `name` each: catch
        AlreadyApplied of all but the last then, or a run that was cut off between two would never do the second.
        Raises: AlreadyApplied at the beginning, where the effect is there; let it pass, and the message counts as handled.
        FixConfig for a block that would have ended the transaction, both undone; BrokenTransaction where it has, and for a second
        one without a name of its own.
        """
        from halocline.consume.handling.transaction import once_in  # the drivers that it may need are loaded with it

        self.check()
        key = f"{self.key}{PART}{name}" if self.key and name else self.key
        # Without a record there is no fence; the instant of the run tells its notes from those of others just as well.
        found: AbstractContextManager[Any] = once_in(place, key, fence=self.fence or self._begun)
        return found

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry `queue`, `message_id` and `key`, and nothing of the body."""
        told = {"queue": self.queue, "message_id": self.message_id, "message_key": self.key}
        return logging.LoggerAdapter(_LOGGER, told)
