"""Law of docs/aws.md: its samples run as they stand."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from tests.connectors.aws.servers import fake
from tests.test_docs import DOCS, run_page


def test_the_samples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, against our fake; what they send is received and deleted, what they archive is there."""
    monkeypatch.chdir(tmp_path)
    Path("report.csv").write_text("a,b\n")
    with fake() as server:
        boto3.client("sqs").create_queue(QueueName="my-queue-name")
        boto3.client("s3").create_bucket(Bucket="my-bucket")
        boto3.client("sns", region_name="eu-west-1").create_topic(Name="my-topic")
        names = run_page(DOCS / "aws.md")
        assert server.messages("my-queue-name") == []
        assert (names["refused"], len(names["good"]), all(names["replies"])) == ([], 1, True)
        assert [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket="my-bucket")["Contents"]] == [
            "archive/report.csv"
        ]
