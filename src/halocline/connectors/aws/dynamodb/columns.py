"""Columns: attribute values in Arrow as a column of one kind, exact; what does not fit is marked, never nulled on the quiet.

A text column takes S and N (a number's text is all of it), INTEGER, DECIMAL and DOUBLE take N, BOOLEAN takes BOOL, BINARY takes
B, DATE, TIME and DATETIME take an S in ISO 8601 (an instant needs its offset), JSON takes everything. NULL is null, but the word
`null` in JSON. Only DOUBLE may round, because somebody declared it. A column that was read from a table has the
database's own word for its type, and holds what that does, which may be less than its kind (`beyond`).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, DecimalException, Inexact
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.aws.dynamodb.nested import check, texts
from halocline.connectors.aws.dynamodb.values import number
from halocline.fitting import limits
from halocline.moments import DAY_US, is_end_of_day
from halocline.schema import Column, Kind

TAKES: dict[Kind, tuple[str, ...]] = {
    Kind.STRING: ("S", "N"),
    Kind.BOOLEAN: ("BOOL",),
    Kind.BINARY: ("B",),
    **dict.fromkeys((Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE), ("N",)),
    **dict.fromkeys((Kind.DATE, Kind.TIME, Kind.DATETIME), ("S",)),
}
_INT64 = range(-(1 << 63), 1 << 63)
_ROOM = Context(prec=400, traps=[Inexact])  # digits; more than a number between 1E-130 and 1E+126 can have
_FINER = re.compile(r"[.,]\d{7}")  # what is finer than a microsecond would be cut off

Marks: TypeAlias = pa.BooleanArray | None
"""The rows that do not fit; None: all fit."""

_SINGLE = ("real", "FLOAT")
_SINGLE_MOST, _SINGLE_LEAST = 3.4028235677973366e38, 2.0**-150  # rounded to infinity from here on, and to nothing up to here
_NO_NUL = ("text", "character")  # of PostgreSQL; DuckDB's and Snowflake's words are in capitals, and they take it
_WRITTEN = {
    "numeric": r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$",
    "uuid": r"^([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}$",
}
_JSON_NUL = r"(^|[^\\])(\\\\)*\\u0000"


def column(cells: pa.StructArray, wanted: Column) -> tuple[pa.Array, Marks]:
    """The values as the column's Arrow type, null where they do not fit, and the rows in which that is so.

    Raises: Stop for what DynamoDB would not have sent.
    """
    if wanted.kind is Kind.JSON:
        values, marks = texts(cells), None
    else:
        check(cells)
        values, marks = _scalars(cells, wanted)
    if wanted.length and wanted.kind in (Kind.STRING, Kind.JSON):
        marks = either(marks, pc.fill_null(pc.greater(pc.utf8_length(values), wanted.length), fill_value=False))
    marks = either(marks, beyond(values, wanted))
    if not wanted.nullable and values.null_count:
        marks = either(marks, values.is_null())
    return values, marks


def either(first: Marks, second: Marks) -> Marks:
    """Rows that are in one of both."""
    if first is None or second is None:
        return first if second is None else second
    return pc.or_(first, second)


def _scalars(cells: pa.StructArray, wanted: Column) -> tuple[pa.Array, Marks]:
    marks: Marks = None
    parts = []
    for index, held in enumerate(cells.type):
        values = pc.struct_field(cells, [index])
        if values.null_count == len(values) or held.name == "NULL":
            continue
        if held.name not in TAKES[wanted.kind]:
            marks = either(marks, values.is_valid())
            continue
        part, odd = _CAST[wanted.kind](values, wanted)
        parts.append(part)
        marks = either(marks, odd)
    if not parts:
        return pa.nulls(len(cells), wanted.arrow), marks
    return parts[0] if len(parts) == 1 else pc.coalesce(*parts), marks


def _as_is(values: pa.Array, _: Column) -> tuple[pa.Array, Marks]:
    return values, None


def _integers(values: pa.StringArray, wanted: Column) -> tuple[pa.Array, Marks]:
    try:
        found = values.cast(pa.int64())
    except pa.ArrowInvalid:
        return _each(values, wanted, read=_integer)
    if pc.any(pc.match_substring(values, "x", ignore_case=True)).as_py():  # Arrow reads 0x1F too
        return _each(values, wanted, read=_integer)
    return found, None


def _decimals(values: pa.StringArray, wanted: Column) -> tuple[pa.Array, Marks]:
    try:
        return values.cast(wanted.arrow), None
    except pa.ArrowInvalid:
        return _each(values, wanted, read=partial(_decimal, precision=wanted.precision, scale=wanted.scale))


def _doubles(values: pa.StringArray, wanted: Column) -> tuple[pa.Array, Marks]:
    try:
        found = values.cast(pa.float64())
    except pa.ArrowInvalid:
        return _each(values, wanted, read=_double)
    if not pc.all(pc.is_finite(found), min_count=0).as_py():
        return _each(values, wanted, read=_double)
    return found, None


def _cast_or_each(values: pa.StringArray, wanted: Column) -> tuple[pa.Array, Marks]:
    try:
        return values.cast(wanted.arrow), None
    except pa.ArrowInvalid:
        return _each(values, wanted, read=_instant if wanted.kind is Kind.DATETIME else date.fromisoformat)


def _times(values: pa.StringArray, wanted: Column) -> tuple[pa.Array, Marks]:
    return _each(values, wanted, read=_time)


def _binaries(values: pa.StringArray, wanted: Column) -> tuple[pa.Array, Marks]:
    read = partial(binascii.a2b_base64, strict_mode=True)
    try:
        return pa.array([None if text is None else read(text) for text in values.to_pylist()], pa.binary()), None
    except ValueError:  # binascii.Error is one
        return _each(values, wanted, read=read)


def _each(values: pa.StringArray, wanted: Column, *, read: Callable[[str], Any]) -> tuple[pa.Array, Marks]:
    """One value at a time: slower, and it says which do not fit."""
    found: list[Any] = []
    odd: list[int] = []
    for row, text in enumerate(values.to_pylist()):
        try:
            found.append(None if text is None else read(text))
        except (ValueError, OverflowError, DecimalException):  # binascii.Error is a ValueError
            found.append(None)
            odd.append(row)
    marks = pc.is_in(pa.array(range(len(values)), pa.int64()), pa.array(odd, pa.int64())) if odd else None
    return pa.array(found, wanted.arrow), marks


def _integer(text: str) -> int:
    value = number(text)
    if value != value.to_integral_value() or int(value) not in _INT64:
        raise ValueError("no integer of 64 bits")
    return int(value)


def _decimal(text: str, *, precision: int, scale: int) -> Decimal:
    value = number(text).quantize(Decimal(1).scaleb(-scale), context=_ROOM)
    if value.adjusted() + scale >= precision and value:
        raise ValueError("too many digits")
    return value


def _double(text: str) -> float:
    return float(number(text))


def _instant(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None or _FINER.search(text):
        raise ValueError("no offset, or finer than a microsecond")
    return value.astimezone(UTC)


def _time(text: str) -> time | int:
    if is_end_of_day(text):
        return DAY_US  # which `time` cannot say
    value = time.fromisoformat(text)
    if value.tzinfo is not None or _FINER.search(text):
        raise ValueError("an offset, or finer than a microsecond")
    return value


_CAST: dict[Kind, Callable[[pa.Array, Column], tuple[pa.Array, Marks]]] = {
    Kind.STRING: _as_is,
    Kind.BOOLEAN: _as_is,
    Kind.INTEGER: _integers,
    Kind.DECIMAL: _decimals,
    Kind.DOUBLE: _doubles,
    Kind.DATE: _cast_or_each,
    Kind.DATETIME: _cast_or_each,
    Kind.TIME: _times,
    Kind.BINARY: _binaries,
}


def beyond(values: pa.Array, wanted: Column) -> pa.BooleanArray | None:
    """The values that the column's own type cannot hold; None: it holds all.

    Source: https://www.postgresql.org/docs/current/datatype-numeric.html
    Source: https://www.postgresql.org/docs/current/datatype-json.html
    """
    found = _beyond(values, wanted) if wanted.source_type else None
    if found is None or not pc.any(found).as_py():
        return None
    return pc.fill_null(found, fill_value=False)


def _beyond(values: pa.Array, wanted: Column) -> pa.BooleanArray | None:
    word = wanted.source_type
    if wanted.kind is Kind.INTEGER and limits(wanted) != (_INT64[0], _INT64[-1]):
        low, high = limits(wanted)
        return pc.or_(pc.less(values, low), pc.greater(values, high))
    if wanted.kind is Kind.DOUBLE and word in _SINGLE:
        size = pc.abs(values)
        nothing = pc.and_(pc.greater(size, 0.0), pc.less_equal(size, _SINGLE_LEAST))
        return pc.or_(pc.greater_equal(size, _SINGLE_MOST), nothing)
    if wanted.kind is Kind.JSON and word == "jsonb":
        there = pc.match_substring(values, "\\u0000")
        return pc.match_substring_regex(values, _JSON_NUL) if pc.any(there).as_py() else None
    if wanted.kind is not Kind.STRING:
        return None
    if word.lower() in _WRITTEN:
        return pc.invert(pc.match_substring_regex(values, _WRITTEN[word.lower()]))
    return pc.match_substring(values, "\0") if word.startswith(_NO_NUL) else None
