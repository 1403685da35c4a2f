"""Named transforms: what each gives, and what it refuses rather than guess."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from halocline.mapping import TRANSFORMS

OSLO = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("lowercase", "ÅB", "åb"),
        ("lowercase", 5, 5),
        ("uppercase", "åb", "ÅB"),
        ("uppercase", 5, 5),
        ("strip", " a ", "a"),
        ("strip", 5, 5),
        ("none_if_empty", "  ", None),
        ("none_if_empty", " a ", " a "),
        ("none_if_empty", 0, 0),
        ("text", 5, "5"),
        ("text", True, "true"),
        ("text", False, "false"),
        ("text", Decimal("1.50"), "1.50"),
        ("text", date(2026, 1, 2), "2026-01-02"),
        ("int", " 12 ", 12),
        ("int", "12.0", 12),
        ("int", 12.0, 12),
        ("float", "1.5", 1.5),
        ("decimal", "1.50", Decimal("1.50")),
        ("decimal", 0.1, Decimal("0.1")),
        ("bool", "false", False),
        ("bool", "No", False),
        ("bool", "0", False),
        ("bool", 0, False),
        ("bool", " TRUE ", True),
        ("bool", 1, True),
        ("bool", True, True),
        ("date_iso", "2026-01-02T23:30:00+01:00", "2026-01-02"),
        ("date_iso", "2026-01-02", "2026-01-02"),
        ("date_iso", date(2026, 1, 2), "2026-01-02"),
        ("date_iso", datetime(2026, 1, 2, 23, 30, tzinfo=OSLO), "2026-01-02"),
        ("datetime_iso", datetime(2026, 1, 2, 0, 30, 1, 5999, tzinfo=OSLO), "2026-01-01T23:30:01.005Z"),
        ("datetime_iso", datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        ("datetime_iso", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
    ],
)
def test_a_transform_gives_what_it_says(name: str, value: object, told: object) -> None:
    """`bool` of "false" is false, and numbers are exactly what was written."""
    result = TRANSFORMS[name](value)
    assert (result, type(result)) == (told, type(told))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", [1]),
        ("int", "1.5"),
        ("int", 1.5),
        ("int", ""),
        ("int", True),
        ("int", "1e999999999"),
        ("float", "nan"),
        ("float", "1,5"),
        ("decimal", "Infinity"),
        ("decimal", []),
        ("bool", "maybe"),
        ("bool", ""),
        ("bool", 2),
        ("bool", 1.0),
        ("date_iso", "02/01/2026"),
        ("date_iso", 20260102),
        ("datetime_iso", datetime(2026, 1, 2)),  # noqa: DTZ001 - that it has no zone is the point
        ("datetime_iso", "2026-01-02T03:04:05"),
        ("datetime_iso", date(2026, 1, 2)),
    ],
)
def test_a_transform_refuses_what_it_cannot_turn(name: str, value: object) -> None:
    """Nothing is rounded, guessed, or taken to be in some time zone."""
    with pytest.raises((ValueError, TypeError)):
        TRANSFORMS[name](value)
