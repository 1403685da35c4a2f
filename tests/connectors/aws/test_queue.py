"""Laws of the typed queue, on our fake; where moto can, on moto too."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from tests.connectors.aws.servers import BOTH, SERVERS, beside, fake, new_bucket, new_name, new_queue

from halocline import Invalid, SQSQueue, registry
from halocline.connectors.aws import SQS, Offload, intake
from halocline.connectors.aws.batches import Batches, Entry, Watch, pack, spread
from halocline.connectors.aws.sqs import MAX_BYTES, open_queue
from halocline.errors import AccessDenied, FixConfig, HaloclineError, LoginRefused, NetworkFailed, NotFound, RetryLater, Stop
from halocline.flows.policy import _POLLED
from halocline.pointers import SIZE
from halocline.queues import Delivery, Message, Queue, Reply
from halocline.retry import Pace, Policy
from halocline.testing.aws import FakeAWS


class Patient(BaseModel):
    first_name: str
    age: int

    @field_validator("first_name")
    @classmethod
    def known(cls, name: str) -> str:
        if name == "end":
            raise SystemExit(0)
        return {"odd": ""}[name] if name == "" else name  # a KeyError for "", as a user's mistake would raise


@dataclass(frozen=True)
class Job:
    number: int
    group: str = "g"


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[FakeAWS]:
    with fake() as server:
        yield server


@pytest.fixture
def aws_now(running: FakeAWS) -> Iterator[FakeAWS]:
    """The fake, without faults before and after."""
    running.faults.clear()
    running.calls.clear()
    yield running
    running.faults.clear()
    running.clock.thaw()


@pytest.fixture
def queue(aws_now: FakeAWS) -> SQSQueue[Job]:
    return SQSQueue(name=new_queue(), message_model=Job)


def jobs(count: int) -> list[Job]:
    return [Job(number) for number in range(count)]


def numbers(messages: list[Job | Invalid]) -> list[int]:
    return [message.number for message in messages if isinstance(message, Job)]


@pytest.mark.short
@pytest.mark.parametrize("server", BOTH)
def test_messages_go_there_and_back(server: str) -> None:
    """By name, by URL and by `from_name`; each with its own handle, and gone when it is deleted."""
    with SERVERS[server]():
        name = new_queue()
        queue: SQSQueue[Patient] = SQSQueue(name=name, message_model=Patient)
        patients = [Patient(first_name=f"J\uffff{age}", age=age) for age in range(13)]
        replies = queue.send_messages(patients)
        assert all(replies)
        assert len({reply.message_id for reply in replies}) == 13
        same = SQSQueue(queue.url, Patient)
        assert (same.name, same.url, repr(same)) == (name, queue.url, f"SQSQueue(name={name!r}, message_model=Patient)")
        handles, messages = same.receive_messages(wait_time_seconds=0)
        assert sorted(message.age for message in messages if isinstance(message, Patient)) == list(range(13))
        by_age = {one.age: handle for handle, one in zip(handles, messages, strict=True) if isinstance(one, Patient)}
        assert queue.hand_back(handles) == [Reply()] * 13
        assert queue.delete_message(by_age[5])
        left = SQSQueue.from_name(name, Patient).receive_messages(wait_time_seconds=0)[1]
        assert sorted(one.age for one in left if isinstance(one, Patient)) == [age for age in range(13) if age != 5]


def test_one_message_there_and_back(queue: SQSQueue[Job]) -> None:
    """Its id, its handle, its attributes; and nothing where there is nothing."""
    assert queue.receive_message(0) == (None, None)
    sent = queue.send_message(Job(1), attributes={"kind": "a", "count": 2, "share": 0.5, "raw": b"\0\xff"})
    (delivery,) = queue.queue.receive(1, wait_s=0)
    assert (delivery.id, delivery.receives) == (sent, 1)
    assert delivery.attributes == {"kind": "a", "count": 2, "share": 0.5, "raw": b"\0\xff"}
    assert queue.hand_back([delivery.handle]) == [Reply()]
    handle, message = queue.receive_message(0)
    assert message == Job(1)
    assert handle is not None
    assert queue.delete_message(handle)
    assert queue.receive_message(0) == (None, None)


def test_the_handle_of_no_message_is_told(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """What `receive_message` gives of an empty queue: the error says so, and nothing else is deleted."""
    queue.send_message(Job(1))
    handle, _ = queue.receive_message(0)
    nothing, _ = queue.receive_message(0)
    for deed in (queue.delete_messages, queue.hand_back, lambda handles: queue.extend(handles, 5)):
        with pytest.raises(FixConfig, match="None is no handle"):
            deed([handle, nothing])  # type: ignore[list-item]  # what is tested
    with pytest.raises(FixConfig, match=f"Deleting from the queue {queue.name}: None is no handle"):
        queue.delete_message(nothing)  # type: ignore[arg-type]  # likewise
    assert len(aws_now.messages(queue.name)) == 1


def test_polls_may_be_asked_for_by_position(queue: SQSQueue[Job]) -> None:
    """As kicksaw-integration-utils has it: how many, how long a poll, how many more; and the account of a queue."""
    queue.send_messages(jobs(3))
    same: SQSQueue[Job] = SQSQueue.from_name(queue.name, Job, None)
    assert len(same.receive_messages(3, 0, 2)[0]) == 3


@pytest.mark.parametrize("asked", [1, 3, 10, 15, 25, 40])
def test_never_more_than_asked(queue: SQSQueue[Job], asked: int) -> None:
    """As many as there are, and no more than asked for; the others stay in the queue."""
    queue.send_messages(jobs(30))
    handles, messages = queue.receive_messages(asked, 0)
    assert len(handles) == len(messages) == min(asked, 30)
    assert len(queue.receive_messages(wait_time_seconds=0)[0]) == 30 - len(handles)


def test_polls_beside_each_other_share_what_is_asked(queue: SQSQueue[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """With polls in threads too, each message comes once, and no more than asked for."""
    monkeypatch.setattr(Watch, "is_waiting", property(lambda _: True))
    assert all(queue.send_messages(jobs(200)))
    handles, messages = queue.receive_messages(155, 0)
    assert len(set(handles)) == 155 == len(set(numbers(messages)))
    assert all(queue.delete_messages(handles))
    assert len(queue.receive_messages(wait_time_seconds=0)[0]) == 45


def test_a_bad_body_loses_nothing(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """It is an `Invalid` in its place, with body and reason, even where the user's own validator fails oddly."""
    patients = SQSQueue(queue.url, Patient)
    bodies = [
        '{"first_name": "a", "age": 1}',
        "nope",
        '{"first_name": "", "age": 1}',
        "\u00e4",
        '{"age": "x"}',
        '{"first_name": "end", "age": 1}',
        '{"first_name": "b", "age": 2}',
    ]
    for body in bodies:
        beside("sqs").send_message(QueueUrl=queue.url, MessageBody=body)
    handles, messages = patients.receive_messages(wait_time_seconds=0)
    assert len(handles) == len(bodies)
    told = {message.body: message.error for message in messages if isinstance(message, Invalid)}
    assert set(told) == set(bodies[1:6])
    assert told[bodies[2]] == "KeyError: ''"
    assert "age" in told[bodies[4]]
    assert told[bodies[5]] == "SystemExit: 0"
    assert sorted(one.first_name for one in messages if isinstance(one, Patient)) == ["a", "b"]
    assert all(one.message_id and one.receives == 1 for one in messages if isinstance(one, Invalid))


def test_a_poll_waits_for_a_message(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """A long poll is answered as soon as a message comes."""
    aws_now.clock.freeze()
    late = threading.Timer(0.05, queue.send_message, (Job(1),))
    late.start()
    assert queue.receive_message(20)[1] == Job(1)
    late.join()


@pytest.mark.parametrize("is_waiting", [False, True], ids=["alone", "beside"])
def test_what_is_received_is_fresh(aws_now: FakeAWS, monkeypatch: pytest.MonkeyPatch, is_waiting: bool) -> None:
    """After half of the visibility no further poll begins, whether polls run alone or beside each other."""
    monkeypatch.setattr(intake.Watch, "is_waiting", is_waiting)
    queue = SQS(beside("sqs").create_queue(QueueName=new_name(), Attributes={"VisibilityTimeout": "60"})["QueueUrl"])
    queue.send([Message(str(number)) for number in range(30)])
    ticks = chain([0.0, 0.0, 29.0], repeat(30.0))  # each poll asks once, and there may be two that find it is too late
    assert len(intake.Intake(queue, 30, wait_s=0).run(lambda: next(ticks))) == 20
    ticks = chain([0.0, 0.0], repeat(29.0))
    assert len(intake.Intake(queue, 30, wait_s=0, visibility_s=40).run(lambda: next(ticks))) == 10


@dataclass
class Told:
    """A queue that hands out what it is told to, in time that passes while it waits."""

    answers: list[list[Delivery]]
    hidden_s: int = 30
    now_s: float = 0.0
    waits: list[float] = field(default_factory=list)

    def receive_allowed(self, limit: int, *, wait_s: float, visibility_s: int | None) -> list[Delivery]:
        self.waits.append(wait_s)
        self.now_s += wait_s - 0.5 if wait_s else 0.0
        return self.answers.pop(0)[:limit]

    def intake(self, limit: int, *, wait_s: float, **more: int) -> list[Delivery]:
        return intake.Intake(self, limit, wait_s=wait_s, **more).run(lambda: self.now_s)  # type: ignore[arg-type]  # a queue as far as is asked


def test_a_poll_ends_while_what_came_is_fresh() -> None:
    """The last poll waits no longer than half of the visibility lasts, and none begins for less than a second."""
    one = Delivery("h1", "a", "1")
    queue = Told([[one], []])
    queue.now_s, queue.hidden_s = 100.0, 60
    assert queue.intake(100, wait_s=20) == [one]
    assert queue.waits == [20, 10]  # 19.5 of 30 seconds are over
    queue = Told([[one], []])
    assert queue.intake(100, wait_s=1, visibility_s=3) == [one]
    assert queue.waits == [1, 1]
    queue = Told([[one]])
    assert queue.intake(100, wait_s=0, visibility_s=1) == [one]


def test_a_message_that_comes_again_counts_once() -> None:
    """With its newest handle, which is the one that SQS takes; as many others as were asked for come all the same."""
    first, again, other = Delivery("h1", "a", "1"), Delivery("h2", "a", "1", 2), Delivery("h3", "b", "2")
    queue = Told([[first], [again], [other]])
    assert queue.intake(2, wait_s=1) == [again, other]
    queue = Told([[again], [first], [other]])  # polls beside each other may end the other way round
    assert queue.intake(2, wait_s=1) == [again, other]
    queue = Told([[Delivery("h1", "a"), Delivery("h2", "a")]])  # nobody said which message each is
    assert len(queue.intake(2, wait_s=1)) == 2


def test_what_was_received_does_not_hang_on_a_look_at_the_queue(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """It is not asked for its settings when nothing more is wanted; and when it does not tell, what came is returned."""
    queue.send_messages(jobs(12))
    assert len(queue.receive_messages(10, 0)[0]) == 10
    assert queue.receive_message(0)[1] is not None
    assert aws_now.calls.count("sqs.GetQueueAttributes") == 0
    aws_now.faults.add("refuse", operation="GetQueueAttributes", code="Odd", status=400, times=9)
    assert len(queue.receive_messages(2, 0)[0]) == 1
    assert aws_now.calls.count("sqs.GetQueueAttributes") == 1


def test_none_are_asked_for_where_none_are_wanted(queue: SQSQueue[Job]) -> None:
    """And none is hidden from others by it."""
    queue.send_messages(jobs(1))
    assert (queue.queue.receive(0), queue.receive_messages(0)) == ([], ([], []))
    assert len(queue.queue.receive(1, wait_s=0)) == 1


def test_receiving_and_deleting_needs_no_more_rights_than_lambda(aws_now: FakeAWS) -> None:
    """Of the queue, as `halocline iam` writes them; large messages too, whether their bodies can be had or not."""
    queue = SQSQueue(SQSQueue(name=new_queue(), message_model=str).url, str, offload=new_bucket())
    queue.send_messages(["small", "x" * 300_000, "y" * 300_000])
    aws_now.calls.clear()
    aws_now.faults.add("refuse", service="s3", operation="GetObject")
    handles, messages = queue.receive_messages(wait_time_seconds=0)
    assert len(messages) == 2
    assert all(queue.delete_messages(handles))
    used = {name for name in aws_now.calls._counts if name.startswith("sqs.")}
    assert {f"sqs:{name.removeprefix('sqs.').removesuffix('Batch')}" for name in used} == set(_POLLED)


def test_an_error_in_the_middle_loses_no_handle(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """What was received is returned; an error at the first poll is raised."""
    queue.send_messages(jobs(20))
    aws_now.faults.add("refuse", operation="ReceiveMessage", nth=2, every=1)  # each after the first, as they may run side by side
    assert len(queue.receive_messages(wait_time_seconds=0)[0]) == 10
    with pytest.raises(AccessDenied, match="sqs:ReceiveMessage"):
        queue.receive_messages(wait_time_seconds=0)


def test_failed_entries_are_sent_again_and_the_others_are_not(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """Of each batch three entries fail once: every message is there once."""
    aws_now.faults.add("fail_entries", operation="SendMessageBatch", entries=3, nth=1, times=1)
    assert all(queue.send_messages(jobs(20)))
    assert sorted(json.loads(one.body)["number"] for one in aws_now.messages(queue.name)) == list(range(20))
    assert aws_now.calls.count("sqs.SendMessageBatch") == 3


def test_entries_that_fail_for_good_are_told(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """After some tries the reply says what SQS said; the others were sent once."""
    url = queue.url
    wire = Batches("Sending", _call(url), max_bytes=MAX_BYTES, policy=Policy(attempts=3), pace=Pace(sleep=lambda _: None))
    aws_now.faults.add("fail_entries", operation="SendMessageBatch", entries=2, times=3)
    replies = wire.run([Entry(number, {"MessageBody": str(number)}) for number in range(10)])
    assert [bool(replies[number]) for number in range(10)].count(False) == 2
    assert all(reply.error and reply.code for reply in replies.values() if not reply)
    assert len(aws_now.messages(queue.name)) == 8


def _call(url: str) -> Any:
    queue = SQS(url)
    return lambda entries: queue._call("Sending to", "SendMessageBatch", wanted={"Entries": entries})


def test_deletes_and_visibility_are_tried_again(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """A failed entry is asked for again; a stale or made up handle is told, and does not disturb the others."""
    queue.send_messages(jobs(12))
    handles, _ = queue.receive_messages(wait_time_seconds=0)
    aws_now.faults.add("fail_entries", operation="ChangeMessageVisibilityBatch", entries=4)
    assert all(queue.extend(handles, 600))
    aws_now.faults.add("fail_entries", operation="DeleteMessageBatch", entries=4)
    replies = queue.delete_messages([*handles[:5], "made up", *handles[5:]])
    assert [bool(reply) for reply in replies] == [*[True] * 5, False, *[True] * 7]
    assert (replies[5].code, bool(replies[5].error)) == ("ReceiptHandleIsInvalid", True)
    assert aws_now.messages(queue.name) == []
    assert queue.delete_messages([]) == []


def test_extending_hides_for_longer(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """And handing back shows again at once."""
    aws_now.clock.freeze()
    queue.send_message(Job(1))
    (handle,), _ = queue.receive_messages(1, 0, visibility_timeout=10)
    assert queue.extend([handle], 100)[0]
    aws_now.clock.advance(50)
    assert queue.receive_message(0) == (None, None)
    aws_now.clock.advance(51)
    assert queue.receive_message(0, visibility_timeout=30)[1] == Job(1)
    with pytest.raises(FixConfig, match="43200"):
        queue.extend([handle], 43_201)


def test_batches_are_cut_by_bytes(aws_now: FakeAWS) -> None:
    """Three messages of 400 KB are two calls; a message too large for SQS is told and keeps no other back."""
    queue = SQSQueue(name=new_queue(), message_model=str)
    replies = queue.send_messages(["a" * 400_000, "b" * (MAX_BYTES + 1), "ä" * 200_000, "c" * 400_000])
    assert [reply.code for reply in replies] == ["", "MessageTooLong", "", ""]
    assert "1,048,577" in replies[1].error
    assert aws_now.calls.count("sqs.SendMessageBatch") == 2
    assert sorted(len(one.body) for one in aws_now.messages(queue.name)) == [200_000, 400_000, 400_000]
    with pytest.raises(Stop, match="1,048,576"):
        queue.send_message("x" * (MAX_BYTES + 1))


@pytest.mark.parametrize("sizes", [[], [1] * 25, [6, 5, 5, 1], [12, 1], [5, 5, 5]])
def test_packing_keeps_order_and_limits(sizes: list[int]) -> None:
    """Ten entries and ten bytes at most, in order, each once; one that is larger goes alone."""
    entries = [Entry(index, {}, size) for index, size in enumerate(sizes)]
    batches = list(pack(entries, max_bytes=10))
    assert [entry for batch in batches for entry in batch] == entries
    assert all(len(batch) == 1 or (len(batch) <= 10 and sum(entry.size_bytes for entry in batch) <= 10) for batch in batches)


def test_a_message_that_sqs_cannot_take_is_the_only_one_refused(aws_now: FakeAWS) -> None:
    """SQS refuses a call for one character: the others of the call are sent, each once."""
    queue = SQSQueue(name=new_queue(), message_model=str)
    replies = queue.send_messages(
        [*[str(number) for number in range(6)], "bad \0 sign", *[str(number) for number in range(6, 13)]]
    )
    assert [index for index, reply in enumerate(replies) if not reply] == [6]
    assert replies[6].code == "InvalidMessageContents"
    assert sorted(int(one.body) for one in aws_now.messages(queue.name)) == list(range(13))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"action": "refuse"}, AccessDenied),
        ({"action": "refuse", "code": "InvalidClientTokenId"}, FixConfig),
        ({"action": "throttle"}, RetryLater),
        ({"action": "server_error"}, RetryLater),
        ({"action": "cut"}, NetworkFailed),
    ],
)
def test_a_queue_that_takes_nothing_is_an_error(
    queue: SQSQueue[Job], aws_now: FakeAWS, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], kind: type[HaloclineError]
) -> None:
    """Where nothing was taken the error is raised, with what to do; nothing secret is in it."""
    monkeypatch.setattr(queue.queue._wire, "_pace", Pace(sleep=lambda _: None))
    action = fault.pop("action")
    aws_now.faults.add(action, operation="SendMessageBatch", times=50, **fault)
    with pytest.raises(kind, match=queue.name) as told:
        queue.send_messages(jobs(25))
    assert told.value.hint
    assert "example" not in str(told.value)
    assert aws_now.calls.count("sqs.SendMessageBatch") <= 4  # no batch after the one that failed


def test_what_fails_after_something_was_taken_is_a_reply(
    queue: SQSQueue[Job], aws_now: FakeAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ten are sent; the others are told, and none is tried after the failure."""
    monkeypatch.setattr(Watch, "is_waiting", property(lambda _: False))
    aws_now.faults.add("refuse", operation="SendMessageBatch", nth=2, times=1)
    replies = queue.send_messages(jobs(30))
    assert [bool(reply) for reply in replies] == [*[True] * 10, *[False] * 20]
    assert {reply.code for reply in replies[10:20]} == {"AccessDenied"}
    assert {reply.code for reply in replies[20:]} == {"NotTried"}
    assert len(aws_now.messages(queue.name)) == 10


def test_a_call_that_fails_for_now_is_made_again(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """Throttled, 500, cut off: the messages are sent."""
    for number, action in enumerate(("throttle", "server_error", "cut")):
        aws_now.faults.add(action, operation="SendMessageBatch", nth=1 + 0 * number)
    assert all(queue.send_messages(jobs(5)))
    assert len(aws_now.messages(queue.name)) == 5


def test_a_fifo_queue_keeps_the_order_of_groups(aws_now: FakeAWS) -> None:
    """Messages come in the order in which they were sent, by group."""
    name = new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    queue = SQSQueue(name=name, message_model=Job, group=lambda job: job.group)
    sent = [Job(number, "ab"[number % 2]) for number in range(24)]
    assert all(queue.send_messages(sent))
    assert [json.loads(one.body)["number"] for one in aws_now.messages(name)] == list(range(24))
    assert {one.group for one in aws_now.messages(name)} == {"a", "b"}


def test_a_fifo_queue_drops_repeats(aws_now: FakeAWS) -> None:
    """By what `dedupe` says, of the queue or of the call; without it and without the queue's setting it is refused."""
    name = new_queue(FifoQueue="true")
    with pytest.raises(FixConfig, match="group"):
        SQSQueue(name=name, message_model=Job).send_message(Job(1))
    with pytest.raises(FixConfig, match="dedupe"):
        SQSQueue(name=name, message_model=Job, group="g").send_message(Job(1))
    queue = SQSQueue(name=name, message_model=Job, group="g", dedupe=lambda job: str(job.number))
    assert all(queue.send_messages([Job(1), Job(1), Job(2)]))
    assert queue.send_message(Job(2), group="g", dedupe="another")
    queue.send_messages([Job(3), Job(4)], dedupe=lambda _: "one")
    assert len(aws_now.messages(name)) == 4


def test_a_lost_reply_doubles_nothing_in_a_fifo_queue(aws_now: FakeAWS) -> None:
    """The call is made again with the same texts, and SQS drops the repeats."""
    name = new_queue(FifoQueue="true")
    queue = SQSQueue(name=name, message_model=Job, group="g", dedupe=lambda job: str(job.number))
    aws_now.faults.add("lose_reply", operation="SendMessageBatch")
    assert all(queue.send_messages(jobs(10)))
    assert len(aws_now.messages(name)) == 10


def test_no_message_overtakes_a_refused_one_of_its_group(aws_now: FakeAWS) -> None:
    """Later ones of the group are held back, and say so; other groups go on."""
    name = new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    queue = SQS(SQSQueue(name=name, message_model=str).url)
    messages = [Message(f"{number}" if number != 3 else "\0", group="ab"[number % 2]) for number in range(30)]
    replies = queue.send(messages)
    assert [index for index, reply in enumerate(replies) if reply.code == "InvalidMessageContents"] == [3]
    assert [index for index, reply in enumerate(replies) if reply.code == "Held"] == list(range(5, 30, 2))
    assert [int(one.body) for one in aws_now.messages(name) if one.group == "a"] == list(range(0, 30, 2))
    assert [int(one.body) for one in aws_now.messages(name) if one.group == "b"] == [1]


@pytest.mark.parametrize("offload", [None, "large"])
def test_half_of_a_character_is_refused_in_its_place(aws_now: FakeAWS, offload: str | None) -> None:
    """No text of AWS holds one: the messages beside it are sent, and those behind it in its group are held."""
    queue = SQSQueue(name=new_queue(), message_model=str, offload=offload)
    assert [one.code for one in queue.send_messages(["a", "\ud800", "\U0001f600"])] == ["", "InvalidMessageContents", ""]
    assert sorted(one.body for one in aws_now.messages(queue.name)) == ["a", "\U0001f600"]
    with pytest.raises(Stop, match="half of a character"):
        queue.send_message("\udfff")
    fifo = new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    queue = SQSQueue(name=fifo, message_model=str, group=lambda text: text[0], offload=offload)
    replies = queue.send_messages(["a1", "a\ud800", "b1", "a2"])
    assert [reply.code for reply in replies] == ["", "InvalidMessageContents", "", "Held"]


def test_what_comes_behind_a_message_that_is_too_large_is_held(aws_now: FakeAWS) -> None:
    """What comes before it and other groups are sent."""
    name = new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    queue = SQSQueue(name=name, message_model=str, group=lambda text: text[0])
    replies = queue.send_messages(["a1", "a" * (MAX_BYTES + 1), "b1", "a2", "b2"])
    assert [reply.code for reply in replies] == ["", "MessageTooLong", "", "Held", ""]
    assert [one.body for one in aws_now.messages(name) if one.group == "b"] == ["b1", "b2"]
    assert [one.body for one in aws_now.messages(name) if one.group == "a"] == ["a1"]


@pytest.mark.parametrize("groups", [1, 3, 40])
def test_no_refusal_changes_the_order_of_a_group(groups: int) -> None:
    """Whichever entries of a call are refused, for now or for good: of each group a first part was taken, in its order."""
    dice, taken = random.Random(groups), list[int]()

    def call(entries: list[dict[str, Any]]) -> dict[str, Any]:
        told: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in entries:
            roll = dice.random()
            if roll < 0.3:
                told["Failed"].append({"Id": entry["Id"], "Code": "Odd", "SenderFault": roll < 0.02})
            else:
                told["Successful"].append({"Id": entry["Id"], "MessageId": "m"})
                taken.append(entry["number"])
        return told

    entries = [Entry(number, {"number": number}, group=str(dice.randrange(groups))) for number in range(300)]
    replies = Batches("Sending", call, policy=Policy(attempts=4), pace=Pace(sleep=lambda _: None)).run(entries, in_order=True)
    assert sorted(taken) == [number for number, reply in sorted(replies.items()) if reply]
    assert 0 < len(taken) < 300 == len(replies)
    for group in {entry.group for entry in entries}:
        sent = [entry.index for entry in entries if entry.group == group]
        came = [number for number in taken if number in set(sent)]
        assert came == sent[: len(came)]
        assert {replies[number].code for number in sent[len(came) + 1 :]} <= {"Held"}


@pytest.mark.parametrize(("sizes", "calls"), [([10] * 10, 10), ([1] * 25, 3), ([12], 12), ([9, *[1] * 81], 9), ([20] * 11, 22)])
def test_groups_share_calls(sizes: list[int], calls: int) -> None:
    """There are as many calls as ten entries a call want, or as the longest group is long."""
    asked: list[int] = []

    def call(entries: list[dict[str, Any]]) -> dict[str, Any]:
        asked.append(len({entry["group"] for entry in entries}))
        return {"Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in entries]}

    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    entries = [Entry(index, {"group": group}, 3, str(group)) for index, group in enumerate(groups)]
    assert all(Batches("Sending", call, max_bytes=30).run(entries, in_order=True).values())
    assert (len(asked), sum(asked)) == (calls, len(entries))
    asked.clear()
    Batches("Sending", call, max_bytes=7).run(entries, in_order=True)
    assert max(asked) <= 2  # entries of 3 bytes, 7 a call


def test_who_may_only_send_sends_in_order_too(aws_now: FakeAWS) -> None:
    """Whether the queue tells repeats by content is then left to SQS, and asked for once a call of ours."""
    name = new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    queue = SQSQueue(name=name, message_model=str, group="g")
    aws_now.faults.add("refuse", operation="GetQueueAttributes", times=100)
    assert all(queue.send_messages(["one", "two", "one"]))
    assert [one.body for one in aws_now.messages(name)] == ["one", "two"]
    assert aws_now.calls.count("sqs.GetQueueAttributes") == 1
    plain = SQSQueue(name=new_queue(FifoQueue="true"), message_model=str, group="g")
    assert [reply.code for reply in plain.send_messages(["one", "two"])] == ["InvalidParameterValue", "Held"]


def test_a_repeat_of_a_large_message_is_dropped(aws_now: FakeAWS) -> None:
    """As one of a small message is, by its contents, though it lies in another object."""
    bucket, name = new_bucket(), new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    queue = SQSQueue(name=name, message_model=str, group="g", offload=Offload(registry.open_buckets(), bucket, over_bytes=10))
    SQSQueue(name=name, message_model=str, group="g").send_message("x" * 20)
    assert all(queue.send_messages(["x" * 20, "y" * 20, "y" * 20]))
    assert all(queue.send_messages(["y" * 20]))
    assert len(aws_now.messages(name)) == 2


def test_what_is_refused_at_once_leaves_no_object(aws_now: FakeAWS) -> None:
    """No group, no way to tell repeats, a delay that is none."""
    bucket = new_bucket()
    large = Offload(registry.open_buckets(), bucket, over_bytes=10)
    fifo = SQSQueue(name=new_queue(FifoQueue="true"), message_model=str, offload=large)
    with pytest.raises(FixConfig, match="dedupe"):
        fifo.send_messages(["x" * 20], group="g")
    with pytest.raises(FixConfig, match="group"):
        fifo.send_messages(["x" * 20], dedupe=str)
    with pytest.raises(FixConfig, match="delays no single message"):
        fifo.send_messages(["x" * 20], group="g", dedupe=str, delay_s=60)
    with pytest.raises(FixConfig, match="900"):
        SQSQueue(name=new_queue(), message_model=str, offload=large).send_message("x" * 20, delay_s=901)
    assert "Contents" not in beside("s3").list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("server", BOTH)
def test_large_messages_go_by_way_of_s3(server: str) -> None:
    """As Amazon's extended clients do it: the pointer, the attribute, the handle; the object goes with the message."""
    with SERVERS[server]():
        bucket, name = new_bucket(), new_queue()
        queue = SQSQueue(name=name, message_model=str, offload=bucket)
        assert all(queue.send_messages(["ä" * 200_000, "small", "x" * 2_000_000]))
        (raw,) = [one for one in _raw(queue.url) if one["Body"] != "small" and "400000" in str(one["MessageAttributes"])]
        key = json.loads(raw["Body"])[1]["s3Key"]
        assert json.loads(raw["Body"]) == [
            "software.amazon.payloadoffloading.PayloadS3Pointer",
            {"s3BucketName": bucket, "s3Key": key},
        ]
        assert raw["MessageAttributes"] == {"ExtendedPayloadSize": {"StringValue": "400000", "DataType": "Number"}}
        assert beside("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode() == "ä" * 200_000
        handles, messages = queue.receive_messages(wait_time_seconds=0)
        assert sorted(len(one) for one in messages if isinstance(one, str)) == [5, 200_000, 2_000_000]
        marked = f"-..s3BucketName..-{bucket}-..s3BucketName..--..s3Key..-{key}-..s3Key..-"
        assert [handle.startswith(marked) for handle in handles].count(True) == 1
        assert all(queue.extend(handles, 60))
        assert all(queue.delete_messages(handles))
        assert "Contents" not in beside("s3").list_objects_v2(Bucket=bucket)
        assert queue.receive_message(0) == (None, None)


def _raw(url: str) -> list[dict[str, Any]]:
    """The messages as any client has them, and back into the queue with them."""
    client = beside("sqs")
    found: list[dict[str, Any]] = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])[
        "Messages"
    ]
    for one in found:
        client.change_message_visibility(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=0)
    return found


def _pointer(queue: SQSQueue[str], bucket: str, key: str, attribute: str = "ExtendedPayloadSize") -> None:
    body = json.dumps(["com.amazon.sqs.javamessaging.MessageS3Pointer", {"s3BucketName": bucket, "s3Key": key}])
    size = {attribute: {"DataType": "Number", "StringValue": "1"}}
    beside("sqs").send_message(QueueUrl=queue.url, MessageBody=body, MessageAttributes=size)


def test_a_pointer_of_an_older_client_is_followed(aws_now: FakeAWS) -> None:
    """With the older attribute and class."""
    bucket = new_bucket()
    beside("s3").put_object(Bucket=bucket, Key="k", Body=b"text")
    queue = SQSQueue(name=new_queue(), message_model=str, offload=bucket)
    _pointer(queue, bucket, "k", "SQSLargePayloadSize")
    assert queue.receive_message(0)[1] == "text"


def test_a_pointer_elsewhere_is_not_followed(aws_now: FakeAWS) -> None:
    """Into another bucket, to nothing, to bytes, without a key, from a queue without a bucket, or no pointer at all: `Invalid`,
    and told why.
    """
    bucket, other = new_bucket(), new_bucket()
    beside("s3").put_object(Bucket=other, Key="k", Body=b"text")
    beside("s3").put_object(Bucket=bucket, Key="b", Body=b"\xff")
    queue = SQSQueue(name=new_queue(), message_model=str, offload=bucket)
    for where, key in ((other, "k"), (bucket, "none"), (bucket, "b"), (bucket, "")):
        _pointer(queue, where, key)
    for body in ("{}", "[" * 100_000):
        size = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "1"}}
        beside("sqs").send_message(QueueUrl=queue.url, MessageBody=body, MessageAttributes=size)
    handles, messages = queue.receive_messages(wait_time_seconds=0)
    told = [message.error for message in messages if isinstance(message, Invalid)]
    words = ("trusted", "NoSuchKey", "UTF-8", "Key", "no pointer", "no pointer")
    assert [word for word, error in zip(words, told, strict=True) if word not in error] == []
    queue.hand_back(handles)
    assert {type(one) for one in SQSQueue(queue.url, str).receive_messages(wait_time_seconds=0)[1]} == {Invalid}


def test_a_message_reaches_nothing_beside_the_prefix(aws_now: FakeAWS) -> None:
    """In the own bucket nothing is read or deleted elsewhere; in a trusted one anything is read and nothing deleted."""
    bucket, other = new_bucket(), new_bucket()
    for where in (bucket, other):
        beside("s3").put_object(Bucket=where, Key="books/2026", Body=b"text")
    offload = Offload(registry.open_buckets(), bucket, prefix="large/", trusted=frozenset({other}))
    queue = SQSQueue(name=new_queue(), message_model=str, offload=offload)
    for where, key in ((bucket, "books/2026"), (bucket, "large/../books/2026"), (other, "books/2026")):
        _pointer(queue, where, key)
    handles, messages = queue.receive_messages(wait_time_seconds=0)
    refused, gone, text = messages
    assert text == "text"
    assert isinstance(refused, Invalid)
    assert f"only below s3://{bucket}/large/" in refused.error
    assert isinstance(gone, Invalid)  # S3 knows no folders, and so no way up
    marked = handles[2].replace(other, bucket)  # as a handle would be, had that pointer been followed
    assert all(queue.delete_messages([*handles, marked]))
    for where in (bucket, other):
        assert [one["Key"] for one in beside("s3").list_objects_v2(Bucket=where)["Contents"]] == ["books/2026"]


def test_a_trusted_bucket_and_a_kept_object(aws_now: FakeAWS) -> None:
    """`trusted` names other buckets, `keep` leaves the object, `over_bytes` and `prefix` say what goes where."""
    bucket, other = new_bucket(), new_bucket()
    beside("s3").put_object(Bucket=other, Key="k", Body=b"text")
    offload = Offload(registry.open_buckets(), bucket, prefix="large/", over_bytes=10, trusted=frozenset({other}), keep=True)
    queue = SQSQueue(name=new_queue(), message_model=str, offload=offload)
    _pointer(queue, other, "k")
    queue.send_message("x" * 11)
    handles, messages = queue.receive_messages(wait_time_seconds=0)
    assert sorted(str(one) for one in messages) == ["text", "x" * 11]
    assert all(queue.delete_messages(handles))
    assert [one["Key"][:6] for one in beside("s3").list_objects_v2(Bucket=bucket)["Contents"]] == ["large/"]


def test_a_body_that_cannot_be_had_just_now_stays_in_the_queue(aws_now: FakeAWS, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 is away: the message is not returned, and comes again in its time. An object that could not be deleted is told."""
    aws_now.clock.freeze()
    bucket = new_bucket()
    queue = SQSQueue(name=new_queue(), message_model=str, offload=bucket)
    queue.send_messages(["x" * 300_000, "small"])
    fault = aws_now.faults.add("unavailable", service="s3", operation="GetObject", times=10)
    (kept,), messages = queue.receive_messages(2, 0)
    assert messages == ["small"]
    aws_now.faults.remove(fault)
    assert queue.receive_message(0) == (None, None)
    aws_now.clock.advance(31)
    assert aws_now.calls.count("sqs.ChangeMessageVisibility*") == 0
    assert queue.delete_message(kept)
    (handle,), messages = queue.receive_messages(2, 0)
    assert messages == ["x" * 300_000]
    fault = aws_now.faults.add("refuse", service="s3", operation="DeleteObject", times=10)
    assert [reply.code for reply in queue.delete_messages([kept, handle])] == ["", "ObjectLeft"]
    aws_now.faults.remove(fault)
    assert all(queue.delete_messages([handle]))
    assert "Contents" not in beside("s3").list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"code": "AccessDenied"}, AccessDenied),
        ({"code": "InvalidAccessKeyId"}, LoginRefused),
        ({"code": "InternalError", "status": 500}, RetryLater),
    ],
)
def test_a_body_that_this_login_cannot_have_costs_no_other_message(
    aws_now: FakeAWS, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], kind: type[HaloclineError]
) -> None:
    """It is left out, and comes again; where there is no other message, what is wrong is raised."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    aws_now.clock.freeze()
    queue = SQSQueue(name=new_queue(), message_model=str, offload=new_bucket())
    queue.send_messages(["x" * 300_000, "small"])
    rule = aws_now.faults.add("refuse", service="s3", operation="GetObject", **{"times": 5, **fault})
    handles, messages = queue.receive_messages(wait_time_seconds=0)
    assert messages == ["small"]
    assert all(queue.delete_messages(handles))
    aws_now.clock.advance(31)
    with pytest.raises(kind, match="s3://"):
        queue.receive_messages(wait_time_seconds=0)
    aws_now.clock.advance(31)
    aws_now.faults.remove(rule)
    assert queue.receive_message(0)[1] == "x" * 300_000


def test_a_body_that_s3_forbids_is_what_is_wrong_with_its_message(aws_now: FakeAWS) -> None:
    """Whoever counts tries gets it with `failure`, also alone, and what is wrong with the queue is raised."""
    queue = open_queue(new_queue(), offload=new_bucket())
    queue.send([Message("x" * 300_000)])
    aws_now.faults.add("refuse", service="s3", operation="GetObject", code="AccessDenied")
    (found,) = queue.receive(10, wait_s=0, visibility_s=0)
    assert re.search(r"s3://.*AccessDenied.*s3:ListBucket", found.failure)
    assert SIZE in found.attributes  # as a letter it is still the pointer
    aws_now.faults.clear()
    aws_now.faults.add("refuse", service="sqs", operation="ReceiveMessage", code="AccessDenied")
    with pytest.raises(AccessDenied):
        queue.receive(10, wait_s=0)


def test_what_comes_behind_a_body_that_is_kept_back_waits(aws_now: FakeAWS) -> None:
    """In its group of a FIFO queue; later they come in their order."""
    aws_now.clock.freeze()
    name = new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    queue = SQSQueue(name=name, message_model=str, group=lambda text: text[0], offload=new_bucket())
    queue.send_messages(["a1", "a" * 300_000, "a2", "b1", "a3"])
    aws_now.faults.add("refuse", service="s3", operation="GetObject")
    handles, messages = queue.receive_messages(wait_time_seconds=0)
    assert sorted(str(one) for one in messages) == ["a1", "b1"]
    queue.delete_messages(handles)
    aws_now.clock.advance(31)
    assert queue.receive_messages(wait_time_seconds=0)[1] == ["a" * 300_000, "a2", "a3"]


def test_a_queue_that_is_not_there_is_told(aws_now: FakeAWS) -> None:
    """By name at once, by URL at the first call; with what to look at."""
    with pytest.raises(NotFound, match=r"nobodys-queue.*AWS_DEFAULT_REGION"):
        SQSQueue(name="nobodys-queue", message_model=str)
    with pytest.raises(NotFound, match="AWS_DEFAULT_REGION"):
        SQSQueue("http://127.0.0.1/123456789012/nobodys-queue", str).send_message("x")


@pytest.mark.parametrize(
    "given", [{}, {"name": "a"}, {"url": "http://x/1/a", "name": "a", "message_model": str}, {"message_model": str}]
)
def test_half_a_queue_is_refused(given: dict[str, Any]) -> None:
    """A name or a URL, and the type of messages."""
    with pytest.raises(FixConfig, match=r"SQSQueue\(name="):
        SQSQueue(**given)


def test_a_message_of_another_type_is_not_sent(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """All messages are made into bodies before the first is sent."""
    with pytest.raises(TypeError, match="dict is no Job"):
        queue.send_messages([Job(1), {"number": 2}])  # type: ignore[list-item]  # what is tested
    assert aws_now.messages(queue.name) == []


def test_a_delay_keeps_a_message_back(queue: SQSQueue[Job], aws_now: FakeAWS) -> None:
    """For 900 seconds at most."""
    aws_now.clock.freeze()
    queue.send_messages([Job(1)], delay_s=60)
    assert queue.receive_message(0) == (None, None)
    aws_now.clock.advance(61)
    assert queue.receive_message(0)[1] == Job(1)
    with pytest.raises(FixConfig, match="900"):
        queue.send_message(Job(1), delay_s=901)


def test_the_registry_opens_a_queue(aws_now: FakeAWS) -> None:
    """By name and by URL, with settings by our names or boto3's."""
    name = new_queue()
    queue: Queue = registry.open_queue(name, region_name="us-east-1")
    assert queue.send([Message("x")])[0]
    again = registry.open_queue(SQSQueue(name=name, message_model=str).url)
    (delivery,) = again.receive(wait_s=0)
    assert (delivery.body, delivery.sent_ms > 0) == ("x", True)


def test_work_is_spread_where_most_of_it_is_waiting() -> None:
    """The first piece alone; the rest beside each other or one after the other, each once."""
    for is_waiting in (True, False):
        seen: list[tuple[int, str]] = []
        gate = threading.Event()

        def piece(number: int, gate: threading.Event = gate, seen: list[tuple[int, str]] = seen, wait: bool = is_waiting) -> None:
            if wait and number == 0:
                gate.wait(0.02)
            seen.append((number, threading.current_thread().name))

        spread([lambda number=number, piece=piece: piece(number) for number in range(20)])
        assert sorted(number for number, _ in seen) == list(range(20))
        assert seen[0] == (0, threading.current_thread().name)
        if is_waiting:
            assert {name for _, name in seen[1:]}.isdisjoint({threading.current_thread().name})
    spread([])
