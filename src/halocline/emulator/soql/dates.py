"""Relative date literals: `TODAY`, `LAST_N_DAYS:7`, `THIS_FISCAL_QUARTER` -> the days they cover.

Days begin at midnight UTC, weeks on Sunday (the en_US locale), fiscal periods are those of the calendar year.
Source: SOQL and SOSL Reference, "Date Formats and Date Literals in WHERE".
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

LARGEST_COUNT = 10_000  # keeps every range inside the years that dates have; Salesforce's own bound is unverified

_SINGLE = re.compile(r"(last|this|next)_(week|month|quarter|year|fiscal_quarter|fiscal_year)")
_COUNTED = re.compile(r"(last|next)_n_(day|week|month|quarter|year|fiscal_quarter|fiscal_year)s")
_AGO = re.compile(r"n_(day|week|month|quarter|year|fiscal_quarter|fiscal_year)s_ago")
_DAYS = {"yesterday": (-1, 0), "today": (0, 1), "tomorrow": (1, 2), "last_90_days": (-90, 1), "next_90_days": (1, 91)}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_PERIODS = ("week", "month", "quarter", "year", "fiscal_quarter", "fiscal_year")
# Every relative date literal in lower case, and whether it takes a count: `last_n_days:7`.
DATE_LITERALS: dict[str, bool] = {
    **dict.fromkeys(_DAYS, False),
    **{f"{which}_{unit}": False for unit in _PERIODS for which in ("last", "this", "next")},
    **{word: True for unit in ("day", *_PERIODS) for word in (f"last_n_{unit}s", f"next_n_{unit}s", f"n_{unit}s_ago")},
}


def is_relative(word: str) -> bool:
    """Whether a word (lower case) is a relative date literal."""
    return word in DATE_LITERALS


def takes_count(word: str) -> bool:
    """Whether a relative date literal needs `:n`."""
    return DATE_LITERALS.get(word, False)


def day_range(word: str, count: int | None, now: datetime) -> tuple[date, date]:
    """The first day that the literal covers and the first day after it.

    `LAST_N_DAYS:n` includes today, `LAST_N_WEEKS:n` and longer ones end before the current period.
    Raises: ValueError for a count above 10,000 or a range outside the years 1 to 9999.
    """
    if count is not None and count > LARGEST_COUNT:
        raise ValueError(f"{word.upper()}:{count} is out of range")
    today = now.astimezone(UTC).date()
    try:
        return _range(word, count or 0, today)
    except OverflowError as reason:
        raise ValueError(f"{word.upper()}:{count} is out of range") from reason


def _range(word: str, count: int, today: date) -> tuple[date, date]:
    if word in _DAYS:
        first, after = _DAYS[word]
        return today + timedelta(days=first), today + timedelta(days=after)
    if single := _SINGLE.fullmatch(word):
        shift = {"last": -1, "this": 0, "next": 1}[single[1]]
        return _period(today, single[2], shift), _period(today, single[2], shift + 1)
    if ago := _AGO.fullmatch(word):
        return _period(today, ago[1], -count), _period(today, ago[1], 1 - count)
    return _counted(word, count, today)


def _counted(word: str, count: int, today: date) -> tuple[date, date]:
    match = _COUNTED.fullmatch(word)
    if match is None:
        raise ValueError(f"{word} is not a date literal")
    unit = match[2]
    if match[1] == "next":
        return _period(today, unit, 1), _period(today, unit, count + 1)
    return _period(today, unit, -count), _period(today, unit, 1 if unit == "day" else 0)


def _period(today: date, unit: str, shift: int) -> date:
    """The first day of the period `shift` periods after the one that `today` is in."""
    unit = unit.removeprefix("fiscal_")
    if unit == "day":
        return today + timedelta(days=shift)
    if unit == "week":
        return today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=shift)
    length = _MONTHS[unit]
    months = today.year * 12 + (today.month - 1) // length * length + shift * length
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError(f"year {year}")
    return date(year, month + 1, 1)
