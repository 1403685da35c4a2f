"""A topic and the events that are published to it."""

from halocline.consume.topics.sns_client import SNSClient, SNSMessage

__all__ = ["SNSClient", "SNSMessage"]
