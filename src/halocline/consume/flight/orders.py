"""Orders and reports: what a worker's state machine wants done, and what it is told of it.

The machine (`halocline.consume.flight.flight`) does nothing itself and knows no clock: a driver carries its orders out, and
reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from halocline.consume.handling.masking import told
from halocline.idempotency import Claim
from halocline.queues import Delivery, Reply
from halocline.trace import places


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery with the key that it is remembered by, and the hash of what the key stands for ("": not compared).

    `group` is what is worked on in order ("": alone). `error` says why there is no key: it is set aside, or comes again. `raised`
    names the function of the user's that raised it ("": it was none).
    """

    delivery: Delivery
    key: str
    payload: str = ""
    group: str = ""
    error: BaseException | None = None
    raised: str = ""

    @property
    def trouble(self) -> str:
        """The error in few words, without what the message holds; "": there is none."""
        if self.error is None:
            return ""
        text = told(self.error, self.delivery)
        if not self.raised:
            return text
        at = "".join(f" ({place})" for place in places(self.error)[:1])
        return f"the {self.raised} function raised {type(self.error).__name__}: {text}{at}"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One stay of a message in this worker; `number` is never used again. A newer handle of the same message replaces the older
    one inside of the machine: orders name handles, not deliveries.
    """

    number: int
    arrival: Arrival


class Then(StrEnum):
    """What becomes of a message whose handler failed: again after a while, set aside, deleted, or left to its visibility."""

    RETRY = "retry"
    BURY = "bury"
    IGNORE = "ignore"
    LEAVE = "leave"


class Word(StrEnum):
    """What is said to the idempotency store of a claim."""

    DONE = "done"
    FAILED = "failed"
    QUARANTINE = "quarantine"
    RELEASE = "release"


# ---- orders: each is carried out once, and answered with the report that its docstring names


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask for messages: `Polled`, or `PollFailed`. `number` tells polls apart."""

    number: int
    limit: int


@dataclass(frozen=True, slots=True)
class Take:
    """Claim the keys of these tickets for so long: `Taken`, or `TakeFailed`."""

    tickets: tuple[Ticket, ...]
    lease_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """Run the handler: `Finished` or `Failed`. `claim` is None without an idempotency store."""

    ticket: Ticket
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Saying:
    """A word about a claim; `told` is the result's hash, the error or the reason."""

    ticket: Ticket
    fence: int
    word: Word
    told: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """Say words to the idempotency store, all of one kind: `Said`, or `SayFailed`."""

    sayings: tuple[Saying, ...]


@dataclass(frozen=True, slots=True)
class Renew:
    """Hold on to claims (ticket, fence): `Renewed`; a failure is a report with None for each."""

    claims: tuple[tuple[Ticket, int], ...]


@dataclass(frozen=True, slots=True)
class Extend:
    """Hide messages from now on for `seconds`, by these handles: `Extended`; 0 hands them back. A failure: false replies."""

    tickets: tuple[Ticket, ...]
    handles: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete messages by these handles: `Deleted`. A failure: false replies."""

    tickets: tuple[Ticket, ...]
    handles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bury:
    """Put a message where set-aside ones are kept: `Buried`. It is deleted from the queue by a later order."""

    ticket: Ticket
    reason: str


@dataclass(frozen=True, slots=True)
class TellLost:
    """Tell the running handler that its lease is lost: somebody else may run this message now. No report."""

    ticket: Ticket
    reason: str


@dataclass(frozen=True, slots=True)
class Rebuild:
    """The client has been silent for too long: make a new one. No report; polls that were under way count as failed."""


Order = Poll | Take | Start | Say | Renew | Extend | Delete | Bury | TellLost | Rebuild


# ---- reports


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought; nothing where nothing was there."""

    number: int
    arrivals: Sequence[Arrival]


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A poll brought an error; `fatal` where no further poll can help (the queue is gone, the right was taken away). `is_cut`: it
    was broken off by ourselves, at the end.
    """

    number: int
    error: BaseException
    fatal: bool = False
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What the claims found, in the order of the tickets."""

    tickets: tuple[Ticket, ...]
    claims: Sequence[Claim]


@dataclass(frozen=True, slots=True)
class TakeFailed:
    """The store did not answer: whether the keys are claimed is not known."""

    tickets: tuple[Ticket, ...]
    error: BaseException


@dataclass(frozen=True, slots=True)
class Finished:
    """The handler returned; `result` is the hash of what."""

    ticket: Ticket
    result: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or there is none."""

    ticket: Ticket
    error: BaseException
    then: Then = Then.RETRY
    told: str = field(init=False)
    """The error in few words, without what the message holds: stores and letters are read by others than the queue. Made by
    whoever reports: it may take a while, and call what others wrote.
    """

    def __post_init__(self) -> None:
        text = f"{type(self.error).__name__}: {told(self.error, self.ticket.arrival.delivery)}"
        object.__setattr__(self, "told", text)


@dataclass(frozen=True, slots=True)
class Said:
    """Which words count, in the order of the sayings."""

    sayings: tuple[Saying, ...]
    counts: Sequence[bool]


@dataclass(frozen=True, slots=True)
class SayFailed:
    """The store did not answer: whether the words were heard is not known. Saying them again does no harm."""

    sayings: tuple[Saying, ...]
    error: BaseException


@dataclass(frozen=True, slots=True)
class Renewed:
    """Which claims are still ours; None: the store did not answer."""

    claims: tuple[tuple[Ticket, int], ...]
    held: Sequence[bool | None]


@dataclass(frozen=True, slots=True)
class Extended:
    """What became of each."""

    order: Extend
    replies: Sequence[Reply]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of each."""

    order: Delete
    replies: Sequence[Reply]


@dataclass(frozen=True, slots=True)
class Buried:
    """Whether it is where set-aside messages are kept; `error` why not. `reason` is why it is set aside, `place` where."""

    ticket: Ticket
    error: BaseException | None = None
    reason: str = ""
    place: str = ""

    @property
    def trouble(self) -> str:
        """The error in few words, without what the message holds; "": there is none."""
        return "" if self.error is None else told(self.error, self.ticket.arrival.delivery)


Report = Polled | PollFailed | Taken | TakeFailed | Finished | Failed | Said | SayFailed | Renewed | Extended | Deleted | Buried
