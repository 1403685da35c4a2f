"""Laws of the emulator's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from halocline.emulator.clock import Clock, stamp

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_clock_runs_with_the_machine() -> None:
    """A new clock shows the machine's time in UTC."""
    before = datetime.now(UTC)
    shown = Clock().now()
    assert before <= shown <= datetime.now(UTC)
    assert shown.utcoffset() == timedelta(0)


def test_frozen_clock_stands_still_and_advances_only_when_told() -> None:
    """Freezing stops the clock; advance still moves it, in both directions."""
    clock = Clock()
    clock.freeze(NOON)
    assert clock.now() == clock.now() == NOON
    clock.advance(90.5)
    assert clock.now() == NOON + timedelta(seconds=90.5)
    clock.advance(-90.5)
    assert clock.now() == NOON


def test_thawed_clock_runs_again() -> None:
    """freeze(None) gives the machine's time back."""
    clock = Clock()
    clock.freeze(NOON)
    clock.freeze(None)
    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 5


def test_clock_refuses_a_time_without_zone() -> None:
    """A naive datetime cannot be frozen at, it names no moment."""
    with pytest.raises(ValueError, match="aware"):
        Clock().freeze(datetime(2026, 1, 1))  # noqa: DTZ001  # the naive datetime is the test


def test_stamp_is_utc_cut_to_the_second() -> None:
    """A stamp is in UTC and never rounds up."""
    moment = datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-2)))
    assert stamp(moment) == "2026-11-21T01:59:59.000Z"
