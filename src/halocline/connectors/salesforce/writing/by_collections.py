"""Chunks by collections: a call each, several in flight, every answer kept in the folder by the thread that heard it.

intended -> called -> <chunk>.told.json
             ├── the push ends in the middle (quota, login)   <chunk>.part.json: the other rows may be sent
             ├── no answer, however often it is asked         an insert's rows are in doubt; else the push ends, to be taken up,
             │                                                and what was heard of other rows is in <chunk>.part.json
             └── the process dies                             neither file: an insert's rows are in doubt, others are sent again
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from halocline import engine
from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.collections import Collections, Operation, Order, second
from halocline.connectors.salesforce.writing.answers import Answer, Answers, Part
from halocline.connectors.salesforce.writing.cargo import Cargo, Chunk
from halocline.connectors.salesforce.writing.intents import Intents
from halocline.errors import HaloclineError, NetworkFailed
from halocline.outcome import Fate, RowResult
from halocline.quantity import quantity

LOST_IN_A_ROW = 3  # calls without an answer, each after all the patience of the transport
LOST = "the rows were sent and may be written, but nobody heard the answer"
Hearing: TypeAlias = Callable[[Sequence[int]], None]
_Waiting: TypeAlias = deque[tuple[Chunk, Callable[[], Answer]]]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The next attempt at a chunk. `tried`: an earlier one may have been carried out in part; `known` are rows that are known."""

    number: int
    known: tuple[RowResult, ...]
    tried: bool
    again: bool


class ByCollections:
    """Sends chunks by collections, `width` calls at a time; with 1 nothing is ahead of the answers taken."""

    def __init__(
        self, collections: Collections, order: Order, *, cargo: Cargo, answers: Answers, intents: Intents, width: int
    ) -> None:
        self._collections = collections
        self._order = order
        self._cargo, self._answers, self._intents = cargo, answers, intents
        self._width = width
        self._lost_in_a_row = 0

    def send(
        self, chunks: Iterable[Chunk], hearing: Hearing, *, goes_on: Callable[[], bool]
    ) -> Generator[tuple[Chunk, Answer], None, None]:
        """Each chunk with its answer, in order, until `goes_on` says no.

        Raises: what ends the push as a whole, after the answers of the calls in flight were handed out.
        """
        waiting: _Waiting = deque()
        failure: HaloclineError | None = None
        with engine.threads(self._width) as executor:
            try:
                for chunk in chunks:
                    if failure is not None or not goes_on():
                        break
                    try:
                        waiting.append((chunk, self._begun(chunk, hearing, executor=executor)))
                    except HaloclineError as error:
                        failure = error
                        break
                    if len(waiting) >= self._width:
                        done, failure = _first_of(waiting)
                        failure = failure or self._unheard(done)
                        yield from done
                while waiting:
                    done, late = _first_of(waiting)
                    failure = failure or late
                    yield from done
            finally:
                while waiting:  # a call that was intended but never begun would look like one whose answer was lost
                    with suppress(Exception):  # what ends the walk is on its way already, and the chunk stays open
                        _first_of(waiting)
        if failure is not None:
            raise failure

    def _unheard(self, done: Sequence[tuple[Chunk, Answer]]) -> HaloclineError | None:
        """Why nothing more is sent: the answers of several inserts in a row were lost, and every other would be in doubt too."""
        for _, answer in done:
            if answer.lost:  # by an earlier process: it says nothing of how Salesforce answers now
                continue
            is_lost = any(one.fate is Fate.IN_DOUBT for one in answer.results)
            self._lost_in_a_row = self._lost_in_a_row + 1 if is_lost else 0
        if self._lost_in_a_row < LOST_IN_A_ROW:
            return None
        cause = f"no answer told what became of the rows of {quantity(self._lost_in_a_row, 'call')} in a row; they may be written"
        hint = "Take the run up again once Salesforce answers; it sends the rows that were not sent."
        return NetworkFailed(self._order.doing, cause, hint=hint)

    def ask(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Answer]]:
        """Each chunk of which something is known, or must be doubted, with its answer; nothing is sent.

        A chunk that was tried and whose answer nobody heard is in doubt; where it may be sent again, another load can do so.
        """
        for chunk in chunks:
            attempt = self._attempt(chunk)
            if attempt.tried:
                yield chunk, self._lost(chunk, attempt)
            elif attempt.known:
                yield chunk, Answer(attempt.known)

    def _begun(self, chunk: Chunk, hearing: Hearing, *, executor: Executor) -> Callable[[], Answer]:
        attempt = self._attempt(chunk)
        if attempt.tried and self._order.operation is Operation.INSERT:
            return partial(self._lost, chunk, attempt)
        bodies = self._cargo.bodies(chunk)
        hearing([number for number, _ in bodies])
        self._intents.begin(chunk.id, attempt.number, again=attempt.again)
        return executor.submit(self._carried, chunk.id, bodies, attempt=attempt).result

    def _attempt(self, chunk: Chunk) -> _Attempt:
        """Where a chunk stands. A part is what became of the attempt with its number; a later one is not known of."""
        intent, part = self._intents.of(chunk.id), self._answers.part(chunk.id)
        number = 1 + max([one.attempt for one in (intent, part) if one is not None], default=0)
        heard = intent is None or (part is not None and part.attempt == intent.attempt)
        tried = not heard or self._answers.of(chunk.id) is not None
        return _Attempt(number, part.results if part else (), tried, tried or (part is not None and part.again))

    def _lost(self, chunk: Chunk, attempt: _Attempt) -> Answer:
        known = {one.row: one for one in attempt.known}
        rows = self._cargo.numbers(chunk).to_pylist()
        doubts = {row: RowResult(row, Fate.IN_DOUBT, code=results.IN_DOUBT, message=LOST) for row in rows}
        answer = Answer(tuple(known.get(row, doubts[row]) for row in rows), lost=LOST, again=True)
        self._answers.keep(chunk.id, answer)
        return answer

    def _carried(self, chunk: str, bodies: Sequence[tuple[int, Any]], *, attempt: _Attempt) -> Answer:
        """One call, in a thread of its own: its answer is kept before anybody is told of it."""
        known = {one.row: one for one in attempt.known}
        rows = [(number, body) for number, body in bodies if number not in known]
        try:
            told = self._collections.send(self._order, rows)
        except HaloclineError as error:
            found: Any = error.facts.pop("results", ())
            self._keep_sure(chunk, found, attempt=attempt)
            raise
        self._refuse_doubts(chunk, told, attempt=attempt)
        known |= {one.row: one for one in self._seen(told, attempt)}
        answer = Answer(tuple(known[number] for number, _ in bodies), again=attempt.again)
        self._answers.keep(chunk, answer)
        return answer

    def _keep_sure(self, chunk: str, told: Sequence[RowResult], *, attempt: _Attempt) -> None:
        """Keep what is known of the rows of a call that tells of some only.

        Rows in doubt that may be sent again are not known. With such rows the part is that of the attempt before, so that the
        chunk looks like what it is: tried, and not heard of.
        """
        doubt = self._resendable(told)
        sure = [one for one in told if one.fate is not Fate.NOT_SENT and not results.is_transient(one)]
        if doubt is not None:
            sure = [one for one in sure if one.fate is not Fate.IN_DOUBT]
        known = (*attempt.known, *self._seen(sure, attempt))
        part = Part(attempt.number, known, attempt.again) if doubt is None else Part(attempt.number - 1, known, again=True)
        self._answers.keep_part(chunk, part)

    def _resendable(self, told: Sequence[RowResult]) -> RowResult | None:
        """A row in doubt that may be sent again; an insert's may not."""
        if self._order.operation is Operation.INSERT:
            return None
        return next((one for one in told if one.fate is Fate.IN_DOUBT), None)

    def _refuse_doubts(self, chunk: str, told: Sequence[RowResult], *, attempt: _Attempt) -> None:
        """Raises: NetworkFailed where rows are in doubt although they may be sent again; the chunk then stays open for that."""
        doubt = self._resendable(told)
        if doubt is not None:
            self._keep_sure(chunk, told, attempt=attempt)
            hint = "Take the run up again once Salesforce answers; sending these rows twice does no harm."
            raise NetworkFailed(self._order.doing, doubt.message, hint=hint, in_doubt=True)

    def _seen(self, told: Sequence[RowResult], attempt: _Attempt) -> list[RowResult]:
        return [second(self._order, one) if attempt.again else one for one in told]


def _first_of(waiting: _Waiting) -> tuple[list[tuple[Chunk, Answer]], HaloclineError | None]:
    """The oldest call's answer, or why there is none."""
    chunk, answer = waiting.popleft()
    try:
        return [(chunk, answer())], None
    except HaloclineError as error:
        return [], error
