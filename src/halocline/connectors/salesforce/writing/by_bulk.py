"""Chunks by Bulk: a job each, the next sheet on its way while earlier jobs run.

    intended -> created -> noted -> uploaded -> about to be closed -> closed -> ended -> result files -> <chunk>.told.json

Until a job is closed nothing of it is processed. So the job of a load that died is asked: one that is still open is aborted, and
its chunk is sent anew once the job says that it stopped before its first row. An order to close it that was under way may arrive
in between: any other job is watched to its end. One that nobody knows any more (older than seven days, or deleted) leaves an
insert in doubt if it was about to be closed; all else may be sent again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import Enum, auto

from halocline.connectors.salesforce.bulk import MAX_POLL_S, POLL_GROWTH, POLL_S
from halocline.connectors.salesforce.collections import Operation, Order
from halocline.connectors.salesforce.ingest_jobs import IngestJobs, JobInfo
from halocline.connectors.salesforce.writing.answers import Answer, Answers
from halocline.connectors.salesforce.writing.by_collections import Hearing
from halocline.connectors.salesforce.writing.cargo import Cargo, Chunk
from halocline.connectors.salesforce.writing.intents import Intents
from halocline.connectors.salesforce.writing.telling import Telling
from halocline.errors import HaloclineError, JobFailed, NotFound, StillRunning
from halocline.quantity import quantity
from halocline.retry import Pace
from halocline.spool import IN_HOME, storage, to_disk

JOBS = 8  # ours, unfinished at a time; that an org works on few at once, and the rest would only wait there, is unverified
_EVERY_LOOK = 4
_OPEN, _ABORTED = "Open", "Aborted"


class _Standing(Enum):
    """UNSENT: nothing of it was processed. RUNNING: its job was closed. GONE: likewise, and nobody knows that job any more."""

    UNSENT = auto()
    RUNNING = auto()
    GONE = auto()


class ByBulk:
    """Sends chunks by Bulk. `job_ids` are the jobs that it began or asked about."""

    def __init__(
        self,
        jobs: IngestJobs,
        order: Order,
        *,
        cargo: Cargo,
        answers: Answers,
        intents: Intents,
        telling: Telling,
        pace: Pace,
        deadline_s: float,
    ) -> None:
        self.job_ids: list[str] = []
        self._jobs, self._order = jobs, order
        self._cargo, self._answers, self._intents = cargo, answers, intents
        self._telling = telling
        self._pace, self._deadline_s = pace, deadline_s
        self._running: dict[Chunk, JobInfo] = {}
        self._gone: set[str] = set()  # chunks whose job was closed, and is not known any more

    def send(
        self, chunks: Iterable[Chunk], hearing: Hearing, *, goes_on: Callable[[], bool]
    ) -> Generator[tuple[Chunk, Answer], None, None]:
        """Each chunk with its answer, as jobs end; no job is begun once `goes_on` says no.

        Raises: what ends the push as a whole, after the jobs that run have ended and were told; StillRunning when they do not.
        """
        waiting = deque(chunks)
        failure: HaloclineError | None = None

        def has_room() -> bool:
            return bool(waiting) and failure is None and len(self._running) < JOBS and goes_on()

        while has_room() or self._running:
            if has_room():
                try:
                    yield from self._begun(waiting.popleft(), hearing)
                except HaloclineError as error:
                    failure = error
            yield from self._next_ended(waiting, failure=failure, waits=not has_room())
        if failure is not None:
            raise failure

    def ask(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Answer]]:
        """Each chunk that was sent, with its answer, as its job ends. Nothing is sent; jobs that were not closed are aborted.

        Raises: StillRunning; what the transport raises.
        """
        gone = deque(chunk for chunk in chunks if self._standing(chunk) is _Standing.GONE)
        while self._running:
            yield from self._next_ended(gone, failure=None, waits=True)
        for chunk in gone:
            yield chunk, self._lost(chunk)

    def _begun(self, chunk: Chunk, hearing: Hearing) -> Iterator[tuple[Chunk, Answer]]:
        """Give a chunk to a job, or take up the one that it has; or its answer, where nobody can know it any more."""
        standing = self._standing(chunk)
        if standing is _Standing.GONE and self._order.operation is Operation.INSERT:
            yield chunk, self._lost(chunk)
        elif standing is not _Standing.RUNNING:
            self._send(chunk, hearing, again=standing is _Standing.GONE)

    def _standing(self, chunk: Chunk) -> _Standing:
        """What became of a chunk so far; its job is now among those that are watched, if it was closed, else given up."""
        if chunk.id in self._gone:
            return _Standing.GONE
        intent = self._intents.of(chunk.id)
        if intent is None or intent.job_id is None:  # an answer that is there already says that its job was gone before
            return _Standing.UNSENT if self._answers.of(chunk.id) is None else _Standing.GONE
        try:
            info = self._jobs.info(intent.job_id)
            self.job_ids.append(info.id)
            # aborted though it was about to be closed, and not by us: somebody does not want its rows to be written
            is_theirs = intent.closing == info.id != intent.stopping and info.state != _OPEN
            info = self._given_up(chunk, info) if info.state == _OPEN else info
            info = self._counted(info) if info.state == _ABORTED and not is_theirs else info
        except NotFound:
            return _Standing.GONE if intent.closing == intent.job_id else _Standing.UNSENT
        if info.state == _ABORTED and not info.processed and not is_theirs:
            if intent.closing is not None:  # the job is known to have done nothing, also when nobody knows it any more
                self._intents.begin(chunk.id, intent.attempt, again=intent.again)
            return _Standing.UNSENT
        self._running[chunk] = info
        return _Standing.RUNNING

    def _given_up(self, chunk: Chunk, info: JobInfo) -> JobInfo:
        """Abort a job that was open, and look what became of it. That is noted first: somebody else did not stop it.

        Whether it was about to be closed stays noted: an order to close it that is under way may arrive before ours.
        """
        self._intents.stopping(chunk.id, info.id)
        try:
            self._jobs.abort(info.id)
        except JobFailed:
            found = self._jobs.info(info.id)
            if found.state == _OPEN:
                raise
            return found
        return self._jobs.info(info.id)  # what the answer to an abort says of rows is unverified; a look counts them

    def _counted(self, info: JobInfo) -> JobInfo:
        """An aborted job once it tells of a row, or two looks agree that there is none."""
        before: JobInfo | None = None
        while not info.processed and not info.stands(before):
            self._pace.sleep(POLL_S)
            before, info = info, self._jobs.info(info.id)
        return info

    def _send(self, chunk: Chunk, hearing: Hearing, *, again: bool) -> None:
        sheet, intent = self._cargo.sheet(chunk), self._intents.of(chunk.id)
        hearing(sheet.row_numbers().to_pylist())
        again = again or (intent is not None and intent.again)
        self._intents.begin(chunk.id, 1 + (intent.attempt if intent else 0), again=again)
        self._gone.discard(chunk.id)

        def created(info: JobInfo) -> None:
            self._intents.job(chunk.id, info.id)
            self.job_ids.append(info.id)

        job = self._jobs.upload(self._order, sheet.path, created=created)
        self._intents.closing(chunk.id, job.id)
        try:
            self._running[chunk] = self._jobs.close(job.id)
        except JobFailed:
            info = self._jobs.info(job.id)
            if not info.ended:
                raise
            self._running[chunk] = info  # somebody aborted it: that is its result

    def _next_ended(self, gone: deque[Chunk], *, failure: HaloclineError | None, waits: bool) -> Iterator[tuple[Chunk, Answer]]:
        """The first job found to have ended, looked for until the time limit is over, or just once where it is not to wait."""
        until_s, pause_s, looks = self._pace.clock() + self._deadline_s, POLL_S, 0
        try:
            while self._running:
                for chunk, before in self._looked_for(looks):
                    found = self._looked_at(chunk, before, gone)
                    if found is not None:
                        yield chunk, found
                        return
                if not waits or not self._running:
                    return
                if self._pace.clock() >= until_s:
                    raise _still_running(self._running.values())
                self._telling.foresee(next(iter(self._running)))
                self._pace.sleep(pause_s)
                looks += 1
                pause_s = min(pause_s * POLL_GROWTH, MAX_POLL_S)
        except HaloclineError as error:
            if failure is not None:
                raise failure from error  # it came first, and is likely to be the cause
            raise

    def _looked_for(self, looks: int) -> list[tuple[Chunk, JobInfo]]:
        """The jobs to look at: the oldest, which most likely ends first; now and then all of them. A look is an API call."""
        running = list(self._running.items())
        return running if looks % _EVERY_LOOK == 0 else running[:1]

    def _looked_at(self, chunk: Chunk, before: JobInfo, gone: deque[Chunk]) -> Answer | None:
        """The answer of a job that has ended, its files fetched; the chunk of a job that is not there goes to `gone`."""
        try:
            info = self._jobs.info(before.id)
        except NotFound:
            del self._running[chunk]
            self._gone.add(chunk.id)
            gone.appendleft(chunk)
            return None
        self._running[chunk] = info
        if not info.stands(before):
            return None
        for path in self._telling.results(chunk, info).fetch():
            with storage(f"Writing {path.name} to the run's folder", room=IN_HOME):
                to_disk(path)
        intent = self._intents.of(chunk.id)
        answer = Answer(job=info, again=intent is not None and intent.again)
        self._answers.keep(chunk.id, answer)
        del self._running[chunk]
        return answer

    def _lost(self, chunk: Chunk) -> Answer:
        intent = self._intents.of(chunk.id)
        job_id = intent.job_id if intent else None
        why = f"job {job_id or 'of an earlier run'} was closed, and Salesforce does not know it any more; its rows may be written"
        answer = self._answers.of(chunk.id) or Answer(lost=why, job_id=job_id, again=True)
        self._answers.keep(chunk.id, answer)
        return answer


def _still_running(infos: Iterable[JobInfo]) -> StillRunning:
    states = [f"{info.id} is {info.state}" for info in infos]
    hint = "The jobs go on; take the run up later, and their results are read."
    cause = f"the time limit is over, and {quantity(len(states), 'job has')} not ended ({'; '.join(states)})"
    return StillRunning("Waiting for Bulk jobs", cause, hint=hint, job_ids=[info.id for info in infos])
