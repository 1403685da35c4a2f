"""Amazon Web Services: buckets, queues, topics, secrets. Names are resolved when they are first used; boto3 is loaded by then."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from halocline.registry import missing_extra

if TYPE_CHECKING:
    from halocline.connectors.aws.models import Invalid
    from halocline.connectors.aws.offload import Offload
    from halocline.connectors.aws.queue import SQSQueue
    from halocline.connectors.aws.s3 import S3, open_buckets
    from halocline.connectors.aws.secrets import secret_of
    from halocline.connectors.aws.session import Access
    from halocline.connectors.aws.sns import Topic, open_topic
    from halocline.connectors.aws.sqs import SQS, open_queue

_HOME = {
    "Access": "session",
    "Invalid": "models",
    "Offload": "offload",
    **dict.fromkeys(("S3", "open_buckets"), "s3"),
    **dict.fromkeys(("SQS", "open_queue"), "sqs"),
    "SQSQueue": "queue",
    **dict.fromkeys(("Topic", "open_topic"), "sns"),
    "secret_of": "secrets",
}

__all__ = [
    "S3",
    "SQS",
    "Access",
    "Invalid",
    "Offload",
    "SQSQueue",
    "Topic",
    "open_buckets",
    "open_queue",
    "open_topic",
    "secret_of",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        try:
            return getattr(import_module(f"halocline.connectors.aws.{_HOME[name]}"), name)
        except ModuleNotFoundError as error:
            raise missing_extra("aws", error) from error
    raise AttributeError(f"module 'halocline.connectors.aws' has no attribute {name!r}")
