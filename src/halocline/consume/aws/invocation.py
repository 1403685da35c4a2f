"""Invocation: what Lambda says of one call of a function, and the time that it leaves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from halocline.errors import FixConfig

_MOST_S = 900.0  # that a function runs
_MOST_MARGIN = 1 / 3  # of the time that there is: a function with a short time-out is to do something all the same


class Invocation(Protocol):
    """Lambda's context object. Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html, read November 2026."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


def refuse_no_event(doing: str, event: object, *, hint: str = "") -> None:
    """Refuse what a call of a function brings where it is no object: whoever calls one may send any JSON.

    Raises: FixConfig.
    """
    if not isinstance(event, Mapping):
        what = {list: "a list", str: "a text", type(None): "null"}.get(type(event), type(event).__name__)
        raise FixConfig(doing, f"the event is {what}, no object", hint=hint)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Until when work may go on (`ends_at`), and when Lambda ends the function (`gone_at`), by `time.monotonic()`."""

    ends_at: float
    gone_at: float

    @classmethod
    def of(cls, invocation: Invocation | None, *, margin_s: float) -> TimeLeft:
        """What is left now, with `margin_s` of it kept for the end; without an invocation, as in tests, the most that there is.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, read November 2026 (900 s).
        """
        left_s = _MOST_S if invocation is None else invocation.get_remaining_time_in_millis() / 1_000
        gone_at = time.monotonic() + left_s
        return cls(gone_at - min(margin_s, left_s * _MOST_MARGIN), gone_at)
