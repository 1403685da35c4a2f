"""Laws of SOQL's relative dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.emulator.soql.dates import day_range, is_relative, takes_count

FRIDAY = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "count", "first", "after"),
    [
        ("yesterday", None, date(2026, 11, 19), date(2026, 11, 20)),
        ("today", None, date(2026, 11, 20), date(2026, 11, 21)),
        ("tomorrow", None, date(2026, 11, 21), date(2026, 11, 22)),
        ("last_week", None, date(2026, 11, 8), date(2026, 11, 15)),
        ("this_week", None, date(2026, 11, 15), date(2026, 11, 22)),
        ("next_month", None, date(2026, 12, 1), date(2027, 1, 1)),
        ("last_quarter", None, date(2026, 7, 1), date(2026, 10, 1)),
        ("this_fiscal_quarter", None, date(2026, 10, 1), date(2027, 1, 1)),
        ("next_year", None, date(2027, 1, 1), date(2028, 1, 1)),
        ("last_90_days", None, date(2026, 8, 22), date(2026, 11, 21)),
        ("next_90_days", None, date(2026, 11, 21), date(2027, 2, 19)),
        ("last_n_days", 1, date(2026, 11, 19), date(2026, 11, 21)),
        ("next_n_days", 2, date(2026, 11, 21), date(2026, 11, 23)),
        ("n_days_ago", 3, date(2026, 11, 17), date(2026, 11, 18)),
        ("last_n_weeks", 2, date(2026, 11, 1), date(2026, 11, 15)),
        ("last_n_months", 13, date(2025, 10, 1), date(2026, 11, 1)),
        ("next_n_quarters", 2, date(2027, 1, 1), date(2027, 7, 1)),
        ("n_fiscal_years_ago", 1, date(2025, 1, 1), date(2026, 1, 1)),
    ],
)
def test_each_literal_covers_its_days(word: str, count: int | None, first: date, after: date) -> None:
    """A literal covers the days that the reference's table gives it."""
    assert is_relative(word)
    assert takes_count(word) == (count is not None)
    assert day_range(word, count, FRIDAY) == (first, after)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.sampled_from(["week", "month", "quarter", "year"]))  # noqa: DTZ001  # hypothesis wants naive bounds
def test_last_this_and_next_join_without_a_gap(naive: datetime, unit: str) -> None:
    """The three periods follow on each other, and today is in the middle one."""
    now = naive.replace(tzinfo=UTC)
    last, this, following = (day_range(f"{shift}_{unit}", None, now) for shift in ("last", "this", "next"))
    assert last[1] == this[0]
    assert this[1] == following[0]
    assert this[0] <= now.date() < this[1]
    assert this[1] - this[0] >= timedelta(days=7)


@pytest.mark.parametrize(("word", "count"), [("last_n_days", 10_001), ("last_n_years", 9_000), ("next_n_years", 9_000)])
def test_ranges_outside_the_calendar_are_refused(word: str, count: int) -> None:
    """A count that leaves the years 1 to 9999 is a ValueError."""
    with pytest.raises(ValueError, match="out of range"):
        day_range(word, count, FRIDAY)


def test_other_words_are_no_dates() -> None:
    """A field name is not a date literal."""
    assert not is_relative("name")
    assert not is_relative("last_fortnight")
