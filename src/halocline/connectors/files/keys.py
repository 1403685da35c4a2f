"""Keys: what identifies a row, as one text, so that keys of any kind are compared and sorted in one way."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc

from halocline.moments import SPELLED, misfit, within

KEY = "_halocline_key"
_SEPARATOR, _ESCAPE, _BYTES = "\x1f", "\x1e", "\x1d"


def key_of(rows: pa.Table | pa.RecordBatch, names: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """The key of each row as text; null where a column of it is null. Different keys have different texts."""
    if len(names) == 1:
        return _text(rows.column(names[0]))
    return pc.binary_join_element_wise(*(_escaped(_text(rows.column(name))) for name in names), _SEPARATOR)


def between(keys: pa.ChunkedArray | pa.Array, *, low: str, high: str) -> pa.ChunkedArray | pa.Array:
    """Those of sorted keys from `low` to `high`, both included."""
    first, last = lower(keys, low), bisect_right(range(len(keys)), high, key=lambda i: keys[i].as_py())
    return keys.slice(first, max(last - first, 0))


def lower(keys: pa.ChunkedArray | pa.Array, bound: str) -> int:
    """The place of the first of sorted keys that is not below `bound`."""
    return bisect_left(range(len(keys)), bound, key=lambda i: keys[i].as_py())


def ends(keys: pa.ChunkedArray | pa.Array) -> tuple[str, str]:
    """The least and the greatest key; empty texts where there are none."""
    found = pc.min_max(keys).as_py()
    return found["min"] or "", found["max"] or ""


def _text(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column as texts, different ones for different values, which need not be how a value is spelled elsewhere."""
    if pa.types.is_binary(values.type):
        return _text_of_bytes(values)
    if pa.types.is_timestamp(values.type) and misfit(values, years=SPELLED):  # Arrow would spell two far instants alike
        near = pc.if_else(within(values, SPELLED), values, pa.scalar(None, values.type))
        return pc.coalesce(pc.cast(near, pa.string()), pc.cast(pc.cast(values, pa.int64()), pa.string()))
    return pc.cast(values, pa.string())


def _text_of_bytes(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Bytes that are UTF-8 as that text, others as hexadecimal digits behind a mark, which no text begins with."""
    try:
        texts = pc.cast(values, pa.string())
        if not pc.any(pc.starts_with(texts, _BYTES)).as_py():
            return texts
    except pa.ArrowInvalid:
        pass
    made = [None if value is None else _text_of(value) for value in values.to_pylist()]
    return pa.chunked_array([pa.array(made, pa.string())]) if isinstance(values, pa.ChunkedArray) else pa.array(made, pa.string())


def _text_of(value: bytes) -> str:
    with suppress(UnicodeDecodeError):
        text = value.decode()
        if not text.startswith(_BYTES):
            return text
    return _BYTES + value.hex()


def _escaped(texts: pa.Array) -> pa.Array:
    texts = pc.replace_substring(texts, _ESCAPE, _ESCAPE + "0")
    return pc.replace_substring(texts, _SEPARATOR, _ESCAPE + "1")
