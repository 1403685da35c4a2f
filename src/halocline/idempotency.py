"""Idempotency: who may work on a key, and what became of it, in a store that several workers share.

    absent or ended --claim--> claimed(fence, until) --done--> done(result, until)
                                                     --failed--> failed(attempts)
                                                     --quarantine--> quarantined(reason)

A claim ends with its lease. Whoever claims next gets a higher fence, and every word of the one before is refused from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    """What a claim found: it is ours now, another holds it, it is done or set aside, or the key stands for another payload."""

    OURS = "ours"
    HELD = "held"
    DONE = "done"
    QUARANTINED = "quarantined"
    MISMATCH = "mismatch"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key to claim. `payload` is a hash of what it stands for ("": not compared)."""

    key: str
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim found for one key. `fence` is the number of this claim, higher than all before for the key (0 where not ours).

    `left_s` is for how long it is ours (or theirs, HELD), by the store's own clock. `deaths` is how many claims before this one
    ended without a word since the last word: their workers died or stood still, and whether their effect came about is in doubt.
    `attempts` is how many claims failed with a word. `result` is the hash of the result (DONE), `reason` why it is set aside.
    """

    key: str
    state: State
    fence: int = 0
    left_s: float = 0.0
    deaths: int = 0
    attempts: int = 0
    result: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The right to say what became of a key: good until another claim has a higher fence, or another word was said."""

    key: str
    fence: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as the store has it, for people: its state by name, and since and until when.

    The states are claimed, done, failed, quarantined, and released (given back, with failures or deaths before). Instants are
    seconds since 1970 by the store's clock; `until_s` is the end of the lease or of the memory, 0 where it stays.
    """

    key: str
    state: str
    fence: int
    owner: str
    since_s: float
    until_s: float
    deaths: int
    attempts: int
    told: str
    """The hash of the result (done), the last error (failed) or the reason (quarantined)."""
    payload: str = ""
    """The hash of what it stands for; "": it is not compared."""


class IdempotencyStore(Protocol):
    """A store of claims. Each method is one round trip for any number of keys up to some hundreds, and atomic for each key.

    Answers come in the order of what was asked; True: the word counts; False: the claim was lost, and nothing was changed. To say
    the same word again is True again. All methods raise: RetryLater where the store cannot be reached or is busy for too long,
    FixConfig for a login or a place that cannot be, StorageFailed for one that is damaged or full.
    """

    def claim(self, wanted: Sequence[Wanted], *, owner: str, lease_s: float) -> list[Claim]:
        """Take what is free, ended or failed, for `lease_s` seconds.

        A claim that the same `owner` holds is taken anew, with a higher fence and no death counted: the first answer was lost.
        So an owner must not ask for a key whose work it has under way. Of equal keys in one call the first is taken, and the
        others are HELD.
        """

    def renew(self, held: Sequence[Held], *, lease_s: float) -> list[bool]:
        """Hold on for `lease_s` from now; also a claim whose lease ended, as long as nobody else has claimed it."""

    def done(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        """The work is done, with the hash of its result; remembered for `keep_s` seconds."""

    def failed(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        """The work failed, with what error; free for the next claim at once. Counted for `keep_s` seconds."""

    def quarantine(self, held: Sequence[tuple[Held, str]], *, keep_s: float | None = None) -> list[bool]:
        """Set aside, for what reason, until `forget`, or for `keep_s` seconds: for a key that nobody can ask for after that."""

    def release(self, held: Sequence[Held]) -> list[bool]:
        """Given back before the work began: as if never claimed, save that fences go on."""

    def look(self, keys: Sequence[str]) -> list[Entry | None]:
        """What the store has of keys."""

    def forget(self, keys: Sequence[str], *, only: State | None = None) -> list[bool]:
        """Let keys be claimed anew, whatever became of them, or `only` what is QUARANTINED or DONE at that moment.

        False where there was nothing (of it), or somebody holds one now.
        """

    def quarantined(self, limit: int = 100) -> list[Entry]:
        """What is set aside, the oldest first."""

    def close(self) -> None:
        """Let connections go. Idempotent."""
