"""Laws of SQSClient: which queue and whose handlers it has, what it keeps, and that it begins and ends once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from halocline import Handlers, SQSClient
from halocline.compat.iniesta import config, sns, sqs
from halocline.consume.limits import Limits
from halocline.consume.stores import open_store
from halocline.consume.topics.event_settings import EventSettings
from halocline.errors import BadMessage, FixConfig, LeaseHeld, NotFound, RetryLater, SetAside, StorageFailed
from halocline.idempotency import IdempotencyStore, State, Wanted
from halocline.queues import Delivery
from halocline.registry import open_queue
from halocline.testing.aws import FakeAWS

QUICK = Limits(polls=1, flush_s=0.01)


@pytest.fixture
def place(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a store; a queue `users` and a home for what is set aside are there."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    boto3.client("sqs").create_queue(QueueName="users")
    return f"sqlite:///{tmp_path / 'claims.sqlite'}"


def eventually(happened: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < ends_at, "it did not happen"
        time.sleep(0.005)


def message(name: str = "1", body: str = '{"id": 17}') -> Delivery:
    return Delivery("h", body, name, attributes={"iniesta_pass": "User.updated"})


def counting() -> tuple[Handlers, list[str]]:
    handlers, names = Handlers(), list[str]()

    @handlers.handler
    def handle(message: Any) -> str:
        names.append(message.id)
        return f"done {message.id}"

    return handlers, names


# ---- which queue


def test_the_settings_say_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, else what the template makes of environment and service; what is given counts most, then the class's."""

    class Users(SQSClient):
        queue_name = "of the class"

    with pytest.raises(FixConfig, match="INIESTA_SQS_QUEUE_NAME"):
        SQSClient()
    monkeypatch.setenv("INIESTA_ENVIRONMENT", "test")
    monkeypatch.setenv("INIESTA_SERVICE_NAME", "user")
    assert SQSClient().queue_name == SQSClient.default_queue_name() == "iniesta-test-user"
    monkeypatch.setenv("INIESTA_SQS_QUEUE_NAME_TEMPLATE", "{service_name}-events")
    assert SQSClient().queue_name == "user-events"
    monkeypatch.setenv("INIESTA_SQS_QUEUE_NAME", "named")
    assert [SQSClient().queue_name, Users().queue_name, Users(queue_name="given").queue_name] == [
        "named",
        "of the class",
        "given",
    ]
    assert SQSClient.queue_name is None


def test_a_template_that_cannot_be_filled_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the setting's name."""
    monkeypatch.setenv("INIESTA_SQS_QUEUE_NAME_TEMPLATE", "{team}-events")
    with pytest.raises(FixConfig, match="INIESTA_SQS_QUEUE_NAME_TEMPLATE"):
        SQSClient()


@pytest.mark.parametrize(
    "given", [{"queue": "users"}, {"handlers": print}, {"store": Path("claims")}, {"dead_letters": Path("dead")}]
)
def test_what_a_client_is_given_is_what_it_can_work_with(given: dict[str, Any]) -> None:
    """Else it would begin, and fail with each message."""
    with pytest.raises(FixConfig, match=f"{next(iter(given))} is "):
        SQSClient(queue_name="users", **given)


def test_a_queue_that_is_not_there_is_told_at_the_start(place: str) -> None:
    """Not with the first poll."""
    with pytest.raises(NotFound, match="nowhere"):
        asyncio.run(SQSClient.initialize(queue_name="nowhere"))


@pytest.mark.parametrize(
    ("told", "servers"),
    [
        ("", ()),
        ("redis://a:6379/0", ("redis://a:6379/0",)),
        ("redis://a:1, rediss://b:2,", ("redis://a:1", "rediss://b:2")),
        (
            json.dumps({f"iniesta{n}": {"HOST": "localhost", "PORT": 6379, "DATABASE": n} for n in (1, 2, 3)}),
            ("redis://localhost:6379/1",),
        ),
        (json.dumps({"a": {"host": "a", "database": 2}, "b": {"host": "b", "port": "7"}}), ("redis://a:6379/2", "redis://b:7/0")),
    ],
)
def test_caches_are_servers(told: str, servers: tuple[str, ...]) -> None:
    """Three databases of one server are one: their majority would fail with it."""
    assert EventSettings.from_env({"INIESTA_CACHES": told}).caches == servers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INIESTA_CACHES", '{"a": 7}'),
        ("INIESTA_CACHES", "{"),
        ("INIESTA_LOCK_TIMEOUT", "soon"),
        ("INIESTA_LOCK_TIMEOUT", "-1"),
        ("INIESTA_SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES", "nan"),
        ("INIESTA_SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES", "2.7"),
    ],
)
def test_a_setting_that_cannot_be_is_told_by_its_name(name: str, value: str) -> None:
    """And not with what is in it, where that may be a password."""
    with pytest.raises(FixConfig, match=name):
        EventSettings.from_env({name: value})


def test_the_documents_modules_have_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are those of the environment; unknown ones are an AttributeError."""
    assert config.INIESTA_SNS_EVENT_KEY == "iniesta_pass"
    monkeypatch.setenv("INIESTA_SNS_EVENT_KEY", "kind")
    assert (config.INIESTA_SNS_EVENT_KEY, config.INIESTA_SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES) == ("kind", 10)
    assert all(hasattr(config, name) for name in dir(config))
    assert not hasattr(config, "INIESTA_NOTHING")
    assert (sqs.SQSClient, sns.SNSClient.__name__) == (SQSClient, "SNSClient")


# ---- beginning and ending


def test_a_client_receives_once_at_a_time(place: str) -> None:
    """A second start is refused while the first receives; after the stop it may be started again."""
    handlers, names = counting()
    client = SQSClient(queue_name="users", handlers=handlers, store=place, limits=QUICK)
    with pytest.raises(FixConfig, match="it is not receiving"):
        asyncio.run(client.stop_receiving_messages())
    for number in (1, 2):
        client.start_receiving_messages()
        with pytest.raises(FixConfig, match="it is receiving already"):
            client.start_receiving_messages()
        client.create_message({"id": number}, event="User.updated", tags=["a"]).send_now()
        eventually(lambda: client.counts.deleted == 1)
        assert asyncio.run(client.stop_receiving_messages()).done == 1
    assert len(names) == 2


def test_what_ended_by_itself_is_told_at_the_stop(place: str, aws: FakeAWS) -> None:
    """The queue is gone: stopping raises it."""
    handlers, _ = counting()
    client = SQSClient(queue_name="users", handlers=handlers, store=place, limits=QUICK)
    client.start_receiving_messages()
    boto3.client("sqs").delete_queue(QueueUrl=client.queue.url)  # type: ignore[attr-defined]
    eventually(lambda: client.counts.poll_failures > 0)
    with pytest.raises(NotFound):
        asyncio.run(client.stop_receiving_messages())


def test_an_error_is_logged_without_the_body(place: str, caplog: pytest.LogCaptureFixture) -> None:
    """As the document has it: executed, an exception was raised, log error."""
    handlers = Handlers()

    @handlers.handler
    def fails(message: Any) -> None:
        raise ValueError(f"no such user: {message.body['name']}")

    client = SQSClient(queue_name="users", handlers=handlers, store=place, limits=QUICK)
    client.create_message({"name": "Melchior"}, event="User.updated").send_now()
    client.start_receiving_messages()
    eventually(lambda: client.counts.failed == 1)
    asyncio.run(client.stop_receiving_messages())
    assert ("ValueError: no such user: ***" in caplog.text, "Melchior" in caplog.text) == (True, False)


def test_async_handlers_run_on_the_callers_loop(place: str) -> None:
    """Where there is one."""
    loops: list[asyncio.AbstractEventLoop] = []
    handlers = Handlers()

    @handlers.handler
    async def handle(message: Any) -> None:
        loops.append(asyncio.get_running_loop())

    async def receive() -> bool:
        client = await SQSClient.initialize(queue_name="users", handlers=handlers, store=place, limits=QUICK)
        await client.create_message("hello", event="User.updated").send()
        client.start_receiving_messages()
        ends_at = time.monotonic() + 20
        while client.counts.deleted < 1 and time.monotonic() < ends_at:
            await asyncio.sleep(0.005)
        await client.stop_receiving_messages()
        return loops == [asyncio.get_running_loop()]

    assert asyncio.run(receive())


# ---- one message


def test_one_message_is_handled_once(place: str) -> None:
    """The second time nothing is run, and nothing is wrong; a worker would not run it either."""
    handlers, names = counting()
    client = SQSClient(queue_name="users", handlers=handlers, store=place)
    told = [asyncio.run(client.handle_message(message())) for _ in range(2)]
    assert [(one.id, one.body, result) for one, result in told] == [("1", {"id": 17}, "done 1"), ("1", {"id": 17}, None)]
    assert names == ["1"]


def test_a_message_that_another_has_is_told(place: str) -> None:
    """And not run."""
    handlers, names = counting()
    store = open_store(place)
    assert store is not None
    (claim,) = store.claim([Wanted("users/1")], owner="another", lease_s=60)
    assert claim.state is State.OURS
    with pytest.raises(LeaseHeld, match="somebody else is at work on it"):
        asyncio.run(SQSClient(queue_name="users", handlers=handlers, store=place).handle_message(message()))
    store.close()
    assert names == []


def test_a_handlers_error_is_raised_and_recorded(place: str) -> None:
    """The next run knows that one failed before."""
    handlers, attempts = Handlers(), []

    @handlers.handler
    def fails(message: Any, context: Any) -> None:
        attempts.append((context.attempts, context.fence))
        raise ValueError("no")

    client = SQSClient(queue_name="users", handlers=handlers, store=place)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            asyncio.run(client.handle_message(message()))
    assert [before for before, _ in attempts] == [0, 1]
    assert attempts[0][1] < attempts[1][1]


def test_a_claim_is_held_as_long_as_the_handler_runs(place: str) -> None:
    """A handler that takes longer than its lease is still the only one."""
    handlers, found = Handlers(), []

    @handlers.handler
    def slow(message: Any, context: Any) -> None:
        context.lease.lost.wait(4)
        store = open_store(place)
        assert store is not None
        found.append(store.claim([Wanted(context.key)], owner="another", lease_s=60)[0].state)
        store.close()

    limits = Limits(lease_s=3)  # longer than a busy machine stands still
    asyncio.run(SQSClient(queue_name="users", handlers=handlers, store=place, limits=limits).handle_message(message()))
    assert found == [State.HELD]


# ---- where it is remembered


def test_the_settings_say_where_it_is_remembered(place: str, redis_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given, HALOCLINE_IDEMPOTENCY, INIESTA_CACHES, the ledger, in this order; None for nowhere."""
    handlers, names = counting()
    monkeypatch.setenv("INIESTA_CACHES", redis_uri)

    def handle(store: Any, name: str) -> None:
        asyncio.run(SQSClient(queue_name="users", handlers=handlers, store=store).handle_message(message(name)))

    def is_done(where: str, name: str) -> bool:
        store = open_store(where)
        assert store is not None
        (entry,) = store.look([f"users/{name}"])
        store.close()
        return entry is not None and entry.state == "done"

    mine = place.replace("claims", "mine")
    handle(mine, "given")
    handle("", "caches")
    monkeypatch.setenv("HALOCLINE_IDEMPOTENCY", place)
    handle("", "ours")
    monkeypatch.delenv("HALOCLINE_IDEMPOTENCY")
    monkeypatch.delenv("INIESTA_CACHES")
    handle("", "ledger")
    handle(None, "nowhere")
    handle(None, "nowhere")
    assert [is_done(*one) for one in ((mine, "given"), (redis_uri, "caches"), (place, "ours"), ("ledger", "ledger"))] == [
        True
    ] * 4
    assert not is_done("ledger", "nowhere")
    assert names.count("nowhere") == 2


def test_an_open_queue_will_do(place: str) -> None:
    """`queue=`: its own name is the client's."""
    handlers, names = counting()
    client = SQSClient(queue=open_queue("users"), handlers=handlers, store=place, limits=QUICK)
    assert client.queue_name == "users"
    client.create_message(["a"], event="A.b").send_now()
    client.start_receiving_messages()
    eventually(lambda: client.counts.deleted == 1)
    asyncio.run(client.stop_receiving_messages())
    assert (len(names), client.filters) == (1, {})


def test_a_queue_has_one_memory_by_name_and_by_url(place: str) -> None:
    """Called by either, a message is run once; and a class is of one queue by either."""
    handlers, names = counting()
    url = boto3.client("sqs").get_queue_url(QueueName="users")["QueueUrl"]
    clients = [SQSClient(queue_name=one, handlers=handlers, store=place) for one in ("users", url)]
    for client in clients:
        asyncio.run(client.handle_message(message()))
    assert (names, [client.queue_name for client in clients]) == (["1"], ["users", "users"])


def test_a_queue_that_is_not_there_takes_no_handlers(place: str) -> None:
    """A name that was mistyped once is nobody's: the class is for the right one then, and for no other."""

    class Events(SQSClient):
        """A class of one queue."""

    Events.add_handler(lambda message: message.id)
    with pytest.raises(NotFound):
        Events(queue_name="usres", store=None).start_receiving_messages()
    client = Events(queue_name="users", store=None, limits=QUICK)
    client.start_receiving_messages()
    asyncio.run(client.stop_receiving_messages())
    with pytest.raises(FixConfig, match="are those of the queue users"):
        asyncio.run(Events(queue_name="others", store=None).handle_message(message()))


# ---- the store of a client


def test_messages_at_a_time_share_a_store(place: str) -> None:
    """Those that end close it for no other: not for each other, nor for a client that receives."""
    handlers, both = Handlers(), threading.Barrier(2)

    @handlers.handler
    def handle(message: Any) -> str:
        if message.id in {"a", "b"}:
            both.wait(20)
        elif message.id == "slow":
            slow.wait(20)
        return str(message.id)

    slow = threading.Event()

    async def together() -> list[Any]:
        late = asyncio.create_task(client.handle_message(message("slow")))
        told = await asyncio.gather(client.handle_message(message("a")), client.handle_message(message("b")))
        slow.set()
        return [result for _, result in (*told, await late)]

    client = SQSClient(queue_name="users", handlers=handlers, store=place, limits=QUICK)
    assert asyncio.run(together()) == ["a", "b", "slow"]
    client.start_receiving_messages()
    asyncio.run(client.handle_message(message("c")))
    client.create_message("x", event="A.b").send_now()
    eventually(lambda: client.counts.deleted == 1)
    assert asyncio.run(client.stop_receiving_messages()).store_failures == 0


def test_who_stops_receiving_takes_the_store_from_nobody(place: str) -> None:
    """A message that is handled by hand meanwhile is brought to its end, and remembered."""
    handlers, begun, goes_on = Handlers(), threading.Event(), threading.Event()

    @handlers.handler
    def handle(message: Any) -> str:
        begun.set()
        goes_on.wait(20)
        return "done"

    async def application() -> list[Any]:
        async with SQSClient(queue_name="users", handlers=handlers, store=place, limits=QUICK) as client:
            client.start_receiving_messages()
            late = asyncio.create_task(client.handle_message(message()))
            await asyncio.to_thread(begun.wait, 20)
            await client.stop_receiving_messages()
            goes_on.set()
            return [(await late)[1], (await client.handle_message(message()))[1]]

    assert asyncio.run(application()) == ["done", None]


def test_a_store_is_opened_once_and_closed_at_the_end(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first message, for all; at the end of `async with`. One that was given is its owner's to close."""
    opened, closed = list[object](), list[object]()
    handlers, _ = counting()

    def counted(where: str | None) -> IdempotencyStore | None:
        store = open_store(where)
        assert store is not None
        close = store.close
        monkeypatch.setattr(store, "close", lambda: (closed.append(store), close()), raising=False)
        opened.append(store)
        return store

    monkeypatch.setattr("halocline.consume.stores.open_store", counted)

    async def several(store: Any) -> tuple[int, int]:
        async with SQSClient(queue_name="users", handlers=handlers, store=store) as client:
            for name in "abc":
                await client.handle_message(message(name))
            before = len(closed)
        return before, len(closed)

    assert asyncio.run(several(place)) == (0, 1)
    own = counted(place)
    assert asyncio.run(several(own)) == (1, 1)
    assert own is not None
    own.close()
    assert (len(opened), len(closed)) == (2, 2)


# ---- limits


def test_what_limits_leave_the_settings_and_the_queue_say(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a queue keeps order, and whether there is a store, is theirs to say, whatever limits are given."""
    boto3.client("sqs").create_queue(QueueName="users.fifo", Attributes={"FifoQueue": "true"})
    handlers, _ = counting()
    monkeypatch.setenv("INIESTA_LOCK_TIMEOUT", "120")
    monkeypatch.setenv("INIESTA_SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES", "2")

    def limits(queue: str, store: str | None, given: Limits | None) -> tuple[object, ...]:
        client = SQSClient(queue_name=queue, handlers=handlers, store=store, limits=given)
        client.start_receiving_messages()
        assert client._worker is not None
        found = client._worker.limits
        asyncio.run(client.stop_receiving_messages())
        return found.fifo, found.records, found.lease_s, found.batch, found.workers

    assert limits("users.fifo", place, None) == (True, True, 120.0, 2, 10)
    assert limits("users.fifo", place, Limits(workers=20)) == (True, True, 120.0, 2, 20)
    assert limits("users", None, Limits(lease_s=7, batch=1, fifo=True)) == (False, False, 7, 1, 10)


# ---- what is kept elsewhere


@pytest.mark.parametrize("remembers", [True, False])
def test_what_is_kept_elsewhere_is_told_so_and_kept_once(place: str, aws: FakeAWS, remembers: bool) -> None:
    """The caller is to delete it; where it does not, the next time there is no second letter."""
    boto3.client("sqs").create_queue(QueueName="dead")
    handlers = Handlers()

    @handlers.handler
    def refused(message: Any) -> None:
        raise BadMessage("Booking", "an amount below zero")

    client = SQSClient(queue_name="users", handlers=handlers, store=place if remembers else None, dead_letters="dead")
    for _ in range(3):
        with pytest.raises(SetAside, match="Delete it") as caught:
            asyncio.run(client.handle_message(message()))
        assert "an amount below zero" in str(caught.value.__cause__)
    assert len(aws.messages("dead")) == 1


# ---- async handlers


def test_a_single_message_is_handled_on_the_callers_loop(place: str) -> None:
    """What an application keeps that is bound to its loop can be used by its handlers; others hold up nobody."""
    found: list[object] = []
    handlers = Handlers()

    @handlers.handler("User.updated")
    async def on_the_loop(message: Any) -> None:
        found.append(asyncio.get_running_loop())

    @handlers.handler
    def in_a_thread(message: Any) -> None:
        found.append(threading.current_thread())

    async def application() -> object:
        async with SQSClient(queue_name="users", handlers=handlers, store=place) as client:
            await client.handle_message(message())
            await client.handle_message({"Body": "{}", "MessageId": "2"})
        return asyncio.get_running_loop()

    loop = asyncio.run(application())
    assert found[0] is loop
    assert found[1] is not threading.main_thread()


def test_who_cancels_a_message_gives_it_back(place: str) -> None:
    """It is not held until its claim ends; a handler that is cancelled by itself is an error like another."""
    handlers, begun = Handlers(), []

    @handlers.handler
    async def endless(message: Any, context: Any) -> str:
        begun.append(context.attempts)
        if len(begun) == 1:
            await asyncio.Event().wait()
        if len(begun) == 2:
            raise asyncio.CancelledError
        return "done"

    async def cancelled() -> Any:
        async with SQSClient(queue_name="users", handlers=handlers, store=place) as client:
            task = asyncio.create_task(client.handle_message(message()))
            while not begun:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(RetryLater, match="its handler was cancelled"):
                await client.handle_message(message())
            return (await client.handle_message(message()))[1]

    assert (asyncio.run(cancelled()), begun) == ("done", [0, 1, 2])


def test_a_handler_is_told_when_its_claim_cannot_be_held(place: str) -> None:
    """Whatever the store says: another may have the message then."""
    handlers, told = Handlers(), list[str]()
    store = open_store(place)
    assert store is not None

    @handlers.handler
    def handle(message: Any, context: Any) -> None:
        assert context.lease.lost.wait(20)
        told.append(context.lease.reason)

    def renew(*_: Any, **__: Any) -> list[bool]:
        raise StorageFailed("Holding on", "disk I/O error")

    store.renew = renew  # type: ignore[method-assign]
    client = SQSClient(queue_name="users", handlers=handlers, store=store, limits=Limits(lease_s=0.2))
    asyncio.run(client.handle_message(message()))
    store.close()
    assert len(told) == 1
    assert "disk I/O error" in told[0]


def test_a_loop_that_was_closed_ends_no_worker(place: str) -> None:
    """Async handlers go on, on a loop of the worker's own; so does everything else."""
    handlers, ran = Handlers(), list[str]()

    @handlers.handler("A.async")
    async def on_a_loop(message: Any) -> None:
        ran.append(message.event)

    @handlers.handler
    def plain(message: Any) -> None:
        ran.append(message.event)

    async def begins_and_ends() -> SQSClient:
        client = await SQSClient.initialize(queue_name="users", handlers=handlers, store=place, limits=QUICK)
        client.start_receiving_messages()
        return client

    client = asyncio.run(begins_and_ends())
    for number, event in enumerate(("A.async", "A.plain", "A.async"), start=1):
        client.create_message("x", event=event).send_now()
        eventually(lambda number=number: client.counts.deleted == number)  # type: ignore[misc]
    assert asyncio.run(client.stop_receiving_messages()).done == 3
    assert ran == ["A.async", "A.plain", "A.async"]


def test_a_client_runs_until_it_is_cancelled(place: str) -> None:
    """`run_async`: with async handlers on the running loop; then it drains."""
    handlers, names = counting()

    async def application() -> None:
        client = await SQSClient.initialize(queue_name="users", handlers=handlers, store=place, limits=QUICK)
        running = asyncio.create_task(client.run_async())
        await client.create_message("x", event="A.b").send()
        while client.counts.deleted < 1:
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(application(), 30))
    assert len(names) == 1
