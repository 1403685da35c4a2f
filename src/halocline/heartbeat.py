"""Heartbeat: the right to run a flow - taken before anything is done, kept alive while the work lasts, given back at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.config import LEASE_S
from halocline.connector import Lease
from halocline.errors import HaloclineError, LeaseHeld, LeaseLost
from halocline.events import Noticed, Sink
from halocline.halt import Halt

if TYPE_CHECKING:
    from halocline.ledger import Ledger

_BEATS = 3  # signs of life in that time: two may be lost on the way
_TAKEN_OVER = "Nothing of this run was published; the newer run goes on."
_LOOK_S = 0.5  # seconds between two looks of one who waits


@dataclass(frozen=True, slots=True)
class Turn:
    """How a run comes by the right to its flow: waited for at most `wait_s`, then held for `lease_s` after each sign of life.

    `halt` ends the waiting.
    """

    lease_s: float = LEASE_S
    wait_s: float = 0.0
    halt: Halt | None = None


@contextmanager
def held(ledger: Ledger, flow: str, *, owner: str, turn: Turn, sink: Sink) -> Iterator[Lease]:
    """The lease of a flow, while the block lasts. Its heart beats in a thread of its own; one that was lost is not told here.

    Raises: LeaseHeld when another run has it, and still has it after `turn.wait_s`.
    """
    over, lease, heart = threading.Event(), None, None
    try:
        lease = _claimed(ledger, flow, owner=owner, turn=turn, sink=sink)
        heart = threading.Thread(target=_beat, args=(ledger, lease, over, turn.lease_s / _BEATS), name="heartbeat", daemon=True)
        heart.start()
        yield lease
    except BaseException as error:
        if lease is None and not isinstance(error, Exception):
            _give_back_unseen(ledger, flow, owner=owner, turn=turn)
        raise
    finally:
        over.set()
        if lease is not None:
            _give_back(ledger, lease, sink)
        if heart is not None and heart.ident is not None:
            heart.join()


def explained(error: BaseException, *, ledger: Ledger, lease: Lease) -> BaseException:
    """The failure of a run before its commit, told as what it is where another run has taken its lease over meanwhile.

    That one may have let go of a job that this one was reading, or of its staged rows.
    """
    if not isinstance(error, HaloclineError) or isinstance(error, LeaseLost):
        return error
    try:
        ledger.renew(lease)
    except LeaseLost as lost:
        return LeaseLost(f"Running the flow {lease.flow}", f"{lost.cause} ({error})", hint=_TAKEN_OVER, owner=lost.facts["owner"])
    except HaloclineError:  # the failure at hand is the one to tell
        return error
    return error


def _claimed(ledger: Ledger, flow: str, *, owner: str, turn: Turn, sink: Sink) -> Lease:
    deadline, told = time.monotonic() + turn.wait_s, False
    while True:
        try:
            return ledger.claim(flow, owner, ttl_s=turn.lease_s)
        except LeaseHeld as refusal:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise
            if not told:
                sink(Noticed(f"Waiting for another run of {flow}, for at most {turn.wait_s:.0f} s: {refusal.cause}."))
                told = True
        if turn.halt is not None:
            turn.halt.check(f"Waiting for another run of {flow}")
        time.sleep(min(_LOOK_S, left_s))


def _beat(ledger: Ledger, lease: Lease, over: threading.Event, every_s: float) -> None:
    while not over.wait(every_s):
        try:
            ledger.renew(lease)
        except LeaseLost:  # the commit will find it out, and tell it
            return
        except HaloclineError:  # a ledger that is away for a moment: the next beat may reach it, and if none does, the lease ends
            continue


def _give_back(ledger: Ledger, lease: Lease, sink: Sink) -> None:
    """Whatever became of the run is settled by now, so a failure here costs the next one a wait, and nothing else."""
    try:
        ledger.release(lease)
    except HaloclineError as error:
        sink(Noticed(f"The right to run {lease.flow} could not be given back; it ends by itself. {error}"))


def _give_back_unseen(ledger: Ledger, flow: str, *, owner: str, turn: Turn) -> None:
    """An interrupt may come between the booking of a claim and its answer: who claims again has what to give back."""
    with suppress(HaloclineError):  # another has it, or the ledger is away: the interrupt is what is to be told
        ledger.release(ledger.claim(flow, owner, ttl_s=turn.lease_s))
