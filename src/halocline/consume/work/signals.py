"""Signals: SIGTERM and SIGINT ask a worker to end; asked again, to end at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGINT)
_LOOK_S = 0.5  # how late a signal is heard at most


def waited(over: threading.Event, seconds: float | None = None) -> bool:
    """Wait for the event, at most so long, and hear signals meanwhile; whether it has come.

    A wait without an end is not broken off by a signal that came just before it, or that another thread was given: the main
    thread would hear it when the wait is over, which may be never.
    Source: https://github.com/python/cpython/issues/85300, read November 2026.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    while not over.wait(_LOOK_S if ends is None else max(0.0, min(_LOOK_S, ends - time.monotonic()))):
        if ends is not None and time.monotonic() >= ends:
            return False
    return True


@contextmanager
def heard(stop: Callable[[], None], stop_now: Callable[[], None]) -> Iterator[None]:
    """While the block lasts, the first of these signals calls `stop`, every further one `stop_now`.

    Both are called by the main thread wherever it is, so they may only leave a word for others. Python hears signals in the main
    thread alone: elsewhere this does nothing.
    Source: "signal: Signals and threads", https://docs.python.org/3/library/signal.html#signals-and-threads, read November 2026.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    calls = 0

    def told(_number: int, _frame: FrameType | None) -> None:
        nonlocal calls
        calls += 1
        (stop if calls == 1 else stop_now)()

    before = {number: signal.signal(number, told) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
