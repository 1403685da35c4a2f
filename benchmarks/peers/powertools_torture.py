"""AWS Lambda Powertools under torture: its BatchProcessor with an idempotent function on Redis, one message at a time a thread.

See tests/system/torture, whose nursery imports this in the peer's own environment. Its in-progress record ends when a Lambda
function's time would: `left_s`.
"""

from __future__ import annotations

import json
import os
import threading
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

os.environ["POWERTOOLS_LOG_LEVEL"] = "ERROR"

import boto3
import effects
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer
from botocore.config import Config


def prepare(wanted: dict[str, Any]) -> Any:
    """A client that has connected to nothing yet."""
    return boto3.client("sqs", config=Config(max_pool_connections=wanted["threads"]))


def consume(wanted: dict[str, Any], client: Any) -> None:
    """Take messages with so many threads."""
    places, redis = effects.Effects(wanted["database"]), urlsplit(wanted["redis"])
    store = CachePersistenceLayer(host=str(redis.hostname), port=int(redis.port or 0), ssl=False)
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: round(wanted["left_s"] * 1_000))
    config = IdempotencyConfig(event_key_jmespath="messageId", lambda_context=context)

    @idempotent_function(data_keyword_argument="record", config=config, persistence_store=store)
    def once(record: dict[str, Any]) -> None:
        work = effects.Work(**json.loads(record["body"]))
        work.begin()
        with places.connection() as connection:
            work.write(connection, fence=0, in_doubt=False)
        work.end()

    def handle(record: SQSRecord) -> None:
        once(record=record.raw_event)

    def loop() -> None:
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        while True:
            answer = client.receive_message(QueueUrl=wanted["queue"], MaxNumberOfMessages=1, WaitTimeSeconds=20)
            for one in answer.get("Messages", ()):
                record = {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"], "body": one["Body"]}
                event = {"Records": [{**record, "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs"}]}
                if not process_partial_response(event, handle, processor, context)["batchItemFailures"]:
                    client.delete_message(QueueUrl=wanted["queue"], ReceiptHandle=one["ReceiptHandle"])

    threads = [threading.Thread(target=loop) for _ in range(wanted["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
