"""Laws of days, instants and times of day as texts: exact, or seen to have none."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.moments import DAY_US, OF_OUR_ERA, PLAIN, SPELLED, is_end_of_day, misfit, rows_of, texts, times_of, within

DAY_TYPES = (pa.date32(), pa.date64(), *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us") for zone in (None, "UTC")))
DAYS = st.integers(-(10**6), 10**7)


def of_days(days: list[int | None], kind: pa.DataType) -> pa.Array:
    """Days, counted from 1970, as a column of that type."""
    per_day = 1 if pa.types.is_date32(kind) else 86_400 * {"s": 1, "ms": 1_000, "us": 1_000_000}[getattr(kind, "unit", "ms")]
    numbers = [None if day is None else day * per_day for day in days]
    return pa.array(numbers, pa.int32() if pa.types.is_date32(kind) else pa.int64()).cast(kind)


@pytest.mark.parametrize("kind", DAY_TYPES, ids=str)
@pytest.mark.parametrize(("years", "first", "last"), [(PLAIN, -719_162, 2_932_896), (SPELLED, -12_687_428, 11_248_737)])
def test_the_first_and_the_last_day_of_years(kind: pa.DataType, years: tuple[int, int], first: int, last: int) -> None:
    """A column of days or instants of any unit is within years to the day, nulls aside."""
    assert misfit(of_days([first, None, last], kind), years=years) is None
    for day in (first - 1, last + 1):
        assert misfit(of_days([0, day], kind), years=years) == f"a year outside of {years[0]} to {years[1]}"
        assert within(of_days([0, day, None], kind), years).to_pylist() == [True, False, None]
    assert misfit(of_days([None], kind)) is None
    assert misfit(pa.array([], kind)) is None


def test_an_instant_just_outside_is_outside() -> None:
    """A microsecond decides."""
    ends = [-62_135_596_800_000_000, 253_402_300_799_999_999]
    assert misfit(pa.array(ends, pa.timestamp("us", "UTC"))) is None
    for end in (ends[0] - 1, ends[1] + 1):
        assert misfit(pa.array([end], pa.timestamp("us", "UTC"))) is not None


@given(DAYS)
def test_what_is_within_the_spelled_years_is_spelled_rightly(day: int) -> None:
    """DuckDB, which has all of these days, reads the same day from the text, wherever no sign stands before the year."""
    values = of_days([day], pa.date32())
    if misfit(values, years=OF_OUR_ERA) is None:
        (text,) = texts(values).to_pylist()
        assert duckdb.execute("SELECT CAST(? AS DATE) - DATE '1970-01-01'", [text]).fetchall() == [(day,)]


@given(DAYS)
def test_a_day_that_python_does_not_have_is_told(day: int) -> None:
    """As a date of Python where there is one, else as the text that another program reads as the same day."""
    (row,) = rows_of(pa.record_batch({"day": of_days([day], pa.date32()), "n": [1]}))
    if misfit(of_days([day], pa.date32())) is None:
        assert row == {"day": dt.date(1970, 1, 1) + dt.timedelta(days=day), "n": 1}
        return
    year, month, of_month = str(row["day"]).rsplit("-", 2)
    sql = "SELECT year(d), month(d), day(d) FROM (SELECT DATE '1970-01-01' + CAST(? AS INTEGER) AS d)"
    assert duckdb.execute(sql, [day]).fetchall() == [(int(year), int(month), int(of_month))]


def test_rows_keep_what_python_does_not_have() -> None:
    """Each value by its text, and the others as they are."""
    told = rows_of(
        pa.record_batch(
            {
                "at": pa.array([0, 253_402_300_800_000_001, None], pa.timestamp("us", "UTC")),
                "wall": pa.array([-62_135_596_801, 0, None], pa.timestamp("s")),
                "hour": pa.array([1, DAY_US, None], pa.time64("us")),
                "short": pa.array([86_400_000, 1, None], pa.time32("ms")),
                "text": ["a", "b", "c"],
            }
        )
    )
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert told == [
        {"at": epoch, "wall": "0000-12-31T23:59:59", "hour": dt.time(0, 0, 0, 1), "short": "24:00:00", "text": "a"},
        {
            "at": "10000-01-01T00:00:00.000001Z",
            "wall": epoch.replace(tzinfo=None),
            "hour": "24:00:00",
            "short": dt.time(0, 0, 0, 1_000),
            "text": "b",
        },
        {"at": None, "wall": None, "hour": None, "short": None, "text": "c"},
    ]


@given(st.lists(st.none() | st.integers(0, DAY_US) | st.just(DAY_US)))
def test_times_come_back_as_they_were(numbers: list[int | None]) -> None:
    """The end of a day among them, which is another time than its beginning."""
    values = pa.array(numbers, pa.int64()).cast(pa.time64("us"))
    assert misfit(values) is None
    assert times_of(texts(values)).equals(values)
    assert (misfit(values, midnight=False) is None) == (DAY_US not in numbers)


def test_no_time_is_beyond_the_end_of_a_day() -> None:
    """Nor before its beginning."""
    for number in (DAY_US + 1, -1):
        assert misfit(pa.array([number], pa.time64("us"))) == "a time beyond the hours of a day"
    with pytest.raises(pa.ArrowInvalid):
        times_of(pa.array(["24:00:01"]))
    assert [is_end_of_day(text) for text in ("24:00", "24:00:00", "24:00:00.000", "24:00:01", "00:00", "124:00", "24:00x")] == [
        *[True] * 3,
        *[False] * 4,
    ]
