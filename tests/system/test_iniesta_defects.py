"""Laws of events that an older library for the same job broke. Each test says in its docstring what went wrong there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest

from halocline import Handlers, SNSClient, SQSClient
from halocline.connectors.aws.session import Session
from halocline.consume.limits import Limits
from halocline.consume.stores import open_store
from halocline.consume.watching.counts import Counts
from halocline.errors import FixConfig, NetworkFailed
from halocline.idempotency import Held, IdempotencyStore
from halocline.testing.aws import FakeAWS

pytestmark = pytest.mark.system

NUMBERS = count()
LONG_S = 20.0


def eventually(happened: Callable[[], bool]) -> None:
    """Wait until something is so."""
    ends_at = time.monotonic() + LONG_S
    while not happened():
        assert time.monotonic() < ends_at, "it did not happen"
        time.sleep(0.005)


@dataclass(slots=True)
class Here:
    """A queue, and what is received from it."""

    aws: FakeAWS
    folder: Path
    queue: str
    dead: str
    handled: list[str] = field(default_factory=list)
    opened: ExitStack = field(default_factory=ExitStack)

    def store(self) -> IdempotencyStore:
        found = open_store(f"sqlite:///{self.folder / 'claims.sqlite'}")
        assert found is not None
        self.opened.callback(found.close)
        return found

    def client(self, handlers: Handlers, *, store: Any = "", **limits: Any) -> SQSClient:
        usual = {"polls": 1, "flush_s": 0.01, "records": store is not None}
        place = f"sqlite:///{self.folder / 'claims.sqlite'}" if store == "" else store
        return SQSClient(
            queue_name=self.queue, handlers=handlers, store=place, dead_letters=self.dead, limits=Limits(**{**usual, **limits})
        )

    def send(self, *bodies: str, event: str = "User.updated") -> None:
        attributes = {"iniesta_pass": {"DataType": "String", "StringValue": event}}
        entries = [{"Id": str(n), "MessageBody": one, "MessageAttributes": attributes} for n, one in enumerate(bodies)]
        url = boto3.client("sqs").get_queue_url(QueueName=self.queue)["QueueUrl"]
        boto3.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)

    @property
    def is_empty(self) -> bool:
        counts = self.aws.counts(self.queue)
        return counts.visible == counts.in_flight == 0

    def receive(self, client: SQSClient, until: Callable[[], bool]) -> Counts:
        client.start_receiving_messages()
        try:
            eventually(until)
        finally:
            counts = asyncio.run(client.stop_receiving_messages())
        return counts


@pytest.fixture
def here(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    number = next(NUMBERS)
    sqs = boto3.client("sqs")
    sqs.create_queue(QueueName=f"dead-{number}")
    sqs.create_queue(QueueName=f"events-{number}")
    here = Here(aws, tmp_path, f"events-{number}", f"dead-{number}")
    with here.opened:
        yield here


# ---- 1


def test_a_method_is_called_on_one_instance_of_its_class(here: Here) -> None:
    """There every message failed ("m() missing 1 required positional argument"), and came again for ever."""
    handlers, made = Handlers(), []

    class Users:
        def __init__(self) -> None:
            made.append(self)
            self.bodies: list[str] = []

        @handlers.handler("User.updated")
        def updated(self, message: Any) -> None:
            self.bodies.append(message.body["id"])

    here.send('{"id": 1}', '{"id": 2}')
    counts = here.receive(here.client(handlers), lambda: here.is_empty)
    assert (counts.failed, len(made), sorted(made[0].bodies)) == (0, 1, [1, 2])


# ---- 2


def test_a_message_that_was_handled_is_not_handled_again(here: Here) -> None:
    """There the lock ended with the handler, and a message whose deletion got lost ran again."""
    handlers = Handlers()
    handlers.add_handler(lambda message: here.handled.append(message.id))
    here.aws.faults.add("duplicate", resource=here.queue)
    here.send("a")
    counts = here.receive(here.client(handlers, visibility_s=1), lambda: here.is_empty)
    assert (len(here.handled), counts.started, counts.done) == (1, 1, 1)


def test_a_message_handled_by_another_process_before_is_deleted(here: Here) -> None:
    """There a second worker ran what the first had done."""
    handlers = Handlers()
    handlers.add_handler(lambda message: here.handled.append(message.id))
    here.send("a")
    url = boto3.client("sqs").get_queue_url(QueueName=here.queue)["QueueUrl"]
    (told,) = boto3.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    asyncio.run(here.client(handlers).handle_message(told))  # and dies before it deletes
    here.aws.clock.advance(60)
    second = here.client(handlers)
    counts = here.receive(second, lambda: here.is_empty)
    assert (len(here.handled), counts.started, counts.redelivered_done) == (1, 0, 1)


# ---- 3


class Deaf:
    """A store that does not hear the first word that something is done."""

    def __init__(self, store: IdempotencyStore) -> None:
        self._store = store
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def done(self, held: Sequence[tuple[Held, str]], *, keep_s: float) -> list[bool]:
        if self.failures == 0:
            self.failures += 1
            raise NetworkFailed("Saying that it is done", "no answer")
        return self._store.done(held, keep_s=keep_s)


def test_a_store_that_fails_after_the_handler_loses_nothing(here: Here) -> None:
    """There a failing unlock took the place of the result, and the other messages of the batch ran, and were never deleted."""
    handlers = Handlers()
    handlers.add_handler(lambda message: here.handled.append(message.body))
    here.send(*"abcde")
    deaf = Deaf(here.store())
    counts = here.receive(here.client(handlers, store=deaf), lambda: here.is_empty)
    assert (sorted(here.handled), deaf.failures, counts.failed) == (list("abcde"), 1, 0)


# ---- 4


def test_a_slow_handler_holds_up_no_other(here: Here) -> None:
    """There all messages of a receive had to end before the next receive, and a handler that blocks stood in everybody's way."""
    handlers, go_on = Handlers(), threading.Event()

    @handlers.handler("User.slow")
    def slow(message: Any) -> None:
        go_on.wait(LONG_S)
        here.handled.append(message.body)

    @handlers.handler
    async def quick(message: Any) -> None:
        here.handled.append(message.body)
        if len(here.handled) == 25:
            go_on.set()

    here.send("slow", event="User.slow")
    for number in range(5):
        here.send(*(f"{number}{n}" for n in range(5)))
    here.receive(here.client(handlers), lambda: here.is_empty)
    assert (len(here.handled), here.handled[-1]) == (26, "slow")


def test_a_handler_may_take_longer_than_its_message_is_hidden(here: Here) -> None:
    """There nothing hid the message for longer, and it ran again beside itself."""
    handlers = Handlers()

    @handlers.handler
    def slow(message: Any, context: Any) -> None:
        here.handled.append(message.body)
        context.lease.lost.wait(6.5)

    here.send("a")
    counts = here.receive(here.client(handlers, visibility_s=3), lambda: here.is_empty)
    assert (here.handled, counts.again, counts.lost_leases, counts.done) == (["a"], 0, 0, 1)
    assert counts.extended >= 3


# ---- 5


def test_a_queue_that_fails_is_asked_less_often(here: Here) -> None:
    """There an error was followed by the next call at once, as fast as the machine could."""
    handlers = Handlers()
    handlers.add_handler(lambda message: here.handled.append(message.body))
    here.aws.faults.add("server_error", operation="ReceiveMessage", times=1_000)
    client = here.client(handlers)
    client.start_receiving_messages()
    eventually(lambda: here.aws.calls.count("sqs.ReceiveMessage") >= 3)
    began, before = time.monotonic(), here.aws.calls.count("sqs.ReceiveMessage")
    eventually(lambda: here.aws.calls.count("sqs.ReceiveMessage") >= before + 2)
    rate = 2 / (time.monotonic() - began)
    here.aws.faults.clear()
    here.send("a")
    eventually(lambda: here.is_empty)
    asyncio.run(client.stop_receiving_messages())
    assert (here.handled, rate < 50) == (["a"], True)


def test_an_event_that_nobody_handles_is_set_aside(here: Here) -> None:
    """There it was logged and came again until it was too old."""
    handlers = Handlers()
    handlers.add_handler(lambda message: here.handled.append(message.body), "User.updated")
    here.send("known")
    here.send("unknown", event="User.renamed")
    here.receive(here.client(handlers), lambda: here.is_empty)
    (letter,) = here.aws.messages(here.dead)
    assert (here.handled, letter.body) == (["known"], "unknown")


def test_a_message_that_cannot_be_read_stops_no_other(here: Here) -> None:
    """There one malformed message ended its whole batch, and began the polling anew in a hot loop."""
    handlers = Handlers()

    @handlers.handler
    def typed(body: dict) -> None:  # type: ignore[type-arg]
        here.handled.append(body["id"])

    url = boto3.client("sqs").get_queue_url(QueueName=here.queue)["QueueUrl"]
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="no JSON at all")
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="[]")
    here.send('{"id": "a"}', '{"id": "b"}')
    client = here.client(handlers, most_receives=1)
    here.receive(client, lambda: here.is_empty)
    assert sorted(here.handled) == ["a", "b"]
    assert sorted(one.body for one in here.aws.messages(here.dead)) == ["[]", "no JSON at all"]


class Away:
    """A store that cannot be reached until `come` is set."""

    def __init__(self, store: IdempotencyStore) -> None:
        self._store = store
        self.come = threading.Event()
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        if not self.come.is_set():
            self.asked += 1
            raise NetworkFailed("Claiming", "no answer")
        return getattr(self._store, name)


def test_messages_wait_while_the_store_is_away(here: Here) -> None:
    """There, without Redis, nothing was processed, and its return was not noticed in order."""
    handlers = Handlers()
    handlers.add_handler(lambda message: here.handled.append(message.body))
    away = Away(here.store())
    client = here.client(handlers, store=away)
    here.send("a", "b")
    client.start_receiving_messages()
    eventually(lambda: away.asked > 0)
    assert here.handled == []
    away.come.set()
    eventually(lambda: here.is_empty)
    asyncio.run(client.stop_receiving_messages())
    assert sorted(here.handled) == ["a", "b"]


# ---- 6


def test_two_queues_share_no_handler(here: Here) -> None:
    """There handlers were one table of the process, and each queue ran those of the other."""

    class Users(SQSClient):
        queue_name = "users"

    class Orders(SQSClient):
        queue_name = "orders"

    @Users.handler("Thing.made")
    def of_users(message: Any) -> str:
        return f"user {message.id}"

    @Orders.handler("Thing.made")
    def of_orders(message: Any) -> str:
        return f"order {message.id}"

    told = {"Body": "{}", "MessageId": "1", "MessageAttributes": {"iniesta_pass": "Thing.made"}}
    results = [asyncio.run(one(store=None).handle_message(told))[1] for one in (Users, Orders)]
    assert results == ["user 1", "order 1"]
    assert (SQSClient.handlers.events, Users.handlers.events) == ((), ("Thing.made",))


def test_the_handlers_of_a_class_are_not_another_queues(here: Here) -> None:
    """There a second queue ran the first one's handlers; here it is told to say whose it has."""

    class Events(SQSClient):
        pass

    Events.add_handler(lambda message: message.id)
    told = {"Body": "{}", "MessageId": "1"}
    asyncio.run(Events(queue_name="one", store=None).handle_message(told))
    with pytest.raises(FixConfig, match="the handlers of Events are those of the queue one"):
        asyncio.run(Events(queue_name="two", store=None).handle_message(told))
    shared = Events(queue_name="two", store=None, handlers=Events.handlers)  # said in so many words
    assert asyncio.run(shared.handle_message(told))[1] == "1"


def test_a_worker_without_handlers_says_so(here: Here) -> None:
    """There a module that nobody imported registered nothing, and every message failed."""
    with pytest.raises(FixConfig, match="no handler is registered"):
        here.client(Handlers()).start_receiving_messages()


def test_what_is_at_work_may_end_when_the_worker_stops(here: Here) -> None:
    """There stopping took the locks away first and cancelled what was running."""
    handlers, begun, go_on = Handlers(), threading.Event(), threading.Event()

    @handlers.handler
    def slow(message: Any) -> None:
        begun.set()
        go_on.wait(LONG_S)
        here.handled.append(message.body)

    here.send("a")
    client = here.client(handlers)
    client.start_receiving_messages()
    assert begun.wait(LONG_S)

    async def stop() -> Counts:
        stopping = asyncio.ensure_future(client.stop_receiving_messages())
        await asyncio.sleep(0)
        go_on.set()
        return await stopping

    counts = asyncio.run(stop())
    assert (here.handled, counts.done, here.is_empty) == (["a"], 1, True)


# ---- 7


def test_all_that_is_published_goes_by_one_client(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """There each message made a client of its own, for 70 ms, and said a structure that a strict server refuses."""
    asked: list[str] = []
    made = Session.client
    monkeypatch.setattr(Session, "client", lambda self, service: asked.append(service) or made(self, service))
    arn = boto3.client("sns").create_topic(Name="topic")["TopicArn"]

    async def publish() -> set[str]:
        client = await SNSClient.initialize(arn)
        return {await client.create_message(event="User.updated", message={"id": n}).publish() for n in range(10)}

    assert (len(asyncio.run(publish())), asked) == (10, ["sns"])


# ---- 8


def test_what_is_wrong_with_a_subscription_is_an_error_of_its_own(here: Here) -> None:
    """There it was an assert, which an optimised Python leaves out, and the first statement of a policy only."""
    handlers = Handlers()
    handlers.add_handler(lambda message: message.id, "User.updated")
    arn = boto3.client("sns").create_topic(Name="users")["TopicArn"]
    client = here.client(handlers)
    with pytest.raises(FixConfig, match="listen --apply") as caught:
        asyncio.run(client.confirm_subscription(arn))
    assert ("FilterPolicy" in str(caught.value), client.filters) == (True, {"iniesta_pass": ["User.updated"]})
