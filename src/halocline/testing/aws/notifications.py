"""What a bucket tells queues and topics of its objects.

Source: Amazon S3 User Guide, "Event message structure" and "Supported event types for SQS, SNS, and Lambda".
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus
from xml.etree.ElementTree import Element  # for types

from halocline.testing.aws.markup import text_of
from halocline.testing.aws.version import NULL, Version, iso

if TYPE_CHECKING:
    from halocline.testing.aws.bucket import Bucket

OWNER = "A3NL1KOZZKExample"
_SEQUENCE = itertools.count(time.time_ns() // 1000)
_KINDS = {"QueueConfiguration": "Queue", "TopicConfiguration": "Topic"}


@dataclass(frozen=True, slots=True)
class Notification:
    """One configuration: which events of which keys go to which queue or topic."""

    id: str
    kind: str  # QueueConfiguration or TopicConfiguration
    target: str
    events: tuple[str, ...]
    prefix: str
    suffix: str

    def wants(self, event: str, key: str) -> bool:
        """Whether it asks for an event (`ObjectCreated:Put`) of a key."""
        asked = any(fnmatchcase(f"s3:{event}", one) for one in self.events)
        return asked and key.startswith(self.prefix) and key.endswith(self.suffix)

    def described(self) -> dict[str, Any]:
        """The configuration as XML has it."""
        rules = [{"Name": name, "Value": value} for name, value in (("Prefix", self.prefix), ("Suffix", self.suffix)) if value]
        told: dict[str, Any] = {"Id": self.id, _KINDS[self.kind]: self.target, "Event": self.events}
        return {**told, "Filter": {"S3Key": {"FilterRule": rules}}} if rules else told


def configured(root: Element) -> Iterator[Notification]:
    """The configurations of a document.
    Raises: ValueError for one that is not understood, or goes where this server delivers nothing.
    """
    for one in root:
        if one.tag not in _KINDS:
            raise ValueError(f"{one.tag} is not part of this test server, which tells queues and topics")
        target, events = text_of(one, _KINDS[one.tag]), tuple(event.text or "" for event in one.findall("Event"))
        if not target or not events:
            raise ValueError(f"{one.tag} names no target or no event")
        rules = {(text_of(rule, "Name") or "").lower(): text_of(rule, "Value") or "" for rule in one.iter("FilterRule")}
        if rules.keys() - {"prefix", "suffix"}:
            raise ValueError("filter rule name must be either prefix or suffix")
        found_id = text_of(one, "Id") or secrets.token_urlsafe(24)
        yield Notification(found_id, one.tag, target, events, rules.get("prefix", ""), rules.get("suffix", ""))


class Notifier:
    """Tells what happened; `tell` takes the ARN of a queue or topic, and the text."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell

    def test(self, bucket: Bucket, target: str, *, now: float) -> None:
        """The event that S3 sends when a configuration is set."""
        event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": iso(now), "Bucket": bucket.name}
        self._tell(target, json.dumps({**event, "RequestId": secrets.token_hex(8).upper(), "HostId": secrets.token_urlsafe(24)}))

    def happened(self, event: str, bucket: Bucket, *, version: Version, now: float) -> None:
        """An object was made or removed: `ObjectCreated:Put`, `ObjectRemoved:DeleteMarkerCreated`, ..."""
        for one in bucket.notifications:
            if one.wants(event, version.key):
                record = _record(event, bucket, one, version=version, now=now)
                self._tell(one.target, json.dumps({"Records": [record]}))


def _record(event: str, bucket: Bucket, notification: Notification, *, version: Version, now: float) -> dict[str, Any]:
    is_made = event.startswith("ObjectCreated")
    subject: dict[str, Any] = {"key": quote_plus(version.key, safe="/")}
    if is_made:
        subject |= {"size": version.size, "eTag": version.etag}
    elif version.is_marker:
        subject["eTag"] = "d41d8cd98f00b204e9800998ecf8427e"
    if version.id != NULL:
        subject["versionId"] = version.id
    subject["sequencer"] = f"{next(_SEQUENCE):018X}"
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region,
        "eventTime": iso(now),
        "eventName": event,
        "userIdentity": {"principalId": f"AWS:{OWNER}"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": secrets.token_hex(8).upper(), "x-amz-id-2": secrets.token_urlsafe(48)},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": notification.id,
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": OWNER}, "arn": f"arn:aws:s3:::{bucket.name}"},
            "object": subject,
        },
    }
