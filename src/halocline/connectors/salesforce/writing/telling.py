"""Telling: what became of the rows of a chunk, in pieces, out of the answer that is kept of it.

The pieces of a chunk are the same whenever it is told: they are cut from files that do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.collections import Operation, Order, second
from halocline.connectors.salesforce.ingest_jobs import IngestJobs, JobInfo
from halocline.connectors.salesforce.job_results import JobResults, Matching
from halocline.connectors.salesforce.writing.answers import Answer
from halocline.connectors.salesforce.writing.cargo import Cargo, Chunk, Held
from halocline.connectors.salesforce.writing.passengers import Passengers
from halocline.outcome import Fate, RowResult
from halocline.push.destination import Told

PIECE_ROWS = 20_000
_WRITTEN = pa.schema([("row", pa.int64()), ("id", pa.string()), ("created", pa.bool_())])
_Part: TypeAlias = tuple[pa.RecordBatch | None, Sequence[RowResult]]
_UNMATCHED = "no result of its job could be found to be this row's"


class Telling:
    """What became of the rows of one load's chunks; result files are in `folder`, and are fetched where they are not."""

    def __init__(self, order: Order, cargo: Cargo, *, jobs: IngestJobs, passengers: Passengers, folder: Path) -> None:
        self._order = order
        self._cargo = cargo
        self._jobs = jobs
        self._passengers = passengers
        self._folder = folder
        self._foreseen: dict[str, Matching] = {}

    def results(self, chunk: Chunk, info: JobInfo) -> JobResults:
        """The results of the job that a chunk was given to."""
        return self._results(chunk, info, None)

    def foresee(self, chunk: Chunk) -> None:
        """Read the sheet of a chunk while its job runs; of one chunk at a time, for that takes memory."""
        if not self._foreseen:
            self._foreseen[chunk.id] = Matching(self._cargo.sheet(chunk), self._order.needed)

    def _results(self, chunk: Chunk, info: JobInfo, matching: Matching | None) -> JobResults:
        sheet, key = self._cargo.sheet(chunk), self._order.needed
        return JobResults(self._jobs, info, file=self._folder.joinpath, sheet=sheet, key=key, matching=matching)

    def of(self, chunk: Chunk, answer: Answer, *, again: bool, held: Held | None) -> Iterator[Told]:
        """What became of the rows of a chunk; those refused for the moment go to `held` instead, where that is given."""
        job_id, matching = answer.job_id if answer.job is None else answer.job.id, self._foreseen.pop(chunk.id, None)
        if answer.job is not None:
            parts = self._of_job(chunk, answer, found=self._results(chunk, answer.job, matching), held=held)
        elif answer.results:
            parts = _divided(answer.results)
        else:
            parts = self._in_doubt(self._cargo.numbers(chunk), answer.lost)
        yield from self._pieces(chunk.id, parts, job_id=job_id, again=again)

    def rows(self, numbers: pa.Array) -> list[int]:
        """The rows, and those that travel in them."""
        return [*numbers.to_pylist(), *self._passengers.beside(numbers)]

    def same(self, chunk: Chunk, fate: Fate, *, code: str, message: str) -> Iterator[Told]:
        """One fate for all rows of a chunk that was not sent."""
        yield from self._pieces(chunk.id, _all(self._cargo.numbers(chunk), RowResult(None, fate, code=code, message=message)))

    def refused(self, chunk: Chunk, held: Held) -> Iterator[Told]:
        """The rows of a chunk of a later round that will not be sent: refused as they were, in the round before."""
        rows = set(self._cargo.numbers(chunk).to_pylist())
        why = "Salesforce refused it for the moment, and it was not sent again"
        told = (RowResult(row, Fate.REFUSED, code=code, message=why) for row, code in held.codes() if row in rows)
        yield from self._pieces(chunk.id, ((None, part) for part in _batched(told)))

    def _pieces(self, chunk: str, parts: Iterable[_Part], *, job_id: str | None = None, again: bool = False) -> Iterator[Told]:
        """The parts with the rows that travel in theirs, cut where that makes them too large."""
        cut = (piece for part in parts for piece in self._whole(*part))
        for piece, (written, others) in enumerate(cut):
            yield Told(chunk, piece, written, tuple(others), job_id, again)

    def _whole(self, written: pa.RecordBatch | None, others: Sequence[RowResult]) -> Iterator[_Part]:
        full = None if written is None else self._passengers.beside_written(written)
        more = self._passengers.beside_others(others)
        rows = 0 if full is None else full.num_rows
        if rows + len(more) <= PIECE_ROWS:
            yield full, more
            return
        for first in range(0, rows, PIECE_ROWS):
            yield full.slice(first, PIECE_ROWS) if full is not None else None, ()
        for first in range(0, len(more), PIECE_ROWS):
            yield None, more[first : first + PIECE_ROWS]

    def _of_job(self, chunk: Chunk, answer: Answer, *, found: JobResults, held: Held | None) -> Iterator[_Part]:
        """Rows written, then rows that were not, then those that no result tells of: they are in doubt, not forgotten."""
        told = list[pa.Array]()
        for whole in found.written():
            batch = self._seen_written(whole.filter(whole.column("row").is_valid()), answer)
            told.append(batch.column("row"))
            for first in range(0, batch.num_rows, PIECE_ROWS):
                yield batch.slice(first, PIECE_ROWS), ()
        for others in _batched(_numbered(found)):
            told.append(pa.array([one.row for one in others], pa.int64()))
            yield from _divided([self._seen(one, answer) for one in self._kept(chunk, others, held=held)])
        missing = _missing(self._cargo.numbers(chunk), told)
        if len(missing):
            yield from self._in_doubt(missing, f"{_UNMATCHED} (job {found.info.id}, {found.info.state})")

    def _kept(self, chunk: Chunk, others: Sequence[RowResult], *, held: Held | None) -> Iterator[RowResult]:
        for one in others:
            if held is not None and results.is_transient(one):
                held.put(chunk, one)
            else:
                yield one

    def _seen(self, told: RowResult, answer: Answer) -> RowResult:
        return second(self._order, told) if answer.again else told

    def _seen_written(self, batch: pa.RecordBatch, answer: Answer) -> pa.RecordBatch:
        """Rows written; what an upsert only changed the second time, it may have created the first time."""
        created = batch.column("created")
        if answer.again and self._order.operation is Operation.UPSERT:
            created = pc.if_else(created, created, pa.scalar(None, pa.bool_()))
        return pa.RecordBatch.from_arrays([batch.column("row"), batch.column("id"), created], schema=_WRITTEN)

    def _in_doubt(self, rows: pa.Array, message: str) -> Iterator[_Part]:
        yield from _all(rows, RowResult(None, Fate.IN_DOUBT, code=results.IN_DOUBT, message=message))


def _numbered(found: JobResults) -> Iterator[RowResult]:
    """The rows of a job that were not written, without what they held; the engine knows that better."""
    for kind in (found.refused(), found.left()):
        for one in kind:
            if one.row is not None:
                yield RowResult(one.row, one.fate, one.id, one.created, one.code, one.message, one.fields)


def _missing(rows: pa.Array, told: Sequence[pa.Array]) -> pa.Array:
    """The rows that are in none of the arrays."""
    return rows.filter(pc.invert(pc.is_in(rows, value_set=pa.concat_arrays([pa.array([], pa.int64()), *told]))))


def _divided(told: Sequence[RowResult]) -> Iterator[_Part]:
    """Rows written and others."""
    written = [one for one in told if one.success]
    columns = [[one.row for one in written], [one.id for one in written], [one.created for one in written]]
    batch = pa.RecordBatch.from_arrays([pa.array(c, f.type) for c, f in zip(columns, _WRITTEN, strict=True)], schema=_WRITTEN)
    if told:
        yield batch if written else None, [one for one in told if not one.success]


def _all(rows: pa.Array, told: RowResult) -> Iterator[_Part]:
    return ((None, part) for part in _batched(_each(rows, told)))


def _each(rows: pa.Array, told: RowResult) -> Iterator[RowResult]:
    for first in range(0, len(rows), PIECE_ROWS):
        for row in rows.slice(first, PIECE_ROWS).to_pylist():
            yield RowResult(row, told.fate, code=told.code, message=told.message)


def _batched(told: Iterable[RowResult]) -> Iterator[list[RowResult]]:
    drawn = iter(told)
    while part := list(islice(drawn, PIECE_ROWS)):
        yield part
