"""Text: values of every kind as text that says them exactly, and back, for CSV and JSON Lines.

Instants are `2026-03-01T10:20:30.123456Z`, times `10:20:30.123456`, bytes base64, all else as Arrow spells it.
"""

from __future__ import annotations

import base64

import pyarrow as pa
import pyarrow.compute as pc

from halocline.schema import Column, Kind

NATIVE = {Kind.BOOLEAN, Kind.INTEGER, Kind.DOUBLE, Kind.DECIMAL}  # kinds that need no quotes


def to_text(values: pa.Array | pa.ChunkedArray, column: Column) -> pa.Array | pa.ChunkedArray:
    """The values as text; nulls stay null."""
    if column.kind in (Kind.STRING, Kind.JSON):
        return values
    if column.kind is Kind.BINARY:
        return pa.array([None if v is None else base64.b64encode(v).decode() for v in values.to_pylist()], pa.string())
    text = pc.cast(values, pa.string())
    return pc.replace_substring(text, " ", "T") if column.kind is Kind.DATETIME else text


def from_text(texts: pa.Array, column: Column) -> pa.Array:
    """The values that `to_text` spelled.

    Raises: pa.ArrowInvalid for a text that is none of this kind.
    """
    if column.kind in (Kind.STRING, Kind.JSON):
        return texts
    if column.kind is Kind.BINARY:
        return pa.array([None if v is None else base64.b64decode(v) for v in texts.to_pylist()], pa.binary())
    if column.kind is Kind.TIME:  # Arrow reads no times, only instants
        instants = pc.cast(pc.binary_join_element_wise("1970-01-01T", texts, "Z", ""), pa.timestamp("us", "UTC"))
        return pc.cast(pc.cast(instants, pa.int64()), column.arrow)
    return pc.cast(texts, column.arrow)
