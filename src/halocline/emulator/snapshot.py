"""A store as it was at one moment, kept in memory, to go back to in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halocline.emulator.store import Store


class Snapshot:
    """A copy of everything in a store; it takes as much memory as the store's file has bytes."""

    def __init__(self, store: Store) -> None:
        self._copy = store.database.copied()

    def restore(self, store: Store) -> None:
        """Make the store what it was. Requests under way finish with what they see; later ones see the old state again."""
        with store.database.lock:
            store.forget_open_work()
            store.database.put_back(self._copy)

    def close(self) -> None:
        """Give the memory back."""
        self._copy.close()
