"""Narrow: types of databases that take less than the kind which they are of: what their columns could not hold.

A column that was read from a table has the database's own word for its type; only such columns are looked at.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from halocline.fitting import limits
from halocline.schema import Column, Kind

_INT64 = (-(1 << 63), (1 << 63) - 1)
_SINGLE = ("real", "FLOAT")
_SINGLE_MOST, _SINGLE_LEAST = 3.4028235677973366e38, 2.0**-150  # rounded to infinity from here on, and to nothing up to here
_NO_NUL = ("text", "character")  # of PostgreSQL; DuckDB's and Snowflake's words are in capitals, and they take it
_WRITTEN = {
    "numeric": r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$",
    "uuid": r"^([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}$",
}
_JSON_NUL = r"(^|[^\\])(\\\\)*\\u0000"


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
    if wanted.kind is Kind.INTEGER and limits(wanted) != _INT64:
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
