"""MajorityStore: claims on several masters that know nothing of each other; what most of them say counts.

A claim asks all masters at once. It is ours where a majority granted it while enough of the lease is left; each master then gets
the same fence, the highest that any of them gave (one round trip more). So words carry one number, and whoever takes over finds
a master that knows the last one. Masters that granted what did not come to a majority get it back. A fence is what the algorithm
lacks by itself: a holder that stood still past its lease is refused by every majority.
Source: "Distributed Locks with Redis" (majority, validity = lease - elapsed - drift, release on all),
https://redis.io/docs/latest/develop/use/patterns/distributed-locks/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from halocline.claims import MICRO, Clock, micros, once_each
from halocline.connectors.redis.client import NAMESPACE, Master
from halocline.connectors.redis.store import KEPT_MS, RedisStore, claim_of
from halocline.errors import HaloclineError, RetryLater
from halocline.idempotency import Claim, Entry, Held, State, Wanted

T = TypeVar("T")
DRIFT = 0.01  # of the lease, by which the masters' clocks may run apart meanwhile, as the algorithm has it
DRIFT_S = 0.002  # and this much besides
_STATE, _FENCE, _LEFT, _DEATHS, _ATTEMPTS, _TOLD, _BEFORE, _FENCE_BEFORE = range(8)  # of an answer of the script `claim`


class MajorityStore:
    """An `IdempotencyStore` on several masters; see `RedisStore`. It works as long as more than half of them answer."""

    def __init__(self, masters: Sequence[Master], *, namespace: str = NAMESPACE, clock: Clock | None = None) -> None:
        self._masters = list(masters)
        self._stores = [RedisStore(master, namespace=namespace, clock=clock) for master in masters]
        self._most = len(self._masters) // 2 + 1
        self._record = f"{namespace}:record:"
        self._clock = clock
        self._pool = ThreadPoolExecutor(4 * len(self._masters), thread_name_prefix="halocline-redis")

    def claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        """See `IdempotencyStore.claim`."""
        return once_each(wanted, lambda each: self._claim(each, owner=owner, lease_s=lease_s), lease_s=lease_s)

    def _claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        if not wanted:
            return []
        begun = time.monotonic()
        keys = [self._record + one.key for one in wanted]
        now: str | int = "" if self._clock is None else micros(self._clock())
        values = [now, owner, micros(lease_s), KEPT_MS, *(one.payload for one in wanted)]
        heard, silent = self._each(lambda index: self._masters[index].run("claim", keys, values=values, doing="Claiming keys"))
        votes = [{index: rows[place] for index, rows in heard.items()} for place in range(len(wanted))]
        if len(heard) < self._most:
            self._give_back(wanted, votes)
            raise self._too_few("Claiming keys", silent)
        found = [_merged(one.key, vote, most=self._most) for one, vote in zip(wanted, votes, strict=True)]
        return self._sealed(wanted, votes, found, until=begun + lease_s * (1 - DRIFT) - DRIFT_S)

    def renew(self, held: Sequence[Held], *, lease_s: float) -> list[bool]:
        """See `IdempotencyStore.renew`."""
        return self._majority(lambda store: store.renew(held, lease_s=lease_s), "Renewing claims")

    def done(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        """See `IdempotencyStore.done`."""
        return self._majority(lambda store: store.done(held, keep_s=keep_s), "Saying what is done")

    def failed(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        """See `IdempotencyStore.failed`."""
        return self._majority(lambda store: store.failed(held, keep_s=keep_s), "Saying what failed")

    def quarantine(self, held: Sequence[tuple[Held, str]], *, keep_s: float | None = None) -> list[bool]:
        """See `IdempotencyStore.quarantine`."""
        return self._majority(lambda store: store.quarantine(held, keep_s=keep_s), "Setting keys aside")

    def release(self, held: Sequence[Held]) -> list[bool]:
        """See `IdempotencyStore.release`."""
        return self._majority(lambda store: store.release(held), "Giving keys back")

    def look(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `IdempotencyStore.look`."""
        heard = self._enough(lambda store: store.look(keys), "Looking at keys")
        return [_newest(entries) for entries in zip(*heard.values(), strict=True)]

    def forget(self, keys: Sequence[str], *, only: State | None = None) -> list[bool]:
        """See `IdempotencyStore.forget`; a key that one of the masters sees held is kept on all."""
        now = time.time() if self._clock is None else self._clock()
        seen = {entry.key: entry for entry in self.look(keys) if entry}
        held = {key for key, entry in seen.items() if entry.state == "claimed" and entry.until_s > now}
        other = {key for key, entry in seen.items() if only not in {None, entry.state}}
        free = [key for key in keys if key not in held | other]
        heard = self._enough(lambda store: store.forget(free, only=only), "Forgetting keys")
        gone = {key for answers in heard.values() for key, answer in zip(free, answers, strict=True) if answer}
        return [key in gone for key in keys]

    def quarantined(self, limit: int = 100) -> list[Entry]:
        """See `IdempotencyStore.quarantined`."""
        heard = self._enough(lambda store: store.quarantined(limit), "Listing what is set aside")
        keys = {entry.key for entries in heard.values() for entry in entries}
        found = [entry for entry in self.look(sorted(keys)) if entry and entry.state == State.QUARANTINED]
        return sorted(found, key=lambda entry: (entry.since_s, entry.key))[:limit]

    def close(self) -> None:
        """See `IdempotencyStore.close`."""
        self._pool.shutdown(wait=True)
        for master in self._masters:
            master.close()

    def _sealed(
        self, wanted: Sequence[Wanted], votes: Sequence[dict[int, Any]], found: list[Claim], *, until: float
    ) -> list[Claim]:
        """The claims with one fence each on all masters that granted them; what did not come to a majority is given back."""
        lost = [place for place, claim in enumerate(found) if claim.state is not State.OURS]
        self._give_back([wanted[place] for place in lost], [votes[place] for place in lost])
        ours = [place for place, claim in enumerate(found) if claim.state is State.OURS]
        counts = self._seal([(found[place], votes[place]) for place in ours])
        left_s = until - time.monotonic()
        for place, heard in zip(ours, counts, strict=True):
            claim = found[place]
            if heard < self._most or left_s <= 0:
                self._fenced_back(claim, votes[place])
                found[place] = Claim(claim.key, State.HELD, deaths=claim.deaths, attempts=claim.attempts)
            else:
                found[place] = replace(claim, left_s=left_s)
        return found

    def _seal(self, ours: Sequence[tuple[Claim, dict[int, Any]]]) -> list[int]:
        """On how many masters each claim has its fence now."""
        counts = [0] * len(ours)
        parts = {
            index: [place for place, (_, vote) in enumerate(ours) if _granted(vote.get(index))]
            for index in range(len(self._masters))
        }

        def seal(index: int) -> list[Any]:
            keys = [self._record + ours[place][0].key for place in parts[index]]
            values: list[int] = []
            for place in parts[index]:
                claim, vote = ours[place]
                values += [vote[index][_FENCE], claim.fence, claim.deaths, claim.attempts]
            return self._masters[index].run("seal", keys, values=values, doing="Claiming keys") if keys else []

        heard = self._each(seal)[0] if ours else {}
        for index, answers in heard.items():
            for place, answer in zip(parts[index], answers, strict=True):
                counts[place] += answer
        return counts

    def _give_back(self, wanted: Sequence[Wanted], votes: Sequence[dict[int, Any]]) -> None:
        """Release what single masters granted. One that does not hear it keeps it until the lease ends."""
        parts = {
            index: [
                Held(one.key, vote[index][_FENCE]) for one, vote in zip(wanted, votes, strict=True) if _granted(vote.get(index))
            ]
            for index in range(len(self._masters))
        }
        if any(parts.values()):
            self._each(lambda index: self._stores[index].release(parts[index]))

    def _fenced_back(self, claim: Claim, vote: dict[int, Any]) -> None:
        """Release a claim by the fence that it was to have, and by what each master gave, where it did not hear of the other."""
        fences = {index: {claim.fence, row[_FENCE]} for index, row in vote.items() if _granted(row)}
        self._each(lambda index: self._stores[index].release([Held(claim.key, fence) for fence in fences.get(index, ())]))

    def _majority(self, ask: Callable[[RedisStore], list[bool]], doing: str) -> list[bool]:
        """For each key whether most masters said yes.
        Raises: as `_too_few`, where too few answered to know.
        """
        heard, silent = self._each(lambda index: ask(self._stores[index]))
        yes = [sum(answers) for answers in zip(*heard.values(), strict=True)]
        if len(heard) < self._most or any(count < self._most <= count + len(silent) for count in yes):
            raise self._too_few(doing, silent)
        return [count >= self._most for count in yes]

    def _enough(self, ask: Callable[[RedisStore], T], doing: str) -> dict[int, T]:
        heard, silent = self._each(lambda index: ask(self._stores[index]))
        if len(heard) < self._most:
            raise self._too_few(doing, silent)
        return heard

    def _each(self, ask: Callable[[int], T]) -> tuple[dict[int, T], list[HaloclineError]]:
        """What the masters answered that did, by their numbers, and why the others did not; all are asked at once.

        One that refuses (a login, a right) is as good as one that is away: what the others granted counts all the same.
        """
        asked = {index: self._pool.submit(ask, index) for index in range(len(self._masters))}
        heard: dict[int, T] = {}
        silent: list[HaloclineError] = []
        for index, future in asked.items():
            try:
                heard[index] = future.result()
            except HaloclineError as error:
                silent.append(error)
        return heard, silent

    def _too_few(self, doing: str, silent: Sequence[HaloclineError]) -> HaloclineError:
        """The error for a majority that did not come about: that of a master that a person must mend first, where so many
        refused that those which are only away cannot make up for them; else RetryLater.
        """
        refusing = [error for error in silent if not isinstance(error, RetryLater)]
        if len(self._masters) - len(refusing) < self._most:
            return refusing[0]
        told = "; ".join(str(error) for error in silent)
        cause = f"{len(silent)} of {len(self._masters)} masters did not answer ({told})"
        return RetryLater(f"{doing} by majority", cause, hint=f"Run it again when {self._most} of them do.")


def _granted(row: Sequence[Any] | None) -> bool:
    return row is not None and row[_STATE] == b"ours"


def _rank(row: Sequence[Any]) -> tuple[int, bool]:
    """What is newer among masters: the higher fence, and of the same the one with a word."""
    return row[_FENCE_BEFORE], row[_BEFORE] not in {b"", b"claimed"}


def _merged(key: str, vote: dict[int, Any], *, most: int) -> Claim:
    """What the answers of a majority come to: ours, where most granted it and none of the others knows something newer."""
    granted = [row for row in vote.values() if _granted(row)]
    newest = max(vote.values(), key=_rank)
    best = max(granted, key=_rank, default=newest)
    if len(granted) >= most and (newest[_STATE] in {b"ours", b"held"} or _rank(newest) <= _rank(best)):
        claim = claim_of(key, best)
        return replace(claim, fence=max(row[_FENCE] for row in granted))
    refused = [row for row in vote.values() if not _granted(row)]
    last = max(refused, key=_rank)
    claim = claim_of(key, last)
    return replace(claim, left_s=max(row[_LEFT] for row in refused) / MICRO) if claim.state is State.HELD else claim


def _newest(entries: Sequence[Entry | None]) -> Entry | None:
    found = [entry for entry in entries if entry is not None]
    return max(found, key=lambda entry: (entry.fence, entry.state != "claimed"), default=None)
