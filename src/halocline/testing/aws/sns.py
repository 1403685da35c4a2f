"""Amazon SNS: topics that tell queues.

Source: Amazon SNS API Reference: https://docs.aws.amazon.com/sns/latest/api/API_Operations.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from unicodedata import category

from halocline.testing.aws import filter_policy
from halocline.testing.aws.clock import Clock
from halocline.testing.aws.errors import AWSError, check_order
from halocline.testing.aws.ids import new_id
from halocline.testing.aws.message import Message, md5_of, size_of
from halocline.testing.aws.query_protocol import listed, mapped
from halocline.testing.aws.queue import DEDUPE_S
from halocline.testing.aws.queues import ACCOUNT, Queues
from halocline.testing.aws.sqs import Call, wrong_attributes
from halocline.testing.aws.topic import Subscription, Topic
from halocline.testing.aws.version import iso

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
MOST_BYTES = 262_144  # Source: Amazon SNS API Reference, Publish; of a batch all together
_PAGE = 100
_SUBJECT_LENGTH = 100  # characters; Source: see `_check_subject`
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
Params = Mapping[str, Any]
Result = dict[str, Any]


class SNS:
    """The service, over the topics of one account; it tells the account's queues."""

    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self._operations: Mapping[str, Callable[[Params, Call], Result]] = {
            "CreateTopic": self._create_topic,
            "DeleteTopic": self._delete_topic,
            "ListTopics": self._list_topics,
            "GetTopicAttributes": self._get_topic_attributes,
            "SetTopicAttributes": self._set_topic_attributes,
            "Subscribe": self._subscribe,
            "Unsubscribe": self._unsubscribe,
            "ListSubscriptions": self._list_subscriptions,
            "ListSubscriptionsByTopic": self._list_subscriptions,
            "GetSubscriptionAttributes": self._get_subscription_attributes,
            "SetSubscriptionAttributes": self._set_subscription_attributes,
            "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "Publish": self._publish,
            "PublishBatch": self._publish_batch,
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that there are, as in its API."""
        return tuple(self._operations)

    def call(self, operation: str, params: Params, *, call: Call) -> Result:
        """What an operation answers.
        Raises: AWSError.
        """
        work = self._operations.get(operation)
        if work is None:
            raise AWSError("InvalidAction", f"{operation} is not part of this test server.")
        return work(params, call)

    def exists(self, arn: str) -> bool:
        return arn in self._topics

    def tell(self, arn: str, text: str, *, subject: str | None = None) -> None:
        """Publish a text, as another service of the account does."""
        topic = self._topics.get(arn)
        if topic is not None:
            self._fan_out(topic, text, subject=subject, attributes={}, params={})

    # ---- topics

    def _create_topic(self, params: Params, call: Call) -> Result:
        name = str(params.get("Name") or "")
        settings = mapped(params.get("Attributes"), key="key", value="value")
        if not _NAME.fullmatch(name) or name.endswith(".fifo") != (settings.get("FifoTopic") == "true"):
            raise AWSError("InvalidParameter", "Invalid parameter: Topic Name")
        arn = f"arn:aws:sns:{call.region}:{ACCOUNT}:{name}"
        topic = self._topics.setdefault(arn, Topic(arn, name, settings))
        topic.tags.update(mapped(params.get("Tags"), key="Key", value="Value"))
        return {"TopicArn": arn}

    def _delete_topic(self, params: Params, _call: Call) -> Result:
        self._topics.pop(str(params.get("TopicArn")), None)
        return {}

    def _list_topics(self, params: Params, _call: Call) -> Result:
        return _page([{"TopicArn": arn} for arn in sorted(self._topics)], params, name="Topics")

    def _get_topic_attributes(self, params: Params, _call: Call) -> Result:
        topic = self._topic(params)
        counts = {
            "SubscriptionsConfirmed": str(len(topic.subscriptions)),
            "SubscriptionsPending": "0",
            "SubscriptionsDeleted": "0",
        }
        usual = {"TopicArn": topic.arn, "Owner": ACCOUNT, "DisplayName": ""}
        usual |= {"FifoTopic": "true", "ContentBasedDeduplication": "false"} if topic.is_fifo else {}
        return {"Attributes": _entries({**usual, **counts, **topic.settings})}

    def _set_topic_attributes(self, params: Params, _call: Call) -> Result:
        self._topic(params).settings[str(params["AttributeName"])] = str(params.get("AttributeValue", ""))
        return {}

    def _list_tags(self, params: Params, _call: Call) -> Result:
        tags = self._find(str(params.get("ResourceArn"))).tags
        return {"Tags": {"member": [{"Key": key, "Value": value} for key, value in tags.items()]}}

    def _tag(self, params: Params, _call: Call) -> Result:
        self._find(str(params.get("ResourceArn"))).tags.update(
            mapped(params.get("Tags", {}).get("member"), key="Key", value="Value")
        )
        return {}

    def _untag(self, params: Params, _call: Call) -> Result:
        tags = self._find(str(params.get("ResourceArn"))).tags
        for key in listed(params.get("TagKeys")):
            tags.pop(key, None)
        return {}

    # ---- subscriptions

    def _subscribe(self, params: Params, _call: Call) -> Result:
        topic = self._topic(params)
        endpoint, protocol = str(params.get("Endpoint") or ""), params.get("Protocol")
        if protocol != "sqs":
            raise AWSError("InvalidParameter", f"Invalid parameter: this test server tells queues (sqs), not {protocol}")
        queue = self._queues.by_arn(endpoint)
        if queue is None:
            raise AWSError("InvalidParameter", f"Invalid parameter: SQS endpoint ARN: {endpoint}")
        if queue.is_fifo and not topic.is_fifo:
            why = "Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
            raise AWSError("InvalidParameter", f"Invalid parameter: Invalid parameter: {why}")
        settings = mapped(params.get("Attributes"), key="key", value="value")
        for name, value in settings.items():
            _check_setting(name, value)
        known = next((one for one in topic.subscriptions.values() if one.endpoint == endpoint), None)
        if known is not None:
            if settings and settings != known.settings:
                raise AWSError(
                    "InvalidParameter",
                    "Invalid parameter: Attributes Reason: Subscription already exists with different attributes",
                )
            return {"SubscriptionArn": known.arn}
        arn = f"{topic.arn}:{new_id()}"
        topic.subscriptions[arn] = Subscription(arn, topic.arn, endpoint, settings)
        return {"SubscriptionArn": arn}

    def _unsubscribe(self, params: Params, _call: Call) -> Result:
        arn = str(params.get("SubscriptionArn"))
        topic = self._topics.get(arn.rpartition(":")[0])
        if topic is not None:
            topic.subscriptions.pop(arn, None)
        return {}

    def _list_subscriptions(self, params: Params, _call: Call) -> Result:
        topics = [self._topic(params)] if "TopicArn" in params else list(self._topics.values())
        found = [_described(one) for topic in topics for one in topic.subscriptions.values()]
        return _page(found, params, name="Subscriptions")

    def _get_subscription_attributes(self, params: Params, _call: Call) -> Result:
        one = self._subscription(params)
        usual = {
            **_described(one),
            "RawMessageDelivery": "false",
            "PendingConfirmation": "false",
            "ConfirmationWasAuthenticated": "true",
        }
        if one.settings.get("FilterPolicy"):
            usual["FilterPolicyScope"] = "MessageAttributes"
        return {"Attributes": _entries({**usual, **one.settings})}

    def _set_subscription_attributes(self, params: Params, _call: Call) -> Result:
        one, name, value = self._subscription(params), str(params.get("AttributeName")), str(params.get("AttributeValue", ""))
        _check_setting(name, value)
        one.settings[name] = value
        return {}

    # ---- messages

    def _publish(self, params: Params, _call: Call) -> Result:
        topic = self._topic(params)
        _check_size([params])
        return self._publish_one(topic, params)

    def _publish_batch(self, params: Params, call: Call) -> Result:
        topic = self._topic(params)
        entries = listed(params.get("PublishBatchRequestEntries"))
        _check_batch(entries)
        _check_size(entries)
        done, failed = [], []
        for at, entry in enumerate(entries):
            try:
                check_order(at, of=len(entries), failing=call.failing)
                done.append({"Id": entry["Id"], **self._publish_one(topic, entry)})
            except AWSError as error:
                failed.append({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": error.by_sender})
        return {"Successful": {"member": done}, "Failed": {"member": failed}}

    def _publish_one(self, topic: Topic, params: Params) -> Result:
        text = str(params.get("Message") or "")
        if not text:
            raise AWSError("InvalidParameter", "Invalid parameter: Empty message")
        _check_subject(params.get("Subject"))
        if params.get("MessageStructure") == "json":
            text = _for_queues(text)
        attributes = mapped(params.get("MessageAttributes"), key="Name", value="Value")
        for reason in wrong_attributes(attributes):
            raise AWSError("ParameterValueInvalid", reason)
        return self._fan_out(topic, text, subject=params.get("Subject"), attributes=attributes, params=params)

    def _fan_out(self, topic: Topic, text: str, *, subject: str | None, attributes: Mapping[str, Any], params: Params) -> Result:
        message_id, sequence = new_id(), None
        if topic.is_fifo:
            dedupe = _dedupe(topic, params, text)
            known = self._accepted(topic, dedupe, message_id)
            if known is not None:
                return {"MessageId": known[0], "SequenceNumber": known[1]}
            sequence = topic.accepted[dedupe][2]
            params = {**params, "MessageDeduplicationId": dedupe}
        told = {
            "Type": "Notification",
            "MessageId": message_id,
            **({"SequenceNumber": sequence} if sequence else {}),
            "TopicArn": topic.arn,
        }
        told |= {"Subject": subject} if subject else {}
        told |= {"Message": text, "Timestamp": iso(self._clock.now())}
        for one in topic.subscriptions.values():
            if one.wants(text, attributes):
                self._deliver(one, text, attributes=attributes, told=told, params=params)
        return {"MessageId": message_id, **({"SequenceNumber": sequence} if sequence else {})}

    def _deliver(
        self, one: Subscription, text: str, *, attributes: Mapping[str, Any], told: Mapping[str, Any], params: Params
    ) -> None:
        """Tell one subscriber, raw or in an envelope; the envelope's signature is not a real one."""
        queue = self._queues.by_arn(one.endpoint) or self._queues.by_arn(one.dead_letters)
        if queue is None:
            return
        body = text if one.is_raw else _envelope(one, told, attributes)
        message = Message(new_id(), body, md5_of(body), len(body.encode()), self._clock.now(), sender="AIDAIT2UOQQY3AUEKVGXU")
        message.attributes = attributes if one.is_raw else {}
        message.group = params.get("MessageGroupId")
        if queue.is_fifo:
            message.dedupe = params["MessageDeduplicationId"]
            message.sequence = queue.accept(str(message.dedupe), message.id).sequence
        self._queues.deliver(queue, message, delay=float(queue.settings["DelaySeconds"]))

    def _accepted(self, topic: Topic, dedupe: str, message_id: str) -> tuple[str, str] | None:
        """The id and number that a message of this deduplication id got in the last five minutes; else it is remembered now."""
        now = self._clock.now()
        while topic.accepted and next(iter(topic.accepted.values()))[0] <= now:
            topic.accepted.popitem(last=False)
        if found := topic.accepted.get(dedupe):
            return found[1], found[2]
        topic.sequence += 1
        topic.accepted[dedupe] = (now + DEDUPE_S, message_id, str(10_000_000_000_000_000_000 + topic.sequence * 1000))
        return None

    # ---- inside

    def _topic(self, params: Params) -> Topic:
        return self._find(str(params.get("TopicArn") or params.get("TargetArn") or ""))

    def _find(self, arn: str) -> Topic:
        found = self._topics.get(arn)
        if found is None:
            raise AWSError("NotFound", "Topic does not exist", status=404)
        return found

    def _subscription(self, params: Params) -> Subscription:
        arn = str(params.get("SubscriptionArn"))
        topic = self._topics.get(arn.rpartition(":")[0])
        if topic is None or arn not in topic.subscriptions:
            raise AWSError("NotFound", "Subscription does not exist", status=404)
        return topic.subscriptions[arn]


def _check_subject(subject: object) -> None:
    """Raises: AWSError for a subject with line breaks or control characters, an empty one, and one of more than 100 characters.

    Source: API reference, Publish, "Subject"; that 100 pass and 101 do not, and the words:
    https://github.com/getmoto/moto/issues/1503. Line breaks that are no control characters (U+2028) pass here (unverified).
    """
    if subject is None:
        return
    text = str(subject)
    if not 1 <= len(text) <= _SUBJECT_LENGTH or any(category(one) == "Cc" for one in text):
        raise AWSError("InvalidParameter", "Invalid parameter: Subject")


def _envelope(one: Subscription, told: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    """Source: Amazon SNS Developer Guide, "HTTP/HTTPS notification JSON format", which queues get as well."""
    root = "https://sns.us-east-1.amazonaws.com"
    whole = {
        **told,
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": f"{root}/SimpleNotificationService-example.pem",
    }
    whole["UnsubscribeURL"] = f"{root}/?Action=Unsubscribe&SubscriptionArn={one.arn}"
    if attributes:
        whole["MessageAttributes"] = {
            name: {"Type": value["DataType"], "Value": value.get("StringValue", value.get("BinaryValue"))}
            for name, value in attributes.items()
        }
    return json.dumps(whole)


def _for_queues(text: str) -> str:
    try:
        found = json.loads(text)
        return str(found["sqs"] if "sqs" in found else found["default"])
    except (ValueError, KeyError, TypeError) as reason:
        why = "Invalid parameter: Message Structure - No default entry in JSON message body"
        raise AWSError("InvalidParameter", why) from reason


def _dedupe(topic: Topic, params: Params, text: str) -> str:
    if not params.get("MessageGroupId"):
        raise AWSError("InvalidParameter", "Invalid parameter: The MessageGroupId parameter is required for FIFO topics")
    if found := params.get("MessageDeduplicationId"):
        return str(found)
    if topic.settings.get("ContentBasedDeduplication") != "true":
        why = "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
        raise AWSError("InvalidParameter", f"Invalid parameter: {why}")
    return hashlib.sha256(text.encode()).hexdigest()


def _check_setting(name: str, value: str) -> None:
    """Raises: AWSError (InvalidParameter)."""
    known = ("RawMessageDelivery", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy", "DeliveryPolicy")
    if name not in known:
        raise AWSError("InvalidParameter", "Invalid parameter: AttributeName")
    if name == "FilterPolicy" and value and value != "{}":
        try:
            policy = json.loads(value)
            filter_policy.check(policy)
            filter_policy.check_size(policy)
        except ValueError as reason:
            raise AWSError("InvalidParameter", f"Invalid parameter: FilterPolicy: {reason}") from reason


def _check_batch(entries: list[Params]) -> None:
    """Raises: AWSError (EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct)."""
    ids = [str(one.get("Id") or "") for one in entries]
    if not entries:
        raise AWSError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > 10:
        raise AWSError("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
    if not all(_ENTRY_ID.fullmatch(one) for one in ids):
        raise AWSError("InvalidBatchEntryId", "The Id of a batch entry in a batch request doesn't abide by the specification.")
    if len(set(ids)) < len(ids):
        raise AWSError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")


def _check_size(entries: list[Params]) -> None:
    """Raises: AWSError (InvalidParameter, BatchRequestTooLong)."""
    sizes = [
        size_of(str(one.get("Message") or ""), mapped(one.get("MessageAttributes"), key="Name", value="Value")) for one in entries
    ]
    if len(entries) == 1 and sizes[0] > MOST_BYTES:
        raise AWSError("InvalidParameter", "Invalid parameter: Message too long")
    if sum(sizes) > MOST_BYTES:
        raise AWSError("BatchRequestTooLong", "The length of all the batch messages put together is more than the limit.")


def _described(one: Subscription) -> dict[str, str]:
    return {"SubscriptionArn": one.arn, "Owner": ACCOUNT, "Protocol": "sqs", "Endpoint": one.endpoint, "TopicArn": one.topic}


def _entries(values: Mapping[str, str]) -> dict[str, Any]:
    return {"entry": [{"key": key, "value": value} for key, value in values.items()]}


def _page(found: list[dict[str, str]], params: Params, *, name: str) -> Result:
    start = int(params.get("NextToken") or 0)
    told: Result = {name: {"member": found[start : start + _PAGE]}}
    return told | ({"NextToken": str(start + _PAGE)} if start + _PAGE < len(found) else {})
