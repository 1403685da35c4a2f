"""Records of claims as every store keeps them: what a claim finds, and what each word makes of a record.

Stores that read, decide and write (SQLite, DynamoDB) decide here; Redis and PostgreSQL decide the same on their servers, by a
script or a statement. `halocline.testing.idempotency` holds all of them to the same laws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from halocline.idempotency import Claim, Entry, State, Wanted

KEPT_S = 14 * 86_400.0  # seconds that a claim without a word is remembered after its lease: a queue keeps a message no longer
MICRO = 1_000_000
LONGEST_TOLD = 2_000  # characters of an error or a reason

Kind = Literal["claimed", "done", "failed", "quarantined", "released"]
Word = Literal["done", "failed", "quarantined", "released"]
Clock = Callable[[], float]
"""Gives the present instant, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Record:
    """A key's record. Instants are microseconds since 1970; `until` is the end of the lease (claimed) or of the memory (else; 0:
    it stays). `told` is the result's hash, the last error or the reason.
    """

    state: Kind
    fence: int
    owner: str
    since: int
    until: int
    deaths: int = 0
    attempts: int = 0
    payload: str = ""
    told: str = ""

    def entry(self, key: str) -> Entry:
        """The record, for people."""
        times = self.since / MICRO, self.until / MICRO
        return Entry(key, self.state, self.fence, self.owner, *times, self.deaths, self.attempts, self.told, self.payload)

    def is_held(self, now: int) -> bool:
        """Whether somebody's lease on it goes on."""
        return self.state == "claimed" and self.until > now


def standing(record: Record | None, now: int) -> Record | None:
    """The record, if it is still to be remembered."""
    if record is None or record.state not in {"done", "failed", "quarantined"}:
        return record
    stays = record.state == "quarantined" and record.until == 0
    return record if stays or record.until > now else None


def taken(record: Record | None, wanted: Wanted, *, owner: str, lease_s: float, now: int) -> tuple[Claim, Record | None]:
    """What a claim finds, and the record to write (None: nothing is changed). The fence is the instant or one more.

    `record` may be one that is over: its fence counts.
    """
    fence = max(now, record.fence + 1 if record else 0)
    found = standing(record, now)
    if found is None:
        return _ours(wanted, fence, owner=owner, lease_s=lease_s, now=now)
    refused = Claim(wanted.key, State.MISMATCH, deaths=found.deaths, attempts=found.attempts)
    if wanted.payload and found.payload and wanted.payload != found.payload:
        return refused, None
    if found.state == "done":
        return replace(refused, state=State.DONE, result=found.told), None
    if found.state == "quarantined":
        return replace(refused, state=State.QUARANTINED, reason=found.told), None
    if found.is_held(now) and found.owner != owner:
        return replace(refused, state=State.HELD, left_s=(found.until - now) / MICRO), None
    deaths = found.deaths + (found.state == "claimed" and not found.is_held(now))
    meant = Wanted(wanted.key, wanted.payload or found.payload)
    return _ours(meant, fence, owner=owner, lease_s=lease_s, now=now, deaths=deaths, attempts=found.attempts)


def _ours(
    wanted: Wanted, fence: int, *, owner: str, lease_s: float, now: int, deaths: int = 0, attempts: int = 0
) -> tuple[Claim, Record]:
    record = Record("claimed", fence, owner, now, now + micros(lease_s), deaths, attempts, wanted.payload)
    return Claim(wanted.key, State.OURS, fence, lease_s, deaths, attempts), record


def renewed(record: Record | None, fence: int, *, lease_s: float, now: int) -> tuple[bool, Record | None]:
    """Whether the claim is still held, and the record to write."""
    if record is None or record.state != "claimed" or record.fence != fence:
        return False, None
    return True, replace(record, until=now + micros(lease_s))


def said(
    record: Record | None, fence: int, *, word: Word, told: str, keep_s: float | None, now: int
) -> tuple[bool, Record | None]:
    """Whether the word counts, and the record to write (None: nothing is changed). `keep_s` None: it stays."""
    if record is None or record.fence != fence or record.state not in {"claimed", word}:
        return False, None
    if record.state == word:
        return True, None
    until = 0 if keep_s is None else now + micros(keep_s)
    after = replace(record, state=word, since=now, until=until, told=told)
    if word == "failed":
        return True, replace(after, deaths=0, attempts=record.attempts + 1)
    if word == "released" and not (record.deaths or record.attempts):
        return True, replace(after, payload="")
    return True, after


def known(record: Record | None, now: int) -> Record | None:
    """The record, if it says anything beside its fence."""
    found = standing(record, now)
    blank = found is not None and found.state == "released" and not (found.deaths or found.attempts)
    return None if blank else found


def forgotten(record: Record | None, now: int, *, only: State | None = None) -> tuple[bool, Record | None]:
    """Whether there was something that may be forgotten, and the record to write: its fence stays, and no late word counts."""
    found = known(record, now)
    if found is None or found.is_held(now) or only not in {None, found.state}:
        return False, None
    return True, Record("released", found.fence, "", now, now + micros(KEPT_S))


def once_each(wanted: Sequence[Wanted], claim: Callable[[Sequence[Wanted]], list[Claim]], *, lease_s: float) -> list[Claim]:
    """The claims of any keys: `claim` is asked for storable ones, each once. Of equal ones, all but the first find it held."""
    names = [storable(one.key) for one in wanted]
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    if len(first) == len(wanted) and all(map(str.__eq__, names, (one.key for one in wanted))):
        return claim(wanted)
    asked = [Wanted(name, wanted[place].payload) for name, place in first.items()]
    found = {one.key: answer for one, answer in zip(asked, claim(asked), strict=True)}
    answers = (found[name] if first[name] == place else _again(found[name], lease_s) for place, name in enumerate(names))
    return [replace(answer, key=one.key) for one, answer in zip(wanted, answers, strict=True)]


def _again(claim: Claim, lease_s: float) -> Claim:
    """What an equal key finds after the first one found this."""
    if claim.state is not State.OURS:
        return claim
    return Claim(claim.key, State.HELD, left_s=lease_s, deaths=claim.deaths, attempts=claim.attempts)


def storable(text: str) -> str:
    """The text with what UTF-8 (lone surrogates) or a database (NUL) cannot carry spelt as escapes: a key may hold anything."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def brief(told: str) -> str:
    """What is told with a word, storable and no longer than anybody reads."""
    return storable(told[:LONGEST_TOLD])


def micros(seconds: float) -> int:
    """Whole microseconds."""
    return round(seconds * MICRO)
