"""Sending: one walk through all that a load has to send, telling what becomes of it.

round 0: what is known is told again, open chunks are asked about, the rest is sent
round 1, 2, ...: likewise, with the rows that were refused for the moment
at last: the rows that will not be sent, because of what happened to others
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count, groupby
from typing import TypeAlias

import pyarrow as pa

from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.collections import ROW_RETRIES, Operation, Order
from halocline.connectors.salesforce.ingest_jobs import JobInfo
from halocline.connectors.salesforce.results import not_sent
from halocline.connectors.salesforce.writing.answers import Answer, Answers
from halocline.connectors.salesforce.writing.by_bulk import ByBulk
from halocline.connectors.salesforce.writing.by_collections import ByCollections, Hearing
from halocline.connectors.salesforce.writing.cargo import Cargo, Chunk, Held
from halocline.connectors.salesforce.writing.intents import Intents
from halocline.connectors.salesforce.writing.telling import Telling
from halocline.errors import JobFailed
from halocline.outcome import Fate
from halocline.push.destination import Told
from halocline.push.order import Api
from halocline.quantity import quantity
from halocline.retry import Pace

_UNWRITTEN = (Fate.REFUSED, Fate.NOT_SENT)
_Way: TypeAlias = ByCollections | ByBulk


@dataclass(frozen=True, slots=True)
class _End:
    """Why nothing more is sent, as the rows that are left are told; that a job `failed` is raised after them."""

    code: str
    message: str
    failed: JobInfo | None = None


class Sending:
    """A walk through the chunks. Use it once: `outcomes`, or `settle`.

    `unwritten` are the rows that were refused or not sent, told or not, once it `is_over`; `doubtful` those in doubt.
    """

    def __init__(
        self,
        order: Order,
        *,
        cargo: Cargo,
        answers: Answers,
        intents: Intents,
        telling: Telling,
        by_collections: ByCollections,
        by_bulk: ByBulk,
        stop_on_error: bool,
        pace: Pace,
    ) -> None:
        self._order = order
        self._cargo, self._answers, self._intents, self._telling = cargo, answers, intents, telling
        self._by_collections, self._by_bulk = by_collections, by_bulk
        self._stop_on_error = stop_on_error
        self._pace = pace
        self._end: _End | None = None
        self.unwritten = array("q")
        self.doubtful = array("q")
        self.is_over = False

    def outcomes(self, hearing: Hearing) -> Iterator[Told]:
        """See `RowLoad.outcomes`."""
        counts: Counter[Fate] = Counter()
        for told in self._counted(self._walk(hearing)):
            counts[Fate.WRITTEN] += told.rows - len(told.others)
            counts.update(one.fate for one in told.others)
            yield told
        if self._end is not None and self._end.failed is not None:
            raise _job_failed(self._order, self._end.failed, counts)

    def settle(self) -> Iterator[Told]:
        """See `RowLoad.settle`."""
        return self._counted(self._walk(None))

    def _counted(self, walk: Iterator[Told]) -> Iterator[Told]:
        for told in walk:
            self.unwritten.extend(one.row for one in told.others if one.fate in _UNWRITTEN and one.row is not None)
            self.doubtful.extend(one.row for one in told.others if one.fate is Fate.IN_DOUBT and one.row is not None)
            yield told
        self.is_over = True

    def _walk(self, hearing: Hearing | None) -> Iterator[Told]:
        """Round after round; without `hearing` nothing is sent."""
        before = Held()
        for number in count():
            chunks, held = self._cargo.round(number, before), Held()
            if not chunks:
                break
            rest = yield from self._known(chunks, held, sends=hearing is not None)
            if hearing is not None:
                if rest and number and self._goes_on():
                    self._pace.sleep(ROW_RETRIES.wait_s(number, chance=self._pace.chance()))
                rest = yield from self._sent(rest, held, hearing=hearing)
            rest = yield from self._asked(rest, held)
            for chunk in rest:
                yield from self._left(chunk, before if number else None)
            before = held

    def _known(self, chunks: Sequence[Chunk], held: Held, *, sends: bool) -> Generator[Told, None, list[Chunk]]:
        """Tell again what is known, and return the other chunks, with those in doubt where sending twice is harmless."""
        rest = []
        for chunk in chunks:
            answer = self._answers.of(chunk.id)
            if answer is None or (sends and answer.lost and self._order.operation is not Operation.INSERT):
                rest.append(chunk)
            else:
                yield from self._told(chunk, answer, held=held, again=True)
        return rest

    def _sent(self, chunks: Sequence[Chunk], held: Held, *, hearing: Hearing) -> Generator[Told, None, list[Chunk]]:
        """Send chunks, and return those that were not told of because something ended it."""
        told = set()
        for api, some in groupby(chunks, key=lambda chunk: chunk.api):
            way: _Way = self._by_bulk if api is Api.BULK else self._by_collections
            with closing(way.send(list(some), hearing, goes_on=self._goes_on)) as answers:
                for chunk, answer in answers:
                    told.add(chunk.id)
                    yield from self._told(chunk, answer, held=held)
        return [chunk for chunk in chunks if chunk.id not in told]

    def _asked(self, chunks: Sequence[Chunk], held: Held) -> Generator[Told, None, list[Chunk]]:
        """Tell of chunks what can be known without sending, and return those that were never tried."""
        told = set()
        for api, some in groupby(chunks, key=lambda chunk: chunk.api):
            way: _Way = self._by_bulk if api is Api.BULK else self._by_collections
            for chunk, answer in way.ask(list(some)):
                told.add(chunk.id)
                yield from self._told(chunk, self._completed(chunk, answer), held=held)
        return [chunk for chunk in chunks if chunk.id not in told]

    def _told(self, chunk: Chunk, answer: Answer, *, held: Held, again: bool = False) -> Iterator[Told]:
        """What became of a chunk's rows; when the caller asks for more, the chunk is settled."""
        self._end = self._end or self._ended_by(answer)
        may_hold = self._cargo.may_hold(chunk)
        yield from self._telling.of(chunk, answer, again=again, held=held if may_hold else None)
        self._intents.settle(chunk.id)

    def _left(self, chunk: Chunk, before: Held | None) -> Iterator[Told]:
        """A chunk that is not sent: its rows were refused `before`, or are not sent because of others, or stay untold."""
        if before is not None:
            yield from self._telling.refused(chunk, before)
        elif self._end is not None:
            yield from self._telling.same(chunk, Fate.NOT_SENT, code=self._end.code, message=self._end.message)
        else:
            self.unwritten.extend(self._telling.rows(self._cargo.numbers(chunk)))
        self._intents.settle(chunk.id)

    def _completed(self, chunk: Chunk, answer: Answer) -> Answer:
        """The answer, with the rows that the end of the push left unsent where a call ended early."""
        if answer.job is not None or answer.lost:
            return answer
        known = {one.row for one in answer.results}
        rows = [row for row in self._cargo.numbers(chunk).to_pylist() if row not in known]
        if self._end is None:
            self.unwritten.extend(self._telling.rows(pa.array(rows, pa.int64())))
            return answer
        more = (not_sent(row, self._end.code, message=self._end.message) for row in rows)
        return replace(answer, results=(*answer.results, *more))

    def _goes_on(self) -> bool:
        return self._end is None

    def _ended_by(self, answer: Answer) -> _End | None:
        """Whether this answer ends the push: a refused row where that is wished, or a job that failed before its first row.

        What made such a job fail (a column that does not exist, a right that is missing) would make every other fail.
        """
        bad = next((one for one in answer.results if not one.success), None) if self._stop_on_error else None
        if bad is not None:
            why = f"not sent, because row {bad.row} was not written ({bad.code}: {bad.message})"
            return _End(results.NOT_ATTEMPTED, why)
        job = answer.job
        if job is not None and job.state != "JobComplete" and not job.processed:
            return _End(job.state, f"not sent, because {_ending(job)}", job)
        return None


def _ending(job: JobInfo) -> str:
    return f"job {job.id} ended {job.state} before its first row ({job.message or 'Salesforce gave no message'})"


def _job_failed(order: Order, job: JobInfo, counts: Counter[Fate]) -> JobFailed:
    written = f"{quantity(counts[Fate.WRITTEN], 'row is')} written"
    told = f"{written}, {counts[Fate.REFUSED]:,} refused, {counts[Fate.NOT_SENT]:,} not sent"
    hint = "Once that is mended, the rows that were not sent may be sent again."
    return JobFailed(f"Bulk {order.operation.value} of {order.sobject}", f"{_ending(job)}; {told}", hint=hint, job_id=job.id)
