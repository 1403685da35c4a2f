"""Keys: what identifies a row, as one text, so that keys of any kind are compared and sorted in one way."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

KEY = "_halocline_key"
_SEPARATOR, _ESCAPE = "\x1f", "\x1e"


def key_of(rows: pa.Table | pa.RecordBatch, names: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    """The key of each row as text; null where a column of it is null. Different keys have different texts."""
    if len(names) == 1:
        return pc.cast(rows.column(names[0]), pa.string())
    return pc.binary_join_element_wise(*(_escaped(pc.cast(rows.column(name), pa.string())) for name in names), _SEPARATOR)


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


def _escaped(texts: pa.Array) -> pa.Array:
    texts = pc.replace_substring(texts, _ESCAPE, _ESCAPE + "0")
    return pc.replace_substring(texts, _SEPARATOR, _ESCAPE + "1")
