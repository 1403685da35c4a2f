"""Laws of what goes wrong: replies that get lost, entries that fail, rights that lack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.connectors.aws.servers import beside, fake, new_bucket, new_name

from halocline import registry
from halocline.config import secret
from halocline.connectors.aws import open_topic
from halocline.errors import AccessDenied
from halocline.queues import Message
from halocline.testing.aws import FakeAWS


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[FakeAWS]:
    with fake() as running:
        yield running


def test_a_lost_reply_to_a_put_does_no_harm(server: FakeAWS) -> None:
    """The object was made and the answer got lost: it was made once, by us."""
    buckets, place = registry.open_buckets(), new_bucket()
    server.faults.add("lose_reply", operation="PutObject", resource=place)
    assert buckets.put(b"one", place, "a", if_new=True)
    assert buckets.read(place, "a") == b"one"


def test_failed_entries_are_published_again(server: FakeAWS) -> None:
    """And those that were taken are not."""
    topic = open_topic(beside("sns").create_topic(Name=new_name())["TopicArn"])
    server.faults.add("fail_entries", service="sns", operation="PublishBatch", entries=3)
    assert all(topic.publish_all([Message(str(number)) for number in range(8)]))
    assert server.calls.count("sns.PublishBatch") == 2


def test_a_right_that_lacks_is_told(server: FakeAWS) -> None:
    """With the right that is needed."""
    server.faults.add("refuse", service="secretsmanager", code="AccessDeniedException", status=400)
    with pytest.raises(AccessDenied, match="secretsmanager:GetSecretValue"):
        secret("aws-sm:some#password")
