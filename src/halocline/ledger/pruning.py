"""Pruning: the runs of a ledger in a database that may go are deleted, a few at a time, so that nobody waits for long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from halocline.ledger.ledger import legible, stamp
from halocline.ledger.retention import REPEATS_S, Past, Pruned, chosen

_NAME = "prune"
_PAGE = 1_000  # runs read at a time: their plans are some kilobytes each
_PIECE = 50_000  # rows deleted in one transaction, or the last run that is begun below it: a second or so of a file's one writer


class Put(Protocol):
    """Runs the named statements of one transaction."""

    def __call__(self, name: str, **values: object) -> Any:
        """The cursor of the driver, with what the statement answered."""

    def now(self) -> datetime:
        """The present instant, by the clock that all share who write to this ledger."""


Opened = Callable[..., AbstractContextManager[Put]]


class Shrink(Protocol):
    """Gives room back."""

    def __call__(self, *, thorough: bool) -> tuple[int, int] | None:
        """The bytes before and after; None where they are not known."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What it takes: `reading` and `writing` begin transactions."""

    reading: Opened
    writing: Opened
    shrink: Shrink

    def prune(self, *, older_than_s: float, keep_failed: bool, dry_run: bool, every_s: float) -> Pruned | None:
        """See `Retention.prune`."""
        now = self._begun(every_s, dry_run=dry_run)
        if now is None:
            return None
        before, repeats = (stamp(now - timedelta(seconds=age_s)) for age_s in (older_than_s, max(older_than_s, REPEATS_S)))
        with self.reading() as put:
            found = chosen(list(_past(put)), before=before, repeats_before=repeats, keep_failed=keep_failed)
            sizes = {run: int(put("rows_kept", run=run).fetchone()[0]) for run in found.runs}
        if not dry_run:
            self._delete(sizes, before=before)
            bytes_before, bytes_after = self.shrink(thorough=not every_s) or (None, None)
            found = replace(found, bytes_before=bytes_before, bytes_after=bytes_after)
        return replace(found, rows=sum(sizes.values()))

    def _begun(self, every_s: float, *, dry_run: bool) -> datetime | None:
        """The present instant; None where this was done lately."""
        with self.writing(_NAME) as put:
            now = put.now()
            last = put("chore", chore=_NAME).fetchone()
            if last is not None and datetime.fromisoformat(last[0]) > now - timedelta(seconds=every_s):
                return None
            if not dry_run:
                put("chore_done", chore=_NAME, now=stamp(now))
        return now

    def _delete(self, sizes: dict[str, int], *, before: str) -> None:
        """Delete the runs, oldest first; one that was taken up since it was looked at stays."""
        waiting = list(sizes.items())
        while True:
            with self.writing(_NAME) as put:
                put("forget_usage", day=before[:10])
                rows = 0
                while waiting and rows < _PIECE:
                    run, size = waiting.pop(0)
                    put("forget", run=run, before=before)
                    rows += size + 1
            if not waiting:
                return


def _past(put: Put) -> Iterator[Past]:
    after = 0
    while rows := put("past", after=after, limit=_PAGE).fetchall():
        for after, run, right, state, ended, plan, is_open in rows:  # noqa: B007 - the last one begins the next page
            with legible("the plan of a run"):
                told = None if plan is None else json.loads(plan)
            yield Past.of(run, right, state=state, ended=ended, plan=told, is_open=bool(is_open))
