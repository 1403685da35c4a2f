"""Values and the types of their fields: checkboxes spelled as every API takes them, what can be no number and no day, and texts.

A number in a field that holds text is the text that a cell of Bulk has, whichever way it goes: as a number of JSON `7002.50`
would be another text, and another key, than in a sheet.

The 1 and 0 of a query, of JSON or of Python mean what they mean in a CSV file. JSON refuses a whole call for one such value, and
does not say whose it is: the rows would be found by halves, two calls for each.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Valid Date Format in Records"; Data Loader Guide, "Data Types Supported by
Data Loader" (the words for a checkbox). Read November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.cells import places
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.writing.frames import BYTES, DAY, DECIMAL, KIND, LITERAL, ROW, TEXT, fields_of
from halocline.outcome import RowResult
from halocline.push.texts import holds_text

_TRUE = pa.array(["true", "yes", "t", "y", "on", "1"])
_FALSE = pa.array(["false", "no", "f", "n", "off", "0"])
_SPELLED = pa.array(["true", "false"])
_NUMBERS = pa.array([LITERAL, DECIMAL], pa.int8())
_FILES = pa.array([BYTES], pa.int8())
_DAYS = pa.array([DAY], pa.int8())
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
_NO_INSTANT = "is a day and no instant; make it a timestamp with a time zone where it comes from, and say which"
_SHAPES: Mapping[str, _Shape] = {
    **dict.fromkeys(("int", "long", "double", "currency", "percent"), _NUMBER),
    "date": _DAY,
    "datetime": _INSTANT,
}
_CHECKBOX, _DATETIME = "boolean", "datetime"


def types_of(describe: Mapping[str, Any]) -> dict[str, str]:
    """The types, by the field's name in lower case, of the fields that are looked at here."""
    return {
        str(field["name"]).lower(): str(field["type"])
        for field in describe.get("fields", ())
        if field.get("type") in _SHAPES or field.get("type") == _CHECKBOX
    }


def typed(
    batch: pa.RecordBatch, types: Mapping[str, str], *, texts: frozenset[str]
) -> tuple[pa.RecordBatch, dict[int, RowResult]]:
    """The batch with checkboxes as `true` and `false`, and with numbers in fields of text as texts; and the rows, by their place,
    with a value that no such field holds. `texts` are the `text_fields` of the object.
    """
    doubts: dict[int, RowResult] = {}
    numbers = batch.column(ROW)
    for name in fields_of(batch.schema):
        kind = types.get(name.lower())
        batch, problems = (batch, ()) if kind is None else _looked_at(batch, name, kind)
        if holds_text(name, texts):
            batch = _as_texts(batch, name)
        for at, told in problems:
            message = f"{name}: {batch.column(name)[at].as_py()[:_SHOWN_CHARS]!r} {told}"
            doubts.setdefault(at, not_sent(numbers[at].as_py(), results.CANNOT_BE_SENT, message=message, fields=(name,)))
    return batch, doubts


_Problems = Iterable[tuple[int, str]]


def _looked_at(batch: pa.RecordBatch, name: str, kind: str) -> tuple[pa.RecordBatch, _Problems]:
    """The batch with that field spelled for its type, and where it holds what no such field does."""
    texts, at_kinds = batch.column(name), batch.schema.get_field_index(f"{name}{KIND}")
    kinds = None if at_kinds < 0 else batch.column(at_kinds)
    if kind != _CHECKBOX:
        return batch, [*_days(texts, kinds, kind), *_misshapen(texts, _SHAPES[kind])]
    spelled, problems = _checkboxes(texts, kinds)
    batch = batch.set_column(batch.schema.get_field_index(name), name, spelled)
    if kinds is not None:
        marked = pc.if_else(pc.is_in(spelled, value_set=_SPELLED), pa.scalar(LITERAL, pa.int8()), kinds)
        batch = batch.set_column(at_kinds, f"{name}{KIND}", marked)
    return batch, problems


def _as_texts(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """The batch with the numbers of that field marked as texts."""
    at = batch.schema.get_field_index(f"{name}{KIND}")
    if at < 0:
        return batch
    kinds = batch.column(at)
    marked = pc.if_else(pc.is_in(kinds, value_set=_NUMBERS), pa.scalar(TEXT, pa.int8()), kinds)
    return batch.set_column(at, f"{name}{KIND}", marked)


def _checkboxes(texts: pa.Array, kinds: pa.Array | None) -> tuple[pa.Array, _Problems]:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    if kinds is not None:
        whole = pc.replace_substring_regex(words, r"^([01])\.0+$", r"\1")  # pandas makes 1.0 of 1 where another row has none
        words = pc.if_else(pc.is_in(kinds, value_set=_NUMBERS), whole, words)
        words = pc.if_else(pc.is_in(kinds, value_set=_FILES), pa.scalar(None, pa.string()), words)
    yes, no = pc.is_in(words, value_set=_TRUE), pc.is_in(words, value_set=_FALSE)
    spelled = pc.if_else(yes, "true", pc.if_else(no, "false", texts))
    neither = pc.invert(pc.or_(pc.or_(yes, no), pc.fill_null(pc.equal(texts, ""), fill_value=True)))
    return spelled, ((at, "is neither true nor false (yes and no, 1 and 0 are understood, too)") for at in places(neither))


def _days(texts: pa.Array, kinds: pa.Array | None, kind: str) -> _Problems:
    """Dates of Python or Arrow for an instant: midnight is another instant in each zone, and which was meant nobody said."""
    if kinds is None or kind != _DATETIME:
        return ()
    are_days = pc.and_(pc.is_in(kinds, value_set=_DAYS), pc.fill_null(pc.not_equal(texts, ""), fill_value=False))
    return ((at, _NO_INSTANT) for at in places(are_days))


def _misshapen(texts: pa.Array, shape: _Shape) -> _Problems:
    fits = pc.or_(pc.match_substring_regex(texts, shape.pattern), pc.equal(texts, ""))
    return ((at, shape.told) for at in places(pc.invert(pc.fill_null(fits, fill_value=True))))
