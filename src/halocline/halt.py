"""Halt: how work that several threads share is told to end soon, at its next call or in the middle of a wait."""

from __future__ import annotations

import threading
from dataclasses import replace

from halocline.errors import Stop
from halocline.retry import Pace

_SLICE_S = 0.25  # the longest that a wait goes on after its end was called


class Halt:
    """Called once, from any thread; heard wherever it is checked."""

    def __init__(self) -> None:
        self._called = threading.Event()

    def call(self) -> None:
        """Let everybody end. Idempotent."""
        self._called.set()

    @property
    def is_called(self) -> bool:
        """Whether everybody is to end."""
        return self._called.is_set()

    def check(self, doing: str) -> None:
        """Go on, unless the end was called.

        Raises: Stop.
        """
        if self._called.is_set():
            raise Stop(doing, "the run was interrupted", hint="What was not committed is not visible anywhere; run it again.")

    def heard_by(self, pace: Pace) -> Pace:
        """The same time and chance, with waits that end with Stop when the end is called."""

        def sleep(seconds: float) -> None:
            left = seconds
            while left > 0:
                self.check("Waiting")
                pace.sleep(min(left, _SLICE_S))
                left -= _SLICE_S
            self.check("Waiting")

        return replace(pace, sleep=sleep)
