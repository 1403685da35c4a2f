"""Laws of handlers in Lambda: each message once, in the time that there is, and what was not handled comes again."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.figures import SAYS, Says

from halocline import Handlers, SQSClient, aws_lambda
from halocline.consume.aws.invocation import TimeLeft
from halocline.consume.aws.lambda_batch import Batch
from halocline.consume.handling.handlers import digest_of
from halocline.consume.handling.message import Message
from halocline.consume.limits import Limits
from halocline.errors import BadMessage, FixConfig, HaloclineError, NetworkFailed, NotAllHandled, StorageFailed
from halocline.idempotency import IdempotencyStore, State
from halocline.queues import Delivery, Reply
from halocline.queues import Message as Sent
from halocline.registry import open_queue
from halocline.testing.aws import FakeAWS
from halocline.testing.idempotency import MemoryStore, Seconds, take

LIMIT_S = 900.0


class Killed(BaseException):
    """The process is gone: nothing after it is done."""


@dataclass
class Clock:
    """Both clocks of a test: the function's, and the store's."""

    store: Seconds = field(default_factory=Seconds)

    def __call__(self) -> float:
        return self.store.now

    def advance(self, seconds: float) -> None:
        self.store.advance(seconds)


@dataclass
class Aside:
    """A queue that keeps what is sent to it."""

    sent: list[Sent] = field(default_factory=list)
    refuses: bool = False

    def send(self, messages: Sequence[Sent]) -> list[Reply]:
        if self.refuses:
            return [Reply(code="Refused", error="no") for _ in messages]
        self.sent += messages
        return [Reply("id") for _ in messages]


@dataclass
class World:
    """A function that is called with batches of messages."""

    handlers: Handlers = field(default_factory=Handlers)
    clock: Clock = field(default_factory=Clock)
    aside: Any = None
    limits: Limits = field(default_factory=Limits)
    slowest_s: float = 0.0

    def __post_init__(self) -> None:
        self.store: Any = MemoryStore(clock=self.clock.store)

    def call(self, *records: dict[str, Any], left_s: float = LIMIT_S, margin_s: float = 5.0) -> list[str]:
        """The ids of the messages that are to come again."""
        left = TimeLeft(self.clock() + left_s - margin_s, self.clock() + left_s)
        batch = Batch(self.handlers, self.store, self.aside, limits=self.limits, left=left, clock=self.clock)
        answer = json.loads(json.dumps(batch.respond({"Records": list(records)})))
        return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def record(
    name: str, event: str | None = None, *, body: str = "{}", queue: str = "users", group: str = "", receives: int = 1
) -> Any:
    """A message as Lambda has it."""
    attributes = {} if event is None else {"iniesta_pass": {"stringValue": event, "dataType": "String"}}
    system = {"ApproximateReceiveCount": str(receives), **({"MessageGroupId": group} if group else {})}
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    told = {"eventSource": "aws:sqs", "messageId": name, "receiptHandle": f"r-{name}", "body": body, "eventSourceARN": arn}
    return {**told, "attributes": system, "messageAttributes": attributes}


def test_a_function_may_be_called_without_a_context() -> None:
    """As tests of a function do: there is as much time as Lambda ever gives."""
    handlers, told = Handlers(), list[str]()
    handlers.add_handler(lambda message: told.append(message.raw_body), None)
    assert aws_lambda.handles(handlers, store=None)({"Records": [record("1")]}, None) == {"batchItemFailures": []}
    assert len(told) == 1


@pytest.fixture
def world() -> World:
    return World()


def ran(world: World, *, fail: str = "", error: type[BaseException] = ValueError) -> list[str]:
    """A default handler that notes whom it is called for, and fails for one."""
    names: list[str] = []

    @world.handlers.handler
    def handle(message: Message) -> None:
        names.append(message.id)
        if message.id == fail:
            raise error("no", "no") if error is BadMessage else error("no")

    return names


# ---- which come again


def test_only_what_failed_comes_again(world: World) -> None:
    """The others are done, and each is run once, however often it is delivered."""
    names = ran(world, fail="b")
    records = [record(one) for one in "abc"]
    assert world.call(*records) == ["b"]
    assert world.call(*records) == ["b"]
    assert names == ["a", "b", "c", "b"]


def test_a_group_stops_behind_its_failure(world: World) -> None:
    """In a FIFO queue those behind it come again, in order; other groups go on. In a standard queue a group means nothing."""
    names = ran(world, fail="a1")
    records = [record(name, queue="users.fifo", group=name[0]) for name in ("a1", "b1", "a2", "b2", "a3")]
    assert world.call(*records) == ["a1", "a2", "a3"]
    assert names == ["a1", "b1", "b2"]
    assert world.call(*(record(name, group=name[0]) for name in ("a1", "a4"))) == ["a1"]


def test_what_cannot_be_read_stops_no_other(world: World) -> None:
    """A record without a body, and one whose event nobody handles, where nothing is set for what is set aside."""
    names: list[str] = []
    world.handlers.add_handler(lambda message: names.append(message.id), "A.b")
    broken = {"eventSource": "aws:sqs", "messageId": "x", "body": None}
    assert world.call(broken, record("a", "A.b"), record("b", "A.c")) == ["x", "b"]
    assert names == ["a"]


def test_a_store_that_is_away_hands_everything_back(world: World) -> None:
    """Nothing runs that could not be remembered; nothing is raised."""

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise NetworkFailed("Claiming", "no answer")

    names = ran(world)
    world.store = Away()
    assert (world.call(record("a"), record("b")), names) == (["a", "b"], [])


def test_without_a_store_each_delivery_runs(world: World) -> None:
    """As it was asked for."""
    names = ran(world)
    world.store = None
    assert world.call(record("a")) == world.call(record("a")) == []
    assert names == ["a", "a"]


@pytest.mark.parametrize("error", [NetworkFailed, StorageFailed, FixConfig])
def test_a_store_that_fails_at_the_end_leaves_the_message_done(world: World, error: type[HaloclineError]) -> None:
    """The effect is there, whatever became of the word: it is deleted, nothing is run again, and its neighbours are handled."""
    names = ran(world)

    def done(*_: Any, **__: Any) -> list[bool]:
        raise error("Saying", "no answer")

    world.store.done = done
    assert (world.call(record("a"), record("b")), names) == ([], ["a", "b"])


def test_a_store_that_fails_at_a_claim_hands_that_message_back(world: World) -> None:
    """What was done before it is not done again for it."""
    names, claim = ran(world), world.store.claim

    def failing(wanted: Any, **more: Any) -> Any:
        if wanted[0].key == "users/b":
            raise StorageFailed("Claiming", "disk I/O error")
        return claim(wanted, **more)

    world.store.claim = failing
    assert (world.call(*(record(one) for one in "abc")), names) == (["b"], ["a", "c"])


# ---- what others did


def test_a_message_that_another_holds_comes_again(world: World) -> None:
    """It is not run, and no failure is counted."""
    names = ran(world)
    take(world.store, "users/a", owner="another", lease_s=30)
    assert (world.call(record("a")), names) == (["a"], [])
    world.clock.advance(31)
    assert (world.call(record("a")), names) == ([], ["a"])


def test_a_claim_that_was_lost_at_work_is_no_success(world: World) -> None:
    """Somebody else has it now, and his word decides; the handler was told, when the time of the function was over."""
    told: list[str] = []

    @world.handlers.handler
    def handle(message: Message, context: Any) -> None:
        assert context.lease.lost.wait(20)
        told.append(context.lease.reason)
        world.clock.advance(2_000)
        assert take(world.store, context.key, owner="another").state is State.OURS

    assert world.call(record("a"), left_s=0.2, margin_s=0.1) == ["a"]
    assert told == ["the time of the function is over, and so is its claim"]


def test_a_claim_outlives_its_function(world: World) -> None:
    """By little, whatever margin is kept for the end: who is alive is alone."""
    found: list[State] = []

    @world.handlers.handler
    def handle(message: Message, context: Any) -> None:
        world.clock.advance(899.9)
        found.append(take(world.store, context.key, owner="another").state)
        world.clock.advance(10)
        found.append(take(world.store, context.key, owner="another").state)

    assert world.call(record("a"), margin_s=60) == ["a"]
    assert found == [State.HELD, State.OURS]


@pytest.mark.parametrize("zombie", ["fails", "succeeds", "dies"])
def test_the_words_of_a_zombie_change_nothing(world: World, zombie: str) -> None:
    """A run that outlived its claim, and was taken over, ends in any way: what the other said stays, nothing runs again.

    Elsewhere its failure deletes the record of what is done, or its result takes the place of the other's.
    """
    doubts: list[bool] = []

    @world.handlers.handler
    def handle(message: Message, context: Any) -> str:
        doubts.append(context.in_doubt)
        if len(doubts) == 2:
            return "the other's"
        world.clock.advance(2 * LIMIT_S)
        assert world.call(record("a")) == []
        if zombie == "fails":
            raise ValueError("too late")
        if zombie == "dies":
            raise Killed
        return "the zombie's"

    if zombie == "dies":
        with pytest.raises(Killed):
            world.call(record("a"))
    else:
        assert world.call(record("a")) == ["a"]
    (entry,) = world.store.look(["users/a"])
    assert (entry.state, entry.told, world.call(record("a")), doubts) == ("done", digest_of("the other's"), [], [False, True])


def test_an_effect_whose_word_was_not_heard_is_in_doubt(world: World) -> None:
    """Delivered again all the same, it runs with a warning; an effect in a transaction of its own is found there."""
    effects, doubts = list[str](), list[bool]()
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("CREATE TABLE effects (name TEXT)")

    @world.handlers.handler
    def handle(message: Message, context: Any) -> None:
        doubts.append(context.in_doubt)
        effects.append(message.id)
        with context.transaction(database) as transaction:
            transaction.execute("INSERT INTO effects VALUES (?)", (message.id,))

    def unheard(*_: Any, **__: Any) -> list[bool]:
        raise NetworkFailed("Saying", "no answer")

    heard, world.store.done = world.store.done, unheard
    assert world.call(record("a")) == []
    world.store.done = heard
    assert world.call(record("a")) == ["a"]  # it is held until its claim ends, and not for as long as what is done is kept
    world.clock.advance(2 * LIMIT_S)
    assert [world.call(record("a")) for _ in range(2)] == [[], []]
    assert (effects, doubts) == (["a", "a"], [False, True])
    assert database.execute("SELECT count(*) FROM effects").fetchone() == (1,)
    database.close()


# ---- poison


def test_a_message_that_kills_is_set_aside_and_no_other(world: World) -> None:
    """Its neighbours wait behind it, and none of its deaths counts against them."""
    names = ran(world, fail="b", error=Killed)
    world.aside = Aside()
    records = [record(one) for one in "abc"]
    for _ in range(world.limits.poison_after):
        with pytest.raises(Killed):
            world.call(*records)
        world.clock.advance(2 * LIMIT_S)
    assert world.call(*records) == []
    assert (Counter(names), [one.body for one in world.aside.sent]) == ({"a": 1, "b": 3, "c": 1}, ["{}"])
    assert world.call(*records) == []  # it was set aside: it is not run, and not set aside twice
    assert (Counter(names)["b"], len(world.aside.sent)) == (3, 1)


def test_a_message_that_kills_is_run_no_more_where_there_is_no_place_for_it(world: World) -> None:
    """It comes again until the queue's own policy takes it: its deaths are not forgotten for that."""
    names = ran(world, fail="a", error=Killed)
    for _ in range(world.limits.poison_after):
        with pytest.raises(Killed):
            world.call(record("a"))
        world.clock.advance(2 * LIMIT_S)
    assert [world.call(record("a")) for _ in range(3)] == [["a"]] * 3
    assert len(names) == world.limits.poison_after


def test_a_message_that_is_kept_elsewhere_is_not_kept_twice(world: World) -> None:
    """Also where it could not be noted that it is."""
    world.aside = Aside()
    ran(world, fail="a", error=BadMessage)

    def unheard(*_: Any, **__: Any) -> list[bool]:
        raise StorageFailed("Saying", "disk I/O error")

    world.store.quarantine = unheard
    assert (world.call(record("a")), len(world.aside.sent)) == ([], 1)


def test_another_message_of_a_key_that_is_set_aside_is_kept(world: World) -> None:
    """It is not run, and not lost: under a key of one's own it need not be the message that was set aside."""
    world.handlers, world.aside = Handlers(key=lambda message: str(message.body["order"])), Aside()
    names = ran(world, fail="a", error=BadMessage)
    assert world.call(record("a", body='{"order": 17}')) == []
    assert world.call(record("b", body='{"order": 17, "again": true}')) == []
    assert (names, [one.body for one in world.aside.sent]) == (["a"], ['{"order": 17}', '{"order": 17, "again": true}'])


def test_a_key_that_cannot_be_found_is_counted(world: World) -> None:
    """By the message's id: after some tries it is set aside, once."""
    world.handlers, world.aside = Handlers(key=lambda message: message.body["order"]), Aside()
    names = ran(world)
    world.limits = Limits(most_receives=3)
    assert [world.call(record("a")) for _ in range(5)] == [["a"], ["a"], [], [], []]
    assert (names, len(world.aside.sent)) == ([], 1)


def test_the_log_says_where_a_function_of_the_users_failed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A key function, a comparison or a handler: the file and the line, as `halocline listen` logs them."""

    def key(message: Message) -> str:
        return str(message.body["order"])

    def broken(message: Message) -> None:
        raise ValueError("no")

    world.handlers = Handlers(key=key)
    assert world.call(record("a", "A.b")) == ["a"]
    world.handlers = Handlers()
    world.handlers.handler("A.b")(broken)
    assert world.call(record("b", "A.b")) == ["b"]
    of_key, of_handler = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    for line, function in ((of_key, key), (of_handler, broken)):
        assert line["at"][0] == f"{__file__}:{function.__code__.co_firstlineno + 1} {function.__name__}"


def test_a_message_in_doubt_is_run_or_set_aside(world: World) -> None:
    """As the limits say: the handler is told that a run before it died."""
    doubts: list[bool] = []

    @world.handlers.handler
    def handle(message: Message, context: Any) -> None:
        doubts.append(context.in_doubt)
        if len(doubts) == 1:
            raise Killed

    with pytest.raises(Killed):
        world.call(record("a"))
    world.clock.advance(2 * LIMIT_S)
    assert (world.call(record("a")), doubts) == ([], [False, True])
    doubts.clear()
    world.limits, world.aside = Limits(in_doubt="quarantine"), Aside()
    with pytest.raises(Killed):
        world.call(record("b"))
    world.clock.advance(2 * LIMIT_S)
    assert (world.call(record("b")), doubts, len(world.aside.sent)) == ([], [False], 1)


def test_a_refused_message_is_kept_elsewhere(world: World) -> None:
    """BadMessage at once, other errors after so many deliveries; with the reason."""
    world.aside, world.limits = Aside(), Limits(most_receives=3)
    ran(world, fail="a", error=BadMessage)
    assert world.call(record("a", body="A")) == []
    other = World(aside=world.aside, limits=world.limits)
    ran(other, fail="b")
    assert [other.call(record("b", body="B", receives=n)) for n in (1, 2, 3)] == [["b"], ["b"], []]
    assert [one.body for one in world.aside.sent] == ["A", "B"]
    assert "ValueError: no" in str(dict(world.aside.sent[1].attributes))


def test_what_cannot_be_set_aside_comes_again(world: World) -> None:
    """It is deleted nowhere before it is kept somewhere."""
    world.aside = Aside(refuses=True)
    ran(world, fail="a", error=BadMessage)
    assert world.call(record("a")) == world.call(record("a")) == ["a"]


def test_an_ignored_event_is_done_with(world: World) -> None:
    """By the policy `ignore`; `leave` and `error` let it come again."""
    for unknown, again in (("ignore", []), ("leave", ["a"]), ("error", ["a"]), ("bury", ["a"])):
        here = World(handlers=Handlers(unknown=unknown))
        here.handlers.add_handler(lambda message: message.id, "A.b")
        assert here.call(record("a", "A.x")) == again


def test_a_key_that_stands_for_another_message_is_set_aside() -> None:
    """Two orders with one number: the second is nobody's repeat."""
    handlers = Handlers(key=lambda message: message.body["order"], compare=lambda message: message.body)
    world = World(handlers=handlers, aside=Aside())
    names = ran(world)
    bodies = ['{"order": "1", "total": 5}', '{"total": 5, "order": "1"}', '{"order": "1", "total": 6}']
    assert [world.call(record(str(n), body=body)) for n, body in enumerate(bodies)] == [[], [], []]
    assert (names, [one.body for one in world.aside.sent]) == (["0"], [bodies[2]])


def test_a_key_is_its_queues_own() -> None:
    """Two queues that share a store share no key, unless their handlers are told so."""
    for across, expected in ((False, ["billing", "shipping"]), (True, ["billing"])):
        world = World()
        names = ran(world)
        handler = world.handlers.route(world.handlers.message(Delivery("h", "{}"))).call
        for queue in ("billing", "shipping"):
            world.handlers = Handlers(key=lambda message: str(message.body["order"]), across_queues=across)
            world.handlers.add_handler(handler)
            assert world.call(record(queue, body='{"order": 17}', queue=queue)) == []
        assert names == expected
    with pytest.raises(FixConfig, match="means nothing in another queue"):
        Handlers(across_queues=True)


# ---- async handlers


def test_async_handlers_of_a_function_share_one_loop(world: World) -> None:
    """From one message to the next, and from one call to the next: what they keep that is bound to it stays usable."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def handle(message: Message) -> None:
        loops.append(asyncio.get_running_loop())

    world.handlers.add_handler(handle)
    function = aws_lambda.handles(world.handlers, store=None)
    for names in ("ab", "c"):
        assert function({"Records": [record(one) for one in names]}, Invocation()) == {"batchItemFailures": []}
    assert (len(loops), len(set(loops)), loops[0].is_closed()) == (3, 1, False)


def test_a_handler_that_is_cancelled_ends_no_other(world: World) -> None:
    """Its message comes again, alone."""
    names: list[str] = []

    async def handle(message: Message) -> None:
        names.append(message.id)
        if message.id == "b":
            raise asyncio.CancelledError

    world.handlers.add_handler(handle)
    assert (world.call(*(record(one) for one in "abc")), names) == (["b"], ["a", "b", "c"])


# ---- time


def test_what_there_is_no_time_for_is_handed_back(world: World) -> None:
    """A handler is not begun where the slowest before it would not have come to its end."""
    names: list[str] = []

    @world.handlers.handler
    def slow(message: Message) -> None:
        names.append(message.id)
        world.clock.advance(30)

    records = [record(one) for one in "abcde"]
    assert world.call(*records, left_s=105) == ["d", "e"]
    assert world.call(*(one for one in records if one["messageId"] in "de"), left_s=105) == []
    assert names == list("abcde")


def test_nothing_that_was_handled_is_handled_again_after_a_time_out(record_property: Says) -> None:
    """1,000 messages, handlers of 1 to 700 s, 900 s a call, and a call that is late is killed: no finished handler runs twice."""
    world, chance, finished, begun = World(limits=Limits(poison_after=100)), random.Random(19), Counter[str](), Counter[str]()
    ends_at = 0.0

    @world.handlers.handler
    def handle(message: Message) -> None:
        begun[message.id] += 1
        world.clock.advance(takes[message.id])
        if world.clock() > ends_at:
            raise Killed
        finished[message.id] += 1

    takes = {f"{n}": chance.choice([1, 5, 20, 60]) if chance.random() < 0.9 else chance.uniform(100, 700) for n in range(1_000)}
    waiting, calls, kills, whole = list(takes), 0, 0, 0
    while waiting:
        batch, waiting = waiting[:10], waiting[10:]
        calls += 1
        ends_at = world.clock() + LIMIT_S
        try:
            again = world.call(*map(record, batch))
        except Killed:
            kills, again = kills + 1, batch
        whole += len(again) == len(batch)
        world.clock.advance(6 * LIMIT_S)  # the visibility that AWS asks of such a queue
        waiting += again
    redone = sum(count - 1 for count in finished.values())
    assert (len(finished), redone) == (1_000, 0)
    assert sum(begun.values()) == 1_000 + kills
    record_property(
        SAYS, f"Lambda deadline: 1,000 records, {calls} calls, {kills} killed, {redone} redone, {whole} whole batches back"
    )


# ---- senders of other kinds


def test_messages_of_a_topic_and_events_of_eventbridge_are_handled(world: World) -> None:
    """A message by its attribute, an event by its detail-type; what fails is raised, so that Lambda delivers it again."""
    got: list[Any] = []
    world.handlers.add_handler(lambda message: got.append((message.event, message.body)), ["User.updated", "Order Placed"])
    world.handlers.add_handler(lambda message: 1 / 0)

    def respond(event: dict[str, Any]) -> dict[str, Any]:
        left = TimeLeft(1e12, 1e12)
        batch = Batch(world.handlers, world.store, None, limits=None, left=left, clock=world.clock, consumer="function")
        return batch.respond(event)

    attributes = {"iniesta_pass": {"Type": "String", "Value": "User.updated"}}
    told = {"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:us-east-1:0:users", "Message": '{"id": 1}'}
    topic = {"Records": [{"EventSource": "aws:sns", "Sns": {**told, "MessageAttributes": attributes}}]}
    names = ("version", "account", "time", "region")
    bridged = {
        **dict.fromkeys(names, ""),
        "resources": [],
        "id": "2",
        "source": "shop",
        "detail-type": "Order Placed",
        "detail": {"n": 2},
    }
    assert respond(topic) == respond(topic) == respond(bridged) == {"done": True}
    assert got == [("User.updated", {"id": 1}), ("Order Placed", {"n": 2})]
    with pytest.raises(NotAllHandled, match="division by zero"):
        respond(bridged | {"id": "3", "detail-type": "Other"})
    with pytest.raises(FixConfig, match="an event of another kind"):
        respond({"flow": "accounts"})


@dataclass
class Invocation:
    """What Lambda says of one call."""

    left_s: float = LIMIT_S
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:0:function:users"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.left_s * 1_000)


def topic_event(name: str, body: str = "{}") -> dict[str, Any]:
    """A message of a topic, as Lambda has it."""
    told = {"Type": "Notification", "MessageId": name, "TopicArn": "arn:aws:sns:us-east-1:0:shop", "Message": body}
    return {"Records": [{"EventSource": "aws:sns", "Sns": told}]}


def bus_event(name: str) -> dict[str, Any]:
    """An event of EventBridge."""
    whole = dict.fromkeys(("version", "account", "time", "region"), "")
    return {**whole, "resources": [], "id": name, "source": "shop", "detail-type": "Order Placed", "detail": {}}


@pytest.mark.parametrize("event", [topic_event("1"), bus_event("1")], ids=["topic", "bus"])
def test_each_function_that_gets_a_message_handles_it(world: World, event: dict[str, Any]) -> None:
    """Two functions on one store run it once each: a topic, or a rule, sends it to both. Versions and aliases are no others."""
    names: list[str] = []
    arn = "arn:aws:lambda:us-east-1:0:function:"
    for function, name in (("bill", None), ("ship", None), ("bill:live", None), ("x", "mine"), ("y", "mine"), ("ship:7", None)):
        handlers = Handlers()
        handlers.add_handler(lambda message, function=function: names.append(function))
        called = aws_lambda.handles(handlers, store=world.store, name=name)
        assert called(event, Invocation(invoked_function_arn=f"{arn}{function}")) == {"done": True}
    assert names == ["bill", "ship", "x"]


def test_a_function_that_cannot_be_told_from_others_is_refused(world: World) -> None:
    """Where others may get the same message; those of a queue are its own."""
    names = ran(world)
    function = aws_lambda.handles(world.handlers, store=world.store)
    nameless = Invocation(invoked_function_arn="")
    with pytest.raises(FixConfig, match="which function this is"):
        function(topic_event("1"), nameless)
    assert function({"Records": [record("a")]}, nameless) == {"batchItemFailures": []}
    assert names == ["a"]


@pytest.mark.parametrize(("body", "tries"), [("{}", 2), ("no JSON", 3)])
def test_what_fails_of_a_topic_is_set_aside_at_last(world: World, body: str, tries: int) -> None:
    """A topic does not say how often it sent a message; how often it failed is counted here."""
    aside: Any = Aside()

    @world.handlers.handler
    def handle(body: dict[str, Any]) -> None:
        raise ValueError("no")

    limits = Limits(most_receives=2) if tries == 2 else Limits()
    function = aws_lambda.handles(world.handlers, store=world.store, dead_letters=aside, limits=limits)
    for _ in range(tries - 1):
        with pytest.raises(NotAllHandled):
            function(topic_event("1", body), Invocation())
    assert [function(topic_event("1", body), Invocation()) for _ in range(2)] == [{"done": True}] * 2
    assert len(aside.sent) == 1


def test_what_lambda_logs_of_an_error_has_no_body(world: World) -> None:
    """It writes the error that is raised, and what led to it, into its log."""
    secret = "".join(["DE8937040044", "0532013000"])

    @world.handlers.handler
    def handle(body: dict[str, Any]) -> None:
        raise ValueError(f"cannot book {body}")

    with pytest.raises(NotAllHandled, match=r"cannot book \{'iban': '\*\*\*'\}") as caught:
        aws_lambda.handles(world.handlers, store=None)(topic_event("1", json.dumps({"iban": secret})), Invocation())
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_function_is_one_line(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`handles(handlers)` opens the store and the dead letters by their names, with the first event; the log has no body."""
    monkeypatch.setenv("HALOCLINE_IDEMPOTENCY", f"sqlite:///{tmp_path / 'claims.sqlite'}")
    boto3.client("sqs").create_queue(QueueName="dead")
    handlers, names = Handlers(), []
    function = aws_lambda.handles(handlers, dead_letters="dead")

    @handlers.handler
    def handle(message: Message) -> None:
        names.append(message.id)
        if message.id == "b":
            raise BadMessage("Handling", "never")

    event = {"Records": [record("a"), record("b", body='"a secret"')]}
    assert [function(event, Invocation()) for _ in range(2)] == [{"batchItemFailures": []}] * 2
    assert names == ["a", "b"]
    assert [one.body for one in aws.messages("dead")] == ['"a secret"']
    out = capsys.readouterr().out
    assert ("never" in out, "secret" in out) == (True, False)


@pytest.mark.parametrize("handlers", [print, "mine", None, SQSClient], ids=str)
def test_a_function_is_made_of_handlers_alone(handlers: Any) -> None:
    """What has none is refused when the module is imported, not by every event."""
    with pytest.raises(FixConfig, match=r"^Making a function of Lambda: handlers is"):
        aws_lambda.handles(handlers)
    with pytest.raises(FixConfig, match="store is int"):
        aws_lambda.handles(Handlers(), store=7)  # type: ignore[arg-type]


@pytest.mark.parametrize(("event", "says"), [(None, "null"), ("accounts", "a text"), (["accounts"], "a list"), (7, "int")])
def test_an_event_that_is_no_object_is_told(event: Any, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By both kinds of functions; whoever calls one may send any JSON."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    monkeypatch.setenv("HALOCLINE_CONFIG", str(tmp_path / "halocline.yaml"))
    (tmp_path / "halocline.yaml").write_text("flows: {p: {kind: push, object: A, key: K, file: x.csv}}\n")
    for function in (aws_lambda.handles(Handlers(), store=None), aws_lambda.handler):
        with pytest.raises(FixConfig, match=f"the event is {says}, no object"):
            function(event, None)


def test_the_worker_and_the_function_remember_in_one_place(aws: FakeAWS, world: World) -> None:
    """What a worker did, the function does not do again: the same queue, id and store."""
    boto3.client("sqs").create_queue(QueueName="users")
    queue = open_queue("users")
    queue.send([Sent("{}")])
    (delivery,) = queue.receive()
    names = ran(world)
    arrival = world.handlers.arrival(Delivery("h", "{}", delivery.id), "users")
    store: IdempotencyStore = world.store
    assert take(store, arrival.key).state is State.OURS
    assert (world.call(record(delivery.id)), names) == ([delivery.id], [])
