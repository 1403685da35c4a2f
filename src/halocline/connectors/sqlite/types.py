"""Types: the neutral types as SQLite's, and values on their way in and out, so that none loses a digit.

SQLite stores integers, floating point, text and bytes, and whether it turns one into another follows from the words of a column's
type. So decimals are text of a column that stays text, of as many decimals as the column has; dates, times and instants are text
that its own functions read, and that sorts as they do.
Source: "Datatypes In SQLite", section 3.1, https://sqlite.org/datatype3.html, read November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from halocline.errors import SchemaConflict
from halocline.moments import DAY_US, is_end_of_day, misfit, texts
from halocline.schema import Column, Kind

_SQL_TYPES = {
    Kind.STRING: "TEXT",
    Kind.JSON: "JSON TEXT",  # JSON alone would make a number of the text 1.0
    Kind.BOOLEAN: "BOOLEAN",
    Kind.INTEGER: "INTEGER",
    Kind.DOUBLE: "DOUBLE",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
    Kind.DATETIME: "DATETIME",
    Kind.BINARY: "BLOB",
}
_KINDS = {told: kind for kind, told in _SQL_TYPES.items()} | {
    "BOOL": Kind.BOOLEAN,
    "TIMESTAMP": Kind.DATETIME,
}
_DECIMAL = re.compile(r"DECIMAL TEXT\((\d+),\s*(\d+)\)")
_KEPT_AS_TEXT = ("CHAR", "CLOB", "TEXT")
_MOMENTS = (Kind.DATE, Kind.TIME, Kind.DATETIME)


def sql_type(column: Column) -> str:
    """SQLite's type for a column, as a table has it that is made here."""
    if column.kind is Kind.DECIMAL:
        return f"DECIMAL TEXT({column.precision},{column.scale})"
    return _SQL_TYPES[column.kind]


def described(name: str, told: str, *, nullable: bool = True) -> Column:
    """A column whose type is `told` so, perhaps by somebody else's words; what has none is text."""
    words = " ".join(told.upper().split())
    if found := _DECIMAL.fullmatch(words):
        precision, scale = int(found[1]), int(found[2])
        return Column(name, Kind.DECIMAL, precision=precision, scale=scale, nullable=nullable, source_type=told)
    return Column(name, _KINDS.get(words) or _by_affinity(words), nullable=nullable, source_type=told)


def holds(told: str, column: Column) -> bool:
    """Whether a column of a table, whose type is `told` so, keeps every value of `column` as it is."""
    there = described(column.name, told)
    if column.kind is Kind.STRING and not any(word in told.upper() for word in _KEPT_AS_TEXT):
        return False
    return (there.kind, there.precision, there.scale) == (column.kind, column.precision, column.scale)


def values_of(values: pa.Array, column: Column) -> list[object]:
    """The values of a column as SQLite stores them.

    Raises: SchemaConflict for a value that it cannot hold: NaN, and what its functions for dates cannot read: years before 1 or
    after 9999.
    """
    if column.kind is Kind.BOOLEAN:
        values = values.cast(pa.int8())
    elif column.kind is Kind.DECIMAL:
        return [None if value is None else format(value, "f") for value in values.to_pylist()]
    elif column.kind is Kind.DOUBLE:
        if pc.any(pc.is_nan(values)).as_py():
            raise _unfit(column, "NaN, which would become null")
    elif column.kind in _MOMENTS:
        if beyond := misfit(values):
            raise _unfit(column, beyond)
        values = pc.replace_substring(texts(values), " ", "T") if column.kind is Kind.DATETIME else texts(values)
    found: list[object] = values.to_pylist()
    return found


def array_of(values: list[object], column: Column) -> pa.Array:
    """Values as SQLite has them as an array of the column's type.

    Raises: SchemaConflict for a value that is of another type than its column: SQLite lets anything be anywhere.
    """
    read = _READERS[column.kind]
    made: list[object] = []
    for value in values:
        try:
            made.append(None if value is None else read(value))
        except (TypeError, ValueError, InvalidOperation) as error:
            raise _unfit(column, f"the value {str(value)[:80]!r}") from error
    try:
        return pa.array(made, column.arrow)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise SchemaConflict(f"Reading the column {column.name}", str(error), hint=_HINT, column=column.name) from error


_HINT = "Correct it at the source, or leave the column out; nothing was published."


def _unfit(column: Column, what: str) -> SchemaConflict:
    cause = f"it holds {what}; the column is {column.source_type or sql_type(column)}"
    return SchemaConflict(f"Loading the column {column.name}", cause, hint=_HINT, column=column.name)


def _by_affinity(words: str) -> Kind:
    """The kind for words that we do not use, by SQLite's own rules; numbers of any kind are doubles, as SQLite keeps them."""
    if "INT" in words:
        return Kind.INTEGER
    if any(word in words for word in _KEPT_AS_TEXT):
        return Kind.STRING
    if "BLOB" in words:
        return Kind.BINARY
    return Kind.DOUBLE if any(word in words for word in ("REAL", "FLOA", "DOUB", "NUM", "DEC")) else Kind.STRING


def _text(value: object) -> str:
    if isinstance(value, bytes):
        raise TypeError("bytes are no text")
    return value if isinstance(value, str) else repr(value)


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("no whole number")
    return value


def _double(value: object) -> float:
    if not isinstance(value, (int, float)) or (isinstance(value, int) and int(float(value)) != value):
        raise TypeError("no number that a double holds")
    return float(value)


def _truth(value: object) -> bool:
    if value not in (0, 1):
        raise ValueError("neither true nor false")
    return bool(value)


def _bytes(value: object) -> bytes:
    if not isinstance(value, (bytes, str)):
        raise TypeError("no bytes")
    return value.encode() if isinstance(value, str) else value


def _time(value: object) -> time | int:
    """The time of day; for the end of a day, which `time` cannot say, its microseconds."""
    text = _text(value)
    return DAY_US if is_end_of_day(text) else time.fromisoformat(text)


def _instant(value: object) -> datetime:
    found = datetime.fromisoformat(_text(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


_READERS: dict[Kind, Callable[[object], object]] = {
    Kind.STRING: _text,
    Kind.JSON: _text,
    Kind.BOOLEAN: _truth,
    Kind.INTEGER: _whole,
    Kind.DOUBLE: _double,
    Kind.DECIMAL: lambda value: Decimal(_text(value)),
    Kind.DATE: lambda value: date.fromisoformat(_text(value)),
    Kind.TIME: _time,
    Kind.DATETIME: _instant,
    Kind.BINARY: _bytes,
}
