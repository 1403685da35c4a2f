"""Sendable: whether anything of a column would be sent. A cell that leaves its field as it is says nothing to Salesforce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from halocline.push.destination import RowBatch
from halocline.push.order import Nulls, WriteOrder


def sends(batch: RowBatch, name: str, *, order: WriteOrder) -> bool:
    """Whether any of these rows sets the field of that name, or clears it."""
    if isinstance(batch.rows, Sequence):
        return any(_is_sent(row[name], order) for row in batch.rows if isinstance(row, Mapping) and name in row)
    return any(_column_is_sent(batch.rows.column(at), order) for at in batch.rows.schema.get_all_field_indices(name))


def _is_sent(value: object, order: WriteOrder) -> bool:
    is_text = isinstance(value, str)
    is_empty = value is None or (is_text and value == "")
    return not is_empty or order.nulls is Nulls.CLEAR or (is_text and value == order.clears)


def _column_is_sent(column: pa.Array, order: WriteOrder) -> bool:
    if order.nulls is Nulls.CLEAR:
        return len(column) > 0
    values = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    kind = values.type
    if order.clears == "" or not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return bool(values.null_count < len(values))
    return bool(pc.any(pc.not_equal(values, "")).as_py())
