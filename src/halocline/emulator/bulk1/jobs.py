"""The jobs of one org, their batches, and the threads that work on them."""

from __future__ import annotations

import secrets
import string
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, TypeAlias

from halocline.emulator.bulk1.job import BATCH_ENDED, Batch, Job
from halocline.emulator.bulk1.refusals import invalid_batch, invalid_job, invalid_state
from halocline.emulator.bulk2.jobs import Stopwatch
from halocline.emulator.errors import ApiError
from halocline.emulator.faults import orders
from halocline.emulator.ids import to_18

if TYPE_CHECKING:
    from halocline.emulator.org import Org

BATCHES_AT_ONCE = 4
KEPT_FOR = timedelta(days=7)  # after its creation. Source: Bulk API Developer Guide, "Limits": batch lifespan


@dataclass(frozen=True, slots=True)
class Done:
    """What a batch's work came to: records looked at, how many of them failed, the files of the results.

    With `chunks` (queries) the batch itself is not processed: each chunk becomes a batch of its own.
    """

    records: int = 0
    failed: int = 0
    results: tuple[Path, ...] = ()
    chunks: tuple[str, ...] = ()


Work: TypeAlias = Callable[[Batch], Done]


class Jobs:
    """All jobs and batches, oldest first. Safe to use from many threads."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.folder = org.folder / "bulk1"
        self.folder.mkdir()
        self._jobs: dict[str, Job] = {}
        self._batches: dict[str, dict[str, Batch]] = {}
        self._lanes: dict[str, deque[tuple[Batch, Work]]] = {}  # of serial jobs: what waits for the batch at work
        self._lock = Lock()
        self._flowing = Event()
        self._flowing.set()
        self._closing = Event()
        self._dooms: deque[tuple[str, str]] = deque()  # of the next batches, whichever they are
        self._fates: dict[str, tuple[str, str]] = {}  # of batches that a fault struck
        self._stuck: dict[str, tuple[str, Event]] = {}  # batch -> the fault's rule that keeps it, and when it goes on
        self._pool = ThreadPoolExecutor(BATCHES_AT_ONCE, thread_name_prefix="bulk1")

    def add(self, job: Job) -> None:
        """Keep a new job."""
        with self._lock:
            self._jobs[job.id] = job
            self._batches[job.id] = {}

    def get(self, job_id: str) -> Job:
        """The job of that id, of 15 or 18 characters.
        Raises: ApiError InvalidJob if there is none; its words are unverified.
        """
        found = next((job for job in self.all() if job_id in (job.id, job.id[:15])), None)
        if found is None:
            raise invalid_job(f"Invalid job id: {job_id}")
        return found

    def all(self) -> list[Job]:
        """All jobs that are not too old."""
        oldest = self._org.now() - KEPT_FOR
        with self._lock:
            return [job for job in self._jobs.values() if job.created >= oldest]

    def batches(self, job_id: str) -> list[Batch]:
        """The batches of a job as they are at one moment."""
        with self._lock:
            return list(self._batches[job_id].values())

    def batch(self, job: Job, batch_id: str) -> Batch:
        """A batch of a job by its id, of 15 or 18 characters.
        Raises: ApiError InvalidBatch if the job has none of that id; its words are unverified.
        """
        found = next((one for one in self.batches(job.id) if batch_id in (one.id, one.id[:15])), None)
        if found is None:
            raise invalid_batch(f"Unable to find batch for id: {batch_id}")
        return found

    def end(self, job: Job, state: str) -> Job:
        """Close or abort a job. Aborting keeps waiting batches from being processed; those at work are finished.

        Raises: ApiError InvalidJobState if the job is aborted or closed already (a closed one can be aborted while it has work).
        """
        with self._lock:
            now = self._jobs[job.id]
            busy = any(batch.state not in BATCH_ENDED for batch in self._batches[job.id].values())
            if now.state != "Open" and not (state == "Aborted" and now.state == "Closed" and busy):
                verb = "Closing" if state == "Closed" else "Aborting"
                raise invalid_state(f"{verb} already {now.state} Job not allowed")
            self._end(job.id, state)
            return self._jobs[job.id]

    def submit(self, job: Job, work: Work, *, request: bytes) -> Batch:
        """Add a batch to an open job and start it in the background.
        Raises: ApiError InvalidJobState if the job is not open, ExceededQuota when the day's batches are used up.
        """
        batch = self._new_batch(job, request)
        work = orders.carried(work)
        with self._lock:
            state = self._jobs[job.id].state
            if state != "Open":
                raise invalid_state(f"Unable to add a batch to a job in state {state}")  # words unverified
            self._org.limits.spend_batches(1)
            self._note_orders(batch)
            self._place(job, batch, work)
        return batch

    def hold(self) -> None:
        """Let no batch get past its start until `release`: those that run stay InProgress, the others Queued."""
        self._flowing.clear()

    def release(self) -> None:
        """End `hold`."""
        self._flowing.set()
        for rule in {rule for rule, _ in tuple(self._stuck.values())}:
            self.let_go(rule)

    def let_go(self, rule_id: str) -> None:
        """Let the batches go on that a fault's rule has made stand still."""
        for rule, flowing in tuple(self._stuck.values()):
            if rule == rule_id:
                flowing.set()

    def doom(self, state: str, message: str) -> None:
        """Let the next batch that starts fail with `message`, before it does anything; with Aborted its whole job is aborted.
        Raises: ValueError for another state than Failed or Aborted.
        """
        if state not in ("Failed", "Aborted"):
            raise ValueError(f"a batch is doomed to be Failed or Aborted, not {state}")
        self._dooms.append((state, message))

    def close(self) -> None:
        """Stop all work and wait for it."""
        self._closing.set()
        self.release()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_batch(self, job: Job, request: bytes) -> Batch:
        now, batch_id = self._org.now(), new_id("751")
        path = self.folder / f"{batch_id}.request"
        path.write_bytes(request)
        return Batch(batch_id, job.id, now, now, path)

    def _note_orders(self, batch: Batch) -> None:
        """What the rules that struck this request want of its batch."""
        if rule := orders.stuck_by():
            self._stuck[batch.id] = rule, Event()
        if fate := orders.fate():
            self._fates[batch.id] = fate.state, fate.message

    def _place(self, job: Job, batch: Batch, work: Work) -> None:
        """Keep a batch, and let it run now or after those before it. The caller holds the lock."""
        self._batches[job.id][batch.id] = batch
        lane = self._lanes.get(job.id)
        if job.concurrency == "Serial" and lane is not None:
            lane.append((batch, work))
            return
        if job.concurrency == "Serial":
            self._lanes[job.id] = deque()
        self._pool.submit(self._run, job, batch, work)

    def _run(self, job: Job, batch: Batch, work: Work) -> None:
        try:
            if self._change(batch, state="InProgress"):
                self._flowing.wait()
                if batch.id in self._stuck:
                    self._stuck[batch.id][1].wait()
                if not self._closing.is_set():
                    self._work(job, batch, work)
        finally:
            self._next_in_lane(job)

    def _work(self, job: Job, batch: Batch, work: Work) -> None:
        """Whatever stops the work is told in the batch, as Salesforce does."""
        if self._doomed(job, batch):
            return
        config = self._org.config
        watch = Stopwatch(job_ms=config.job_ms, job_ms_per_10k=config.job_ms_per_10k)
        try:
            done = work(batch)
        except ApiError as refusal:
            self._change(batch, state="Failed", message=f"{refusal.code} : {refusal.message}")
            return
        except Exception as reason:  # noqa: BLE001  # the gate of the background thread: nobody else would see it
            self._change(batch, state="Failed", message=f"InternalServerError : {reason}")
            return
        if done.chunks:
            self._cut(job, batch, work=work, chunks=done.chunks)
            return
        self._closing.wait(watch.left_s(done.records, is_end=True))
        counts = {"records": done.records, "failed": done.failed, "milliseconds": watch.milliseconds}
        self._change(batch, state="Completed", results=done.results, **counts)

    def _doomed(self, job: Job, batch: Batch) -> bool:
        """Whether the batch met its doom."""
        try:
            state, message = self._fates.pop(batch.id) if batch.id in self._fates else self._dooms.popleft()
        except IndexError:
            return False
        if state == "Aborted":
            with self._lock:
                self._end(job.id, state)
        self._change(batch, state="NotProcessed" if state == "Aborted" else "Failed", message=message)
        return True

    def _cut(self, job: Job, batch: Batch, *, work: Work, chunks: Sequence[str]) -> None:
        """Replace a query by its chunks: the batch is not processed, each chunk is a batch that waits."""
        added = [replace(self._new_batch(job, chunk.encode()), is_chunk=True) for chunk in chunks]
        with self._lock:
            current = self._batches[job.id][batch.id]
            self._batches[job.id][batch.id] = replace(current, state="NotProcessed", changed=self._org.now())
            state = "NotProcessed" if self._jobs[job.id].state == "Aborted" else "Queued"
            for one in added:
                self._place(job, replace(one, state=state), work)

    def _next_in_lane(self, job: Job) -> None:
        with self._lock:
            lane = self._lanes.get(job.id)
            if lane is None or self._closing.is_set():
                return
            if lane:
                self._pool.submit(self._run, job, *lane.popleft())
            else:
                del self._lanes[job.id]

    def _end(self, job_id: str, state: str) -> None:
        now = self._org.now()
        self._jobs[job_id] = replace(self._jobs[job_id], state=state, changed=now)
        if state == "Aborted":
            waiting = [batch for batch in self._batches[job_id].values() if batch.state == "Queued"]
            self._batches[job_id].update({one.id: replace(one, state="NotProcessed", changed=now) for one in waiting})

    def _change(self, batch: Batch, **changes: object) -> bool:
        """Give a batch new values unless it has ended; whether it took them."""
        with self._lock:
            current = self._batches[batch.job_id][batch.id]
            if current.state in BATCH_ENDED:
                return False
            changed = replace(current, changed=self._org.now(), **changes)  # type: ignore[arg-type]  # the names are Batch's fields
            self._batches[batch.job_id][batch.id] = changed
            return True


def new_id(prefix: str) -> str:
    """A new id of a job (750), a batch (751) or a result (752)."""
    return to_18(prefix + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12)))
