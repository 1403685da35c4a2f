"""Comparison: values of a column against some that are named, by what they mean and not by how they are spelled.

SQLite has no days and no decimals: two texts of one instant are two values to it, and 1.5 and 1.50 in a column that keeps text.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import JSON
from halocline.connectors.sqlite.types import array_of
from halocline.schema import Column, Kind, Schema
from halocline.standard_sql import literal, quoted

KEYS_AT_ONCE = 500  # values that SQLite binds in one statement; its oldest limit is 999
_SPELLED_VARIOUSLY = {Kind.DATETIME, Kind.DATE, Kind.TIME}
_NUMBERS = {Kind.INTEGER, Kind.DOUBLE, Kind.DECIMAL}
_AS_THEY_ARE = {Kind.STRING, Kind.INTEGER, Kind.DOUBLE}  # kinds that the type of a column makes of what it is compared with


def compared(column: Column) -> str:
    """A column in a condition: how a day or a number is spelled says nothing, and other values are as they are as text."""
    name = quoted(column.name)
    if column.kind in _SPELLED_VARIOUSLY:
        return f"julianday({name})"
    return f"CAST({name} AS {'NUMERIC' if column.kind in _NUMBERS else 'TEXT'})"


def compared_in(schema: Schema, name: str) -> str:
    """`compared` for the column of that name."""
    column = schema.column(name)
    assert column is not None, "who asks for it found it there"
    return compared(column)


def literal_as(text: str, column: Column) -> str:
    """A text as a value of a column, as `compared` has it."""
    told = literal(text)
    if column.kind in _SPELLED_VARIOUSLY:
        return f"julianday({told})"
    if column.kind is Kind.BOOLEAN:
        return f"'{int(text == 'True')}'"
    return f"CAST({told} AS NUMERIC)" if column.kind in _NUMBERS else told


def among(column: Column, keys: Sequence[JSON]) -> tuple[str, list[object]]:
    """The condition that a column is one of the keys, and the values it binds; more rows may meet it than `only` leaves.

    A column with a type that makes a key its own is compared as it is, so that an index finds its rows. `julianday` knows
    milliseconds, and SQLite compares decimals as doubles.
    """
    if column.source_type and column.kind in _AS_THEY_ARE:
        left, asked = quoted(column.name), "?"
    elif column.kind in _SPELLED_VARIOUSLY:
        left, asked = compared(column), "julianday(?)"
    else:
        left, asked = compared(column), f"CAST(? AS {'NUMERIC' if column.kind in _NUMBERS else 'TEXT'})"
    return f"{left} IN ({', '.join([asked] * len(keys))})", [_plain(key, column) for key in keys]


def only(rows: pa.RecordBatch, column: Column, *, keys: Sequence[JSON]) -> pa.RecordBatch:
    """The rows whose column is one of the keys exactly."""
    wanted = array_of([_plain(key, column) for key in keys], column)
    return rows.filter(pc.is_in(rows.column(column.name), value_set=wanted))


def _plain(key: object, column: Column) -> object:
    """A key as SQLite takes it: days and decimals as text, a whole number as one."""
    if isinstance(key, float) and column.kind is Kind.INTEGER and key.is_integer():
        return int(key)
    return key if isinstance(key, (int, float, bytes)) else str(key)
