"""Laws of the quota: however many threads call, none goes out that could be past the reserve."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from halocline.connectors.salesforce.quota import QUOTA_FRESH_S, Meter, Quota
from halocline.errors import QuotaExhausted


class Org:
    """An org that counts calls; answers may come late and overtake each other."""

    def __init__(self, used: int, allowed: int) -> None:
        self.used, self.allowed = used, allowed
        self.lock = threading.Lock()

    def call(self) -> tuple[int, int]:
        with self.lock:
            self.used += 1
            return self.used, self.allowed


@dataclass
class Crowd:
    """Many threads' calls, whose answers come late and in any order."""

    org: Org
    quota: Quota
    dice: random.Random
    late: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, _: int) -> None:
        try:
            number = self.quota.begin("Calling", always=False)
        except QuotaExhausted:
            return
        told = self.org.call()
        with self.lock:
            self.late.append((number, told))
            some = len(self.late) if number == 1 else self.dice.randrange(len(self.late) + 1)
            due = [self.late.pop(self.dice.randrange(len(self.late))) for _ in range(some)]
        for other, said in due:
            self.quota.end(other, said)


def test_threads_together_never_pass_the_reserve(record_property: Callable[[str, object], None]) -> None:
    """Of many calls at once from many threads, with answers in any order, none is one too many; the first has to look."""
    past, starts = 0, (0, 60, 89, 90, 99)
    for start in starts:
        crowd = Crowd(Org(start, 100), Quota(share=0.9, clock=lambda: 0.0), random.Random(start))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(crowd.call, range(200)))
        past += max(0, crowd.org.used - max(start + 1, 90))
        assert crowd.org.used > start
    record_property("says", f"quota: {past} calls past the reserve in {len(starts)} rounds of 200 calls by 8 threads")
    assert past == 0


def test_while_nothing_is_known_one_call_looks() -> None:
    """The others wait for what it is told, and then know better."""
    quota = Quota(share=0.9, clock=lambda: 0.0)
    first = quota.begin("Looking", always=False)
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(quota.begin, "Calling", always=False) for _ in range(4)]
        assert not any(other.done() for other in others)
        quota.end(first, (95, 100))
        errors = [other.exception(timeout=30) for other in others]
    assert all(isinstance(error, QuotaExhausted) for error in errors)


def test_a_look_that_is_never_answered_is_made_by_the_next() -> None:
    """A lost answer does not leave the others waiting."""
    quota = Quota(share=0.9, clock=lambda: 0.0)
    first = quota.begin("Looking", always=False)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(quota.begin, "Looking", always=False)
        quota.end(first, None, answered=False)
        assert second.result(timeout=30) == 2


def test_an_org_that_tells_nothing_is_not_waited_for() -> None:
    """Without counts nothing can be guarded; calls go side by side."""
    quota = Quota(share=0.9, clock=lambda: 0.0)
    quota.end(quota.begin("Looking", always=False), None)
    assert [quota.begin("Calling", always=False) for _ in range(5)] == [2, 3, 4, 5, 6]
    assert quota.told == (None, None)


def test_a_lower_count_is_news_only_from_a_later_call() -> None:
    """Answers overtake each other; the window of 24 hours moves on all the same."""
    quota = Quota(share=0.9, clock=lambda: 0.0)
    quota.end(quota.begin("Looking", always=False), (1, 100))
    early, late = quota.begin("x", always=False), quota.begin("x", always=False)
    quota.end(late, (50, 100))
    quota.end(early, (49, 100))
    assert quota.told == (50, 100)
    quota.end(quota.begin("x", always=False), (20, 100))
    assert quota.told == (20, 100)


def test_a_call_whose_answer_was_lost_may_have_counted() -> None:
    """It is held against the share until the next count."""
    quota = Quota(share=0.9, clock=lambda: 0.0)
    quota.end(quota.begin("Looking", always=False), (88, 100))
    quota.end(quota.begin("x", always=False), None, answered=False)
    last = quota.begin("x", always=False)
    with pytest.raises(QuotaExhausted, match="88 of the org's 100 daily API calls are used, and 2 are on their way"):
        quota.begin("x", always=False)
    quota.end(last, (89, 100))
    quota.end(quota.begin("x", always=False), (90, 100))


def test_after_a_while_one_call_looks_again() -> None:
    """And cleaning up is let through in any case."""
    now = [0.0]
    quota = Quota(share=0.9, clock=lambda: now[0])
    quota.end(quota.begin("Looking", always=False), (99, 100))
    with pytest.raises(QuotaExhausted):
        quota.begin("x", always=False)
    quota.end(quota.begin("Deleting", always=True), (99, 100))
    now[0] += QUOTA_FRESH_S
    assert quota.begin("Looking", always=False) > 0


def test_a_meter_counts_for_its_whole_as_well() -> None:
    """Views count their own calls, the connection all of them."""
    whole = Meter()
    parts = [Meter(whole), Meter(whole)]
    parts[0].count()
    parts[1].count()
    parts[1].count()
    assert (whole.calls, [part.calls for part in parts]) == (3, [1, 2])
