"""AWS Lambda Powertools in a loop: receive ten, BatchProcessor with an idempotent function on Redis, delete what did not fail.

Started by consume.py in the peer's own environment with one JSON argument; answers with JSON lines.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

os.environ["POWERTOOLS_LOG_LEVEL"] = "ERROR"

import boto3
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.consuming import serve

LEFT_MS = 1_800_000  # what a Lambda function's context says is left of its time


def main() -> None:
    """`{queue, store}`; `store` is the address of a Redis."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    client, numbers = boto3.client("sqs"), list[int]()
    place = urlsplit(wanted["store"])
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: LEFT_MS)
    config = IdempotencyConfig(event_key_jmespath="messageId", lambda_context=context)
    store = CachePersistenceLayer(host=str(place.hostname), port=int(place.port or 0), ssl=False)
    processor = BatchProcessor(event_type=EventType.SQS)

    @idempotent_function(data_keyword_argument="record", config=config, persistence_store=store)
    def once(record: dict[str, Any]) -> None:
        numbers.append(json.loads(record["body"])["number"])

    def handle(record: SQSRecord) -> None:
        once(record=record.raw_event)

    def run() -> None:
        while True:
            answer = client.receive_message(QueueUrl=wanted["queue"], MaxNumberOfMessages=10, WaitTimeSeconds=20)
            if records := [_record(one) for one in answer.get("Messages", ())]:
                told = process_partial_response({"Records": records}, handle, processor, context)
                failed = {one["itemIdentifier"] for one in told["batchItemFailures"]}
                done = [one["receiptHandle"] for one in records if one["messageId"] not in failed]
                entries = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(done)]
                client.delete_message_batch(QueueUrl=wanted["queue"], Entries=entries)

    serve(run, numbers)


def _record(message: dict[str, Any]) -> dict[str, Any]:
    """A message as Lambda hands it over."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


if __name__ == "__main__":
    main()
