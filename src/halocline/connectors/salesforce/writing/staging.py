"""Staging: rows are put aside on disk as texts, then planned: folded by key, sorted by parent, cut into chunks.

    stage   rows -> columns.py (texts) -> typed.py, checks.py (what can never be sent) -> staged.arrow
    finish  staged.arrow -> folding.py -> parents.py -> cutting.py -> plan.json, last and at once

Memory holds two numbers for each row and a few thousand rows, however many there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import sheets
from halocline.connectors.salesforce.collections import CALL_ROWS
from halocline.connectors.salesforce.writing import checks, deciding, parents
from halocline.connectors.salesforce.writing.answers import keep_json
from halocline.connectors.salesforce.writing.columns import Columns, not_in_bulk
from halocline.connectors.salesforce.writing.cutting import Calls, SheetFiles
from halocline.connectors.salesforce.writing.digest import Digest
from halocline.connectors.salesforce.writing.folding import MERGED, Fold, column_of, fold, hashed, key_of
from halocline.connectors.salesforce.writing.frames import (
    FRAME_BYTES,
    FRAME_ROWS,
    KIND,
    PLACE,
    ROW,
    Frames,
    fields_of,
    in_order,
    joined,
    type_of,
)
from halocline.connectors.salesforce.writing.prepared import FOLDED_FILE, LAYOUT, PLAN_FILE, Prepared
from halocline.connectors.salesforce.writing.typed import typed, types_of
from halocline.errors import StorageFailed
from halocline.outcome import RowResult
from halocline.push.destination import RowBatch, WritePlan
from halocline.push.order import Api, WriteOrder
from halocline.spool import storage, to_disk

_STAGED = "staged.arrow"


class Staging:
    """Rows on their way into a folder. `describe` is the object's describe, for types and references ({} where it is not known).

    Raises: StorageFailed for a folder that holds a plan already: what is planned there may have been sent.
    """

    def __init__(self, order: WriteOrder, folder: Path, *, describe: Mapping[str, Any]) -> None:
        if (folder / PLAN_FILE).exists():
            raise StorageFailed(f"Staging rows in {folder}", "there is a plan already", hint="Open it, or take another folder.")
        self._order, self._folder, self._describe = order, folder, describe
        with storage(f"Making the folder {folder}"):
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            for sheet in folder.glob("sheet-*.csv"):  # of a planning that died
                sheet.unlink()
        self._columns = Columns(order)
        self._types = types_of(describe)
        self._filled: dict[str, None] = {}  # the fields, in order, that any staged row has
        self._staged = Frames(folder / _STAGED)
        self._waiting: list[pa.RecordBatch] = []
        self._digest = Digest()
        self._hashes = array("q")

    def stage(self, batch: RowBatch) -> Sequence[RowResult]:
        """Put rows aside; the answer tells those that can never be sent, and they are not put aside.

        Raises: FixConfig for a table with columns that cannot be sent at all; StorageFailed.
        """
        refused: list[RowResult] = []
        for spelled, unspelled in self._columns.staged(batch):
            judged, mistyped = typed(spelled, self._types)
            staged = checks.settled(judged, parents.targets(fields_of(spelled.schema), self._describe))
            doubts = {**mistyped, **checks.doubts_of(staged, self._order), **unspelled}
            refused += (doubts[place] for place in sorted(doubts))
            self._put(checks.without(staged, doubts))
        return refused

    def finish(self) -> Prepared:
        """Plan the rows that are staged, and make that durable. Called once, after the last `stage`.

        Raises: StorageFailed.
        """
        self._flush()
        self._staged.finish()
        names = list(self._filled)
        marks = [f"{name}{KIND}" for name in names if name in self._columns.kinds]
        schema = pa.schema([(name, type_of(name)) for name in (ROW, *names, *marks)])
        planning = _Planning(self._order, self._staged, describe=self._describe, schema=schema)
        hashes, self._hashes = self._hashes, array("q")
        planning.run(column_of(hashes), digest=self._digest.text())
        prepared = Prepared.open(self._folder)
        assert prepared is not None, "the plan was just written"
        return prepared

    def _put(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        held = sum(one.num_rows for one in self._waiting)
        if held >= FRAME_ROWS or sum(one.nbytes for one in self._waiting) >= FRAME_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write the rows that wait: few large batches are read faster than many small ones."""
        if not self._waiting:
            return
        batch = joined(self._waiting)
        self._waiting = []
        self._digest.add(batch)
        for name in fields_of(batch.schema):
            if name not in self._filled and batch.column(name).null_count < batch.num_rows:
                self._filled[name] = None
        if self._order.needed is not None:
            key = self._columns.names[self._order.needed.lower()]
            self._hashes += hashed(key_of(batch.column(key), is_id=key.lower() == "id"))
        self._staged.append(batch)


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


class _Planning:
    """From staged rows to a durable plan."""

    def __init__(self, order: WriteOrder, staged: Frames, *, describe: Mapping[str, Any], schema: pa.Schema) -> None:
        self._order, self._folder, self._describe = order, staged.path.parent, describe
        self._staged, self._schema = staged, schema
        self._names = fields_of(schema)

    def run(self, hashes: pa.Array, *, digest: str) -> None:
        folded = self._fold(hashes) if len(hashes) else None
        del hashes
        rows = self._staged.rows - (0 if folded is None else len(folded.rows))
        api, why = deciding.api_for(self._order, rows)
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
        return fold(self._staged, key, hashes=hashes, schema=self._schema, targets=sets)

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
        calls, sizes = Calls(min(self._order.batch_size, CALL_ROWS)), dict[Api, int]()
        with ExitStack() as stack:
            jobs = stack.enter_context(SheetFiles(self._folder, self._names, most=self._order.job_rows))
            for frames in files.values():
                stack.enter_context(frames)
            for batch in self._staged.batches() if rows is None else rows:
                for travels, some in _parted(batch, api):
                    if not stays:
                        files[travels].append(some)
                    (jobs if travels is Api.BULK else calls).add(some)
            jobs.finish()
            sizes = {one: frames.finish() for one, frames in files.items()}
        if stays:
            files[api] = self._kept(files[api].path)
            sizes[api] = files[api].path.stat().st_size
        return _Files(files, calls.runs(), jobs.sizes, sizes)

    def _kept(self, path: Path) -> Frames:
        """The staged rows under another name."""
        with storage(f"Keeping staged rows in {path}"):
            return Frames(self._staged.path.replace(path), self._staged.index)

    def _has_rows_apart(self) -> bool:
        return any(pc.any(not_in_bulk(batch, most_chars=sheets.CELL_CHARS)).as_py() for batch in self._staged.batches())

    def _more_reasons(self, folded: Fold | None, column: str | None, *, files: _Files, api: Api) -> Iterator[str]:
        if api is Api.BULK and (apart := files.frames[Api.COLLECTIONS].rows):
            yield deciding.apart_reason(apart, chars=sheets.CELL_CHARS)
        if folded is not None and len(folded.rows):
            yield deciding.fold_reason(len(folded.rows), self._order.needed or "")
        yield deciding.order_reason(self._order, column, known=bool(self._describe))

    def _write(self, plan: WritePlan, files: _Files, folded: Fold | None) -> None:
        """All that is not durable yet, then the plan."""
        told = {
            "halocline": LAYOUT,
            "order": self._order.to_json(),
            "plan": plan.to_json(),
            "columns": self._names,
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
        with storage(f"Writing the plan to {self._folder}"):
            if folded is not None and plan.folded:
                with (self._folder / FOLDED_FILE).open("wb") as file:
                    for numbers in (folded.into, folded.rows):
                        file.write(memoryview(numbers.buffers()[1])[numbers.offset * 8 : (numbers.offset + len(numbers)) * 8])
                to_disk(self._folder / FOLDED_FILE)
            for name in (_STAGED, MERGED):
                (self._folder / name).unlink(missing_ok=True)
            to_disk(self._folder)
        keep_json(self._folder / PLAN_FILE, told)


def _parted(batch: pa.RecordBatch, api: Api) -> Iterator[tuple[Api, pa.RecordBatch]]:
    """The rows by how they travel: of a load by Bulk, those that no sheet can hold go by collections."""
    if api is Api.BULK:
        apart = not_in_bulk(batch, most_chars=sheets.CELL_CHARS)
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
