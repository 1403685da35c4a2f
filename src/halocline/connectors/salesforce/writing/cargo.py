"""Cargo: all that a load sends - the chunks that were prepared and, after them, rounds of rows that are sent once more.

    plan.json         written last: the order, the plan, where everything is
    collections.arrow bulk.arrow   the staged rows, in the order in which they are sent
    sheet-00001.csv   what a Bulk job is given
    folded.bin        which row travels in which

What was prepared is there as a whole or not at all, and the same for every process.

    round 0    the prepared chunks
    round 1    rows of round 0 that were refused for the moment: by Bulk where they are many or inserted, else by collections
    round 2    rows of round 1 ...

A round is durable before any of it is sent: `round1.json` names its chunks (r00001, ...), `r00001.rows.json` has their rows.
"""

from __future__ import annotations

import json
import mmap
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, repeat
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from halocline.connectors.salesforce.collections import CALL_ROWS
from halocline.connectors.salesforce.pages import text_batches
from halocline.connectors.salesforce.sheets import Sheet, header_line
from halocline.connectors.salesforce.spelling import CLEARED, json_record, number
from halocline.connectors.salesforce.writing.answers import keep_json, read_json
from halocline.connectors.salesforce.writing.folding import column_of
from halocline.connectors.salesforce.writing.frames import (
    DECIMAL,
    FRAME_BYTES,
    FRAME_ROWS,
    KIND,
    LITERAL,
    PREPARED,
    ROW,
    TEXT,
    Frame,
    Frames,
    fields_of,
    fitted,
    joined,
    rows_for,
)
from halocline.errors import FixConfig, StorageFailed
from halocline.outcome import RowResult
from halocline.push.destination import RowBatch, WritePlan
from halocline.push.order import Api, SyncMode, WriteOrder
from halocline.quantity import quantity
from halocline.spool import IN_HOME, arriving, storage

_FIRST_ROWS = 3  # that are enough to see a mistake
PLAN_FILE, FOLDED_FILE = "plan.json", "folded.bin"
LAYOUT = 1  # of the folder; raised when an older Halocline could not go on with what this one stages
_GONE = "Its rows cannot be sent again from here; push the source anew."
BY_COLLECTIONS = 2_000  # rows of a round; beyond that a job is less work for both sides
LAST_ROUND = 5
_ALWAYS_BY_BULK = (SyncMode.INSERT, SyncMode.HARD_DELETE)  # a job can be asked what became of an insert; a lost call cannot
_WRITE = pa_csv.WriteOptions(include_header=False, quoting_style="needed")


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one request or one job takes. Ids are `c00001`, ... (collections) and `b00001`, ... (Bulk), as wide as all need."""

    id: str
    api: Api
    rows: int


class Prepared:
    """The chunks of a load, collections first: they are done before a job begins, so that neither waits for the other's locks."""

    def __init__(self, folder: Path, told: Mapping[str, Any]) -> None:
        self._folder = folder
        self.order = WriteOrder.from_json(told["order"])
        self.plan = WritePlan.from_json(told["plan"])
        self._columns = tuple(told["columns"])
        self._frames = {Api(name): self._opened(one) for name, one in told["frames"].items()}
        self._sheet_bytes = [size for _, size in told["sheets"]]
        self._folded = int(told["folded"])
        calls = array("q", (rows for rows, times in told["calls"] for rows in repeat(rows, times)))
        self._chunks = _Chunks(calls, array("q", (rows for rows, _ in told["sheets"])))
        if self._folded:
            _check_size(folder / FOLDED_FILE, 16 * self._folded)

    @classmethod
    def open(cls, folder: Path) -> Prepared | None:
        """What was planned in the folder; None where planning never became durable.

        Raises: StorageFailed when the plan is damaged, or the rows that it speaks of are gone or cut off; FixConfig when a newer
        Halocline staged them. Sheets are looked at when asked for.
        """
        path = folder / PLAN_FILE
        with storage(f"Reading {path}"):
            if not path.exists():
                return None
            text = path.read_text(encoding="utf-8")
        try:
            told = json.loads(text)
            if told.get("halocline", LAYOUT) > LAYOUT:
                raise FixConfig(f"Reading {path}", "a newer Halocline wrote it", hint="Resume the push with that one.")
            return cls(folder, told)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "Push the rows again, from their source; `halocline runs` tells what was sent."
            raise StorageFailed(f"Reading {path}", f"it is damaged ({error!r})", hint=hint) from error

    @property
    def chunks(self) -> Sequence[Chunk]:
        """What is sent, in that order."""
        return self._chunks

    def first(self) -> list[dict[str, Any]]:
        """The first rows of most of the load, as they will be sent: bodies, cells, or for a delete the ids."""
        found: list[dict[str, Any]] = []
        frames = self._frames[self.plan.api]
        for batch in frames.span(0, min(_FIRST_ROWS, frames.rows)):
            if self.plan.api is Api.COLLECTIONS and self.order.mode is not SyncMode.DELETE:
                found += _json_rows(batch)
            else:
                rows = cells(batch, fields_of(batch.schema)).to_pylist()
                found += ({name: text for name, text in row.items() if text is not None} for row in rows)
        return found

    def bodies(self, chunk: Chunk) -> list[tuple[int, Any]]:
        """The rows of a chunk that goes by collections: row number and what JSON carries, for a delete the bare id."""
        batches = self._frames[Api.COLLECTIONS].span(*self._chunks.span(chunk))
        return [one for batch in batches for one in self._bodies(batch.column(ROW).to_pylist(), batch)]

    def bodies_of(self, numbers: Sequence[int]) -> list[tuple[int, Any]]:
        """The rows of these numbers, numbers growing, as `bodies` hands out those of a chunk.

        Raises: KeyError for a row that was never staged.
        """
        found: list[tuple[int, Any]] = []
        for batch in self.rows(numbers):
            assert isinstance(batch.rows, pa.RecordBatch)
            found += self._bodies(batch.numbers, batch.rows)
        return found

    def numbers(self, chunk: Chunk) -> pa.Array:
        """The row numbers of a chunk."""
        return pa.concat_arrays([batch.column(ROW) for batch in self._frames[chunk.api].span(*self._chunks.span(chunk))])

    def sheet(self, chunk: Chunk) -> Sheet:
        """The sheet of a chunk that goes by Bulk.

        Raises: StorageFailed when its file is gone or cut off.
        """
        place = int(chunk.id[1:]) - 1
        path = self._folder / sheet_name(place)
        _check_size(path, self._sheet_bytes[place])
        numbers = self.numbers(chunk)
        return Sheet(path, self._columns, chunk.rows, numbers[0].as_py(), numbers=numbers)

    def folded(self, into: Sequence[int] | None = None) -> Iterator[tuple[int, int]]:
        """The rows that travel in another: (row, the row that it travels in); of the rows `into` only, where they are given."""
        if not self._folded:
            return
        carriers, rows = self._pairs()
        if into is None:
            yield from zip(rows, carriers, strict=True)
            return
        for carrier in into:
            place = bisect_left(carriers, carrier)
            while place < self._folded and carriers[place] == carrier:
                yield rows[place], carrier
                place += 1

    def rows(self, numbers: Sequence[int]) -> Iterator[RowBatch]:
        """The prepared rows of these numbers, some at a time, numbers growing; `Staging.stage` takes them as they are.

        A row that travels in another is handed out as that one: staged together with it, it travels in it again.
        Raises: KeyError for a row that was never staged.
        """
        wanted = pa.array(sorted(set(numbers)), pa.int64())
        travels = self._carriers(wanted)
        some = min((self._frame_rows(frames) for frames in self._frames.values() if frames.rows), default=FRAME_ROWS)
        for start in range(0, len(wanted), some):
            told, carriers = wanted.slice(start, some), travels.slice(start, some)
            yield RowBatch(told.to_pylist(), self._found(carriers))

    def _bodies(self, numbers: Sequence[int], batch: pa.RecordBatch) -> Iterator[tuple[int, Any]]:
        is_delete = self.order.mode is SyncMode.DELETE
        bodies = batch.column(fields_of(batch.schema)[0]).to_pylist() if is_delete else _json_rows(batch)
        return zip(numbers, bodies, strict=True)

    def _found(self, numbers: pa.Array) -> pa.RecordBatch:
        """The rows of these numbers, in this order."""
        low, high = pc.min_max(numbers).as_py().values()
        parts = []
        for frames in self._frames.values():
            for frame in frames.index:
                if frame.low <= high and low <= frame.high:
                    batch = frames.batch(frame)
                    parts.append(batch.filter(pc.is_in(batch.column(ROW), value_set=numbers)))
        found = joined([part for part in parts if part.num_rows] or parts[:1]) if parts else None
        places = pc.index_in(numbers, value_set=pa.array([], pa.int64()) if found is None else found.column(ROW))
        if found is None or places.null_count:
            missing = numbers.filter(pc.is_null(places))[0].as_py()
            raise KeyError(f"row {missing} was never staged in {self._folder}")
        names = [name for name in found.schema.names if name != ROW]
        return found.take(places).select(names).replace_schema_metadata(PREPARED)

    def _carriers(self, numbers: pa.Array) -> pa.Array:
        """The rows that these travel in; most in themselves."""
        if not self._folded:
            return numbers
        into, rows = map(column_of, self._pairs())
        return pc.coalesce(into.take(pc.index_in(numbers, value_set=rows)), numbers)

    def _pairs(self) -> tuple[memoryview[int], memoryview[int]]:
        """The rows that others travel in, growing, and for each the row that does."""
        path = self._folder / FOLDED_FILE
        with storage(f"Reading {path}"), path.open("rb") as file:
            pairs = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast("q")
        return pairs[: self._folded], pairs[self._folded :]

    def _frame_rows(self, frames: Frames) -> int:
        return rows_for(FRAME_BYTES, frames.batch(frames.index[0]), most=FRAME_ROWS)

    def _opened(self, told: Mapping[str, Any]) -> Frames:
        _check_size(self._folder / told["file"], told["bytes"])
        return Frames(self._folder / told["file"], [Frame(*one) for one in told["index"]])


class Held:
    """The rows of one round that Salesforce refused for the moment (a lock, a time-out), by the chunk that they were in: about 16
    bytes for each.
    """

    def __init__(self) -> None:
        self._rows: dict[Chunk, array[int]] = {}
        self._codes: dict[Chunk, list[str]] = {}
        self._known: dict[str, str] = {}  # each code is one text, however many rows have it

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def put(self, chunk: Chunk, refused: RowResult) -> None:
        """Hold a row of a chunk back."""
        assert refused.row is not None
        self._rows.setdefault(chunk, array("q")).append(refused.row)
        self._codes.setdefault(chunk, []).append(self._known.setdefault(refused.code, refused.code))

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks that such rows were in, in the order in which they were told."""
        return list(self._rows)

    def rows(self, chunk: Chunk) -> array[int]:
        """The rows of a chunk that are held back."""
        return self._rows[chunk]

    def codes(self) -> Iterator[tuple[int, str]]:
        """Every row, with the code of its refusal."""
        for chunk, rows in self._rows.items():
            yield from zip(rows, self._codes[chunk], strict=True)


@dataclass(frozen=True, slots=True)
class _Again:
    """A chunk of a later round, the chunk that its rows were in before, and the round."""

    chunk: Chunk
    source: Chunk
    round: int


class Cargo:
    """What is sent, chunk by chunk; `folder` keeps the later rounds. One thread calls it."""

    def __init__(self, prepared: Prepared, folder: Path) -> None:
        self._prepared = prepared
        self._folder = folder
        self._again: dict[str, _Again] = {}
        self._rounds: list[Sequence[Chunk]] = [prepared.chunks]
        while (told := read_json(self._file(len(self._rounds)))) is not None:
            self._add([_Again(_chunk(one), _chunk(source), len(self._rounds)) for one, source in told])

    def round(self, number: int, held: Held) -> Sequence[Chunk]:
        """The chunks of a round; one that was not planned before is made of the rows held back, and made durable."""
        if number == len(self._rounds) and len(held):
            planned = list(self._planned(held, number))
            keep_json(self._file(number), [(_shown(one.chunk), _shown(one.source)) for one in planned])
            self._add(planned)
        return self._rounds[number] if number < len(self._rounds) else ()

    def may_hold(self, chunk: Chunk) -> bool:
        """Whether rows of it that are refused for the moment go into another round. Collections try their rows themselves."""
        last = chunk.id in self._again and self._again[chunk.id].round >= LAST_ROUND
        return chunk.api is Api.BULK and not last

    def numbers(self, chunk: Chunk) -> pa.Array:
        """The row numbers of a chunk."""
        if chunk.id in self._again:
            return pa.array(read_json(self._rows_file(chunk.id)), pa.int64())
        return self._prepared.numbers(chunk)

    def bodies(self, chunk: Chunk) -> list[tuple[int, Any]]:
        """The rows of a chunk that goes by collections: row number, and what JSON carries, for a delete the bare id."""
        if chunk.id not in self._again:
            return self._prepared.bodies(chunk)
        return self._prepared.bodies_of(self.numbers(chunk).to_pylist())

    def sheet(self, chunk: Chunk) -> Sheet:
        """The sheet of a chunk that goes by Bulk."""
        if chunk.id not in self._again:
            return self._prepared.sheet(chunk)
        source, numbers = self.sheet(self._again[chunk.id].source), self.numbers(chunk)
        path = self._folder / f"{chunk.id}.csv"
        if not path.exists():
            with storage(f"Writing {path.name} to the run's folder", room=IN_HOME), arriving(path) as partial:
                _write(source, numbers, path=partial)
        return Sheet(path, source.columns, chunk.rows, numbers[0].as_py(), numbers=numbers)

    def _planned(self, held: Held, number: int) -> Iterator[_Again]:
        """The chunks of a new round. A sheet's rows stay together and in order, so that a parent's rows do."""
        made = len(self._again)
        by_bulk = len(held) > BY_COLLECTIONS or self._prepared.order.mode in _ALWAYS_BY_BULK
        for source in held.chunks:
            rows = self._in_order(source, held.rows(source))
            size = len(rows) if by_bulk else min(CALL_ROWS, self._prepared.order.batch_size)
            for first in range(0, len(rows), size):
                some = rows[first : first + size]
                made += 1
                chunk = Chunk(f"r{made:05}", Api.BULK if by_bulk else Api.COLLECTIONS, len(some))
                keep_json(self._rows_file(chunk.id), some)
                yield _Again(chunk, source, number)

    def _in_order(self, source: Chunk, rows: array[int]) -> list[int]:
        """The rows as they stand in their sheet; results come in any order."""
        numbers = self.numbers(source)
        found: list[int] = numbers.filter(pc.is_in(numbers, value_set=pa.array(rows, pa.int64()))).to_pylist()
        return found

    def _add(self, planned: Sequence[_Again]) -> None:
        self._rounds.append([one.chunk for one in planned])
        self._again |= {one.chunk.id: one for one in planned}

    def _file(self, number: int) -> Path:
        return self._folder / f"round{number}.json"

    def _rows_file(self, chunk: str) -> Path:
        return self._folder / f"{chunk}.rows.json"


def _write(source: Sheet, numbers: pa.Array, *, path: Path) -> None:
    """Write the rows of these numbers from one sheet to another."""
    path.write_bytes(header_line(source.columns))
    everything, done = source.row_numbers(), 0
    with path.open("ab") as file:
        for batch in text_batches(source.path, source.columns):
            mask = pc.is_in(everything.slice(done, batch.num_rows), value_set=numbers)
            pa_csv.write_csv(batch.filter(mask), file, _WRITE)
            done += batch.num_rows


def _shown(chunk: Chunk) -> dict[str, object]:
    return {"id": chunk.id, "api": chunk.api, "rows": chunk.rows}


def _chunk(told: dict[str, Any]) -> Chunk:
    return Chunk(told["id"], Api(told["api"]), told["rows"])


class _Chunks(Sequence[Chunk]):
    """The chunks, made when they are asked for: a load may have a million."""

    def __init__(self, calls: array[int], jobs: array[int]) -> None:
        self._sizes = {"c": calls, "b": jobs}
        self._starts = {kind: array("q", accumulate(sizes, initial=0)) for kind, sizes in self._sizes.items()}
        self._width = max(5, len(str(max(len(calls), len(jobs)))))

    def __len__(self) -> int:
        return sum(map(len, self._sizes.values()))

    @overload
    def __getitem__(self, place: int) -> Chunk: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Chunk]: ...
    def __getitem__(self, place: int | slice) -> Chunk | Sequence[Chunk]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        calls = len(self._sizes["c"])
        place = range(len(self))[place]  # IndexError for what is not there, and the end counted from behind
        kind, number = ("c", place) if place < calls else ("b", place - calls)
        api = Api.COLLECTIONS if kind == "c" else Api.BULK
        return Chunk(f"{kind}{number + 1:0{self._width}}", api, self._sizes[kind][number])

    def span(self, chunk: Chunk) -> tuple[int, int]:
        """Where the chunk's rows begin and end among those of its kind."""
        number = int(chunk.id[1:]) - 1
        return self._starts[chunk.id[0]][number], self._starts[chunk.id[0]][number + 1]


def _check_size(path: Path, size: int) -> None:
    """Raises: StorageFailed when a file that was durable is not there as it was."""
    with storage(f"Reading {path}"):
        found = path.stat().st_size if path.exists() else -1
    if found != size:
        what = "it is gone" if found < 0 else f"it has {found:,} of {quantity(size, 'byte')}"
        raise StorageFailed(f"Reading {path}", what, hint=_GONE)


def _json_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Staged rows as JSON carries them: what is null is left out, what is empty is null."""
    found = []
    for name in fields_of(batch.schema):
        texts = batch.column(name).to_pylist()
        marks = batch.column(f"{name}{KIND}").to_pylist() if f"{name}{KIND}" in batch.schema.names else [TEXT] * len(texts)
        found.append([None if text is None else (name, _json(text, kind)) for text, kind in zip(texts, marks, strict=True)])
    return [json_record(dict(filter(None, row))) for row in zip(*found, strict=True)] if found else []


def _json(text: str, kind: int | None) -> object:
    if text == "":
        return None
    if kind == LITERAL:
        return json.loads(text)
    return number(Decimal(text)) if kind == DECIMAL else text


def cells(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """Staged rows as cells: what clears is `#N/A`, what is left alone is null."""
    fit = fitted(batch, pa.schema([(name, pa.string()) for name in columns]))
    return pa.RecordBatch.from_arrays([_cleared(column) for column in fit.columns], names=list(columns))


def sheet_name(place: int) -> str:
    """The file of a sheet, by its place from 0."""
    return f"sheet-{place + 1:05}.csv"


def _cleared(texts: pa.Array) -> pa.Array:
    empty = pc.equal(texts, "")
    return pc.if_else(empty, CLEARED, texts) if pc.any(empty).as_py() else texts
