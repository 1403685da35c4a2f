"""Late commits: a change is stamped when it is made and seen when it is committed; no poll may lose it, and none may wait for it.

The model: changes at an even rate, one in twenty seen only 1 to 600 seconds after its stamp (any delay as likely as another), a
poll each minute. The usual ways of
keeping a cursor are played over the list of changes; our own source polls an org in which just these changes happen.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from halocline.sync import SobjectSync
from tests.figures import SAYS, Says
from tests.system.laptop import Laptop, laptop

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("conserved")]

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLL_S = 60
LATEST_S = 600  # seconds that a transaction takes at most
LATE_SHARE = 0.05
RATE = 10  # changes a second in the long model
NEVER = -1.0


@dataclass(frozen=True, slots=True)
class Change:
    """A record that gets its stamp at one second and is seen from another on."""

    stamp: int
    seen: int


def changes(count: int, rate: float, *, seed: int = 7) -> list[Change]:
    """So many, in the order of their stamps."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        stamp = int(number / rate)
        late = chance.randint(1, LATEST_S) if chance.random() < LATE_SHARE else 0
        made.append(Change(stamp, stamp + late))
    return made


def polls(history: Sequence[Change], *, after_s: int = 3 * LATEST_S) -> range:
    """The seconds at which is polled, until everything has been seen for a while."""
    return range(POLL_S, history[-1].stamp + after_s + POLL_S, POLL_S)


# ---- strategies: from what a poll has seen to where the next begins


Strategy = Callable[[int, float, float], tuple[float, float]]
"""From the instant of a poll, the highest stamp seen so far, and the instant up to which the server says that nothing is to come:
the half-open range of stamps that is read."""


def greater(now: int, highest: float, covered: float) -> tuple[float, float]:
    return highest + 1, now + 1


def at_least(now: int, highest: float, covered: float) -> tuple[float, float]:
    return highest, now + 1


def look_back(seconds: int) -> Strategy:
    return lambda now, highest, covered: (highest - seconds, now + 1)


def lag(seconds: int) -> Strategy:
    return lambda now, highest, covered: (highest + 1, now - seconds + 1)


def two_watermarks(now: int, highest: float, covered: float) -> tuple[float, float]:
    return covered, now + 1


STRATEGIES: dict[str, Strategy] = {
    "stamp > highest seen": greater,
    "stamp >= highest seen": at_least,
    "30 s looked back": look_back(30),
    "120 s looked back": look_back(120),
    "600 s looked back": look_back(600),
    "read up to 30 s ago": lag(30),
    "read up to 600 s ago": lag(600),
    "to now, cursor where the server says": two_watermarks,
}


def played(history: Sequence[Change], strategy: Strategy) -> tuple[int, float]:
    """How many changes a strategy loses, and how many rows it reads for each change."""
    stamps = [one.stamp for one in history]
    found: set[int] = set()
    read, highest, covered = 0, NEVER, NEVER
    for now in polls(history):
        low, high = strategy(now, highest, covered)
        window = range(bisect_left(stamps, low), bisect_left(stamps, high))
        visible = [number for number in window if history[number].seen <= now]
        read += len(visible)
        found.update(visible)
        highest = max(highest, *(stamps[number] for number in visible[-1:]), NEVER)
        covered = complete_until(history, stamps, now)
    return len(history) - len(found), read / len(history)


def complete_until(history: Sequence[Change], stamps: Sequence[int], now: int) -> float:
    """The start of the oldest transaction that is open, as Salesforce tells it; `now` where none is."""
    window = range(bisect_left(stamps, now - LATEST_S), bisect_right(stamps, now))
    return min((stamps[number] for number in window if history[number].seen > now), default=now)


# ---- our own source


@dataclass(slots=True)
class Life:
    """An org in which the changes happen as time goes on."""

    here: Laptop
    history: Sequence[Change]
    _next: int = 0
    _open: list[tuple[int, str]] = field(default_factory=list)

    def until(self, now: int) -> None:
        """All that happens up to this second."""
        store, user, account = self.here.org.store, self.here.org.org.api_user_id, self.here.sobject("Account")
        while self._next < len(self.history) and self.history[self._next].stamp <= now:
            one = self.history[self._next]
            self._commit(one.stamp - 1)
            self._at(one.stamp)
            transaction = store.begin() if one.seen > one.stamp else None
            store.insert(account, {"Name": f"n{self._next}"}, user_id=user, transaction=transaction)
            if transaction is not None:
                heapq.heappush(self._open, (one.seen, transaction))
            self._next += 1
        self._commit(now)
        self._at(now)

    def _commit(self, now: int) -> None:
        while self._open and self._open[0][0] <= now:
            self.here.org.store.commit(heapq.heappop(self._open)[1])

    def _at(self, second: int) -> None:
        self.here.org.clock.freeze(START + timedelta(seconds=second))

    def seen(self) -> int:
        """How many changes anybody can see."""
        return self.here.org.store.count(self.here.sobject("Account"))


def lived(here: Laptop, history: Sequence[Change], *, lookback_s: float) -> tuple[int, float, int]:
    """The same as `played`, by real syncs; and how many visible changes a poll left for a later one."""
    life, read, stale = Life(here, history), 0, 0
    job = SobjectSync("Account", "raw", "a", fields=("Id", "SystemModstamp"), lookback_s=lookback_s)
    with here.system(bulk=10_000_000, stage=10_000_000) as system:
        for now in polls(history, after_s=LATEST_S + POLL_S):
            life.until(now)
            told = system.run(job)
            read += told.rows_read
            stale += life.seen() - here.number("SELECT count(DISTINCT Id) FROM raw.a")
    return len(history) - here.number("SELECT count(DISTINCT Id) FROM raw.a"), read / len(history), stale


def line(told: str, history: Sequence[Change], lost: int, factor: float) -> str:
    return (
        f"{told}: {len(history):,} changes, {lost:,} lost = {100 * lost / len(history):.3f} %, {factor:.2f} rows read per change"
    )


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path) as running:
        yield running


def holds(here: Laptop, history: Sequence[Change], *, lookback_s: float, record: Says) -> None:
    """Our own polls lose nothing and leave nothing for later."""
    lost, factor, stale = lived(here, history, lookback_s=lookback_s)
    record(
        SAYS,
        f"T11 {line(f'ours, lookback {lookback_s:.0f} s', history, lost, factor)}, {stale} seen by a later poll than the next",
    )
    assert (lost, stale) == (0, 0)


@pytest.mark.parametrize("lookback_s", [0.0, pytest.param(600.0, marks=pytest.mark.long)])
def test_no_late_commit_is_lost_and_none_waits(here: Laptop, lookback_s: float, record_property: Says) -> None:
    """Whatever is committed late is in the table after the next poll; so is all that was there in time. With no lookback, too."""
    holds(here, changes(600, 2.0), lookback_s=lookback_s, record=record_property)


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("lookback_s", [0.0, 600.0])
def test_of_200_000_changes_no_late_commit_is_lost(here: Laptop, lookback_s: float, record_property: Says) -> None:
    """The same law with the model's 200,000 changes."""
    holds(here, changes(200_000, RATE), lookback_s=lookback_s, record=record_property)


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_what_other_cursors_lose(strategy: str, record_property: Says, pytestconfig: pytest.Config) -> None:
    """The usual cursors lose rows, unless they look back or wait as long as the longest transaction."""
    history = changes(200_000 if pytestconfig.getoption("--long") else 30_000, RATE)
    lost, factor = played(history, STRATEGIES[strategy])
    record_property(SAYS, f"T11 {line(strategy, history, lost, factor)}")
    assert (lost == 0) is (strategy in ("600 s looked back", "read up to 600 s ago", "to now, cursor where the server says"))
    assert factor >= 0.9
