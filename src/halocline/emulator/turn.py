"""Whose turn it is to write to an org."""

from __future__ import annotations

from threading import RLock

from halocline.emulator.errors import session_expired


class Turn:
    """Held from a check to the write that relies on it: unique values, upserts. One thread has it at a time, any number deep."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._is_over = False

    def __enter__(self) -> None:
        """Wait for it.
        Raises: ApiError(401, INVALID_SESSION_ID) if nobody writes to this org any more.
        """
        self._lock.acquire()
        if self._is_over:
            self._lock.release()
            raise session_expired()

    def __exit__(self, *_failure: object) -> None:
        self._lock.release()

    def end(self) -> None:
        """Wait until nobody has it, and give it to nobody from then on."""
        with self._lock:
            self._is_over = True
