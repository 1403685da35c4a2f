"""Notices: what Amazon S3 told of its objects, out of every envelope in which such news travels.

Known: the notification itself (of S3, or of a store that speaks as S3 does), inside of SNS, inside of SQS, inside of both, with
raw delivery or without, as Lambda or as a poll of the queue hands it over; and the event that EventBridge carries.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html, and ev-events.html there,
read November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from halocline.errors import FixConfig
from halocline.landed import Landed

_DEPTH = 8  # EventBridge in SNS in SQS, each with its list, is 6; more is no event but an attack on the stack
_SHOWN = 80  # characters of what could not be read
_DOING = "Reading an event of S3"
_HINT = "Send here only s3:ObjectCreated:* (EventBridge: Object Created), as S3, SNS, SQS or EventBridge deliver it."


class News(StrEnum):
    """What a notice says: a file landed, one was removed, S3 tried out whether it is heard, or nothing that is known here."""

    LANDED = "landed"
    REMOVED = "removed"
    TEST = "test"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Notice:
    """One piece of news: of which object (None for a test, and where none is named), in which message of SQS ("" for none).

    `error` says of the unknown what it is; it is for the caller to raise.
    """

    news: News
    where: Landed | None = None
    message: str = ""
    error: FixConfig | None = None


def notices(event: object) -> tuple[Notice, ...]:
    """Everything that an event tells, in its order; what is not known is in its place, and hides nothing beside it.

    `event` is the JSON that arrived: as text, or read. Keys are as the bucket has them.
    """
    return tuple(_read(event, message="", depth=0))


def _read(value: object, *, message: str, depth: int) -> Iterator[Notice]:
    if depth > _DEPTH:
        yield _unknown("it is wrapped more often than any event is", value, message=message)
    elif isinstance(value, (str, bytes)):
        yield from _read_text(value, message=message, depth=depth)
    elif isinstance(value, Mapping):
        yield from _read_object(value, message=message, depth=depth)
    else:
        yield _unknown("it is no JSON object", value, message=message)


def _read_text(text: str | bytes, *, message: str, depth: int) -> Iterator[Notice]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield _unknown(f"it is no JSON ({error})", text, message=message)
        return
    yield from _read(value, message=message, depth=depth + 1)


def _read_object(event: Mapping[str, Any], *, message: str, depth: int) -> Iterator[Notice]:
    inner, name = _inside(event)
    if inner is not None:
        yield from _read(inner, message=message or name, depth=depth + 1)
    elif isinstance(event.get("Records"), list) and event["Records"]:
        for record in event["Records"]:
            yield from _read(record, message=message, depth=depth + 1)
    elif event.get("Event") == "s3:TestEvent":
        yield Notice(News.TEST, message=message)
    elif isinstance(event.get("s3"), Mapping):
        yield _notification(event, message=message)
    elif event.get("source") == "aws.s3" and isinstance(event.get("detail"), Mapping):
        yield _from_eventbridge(event, message=message)
    else:
        yield _unknown("nothing in it says what happened to an object of S3", event, message=message)


def _inside(event: Mapping[str, Any]) -> tuple[Any, str]:
    """What an envelope holds: an SQS message of Lambda (`body`) or of a poll (`Body`), an SNS one alone or in a queue.

    And the id of the SQS message; that of SNS names nothing that could be delivered again.
    """
    if event.get("eventSource") == "aws:sqs" or ("receiptHandle" in event and "body" in event):
        return event.get("body", ""), str(event.get("messageId") or "")
    if "Body" in event and "MessageId" in event:
        return event["Body"], str(event["MessageId"])
    if isinstance(event.get("Sns"), Mapping):
        return event["Sns"], ""
    if event.get("Type") == "Notification" and "Message" in event:
        return event["Message"], ""
    return None, ""


def _notification(record: Mapping[str, Any], *, message: str) -> Notice:
    """Keys are encoded as in a form: `a b+ä` comes as `a+b%2B%C3%A4`, and is decoded once."""
    name = str(record.get("eventName", "ObjectCreated:")).removeprefix("s3:")  # one made by hand may lack it
    news = _news(name, created="ObjectCreated:", removed=("ObjectRemoved:", "LifecycleExpiration:"))
    try:
        stored = record["s3"]["object"]
        key = unquote_plus(stored["key"], errors="strict")
        bucket = record["s3"]["bucket"]["name"]
        where = _landed(bucket, key, stored=stored, etag="eTag", version="versionId", at=record.get("eventTime"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _unknown(f"bucket and key cannot be read from it ({error!r})", record, message=message)
    if news is News.UNKNOWN:
        return _unknown(f"{name or 'its event'} tells of no file that landed", record, message=message, where=where)
    return Notice(news, where, message)


def _from_eventbridge(event: Mapping[str, Any], *, message: str) -> Notice:
    """Here keys are taken as they are, not decoded: the vendor says of S3's own notifications only that keys in them are encoded.

    Unverified for EventBridge on a page of the vendor, as its samples hold no key that would differ.
    """
    name = str(event.get("detail-type", ""))
    news = _news(name, created="Object Created", removed=("Object Deleted",))
    try:
        stored = event["detail"]["object"]
        bucket = event["detail"]["bucket"]["name"]
        where = _landed(bucket, stored["key"], stored=stored, etag="etag", version="version-id", at=event.get("time"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _unknown(f"bucket and key cannot be read from it ({error!r})", event, message=message)
    if news is News.UNKNOWN:
        return _unknown(f"{name or 'its event'} tells of no file that landed", event, message=message, where=where)
    return Notice(news, where, message)


def _news(name: str, *, created: str, removed: tuple[str, ...]) -> News:
    if name.startswith(created):
        return News.LANDED
    return News.REMOVED if name.startswith(removed) else News.UNKNOWN


def _landed(bucket: object, key: object, *, stored: Mapping[str, Any], etag: str, version: str, at: object) -> Landed:
    if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key):
        raise ValueError("an empty name")
    key.encode()  # half of a surrogate pair is no key, and no database keeps it
    size = stored.get("size")
    return Landed(
        bucket,
        key,
        version=str(stored.get(version) or "") or None,
        etag=str(stored.get(etag) or "").strip('"') or None,
        size=None if size is None else int(size),
        sequencer=str(stored.get("sequencer") or ""),
        at=_instant(at),
    )


def _instant(text: object) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unknown(cause: str, value: object, *, message: str, where: Landed | None = None) -> Notice:
    shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
    doing = f"{_DOING} in message {message}" if message else _DOING
    return Notice(News.UNKNOWN, where, message, error=FixConfig(doing, f"{cause}: {shown}", hint=_HINT, message=message))
