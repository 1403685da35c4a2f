"""Who is retried, and how long is waited."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.errors import FixConfig, NetworkFailed, RetryLater
from halocline.retry import Pace, Policy, retry


class VirtualTime:
    """A clock that only sleeping and working move."""

    def __init__(self, chance: float = 0.5) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.pace = Pace(clock=lambda: self.now, sleep=self.sleep, chance=lambda: chance)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def failing(times: int, *, error: Callable[[], Exception] = lambda: NetworkFailed("Calling", "no answer")) -> Callable[[], str]:
    """A call that fails so many times, then answers."""
    left = [times]

    def call() -> str:
        if left[0]:
            left[0] -= 1
            raise error()
        return "answer"

    return call


def test_a_call_that_recovers_gives_its_answer() -> None:
    """Failures before the last allowed attempt are not seen by the caller."""
    time = VirtualTime()
    assert retry(failing(3), Policy(attempts=4, base_s=1.0, cap_s=60.0), pace=time.pace) == "answer"
    assert time.slept == [0.5, 1.0, 2.0]


def test_the_last_error_is_raised_when_attempts_are_used_up() -> None:
    """`attempts` counts calls, not repeats."""
    time = VirtualTime()
    calls: list[int] = []

    def call() -> None:
        calls.append(len(calls))
        raise NetworkFailed("Calling", f"failure {len(calls)}")

    with pytest.raises(NetworkFailed, match="failure 3"):
        retry(call, Policy(attempts=3), pace=time.pace)
    assert len(calls) == 3
    assert len(time.slept) == 2


def test_a_wait_that_would_end_beyond_the_budget_is_not_begun() -> None:
    """The budget bounds the whole, so nobody sleeps for nothing."""
    time = VirtualTime(chance=0.999)
    with pytest.raises(NetworkFailed):
        retry(failing(100), Policy(attempts=100, base_s=1.0, cap_s=8.0, budget_s=10.0), pace=time.pace)
    assert sum(time.slept) <= 10.0
    assert len(time.slept) == 3


def test_time_spent_in_calls_counts_against_the_budget() -> None:
    """A call that hangs for minutes is not repeated for hours."""
    time = VirtualTime()

    def slow() -> None:
        time.now += 200.0
        raise NetworkFailed("Calling", "timed out")

    with pytest.raises(NetworkFailed):
        retry(slow, Policy(attempts=10, budget_s=300.0), pace=time.pace)
    assert time.now - 1000.0 < 300.0 + 200.0 + 1.0


def test_a_wait_that_was_asked_for_is_kept_in_full() -> None:
    """`after_s` is a floor, even above the cap; the jitter comes on top."""
    time = VirtualTime(chance=0.5)
    call = failing(1, error=lambda: RetryLater("Calling", "slow down", after_s=40.0))
    assert retry(call, Policy(base_s=1.0, cap_s=5.0), pace=time.pace) == "answer"
    assert time.slept == [40.5]


def test_a_wait_longer_than_the_budget_is_not_waited_for() -> None:
    """A daily limit is the caller's affair, not a sleep of an hour."""
    time = VirtualTime()
    with pytest.raises(RetryLater):
        retry(failing(1, error=lambda: RetryLater("Calling", "come back", after_s=3600.0)), Policy(), pace=time.pace)
    assert time.slept == []


def test_other_errors_are_not_retried() -> None:
    """Only RetryLater says that the same call may work later."""
    time = VirtualTime()
    with pytest.raises(FixConfig):
        retry(failing(1, error=lambda: FixConfig("Calling", "wrong name")), Policy(), pace=time.pace)
    with pytest.raises(KeyError):
        retry(failing(1, error=lambda: KeyError("bug")), Policy(), pace=time.pace)
    assert time.slept == []


def test_again_can_forbid_a_repeat() -> None:
    """A call that must not be made twice says so by `again`."""
    time = VirtualTime()
    with pytest.raises(NetworkFailed):
        retry(failing(1), Policy(), again=lambda error: False, pace=time.pace)
    assert time.slept == []


def test_waits_are_told_before_they_begin() -> None:
    """`waiting` gets the error and the very wait that follows."""
    time = VirtualTime()
    told: list[tuple[str, float, int]] = []
    retry(failing(2), Policy(), waiting=lambda error, wait_s: told.append((error.cause, wait_s, len(time.slept))), pace=time.pace)
    assert told == [("no answer", time.slept[0], 0), ("no answer", time.slept[1], 1)]


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True), st.floats(0, 60), st.floats(0, 3600))
def test_a_wait_lies_between_what_was_asked_and_the_ceiling(failures: int, chance: float, cap_s: float, after_s: float) -> None:
    """Full jitter: from nothing to the ceiling, never above it, whatever the number of failures."""
    wait_s = Policy(base_s=0.5, cap_s=cap_s).wait_s(failures, chance=chance, after_s=after_s)
    assert after_s <= wait_s <= after_s + min(cap_s, 0.5 * 2.0 ** min(failures - 1, 60))


def test_the_default_pace_draws_even_chances_and_moves_on() -> None:
    """The real clock does not run backwards and chance lies in [0, 1)."""
    pace = Pace()
    first, drawn = pace.clock(), {pace.chance() for _ in range(100)}
    assert pace.clock() >= first
    assert all(0.0 <= one < 1.0 for one in drawn)
    assert len(drawn) > 90
