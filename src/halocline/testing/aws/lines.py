"""The order in which messages leave a queue: as they come, or by group, of which only one consumer holds messages at a time."""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from typing import Protocol

from halocline.testing.aws.message import Message, State


class Line(Protocol):
    """Messages that are visible.

    `held` are the groups that one receive has opened: it passes the same list to each `pop`, and at last to `settle`.
    """

    def add(self, message: Message) -> None:
        """A message that is now visible; one that comes back takes its old place."""

    def pop(self, held: list[str]) -> Message | None:
        """The next message, or None where there is none that may leave."""

    def discard(self, message: Message) -> None:
        """Forget a message that is visible."""

    def hold(self, message: Message) -> None:
        """A message is in flight."""

    def free(self, message: Message) -> None:
        """A message is no longer in flight."""

    def settle(self, held: list[str]) -> None:
        """A receive is over."""


class Standard:
    """First come, first served; what comes back goes to the end."""

    def __init__(self) -> None:
        self._messages: OrderedDict[int, Message] = OrderedDict()

    def add(self, message: Message) -> None:
        self._messages[message.serial] = message

    def pop(self, held: list[str]) -> Message | None:  # noqa: ARG002  # has no groups
        return self._messages.popitem(last=False)[1] if self._messages else None

    def discard(self, message: Message) -> None:
        self._messages.pop(message.serial, None)

    def hold(self, message: Message) -> None:
        pass

    def free(self, message: Message) -> None:
        pass

    def settle(self, held: list[str]) -> None:
        pass


class Grouped:
    """First in, first out within each group; while messages of a group are in flight no more of it leave.

    One receive takes as many of a group as it may before it opens the next.
    Source: Amazon SQS Developer Guide, "FIFO delivery logic": Receiving messages.
    """

    def __init__(self) -> None:
        self._groups: dict[str, list[tuple[int, Message]]] = {}
        self._open: OrderedDict[str, None] = OrderedDict()  # groups with messages that may leave
        self._in_flight: Counter[str] = Counter()

    def add(self, message: Message) -> None:
        group = message.group or ""
        heapq.heappush(self._groups.setdefault(group, []), (message.serial, message))
        self._settle(group)

    def pop(self, held: list[str]) -> Message | None:
        if held and (message := self._first(held[-1])):
            return message
        while self._open:
            group = self._open.popitem(last=False)[0]
            held.append(group)
            if message := self._first(group):
                return message
        return None

    def discard(self, message: Message) -> None:
        """Nothing: `pop` passes over messages that are gone."""

    def hold(self, message: Message) -> None:
        self._in_flight[message.group or ""] += 1

    def free(self, message: Message) -> None:
        group = message.group or ""
        self._in_flight[group] -= 1
        if not self._in_flight[group]:
            del self._in_flight[group]
        self._settle(group)

    def settle(self, held: list[str]) -> None:
        for group in held:
            self._settle(group)

    def _first(self, group: str) -> Message | None:
        waiting = self._groups.get(group, [])
        while waiting:
            message = heapq.heappop(waiting)[1]
            if message.state is State.READY:
                return message
        self._groups.pop(group, None)
        return None

    def _settle(self, group: str) -> None:
        if self._groups.get(group) and group not in self._in_flight:
            self._open[group] = None
