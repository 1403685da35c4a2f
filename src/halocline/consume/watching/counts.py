"""Counts: what came to pass in a worker since it began."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Each goes up only. A message received is in the end done, failed, held, handed back, buried or lost to another."""

    received: int = 0
    """Messages that came in, those not counted that came again while they were here."""
    again: int = 0
    """Messages that came again while they were here: their visibility had ended."""
    started: int = 0
    """Handlers that were started."""
    done: int = 0
    """Handlers that returned, and whose word counts."""
    failed: int = 0
    """Handlers that raised, or messages for which there is none."""
    redelivered_done: int = 0
    """Messages that were deleted without a handler, because they were done before."""
    held: int = 0
    """Messages that somebody else was working on: hidden until that ends."""
    lost_leases: int = 0
    """Handlers that were told that their lease is lost."""
    in_doubt: int = 0
    """Messages over which a worker died or stood still: started again (or set aside) though their effect may have come about."""
    stale: int = 0
    """Words that were refused because somebody else had claimed the message meanwhile: a handler ran twice, or in vain."""
    expired: int = 0
    """Messages that were dropped before they were started, because their visibility had ended; they come again."""
    mismatched: int = 0
    """Messages whose key stands for another payload."""
    unreadable: int = 0
    """Messages that could not be read."""
    buried: int = 0
    """Messages that were set aside."""
    bury_failures: int = 0
    """Messages that could not be set aside; they come again."""
    deleted: int = 0
    """Messages that were deleted from the queue."""
    delete_retries: int = 0
    """Deletes that were tried again."""
    delete_stale: int = 0
    """Deletes that the queue refused because the handle was no longer good; what was done is remembered until next time."""
    objects_left: int = 0
    """Messages that were deleted while their body, kept in another place because it is large, could not be."""
    undeleted: int = 0
    """Messages that were done with and could not be deleted: not tried again here, they come again when their visibility ends."""
    set_aside_again: int = 0
    """Messages that came although they were set aside before: they are set aside once more, so that none is deleted unseen."""
    handed_back: int = 0
    """Messages that were let go before they were started."""
    extended: int = 0
    """Times that a message was hidden for longer."""
    renewed: int = 0
    """Times that a claim was held for longer."""
    polls: int = 0
    """Polls that were answered."""
    poll_failures: int = 0
    """Polls that failed, or were given up."""
    store_failures: int = 0
    """Times that the idempotency store did not answer."""
    rebuilds: int = 0
    """Times that the client was made anew because it was silent."""
