"""Intake: many messages by polls of ten, never more than asked for, and none that is too old to be dealt with."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from halocline.connectors.aws.batches import MOST, WIDTH, Watch
from halocline.connectors.aws.sqs import SQS
from halocline.errors import HaloclineError
from halocline.queues import Delivery


class Intake:
    """At most `limit` messages, by polls of `wait_s`, until `empty` of them found nothing."""

    def __init__(self, queue: SQS, limit: int, *, wait_s: float, empty: int = 1, visibility_s: int | None = None) -> None:
        self._queue = queue
        self._left = limit
        self._wait_s = wait_s
        self._empty_left = empty
        self._visibility_s = visibility_s
        self._lock = threading.Lock()
        self._found: dict[str, Delivery] = {}
        self._failure: HaloclineError | None = None
        self._until_s = float("inf")

    def run(self, clock: Callable[[], float] = time.monotonic) -> list[Delivery]:
        """The messages, each once, with its newest handle. No poll begins, or waits
        for messages, beyond half of their visibility; repeats of a poll and large bodies in S3 may take some of the other half.

        Polls run beside each other where most of a poll is waiting.
        Raises: what the first poll raised; after it, what was received is returned, for a lost handle is a message that hides.
        """
        begun_s, watch = clock(), Watch()
        self._poll(clock)
        if self._wants_more:
            hidden_s = self._queue.hidden_s if self._visibility_s is None else self._visibility_s
            self._until_s = begun_s + hidden_s / 2
            width = min(WIDTH, -(-self._left // MOST)) if watch.is_waiting else 1
            if width > 1:
                with ThreadPoolExecutor(width) as pool:
                    list(pool.map(self._polls, [clock] * width))
            else:
                self._polls(clock)
        if self._failure is not None and not self._found:
            raise self._failure
        return list(self._found.values())

    @property
    def _wants_more(self) -> bool:
        return self._left > 0 and self._empty_left > 0 and self._failure is None

    def _polls(self, clock: Callable[[], float]) -> None:
        while self._poll(clock):
            pass

    def _poll(self, clock: Callable[[], float]) -> bool:
        """One poll, whose number of messages is taken off before it begins; whether it made sense. Its wait ends in time."""
        with self._lock:
            left_s = self._until_s - clock()
            if not self._wants_more or left_s < 1:
                return False
            asked = min(MOST, self._left)
            self._left -= asked
        wait_s = self._wait_s if left_s > self._wait_s else math.floor(left_s)  # a poll waits whole seconds
        found: list[Delivery] = []
        try:
            found = self._queue.receive_allowed(asked, wait_s=wait_s, visibility_s=self._visibility_s)
        except HaloclineError as error:
            self._failure = error
        with self._lock:
            known = len(self._found)
            for one in found:  # SQS may hand a message out again at any time, and then takes its newest handle only
                before = self._found.get(one.id)
                if before is None or before.receives <= one.receives:
                    self._found[one.id or one.handle] = one
            self._left += asked - (len(self._found) - known)
            self._empty_left -= not found
            return True
