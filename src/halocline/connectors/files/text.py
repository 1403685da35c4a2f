"""Text: values of every kind as text that says them exactly, and back, for CSV and JSON Lines.

Instants are `2026-03-01T10:20:30.123456Z`, times `10:20:30.123456`, the end of a day `24:00:00.000000`, bytes base64, all else as
Arrow spells it.
"""

from __future__ import annotations

import base64

import pyarrow as pa
import pyarrow.compute as pc

from halocline.errors import SchemaConflict
from halocline.moments import misfit, texts, times_of
from halocline.schema import Column, Kind

NATIVE = {Kind.BOOLEAN, Kind.INTEGER, Kind.DOUBLE, Kind.DECIMAL}  # kinds that need no quotes


def to_text(values: pa.Array | pa.ChunkedArray, column: Column) -> pa.Array | pa.ChunkedArray:
    """The values as text; nulls stay null.

    Raises: SchemaConflict for a day or an instant outside of the years 1 to 9999, which no reader of such texts has.
    """
    if column.kind in (Kind.STRING, Kind.JSON):
        return values
    if column.kind is Kind.BINARY:
        return pa.array([None if v is None else base64.b64encode(v).decode() for v in values.to_pylist()], pa.string())
    if found := misfit(values):
        hint = "Write Parquet, correct it at the source, or leave the column out; nothing was published."
        cause = f"the column {column.name} holds {found}"
        raise SchemaConflict("Writing CSV or JSON Lines", cause, hint=hint, column=column.name)
    text = texts(values)
    return pc.replace_substring(text, " ", "T") if column.kind is Kind.DATETIME else text


def from_text(values: pa.Array, column: Column) -> pa.Array:
    """The values that `to_text` spelled.

    Raises: pa.ArrowInvalid for a text that is none of this kind.
    """
    if column.kind in (Kind.STRING, Kind.JSON):
        return values
    if column.kind is Kind.BINARY:
        return pa.array([None if v is None else base64.b64decode(v) for v in values.to_pylist()], pa.binary())
    if column.kind is Kind.TIME:
        return times_of(values)
    return pc.cast(values, column.arrow)
