"""Following: one run's view of a table's stream: what it may read on from, what it reads, and what it leaves for the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halocline import engine
from halocline.batch import JSON
from halocline.connectors.aws.dynamodb.account import Account
from halocline.connectors.aws.dynamodb.changes import Changes
from halocline.connectors.aws.dynamodb.client import Table
from halocline.connectors.aws.dynamodb.hand_over import HandOver
from halocline.connectors.aws.dynamodb.streams import END, Marks, Shard, Trimmed, generations
from halocline.errors import FixConfig

_MAKE = (
    "Switch it on: aws dynamodb update-table --table-name {} --stream-specification"
    " StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
)


class Following:
    """The stream of a table as it is now. `earlier` is the hand-over that the position has, if any.

    Raises: FixConfig for a table without a stream, or with one that does not tell items; AccessDenied, LoginRefused, RetryLater.
    """

    def __init__(self, account: Account, table: Table, *, earlier: JSON, consistent: bool, now: float) -> None:
        self._doing = f"Following the stream of {table.name}"
        if table.stream is None:
            raise FixConfig(self._doing, "the table has none", hint=_MAKE.format(table.name))
        if "NEW" not in table.view:
            cause = f"it tells {table.view}, and not what an item is after a change"
            raise FixConfig(self._doing, cause, hint=f"Make it anew. {_MAKE.format(table.name)}")
        self._now = now
        self._account = account
        self._stream = account.stream(table.stream)
        shards = self._stream.shards()
        self.after_scan = HandOver.before_scan(table.stream, shards, now=now, consistent=consistent)
        """What a scan that begins now hands over."""
        self._before = HandOver.read(earlier)
        self.broken = "its stream was not followed before" if self._before is None else self._broken(self._before, shards)
        """Why it cannot be read on from the position; None: it can."""

    @property
    def calls(self) -> int:
        """Calls made so far."""
        return self._stream.calls

    @property
    def since(self) -> float:
        """When it was last read; 0 where it never was."""
        return 0.0 if self._before is None else self._before.read_at

    def drain(self, changes: Changes) -> HandOver:
        """Put all records aside that are there, and say what the next run goes on from.

        Raises: Trimmed where some are not there any more.
        """
        before, shards = self._before, self._stream.shards()
        assert before is not None, "who drains has looked whether it can be read on"
        broken = self._broken(before, shards)
        if broken is not None:
            raise Trimmed(self._doing, broken)
        return before.on(self._drained(before, shards, changes), shards, now=self._now)

    def _broken(self, before: HandOver, shards: Sequence[Shard]) -> str | None:
        return before.broken(shards, stream=self._stream.arn, now=self._now)

    def _drained(self, before: HandOver, shards: Sequence[Shard], changes: Changes) -> Marks:
        """The marks behind what was read; children of a shard that is not at its end yet wait for a later run."""
        marks: Marks = {one.id: before.mark(one) for one in shards}

        def take(records: Sequence[Mapping[str, Any]]) -> None:
            self._account.check(self._doing)
            changes.put(one for one in records if float(one["ApproximateCreationDateTime"]) >= before.since)

        def drain(shard: Shard) -> None:
            if shard.parent not in marks or marks[shard.parent] == END:
                marks[shard.id] = self._stream.drain(shard, marks[shard.id], take=take, until=self._now)

        for ready in generations(shards, dict(marks)):
            with engine.threads() as executor:
                for done in [executor.submit(drain, one) for one in ready]:
                    done.result()
        return marks
