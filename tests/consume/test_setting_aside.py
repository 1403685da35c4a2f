"""Laws of setting aside, whoever does it: it is refused where it cannot be, and a letter goes back as the message that it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from tests.consume.test_lambda_batch import World, ran, record

from halocline import Handlers, SQSClient
from halocline.consume.handling.message import Message
from halocline.consume.letters.dead_letters import DeadLetters, identity_of
from halocline.consume.letters.quarantine import Quarantine
from halocline.consume.letters.redrive import Redrive, Targets
from halocline.consume.work.worker import Worker
from halocline.errors import AccessDenied, FixConfig
from halocline.queues import Delivery, Queue
from halocline.registry import open_queue
from halocline.testing.aws import FakeAWS


@pytest.mark.parametrize("key", ["17", "k" * 481])
def test_an_order_that_was_set_aside_beside_another_of_its_number_goes_back(key: str, tmp_path: Path) -> None:
    """Though its key was done since, for the other one: what a letter's key stood for is in its mark, and no reason tells it."""
    aside, back = Quarantine(tmp_path / "aside"), Quarantine(tmp_path / "back")
    world = World(handlers=Handlers(key=lambda _: key, compare=lambda message: message.body), aside=aside)

    @world.handlers.handler
    def first(message: Message) -> None:
        assert message.id == "a"
        assert world.call(record("b", body='{"total": 6}')) == []
        world.clock.advance(60)

    world.clock.store.now = time.time()
    assert world.call(record("a", body='{"total": 5}')) == []
    tally = Redrive(DeadLetters(aside), Targets(aside, lambda _: back), "aside", world.store).run()
    assert (tally.done, tally.handled, [one.body for one in back.receive()]) == (1, 0, ['{"total": 6}'])


# ---- where it cannot be


def handled() -> Handlers:
    handlers = Handlers()
    handlers.add_handler(lambda message: None)
    return handlers


def by_worker(queue: str, aside: Queue) -> None:
    worker = Worker(open_queue(queue), handled(), dead_letters=aside)
    worker.start()
    worker.stop_now()
    worker.join()


def by_lambda(queue: str, aside: Queue) -> None:
    world = World(handlers=handled(), aside=aside)
    world.call({**record("1"), "eventSourceARN": str(identity_of(open_queue(queue)))})


def by_client(queue: str, aside: Queue) -> None:
    client = SQSClient(queue_name=queue, handlers=handled(), store=None, dead_letters=aside)
    asyncio.run(client.handle_message(Delivery("h", "{}", "1")))


EVERYBODY = pytest.mark.parametrize("by", [by_worker, by_lambda, by_client], ids=["worker", "lambda", "client"])


@EVERYBODY
@pytest.mark.parametrize("may_look", [True, False], ids=["", "denied"])
def test_nobody_sets_messages_aside_where_they_would_come_again_at_once(
    aws: FakeAWS, monkeypatch: pytest.MonkeyPatch, by: Callable[[str, Queue], None], *, may_look: bool
) -> None:
    """Not in the queue itself, also where only its URL tells it, nor in one of the other kind, which takes none of them."""
    sqs = boto3.client("sqs")
    for name in ("users", "dead"):
        sqs.create_queue(QueueName=name)
    sqs.create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})
    aside = open_queue("users")
    if not may_look:

        def denied() -> str:
            raise AccessDenied("Looking at the queue users", "no")

        monkeypatch.setattr(aside, "identity", denied)
    with pytest.raises(FixConfig, match="into the queue itself"):
        by("users", aside)
    with pytest.raises(FixConfig, match=r"users is a standard queue, and dead\.fifo a FIFO one"):
        by("users", open_queue("dead.fifo"))
    by("users", open_queue("dead"))


@EVERYBODY
def test_a_folder_that_cannot_be_written_is_told_before_it_is_needed(
    aws: FakeAWS, tmp_path: Path, by: Callable[[str, Queue], None]
) -> None:
    """Not when a message is to be set aside, and comes round for ever; of one that can be, nothing is to be seen."""
    boto3.client("sqs").create_queue(QueueName="users")
    (tmp_path / "file").touch()
    with pytest.raises(FixConfig, match="cannot be written: Not a directory"):
        by("users", Quarantine(tmp_path / "file" / "aside"))
    by("users", Quarantine(tmp_path / "aside"))
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_handler_that_exits_ends_no_other_message() -> None:
    """The function answers for the others, and the one comes again as a failure."""
    world = World()
    names = ran(world, fail="b", error=SystemExit)
    assert (world.call(*map(record, "abc")), names) == (["b"], ["a", "b", "c"])
    (entry,) = world.store.look(["users/b"])
    assert (entry.state, entry.attempts, entry.deaths) == ("failed", 1, 0)
