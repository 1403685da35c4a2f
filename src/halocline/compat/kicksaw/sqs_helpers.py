"""A queue by a client of boto3. `SQSQueue` does more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halocline.compat.kicksaw.utils import batch_collection
from halocline.errors import RetryLater

__all__ = ["acknowledge_messages", "get_queue_url", "pull_n_number_of_messages"]

_MOST = 10  # messages of one call
_WAIT_S = 1  # a poll that waits asks all of a queue's servers, one that does not asks some: "short and long polling" of the guide
_TRIES = 3


def get_queue_url(sqs_client: Any, queue_name: str) -> str:
    """The address of the queue."""
    return str(sqs_client.get_queue_url(QueueName=queue_name)["QueueUrl"])


def pull_n_number_of_messages(sqs_client: Any, queue_name: str, n: int = 10_000) -> list[dict[str, Any]]:
    """At most `n` messages, until none comes. They come back to the queue unless they are acknowledged in time."""
    url, messages = get_queue_url(sqs_client, queue_name), list[dict[str, Any]]()
    while len(messages) < n:
        most = min(_MOST, n - len(messages))
        told = sqs_client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=most, WaitTimeSeconds=_WAIT_S, MessageAttributeNames=["All"]
        )
        if not told.get("Messages"):
            break
        messages += told["Messages"]
    return messages


def acknowledge_messages(sqs_client: Any, queue_name: str, messages: Sequence[Mapping[str, Any]]) -> None:
    """Delete the messages.

    Raises: RetryLater naming those that SQS did not delete, after several tries.
    """
    url, left = get_queue_url(sqs_client, queue_name), list(messages)
    for _ in range(_TRIES):
        left = [one for batch in batch_collection(left, _MOST) for one in _not_deleted(sqs_client, url, batch)]
        if not left:
            return
    names = ", ".join(str(one.get("MessageId")) for one in left)
    raise RetryLater(f"Deleting messages of {queue_name}", f"{len(left):,} were not deleted: {names}", in_doubt=False)


def _not_deleted(sqs_client: Any, url: str, batch: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    entries = [{"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]} for number, one in enumerate(batch)]
    told = sqs_client.delete_message_batch(QueueUrl=url, Entries=entries)
    return [batch[int(one["Id"])] for one in told.get("Failed", ())]
