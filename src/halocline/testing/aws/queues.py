"""The queues of an account: how they are made, found, and fed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError, invalid
from halocline.testing.aws.faults import Faults, Target
from halocline.testing.aws.message import Message
from halocline.testing.aws.polls import Polls
from halocline.testing.aws.queue import Queue

ACCOUNT = "123456789012"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_DELETED_S = 60.0  # Source: Amazon SQS API Reference, DeleteQueue: "wait at least 60 seconds"

# Settings with the least and the most that they may be. Source: Amazon SQS API Reference, SetQueueAttributes; the message size
# grew to 1 MiB in August 2025.
_RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}
_OTHERS = {
    *("Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled"),
    *("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"),
}


class Queues:
    """Queues by name; a name is taken for a minute after its queue was deleted."""

    def __init__(self, clock: Clock, faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._queues: dict[str, Queue] = {}
        self._polls: dict[str, Polls] = {}
        self._deleted: dict[str, float] = {}

    def create(self, name: str, *, region: str, settings: Mapping[str, str]) -> Queue:
        """The queue of this name; an existing one if its settings are as asked.
        Raises: AWSError (InvalidParameterValue, QueueAlreadyExists, QueueDeletedRecently, InvalidAttributeName/Value).
        """
        if not _NAME.fullmatch(name):
            why = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
            raise AWSError("InvalidParameterValue", why)
        check_settings(settings)
        if name.endswith(".fifo") != (settings.get("FifoQueue") == "true"):
            why = (
                "The name of a FIFO queue can only end with .fifo"
                if name.endswith(".fifo")
                else "The name of a FIFO queue ends with .fifo"
            )
            raise AWSError("InvalidParameterValue", why)
        self.check_dead_letters(settings.get("RedrivePolicy"), is_fifo=name.endswith(".fifo"))
        if found := self._queues.get(name):
            _compare(found, settings)
            return found
        if self._clock.now() < self._deleted.get(name, 0.0):
            why = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
            raise AWSError("AWS.SimpleQueueService.QueueDeletedRecently", why)
        arn = f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"
        made = Queue(name, arn, clock=self._clock, settings=settings, dead_letters=self.by_arn)
        self._queues[name] = made
        self._polls[name] = Polls(made, self._clock)
        return made

    def check_dead_letters(self, policy: str | None, *, is_fifo: bool) -> None:
        """Raises: AWSError (InvalidParameterValue) for a policy whose queue of dead letters is not there, or of another type.

        Source: https://github.com/serverless/serverless/issues/5215 quotes the words; API reference, SetQueueAttributes,
        "RedrivePolicy", of the types, whose words are unverified.
        """
        if not policy:
            return
        target = self.by_arn(json.loads(policy)["deadLetterTargetArn"])
        if target is None:
            raise invalid("RedrivePolicy", policy, reason="Dead letter target does not exist.")
        if target.is_fifo != is_fifo:
            raise invalid("RedrivePolicy", policy, reason="Dead-letter queue must be same type of queue as the source.")

    def delete(self, queue: Queue) -> None:
        """Delete a queue with all that is in it."""
        del self._queues[queue.name]
        self._deleted[queue.name] = self._clock.now() + _DELETED_S
        self._polls.pop(queue.name).end(no_such_queue())

    def get(self, name: str) -> Queue:
        """The queue of a name.
        Raises: AWSError (NonExistentQueue).
        """
        found = self._queues.get(name)
        if found is None:
            raise no_such_queue()
        return found

    def by_url(self, url: str) -> Queue:
        """The queue of an address; the name is its last part, so that an address of another host is understood."""
        return self.get(urlsplit(url).path.rpartition("/")[2])

    def by_arn(self, arn: str) -> Queue | None:
        found = self._queues.get(arn.rpartition(":")[2])
        return found if found is not None and ":sqs:" in arn else None

    def polls(self, queue: Queue) -> Polls:
        return self._polls[queue.name]

    def look(self) -> None:
        """Time was moved: whoever waits looks again."""
        for polls in list(self._polls.values()):
            polls.look()

    def deliver(self, queue: Queue, message: Message, *, delay: float) -> None:
        """Put a message into a queue, unless a fault has it otherwise."""
        for fault in self._faults.take(Target("sqs", "delivery", queue.name, "delivery")) if self._faults else ():
            if fault.action == "drop":
                return
            if fault.action == "duplicate":
                queue.put(replace(message), delay=delay)
            else:
                delay += fault.seconds
        queue.put(message, delay=delay)

    def __iter__(self) -> Iterator[Queue]:
        return iter(sorted(self._queues.values(), key=lambda queue: queue.name))


def no_such_queue() -> AWSError:
    """What SQS says of a name that no queue has."""
    code = "AWS.SimpleQueueService.NonExistentQueue"
    return AWSError(code, "The specified queue does not exist.", shape="QueueDoesNotExist")


def check_settings(settings: Mapping[str, str]) -> None:
    """Raises: AWSError (InvalidAttributeName, InvalidAttributeValue)."""
    for name, value in settings.items():
        if name not in _RANGES and name not in _OTHERS:
            raise AWSError("InvalidAttributeName", f"Unknown Attribute {name}.")
        if name in _RANGES and not (value.isdecimal() and _RANGES[name][0] <= int(value) <= _RANGES[name][1]):
            raise AWSError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
    if policy := settings.get("RedrivePolicy"):
        _check_redrive(policy)


def _check_redrive(policy: str) -> None:
    try:
        rule = json.loads(policy)
        most, target = int(rule["maxReceiveCount"]), str(rule["deadLetterTargetArn"])
    except (ValueError, KeyError, TypeError) as reason:
        raise invalid("RedrivePolicy", policy, reason="Redrive policy is not valid.") from reason
    if not 1 <= most <= 1000 or ":sqs:" not in target:
        raise invalid("RedrivePolicy", policy, reason="maxReceiveCount is 1 to 1000, and the target is the ARN of a queue.")


def _compare(queue: Queue, settings: Mapping[str, str]) -> None:
    different = sorted(name for name, value in settings.items() if queue.settings.get(name) != value)
    if different:
        why = f"A queue already exists with the same name and a different value for attribute {different[0]}"
        raise AWSError("QueueAlreadyExists", why, shape="QueueNameExists")
