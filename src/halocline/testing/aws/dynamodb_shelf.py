"""A shelf: items as the bytes that go over the wire, in order, so that a page of a scan is a join of what is there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass

_FEW = 64  # new places that are put in order one by one


@dataclass(frozen=True, slots=True)
class Page:
    """Items of one page: their places, their bytes, their size by DynamoDB's rules; `is_full` where a limit ended it."""

    places: list[bytes]
    items: list[bytes]
    size: int
    is_full: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the order: from `start` on and before `stop`; None is the end."""

    start: bytes = b""
    stop: bytes | None = None


class Shelf:
    """Items by place, which are the bytes that put them in order; each with its size."""

    def __init__(self) -> None:
        self._items: dict[bytes, tuple[bytes, int]] = {}
        self._order: list[bytes] = []
        self._fresh: list[bytes] = []  # not yet in order
        self.size = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Places and items, in order."""
        self._settle()
        return ((place, self._items[place][0]) for place in tuple(self._order))

    def get(self, place: bytes) -> tuple[bytes, int] | None:
        """The bytes of an item and its size."""
        return self._items.get(place)

    def put(self, place: bytes, data: bytes, *, size: int) -> None:
        """Put an item in its place, whatever is there."""
        before = self._items.get(place)
        if before is None:
            self._fresh.append(place)
        else:
            self.size -= before[1]
        self._items[place] = (data, size)
        self.size += size

    def remove(self, place: bytes) -> None:
        """Take away an item, if there is one."""
        before = self._items.pop(place, None)
        if before is not None:
            self.size -= before[1]
            self._settle()
            del self._order[bisect_left(self._order, place)]

    def page(self, span: Span, *, after: bytes | None, most: int, most_bytes: int, backwards: bool = False) -> Page:
        """Items from behind `after` on, until there are so many, or so many bytes; the item that goes beyond them is in it.

        Source: what the service does, as https://github.com/architect/dynalite has recorded it (`db/index.js`, `queryTable`).
        """
        self._settle()
        order = self._order
        first = bisect_left(order, span.start)
        last = len(order) if span.stop is None else bisect_left(order, span.stop)
        if after is not None and backwards:
            last = min(last, bisect_left(order, after))
        elif after is not None:
            first = max(first, bisect_right(order, after))
        wanted = range(last - 1, first - 1, -1) if backwards else range(first, last)
        places, items, total = [], [], 0
        held = self._items
        for at in wanted[:most]:
            place = order[at]
            data, size = held[place]
            places.append(place)
            items.append(data)
            total += size
            if total >= most_bytes:
                break
        return Page(places, items, total, len(places) == most or total >= most_bytes)

    def _settle(self) -> None:
        fresh = self._fresh
        if not fresh:
            return
        if len(fresh) > _FEW:
            self._order += fresh
            self._order.sort()
        else:
            for place in fresh:
                insort(self._order, place)
        self._fresh = []
