"""Laws of poison: what cannot be read or handled is set aside after its tries, exactly, and holds up nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import boto3
import pytest
from tests.consume.desk import limits, queue_of, running, until
from tests.figures import SAYS, Says

from halocline.claims import KEPT_S
from halocline.consume.flight.backoff import Backoff
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.message import Message as Consumed
from halocline.consume.letters.dead_letters import DeadLetters, Letter
from halocline.consume.work.attempt import Attempts, End
from halocline.consume.work.worker import Worker
from halocline.errors import BadMessage
from halocline.queues import Delivery, Message
from halocline.registry import open_queue
from halocline.testing.aws import FakeAWS
from halocline.testing.idempotency import MemoryStore, Seconds

TRIES = 3


@dataclass(frozen=True)
class Order:
    """What handlers want."""

    number: int


@dataclass(frozen=True)
class Ran:
    """What came of a run: until the healthy were done the seconds that it took, and the tries of all; how often each bad message
    that could be read was tried, and what was set aside.
    """

    took_s: float
    all_tries: int
    tries: Counter[str]
    letters: list[Letter]


def run(healthy: int, poison: int, *, within_s: float) -> Ran:
    """Handle so many healthy messages, among which are twice so many bad ones."""
    queue, tries, done, over = queue_of(), Counter[str](), Counter[int](), threading.Event()
    boto3.client("sqs").create_queue(QueueName=f"{queue.name}-dlq")
    aside = open_queue(f"{queue.name}-dlq")
    handlers = Handlers()

    @handlers.handler("Order.made")
    def handle(order: Order) -> None:
        time.sleep(0.005)  # the handler's work: so the seconds are those of handlers
        done[order.number] += 1
        if len(done) == healthy:
            over.set()

    @handlers.handler("Fails")
    def fail(order: Order) -> None:
        tries[str(order.number)] += 1
        raise ValueError(order.number)

    every = max(1, healthy // poison) if poison else healthy + 1
    messages = []
    for number in range(healthy):
        messages.append(Message(json.dumps({"number": number}), {"iniesta_pass": "Order.made"}))
        if number % every == every - 1 and len(messages) < healthy + 2 * poison:
            messages.append(Message("{not json", {"iniesta_pass": "Order.made"}))
            messages.append(Message(json.dumps({"number": number}), {"iniesta_pass": "Fails"}))
    assert all(queue.send(messages))
    given = limits(retries=Backoff(first_s=0, most_s=0), most_receives=TRIES, poison_after=TRIES)
    worker = Worker(queue, handlers, limits=given, dead_letters=aside)
    begun = time.monotonic()
    with running(worker):
        assert over.wait(within_s)
        took_s, all_tries = time.monotonic() - begun, worker.counts.started + worker.counts.unreadable
        until(lambda: worker.counts.deleted == len(messages))
    assert set(done.values()) == {1}
    with DeadLetters(aside, wait_s=0).looked_at() as letters:
        return Ran(took_s, all_tries, tries, list(letters))


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("key", [None, lambda message: message.body["number"]], ids=["id", "own-key"])
@pytest.mark.parametrize("by", ["worker", "attempt"])
def test_a_message_set_aside_is_remembered_no_longer_than_it_can_come_again(
    key: Callable[[Consumed], str] | None, by: str
) -> None:
    """By its id; under a key of your own, which another message may have any day, until somebody lets it go."""
    clock, handlers, queue = Seconds(), Handlers(key=key), queue_of()
    store = MemoryStore(clock=clock)

    @handlers.handler
    def fail(message: Consumed) -> None:
        raise BadMessage("Handling", "no such order")

    boto3.client("sqs").create_queue(QueueName=f"{queue.name}-dlq")
    aside = open_queue(f"{queue.name}-dlq")
    if by == "worker":
        assert all(queue.send([Message('{"number": "7"}')]))
        worker = Worker(queue, handlers, store=store, limits=limits(records=True), dead_letters=aside)
        with running(worker):
            until(lambda: worker.counts.deleted == 1)
    else:
        attempts = Attempts(handlers, queue=queue.name, store=store, dead_letters=aside)
        assert attempts.attempt(Delivery("h", '{"number": "7"}', "id-7")).end is End.ASIDE
    (entry,) = store.quarantined()
    assert entry.until_s == (0 if key else clock.now + KEPT_S)
    clock.advance(KEPT_S + 1)
    assert len(store.quarantined()) == (1 if key else 0)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("healthy", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_poison_is_set_aside_exactly_and_holds_up_nobody(aws: FakeAWS, healthy: int, record_property: Says) -> None:
    """One in a hundred cannot be read, one in a hundred fails: each is set aside after its tries, with why; all others are done
    once, after no more tries of the bad ones than they have.
    """
    poison = healthy // 100
    alone, among = run(healthy, 0, within_s=120), run(healthy, poison, within_s=120)
    tries, letters = among.tries, among.letters
    assert alone.letters == []
    assert set(tries.values()) == {TRIES}
    assert (len(tries), len(letters)) == (poison, 2 * poison)
    assert {letter.receives for letter in letters} == {TRIES}
    bodies = Counter("bad" if letter.delivery.body == "{not json" else "fails" for letter in letters)
    assert bodies == {"bad": poison, "fails": poison}
    assert all(letter.reason and letter.source for letter in letters)
    kept, share = alone.took_s / among.took_s, healthy / among.all_tries
    figure = f"T21 poison: {poison} unreadable and {poison} failing of {healthy}: set aside={len(letters)}/{2 * poison}"
    record_property(SAYS, f"{figure} after {TRIES} tries, healthy throughput kept={kept:.0%}, {share:.1%} of all tries")
    assert healthy <= among.all_tries <= healthy + 2 * poison * TRIES  # seconds are told and not judged: other work takes some


@pytest.mark.usefixtures("aws")
def test_poison_that_waits_to_be_tried_again_keeps_no_worker() -> None:
    """More bad messages than workers, and than may be in flight, came first and wait an hour: all others are done meanwhile."""
    queue, handlers, done = queue_of(), Handlers(), set[int]()

    @handlers.handler("Order.made")
    def handle(order: Order) -> None:
        done.add(order.number)

    @handlers.handler("Fails")
    def fail(order: Order) -> None:
        raise ValueError(order.number)

    for name, count in (("Fails", 24), ("Order.made", 40)):
        assert all(queue.send([Message(json.dumps({"number": n}), {"iniesta_pass": name}) for n in range(count)]))
    hour = Backoff(first_s=3_600, most_s=3_600, jitter=0)
    worker = Worker(queue, handlers, limits=limits(retries=hour, workers=2, in_flight=8))
    with running(worker):
        until(lambda: len(done) == 40)
        until(lambda: worker.counts.failed == 24)
    assert worker.counts.started == 64
