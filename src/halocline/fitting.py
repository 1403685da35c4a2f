"""Fitting: Python values in the columns of a table, exactly; what does not fit is told, and never cut, rounded or nulled.

Whole columns are tried at once; only where one does not go are its values looked at singly.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from halocline.exact_json import Digits, NoJSON, held_to_limits, json_text, see_json, value_of, whole
from halocline.moments import DAY_US, is_end_of_day
from halocline.quantity import quantity
from halocline.schema import Column, Kind, Schema

_MOST_DIGITS = 38
_BITS = {
    **dict.fromkeys(("tinyint",), 8),
    **dict.fromkeys(("smallint", "int2"), 16),
    **dict.fromkeys(("integer", "int4"), 32),
}
_UNSIGNED = {"utinyint": 8, "usmallint": 16, "uinteger": 32}
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_PLAIN = re.compile(r"[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
_FINER = re.compile(r"[.,][0-9]{6}[0-9]*[1-9]")  # than a microsecond
_SINGLE = {"real", "float"}  # of 32 bits; what is declared as float has 64, and no word
_SINGLE_DIGITS, _SINGLE_MOST = 6, 3.4028235677973366e38  # above which it is rounded to infinity
_MOST_WRITTEN = 10_000  # digits of a number that are written out in a text
_NUMERIC = "numeric"
_NAIVE = {"timestamp without time zone", "timestamp", "timestamp_s", "timestamp_ms"}


class Misfit(ValueError):
    """A row, or a value of it, that its table cannot take: `code` for programs, `fields` the columns."""

    def __init__(self, message: str, *, code: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.fields = fields


def fitted_row(row: Mapping[object, object], names: Mapping[str, Column]) -> dict[str, object]:
    """The row by the columns' names in lower case, all of them.

    Raises: Misfit for a row that names another column, or one of them twice, or leaves one out: it would be half filled.
    """
    told = dict(zip(_spelled(tuple(row)), row.values(), strict=True))
    if len(told) != len(row):
        spelled = [str(name).lower() for name in row]
        twice = sorted({name for name in spelled if spelled.count(name) > 1})
        raise Misfit(f"the row names {', '.join(twice)} twice, in two spellings", code="COLUMN_TWICE", fields=tuple(twice))
    if told.keys() == names.keys():
        return told
    strange, missing = sorted(told.keys() - names.keys()), [names[name].name for name in names if name not in told]
    if strange:
        raise Misfit(f"the table has no column {', '.join(strange)}", code="NO_COLUMN", fields=tuple(strange))
    message = f"the row leaves out {', '.join(missing)}; give None where there is no value"
    raise Misfit(message, code="COLUMN_LEFT_OUT", fields=tuple(missing))


@lru_cache(maxsize=64)
def _spelled(names: tuple[object, ...]) -> tuple[str, ...]:
    """The names of a row in lower case; of the rows of a table they are the same again and again."""
    return tuple(str(name).lower() for name in names)


def arrays(rows: Sequence[Mapping[str, object]], schema: Schema) -> tuple[list[pa.Array], dict[int, Misfit]]:
    """The columns of some rows, and by the row's number what does not fit; such a value is null among them."""
    odd: dict[int, Misfit] = {}
    columns = []
    for column in schema:
        name = column.name.lower()
        columns.append(_column([row[name] for row in rows], column, odd))
    return columns, odd


def _column(values: list[object], column: Column, odd: dict[int, Misfit]) -> pa.Array:
    quick = _quick(values, column)
    if quick is not None:
        return quick
    made: list[object] = []
    for number, value in enumerate(values):
        try:
            made.append(fitted(value, column))
        except Misfit as misfit:
            odd.setdefault(number, misfit)
            made.append(None)
    try:
        return pa.array(made, column.arrow)
    except (pa.ArrowException, ValueError, OverflowError):
        return pa.array(_carried(made, column, odd), column.arrow)


def _carried(values: list[object], column: Column, odd: dict[int, Misfit]) -> list[object]:
    """The values without those that Arrow cannot carry."""
    made: list[object] = []
    for number, value in enumerate(values):
        try:
            made.append(pa.array([value], column.arrow)[0].as_py())
        except (pa.ArrowException, ValueError, OverflowError):
            odd.setdefault(number, _misfit(value, column, _Not("cannot be carried")))
            made.append(None)
    return made


def _quick(values: list[object], column: Column) -> pa.Array | None:
    """The column at once, where all values are of a type that belongs there; None where they need a look."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds <= _EXACT.get(column.kind, set()) or not _is_plain(column):
        return None
    try:
        if column.kind is Kind.INTEGER and Decimal in kinds:
            found = pa.array(values, pa.decimal128(_MOST_DIGITS, 0)).cast(pa.int64())
        else:
            found = pa.array(values, column.arrow)
    except (pa.ArrowException, ValueError, OverflowError):
        return None
    if found.null_count and not column.nullable:
        return None
    if column.kind is Kind.STRING and _longest(found) > (column.length or math.inf):
        return None
    if column.kind is Kind.INTEGER and not _within(found, column):
        return None
    return None if column.kind is Kind.STRING and pc.any(pc.match_substring(found, "\0")).as_py() else found


def _longest(texts: pa.Array) -> float:
    return pc.max(pc.utf8_length(texts)).as_py() or 0


def _within(numbers: pa.Array, column: Column) -> bool:
    low, high = limits(column)
    found = pc.min_max(numbers)
    return found["min"].as_py() is None or (found["min"].as_py() >= low and found["max"].as_py() <= high)


_EXACT: dict[Kind, set[type]] = {
    Kind.STRING: {str},
    Kind.INTEGER: {int, Decimal},
    Kind.BOOLEAN: {bool},
    Kind.BINARY: {bytes},
    Kind.DOUBLE: {float},
    Kind.DECIMAL: {Decimal, int},
}


def fitted(value: object, column: Column) -> object:
    """The value as Arrow takes it for the column.

    Raises: Misfit for None where a value has to be, and for a value that the column cannot hold as it is.
    """
    if value is None:
        if column.nullable:
            return None
        raise Misfit(f"{column.name} is NOT NULL, and there is no value", code="NULL", fields=(column.name,))
    try:
        return _FITTED[column.kind](value, column)
    except _Not as reason:
        raise _misfit(value, column, reason) from None
    except NoJSON as reason:
        raise _misfit(value, column, _Not(str(reason))) from None
    except Exception as error:  # one odd value, such as one with itself inside, is no end of the others
        raise _misfit(value, column, _Not(f"cannot be taken ({type(error).__name__})")) from error


def limits(column: Column) -> tuple[int, int]:
    """The least and the greatest whole number that the column's own type takes."""
    word = column.source_type.lower()
    if word in _UNSIGNED:
        return 0, 2 ** _UNSIGNED[word] - 1
    bits = _BITS.get(word, 64)
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


class _Not(Exception):
    """Why a value does not go into its column, to be read behind the value."""

    def __init__(self, why: str, code: str = "DOES_NOT_FIT") -> None:
        super().__init__(why)
        self.code = code


def _misfit(value: object, column: Column, reason: _Not) -> Misfit:
    message = f"{column.name} is {column.source_type or column.kind}, and {_described(value)} {reason}"
    return Misfit(message, code=reason.code, fields=(column.name,))


def _described(value: object) -> str:
    """What a value is, and nothing of what it says: messages go to logs, and the record is in the rejection."""
    if isinstance(value, str):
        return f"a text of {len(value):,} character{'s' * (len(value) != 1)}"
    size = f" of {len(value):,}" if isinstance(value, (bytes, bytearray, list, tuple, set, frozenset, Mapping)) else ""
    word = type(value).__name__
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}{size}"


def _is_plain(column: Column) -> bool:
    """Whether the column's own type is as wide as its kind; others are carried as text because no neutral type holds them."""
    word = column.source_type.lower()
    return not (column.kind is Kind.STRING and word in {_NUMERIC, "uuid"}) and word not in _SINGLE


def _text(value: object, column: Column) -> str:
    word = column.source_type.lower()
    if word == _NUMERIC:
        number = _number(value)
        held_to_limits(number)
        return _written(number)
    text = _uuid(value) if word == "uuid" else _as_text(value)
    if "\0" in text:
        raise _Not("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Not("holds half a character") from None
    if column.length and len(text) > column.length:
        raise _Not(f"has {quantity(len(text), 'character')}, more than the {column.length:,} that it takes", "TOO_LONG")
    return text


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # the text itself, also of an enumeration
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return _written(value)
    if isinstance(value, int):
        return _written(Decimal(value))
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return json_text(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise _Not("is no text")


def _written(number: Decimal) -> str:
    """The number without an exponent, unless it is that of a number nobody could read."""
    return format(number, "f") if abs(number.adjusted()) < _MOST_WRITTEN else str(number)


def _uuid(value: object) -> str:
    try:
        return str(value if isinstance(value, UUID) else UUID(str(value)))
    except ValueError:
        raise _Not("is no UUID") from None


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise _Not("is no number")
    if isinstance(value, str) and not _PLAIN.fullmatch(value.strip()):
        raise _Not("is no number")
    number = Decimal(float.__repr__(value) if isinstance(value, float) else value)
    if not number.is_finite():
        raise _Not("is no finite number")
    return number


def _integer(value: object, column: Column) -> int:
    number = _number(value)
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise _Not("is no whole number")
    if number != number.to_integral_value():
        raise _Not("is no whole number")
    low, high = limits(column)
    if not low <= number <= high:
        raise _Not(f"is beyond its range of {low:,} to {high:,}", "OUT_OF_RANGE")
    return int(number)


def _decimal(value: object, column: Column) -> Decimal:
    number = _number(value)
    if not number:
        return Decimal(0)
    sign, digits, exponent = _digits(number)
    if -exponent > column.scale:
        raise _Not(f"has more than its {column.scale} decimals", "OUT_OF_RANGE")
    if len(digits) + exponent > column.precision - column.scale:
        raise _Not(f"has more digits than its {column.precision - column.scale} before the point", "OUT_OF_RANGE")
    return Decimal((sign, digits, exponent))


def _digits(number: Decimal) -> tuple[int, tuple[int, ...], int]:
    """A finite number's sign, digits and exponent, without zeros behind its decimals."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "it is finite"
    zeros = 0
    while exponent + zeros < 0 and zeros < len(digits) - 1 and digits[-1 - zeros] == 0:
        zeros += 1
    return sign, digits[: len(digits) - zeros], exponent + zeros


def _double(value: object, column: Column) -> float:
    """The nearest one to a fraction; a whole number itself.

    Raises: _Not for a number beyond its range, and a whole one that it would round.
    """
    single = column.source_type.lower() in _SINGLE
    if isinstance(value, float) and (not single or not math.isfinite(value) or _single(value) == value):
        return value  # the infinities and NaN are doubles
    number = _number(value)
    made = float(number)
    _in_range(number, made)
    if single:
        _in_range(number, _single(made))
    if number == number.to_integral_value():
        held = Decimal(_single(made)) if single else Decimal(made)
        shortest = len("".join(map(str, number.as_tuple().digits)).rstrip("0")) <= _SINGLE_DIGITS
        if number != held and not (shortest if single else number == Decimal(repr(made))):
            raise _Not("is a whole number that it would round", "OUT_OF_RANGE")
    return made


def _single(value: float) -> float:
    """The value in 32 bits; infinite where it is beyond them."""
    if not abs(value) < _SINGLE_MOST:
        return math.inf
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found


def _in_range(number: Decimal | float, made: float) -> None:
    if not math.isfinite(made) or (number and not made):
        raise _Not("is beyond its range", "OUT_OF_RANGE")


def _boolean(value: object, column: Column) -> bool:  # noqa: ARG001 - as the others
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _Not("is neither true nor false")


def _date(value: object, column: Column) -> date:  # noqa: ARG001 - as the others
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    parsed: date = _parsed(value, date.fromisoformat, "date")
    return parsed


def _time(value: object, column: Column) -> time | int:  # noqa: ARG001 - as the others
    if isinstance(value, str) and is_end_of_day(value):
        return DAY_US  # which `time` cannot say
    found = value if isinstance(value, time) else _parsed(value, time.fromisoformat, "time")
    if found.tzinfo is not None:
        raise _Not("has a time zone")
    return found


def _instant(value: object, column: Column) -> datetime:
    found = value if isinstance(value, datetime) else _parsed(value, datetime.fromisoformat, "instant")
    if found.tzinfo is not None:
        try:
            return found.astimezone(UTC)
        except OverflowError:
            raise _Not("is beyond the years 1 to 9999 in UTC", "OUT_OF_RANGE") from None
    if column.source_type.lower() in _NAIVE:
        return found.replace(tzinfo=UTC)
    raise _Not("has no offset from UTC, so it is no instant")


def _parsed(value: object, read: Callable[[str], Any], called: str) -> Any:
    if isinstance(value, str) and _FINER.search(value):
        raise _Not("is finer than a microsecond", "OUT_OF_RANGE")
    try:
        return read(str(value) if isinstance(value, str) else "")
    except ValueError:
        raise _Not(f"is no {called}") from None


def _binary(value: object, column: Column) -> bytes:  # noqa: ARG001 - as the others
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    held = getattr(value, "value", None)  # boto3's Binary
    if isinstance(held, bytes):
        return held
    raise _Not("is no bytes")


def _json(value: object, column: Column) -> str:
    if column.source_type.endswith("[]"):
        return whole(json_text(_elements(value_of(value) if isinstance(value, str) else value, column)))
    if not isinstance(value, str):
        return whole(json_text(value))
    see_json(value)
    return whole(value)


def _elements(value: object, column: Column) -> list[object]:
    """What an array holds, each in the type of its elements. Which type most are, is known; of others the server alone knows."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise _Not("is no list")
    element = _element(column.source_type.removesuffix("[]"))
    held = sorted(value, key=lambda one: (str(type(one)), one)) if isinstance(value, (set, frozenset)) else list(value)
    if element is None or element.kind is Kind.JSON:
        return held
    if any(isinstance(one, (list, tuple, set, frozenset)) for one in held):
        return _rows_of(held, column)
    return [None if one is None else _held(one, element) for one in held]


def _rows_of(held: list[object], column: Column) -> list[object]:
    """An array in an array.

    Raises: _Not where they are not all of one length: a database has no such arrays.
    """
    rows = [_elements(one, column) for one in held]
    if len({_shape(row) for row in rows}) > 1 or [] in rows:
        raise _Not("holds lists of several lengths")
    return list(rows)


def _shape(row: object) -> tuple[int, ...]:
    return (len(row), *(_shape(row[0]) if row else ())) if isinstance(row, list) else ()


def _element(word: str) -> Column | None:
    """The column that a type of elements would be; None for one that only the server knows."""
    found = _SIZED.fullmatch(word.lower())
    if found is None or found[1] not in _ELEMENTS:
        return None
    kind, own = _ELEMENTS[found[1]]
    if kind is Kind.DECIMAL and not (found[2] and int(found[2]) <= _MOST_DIGITS and int(found[3] or 0) <= int(found[2])):
        kind, own = Kind.STRING, _NUMERIC
    length = int(found[2] or 0) if kind is Kind.STRING and own != _NUMERIC else 0
    precision, scale = (int(found[2]), int(found[3] or 0)) if kind is Kind.DECIMAL else (0, 0)
    return Column("element", kind, length=length, precision=precision, scale=scale, source_type=own)


def _held(value: object, element: Column) -> object:
    """An element as JSON carries it.

    Raises: _Not for one that does not fit.
    """
    if isinstance(value, Digits):
        value = Decimal(value)
    if isinstance(value, (bytes, bytearray)) and element.kind is Kind.STRING and not element.source_type:
        return value  # in base64, as in a dict; that of a number would be another number
    try:
        made = _FITTED[element.kind](value, element)
    except _Not as reason:
        raise _Not(f"holds {_described(value)} that {reason}", reason.code) from None
    if isinstance(made, bytes):
        return "".join(f"\\x{byte:02x}" for byte in made) if element.source_type == "blob" else "\\x" + made.hex()
    if isinstance(made, float) and not math.isfinite(made):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(made, "NaN")
    return Digits(made) if element.source_type == _NUMERIC else made


_SIZED = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(\d+))?\))?")
_ELEMENTS: dict[str, tuple[Kind, str]] = {
    **dict.fromkeys(("text", "character varying", "varchar"), (Kind.STRING, "")),
    **{word: (Kind.INTEGER, word) for word in ("tinyint", "smallint", "integer", "bigint", *_UNSIGNED)},
    **dict.fromkeys(("numeric", "decimal"), (Kind.DECIMAL, "")),
    **{word: (Kind.DOUBLE, word) for word in ("real", "float", "double", "double precision")},
    **dict.fromkeys(("json", "jsonb"), (Kind.JSON, "")),
    "uuid": (Kind.STRING, "uuid"),
    "boolean": (Kind.BOOLEAN, ""),
    "date": (Kind.DATE, ""),
    **dict.fromkeys(("time", "time without time zone"), (Kind.TIME, "")),
    **{word: (Kind.DATETIME, word) for word in ("timestamp with time zone", "timestamp without time zone", "timestamp")},
    **{word: (Kind.BINARY, word) for word in ("bytea", "blob")},  # \x0aff and \x0a\xff
}
"""What elements of arrays are held to, by the database's word."""


_FITTED: dict[Kind, Callable[[Any, Column], object]] = {
    Kind.STRING: _text,
    Kind.JSON: _json,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.DOUBLE: _double,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.DATETIME: _instant,
    Kind.BINARY: _binary,
}
