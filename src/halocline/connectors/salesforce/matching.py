"""Which row of a sheet a row of Bulk's result files is: by key, else by all it holds, never by position.

Rows that are the same in every cell are interchangeable and matched by count. A row is remembered by 64 bits of a hash that is
keyed anew in every process: among a million rows, two different ones are taken for each other in one load of thirty million.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce.pages import text_batches
from halocline.connectors.salesforce.sheets import Sheet

_BETWEEN = "\x1f"
_EMPTY = "\x1e"


class Matching:
    """The rows of one sheet, to be taken one by one. `key` is the column that tells them apart, where there is one."""

    def __init__(self, sheet: Sheet, key: str | None = None) -> None:
        by_key = [name for name in sheet.columns if key is not None and name.lower() == key.lower()]
        self._names: Sequence[str] = by_key or sheet.columns
        self._rows = sheet.row_numbers()
        found = self._read(sheet)
        if by_key and pc.count_distinct(found).as_py() != len(found):
            self._names = sheet.columns
            found = self._read(sheet)
        encoded = pa.array(found, pa.int64()).dictionary_encode()
        self._known = encoded.dictionary
        self._waiting = _by_code(encoded) if len(self._known) != len(found) else None

    @property
    def columns(self) -> Sequence[str]:
        """The columns that a row is known by."""
        return self._names

    def rows(self, batch: pa.RecordBatch) -> pa.Array:
        """The input's row number for each row of a result file; null for one that is not in the sheet, or there too often."""
        codes = pc.index_in(_digests(batch, self._names), value_set=self._known)
        if self._waiting is None:
            return self._rows.take(codes)
        places = [self._waiting[code].pop() if code is not None and self._waiting[code] else None for code in codes.to_pylist()]
        return self._rows.take(pa.array(places, pa.int64()))

    def _read(self, sheet: Sheet) -> pa.ChunkedArray:
        parts = [_digests(batch, self._names) for batch in text_batches(sheet.path, self._names)]
        return pa.chunked_array(parts, pa.int64()).combine_chunks()


def _by_code(encoded: pa.DictionaryArray) -> list[list[int]]:
    """For each different row, the places where it stands, the first one last."""
    places: list[list[int]] = [[] for _ in range(len(encoded.dictionary))]
    for place, code in _backwards(encoded.indices.to_pylist()):
        places[code].append(place)
    return places


def _backwards(codes: Sequence[int]) -> Iterable[tuple[int, int]]:
    return ((place, codes[place]) for place in range(len(codes) - 1, -1, -1))


def _digests(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Array:
    """A number for each row. Line ends are made one: whether Bulk echoes CRLF inside a value as it came is unverified."""
    columns = [pc.fill_null(batch.column(name), _EMPTY) for name in names]
    joined = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, _BETWEEN)
    if pc.any(pc.match_substring(joined, "\r")).as_py():
        joined = pc.replace_substring(joined, "\r\n", "\n")
    return pa.array(list(map(hash, joined.to_pylist())), pa.int64())
