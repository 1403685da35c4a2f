"""Limits: how much a worker takes on, how long it waits, and when it gives up on a message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from halocline.consume.flight.backoff import MOST_S, Backoff
from halocline.consume.ranges import Range, refuse_wrong, refused

_DOING = "Setting up a worker"
_DAY_S = 86_400.0
_SHORTER = 0.95
_IN_DOUBT = ("run", "set_aside", "quarantine")  # the last is the older name of the second
_RANGES = (
    Range("in_flight", int, 1),
    Range("workers", int, 1),
    Range("polls", int, 1),
    Range("batch", int, 1, 10, "which is what SQS takes in a call"),
    Range("visibility_s", int, 1, MOST_S, "which is what SQS allows"),
    Range("lease_s", float, 0.1, MOST_S, may_be_none=True),
    Range("longest_s", float, 1, MOST_S, "which is what SQS allows"),
    Range("flush_s", float, 0, 60),
    Range("poison_after", int, 1),
    Range("alone_s", float, 0, MOST_S),
    Range("most_receives", int, 0),
    Range("silent_s", float, 2, _DAY_S, "a poll takes half of it, and a second at least"),
    Range("keep_s", float, 1, 36_500 * _DAY_S),
    Range("grace_s", float, 0, MOST_S),
    Range("patience_s", float, 0, _DAY_S),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Durations are seconds; a count is of messages unless it says otherwise."""

    in_flight: int = 100
    """Messages in this worker at most, from when they came until they are gone."""
    workers: int = 10
    """Handlers that run at once."""
    polls: int = 4
    """Polls at once, where there is more than one can bring."""
    batch: int = 10
    """Messages a call, at most ten."""
    visibility_s: int = 30
    """For how long a message is hidden, again and again at half of it, as long as it is worked on."""
    lease_s: float | None = None
    """For how long a claim is held, renewed like the visibility. None: a twentieth shorter than the visibility, so that whoever
    is handed a message next finds that the claim of a dead worker has ended.
    """
    longest_s: float = MOST_S
    """After so long a message is no longer hidden and its claim no longer held, whatever its handler does."""
    flush_s: float = 0.1
    """The longest that a delete waits for others to share its call. Words to the idempotency store do not wait."""
    fifo: bool = False
    """Whether messages of a group are worked on one after the other, in their order."""
    records: bool = True
    """Whether there is an idempotency store."""
    poison_after: int = 3
    """A message is set aside when so many workers died over it, or when it came so often and could not be read."""
    alone_s: float = 10.0
    """For how long no other handler begins beside one that would be set aside if its worker died once more."""
    retries: Backoff = field(default_factory=Backoff)
    """How long a message whose handler failed is hidden, by how often it was received."""
    most_receives: int = 0
    """A message whose handler failed is set aside when it was received so often; 0: the queue's own policy decides."""
    in_doubt: Literal["run", "set_aside", "quarantine"] = "run"
    """What to do with a message over which a worker died: its effect may have come about."""
    silent_s: float = 40.0
    """A poll that is not answered in this time is given up, and the client is made anew: twice the longest poll."""
    keep_s: float = 345_600.0
    """For how long what was done is remembered; the default is as long as SQS keeps a message by default (4 days)."""
    grace_s: float = 30.0
    """How long handlers may go on after `stop`."""
    patience_s: float = 300.0
    """How long messages are held while the idempotency store does not answer; then they are handed back, all but one to try."""

    def __post_init__(self) -> None:
        refuse_wrong(self, _RANGES, doing=_DOING)
        for name in ("fifo", "records"):
            if not isinstance(getattr(self, name), bool):
                raise refused(name, getattr(self, name), wanted="True or False", doing=_DOING)
        if self.in_doubt not in _IN_DOUBT:
            raise refused("in_doubt", self.in_doubt, wanted="'run' or 'set_aside'", doing=_DOING)
        if not isinstance(self.retries, Backoff):
            raise refused("retries", self.retries, wanted="a Backoff", doing=_DOING)

    @property
    def lease(self) -> float:
        """For how long a claim is held, in seconds."""
        return self.visibility_s * _SHORTER if self.lease_s is None else self.lease_s

    @property
    def beat_s(self) -> float:
        """How long after one extension the next one is due: half of what runs out first."""
        return min(float(self.visibility_s), self.visibility_s if self.lease_s is None else self.lease_s) / 2
