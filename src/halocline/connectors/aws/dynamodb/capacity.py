"""Capacity: how many pages are asked of a table at a time, how large, and how fast, by what it consumed and how it throttled.

A page that was throttled halves the number of pages in flight, and where that is one already, the items asked for at a time;
pages that were not raise both slowly again, as TCP finds the width of a line.
Source: "Throttling issues for DynamoDB tables",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TroubleshootingThrottling.html; "Best practices for scans" (small
pages, a share of what is provisioned), https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-query-scan.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from halocline.connectors.aws.dynamodb.client import Table
from halocline.errors import FixConfig
from halocline.retry import PACE, Pace

_FIRST_ITEMS = 100  # of the first page under a budget: what an item costs is known behind it
_MOST_ITEMS = 20_000  # from here on the megabyte of a page is the bound
_GROWTH = 1.25


class Capacity:
    """The turns to ask for pages of one table. Threads may share it.

    `units_s` are read units a second that all of them together may consume on average (None: what the table gives).
    """

    def __init__(self, *, width: int, units_s: float | None = None, pace: Pace = PACE) -> None:
        self._most = width
        self._width = float(width)
        self._items: float | None = None if units_s is None else _FIRST_ITEMS
        self._units_s = units_s
        self._pace = pace
        self._free_at = pace.clock()
        self._flying = 0
        self._changed = threading.Condition()

    @property
    def width(self) -> int:
        """How many pages may be in flight now."""
        return int(self._width)

    @property
    def items(self) -> int | None:
        """How many items a page may have now; None: as many as fit."""
        return None if self._items is None else max(1, int(self._items))

    @contextmanager
    def turn(self) -> Iterator[int | None]:
        """Wait for the turn to ask for a page; the items that it may have."""
        with self._changed:
            self._changed.wait_for(lambda: self._flying < self.width)
            self._flying += 1
        try:
            self._wait()
            yield self.items
        finally:
            with self._changed:
                self._flying -= 1
                self._changed.notify_all()

    def paid(self, *, units: float | None, items: int, throttled: int) -> None:
        """A page came: what it cost, how many items were looked at for it, and how often it was throttled before."""
        with self._changed:
            if throttled:
                self._slower(items)
            else:
                self._faster()
            if self._units_s is not None and units:
                self._free_at = max(self._pace.clock(), self._free_at) + units / self._units_s
                if items:
                    self._items = min(self._items or _MOST_ITEMS, max(1.0, self._units_s * items / units))
            self._changed.notify_all()

    def _slower(self, items: int) -> None:
        if self._width < 2:
            self._items = max(1.0, (self._items or items) / 2)
        self._width = max(1.0, self._width / 2)

    def _faster(self) -> None:
        self._width = min(float(self._most), self._width + 1 / self._width)
        if self._items is not None:
            grown = self._items * _GROWTH + 1
            self._items = None if grown > _MOST_ITEMS and self._units_s is None else min(grown, float(_MOST_ITEMS))

    def _wait(self) -> None:
        wait_s = self._free_at - self._pace.clock()
        if wait_s > 0:
            self._pace.sleep(wait_s)


def units_of(table: Table, wanted: float | None) -> float | None:
    """The read units a second that `wanted` means: up to 1 a share of what is provisioned, above so many.

    Raises: FixConfig for a share of a table that is paid by request, and for less than nothing.
    """
    doing = f"Planning the scan of {table.name}"
    if wanted is None:
        return None
    if wanted <= 0:
        raise FixConfig(doing, f"read_capacity={wanted} reads nothing", hint="Give a share such as 0.5, or units a second.")
    if wanted > 1:
        return wanted
    if table.read_units is None:
        cause = "the table is paid by request, and has no read capacity to take a share of"
        raise FixConfig(doing, cause, hint="Give units a second, such as read_capacity=500.")
    return wanted * table.read_units
