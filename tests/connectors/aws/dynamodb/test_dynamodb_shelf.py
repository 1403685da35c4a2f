"""Laws of the shelf and of capacity: only whole pages are believed, and a table is asked for what it can give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.aws.dynamodb.pages import page

from halocline.connectors.aws.dynamodb.capacity import Capacity, units_of
from halocline.connectors.aws.dynamodb.client import Table
from halocline.connectors.aws.dynamodb.reader import Reader
from halocline.connectors.aws.dynamodb.shelf import Segment
from halocline.errors import FixConfig
from halocline.retry import Pace


def _kept(folder: Path, *, pages: int = 3) -> list[bytes]:
    """Pages on the shelf, the last of them the end of the segment."""
    segment, reader = Segment(folder, "s"), Reader()
    made = []
    for number in range(pages):
        more = {} if number == pages - 1 else {"LastEvaluatedKey": {"pk": {"S": f"k{number}"}}}
        data = page([{"pk": {"S": f"k{number}"}}] * (number + 1), **more)
        segment.keep(data, reader.read(data))
        made.append(data)
    return made


def test_pages_come_back_as_they_were_kept(tmp_path: Path) -> None:
    """With their counts, and the key behind which the next one begins."""
    made = _kept(tmp_path)
    segment = Segment(tmp_path, "s")
    assert [data for _, data in segment.pages()] == made
    assert [(entry.count, entry.key) for entry in segment.entries] == [
        (1, {"pk": {"S": "k0"}}),
        (2, {"pk": {"S": "k1"}}),
        (3, None),
    ]
    assert segment.is_whole


DAMAGES: list[tuple[str, Callable[[bytes], bytes], int]] = [
    ("s.log", lambda data: data[:-1], 2),
    ("s.log", lambda data: data[:-30], 2),
    ("s.log", lambda data: b"{" + data, 0),
    ("s.log", lambda data: b"".join(data.splitlines(keepends=True)[1:]), 0),
    ("s.log", lambda data: data + b'{"at": 1}\n', 3),
    ("s.pages", lambda data: data[:-5], 2),
    ("s.pages", lambda data: data[:100] + b"\0" + data[101:], 1),
    ("s.pages", lambda _: b"", 0),
    ("s.pages", lambda data: data + b"half a page", 3),
]


@pytest.mark.parametrize(("name", "how", "left"), DAMAGES, ids=map(str, range(len(DAMAGES))))
def test_only_whole_pages_are_believed(tmp_path: Path, name: str, how: Callable[[bytes], bytes], left: int) -> None:
    """What is torn, and all behind it, is kept anew; the shelf is then as it would have been."""
    made = _kept(tmp_path)
    path = tmp_path / name
    path.write_bytes(how(path.read_bytes()))
    segment, reader = Segment(tmp_path, "s"), Reader()
    assert [data for _, data in segment.pages()] == made[:left]
    assert segment.is_whole is (left == 3)
    for data in made[left:]:
        segment.keep(data, reader.read(data))
    assert [data for _, data in Segment(tmp_path, "s").pages()] == made


class Time:
    """A clock that waits move."""

    def __init__(self) -> None:
        self.now = 0.0

    def pace(self) -> Pace:
        return Pace(clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def test_throttled_pages_narrow_and_others_widen() -> None:
    """First fewer pages at a time, then smaller ones; and back."""
    capacity = Capacity(width=4)
    seen: list[Any] = []
    for throttled in (1, 1, 1, 1):
        capacity.paid(units=10.0, items=1_000, throttled=throttled)
        seen.append((capacity.width, capacity.items))
    assert seen == [(2, None), (1, None), (1, 500), (1, 250)]
    for _ in range(60):
        capacity.paid(units=10.0, items=1_000, throttled=0)
    assert (capacity.width, capacity.items) == (4, None)


def test_a_budget_is_kept_on_average() -> None:
    """So many units a second, in pages that cost about a second each."""
    time = Time()
    capacity = Capacity(width=4, units_s=20.0, pace=time.pace())
    units = 0.0
    while units < 2_000:
        with capacity.turn() as items:
            assert items is not None
            units += items / 5
        capacity.paid(units=items / 5, items=items, throttled=0)
    assert units / time.now == pytest.approx(20.0, rel=0.05)
    assert capacity.items == 100


def test_capacity_is_a_share_or_a_number() -> None:
    """Of what is provisioned; a table that is paid by request has nothing to share."""
    provisioned, paid = (Table("t", "", "ACTIVE", ("pk",), {"pk": "S"}, read_units=units) for units in (100, None))
    assert (units_of(provisioned, None), units_of(provisioned, 0.5), units_of(paid, 500)) == (None, 50.0, 500)
    with pytest.raises(FixConfig, match="paid by request"):
        units_of(paid, 1)
