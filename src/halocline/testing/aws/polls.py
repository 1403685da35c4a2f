"""Long polls: receives that wait for a message, served in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError
from halocline.testing.aws.message import Message
from halocline.testing.aws.queue import Queue


@dataclass(frozen=True, slots=True, eq=False)
class _Poll:
    most: int
    visibility: float
    until: float
    answer: asyncio.Future[list[Message]]


class Polls:
    """Who waits at one queue."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._waiting: deque[_Poll] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_looking = False
        queue.changed = self.look

    def wait(self, most: int, visibility: float, *, seconds: float) -> asyncio.Future[list[Message]]:
        """Messages as soon as there is one; none once so many seconds are over."""
        poll = _Poll(most, visibility, self._clock.now() + seconds, asyncio.get_running_loop().create_future())
        self._waiting.append(poll)
        self.look()
        return poll.answer

    def look(self) -> None:
        """Serve whoever can be served now, and come again when time alone may change it."""
        if not self._waiting or self._is_looking:  # what `take` itself changes is seen by the next of these polls
            return
        self._is_looking = True
        now = self._clock.now()
        self._waiting = deque(poll for poll in self._waiting if not poll.answer.done() and not self._serve(poll, now))
        self._set_timer(now)
        self._is_looking = False

    def end(self, error: AWSError) -> None:
        """Refuse everybody who waits: the queue is gone."""
        for poll in self._waiting:
            if not poll.answer.done():
                poll.answer.set_exception(error)
        self._waiting.clear()

    def _serve(self, poll: _Poll, now: float) -> bool:
        try:
            found = self._queue.take(poll.most, poll.visibility)
        except AWSError as error:
            poll.answer.set_exception(error)
            return True
        if found or poll.until <= now:
            poll.answer.set_result(found)
            return True
        return False

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting or self._clock.is_frozen:
            return
        wake = self._queue.next_wake()
        due = min(poll.until for poll in self._waiting)
        due = due if wake is None else min(due, wake)
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self.look)
