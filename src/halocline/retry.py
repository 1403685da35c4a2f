"""Who is retried, and how long to wait: full jitter inside a budget. Clock, sleep and chance are arguments.

Full jitter (a wait drawn evenly between nothing and an exponentially growing ceiling) spreads many callers best.
Source: "Exponential Backoff And Jitter", AWS Architecture Blog, read November 2026.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from halocline.errors import RetryLater

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """How often (`attempts`, the first one included) and how patiently to try.

    The n-th wait is drawn from 0 to `base_s` * 2**n, at most `cap_s`. `budget_s` bounds the whole, calls included: a wait
    that would end beyond it is not begun.
    """

    attempts: int = 6
    base_s: float = 0.5
    cap_s: float = 30.0
    budget_s: float = 300.0

    def wait_s(self, failures: int, *, chance: float, after_s: float | None = None) -> float:
        """The seconds to wait after the `failures`-th failure (from 1); `chance` is drawn evenly from [0, 1).

        A wait that the other side asked for (`after_s`) is kept in full, with the jitter on top: callers that were all told
        the same number must not come back in the same instant.
        """
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 60))
        return (after_s or 0.0) + ceiling * chance


@dataclass(frozen=True, slots=True)
class Pace:
    """Where time and chance come from; tests bring their own."""

    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)
    chance: Callable[[], float] = field(default=random.random)


POLICY = Policy()
"""What is used where nothing else is said."""
PACE = Pace()
"""The real clock, real sleep, real chance."""


def always(_: RetryLater) -> bool:
    """Every RetryLater may be tried again."""
    return True


def unheard(_: RetryLater, __: float) -> None:
    """Nobody is told of a wait."""


def retry(
    call: Callable[[], T],
    policy: Policy,
    *,
    again: Callable[[RetryLater], bool] = always,
    waiting: Callable[[RetryLater, float], None] = unheard,
    pace: Pace = PACE,
) -> T:
    """What `call` returns, tried again while it raises RetryLater, `again` agrees and the policy allows.

    `waiting` is told of every wait before it begins.
    Raises: the last RetryLater when attempts or budget are used up; anything else at once.
    """
    started = pace.clock()
    failures = 0
    while True:
        try:
            return call()
        except RetryLater as error:
            failures += 1
            wait_s = policy.wait_s(failures, chance=pace.chance(), after_s=error.after_s)
            late = pace.clock() - started + wait_s > policy.budget_s
            if late or failures >= policy.attempts or not again(error):
                raise
            waiting(error, wait_s)
        pace.sleep(wait_s)
