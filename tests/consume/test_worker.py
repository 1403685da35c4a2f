"""Laws of the worker's threads: what runs where, what holds up whom, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from tests.consume.desk import PATIENCE_S, Noted, Runs, fill, handled_by, limits, queue_of, running, until
from tests.figures import SAYS, Says

from halocline import SQSClient
from halocline.connectors.aws.sqs import SQS
from halocline.consume.flight.backoff import Backoff
from halocline.consume.handling.context import Context
from halocline.consume.handling.handlers import Handlers
from halocline.consume.limits import Limits
from halocline.consume.stores import open_store
from halocline.consume.watching.observer import What
from halocline.consume.work import worker as worker_module
from halocline.consume.work.worker import Worker
from halocline.errors import AccessDenied, AlreadyApplied, FixConfig, NotFound, RetryLater
from halocline.idempotency import Wanted
from halocline.queues import Delivery, Message, Reply
from halocline.testing.aws import FakeAWS


def test_each_message_is_handled_once_and_deleted_in_batches(aws: FakeAWS, redis_uri: str) -> None:
    """Sixty messages, with a Redis store: sixty runs, and no more calls than six of each kind and a few."""
    queue, runs = queue_of(60), Runs()
    worker = Worker(queue, handled_by(runs), store=open_store(redis_uri), limits=limits(records=True))
    with running(worker):
        until(lambda: worker.counts.deleted == 60)
    assert (len(runs.bodies), runs.most, worker.result().done) == (60, 1, 60)
    assert aws.counts(queue.name).visible == aws.counts(queue.name).in_flight == 0
    assert aws.calls.count("sqs.DeleteMessageBatch") <= 12
    assert aws.calls.count("sqs.DeleteMessage") == 0


@pytest.mark.usefixtures("aws")
def test_async_handlers_run_side_by_side_on_one_loop() -> None:
    """Ten that wait for each other all run, in one thread that is not the worker's."""
    threads: set[str] = set()
    together = 0

    async def handle(message: Any) -> None:
        nonlocal together
        together += 1
        threads.add(threading.current_thread().name)
        while together < 10:
            await asyncio.sleep(0.001)

    worker = Worker(queue_of(10), handled_by(handle), limits=limits())
    with running(worker):
        until(lambda: worker.counts.deleted == 10)
    assert len(threads) == 1


@pytest.mark.usefixtures("aws")
def test_run_async_takes_the_callers_loop() -> None:
    """Async handlers run on it, others in threads beside it; to cancel the run ends it in order."""
    queue = queue_of(4)
    here = threading.get_ident()
    seen: set[tuple[str, bool]] = set()
    handlers = Handlers()

    @handlers.handler("A.b")
    async def on_the_loop(message: Any) -> None:
        seen.add(("async", threading.get_ident() == here))

    @handlers.handler
    def beside(message: Any) -> None:
        seen.add(("sync", threading.get_ident() == here))

    assert all(queue.send([Message("x", {"iniesta_pass": "A.b"})]))
    worker = Worker(queue, handlers, limits=limits())

    async def main() -> None:
        task = asyncio.create_task(worker.run_async())
        while worker.counts.deleted < 5:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == {("async", True), ("sync", False)}
    assert worker.join(0)


@pytest.mark.usefixtures("aws")
def test_a_handler_longer_than_the_visibility_runs_once(record_property: Says) -> None:
    """Visibility of three seconds, handlers of more than four: each message runs once, however its handler takes its time."""
    runs: list[str] = []
    seconds = 4.5

    def waiting(message: Any) -> None:
        runs.append(f"{message.queue}/{message.raw_body}")
        time.sleep(seconds)

    def computing(message: Any) -> None:
        runs.append(f"{message.queue}/{message.raw_body}")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    async def awaiting(message: Any) -> None:
        runs.append(f"{message.queue}/{message.raw_body}")
        await asyncio.sleep(seconds)

    async def blocking_the_loop(message: Any) -> None:
        waiting(message)

    kinds = [(waiting, 8), (computing, 2), (awaiting, 8), (blocking_the_loop, 1)]
    workers = [Worker(queue_of(count), handled_by(one), limits=limits(visibility_s=3, workers=count)) for one, count in kinds]
    with ExitStack() as stack:
        for worker in workers:
            stack.enter_context(running(worker))
        until(lambda: [worker.counts.deleted for worker in workers] == [count for _, count in kinds])
    for worker, (one, count) in zip(workers, kinds, strict=True):
        counts = worker.result()
        record_property(SAYS, f"T9 {one.__name__}: {count} messages, again={counts.again} extended={counts.extended}")
        assert (counts.started, counts.again, counts.lost_leases) == (count, 0, 0)
        assert counts.extended >= 2 * count
    assert len(runs) == len(set(runs)) == sum(count for _, count in kinds)


@pytest.mark.usefixtures("aws")
def test_a_claim_is_held_as_long_as_its_handler_runs(redis_uri: str) -> None:
    """Longer than its lease: nobody else gets it meanwhile, and the word at the end counts."""
    store, keys, go = open_store(redis_uri), list[str](), threading.Event()
    assert store is not None

    def handle(message: Any, context: Context) -> None:
        keys.append(context.key)
        go.wait(PATIENCE_S)

    worker = Worker(queue_of(1), handled_by(handle), store=store, limits=limits(visibility_s=1))
    with running(worker):
        until(lambda: worker.counts.renewed >= 4)
        claims = store.claim([Wanted(keys[0])], owner="another", lease_s=1)
        go.set()
        until(lambda: worker.counts.deleted == 1)
    assert [claim.fence for claim in claims] == [0]
    assert (worker.result().done, worker.result().stale) == (1, 0)


def test_a_delete_that_fails_is_tried_again(aws: FakeAWS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue refuses some at first, or does not answer: every message is handled once, and gone at the end."""
    queue, runs = queue_of(5), Runs()
    delete, failures = queue.delete, [RetryLater("Deleting", "no answer"), None]

    def failing(handles: Sequence[str]) -> list[Reply]:
        if not failures:
            return delete(handles)
        error = failures.pop()
        if error is not None:
            raise error
        return [Reply(code="InternalError", error="busy")] * len(handles)

    monkeypatch.setattr(queue, "delete", failing)
    worker = Worker(queue, handled_by(runs), limits=limits())
    with running(worker):
        until(lambda: worker.counts.deleted == 5)
    assert (len(runs.bodies), runs.most, failures) == (5, 1, [])
    assert not aws.messages(queue.name)


def test_stop_lets_handlers_end_and_hands_back_the_rest(aws: FakeAWS) -> None:
    """What runs is finished and deleted, what waits is visible at once, and nothing is left hidden."""
    queue, runs = queue_of(30), Runs(hold=True)
    worker = Worker(queue, handled_by(runs), limits=limits(workers=3))
    worker.start()
    until(lambda: len(runs.bodies) == 3 and worker.counts.received >= 20)
    worker.stop()
    until(lambda: aws.counts(queue.name).in_flight == 3)
    runs.go.set()
    assert worker.join(PATIENCE_S)
    assert (worker.result().done, len(runs.bodies)) == (3, 3)
    assert (aws.counts(queue.name).visible, aws.counts(queue.name).in_flight) == (27, 0)


def test_an_idle_worker_ends_at_once(aws: FakeAWS) -> None:
    """Its long poll of twenty seconds is cut, and takes no message with it."""
    queue = queue_of()
    worker = Worker(queue, handled_by(Runs()), limits=limits())
    worker.start()
    until(lambda: aws.calls.count("sqs.ReceiveMessage") == 1)
    worker.stop()
    assert worker.join(15)
    assert worker.result().poll_failures == 0
    fill(queue, 1)
    assert [one.body for one in queue.receive(1, wait_s=1)] == ["0"]


def test_a_second_stop_hands_back_everything(aws: FakeAWS) -> None:
    """Handlers are told, and not waited for; their messages are visible at once."""
    queue = queue_of(12)
    told: list[bool] = []
    begun, go = threading.Semaphore(0), threading.Event()

    def handle(message: Any, context: Context) -> None:
        begun.release()
        told.append(context.lease.lost.wait(10))
        go.wait(10)

    noted = Noted()
    worker = Worker(queue, handled_by(handle), limits=limits(workers=2), observer=noted)
    worker.start()
    assert begun.acquire(timeout=10)
    assert begun.acquire(timeout=10)
    worker.stop()
    worker.stop_now()
    assert worker.join(PATIENCE_S)
    assert (aws.counts(queue.name).visible, aws.counts(queue.name).in_flight) == (12, 0)
    assert len(noted.of(What.HUNG)) == 2
    until(lambda: told == [True, True])
    go.set()


def test_a_handler_that_hangs_is_left_when_the_grace_is_over(aws: FakeAWS) -> None:
    """Others go on beside it, and the stop takes no longer than the grace."""
    queue = queue_of(10)
    hang = threading.Event()

    def handle(message: Any) -> None:
        if message.raw_body == "3":
            hang.wait(30)

    worker = Worker(queue, handled_by(handle), limits=limits(grace_s=0.3, workers=2))
    worker.start()
    until(lambda: worker.counts.deleted == 9)
    begun = time.monotonic()
    worker.stop()
    assert worker.join(PATIENCE_S)
    assert time.monotonic() - begun > 0.2
    assert (aws.counts(queue.name).visible, aws.counts(queue.name).in_flight) == (1, 0)
    hang.set()


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()], ids=repr
)
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.usefixtures("aws")
def test_whatever_a_handler_raises_ends_its_message_only(error: BaseException, *, is_async: bool) -> None:
    """The message comes again, the others are handled, the worker goes on."""
    failed: list[str] = []

    def handle(message: Any) -> None:
        if message.raw_body == "1" and not failed:
            failed.append("1")
            raise error

    async def handle_async(message: Any) -> None:
        handle(message)

    noted = Noted()
    retries = Limits().retries
    soon = limits(retries=type(retries)(first_s=0, jitter=0))
    worker = Worker(queue_of(3), handled_by(handle_async if is_async else handle), limits=soon, observer=noted)
    with running(worker):
        until(lambda: worker.counts.deleted == 3)
    assert (worker.result().failed, worker.result().done) == (1, 3)
    assert [note.error for note in noted.of(What.FAILED)] == [error]


@pytest.mark.usefixtures("aws")
def test_a_task_that_is_cancelled_before_its_first_step_has_failed() -> None:
    """Nobody hears of it but the loop: its message comes again all the same, and is handled then."""
    seen: list[str] = []
    cancelled: list[bool] = []

    async def handle(message: Any) -> None:
        seen.append(message.raw_body)

    def made(loop: asyncio.AbstractEventLoop, coroutine: Any, **rest: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **rest)
        if not cancelled:
            cancelled.append(task.cancel())
        return task

    worker = Worker(queue_of(2), handled_by(handle), limits=limits(retries=Backoff(first_s=0, jitter=0)))

    async def main() -> None:
        working = asyncio.create_task(worker.run_async())
        asyncio.get_running_loop().set_task_factory(made)
        while worker.counts.deleted < 2:
            await asyncio.sleep(0.005)
        worker.stop()
        await working

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
    assert (sorted(seen), worker.result().failed, cancelled) == (["0", "1"], 1, [True])


@pytest.mark.usefixtures("aws")
def test_a_loop_that_is_closed_keeps_no_message(caplog: pytest.LogCaptureFixture) -> None:
    """What was at work there has failed, what had not begun begins on another loop, and so does what comes later."""
    queue, seen = queue_of(1), list[str]()

    async def handle(message: Any) -> None:
        seen.append(message.raw_body)
        if len(seen) == 1:
            await asyncio.sleep(3600)

    loop = asyncio.new_event_loop()
    worker = Worker(queue, handled_by(handle), limits=limits(visibility_s=2, retries=Backoff(first_s=0, jitter=0)))
    worker.start(loop=loop)

    async def begun() -> None:
        while not seen:
            await asyncio.sleep(0.005)

    loop.run_until_complete(asyncio.wait_for(begun(), PATIENCE_S))
    fill(queue, 1)
    until(lambda: worker.counts.started == 2)
    loop.close()
    until(lambda: worker.counts.deleted == 2)
    worker.stop()
    assert worker.join(PATIENCE_S)
    assert (seen, worker.result().failed) == (["0", "0", "0"], 1)
    assert "is switched off" not in caplog.text


@pytest.mark.usefixtures("aws")
def test_a_system_that_gives_no_thread_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is reached, and its result raises what was lacking."""
    start = threading.Thread.start

    def lacking(thread: threading.Thread) -> None:
        if "-handler-" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", lacking)
    worker = Worker(queue_of(1), handled_by(Runs()), limits=limits())
    worker.start()
    assert worker.join(PATIENCE_S)
    with pytest.raises(RuntimeError, match="new thread"):
        worker.result()


@pytest.mark.usefixtures("aws")
def test_what_goes_wrong_is_logged_where_nobody_asked_for_anything(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that raises is a warning, as it comes, with neither an observer nor a setting of `logging`."""

    def handle(message: Any) -> None:
        raise ValueError("no such customer")

    worker = Worker(queue_of(1), handled_by(handle), limits=limits())
    with running(worker):
        until(lambda: worker.counts.failed == 1)
    assert ["no such customer" in one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == [True]


@pytest.mark.usefixtures("aws")
def test_an_effect_that_is_there_already_counts_as_done() -> None:
    """The handler let AlreadyApplied pass: the message is deleted."""

    def handle(message: Any) -> None:
        raise AlreadyApplied("Applying", "it was applied before")

    worker = Worker(queue_of(1), handled_by(handle), limits=limits())
    with running(worker):
        until(lambda: worker.counts.deleted == 1)
    assert (worker.result().done, worker.result().failed) == (1, 0)


@pytest.mark.usefixtures("aws")
def test_threads_of_a_handler_disturb_nobody_and_ours_end() -> None:
    """A handler leaves a thread behind with each message; after the end there are those, and none of the worker's."""
    leave = threading.Event()
    leaked: list[threading.Thread] = []

    def handle(message: Any) -> None:
        thread = threading.Thread(target=leave.wait, args=(30,), name="leaked")
        thread.start()
        leaked.append(thread)

    worker = Worker(queue_of(8), handled_by(handle), limits=limits())
    with running(worker):
        until(lambda: worker.counts.deleted == 8)
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith(worker.name)], "the end of all threads")
    assert sum(one.is_alive() for one in leaked) == 8
    leave.set()
    for one in leaked:
        one.join()


def test_a_queue_that_is_deleted_ends_the_worker(aws: FakeAWS) -> None:
    """It says so, and does not ask for ever."""
    import boto3

    queue = queue_of()
    noted = Noted()
    worker = Worker(queue, handled_by(Runs()), limits=limits(), observer=noted)
    worker.start()
    boto3.client("sqs").delete_queue(QueueUrl=queue.url)
    assert worker.join(PATIENCE_S)
    with pytest.raises(NotFound):
        worker.result()
    assert noted.snapshots[-1].state == "failed"


def test_a_right_that_is_taken_away_ends_the_worker(aws: FakeAWS) -> None:
    """What runs is finished first, and the failure names the right."""
    queue, runs = queue_of(1), Runs(hold=True)
    worker = Worker(queue, handled_by(runs), limits=limits())
    worker.start()
    until(lambda: runs.bodies)
    aws.faults.add("refuse", operation="ReceiveMessage", times=0)
    fill(queue, 1)  # wakes the poll; the next one is refused
    until(lambda: worker.failure is not None)
    runs.go.set()
    assert worker.join(PATIENCE_S)
    assert worker.counts.done >= 1
    with pytest.raises(AccessDenied, match="sqs:ReceiveMessage"):
        worker.result()


def test_an_hour_that_the_clock_jumps_over_runs_nothing_twice(aws: FakeAWS, redis_uri: str) -> None:
    """The queue hands the message out again while its handler runs: it is noticed, run once, and deleted with the new handle."""
    queue, runs = queue_of(1), Runs(hold=True)
    worker = Worker(queue, handled_by(runs), store=open_store(redis_uri), limits=limits(records=True))
    with running(worker):
        until(lambda: runs.bodies)
        aws.clock.advance(3600)
        until(lambda: worker.counts.again == 1)
        runs.go.set()
        until(lambda: worker.counts.deleted == 1)
    assert runs.bodies == ["0"]
    assert aws.counts(queue.name).visible == aws.counts(queue.name).in_flight == 0


def test_a_wall_clock_that_jumps_changes_nothing(aws: FakeAWS, redis_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a day forward nor a day back: durations are measured by a clock that never jumps (the queue's own jumps too)."""
    queue, runs = queue_of(), Runs()
    worker = Worker(queue, handled_by(runs), store=open_store(redis_uri), limits=limits(records=True))
    with running(worker):
        for jump in (86_400, -86_400):
            real = time.time() + jump
            monkeypatch.setattr(time, "time", lambda real=real: real)
            fill(queue, 2)
            monkeypatch.undo()
            for name, value in aws.environment().items():
                monkeypatch.setenv(name, value)
            until(lambda: not aws.messages(queue.name))
    assert (len(runs.bodies), worker.result().lost_leases) == (4, 0)


class Silent:
    """A queue whose polls never come back."""

    name = "silent"

    def __init__(self) -> None:
        self.end = threading.Event()

    def receive(self, limit: int = 10, *, wait_s: float = 20.0, visibility_s: int | None = None) -> list[Delivery]:
        self.end.wait(30)
        return []

    def send(self, messages: Sequence[Message]) -> list[Reply]:
        raise NotImplementedError

    def delete(self, handles: Sequence[str]) -> list[Reply]:
        raise NotImplementedError

    def extend(self, handles: Sequence[str], seconds: int) -> list[Reply]:
        raise NotImplementedError

    def hand_back(self, handles: Sequence[str]) -> list[Reply]:
        raise NotImplementedError


@pytest.mark.usefixtures("aws")
def test_a_client_that_is_silent_is_made_anew() -> None:
    """The new one brings the messages, and the old one's thread holds up nothing."""
    silent, runs, noted = Silent(), Runs(), Noted()
    made: list[SQS] = []

    def rebuild() -> SQS:
        made.append(queue_of(5))
        return made[-1]

    worker = Worker(silent, handled_by(runs), limits=limits(silent_s=2), rebuild=rebuild, observer=noted)
    with running(worker):
        until(lambda: worker.counts.deleted == 5)
        assert worker.counts.rebuilds == 1
    assert (len(runs.bodies), len(made), len(noted.of(What.REBUILT))) == (5, 1, 1)
    silent.end.set()


def test_a_poll_that_cannot_be_cut_is_left_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end takes a little longer than the grace, and not as long as the poll."""
    monkeypatch.setattr(worker_module, "_LAST_S", 0.2)
    silent = Silent()
    worker = Worker(silent, handled_by(Runs()), limits=limits(grace_s=0.1))
    worker.start()
    worker.stop()
    assert worker.join(PATIENCE_S)
    assert worker.result().polls == 0
    silent.end.set()


@pytest.mark.usefixtures("aws")
def test_a_mistake_of_ours_is_told_and_not_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends, and its result raises what happened."""
    worker = Worker(queue_of(1), handled_by(Runs()), limits=limits())
    monkeypatch.setattr(type(worker._flight), "told", lambda *_: 1 / 0)
    worker.start()
    assert worker.join(PATIENCE_S)
    with pytest.raises(ZeroDivisionError):
        worker.result()


@pytest.mark.usefixtures("aws")
def test_a_worker_works_once_and_says_what_it_lacks() -> None:
    """To start it twice, and to wait for the end of what was not started, is refused."""
    worker = Worker(queue_of(), handled_by(Runs()), limits=limits())
    with pytest.raises(FixConfig, match="not started"):
        worker.join()
    with running(worker), pytest.raises(FixConfig, match="started before"):
        worker.start()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"store": "redis://:secret@host"},
            r"^Making a worker for silent: store is a text, not an idempotency store.*open_store",
        ),
        ({"dead_letters": "users-dead"}, "dead_letters is a text, not a queue.*open_queue"),
        ({"queue": "users"}, "queue is a text, not a queue"),
        ({"queue": None}, "queue is None"),
        ({"queue": FakeAWS}, "queue is the class FakeAWS"),
        ({"handlers": print}, "handlers is builtin_function_or_method, no Handlers"),
        ({"handlers": SQSClient}, r"handlers is the class SQSClient, no Handlers.*\.handlers"),
    ],
)
def test_what_a_worker_is_made_of_is_refused_before_it_works(given: dict[str, Any], says: str) -> None:
    """A text in the place of a store would fail for ever, behind the first message; it may hold a password, and is not shown."""
    with pytest.raises(FixConfig, match=f"(?s){says}") as refused:
        Worker(**{"queue": Silent(), "handlers": Handlers(), **given})
    assert "secret" not in str(refused.value)


class Away:
    """A store behind a wrapper: whatever it is asked, it is away."""

    def __getattr__(self, name: str) -> Any:
        raise RetryLater("Claiming", "no answer")


def test_what_stands_for_a_store_is_asked_nothing_before_the_start() -> None:
    """A wrapper, whose store may be away yet."""
    assert Worker(Silent(), Handlers(), store=Away()).limits.records


@pytest.mark.parametrize("given", [None, Limits(workers=20), Limits(fifo=False, records=True)], ids=["none", "some", "wrong"])
@pytest.mark.usefixtures("aws")
def test_a_queue_of_order_is_known_as_one(given: Limits | None) -> None:
    """Messages of one group run one after the other, in their order, whatever limits are given and however many handlers."""
    queue, runs = queue_of(25, FifoQueue="true"), Runs()
    worker = Worker(queue, handled_by(runs), limits=given)
    assert (worker.limits.fifo, worker.limits.records) == (True, False)
    with running(worker):
        until(lambda: worker.counts.deleted == 25)
    assert runs.bodies == [str(number) for number in range(25)]
