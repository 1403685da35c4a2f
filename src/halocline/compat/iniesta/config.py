"""The INIESTA_* settings, each by its name: what the environment says, else what the document says."""

from __future__ import annotations

from halocline.consume.topics.event_settings import PREFIX, EventSettings

_FIELDS = {
    "CACHES": "caches",
    "SNS_EVENT_KEY": "event_key",
    "SNS_PRODUCER_GLOBAL_TOPIC_ARN": "topic_arn",
    "SNS_ENDPOINT_URL": "sns_endpoint_url",
    "SQS_ENDPOINT_URL": "sqs_endpoint_url",
    "SQS_QUEUE_NAME": "queue_name",
    "SQS_QUEUE_NAME_TEMPLATE": "queue_name_template",
    "SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES": "max_messages",
    "LOCK_TIMEOUT": "lock_timeout_s",
}


def __getattr__(name: str) -> object:
    field = _FIELDS.get(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None
    if field is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(EventSettings.from_env(), field)


def __dir__() -> list[str]:
    return [PREFIX + name for name in _FIELDS]
