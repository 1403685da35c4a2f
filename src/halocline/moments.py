"""Moments: days, instants and times of day as texts, each exact or refused.

Arrow holds many more years than it can spell: beyond its limit it writes another year, or `<value out of range: ...>`, without an
error. Nor has it a text for 24:00:00, the end of a day, which PostgreSQL and DuckDB have as a time; `to_pylist` makes it 00:00.
Seen in Arrow 26.0.1, whose years are numbers of 16 bits.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.errors import SchemaConflict

PLAIN = (1, 9_999)
"""The years of four digits: what ISO 8601, Python, SQLite and Arrow's own readers have."""
SPELLED = (-32_767, 32_767)
"""The years that Arrow spells."""
OF_OUR_ERA = (1, SPELLED[1])
"""Those of them before which no sign stands."""
DAY_US = 86_400_000_000
"""The end of a day, 24:00:00, as a time of day in microseconds."""
END_OF_DAY = "24:00:00"
"""Likewise, as a text."""
_END_OF_DAY = r"^24:00(:00(\.0*)?)?$"
_HINT = "Correct it at the source, or leave the column out; nothing was published."
_ERA_YEARS, _ERA_DAYS = 400, 146_097  # after which the calendar repeats itself
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # of a second


def misfit(values: pa.Array | pa.ChunkedArray, *, years: tuple[int, int] = PLAIN, midnight: bool = True) -> str | None:
    """What a column of days, instants or times of day holds that is beyond these years; None where there is nothing.

    `midnight`: 24:00:00 is a time of day too. Columns of other types hold nothing of the kind.
    """
    kind = values.type
    if not pa.types.is_temporal(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        return None
    ends = pc.min_max(values)
    low, high = ends["min"], ends["max"]
    if not low.is_valid:
        return None
    if pa.types.is_time(kind):
        day = _per_day(kind)
        fits = low.value >= 0 and high.value < day + midnight
        return None if fits else "the time of day 24:00:00" if high.value == day else "a time beyond the hours of a day"
    first, beyond = _bounds(kind, years)
    return None if first <= low.value and high.value < beyond else f"a year outside of {years[0]} to {years[1]}"


def within(values: pa.Array | pa.ChunkedArray, years: tuple[int, int] = PLAIN) -> pa.Array | pa.ChunkedArray:
    """Which of a column's days or instants are within these years, or of its times of day before 24:00:00."""
    first, beyond = _bounds(values.type, years)
    numbers = pc.cast(values, _number(values.type))
    return pc.and_(pc.greater_equal(numbers, first), pc.less(numbers, beyond))


def rows_of(rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as Python's values; what Python has no value for, other years than 1 to 9999 and 24:00:00, as its text."""
    odd = [(at, column) for at, column in enumerate(rows.columns) if misfit(column, midnight=False)]
    for at, column in odd:
        rows = rows.set_column(at, rows.schema.field(at), pc.if_else(within(column), column, pa.scalar(None, column.type)))
    made: list[dict[str, Any]] = rows.to_pylist()
    for at, column in odd:
        name, numbers = rows.schema.names[at], pc.cast(column, _number(column.type))
        for place in pc.indices_nonzero(pc.invert(within(column))).to_pylist():
            made[place][name] = _told(numbers[place].as_py(), column.type)
    return made


def refuse_misfits(
    rows: pa.RecordBatch | pa.Table, *, doing: str, years: tuple[int, int] = PLAIN, midnight: bool = True, hint: str = _HINT
) -> None:
    """Hold a batch to these years before it becomes text.

    Raises: SchemaConflict with the name of the first column that holds another one.
    """
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if found := misfit(column, years=years, midnight=midnight):
            raise SchemaConflict(doing, f"the column {name} holds {found}", hint=hint, column=name)


def texts(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The values of a column without misfits as Arrow spells them, and the end of a day as 24:00:00."""
    if not pa.types.is_time(values.type):
        return pc.cast(values, pa.string())
    ends = end_of_day(values)
    if ends is None:
        return pc.cast(values, pa.string())
    first = pc.cast(pc.if_else(ends, pa.scalar(0, _number(values.type)), pc.cast(values, _number(values.type))), values.type)
    spelled = pc.cast(first, pa.string())
    return pc.if_else(ends, pc.utf8_replace_slice(spelled, 0, 2, "24"), spelled)


def times_of(spelled: pa.Array) -> pa.Array:
    """The times of day, in microseconds, that `texts` spelled.

    Raises: pa.ArrowInvalid for a text that is none.
    """
    ends = pc.match_substring_regex(spelled, _END_OF_DAY)
    late = pc.any(ends).as_py()
    plain = pc.if_else(ends, pa.scalar("00:00:00"), spelled) if late else spelled
    instants = pc.cast(pc.binary_join_element_wise("1970-01-01T", plain, "Z", ""), pa.timestamp("us", "UTC"))  # it reads no times
    numbers = pc.cast(instants, pa.int64())
    return pc.cast(pc.if_else(ends, pa.scalar(DAY_US, pa.int64()), numbers) if late else numbers, pa.time64("us"))


def end_of_day(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray | None:
    """Where a column of times of day holds 24:00:00; None where it does nowhere."""
    day = _per_day(values.type)
    highest = pc.max(values)
    if not highest.is_valid or highest.value < day:
        return None
    return pc.equal(pc.cast(values, _number(values.type)), day)


def is_end_of_day(text: str) -> bool:
    """Whether a text says 24:00:00."""
    return re.match(_END_OF_DAY, text, re.ASCII) is not None


def _number(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_time32(kind) or pa.types.is_date32(kind) else pa.int64()


def _bounds(kind: pa.DataType, years: tuple[int, int]) -> tuple[int, int]:
    """The first number of these years, and the first one beyond them, of days or instants of that type; of a day, of times."""
    if pa.types.is_time(kind):
        return 0, _per_day(kind)
    return _day_of(years[0]) * _per_day(kind), _day_of(years[1] + 1) * _per_day(kind)


def _per_day(kind: pa.DataType) -> int:
    """How many of a column's numbers are a day."""
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return _DAY_SECONDS * _UNITS[kind.unit]
    return 1 if pa.types.is_date32(kind) else _DAY_SECONDS * _UNITS["ms"]


def _told(number: int, kind: pa.DataType) -> str:
    """A value that Python does not have, in the manner of ISO 8601."""
    if pa.types.is_time(kind):
        return END_OF_DAY if number == _per_day(kind) else str(number)
    days, rest = divmod(number, _per_day(kind))
    eras, within_era = divmod(days - _day_of(1), _ERA_DAYS)
    day = date.fromordinal(within_era + 1)
    year = day.year + eras * _ERA_YEARS
    text = f"{'-' if year < 0 else ''}{abs(year):04}-{day:%m-%d}"
    if not pa.types.is_timestamp(kind):
        return text
    seconds, part = divmod(rest, _UNITS[kind.unit])
    fraction = f".{part:0{len(str(_UNITS[kind.unit])) - 1}}" if part else ""
    clock = f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
    return f"{text}T{clock}{'' if kind.tz is None else 'Z'}"


def _day_of(year: int) -> int:
    """The first day of a year, counted from 1970-01-01."""
    eras, within = divmod(year - 1, _ERA_YEARS)
    return (datetime(within + 1, 1, 1, tzinfo=UTC) - _EPOCH).days + eras * _ERA_DAYS
