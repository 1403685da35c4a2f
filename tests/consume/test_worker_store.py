"""Laws of a worker whose idempotency store goes away: nothing is begun without it, nothing is lost, nothing runs twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.consume.desk import PATIENCE_S, Noted, Runs, fill, handled_by, limits, queue_of, running, until
from tests.redis_server import RedisServer

from halocline.consume.stores import open_store
from halocline.consume.watching.observer import What
from halocline.consume.work import worker as worker_module
from halocline.consume.work.worker import Worker
from halocline.errors import RetryLater
from halocline.idempotency import Held, IdempotencyStore
from halocline.testing.aws import FakeAWS


@pytest.fixture
def server(redis_uri: str) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be stopped; `redis_uri` skips where there can be none."""
    with RedisServer() as running_one:
        yield running_one


def store_at(uri: str) -> IdempotencyStore:
    store = open_store(uri)
    assert store is not None
    return store


def test_a_redis_that_is_down_at_the_start_is_waited_for(aws: FakeAWS, server: RedisServer) -> None:
    """Messages are held and none is run; when it is there, each is run once."""
    server.stop()
    queue, runs, noted = queue_of(5), Runs(), Noted()
    worker = Worker(queue, handled_by(runs), store=store_at(server.uri), limits=limits(records=True), observer=noted)
    with running(worker):
        until(lambda: worker.counts.store_failures >= 2)
        assert runs.bodies == []
        server.start()
        until(lambda: worker.counts.deleted == 5)
    assert sorted(runs.bodies) == list("01234")
    assert noted.of(What.STORE_FAILED)
    assert any(snapshot.waits_for_store for snapshot in noted.snapshots)
    assert aws.counts(queue.name).visible == aws.counts(queue.name).in_flight == 0


def test_a_redis_that_goes_away_later_is_waited_for(aws: FakeAWS, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes meanwhile is held; a stop meanwhile hands it back, and what a last poll has brought too."""
    monkeypatch.setattr(worker_module, "_ANSWER_S", PATIENCE_S / 4)  # where the machine stands still, so does the last poll
    queue, runs = queue_of(3), Runs()
    worker = Worker(queue, handled_by(runs), store=store_at(server.uri), limits=limits(records=True))
    worker.start()
    until(lambda: worker.counts.deleted == 3)
    server.stop()
    fill(queue, 4)
    until(lambda: worker.counts.store_failures >= 1)
    assert len(runs.bodies) == 3
    worker.stop()
    assert worker.join(PATIENCE_S)
    assert (aws.counts(queue.name).visible, aws.counts(queue.name).in_flight) == (4, 0), worker.counts


class Deaf:
    """A store that does not answer what is said to it, so many times."""

    def __init__(self, store: IdempotencyStore, times: int) -> None:
        self._store = store
        self._left = times

    def done(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        self._left -= 1
        if self._left >= 0:
            raise RetryLater("Saying what became of keys", "no answer")
        return self._store.done(held, keep_s=keep_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.usefixtures("aws")
def test_a_word_that_was_not_heard_is_said_again(server: RedisServer) -> None:
    """The handler ran; its word is repeated until the store answers, and only then is the message deleted."""
    runs = Runs()
    store: Any = Deaf(store_at(server.uri), 3)
    worker = Worker(queue_of(2), handled_by(runs), store=store, limits=limits(records=True))
    with running(worker):
        until(lambda: worker.counts.deleted == 2)
    assert (len(runs.bodies), worker.result().done) == (2, 2)
    assert worker.result().store_failures >= 1


@pytest.mark.usefixtures("aws")
def test_what_another_worker_did_is_deleted_unread(server: RedisServer, aws: FakeAWS) -> None:
    """A message that comes again after it was done - its delete was lost - is deleted, and not run."""
    queue, runs = queue_of(1), Runs()
    aws.faults.add("cut", operation="DeleteMessageBatch", times=0)
    first = Worker(queue, handled_by(runs), store=store_at(server.uri), limits=limits(records=True, visibility_s=1, grace_s=0.1))
    first.start()
    until(lambda: first.counts.done == 1)
    first.stop()
    first.stop_now()
    assert first.join(20)
    aws.faults.clear()
    aws.clock.advance(60)
    second = Worker(queue, handled_by(runs), store=store_at(server.uri), limits=limits(records=True))
    with running(second):
        until(lambda: second.counts.deleted == 1)
    assert (runs.bodies, second.result().redelivered_done, second.result().started) == (["0"], 1, 0)
