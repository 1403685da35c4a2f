"""A queue and the handlers of its events."""

from halocline.consume.handling.message import Message as SQSMessage
from halocline.consume.sqs_client import SQSClient

__all__ = ["SQSClient", "SQSMessage"]
