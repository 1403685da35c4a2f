"""Scan: some columns of a CSV page looked at as texts, in flat memory, before a server is trusted with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import Raw
from halocline.rows.texts import TextCsv

_BLOCK_BYTES = 1 << 18


def is_free_of(raw: Raw, patterns: Mapping[str, str]) -> bool:
    """Whether no value of the page matches the regular expression of its column, which is named in any case.

    Nobody can say so of a page that cannot be read by columns: parsing copes with it, or says what is wrong.
    """
    try:
        return not patterns or not any(_matches(texts, patterns) for texts in _texts(raw, patterns))
    except pa.ArrowInvalid:
        return False  # a record longer than a block, or no CSV of these columns


def _matches(texts: pa.RecordBatch, patterns: Mapping[str, str]) -> bool:
    columns = zip(texts.columns, patterns.values(), strict=True)
    return any(pc.any(pc.match_substring_regex(column, pattern)).as_py() for column, pattern in columns)


def _texts(raw: Raw, names: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    known = {name.lower(): name for name in raw.columns}
    spelled = [known[name.lower()] for name in names]
    with raw.path.open("rb") as file, TextCsv(spelled, only=True).reader(file, block_bytes=_BLOCK_BYTES) as reader:
        yield from reader
