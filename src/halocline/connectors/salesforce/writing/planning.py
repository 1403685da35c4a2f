"""Planning: staged rows are folded by key, sorted by parent, and cut into what one call or one job takes.

staged.arrow -> folding.py -> parents.py -> calls and sheets -> plan.json, last and at once
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from halocline.connectors.salesforce import sheets
from halocline.connectors.salesforce.collections import CALL_ROWS
from halocline.connectors.salesforce.spelling import CLEARED
from halocline.connectors.salesforce.writing import deciding, parents
from halocline.connectors.salesforce.writing.answers import keep_json
from halocline.connectors.salesforce.writing.cargo import FOLDED_FILE, LAYOUT, PLAN_FILE, cells, sheet_name
from halocline.connectors.salesforce.writing.folding import MERGED, Fold, fold
from halocline.connectors.salesforce.writing.frames import (
    BYTES,
    KIND,
    PLACE,
    Frames,
    fields_of,
    in_order,
)
from halocline.push.destination import WritePlan
from halocline.push.keys import alike
from halocline.push.order import Api, WriteOrder
from halocline.spool import IN_HOME, storage, to_disk

STAGED = "staged.arrow"  # the rows as they were put aside
CALL_BYTES = 10_000_000  # ours, of texts in a call: its memory here, while several are in flight
_WRITE = pa_csv.WriteOptions(include_header=False, quoting_style="needed")


@dataclass(frozen=True, slots=True)
class _Files:
    """What cutting made: the rows by how they travel, the calls' and the sheets' sizes, the bytes of each file of rows."""

    frames: Mapping[Api, Frames]
    calls: Sequence[Sequence[int]]
    sheets: Sequence[tuple[int, int]]
    bytes: Mapping[Api, int]

    @property
    def chunks(self) -> tuple[int, int]:
        return sum(times for _, times in self.calls), len(self.sheets)


class Planning:
    """From staged rows to a durable plan."""

    def __init__(self, order: WriteOrder, staged: Frames, *, describe: Mapping[str, Any], schema: pa.Schema) -> None:
        self._order, self._folder, self._describe = order, staged.path.parent, describe
        self._staged, self._schema = staged, schema
        self._names = fields_of(schema)
        self._second: tuple[str, ...] = ()  # columns that set what another one sets, and that no sheet has

    def run(self, hashes: pa.Array, *, digest: str) -> None:
        """Write the plan; `hashes` has a number for the key of each row, where the order has a key.

        Raises: StorageFailed.
        """
        folded = self._fold(hashes) if len(hashes) else None
        del hashes
        rows = self._staged.rows - (0 if folded is None else len(folded.rows))
        api, why = deciding.api_for(self._order, rows)
        self._second = self._second_columns() if api is Api.BULK else ()
        column = None if self._order.stop_on_error else parents.parent_column(self._names, self._describe)
        files = self._cut(self._ordered(folded, column, rows=rows), api)
        reasons = [why, *self._more_reasons(folded, column, files=files, api=api)]
        calls, jobs = files.chunks
        plan = WritePlan(
            api=api,
            reasons=tuple(reasons),
            rows=rows,
            folded=0 if folded is None else len(folded.rows),
            chunks=calls + jobs,
            calls=calls + jobs * deciding.JOB_CALLS,
            digest=digest,
            sorted_by=column,
        )
        self._write(plan, files, folded)

    def _fold(self, hashes: pa.Array) -> Fold | None:
        key = next(name for name in self._names if name.lower() == (self._order.needed or "").lower())
        sets = parents.targets(self._names, self._describe)
        same = alike(self._describe, self._order.needed)
        return fold(self._staged, key, alike=same, hashes=hashes, schema=self._schema, targets=sets)

    def _second_columns(self) -> tuple[str, ...]:
        """Of columns that set one field, such as `ParentId` and `Parent.Ext__c`, all but the one that most rows have: a header
        with two of them fails the whole job.
        """
        found: list[str] = []
        for names in parents.sharing(parents.targets(self._names, self._describe)):
            rows = {name: sum(len(one) - one.column(name).null_count for one in self._staged.batches([name])) for name in names}
            found += sorted(names, key=lambda name: -rows[name])[1:]
        return tuple(found)

    def _ordered(self, folded: Fold | None, column: str | None, *, rows: int) -> Iterable[pa.RecordBatch] | None:
        """The rows in the order in which they are sent; None where they lie so already."""
        if folded is None:
            places = None if column is None else parents.grouped(parents.hashes_of(self._staged, column))
            return None if places is None else self._in_order([(self._staged, places)], rows)
        sources = _places(self._staged, folded, column)
        return self._in_order(sources, rows)

    def _in_order(self, sources: Sequence[tuple[Frames, pa.Array]], rows: int) -> Iterator[pa.RecordBatch]:
        return in_order(sources, self._schema, rows=rows, folder=self._folder)

    def _cut(self, rows: Iterable[pa.RecordBatch] | None, api: Api) -> _Files:
        """Write the rows by how they travel. Rows that lie in order already, and all travel in one way, stay where they are."""
        stays = rows is None and not (api is Api.BULK and self._has_rows_apart())
        files = {one: Frames(self._folder / f"{one}.arrow") for one in (Api.COLLECTIONS, Api.BULK)}
        calls, sizes = _Calls(min(self._order.batch_size, CALL_ROWS)), dict[Api, int]()
        with ExitStack() as stack:
            jobs = stack.enter_context(_SheetFiles(self._folder, self._sheet_names, most=self._order.job_rows))
            for frames in files.values():
                stack.enter_context(frames)
            for batch in self._staged.batches() if rows is None else rows:
                for travels, some in _parted(batch, api, second=self._second):
                    if not stays:
                        files[travels].append(some)
                    (jobs if travels is Api.BULK else calls).add(some)
            jobs.finish()
            sizes = {one: frames.finish() for one, frames in files.items()}
        if stays:
            files[api] = self._kept(files[api].path)
            sizes[api] = files[api].path.stat().st_size
        return _Files(files, calls.runs(), jobs.sizes, sizes)

    @property
    def _sheet_names(self) -> list[str]:
        return [name for name in self._names if name not in self._second]

    def _kept(self, path: Path) -> Frames:
        """The staged rows under another name."""
        with storage(f"Keeping staged rows in {path}", room=IN_HOME):
            return Frames(self._staged.path.replace(path), self._staged.index)

    def _has_rows_apart(self) -> bool:
        batches = self._staged.batches()
        return any(pc.any(_not_in_bulk(one, most_chars=sheets.CELL_CHARS, second=self._second)).as_py() for one in batches)

    def _more_reasons(self, folded: Fold | None, column: str | None, *, files: _Files, api: Api) -> Iterator[str]:
        if api is Api.BULK and (apart := files.frames[Api.COLLECTIONS].rows):
            yield deciding.apart_reason(apart, chars=sheets.CELL_CHARS, second=self._second)
        if folded is not None and len(folded.rows):
            yield deciding.fold_reason(len(folded.rows), self._order.needed or "")
        yield deciding.order_reason(self._order, column, known=bool(self._describe))

    def _write(self, plan: WritePlan, files: _Files, folded: Fold | None) -> None:
        """All that is not durable yet, then the plan."""
        told = {
            "halocline": LAYOUT,
            "order": self._order.to_json(),
            "plan": plan.to_json(),
            "columns": self._sheet_names,
            "frames": {
                one: {
                    "file": frames.path.name,
                    "bytes": files.bytes[one],
                    "index": [[frame.offset, frame.rows, frame.low, frame.high] for frame in frames.index],
                }
                for one, frames in files.frames.items()
            },
            "calls": files.calls,
            "sheets": files.sheets,
            "folded": plan.folded,
        }
        with storage(f"Writing the plan to {self._folder}", room=IN_HOME):
            if folded is not None and plan.folded:
                with (self._folder / FOLDED_FILE).open("wb") as file:
                    for numbers in (folded.into, folded.rows):
                        file.write(memoryview(numbers.buffers()[1])[numbers.offset * 8 : (numbers.offset + len(numbers)) * 8])
                to_disk(self._folder / FOLDED_FILE)
            for name in (STAGED, MERGED):
                (self._folder / name).unlink(missing_ok=True)
            to_disk(self._folder)
        keep_json(self._folder / PLAN_FILE, told)


def _parted(batch: pa.RecordBatch, api: Api, *, second: Sequence[str]) -> Iterator[tuple[Api, pa.RecordBatch]]:
    """The rows by how they travel: of a load by Bulk, those that no sheet can hold go by collections."""
    if api is Api.BULK:
        apart = _not_in_bulk(batch, most_chars=sheets.CELL_CHARS, second=second)
        if pc.any(apart).as_py():
            yield Api.COLLECTIONS, batch.filter(apart)
            batch = batch.filter(pc.invert(apart))
    if batch.num_rows:
        yield api, batch


def _places(staged: Frames, folded: Fold, column: str | None) -> list[tuple[Frames, pa.Array]]:
    """The place of every row that is left, among them: of those that stayed alone, and of those that others were folded into."""
    carries = pc.is_valid(pc.inverse_permutation(folded.at, max_index=staged.rows - 1))
    left = pc.or_(folded.alone, carries)
    order = pa.array(range(pc.sum(left).as_py()), PLACE)
    if column is not None:
        own = parents.hashes_of(staged, column)
        merged = parents.hashes_of(folded.merged, column).take(pc.array_sort_indices(folded.at))
        known = pc.replace_with_mask(own, carries, merged)
        places_by_parent = parents.grouped(known.filter(left))
        order = order if places_by_parent is None else places_by_parent
    places = pc.replace_with_mask(pa.nulls(staged.rows, PLACE), left, order)
    return [(staged, pc.if_else(folded.alone, places, pa.scalar(None, PLACE))), (folded.merged, places.take(folded.at))]


def _not_in_bulk(batch: pa.RecordBatch, *, most_chars: int, second: Sequence[str]) -> pa.Array:
    """Which staged rows hold what no cell can: the text `#N/A`, a file, a text of more than `most_chars` characters, or anything
    in one of the `second` columns.
    """
    held = pa.repeat(pa.scalar(value=False), batch.num_rows)
    for name in fields_of(batch.schema):
        texts = batch.column(name)
        held = pc.or_(held, pc.is_valid(texts) if name in second else pc.fill_null(pc.equal(texts, CLEARED), fill_value=False))
        if (pc.max(pc.binary_length(texts)).as_py() or 0) > most_chars:
            held = pc.or_(held, pc.fill_null(pc.greater(pc.utf8_length(texts), most_chars), fill_value=False))
        if f"{name}{KIND}" in batch.schema.names:
            files = pc.equal(batch.column(f"{name}{KIND}"), BYTES)
            held = pc.or_(held, pc.fill_null(pc.and_(files, pc.not_equal(texts, "")), fill_value=False))
    return held


class _Calls:
    """How many rows each call takes: `size` at most, fewer where they are long."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._runs: list[list[int]] = []  # rows of a call, and how many calls in a row have as many
        self._rows = self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in."""
        lengths = pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
        for name in fields_of(batch.schema):
            lengths = pc.add(lengths, pc.fill_null(pc.binary_length(batch.column(name)), 0).cast(pa.int64()))
        for length in lengths.to_pylist():
            if self._rows == self._size or (self._rows and self._bytes + length > CALL_BYTES):
                self._end()
            self._rows += 1
            self._bytes += length

    def runs(self) -> list[list[int]]:
        """The calls: rows of a call, and how many calls in a row have as many."""
        if self._rows:
            self._end()
        return self._runs

    def _end(self) -> None:
        if self._runs and self._runs[-1][0] == self._rows:
            self._runs[-1][1] += 1
        else:
            self._runs.append([self._rows, 1])
        self._rows = self._bytes = 0


class _SheetFiles:
    """Writes rows as sheets below Bulk's limits, and of at most `most` rows, with the same header, and makes each durable."""

    def __init__(self, folder: Path, columns: Sequence[str], *, most: int | None = None) -> None:
        self._most = min(most or sheets.MAX_ROWS, sheets.MAX_ROWS)
        self.sizes: list[tuple[int, int]] = []  # rows and bytes of each sheet
        self._folder, self._columns = folder, tuple(columns)
        self._header = sheets.header_line(columns)
        self._file: Any = None
        self._rows = self._bytes = 0

    def __enter__(self) -> _SheetFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in."""
        while batch.num_rows:
            if self._rows == self._most:
                self.finish()
            room = self._most - self._rows
            self._add(batch.slice(0, room))
            batch = batch.slice(room)

    def _add(self, batch: pa.RecordBatch) -> None:
        for rows, data in self._texts(cells(batch, self._columns)):
            with storage(f"Writing a sheet to {self._folder}", room=IN_HOME):
                if self._rows + rows > self._most or self._bytes + len(data) > sheets.MAX_BYTES:
                    self.finish()
                if self._file is None:
                    self._file = (self._folder / sheet_name(len(self.sizes))).open("wb")
                    self._bytes = self._file.write(self._header)
                self._bytes += self._file.write(data)
                self._rows += rows

    def finish(self) -> None:
        """End the sheet that is being written."""
        if self._file is None:
            return
        with storage(f"Writing {self._file.name}", room=IN_HOME):
            self._file.close()
            to_disk(Path(self._file.name))
        self.sizes.append((self._rows, self._bytes))
        self._file, self._rows, self._bytes = None, 0, 0

    def _texts(self, batch: pa.RecordBatch) -> Iterator[tuple[int, bytes]]:
        """The rows as CSV, in pieces that fit into an empty sheet."""
        out = io.BytesIO()
        pa_csv.write_csv(batch, out, _WRITE)
        fits = out.tell() <= sheets.MAX_BYTES - len(self._header)
        if fits or batch.num_rows == 1:
            yield batch.num_rows, out.getvalue()
            return
        half = batch.num_rows // 2
        yield from self._texts(batch.slice(0, half))
        yield from self._texts(batch.slice(half))
