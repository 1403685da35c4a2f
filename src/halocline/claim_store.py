"""What stores of claims do alike: all of them, and those that read records, decide here and write them back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from halocline.claims import KEPT_S, Record, Word, brief, forgotten, known, once_each, renewed, said, storable, taken
from halocline.idempotency import Claim, Entry, Held, State, Wanted

Change = Callable[[Record | None, int], tuple[Any, Record | None]]
"""Takes a key's record and the instant; gives the answer, and the record to write (None: nothing is changed)."""


class Words(ABC):
    """What is said to an `IdempotencyStore` of claims, each word in the same way; a subclass has the way."""

    @abstractmethod
    def _say(self, word: Word, held: Sequence[tuple[Held, str]], *, keep_s: float | None) -> list[bool]:
        """Say a word, with what is told; remembered for so long (None: it stays)."""

    def done(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        """See `IdempotencyStore.done`."""
        return self._say("done", held, keep_s=keep_s)

    def failed(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        """See `IdempotencyStore.failed`."""
        return self._say("failed", held, keep_s=keep_s)

    def quarantine(self, held: Sequence[tuple[Held, str]], *, keep_s: float | None = None) -> list[bool]:
        """See `IdempotencyStore.quarantine`."""
        return self._say("quarantined", held, keep_s=keep_s)

    def release(self, held: Sequence[Held]) -> list[bool]:
        """See `IdempotencyStore.release`."""
        return self._say("released", [(one, "") for one in held], keep_s=KEPT_S)


class DecidingStore(Words):
    """An `IdempotencyStore` in a place that keeps records. A subclass reads and writes them, `halocline.claims` has the rules."""

    @abstractmethod
    def _change(self, changes: Sequence[tuple[str, Change]], *, doing: str) -> list[Any]:
        """Change the records of keys, each atomically, those of the same key in turn; the answers."""

    @abstractmethod
    def _read(self, keys: Sequence[str], *, doing: str) -> tuple[Mapping[str, Record], int]:
        """The records of keys, and the instant."""

    @abstractmethod
    def _aside(self, limit: int, *, doing: str) -> list[Entry]:
        """What is set aside, the oldest first."""

    @abstractmethod
    def close(self) -> None:
        """See `IdempotencyStore.close`."""

    def claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        """See `IdempotencyStore.claim`."""

        def ask(each: Sequence[Wanted]) -> list[Claim]:
            changes = [(one.key, _take(one, owner, lease_s)) for one in each]
            return self._change(changes, doing="Claiming keys")

        return once_each(wanted, ask, lease_s=lease_s)

    def renew(self, held: Sequence[Held], *, lease_s: float) -> list[bool]:
        """See `IdempotencyStore.renew`."""
        return self._change([(storable(one.key), _renew(one, lease_s)) for one in held], doing="Renewing claims")

    def look(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `IdempotencyStore.look`."""
        records, now = self._read([storable(key) for key in keys], doing="Looking at keys")
        found = ((key, known(records.get(storable(key)), now)) for key in keys)
        return [None if record is None else record.entry(key) for key, record in found]

    def forget(self, keys: Sequence[str], *, only: State | None = None) -> list[bool]:
        """See `IdempotencyStore.forget`."""
        change = partial(forgotten, only=only)
        return self._change([(storable(key), change) for key in keys], doing="Forgetting keys")

    def quarantined(self, limit: int = 100) -> list[Entry]:
        """See `IdempotencyStore.quarantined`."""
        return self._aside(limit, doing="Listing what is set aside")

    def _say(self, word: Word, held: Sequence[tuple[Held, str]], *, keep_s: float | None) -> list[bool]:
        changes = [(storable(one.key), _word(one, word, brief(told), keep_s)) for one, told in held]
        return self._change(changes, doing="Saying what became of keys")


def _take(wanted: Wanted, owner: str, lease_s: float) -> Change:
    return lambda record, now: taken(record, wanted, owner=owner, lease_s=lease_s, now=now)


def _renew(held: Held, lease_s: float) -> Change:
    return lambda record, now: renewed(record, held.fence, lease_s=lease_s, now=now)


def _word(held: Held, word: Word, told: str, keep_s: float | None) -> Change:
    return lambda record, now: said(record, held.fence, word=word, told=told, keep_s=keep_s, now=now)
