"""Notes of effects that were applied: what the databases that keep them have in common."""

from __future__ import annotations

import zlib

from halocline.claims import storable
from halocline.errors import AlreadyApplied, BrokenTransaction, FixConfig

TABLE = "_halocline_applied"
KEPT_DAYS = 15  # a queue keeps a message for 14 days at most, so no older one comes again
SWEPT = 1_000  # old notes that are deleted at a time
PART = "\x1f"  # between the key of a message and the name of one of its transactions
_SWEEP_EVERY = 500  # keys
_LEAVE = (
    "Leave out commit(), rollback(), executescript() and the like: it is committed when the block ends, undone when it raises."
)


def doing(key: str) -> str:
    """What is being done, for errors."""
    return f"Applying the effect of {key[:200]!r} once"


def already(key: str, *, fence: int, noted: int | None) -> AlreadyApplied | BrokenTransaction:
    """The error for an effect that is there: `noted` is the fence of the note, and `fence` that of the run that finds it."""
    if fence and fence == noted:
        cause = (
            "this run has committed a transaction for its message in this database before; a repeat would leave out the second"
        )
        hint = 'Write all of it in one transaction, or give each its own name: context.transaction(place, name="...").'
        return BrokenTransaction(doing(key), cause, hint=hint)
    return AlreadyApplied(doing(key), "it is there already, by a run before this one", hint="Nothing is to be done any more.")


def refused(key: str, word: str) -> FixConfig:
    """The error for a handler that would have ended the transaction: nothing of it is kept."""
    cause = f"the handler's own {word} was refused; its effect and the note of it are both undone"
    return FixConfig(doing(key), cause, hint=_LEAVE)


def ended(key: str, database: str) -> BrokenTransaction:
    """The error for a handler that has ended the transaction, in a way that could not be refused."""
    cause = f"the handler ended the transaction on its {database} connection: some of its effect may be kept, some not"
    return BrokenTransaction(doing(key), cause, hint=_LEAVE)


def checked(key: str) -> str:
    """The key, as a database can hold it.

    Raises: FixConfig for none: what has no key cannot be told from anything else.
    """
    if not key:
        hint = "Give the message an id, or the handlers a key (Handlers(key=...)); in a test also Context(key=...)."
        raise FixConfig("Applying an effect once", "the message has no key", hint=hint)
    return storable(key)


def open_already(database: str) -> FixConfig:
    """The error for a connection with a transaction open: what we commit would be part of it, or not be committed at all."""
    cause = f"a transaction is open on the {database} connection already"
    return FixConfig("Applying an effect once", cause, hint="Commit or roll back first, or pass a URI.")


def is_sweeper(key: str) -> bool:
    """Whether the note of this key is one after which old notes are deleted: one in some hundreds."""
    return zlib.crc32(key.encode()) % _SWEEP_EVERY == 0
