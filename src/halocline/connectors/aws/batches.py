"""Batches: any number of entries by calls that take ten, each entry with a reply of its own.

Refused entries that are not our fault are sent again; a call that is refused for what one entry holds is made again in halves.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any

from halocline.errors import HaloclineError, RetryLater, Stop
from halocline.queues import Reply
from halocline.retry import PACE, Pace, Policy, retry

MOST = 10
"""Entries a call. Source: "Amazon SQS message quotas",
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html, read November 2026."""
WIDTH = 8  # calls at a time, where most of a call is waiting
_UNFIT = {  # the whole call is refused for what an entry holds; nothing of it was taken
    *(
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "InvalidParameter",
        "MissingParameter",
        "InvalidMessageContents",
        "ValidationError",
    ),
    *("AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong", "InvalidAttributeValue", "ParameterValueInvalid"),
}
_AGAIN = Policy(attempts=5, base_s=0.1, cap_s=5.0, budget_s=60.0)

Call = Callable[[list[dict[str, Any]]], Mapping[str, Any]]
"""One call for at most ten entries: its answer, with `Successful` and `Failed`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is asked for one message: `wire` as AWS wants it, without an id; `group` is what must stay in order; `unfit` says why
    it cannot be asked for at all.
    """

    index: int
    wire: Mapping[str, Any]
    size_bytes: int = 0
    group: str | None = None
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class Batches:
    """Entries to the replies of one operation; `call` raises errors of ours."""

    doing: str
    call: Call
    max_bytes: int = 0  # 0: entries have no size
    policy: Policy = _AGAIN
    pace: Pace = PACE

    def run(self, entries: Sequence[Entry], *, in_order: bool = False) -> dict[int, Reply]:
        """A reply by index for every entry; one of more than `max_bytes` is refused (`MessageTooLong`), as is
        one that is `unfit` (`InvalidMessageContents`).

        With `in_order`, one call after the other, and an entry is sent when the one before it in its group was taken: what comes
        after one that was not is `Held`. After a call that failed as a whole, no further one begins.
        Raises: what that call raised, where nothing at all was taken.
        """
        state = _State()
        if in_order:
            self._in_order(entries, state)
        else:
            fitting = [entry for entry in entries if self._fits(entry, state)]
            spread([partial(self._whole, batch, state) for batch in pack(fitting, max_bytes=self.max_bytes)])
        if state.failure is not None and not any(state.replies.values()):
            raise state.failure
        return state.replies

    def _in_order(self, entries: Sequence[Entry], state: _State) -> None:
        """Send the heads of lines, one line a group, the longest lines first: so many groups cost no more calls than any order.

        Never two of a group in a call: SQS takes and refuses each entry of a call by itself, the second without the first too.
        Source: "SendMessageBatch", https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html,
        read November 2026 ("can result in a combination of successful and unsuccessful actions").
        """
        waiting = [(-len(line), line[0].index, line) for line in self._lines(entries, state)]
        heapify(waiting)
        while waiting:
            lines = self._heads(waiting)
            self._whole([line[0] for line in lines], state)
            for line in lines:
                first = line.popleft()
                if not state.replies[first.index]:
                    state.leave(line)
                elif line:
                    heappush(waiting, (-len(line), line[0].index, line))

    def _lines(self, entries: Sequence[Entry], state: _State) -> Iterable[deque[Entry]]:
        """What can be sent, by group; what lies behind an entry that is too long is held."""
        lines: dict[str | None, deque[Entry]] = {}
        ended: set[str | None] = set()
        for entry in entries:
            if entry.group in ended:
                state.leave([entry])
            elif self._fits(entry, state):
                lines.setdefault(entry.group, deque()).append(entry)
            else:
                ended.add(entry.group)
        return lines.values()

    def _heads(self, waiting: list[tuple[int, int, deque[Entry]]]) -> list[deque[Entry]]:
        """The lines whose first entries go into one call, taken off the heap."""
        taken: list[deque[Entry]] = []
        size = 0
        while waiting and len(taken) < MOST:
            size += waiting[0][2][0].size_bytes
            if taken and self.max_bytes and size > self.max_bytes:
                break
            taken.append(heappop(waiting)[2])
        return taken

    def _fits(self, entry: Entry, state: _State) -> bool:
        if entry.unfit:
            state.replies[entry.index] = Reply(code="InvalidMessageContents", error=entry.unfit)
            return False
        if not self.max_bytes or entry.size_bytes <= self.max_bytes:
            return True
        error = f"the message has {entry.size_bytes:,d} bytes with its attributes; {self.max_bytes:,d} can be sent at most"
        state.replies[entry.index] = Reply(code="MessageTooLong", error=error)
        return False

    def _whole(self, batch: Sequence[Entry], state: _State) -> None:
        if state.failure is not None:
            state.leave(batch)
            return
        try:
            self._insist(batch, state.replies)
        except HaloclineError as error:
            failed = Reply(code=error.code or type(error).__name__, error=str(error))
            state.replies.update({entry.index: failed for entry in batch if not state.replies.get(entry.index)})
            state.failure = error

    def _insist(self, batch: Sequence[Entry], replies: dict[int, Reply]) -> None:
        """Ask for entries, and again for those refused for now, never again for one that was taken."""
        pending = batch

        def once() -> None:
            nonlocal pending
            try:
                answers = self._ask(pending)
            except _Unfit as unfit:
                self._halve(pending, replies, unfit=unfit)
                return
            replies.update({answer.entry.index: answer.reply for answer in answers})
            pending = [answer.entry for answer in answers if answer.is_passing]
            if pending:
                raise _Refused(self.doing, "AWS refused some messages for now")

        with suppress(_Refused):  # the replies say why
            retry(once, self.policy, again=lambda error: isinstance(error, _Refused), pace=self.pace)

    def _halve(self, batch: Sequence[Entry], replies: dict[int, Reply], *, unfit: _Unfit) -> None:
        if len(batch) == 1:
            replies[batch[0].index] = Reply(code=unfit.code, error=unfit.message)
            return
        middle = len(batch) // 2
        self._insist(batch[:middle], replies)
        self._insist(batch[middle:], replies)

    def _ask(self, batch: Sequence[Entry]) -> list[_Answer]:
        try:
            answer = self.call([{"Id": str(number), **entry.wire} for number, entry in enumerate(batch)])
        except Stop as error:
            if error.code in _UNFIT:
                raise _Unfit(error.code, error.cause) from error
            raise
        taken = {one["Id"]: Reply(one.get("MessageId"), one.get("SequenceNumber")) for one in answer.get("Successful", ())}
        refused = {one["Id"]: one for one in answer.get("Failed", ())}
        return [_answered(entry, taken.get(str(number)), refused.get(str(number))) for number, entry in enumerate(batch)]


def pack(entries: Sequence[Entry], *, max_bytes: int) -> Iterator[list[Entry]]:
    """The entries in their order, ten at most together, and no more than `max_bytes` (0: no matter)."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if len(batch) == MOST or (batch and max_bytes and size + entry.size_bytes > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size_bytes
    if batch:
        yield batch


def spread(work: Sequence[Callable[[], object]]) -> None:
    """Do all of it: the first piece alone; the rest at the same time where that one was mostly waiting for an answer.

    Where AWS is near or faked, calls cost more computing than waiting, and threads would only get in each other's way.
    """
    if not work:
        return
    watch = Watch()
    work[0]()
    if watch.is_waiting and len(work) > 1:
        with ThreadPoolExecutor(min(WIDTH, len(work) - 1)) as pool:
            list(pool.map(lambda piece: piece(), work[1:]))
        return
    for piece in work[1:]:
        piece()


class Watch:
    """Tells waiting from computing in this thread, from when it was made."""

    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._busy_s = time.thread_time()

    @property
    def is_waiting(self) -> bool:
        """Whether two thirds of the time and more went by waiting."""
        return time.perf_counter() - self._wall_s > 3 * (time.thread_time() - self._busy_s)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What AWS said about an entry; `is_passing` is a refusal that may be another one next time."""

    entry: Entry
    reply: Reply
    is_passing: bool = False


def _answered(entry: Entry, taken: Reply | None, refused: Mapping[str, Any] | None) -> _Answer:
    if taken is not None:
        return _Answer(entry, taken)
    if refused is None:
        return _Answer(entry, Reply(code="NoReply", error="AWS said nothing about this message"))
    reply = Reply(code=str(refused.get("Code") or "Failed"), error=str(refused.get("Message") or "AWS gave no reason"))
    return _Answer(entry, reply, is_passing=not refused.get("SenderFault", True))


@dataclass(slots=True)
class _State:
    """What calls, perhaps at the same time, have come to; each adds keys of its own."""

    replies: dict[int, Reply] = field(default_factory=dict)
    failure: HaloclineError | None = None

    def leave(self, entries: Iterable[Entry]) -> None:
        """Say of entries why they were not sent."""
        reply = Reply(code="Held", error="not sent: an earlier message of its group was not taken")
        if self.failure is not None:
            reply = Reply(code="NotTried", error=f"not tried: {self.failure}")
        self.replies.update({entry.index: reply for entry in entries})


class _Refused(RetryLater):
    """Some entries of a batch were refused for now."""


class _Unfit(Exception):
    """A call was refused for what one of its entries holds."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
