"""Cargo: all that a load sends - the chunks that were prepared and, after them, rounds of rows that are sent once more.

    round 0    the prepared chunks
    round 1    rows of round 0 that were refused for the moment: by Bulk where they are many or inserted, else by collections
    round 2    rows of round 1 ...

A round is durable before any of it is sent: `round1.json` names its chunks (r00001, ...), `r00001.rows.json` has their rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from halocline.connectors.salesforce.collections import CALL_ROWS
from halocline.connectors.salesforce.pages import text_batches
from halocline.connectors.salesforce.sheets import Sheet, header_line
from halocline.connectors.salesforce.writing.answers import keep_json, read_json
from halocline.connectors.salesforce.writing.held import Held
from halocline.connectors.salesforce.writing.prepared import Chunk, Prepared
from halocline.push.order import Api, SyncMode
from halocline.spool import arriving, storage

BY_COLLECTIONS = 2_000  # rows of a round; beyond that a job is less work for both sides
LAST_ROUND = 5
_ALWAYS_BY_BULK = (SyncMode.INSERT, SyncMode.HARD_DELETE)  # a job can be asked what became of an insert; a lost call cannot
_WRITE = pa_csv.WriteOptions(include_header=False, quoting_style="needed")


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
            with storage(f"Writing {path.name} to the run's folder"), arriving(path) as partial:
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
