"""An org that says "later": 503, too many requests at one time, the day's requests used up in the middle of a run.

A sync waits out what passes, with few calls more than it needs, and stops at what does not pass, to be taken up another day. The
budget and the reserve that a user sets are in `test_budget.py`. The short run lets the day end at some of the requests, by each
way at others; `--long` at all of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from halocline import engine, registry
from halocline.emulator import rest
from halocline.errors import HaloclineError, QuotaExhausted, RetryLater
from halocline.sync import SobjectSync
from tests.figures import SAYS, Says, add
from tests.system.laptop import QUICK, Laptop, laptop

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.usefixtures("conserved")]

ROWS, PAGE = 45, 10
WAYS = {"rest": (1_000, 1_000), "bulk": (0, 1_000), "stage": (0, 0)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    real = registry.open_source
    monkeypatch.setattr(registry, "open_source", lambda *args, **options: real(*args, **options, pace=QUICK))
    for limit in ("SMALLEST_PAGE", "LARGEST_PAGE"):  # our client asks for the largest pages there are
        monkeypatch.setattr(rest, limit, PAGE)
    with laptop(tmp_path, page_rows=PAGE) as running:
        running.add("Account", ROWS, Name="n{n}")
        yield running


def sync(here: Laptop, way: str) -> int:
    """A full sync, and how many calls the org has counted. Raises: what stopped it."""
    here.kinds()
    with here.system() as system:
        system.BULK_API_THRESHOLD, system.STAGE_THRESHOLD = WAYS[way]
        system.run(SobjectSync("Account", "raw", "a", fields=("Id", "Name"), force_full_sync=True))
    return len(here.kinds())


def equal(here: Laptop) -> bool:
    table = sorted(here.rows("SELECT Id, Name FROM raw.a"))
    return table == sorted(here.org.store.read("SELECT Id, Name FROM Account"))


@pytest.mark.parametrize("way", list(WAYS))
def test_throttling_at_random_costs_few_calls(here: Laptop, way: str, record_property: Says, pytestconfig: pytest.Config) -> None:
    """One call in ten meets a 503 or too many requests at one time: the sync ends well, or says "later" and the next one does."""
    sync(here, way)
    least = sync(here, way)
    calls = runs = resumed = stopped = 0
    for seed in range(200 if pytestconfig.getoption("--long") else 2):
        chance = random.Random(seed)
        for action in ("unavailable", "concurrent_limit"):
            here.org.faults.add(action, path="/data/", probability=0.05, seed=chance.randrange(1_000), times=0)
        runs += 1
        try:
            calls += sync(here, way)
        except RetryLater:
            stopped += 1
            here.org.faults.clear()
            sync(here, way)
            resumed += equal(here)
        else:
            assert equal(here)
        here.org.faults.clear()
    ended = runs - stopped
    assert ended
    over = round(100 * (calls / (least * ended) - 1))
    well = f"{runs} runs of {least} calls, {ended} ended with {over} % calls over the minimum"
    record_property(SAYS, f"T22 throttled at random, {way}: {well}, {stopped} stopped, resumed {resumed}/{stopped}")
    assert resumed == stopped
    assert over <= 60


@pytest.mark.parametrize("way", list(WAYS))
def test_the_days_requests_end_in_the_middle(here: Laptop, way: str, record_property: Says, pytestconfig: pytest.Config) -> None:
    """At every request the org's day may be used up: none but calls under way then are refused too, the table stays, and the next
    day all is there.
    """
    sync(here, way)
    least = sync(here, way)
    here.lake.execute("UPDATE raw.a SET Name = 'as it was'")
    before = here.rows("FROM raw.a ORDER BY Id")
    points = late = resumed = 0
    tried = range(1, least + 1) if pytestconfig.getoption("--long") else range(1 + list(WAYS).index(way), least + 1, 5)
    for number in tried:
        rule = here.org.faults.add("request_limit", path="/data/", nth=number, times=0)
        try:
            sync(here, way)
        except QuotaExhausted as error:
            points += error.exit_code == 75
            under_way = here.org.faults.counters(rule)["struck"] - 1
            assert under_way < engine.WIDTH
            late += under_way
            assert here.rows("FROM raw.a ORDER BY Id") == before
        except HaloclineError as error:
            raise AssertionError(f"request {number} of {least}") from error
        here.org.faults.clear()
        sync(here, way)
        resumed += equal(here)
        here.lake.execute("UPDATE raw.a SET Name = 'as it was'")
        before = here.rows("FROM raw.a ORDER BY Id")
    add(record_property, f"T22 the day's requests used up at request j, {way}", points=points, calls_after_the_refusal=late,
        resumed=resumed)  # fmt: skip
    assert points >= max(1, len(tried) - 2)
    assert resumed == len(tried)
