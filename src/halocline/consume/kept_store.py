"""Kept store: an idempotency store that is opened when it is first needed, and closed when nobody uses it any more."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from halocline.idempotency import IdempotencyStore


class KeptStore:
    """A store that `make` opens (None: there is none). Threads may share it. `closes`: it is nobody else's, and closed here.

    It stays open until `close`, and until those who use it then are through; used again, it is opened again.
    """

    def __init__(self, make: Callable[[], IdempotencyStore | None], *, closes: bool) -> None:
        self._make = make
        self._closes = closes
        self._lock = threading.Lock()
        self._store: IdempotencyStore | None = None
        self._is_open = False
        self._users = 0
        self._to_close = False
        self._end: weakref.finalize[[], KeptStore] | None = None

    @contextmanager
    def used(self) -> Iterator[IdempotencyStore | None]:
        """The store, open while the block lasts.

        Raises: what opening it raises.
        """
        with self._lock:
            if not self._is_open:
                self._open()
            self._users += 1
            self._to_close = False
            store = self._store
        try:
            yield store
        finally:
            with self._lock:
                self._users -= 1
                self._close_unused()

    def close(self) -> None:
        """Close it, or have the last who uses it do so. Idempotent."""
        with self._lock:
            self._to_close = True
            self._close_unused()

    def _open(self) -> None:
        self._store = self._make()
        self._is_open = True
        if self._closes and self._store is not None:
            self._end = weakref.finalize(self, self._store.close)

    def _close_unused(self) -> None:
        if not self._to_close or self._users:
            return
        end, self._end, self._store, self._is_open = self._end, None, None, False
        if end is not None:
            end()
