"""Retention: which runs a ledger may forget, decided from what it knows of all of them.

A run may go when it ended before an instant, and nothing that stays asks for it:

    open        it has not ended, something of it is to be done, or its source still holds its receipts
    overtaking  it came after an open one of its flow: whoever takes that one up asks what was written since
    repeats     it tells a delivery that comes again from a new one: what is done of a file, or of an event
    named       a run that stays names it: the one whose rows it retries or goes on with, the push of a file's rows
    failed      it did not end well, and those are to stay
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from halocline.batch import JSON

REPEATS_S = 30 * 86_400.0
"""Seconds after which no queue delivers a message again: 14 days, and as many in a dead letter queue of the FIFO kind.

Read November 2026:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html.
"""

DAILY_S = 86_400.0
"""Seconds between two prunings that nobody asked for."""


class Reason(StrEnum):
    """Why a run that is old enough stays."""

    OPEN = "open"
    OVERTAKING = "overtaking"
    REPEATS = "repeats"
    NAMED = "named"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Past:
    """What matters of one run; `ended` is None while it runs, `open` says whether an intent or a receipt of it is.

    `right` is the name of its lease, or of its flow. `names` are the runs that its plan refers to.
    """

    run: str
    right: str
    ended: str | None
    is_done: bool
    is_open: bool
    is_repeats: bool
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: str, right: str, *, state: str, ended: str | None, plan: Any, is_open: bool) -> Past:
        """A run as the ledger has it; `plan` is what was noted of it."""
        told: Mapping[str, Any] = plan if isinstance(plan, dict) else {}
        is_done, is_file = state == "done", "file" in told
        begun = is_file and not is_done and bool(told.get("steps"))  # its file may come again, and is then gone on with
        is_open = is_open or begun or state == "running"
        return cls(run, right, ended, is_done, is_open, is_done and (is_file or plan is None), tuple(_named(told)))


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten, or with `dry_run` would be: `runs`, oldest first, and `rows` refused or in doubt with their values.

    `kept` counts the runs that are old enough and stay, by reason; `left` are those that are open. `bytes_before` and
    `bytes_after` are the sizes of the ledger's file (None: it is none, or another process kept it from being made smaller).
    """

    runs: tuple[str, ...] = ()
    rows: int = 0
    kept: Mapping[str, int] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    bytes_before: int | None = None
    bytes_after: int | None = None

    def to_json(self) -> dict[str, JSON]:
        """The same as plain JSON data."""
        told = {"runs": len(self.runs), "rows": self.rows, "kept": dict(self.kept), "open": list(self.left)}
        return {**told, "bytes_before": self.bytes_before, "bytes_after": self.bytes_after}


def chosen(past: Sequence[Past], *, before: str, repeats_before: str, keep_failed: bool) -> Pruned:
    """The runs that may go, of all that there are, oldest first: those that ended before `before`.

    `repeats_before` is the same for runs by which a repeated delivery is known.
    """
    stays = {one.run: reason for one, reason in _reasons(past, before, repeats_before, keep_failed=keep_failed) if reason}
    named = {one.run: one.names for one in past}
    waiting = list(stays)
    while waiting:
        for name in named.get(waiting.pop(), ()):
            if name in named and name not in stays:
                stays[name] = Reason.NAMED
                waiting.append(name)
    old = [one for one in past if one.ended is None or one.ended < before]
    kept = Counter(str(stays[one.run]) for one in old if one.run in stays)
    left = tuple(one.run for one in old if stays.get(one.run) == Reason.OPEN)
    return Pruned(tuple(one.run for one in old if one.run not in stays), kept=dict(sorted(kept.items())), left=left)


_YOUNG = "young"


def _reasons(past: Sequence[Past], before: str, repeats_before: str, *, keep_failed: bool) -> Iterator[tuple[Past, str | None]]:
    """Each run with why it stays by itself."""
    unfinished = set[str]()  # rights of which an earlier run is open
    for one in past:
        if one.is_open:
            unfinished.add(one.right)
            yield one, Reason.OPEN
        elif one.ended is None or one.ended >= before:
            yield one, _YOUNG
        elif one.right in unfinished:
            yield one, Reason.OVERTAKING
        elif one.is_repeats and one.ended >= repeats_before:
            yield one, Reason.REPEATS
        else:
            yield one, Reason.FAILED if keep_failed and not one.is_done else None


def _named(plan: Mapping[str, Any]) -> Iterator[str]:
    """The runs that a plan refers to: of a push, of a sync or of several tables that go on with another, of a file's rows."""
    push, submit = plan.get("push") or {}, (plan.get("steps") or {}).get("submit") or {}
    tables = [one.get("plan") or {} for one in plan.get("tables") or ()]
    found = [push.get("continues"), push.get("retries"), submit.get("push"), *(one.get("continues") for one in (plan, *tables))]
    yield from (name for name in found if isinstance(name, str))
