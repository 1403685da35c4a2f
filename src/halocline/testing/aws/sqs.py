"""Amazon SQS: its operations, on the dicts of its JSON protocol.

Source: Amazon SQS API Reference, https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError, check_order, invalid, missing
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.later import Later
from halocline.testing.aws.message import Message, md5_of, md5_of_attributes, size_of
from halocline.testing.aws.moves import Moves
from halocline.testing.aws.queue import Queue
from halocline.testing.aws.queues import ACCOUNT, Queues, check_settings

Params = Mapping[str, Any]
Result = dict[str, Any]
SENDER = "AIDACKCEVSQ6C2EXAMPLE"
BATCH_BYTES = 1_048_576  # Source: Amazon SQS API Reference, SendMessageBatch: "1 MiB (1,048,576 bytes)", since August 2025
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
# Source: Amazon SQS API Reference, SendMessage, `MessageBody`: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | above
_NOT_ALLOWED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_GROUP = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks: the host that he calls us, the region that he signed for; how many entries of his batch are to fail (-1: all)."""

    host: str
    region: str
    failing: int = 0


class SQS:
    """The service, over the queues of one account."""

    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        moves = Moves(queues, clock)
        self._operations: Mapping[str, Callable[[Params, Call], Result | asyncio.Future[Result]]] = {
            "CreateQueue": self._create_queue,
            "DeleteQueue": self._delete_queue,
            "ListQueues": self._list_queues,
            "GetQueueUrl": self._get_queue_url,
            "GetQueueAttributes": self._get_queue_attributes,
            "SetQueueAttributes": self._set_queue_attributes,
            "ListDeadLetterSourceQueues": self._list_dead_letter_source_queues,
            "ListQueueTags": self._list_queue_tags,
            "TagQueue": self._tag_queue,
            "UntagQueue": self._untag_queue,
            "PurgeQueue": self._purge_queue,
            "SendMessage": self._send_message,
            "SendMessageBatch": self._send_message_batch,
            "ReceiveMessage": self._receive_message,
            "DeleteMessage": self._delete_message,
            "DeleteMessageBatch": self._delete_message_batch,
            "ChangeMessageVisibility": self._change_message_visibility,
            "ChangeMessageVisibilityBatch": self._change_message_visibility_batch,
            "StartMessageMoveTask": lambda params, _call: moves.start(params),
            "ListMessageMoveTasks": lambda params, _call: moves.listed(params),
            "CancelMessageMoveTask": lambda params, _call: moves.cancel(params),
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that there are, as in its API."""
        return tuple(self._operations)

    def call(self, operation: str, params: Params, *, call: Call) -> Result | asyncio.Future[Result]:
        """What an operation answers; a long poll answers later.
        Raises: AWSError.
        """
        work = self._operations.get(operation)
        if work is None:
            raise AWSError("AWS.SimpleQueueService.UnsupportedOperation", f"{operation} is not part of this test server.")
        return work(params, call)

    # ---- queues

    def _create_queue(self, params: Params, call: Call) -> Result:
        settings = {name: str(value) for name, value in (params.get("Attributes") or {}).items()}
        queue = self._queues.create(_wanted(params, "QueueName"), region=call.region, settings=settings)
        queue.tags.update(params.get("tags") or {})
        return {"QueueUrl": url_of(queue, call.host)}

    def _delete_queue(self, params: Params, _call: Call) -> Result:
        self._queues.delete(self._queue(params))
        return {}

    def _list_queues(self, params: Params, call: Call) -> Result:
        prefix = params.get("QueueNamePrefix") or ""
        return _page([url_of(one, call.host) for one in self._queues if one.name.startswith(prefix)], params, name="QueueUrls")

    def _get_queue_url(self, params: Params, call: Call) -> Result:
        return {"QueueUrl": url_of(self._queues.get(_wanted(params, "QueueName")), call.host)}

    def _get_queue_attributes(self, params: Params, _call: Call) -> Result:
        queue = self._queue(params)
        asked = params.get("AttributeNames") or []
        told = _attributes(queue)
        unknown = [name for name in asked if name != "All" and name not in told and name not in _OPTIONAL]
        if unknown:
            raise AWSError("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")
        if "All" not in asked:
            told = {name: told[name] for name in asked if name in told}
        return {"Attributes": told} if told else {}

    def _set_queue_attributes(self, params: Params, _call: Call) -> Result:
        queue = self._queue(params)
        settings = {name: str(value) for name, value in _wanted(params, "Attributes").items()}
        check_settings({name: value for name, value in settings.items() if value})
        if "FifoQueue" in settings:
            raise AWSError("InvalidAttributeName", "Unknown Attribute FifoQueue.")
        self._queues.check_dead_letters(settings.get("RedrivePolicy"), is_fifo=queue.is_fifo)
        for name, value in settings.items():
            if value:
                queue.settings[name] = value
            else:
                queue.settings.pop(name, None)  # an empty text takes a policy away
        queue.modified = self._clock.now()
        return {}

    def _list_dead_letter_source_queues(self, params: Params, call: Call) -> Result:
        arn = self._queue(params).arn
        return _page(
            [url_of(one, call.host) for one in self._queues if arn in one.settings.get("RedrivePolicy", "")],
            params,
            name="queueUrls",
        )

    def _list_queue_tags(self, params: Params, _call: Call) -> Result:
        tags = self._queue(params).tags
        return {"Tags": dict(tags)} if tags else {}

    def _tag_queue(self, params: Params, _call: Call) -> Result:
        self._queue(params).tags.update(_wanted(params, "Tags"))
        return {}

    def _untag_queue(self, params: Params, _call: Call) -> Result:
        queue = self._queue(params)
        for key in _wanted(params, "TagKeys"):
            queue.tags.pop(key, None)
        return {}

    def _purge_queue(self, params: Params, _call: Call) -> Result:
        self._queue(params).purge()
        return {}

    # ---- messages

    def _send_message(self, params: Params, _call: Call) -> Result:
        return self._send(self._queue(params), params)

    def _send_message_batch(self, params: Params, call: Call) -> Result:
        queue = self._queue(params)
        entries = _entries(params)
        total = sum(size_of(str(one.get("MessageBody") or ""), one.get("MessageAttributes") or {}) for one in entries)
        if total > BATCH_BYTES:
            why = f"Batch requests cannot be longer than {BATCH_BYTES} bytes. You have sent {total} bytes."
            raise AWSError("AWS.SimpleQueueService.BatchRequestTooLong", why)
        return _each(entries, lambda entry: self._send(queue, entry), call=call)

    def _receive_message(self, params: Params, _call: Call) -> Result | asyncio.Future[Result]:
        queue = self._queue(params)
        most = _number(params, "MaxNumberOfMessages", 1, between=(1, 10))
        visibility = _number(params, "VisibilityTimeout", int(queue.settings["VisibilityTimeout"]), between=(0, 43_200))
        usual = int(queue.settings["ReceiveMessageWaitTimeSeconds"])
        seconds = _number(params, "WaitTimeSeconds", usual, between=(0, 20))
        told = _Told(queue, params)
        found = queue.take(most, visibility)
        if found or not seconds:
            return told.result(found)
        polled = self._queues.polls(queue).wait(most, visibility, seconds=seconds)
        return Later(polled, lambda messages: told.result(messages.result()))

    def _delete_message(self, params: Params, _call: Call) -> Result:
        self._queue(params).delete(_wanted(params, "ReceiptHandle"))
        return {}

    def _delete_message_batch(self, params: Params, call: Call) -> Result:
        queue = self._queue(params)

        def delete(entry: Params) -> Result:
            queue.delete(_wanted(entry, "ReceiptHandle"))
            return {}

        return _each(_entries(params), delete, call=call)

    def _change_message_visibility(self, params: Params, _call: Call) -> Result:
        self._change(self._queue(params), params)
        return {}

    def _change_message_visibility_batch(self, params: Params, call: Call) -> Result:
        queue = self._queue(params)
        return _each(_entries(params), lambda entry: self._change(queue, entry), call=call)

    # ---- inside

    def _queue(self, params: Params) -> Queue:
        return self._queues.by_url(_wanted(params, "QueueUrl"))

    def _change(self, queue: Queue, params: Params) -> Result:
        _wanted(params, "VisibilityTimeout")
        seconds = _number(params, "VisibilityTimeout", 0, between=(0, 43_200))
        queue.change(_wanted(params, "ReceiptHandle"), seconds)
        return {}

    def _send(self, queue: Queue, params: Params) -> Result:
        body = _wanted(params, "MessageBody")
        attributes = params.get("MessageAttributes") or {}
        size = size_of(body, attributes)
        _check_message(queue, body, attributes=attributes, size=size)
        delay = _delay(queue, params)
        message = Message(new_id(), body, md5_of(body), size, self._clock.now(), attributes, sender=SENDER)
        message.system = {name: str(one["StringValue"]) for name, one in (params.get("MessageSystemAttributes") or {}).items()}
        is_new = self._place(queue, message, params)
        if is_new:
            self._queues.deliver(queue, message, delay=delay)
        told: Result = {"MessageId": message.id, "MD5OfMessageBody": message.md5}
        if attributes:
            told["MD5OfMessageAttributes"] = md5_of_attributes(attributes)
        if message.system:
            told["MD5OfMessageSystemAttributes"] = md5_of_attributes(params["MessageSystemAttributes"])
        if message.sequence is not None:
            told["SequenceNumber"] = message.sequence
        return told

    def _place(self, queue: Queue, message: Message, params: Params) -> bool:
        """Give a message its group, and in a FIFO queue its sequence number; False for one that the queue took before.

        Groups in a standard queue make it a fair queue; their order is not changed here.
        """
        group, dedupe = params.get("MessageGroupId"), params.get("MessageDeduplicationId")
        for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", dedupe)):
            if value is not None and not _GROUP.fullmatch(value):
                why = f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
                raise invalid(name, value, reason=why)
        message.group = group
        if not queue.is_fifo:
            if dedupe is not None:
                raise invalid("MessageDeduplicationId", dedupe, reason=_NOT_THIS_TYPE)
            return True
        if group is None:
            raise missing("MessageGroupId")
        message.dedupe = dedupe or _content_based(queue, message.body)
        scope = f"{group}\n{message.dedupe}" if queue.settings.get("DeduplicationScope") == "messageGroup" else message.dedupe
        before = queue.accepted(scope)
        known = before or queue.accept(scope, message.id)
        message.id, message.sequence = known.id, known.sequence
        return before is None


class _Told:
    """What a receive tells of its messages."""

    def __init__(self, queue: Queue, params: Params) -> None:
        self._queue = queue
        self._system = {*(params.get("AttributeNames") or ()), *(params.get("MessageSystemAttributeNames") or ())}
        self._attributes = tuple(params.get("MessageAttributeNames") or ())

    def result(self, messages: Sequence[Message]) -> Result:
        return {"Messages": [self._one(message) for message in messages]} if messages else {}

    def _one(self, message: Message) -> Result:
        told: Result = {
            "MessageId": message.id,
            "ReceiptHandle": self._queue.handle(message),
            "MD5OfBody": message.md5,
            "Body": message.body,
        }
        if self._system:
            known = message.system_attributes()
            asked = known if "All" in self._system else {name: known[name] for name in known if name in self._system}
            told |= {"Attributes": asked} if asked else {}
        if self._attributes and message.attributes:
            chosen = {name: value for name, value in message.attributes.items() if self._wants(name)}
            told |= {"MessageAttributes": chosen, "MD5OfMessageAttributes": md5_of_attributes(chosen)} if chosen else {}
        return told

    def _wants(self, name: str) -> bool:
        return any(
            asked in ("All", ".*", name) or (asked.endswith(".*") and name.startswith(asked[:-1])) for asked in self._attributes
        )


_NOT_THIS_TYPE = "The request include parameter that is not valid for this queue type"
_OPTIONAL = {
    *("Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"),
    *("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"),
}


def url_of(queue: Queue, host: str) -> str:
    """The address of a queue, at the host that the caller named."""
    return f"http://{host}/{ACCOUNT}/{queue.name}"


def _attributes(queue: Queue) -> dict[str, str]:
    counts = queue.counts()
    settings = dict(queue.settings)
    if queue.is_fifo:
        usual = {"ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}
        settings = {**usual, **settings}
    return {
        "ApproximateNumberOfMessages": str(counts.visible),
        "ApproximateNumberOfMessagesDelayed": str(counts.delayed),
        "ApproximateNumberOfMessagesNotVisible": str(counts.in_flight),
        "CreatedTimestamp": str(int(queue.created)),
        "LastModifiedTimestamp": str(int(queue.modified)),
        "QueueArn": queue.arn,
        **settings,
    }


def _page(found: list[str], params: Params, *, name: str) -> Result:
    most = int(params.get("MaxResults") or 1000)
    start = int(params.get("NextToken") or 0)
    told: Result = {name: found[start : start + most]} if found[start : start + most] else {}
    if "MaxResults" in params and start + most < len(found):
        told["NextToken"] = str(start + most)
    return told


def _entries(params: Params) -> list[Params]:
    """The entries of a batch.
    Raises: AWSError where there are none or too many, and for ids that are not distinct or not well formed.
    """
    entries: list[Params] = params.get("Entries") or []
    ids = [str(entry.get("Id") or "") for entry in entries]
    service = "AWS.SimpleQueueService"
    if not entries:
        why = "There should be at least one SendMessageBatchRequestEntry in the request."
        raise AWSError(f"{service}.EmptyBatchRequest", why)
    if len(entries) > 10:
        why = f"Maximum number of entries per request are 10. You have sent {len(entries)}."
        raise AWSError(f"{service}.TooManyEntriesInBatchRequest", why)
    wrong = next((one for one in ids if not _ENTRY_ID.fullmatch(one)), None)
    if wrong is not None:
        why = "A batch entry id can only contain alphanumeric characters, hyphens and underscores, at most 80 of them."
        raise AWSError(f"{service}.InvalidBatchEntryId", why)
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise AWSError(f"{service}.BatchEntryIdsNotDistinct", f"Id {twice} repeated.")
    return entries


def _each(entries: list[Params], work: Callable[[Params], Result], *, call: Call) -> Result:
    """Do the work of each entry; the last `call.failing` of them fail as if by the service."""
    done, failed = [], []
    for at, entry in enumerate(entries):
        try:
            check_order(at, of=len(entries), failing=call.failing)
            done.append({"Id": entry["Id"], **work(entry)})
        except AWSError as error:
            code = "ReceiptHandleIsInvalid" if "ReceiptHandle" in error.message else error.code
            failed.append({"Id": entry["Id"], "SenderFault": error.by_sender, "Code": code, "Message": error.message})
    return {name: found for name, found in (("Successful", done), ("Failed", failed)) if found}


def _check_message(queue: Queue, body: str, *, attributes: Mapping[str, Mapping[str, Any]], size: int) -> None:
    """Raises: AWSError (InvalidParameterValue, InvalidMessageContents, MissingParameter)."""
    most = int(queue.settings["MaximumMessageSize"])
    if size > most:
        raise AWSError(
            "InvalidParameterValue", f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
        )
    if _NOT_ALLOWED.search(body):
        why = "Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
        raise AWSError("InvalidMessageContents", f"Invalid characters found. {why}")
    if len(attributes) > 10:
        raise AWSError(
            "InvalidParameterValue", f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10]."
        )
    for reason in wrong_attributes(attributes):
        raise AWSError("InvalidParameterValue", reason)


def wrong_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Why attributes of a message, SQS's or SNS's, are refused."""
    for name, value in attributes.items():
        kind = str(value.get("DataType") or "")
        if not kind:
            yield f"The message attribute '{name}' must contain a non-empty message attribute type."
        elif kind.partition(".")[0] not in ("String", "Number", "Binary"):
            known = "the set of supported type prefixes is Binary, Number, and String."
            yield f"The message attribute '{name}' has an invalid message attribute type, {known}"
        elif not value.get("BinaryValue" if kind.startswith("Binary") else "StringValue"):
            wanted = f"a non-empty message attribute value for message attribute type '{kind}'."
            yield f"The message attribute '{name}' must contain {wanted}"


def _delay(queue: Queue, params: Params) -> int:
    """Raises: AWSError (InvalidParameterValue): in a FIFO queue only the queue has a delay."""
    if queue.is_fifo and params.get("DelaySeconds"):
        raise invalid("DelaySeconds", params["DelaySeconds"], reason=_NOT_THIS_TYPE)
    return _number(params, "DelaySeconds", int(queue.settings["DelaySeconds"]), between=(0, 900))


def _content_based(queue: Queue, body: str) -> str:
    if queue.settings.get("ContentBasedDeduplication") != "true":
        why = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
        raise AWSError("InvalidParameterValue", why)
    return hashlib.sha256(body.encode()).hexdigest()


def _wanted(params: Params, name: str) -> Any:
    value = params.get(name)
    if value is None or value == "":
        raise missing(name)
    return value


def _number(params: Params, name: str, usual: int, *, between: tuple[int, int]) -> int:
    value = params.get(name)
    if value is None:
        return usual
    least, most = between
    if not str(value).lstrip("-").isdecimal() or not least <= int(value) <= most:
        raise invalid(name, value, reason=f"Must be between {least} and {most}, if provided.")
    return int(value)
