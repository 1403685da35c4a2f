"""What became of the rows of one job that has ended: its result files, fetched once, each row found in the sheet that was sent.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Get Job Successful Record Results" and its neighbours; read November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce.cells import header_of
from halocline.connectors.salesforce.ingest_jobs import IngestJobs, JobInfo
from halocline.connectors.salesforce.pages import text_batches
from halocline.connectors.salesforce.results import read_error
from halocline.connectors.salesforce.sheets import Sheet
from halocline.outcome import Fate, RowResult

ID, CREATED, ERROR = "sf__Id", "sf__Created", "sf__Error"  # the columns that result files begin with
_WRITTEN, _REFUSED, _LEFT = "successfulResults", "failedResults", "unprocessedrecords"
_BLOCK_BYTES = 1 << 21  # each block is looked up in a table of the whole sheet that is built anew: few, but small

_BETWEEN = "\x1f"
_EMPTY = "\x1e"


class JobResults:
    """The results of a job. `file` says where a result file of that name belongs; `key` is the column that tells rows apart.

    Without the `sheet` that the job was given (a job of some other time) rows have no number. Rows that are the same in every
    cell share their numbers out as they are read: for every row to have its own, read each kind once, from one JobResults.
    A `matching` of the sheet that was made before, and not used yet, saves making one.
    """

    def __init__(
        self,
        jobs: IngestJobs,
        info: JobInfo,
        *,
        file: Callable[[str], Path],
        sheet: Sheet | None,
        key: str | None = None,
        matching: Matching | None = None,
    ) -> None:
        self.info = info
        self._jobs = jobs
        self._file_of = file
        self._sheet = sheet
        self._key = key
        self._made = matching

    @property
    def written_count(self) -> int:
        """Rows that Salesforce has written."""
        return self.info.processed - self.info.failed

    @property
    def left_count(self) -> int | None:
        """Rows that the job did not come to; None where that cannot be told without the sheet."""
        return None if self._sheet is None else self._sheet.rows - self.info.processed

    def fetch(self) -> list[Path]:
        """The result files that have rows, downloaded where they are not there yet.

        Raises: Truncated for a file that stays short; NetworkFailed; StorageFailed.
        """
        return [self._fetched(name, rows) for name, rows in self._counts()]

    def written(self) -> Iterator[pa.RecordBatch]:
        """The rows that were written as Arrow: `row` (in the input), `id`, `created`."""
        names = (ID, CREATED, *(self._matching.columns if self._matching else ()))
        for batch in self._batches(_WRITTEN, names):
            columns = [self._rows(batch), batch.column(ID), batch.column(CREATED).cast(pa.bool_())]
            yield pa.RecordBatch.from_arrays(columns, names=["row", "id", "created"])

    def refused(self) -> Iterator[RowResult]:
        """The rows that Salesforce refused."""
        for batch in self._batches(_REFUSED):
            for row, told in zip(self._rows(batch).to_pylist(), batch.to_pylist(), strict=True):
                code, message, fields = read_error(told.pop(ERROR) or "")
                yield RowResult(row, Fate.REFUSED, told.pop(ID), code=code, message=message, fields=fields, record=told)

    def left(self) -> Iterator[RowResult]:
        """The rows that the job did not come to."""
        state = self.info.state
        message = self.info.message or f"the job ended {state} before it came to this row"
        for batch in self._batches(_LEFT):
            for row, told in zip(self._rows(batch).to_pylist(), batch.to_pylist(), strict=True):
                yield RowResult(row, Fate.NOT_SENT, code=state, message=message, record=told)

    def _counts(self) -> list[tuple[str, int | None]]:
        """The files that have rows, and how many (None: not known). A job of another time that is complete leaves none."""
        is_left = self.left_count != 0 if self.left_count is not None else self.info.state != "JobComplete"
        found = [(_WRITTEN, self.written_count), (_REFUSED, self.info.failed)]
        return [*((name, rows) for name, rows in found if rows), *([(_LEFT, self.left_count)] if is_left else [])]

    def _batches(self, name: str, columns: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The rows of a result file, with all its columns or just these."""
        for one, rows in self._counts():
            if one == name:
                path = self._fetched(name, rows)
                there = header_of(path)
                if there:
                    yield from text_batches(path, columns or there, block_bytes=_BLOCK_BYTES)

    def _fetched(self, name: str, rows: int | None) -> Path:
        path = self._file_of(f"{self.info.id}-{name}.csv")
        return path if path.exists() else self._jobs.download(self.info.id, name, to=path, rows=rows)

    def _rows(self, batch: pa.RecordBatch) -> pa.Array:
        return pa.nulls(batch.num_rows, pa.int64()) if self._matching is None else self._matching.rows(batch)

    @cached_property
    def _matching(self) -> Matching | None:
        return self._made or (None if self._sheet is None else Matching(self._sheet, self._key))


class Matching:
    """The rows of one sheet, to be taken one by one: by key, else by all they hold, never by position. `key` is the column that
    tells them apart, where there is one.

    Rows that are the same in every cell are interchangeable and matched by count. A row is remembered by 64 bits of a hash that
    is keyed anew in every process: among a million rows, two different ones are taken for each other in one load of thirty
    million.
    """

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
