"""RedisStore: claims on one Redis or Valkey server; each method is one script, run in one round trip for all keys.

A record is a hash, `halocline:record:<key>`, with fields that a person can read. Instants are microseconds by the server's clock,
and a fence is the instant of its claim, or one more than the fence before: it grows even when the server came back empty.
Source: "Scripting with Lua" (scripts are atomic; TIME before writes since Redis 5),
https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from halocline.claim_store import Words
from halocline.claims import KEPT_S, MICRO, Clock, Word, brief, micros, once_each, storable
from halocline.connectors.redis.client import NAMESPACE, Master
from halocline.idempotency import Claim, Entry, Held, State, Wanted

KEPT_MS = int(KEPT_S * 1000)
_PAGE = 500  # keys that are read at a time


class RedisStore(Words):
    """An `IdempotencyStore` on one server. `clock` takes the place of the server's in tests (seconds since 1970)."""

    def __init__(self, master: Master, *, namespace: str = NAMESPACE, clock: Clock | None = None) -> None:
        self._master = master
        self._record = f"{namespace}:record:"
        self._aside = f"{namespace}:quarantined"
        self._clock = clock

    def claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        """See `IdempotencyStore.claim`."""
        return once_each(wanted, lambda each: self._claim(each, owner=owner, lease_s=lease_s), lease_s=lease_s)

    def _claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        keys = [self._record + one.key for one in wanted]
        values = [self._now(), owner, micros(lease_s), KEPT_MS, *(one.payload for one in wanted)]
        rows = self._master.run("claim", keys, values=values, doing="Claiming keys") if keys else []
        return [claim_of(one.key, row) for one, row in zip(wanted, rows, strict=True)]

    def renew(self, held: Sequence[Held], *, lease_s: float) -> list[bool]:
        """See `IdempotencyStore.renew`."""
        if not held:
            return []
        values = [self._now(), micros(lease_s), KEPT_MS, *(one.fence for one in held)]
        return self._said("renew", held, values=values)

    def look(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `IdempotencyStore.look`."""
        if not keys:
            return []
        records = [self._record + storable(key) for key in keys]
        rows = self._master.run("look", records, values=[self._now()], doing="Looking at keys")
        return [entry_of(key, row) for key, row in zip(keys, rows, strict=True)]

    def forget(self, keys: Sequence[str], *, only: State | None = None) -> list[bool]:
        """See `IdempotencyStore.forget`."""
        if not keys:
            return []
        names = [storable(key) for key in keys]
        records = [*(self._record + name for name in names), self._aside]
        values = [self._now(), micros(KEPT_S), only.value if only else "", *names]
        return [bool(one) for one in self._master.run("forget", records, values=values, doing="Forgetting keys")]

    def quarantined(self, limit: int = 100) -> list[Entry]:
        """See `IdempotencyStore.quarantined`."""
        found: list[Entry] = []
        for start in count(step=_PAGE):
            keys = self._master.members(self._aside, start=start, limit=_PAGE, doing="Listing what is set aside")
            found += [entry for entry in self.look(keys) if entry is not None and entry.state == State.QUARANTINED]
            if len(found) >= limit or len(keys) < _PAGE:
                return found[:limit]
        raise AssertionError("count() ends")

    def close(self) -> None:
        """See `IdempotencyStore.close`."""
        self._master.close()

    def _say(self, word: Word, held: Sequence[tuple[Held, str]], *, keep_s: float | None) -> list[bool]:
        if not held:
            return []
        each = (part for one, told in held for part in (storable(one.key), one.fence, brief(told)))
        span = "" if keep_s is None else micros(keep_s)
        return self._said("word", [one for one, _ in held], values=[self._now(), word, span, *each], aside=True)

    def _said(self, script: Any, held: Sequence[Held], *, values: Sequence[str | int], aside: bool = False) -> list[bool]:
        keys = [self._record + storable(one.key) for one in held]
        answers = self._master.run(
            script, [*keys, self._aside] if aside else keys, values=values, doing="Saying what became of keys"
        )
        return [answer == 1 for answer in answers]

    def _now(self) -> str | int:
        return "" if self._clock is None else micros(self._clock())


def claim_of(key: str, row: Sequence[Any]) -> Claim:
    """What the script `claim` answered for a key."""
    found, fence, left, deaths, attempts, told = row[:6]
    state = State(found.decode())
    words = told.decode(errors="replace")
    result, reason = (words, "") if state is State.DONE else ("", words)
    return Claim(key, state, fence, left / MICRO, deaths, attempts, result, reason)


def entry_of(key: str, row: Sequence[bytes]) -> Entry | None:
    """What the script `look` answered for a key."""
    if not row:
        return None
    state, fence, owner, since, until, deaths, attempts, told, payload = (field.decode(errors="replace") for field in row)
    times = int(since) / MICRO, int(until) / MICRO
    return Entry(key, state, int(fence), owner, *times, int(deaths), int(attempts), told, payload)
