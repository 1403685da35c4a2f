"""Law of docs/events.md: its samples run as they stand."""

from __future__ import annotations

import boto3
import pytest
from tests.connectors.aws.servers import fake
from tests.test_docs import DOCS, run_page

from halocline.connectors.aws import open_queue
from halocline.consume.handling.envelope import unwrap


def test_the_samples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    """In order, against our fake; what is planned is made, and what is handled arrives from then on."""
    with fake():
        arn = boto3.client("sns").create_topic(Name="shop")["TopicArn"]
        boto3.client("sqs").create_queue(QueueName="orders")
        names = run_page(DOCS / "events.md")
        assert names["client"].topic_arn == arn
        assert all(names["replies"])
        assert len(names["replies"]) == 25
        told = capsys.readouterr().out
        assert "sns hello Placed.orders" in told
        assert f"+ subscribe arn:aws:sqs:us-east-1:123456789012:orders to {arn}" in told
        names["ship"](18)
        names["message"].publish_now()
        (found,) = open_queue("orders").receive(wait_s=0)
        assert (unwrap(found.body).body, found.attributes["shop"]) == ('{"id":17}', "north")
