"""Lambda with handlers: each message of an event goes to its handler, once, in the time that there is.

    SQS            {"batchItemFailures": [...]}: the messages that are to come again, and no others
    SNS,           raises when something was not handled, so that Lambda delivers the event again
    EventBridge

What there is no time for is handed back before Lambda ends the function: with an idempotency store, nothing is done twice.
The event source mapping needs `ReportBatchItemFailures`.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html, read November 2026.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import finalize

from halocline.consume.arguments import refuse_other
from halocline.consume.aws.invocation import Invocation, TimeLeft, refuse_no_event
from halocline.consume.handling.envelope import is_bridged
from halocline.consume.handling.following import followed
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.masking import told
from halocline.consume.handling.message import delivery_of
from halocline.consume.letters.dead_letters import refuse_unfit
from halocline.consume.limits import Limits
from halocline.consume.work.attempt import Attempt, Attempts, End
from halocline.consume.work.own_loop import OwnLoop
from halocline.errors import FixConfig, HaloclineError, NotAllHandled, RetryLater
from halocline.idempotency import IdempotencyStore
from halocline.pointers import Follows, unmarked
from halocline.queues import Delivery, Queue, is_fifo, name_of
from halocline.topics import is_notification
from halocline.trace import places

_DOING = "Handling an event in Lambda"
_MARGIN_S = 5.0  # kept for what comes after the last handler
_LONGER = 1.25  # a handler is begun when there is so much more time than the slowest before it took

LambdaHandler = Callable[[Mapping[str, Any], Invocation | None], dict[str, Any]]


def handles(
    handlers: Handlers,
    *,
    store: IdempotencyStore | str | None = "",
    dead_letters: Queue | str | None = None,
    limits: Limits | None = None,
    margin_s: float = _MARGIN_S,
    name: str | None = None,
    known_as: str | None = None,
    offload: Follows | str | None = None,
) -> LambdaHandler:
    """The function that AWS is to call for each event; tests call it with None for the context.

    `store` remembers what was done: a store or its address, "" for the one that HALOCLINE_IDEMPOTENCY names, None for none. It is
    opened with the first event. `dead_letters` (a queue, its name or URL) is where messages that cannot be handled are set aside;
    without it they come again, until the queue's own policy sets them aside. `margin_s` of the time is kept for the end. Of a
    topic or a rule each function gets every message: what this one did is remembered as `name`'s (None: that of the function,
    without version and alias). `known_as` is what messages of its queue are remembered by, and set aside for (None: the
    queue's name): for the newer of two queues of one name, in two regions or accounts. `offload` is the bucket of large
    messages, those that are set aside too, or an `Offload`. The object of a queue's message that is done with is deleted, that of
    a topic's never.

    Raises: FixConfig for handlers, a store, dead letters or a bucket that are something else.
    """
    given = {"store": store, "dead_letters": dead_letters, "offload": offload}
    opens = {name: one for name, one in given.items() if not isinstance(one, str)}  # a text is opened with the first event
    refuse_other("Making a function of Lambda", handlers=handlers, **opens)
    opened: list[tuple[IdempotencyStore | None, Queue | None, Follows | None]] = []
    loop = OwnLoop()
    booked = set[str]()

    def handler(event: Mapping[str, Any], context: Invocation | None) -> dict[str, Any]:
        if not opened:  # a warm function keeps them
            opened.append((_store(store), _queue(dead_letters, offload), _large(offload)))
            if isinstance(store, str) and opened[0][0] is not None:
                finalize(handler, opened[0][0].close)  # it is nobody else's
        known, aside, large = opened[0]
        left, who = TimeLeft.of(context, margin_s=margin_s), name or _function(context)
        batch = Batch(
            handlers,
            known,
            aside,
            limits=limits,
            left=left,
            consumer=who,
            known_as=known_as,
            booked=booked,
            loop=loop,
            large=large,
        )
        return batch.respond(event)

    return handler


@dataclass(frozen=True, slots=True)
class Item:
    """One message of an event: its id, the queue, topic or source that it is of, its FIFO group, and what was delivered, or why
    it cannot be read. `is_shared`: no queue sent it, and other functions get it too. `arn` is the queue's.
    """

    id: str
    place: str
    group: str = ""
    delivery: Delivery | None = None
    error: Exception | None = None
    is_shared: bool = False
    arn: str = ""


@dataclass(slots=True)
class Batch:
    """One invocation, with the time that there is, by the clock. `consumer` is whose it is, for what others get too; `known_as`
    and `booked` are as for `handles` and `Attempts`. `large` follows large messages, `emptied` are those that are done with, each
    with the handle that names its object.
    """

    handlers: Handlers
    store: IdempotencyStore | None
    dead_letters: Queue | None
    limits: Limits | None
    left: TimeLeft
    clock: Callable[[], float] = time.monotonic
    consumer: str = ""
    known_as: str | None = None
    booked: set[str] = field(default_factory=set)
    loop: OwnLoop | None = None
    slowest_s: float = 0.0
    attempts: dict[str, Attempts] = field(default_factory=dict)
    large: Follows | None = None
    emptied: list[tuple[Item, str]] = field(default_factory=list)

    def respond(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Handle what the event brings, and answer in the form that its sender understands.

        Raises: FixConfig for an event of another kind; NotAllHandled where its sender does not know of parts.
        """
        refuse_no_event(_DOING, event)
        records = event.get("Records")
        if isinstance(records, list) and records and all(_is_of(one, "eventSource", "aws:sqs") for one in records):
            again = self._work([_of_queue(one) for one in records])
            self._remove_objects()
            return {"batchItemFailures": [{"itemIdentifier": item.id} for item, _ in again]}
        again = self._work(list(_others(event)))
        if again:
            cause = "; ".join(f"{item.id}: {told(error, item.delivery)}" for item, error in again)
            raise NotAllHandled(_DOING, cause, hint="Delivered again, what is done is not done twice.") from None
        return {"done": True}

    def _work(self, items: Sequence[Item]) -> list[tuple[Item, BaseException]]:
        """Handle messages in their order; those that are to come again, each with the reason.

        Behind one that failed, its FIFO group stops: its messages come again in their order.
        """
        again: list[tuple[Item, BaseException]] = []
        stopped: set[tuple[str, str]] = set()
        for item in items:
            lane = item.place, item.group
            if item.group and lane in stopped:
                again.append((item, _waits(f"one before it in the group {item.group!r} was not handled")))
                continue
            whole, error = self._handle(item)
            if error is not None:
                again.append((whole, error))
                stopped.add(lane)
        return again

    def _handle(self, item: Item) -> tuple[Item, BaseException | None]:
        """A message as it was handled, with its whole body, and why it is to come again; None where it is done with."""
        if item.delivery is None:
            return item, _why(item, Attempt(End.AGAIN, error=item.error))
        began = self.clock()
        if began + self.slowest_s * _LONGER >= self.left.ends_at:
            return item, _waits("there is no time left for it")
        if item.place not in self.attempts:
            self.attempts[item.place] = self._attempts(item)
        try:
            delivery = followed(item.delivery, self.large)
        except HaloclineError as error:
            return item, _why(item, Attempt(End.AGAIN, error=error))
        found = self.attempts[item.place].attempt(delivery, left=self.left)
        if found.was_run:
            self.slowest_s = max(self.slowest_s, self.clock() - began)
        if found.end is not End.AGAIN and delivery.handle != item.delivery.handle:
            self.emptied.append((item, delivery.handle))
        whole = replace(item, delivery=delivery)
        return whole, _why(whole, found)

    def _remove_objects(self) -> None:
        """Delete the bodies of large messages that are done with, which Lambda deletes; at the end, for what comes again because
        the function ended in the middle is to find them. One that is left is told, and fails nothing.
        """
        for item, handle in self.emptied:
            _, pointer = unmarked(handle)
            assert self.large is not None, "it was followed"
            assert pointer is not None, "its handle names it"
            try:
                if self.clock() >= (self.left.ends_at + self.left.gone_at) / 2:
                    raise RetryLater(_DOING, "there is no time left to delete its object in S3", hint="A lifecycle rule does.")
                self.large.remove(pointer)
            except HaloclineError as error:
                _log(item, "object_left", error=error, text=str(error))

    def _attempts(self, item: Item) -> Attempts:
        """Raises: FixConfig where nothing tells this function from others that get the same message; as `refuse_unfit`."""
        if item.is_shared and not self.consumer:
            hint = "Give handles(..., name=...): one name for one function."
            raise FixConfig(
                _DOING, f"Lambda does not say which function this is, and others may get what {item.place} sends", hint=hint
            )
        if self.dead_letters is not None:
            refuse_unfit(self.dead_letters, name=item.place, fifo=is_fifo(item.place), identity=lambda: item.arn)
        return Attempts(
            self.handlers,
            queue=(self.known_as or item.place) if item.arn else item.place,
            identity=item.arn,
            booked=self.booked,
            within=f"{self.consumer}/{item.place}" if item.is_shared else None,
            loop=self.loop,
            store=self.store,
            limits=self.limits,
            dead_letters=self.dead_letters,
            clock=self.clock,
        )


def _why(item: Item, attempt: Attempt) -> BaseException | None:
    """The error of a message that is to come again; every error is a line of JSON in the log, without the body."""
    if attempt.error is None:
        return None
    _log(item, attempt.end, error=attempt.error, text=told(attempt.error, item.delivery))
    return attempt.error if attempt.end is End.AGAIN else None


def _log(item: Item, end: str, *, error: BaseException, text: str) -> None:
    line = {"message": item.id, "queue": item.place, "end": end, "failed": type(error).__name__, "error": text}
    sys.stdout.write(json.dumps({**line, "at": places(error)}) + "\n")
    sys.stdout.flush()


def _waits(cause: str) -> RetryLater:
    return RetryLater(_DOING, cause, hint="It comes again.")


def _is_of(record: object, name: str, source: str) -> bool:
    return isinstance(record, Mapping) and record.get(name) == source


def _of_queue(record: Mapping[str, Any]) -> Item:
    name, arn = str(record.get("messageId") or ""), str(record.get("eventSourceARN") or "queue")
    place = name_of(arn)
    try:
        delivery = delivery_of(record)
    except Exception as error:  # noqa: BLE001 - it is this record's, and the others go on
        return Item(name, place, error=error)
    return Item(name, place, (delivery.group or "") if is_fifo(place) else "", delivery, arn=arn)


def _others(event: Mapping[str, Any]) -> Iterator[Item]:
    """The messages of an event that no queue sent.

    Raises: FixConfig for one of a kind that has none.
    """
    records = event.get("Records")
    if isinstance(records, list) and records and all(_is_of(one, "EventSource", "aws:sns") for one in records):
        for sent in (one.get("Sns") for one in records):
            whole = {"Type": "Notification", **sent} if isinstance(sent, Mapping) else {}
            if not is_notification(whole):
                raise FixConfig(_DOING, "a record of SNS has no message")
            place = str(whole["TopicArn"]).rpartition(":")[2]
            yield Item(whole["MessageId"], place, delivery=Delivery("", json.dumps(whole), whole["MessageId"]), is_shared=True)
    elif is_bridged(event):
        yield Item(event["id"], event["source"], delivery=Delivery("", json.dumps(event), event["id"]), is_shared=True)
    else:
        hint = "Handlers take messages of SQS and SNS, and events of EventBridge; files are for halocline.aws_lambda.handler."
        raise FixConfig(_DOING, f"it is an event of another kind: {', '.join(sorted(map(str, event)))[:200]}", hint=hint)


def _function(invocation: Invocation | None) -> str:
    """The function's ARN, without version and alias; "": Lambda does not say it."""
    arn = str(getattr(invocation, "invoked_function_arn", None) or "")
    return ":".join(arn.split(":")[:7])


def _store(given: IdempotencyStore | str | None) -> IdempotencyStore | None:
    from halocline.consume.stores import open_store  # drivers are loaded with the first event

    return open_store(given or None) if isinstance(given, str) else given


def _queue(given: Queue | str | None, offload: Follows | str | None) -> Queue | None:
    from halocline.registry import open_queue

    return open_queue(given, offload=offload) if isinstance(given, str) else given


def _large(given: Follows | str | None) -> Follows | None:
    from halocline.registry import open_offload

    return None if given is None else open_offload(given)
