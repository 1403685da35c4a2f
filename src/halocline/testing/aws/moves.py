"""Moves: tasks that carry the messages of a dead letter queue elsewhere. Here a task is over as soon as it is begun.

Source: Amazon SQS API Reference, StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask, read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError, missing
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.queue import Queue
from halocline.testing.aws.queues import Queues

_LISTED = 10
_HELD_S = 30  # while it is on its way
_NO_SOURCE = "CouldNotDetermineMessageSource"


class Moves:
    """The tasks of one account, the newest first."""

    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        self._tasks: dict[str, list[dict[str, Any]]] = {}

    def start(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Move what is visible in the queue `SourceArn` to `DestinationArn`, or each message to where it came from.

        A message that no queue's policy put there has no origin; that the task fails then with the reason which we tell is
        unverified. A moved message is a new one: its id and its time are new.
        Source: "Learn how to configure a dead-letter queue redrive in Amazon SQS", read November 2026,
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
        Raises: AWSError (MissingParameter, ResourceNotFoundException, UnsupportedOperation).
        """
        source = self._named(params, "SourceArn")
        given = self._named(params, "DestinationArn") if params.get("DestinationArn") else None
        if not any(source.arn in one.settings.get("RedrivePolicy", "") for one in self._queues):
            why = "Source queue must be configured as a Dead Letter Queue."
            raise AWSError("AWS.SimpleQueueService.UnsupportedOperation", why)
        task: dict[str, Any] = {
            "Status": "COMPLETED",
            "SourceArn": source.arn,
            "ApproximateNumberOfMessagesMoved": 0,
            "ApproximateNumberOfMessagesToMove": source.counts().visible,
            "StartedTimestamp": int(self._clock.now() * 1000),
        }
        if given is not None:
            task["DestinationArn"] = given.arn
        self._run(task, source, given)
        self._tasks.setdefault(source.arn, []).insert(0, task)
        return {"TaskHandle": new_id()}

    def listed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The newest tasks of the queue `SourceArn`, one unless `MaxResults` says more."""
        source = self._named(params, "SourceArn")
        most = min(int(params.get("MaxResults") or 1), _LISTED)
        return {"Results": self._tasks.get(source.arn, [])[:most]}

    def cancel(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """No task is running, so that there is none to end.

        Raises: AWSError (MissingParameter, ResourceNotFoundException).
        """
        if not params.get("TaskHandle"):
            raise missing("TaskHandle")
        raise AWSError("ResourceNotFoundException", "Task does not exist.")

    def _run(self, task: dict[str, Any], source: Queue, given: Queue | None) -> None:
        for _ in range(task["ApproximateNumberOfMessagesToMove"]):
            taken = source.take(1, _HELD_S)
            if not taken:
                return
            message = taken[0]
            origin = given or self._queues.by_arn(message.system.get("DeadLetterQueueSourceArn", ""))
            if origin is None:
                source.change(source.handle(message), 0)
                task.update(Status="FAILED", FailureReason=_NO_SOURCE)
                return
            source.delete(source.handle(message))
            system = {name: value for name, value in message.system.items() if name != "DeadLetterQueueSourceArn"}
            fresh = replace(message, id=new_id(), sent=self._clock.now(), receives=0, first_received=None, system=system)
            origin.put(fresh, delay=0)
            task["ApproximateNumberOfMessagesMoved"] += 1

    def _named(self, params: Mapping[str, Any], name: str) -> Queue:
        arn = params.get(name)
        if not arn:
            raise missing(name)
        found = self._queues.by_arn(str(arn))
        if found is None:
            why = f"The resource that you specified for the {name} parameter doesn't exist."
            raise AWSError("ResourceNotFoundException", why)
        return found
