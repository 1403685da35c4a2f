"""Texts in fields that hold no text: checkboxes spelled as every API takes them, and what can be no number and no day.

JSON refuses a whole call for one such text, and does not say whose it is: the rows would be found by halves, two calls for each.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Valid Date Format in Records"; Data Loader Guide, "Data Types Supported by
Data Loader" (the words for a checkbox). Read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.cells import places
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.writing.frames import KIND, ROW, fields_of
from halocline.outcome import RowResult

_TRUE = pa.array(["true", "yes", "t", "y", "on", "1"])
_FALSE = pa.array(["false", "no", "f", "n", "off", "0"])
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a text must look like, and what is said of one that does not. Nothing is refused here that Salesforce may take."""

    pattern: str
    told: str


_NUMBER = _Shape(
    r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$",
    "is no number such as 1234.5; map it by decimal(.) or decimal(,)",
)
_DAY = _Shape(
    r"^\s*\d{4,}-\d{1,2}-\d{1,2}",
    "is no date such as 2026-12-31; map it by date(%d.%m.%Y) or its like",
)
_INSTANT = _Shape(
    _DAY.pattern,
    "is no instant such as 2026-12-31T23:59:00Z; map it by datetime(%d.%m.%Y %H:%M, Europe/Berlin) or its like",
)
_SHAPES: Mapping[str, _Shape] = {
    **dict.fromkeys(("int", "long", "double", "currency", "percent"), _NUMBER),
    "date": _DAY,
    "datetime": _INSTANT,
}
_CHECKBOX = "boolean"


def types_of(describe: Mapping[str, Any]) -> dict[str, str]:
    """The types, by the field's name in lower case, of the fields that are looked at here."""
    return {
        str(field["name"]).lower(): str(field["type"])
        for field in describe.get("fields", ())
        if field.get("type") in _SHAPES or field.get("type") == _CHECKBOX
    }


def typed(batch: pa.RecordBatch, types: Mapping[str, str]) -> tuple[pa.RecordBatch, dict[int, RowResult]]:
    """The batch with checkboxes as `true` and `false`; and the rows, by their place, with a text that no such field holds."""
    doubts: dict[int, RowResult] = {}
    numbers = batch.column(ROW)
    for name in fields_of(batch.schema):
        kind = types.get(name.lower())
        if kind is None or f"{name}{KIND}" in batch.schema.names:  # with kinds: values of Python or Arrow, and no texts
            continue
        texts = batch.column(name)
        if kind == _CHECKBOX:
            spelled, problems = _checkboxes(texts)
            batch = batch.set_column(batch.schema.get_field_index(name), name, spelled)
        else:
            problems = _misshapen(texts, _SHAPES[kind])
        for at, told in problems:
            message = f"{name}: {texts[at].as_py()[:_SHOWN_CHARS]!r} {told}"
            doubts.setdefault(at, not_sent(numbers[at].as_py(), results.CANNOT_BE_SENT, message=message, fields=(name,)))
    return batch, doubts


_Problems = Iterator[tuple[int, str]]


def _checkboxes(texts: pa.Array) -> tuple[pa.Array, _Problems]:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    yes, no = pc.is_in(words, value_set=_TRUE), pc.is_in(words, value_set=_FALSE)
    spelled = pc.if_else(yes, "true", pc.if_else(no, "false", texts))
    neither = pc.invert(pc.or_(pc.or_(yes, no), pc.fill_null(pc.equal(texts, ""), fill_value=True)))
    return spelled, ((at, "is neither true nor false (yes and no, 1 and 0 are understood, too)") for at in places(neither))


def _misshapen(texts: pa.Array, shape: _Shape) -> _Problems:
    fits = pc.or_(pc.match_substring_regex(texts, shape.pattern), pc.equal(texts, ""))
    return ((at, shape.told) for at in places(pc.invert(pc.fill_null(fits, fill_value=True))))
