"""The signals that end a program in the foreground, and the wait for the first of them."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = 64  # signals read in one go; one byte each


@contextmanager
def heard() -> Iterator[Callable[[], None]]:
    """Until the block ends, SIGINT and SIGTERM do nothing but end the wait that the block gets, be they earlier or later than it.

    The wait reads what Python's own handler writes the moment a signal comes, and does not rely on being interrupted: a library
    may have put its handler before Python's with SA_RESTART, as polars does when it is imported, or another thread may get the
    signal. A wait for a lock then sleeps on, and no handler of ours ever runs.
    Raises: ValueError outside of the main thread.
    Source: docs.python.org, `signal.set_wakeup_fd`; https://github.com/pola-rs/polars/issues/21739, read 2026-11-21.
    """
    ear, mouth = socket.socketpair()
    with ear, mouth:
        mouth.settimeout(0)  # set_wakeup_fd demands one that does not block
        with _written_to(mouth), _not_obeyed():
            yield lambda: _wait(ear)


def _wait(ear: socket.socket) -> None:
    while not any(number in _ENDING for number in ear.recv(_AT_ONCE)):
        pass  # a signal of somebody else's, which Python's handler wrote too


@contextmanager
def _written_to(mouth: socket.socket) -> Iterator[None]:
    before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)


@contextmanager
def _not_obeyed() -> Iterator[None]:
    # Not SIG_IGN: only a signal with a handler in Python is written.
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
