"""PostgresStore: claims in a ledger's schema of a PostgreSQL, each method one statement, for any number of hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halocline.claim_store import Words
from halocline.claims import KEPT_S, MICRO, Clock, Record, Word, brief, micros, once_each, storable
from halocline.idempotency import Claim, Entry, Held, State, Wanted
from halocline.ledger.server import opened

SWEPT_EVERY = 100  # claims, until records that are over are deleted; a claim adds some ten
SWEPT = 2_000  # records at most then


class PostgresStore(Words):
    """An `IdempotencyStore` in the schema that a `postgresql://` URI names (`?schema=`, else `halocline`), made if need be.

    Every instant is by the server's clock; `clock` takes its place in tests. A connection that was lost is made anew.
    Raises: as `PostgresLedger`.
    """

    def __init__(self, uri: str, *, clock: Clock | None = None) -> None:
        self._clock = clock
        self._until_swept = SWEPT_EVERY
        self._server = opened(uri)

    def claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        """See `IdempotencyStore.claim`."""
        return once_each(wanted, lambda each: self._claim(each, owner=owner, lease_s=lease_s), lease_s=lease_s)

    def _claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        lists = {"keys": [one.key for one in wanted], "payloads": [one.payload for one in wanted]}
        rows = self._put("claim_keys", "Claiming keys", owner=owner, lease=micros(lease_s), **lists)
        found = {row[0]: row[1:] for row in rows}
        self._sweep()
        return [_claim_of(one, found[one.key], owner=owner) for one in wanted]

    def renew(self, held: Sequence[Held], *, lease_s: float) -> list[bool]:
        """See `IdempotencyStore.renew`."""
        return self._said("renew_keys", held, lease=micros(lease_s))

    def look(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `IdempotencyStore.look`."""
        rows = self._put("look_keys", "Looking at keys", keys=[storable(key) for key in keys])
        found = {row[0]: Record(*row[1:]) for row in rows}
        records = ((key, found.get(storable(key))) for key in keys)
        return [None if record is None else record.entry(key) for key, record in records]

    def forget(self, keys: Sequence[str], *, only: State | None = None) -> list[bool]:
        """See `IdempotencyStore.forget`."""
        names = [storable(key) for key in keys]
        rows = self._put("forget_keys", "Forgetting keys", keys=names, keep=micros(KEPT_S), only=only and only.value)
        found = {key for key, _ in rows}
        return [name in found for name in names]

    def quarantined(self, limit: int = 100) -> list[Entry]:
        """See `IdempotencyStore.quarantined`."""
        rows = self._put("keys_set_aside", "Listing what is set aside", limit=limit)
        return [Record(*row[1:]).entry(row[0]) for row in rows]

    def close(self) -> None:
        """See `IdempotencyStore.close`."""
        self._server.close()

    def _say(self, word: Word, held: Sequence[tuple[Held, str]], *, keep_s: float | None) -> list[bool]:
        told = [brief(told) for _, told in held]
        keep = None if keep_s is None else micros(keep_s)
        return self._said("word_keys", [one for one, _ in held], word=word, told=told, keep=keep)

    def _said(self, name: str, held: Sequence[Held], **values: object) -> list[bool]:
        names = [storable(one.key) for one in held]
        lists = {"keys": names, "fences": [one.fence for one in held]}
        rows = self._put(name, "Saying what became of keys", **lists, **values)
        found = {(key, fence) for key, fence in rows}
        return [(name, one.fence) in found for name, one in zip(names, held, strict=True)]

    def _put(self, name: str, doing: str, **values: object) -> list[tuple[Any, ...]]:
        now = None if self._clock is None else micros(self._clock())
        return self._server.once(name, {**values, "now": now}, doing=f"{doing} in {self._server.place}")

    def _sweep(self) -> None:
        self._until_swept -= 1
        if self._until_swept < 0:
            self._until_swept = SWEPT_EVERY
            self._put("sweep_keys", "Deleting what is over", kept=micros(KEPT_S), limit=SWEPT)


def _claim_of(wanted: Wanted, row: Sequence[Any], *, owner: str) -> Claim:
    """What the statement returned, which is the record as it is now: ours, if it is claimed by this owner."""
    state, fence, holder, left, deaths, attempts, payload, told = row
    counts = {"deaths": deaths, "attempts": attempts}
    if wanted.payload and payload and payload != wanted.payload:
        return Claim(wanted.key, State.MISMATCH, **counts)
    if state == "claimed" and holder == owner:
        return Claim(wanted.key, State.OURS, fence, left / MICRO, **counts)
    if state == "claimed":
        return Claim(wanted.key, State.HELD, left_s=left / MICRO, **counts)
    if state == "done":
        return Claim(wanted.key, State.DONE, result=told, **counts)
    return Claim(wanted.key, State.QUARANTINED, reason=told, **counts)
