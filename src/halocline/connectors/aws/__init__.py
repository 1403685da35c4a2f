"""Amazon Web Services: buckets, queues, topics, secrets. Names are resolved when they are first used; boto3 is loaded by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.config import Variable
from halocline.lazy import lazily
from halocline.registry import missing_extra

if TYPE_CHECKING:
    from halocline.connectors.aws.dynamodb.conditions import expressed
    from halocline.connectors.aws.dynamodb_claims import open_claims
    from halocline.connectors.aws.models import Invalid
    from halocline.connectors.aws.offload import Offload, open_offload
    from halocline.connectors.aws.queue import SQSQueue
    from halocline.connectors.aws.s3 import S3, open_buckets
    from halocline.connectors.aws.secrets import secret_of
    from halocline.connectors.aws.session import Access
    from halocline.connectors.aws.sns import Topic, open_topic
    from halocline.connectors.aws.sns_signature import SignatureCheck
    from halocline.connectors.aws.sqs import SQS, open_queue
    from halocline.connectors.aws.subscriptions import open_subscriptions

VARIABLES = (
    Variable("HALOCLINE_AWS_ROLE", "The ARN of a role to assume with the login that boto3 finds."),
    Variable("HALOCLINE_AWS_EXTERNAL_ID", "What the owner of that role asks for."),
)
"""Beside those of boto3: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ..."""

_HOME = {
    "Access": "session",
    "Invalid": "models",
    **dict.fromkeys(("Offload", "open_offload"), "offload"),
    "expressed": "dynamodb.conditions",
    "open_claims": "dynamodb_claims",
    **dict.fromkeys(("S3", "open_buckets"), "s3"),
    **dict.fromkeys(("SQS", "open_queue"), "sqs"),
    "SQSQueue": "queue",
    **dict.fromkeys(("Topic", "open_topic"), "sns"),
    "SignatureCheck": "sns_signature",
    "open_subscriptions": "subscriptions",
    "secret_of": "secrets",
}

__all__ = [
    "S3",
    "SQS",
    "VARIABLES",
    "Access",
    "Invalid",
    "Offload",
    "SQSQueue",
    "SignatureCheck",
    "Topic",
    "expressed",
    "open_buckets",
    "open_claims",
    "open_offload",
    "open_queue",
    "open_subscriptions",
    "open_topic",
    "secret_of",
]

_resolved = lazily(__name__, _HOME)


def __getattr__(name: str) -> object:
    try:
        return _resolved(name)
    except ModuleNotFoundError as error:
        raise missing_extra("aws", error) from error
