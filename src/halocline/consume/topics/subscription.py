"""Subscription: what must be so that a queue gets the events of its topics that its handlers want, and no others.

    plan     what is otherwise than it should be, and what would change it
    apply    the changes of a plan, in an order in which no event is lost on the way
    verify   a plan without a change and without a problem (`Plan.is_met`)

Nothing is ever removed: neither a topic that is not named any more, nor a statement of somebody else in the queue's policy.
Source: "Amazon SNS subscription filter policies", https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html;
"Filter policy constraints", https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html;
"Using dead-letter queues", read November 2026,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from typing import Any

from halocline.consume.handling.handlers import Handlers
from halocline.consume.topics.queue_policy import QueuePolicy
from halocline.errors import Changed, FixConfig, NotFound
from halocline.queues import is_fifo
from halocline.registry import open_subscriptions
from halocline.subscriptions import QueueState, Subscriptions

MAX_RECEIVES = 5
_MOST_KEYS = 5
_MOST_COMBINATIONS = 150
_LONGEST_KEPT_S = 1_209_600  # 14 days, the longest; Source: "Amazon SQS message quotas"
_USUALLY_KEPT_S = 345_600
_AWS_KEY = "alias/aws/sqs"
_NOTHING = "{}"


class FilterBy(StrEnum):
    """By what a subscription tells the events that are handled: the attribute that names them; the `detail-type` in the body of
    EventBridge's events, which come without attributes; or nothing, so that everything is delivered.
    """

    ATTRIBUTE = "attribute"
    DETAIL_TYPE = "detail-type"
    NOTHING = "nothing"


_SCOPES = {FilterBy.ATTRIBUTE: "MessageAttributes", FilterBy.DETAIL_TYPE: "MessageBody"}


class Act(StrEnum):
    """What a change does."""

    MAKE_QUEUE = "make queue"
    SET_QUEUE = "set queue"
    SUBSCRIBE = "subscribe"
    SET_SUBSCRIPTION = "set subscription"


@dataclass(frozen=True, slots=True)
class Change:
    """One change: of what (`place` is a queue's name or URL, or an ARN), from which settings to which. `queue` is the ARN of the
    queue that is subscribed.
    """

    act: Act
    place: str
    after: Mapping[str, str]
    before: Mapping[str, str] = field(default_factory=dict)
    queue: str = ""

    def lines(self) -> list[str]:
        """The change, for people: what it does, and a line for each setting."""
        sign = "+" if self.act in (Act.MAKE_QUEUE, Act.SUBSCRIBE) else "~"
        head = f"{sign} {self.act} {self.queue} to {self.place}" if self.queue else f"{sign} {self.act} {self.place}"
        return [head, *(f"    {name}: {self._from(name)}{after}" for name, after in self.after.items())]

    def _from(self, name: str) -> str:
        return f"{self.before[name]} -> " if self.before.get(name) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a queue is to get: the messages of `topics` (ARNs) that `filters` lets through ({}: all), raw or in envelopes.

    `filter_by` says whether `filters` look at attributes or into the body. A queue with topics of both kinds has a wish for each:
    what a wish does not name stays as it is.
    `dead_letters` is the name of the queue for what was received `max_receives` times ("": as it is now); it is made where it is
    missing. `queue` is a name or URL.
    Raises: FixConfig for a filter that SNS would not take.
    """

    queue: str
    topics: tuple[str, ...]
    filters: Mapping[str, Sequence[object]] = field(default_factory=dict)
    filter_by: FilterBy = FilterBy.ATTRIBUTE
    raw: bool = True
    dead_letters: str = ""
    max_receives: int = MAX_RECEIVES

    def __post_init__(self) -> None:
        doing = f"Planning the subscription of {self.queue}"
        if self.max_receives < 1:
            raise FixConfig(doing, f"{self.max_receives} receives are no number to set a message aside after")
        combinations = prod(len(values) for values in self.filters.values())
        if len(self.filters) > _MOST_KEYS or combinations > _MOST_COMBINATIONS:
            hint = 'Register prefixes ("Order.*"), or a default handler, which has everything delivered.'
            cause = f"SNS filters by {_MOST_KEYS} attributes and {_MOST_COMBINATIONS} values at most, not by {combinations}"
            raise FixConfig(doing, cause, hint=hint)
        if not all(self.filters.values()):
            raise FixConfig(doing, "a filter without a value would let nothing through")
        if self.filters and self.filter_by is FilterBy.NOTHING:
            raise FixConfig(doing, "it has filters, and is to filter by nothing")

    @classmethod
    def of(
        cls,
        handlers: Handlers,
        *,
        queue: str,
        topics: Sequence[str],
        filter_by: FilterBy | str = FilterBy.ATTRIBUTE,
        raw: bool = True,
        dead_letters: str = "",
        max_receives: int = MAX_RECEIVES,
    ) -> Wish:
        """What these handlers want; `filter_by` is for topics that EventBridge publishes to.

        Raises: FixConfig where none is registered: their module was not imported yet.
        """
        if not handlers.events and not handlers.has_default:
            hint = "Import the modules that register them first."
            raise FixConfig(f"Planning the subscription of {queue}", "no handler is registered for it", hint=hint)
        by = FilterBy(filter_by)
        return cls(
            queue=queue,
            topics=tuple(topics),
            filters=_filters(handlers, by),
            filter_by=by,
            raw=raw,
            dead_letters=dead_letters,
            max_receives=max_receives,
        )


def _filters(handlers: Handlers, by: FilterBy) -> dict[str, list[str | dict[str, str]]]:
    """The events that are handled, under the name by which SNS is to find them."""
    if by is FilterBy.NOTHING:
        return {}
    found = handlers.filters()
    if by is FilterBy.DETAIL_TYPE and found:
        (events,) = found.values()
        return {by.value: events}
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """What is otherwise than wished: `changes` that `apply` would make, and `problems` that only a person can solve.

    `notes` are what cannot be looked at from here.
    """

    wish: Wish
    changes: tuple[Change, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether all is as wished."""
        return not self.changes and not self.problems

    def lines(self) -> list[str]:
        """The plan, for people."""
        changes = [line for change in self.changes for line in change.lines()]
        met = [f"= {self.wish.queue} is subscribed as its handlers want it"] if self.is_met else []
        return [*met, *changes, *(f"! {one}" for one in self.problems), *(f"? {one}" for one in self.notes)]


def plan(wish: Wish, cloud: Subscriptions | None = None) -> Plan:
    """What must change for a wish; nothing is changed. `cloud` None: the AWS that boto3 finds.

    Raises: NotFound for a queue or topic that is not there; FixConfig for what can never be, as a FIFO queue that gets the
    messages of a standard topic; AccessDenied, RetryLater.
    """
    cloud = open_subscriptions() if cloud is None else cloud
    queue = cloud.queue(wish.queue)
    _refuse_mixed(wish, queue)
    changes = [*_dead_letters(wish, queue, cloud), *_let_in(wish, queue)]
    problems = list(_queue_problems(wish, queue, cloud))
    for topic in dict.fromkeys(wish.topics):
        change, problem = _subscribed(wish, topic, queue=queue, cloud=cloud)
        changes += [change] if change else []
        problems += [problem] if problem else []
    return Plan(wish, tuple(changes), tuple(problems), tuple(_notes(wish, queue)))


def apply(planned: Plan, cloud: Subscriptions | None = None) -> None:
    """Make the changes of a plan. What was there is looked at once more before.

    Raises: Changed where it is not what the plan saw: nothing was done; else as `plan`, and what a change raised: those before
    it stay, and planning again tells the rest.
    """
    cloud = open_subscriptions() if cloud is None else cloud
    if plan(planned.wish, cloud) != planned:
        hint = "Plan again, and look at what is different now."
        raise Changed(
            f"Applying the plan for the queue {planned.wish.queue}", "somebody changed it since it was planned", hint=hint
        )
    for change in planned.changes:
        _make(change, cloud)


def _make(change: Change, cloud: Subscriptions) -> None:
    match change.act:
        case Act.MAKE_QUEUE:
            cloud.make_queue(change.place, change.after)
        case Act.SET_QUEUE:
            cloud.set_queue(change.place, change.after)
        case Act.SUBSCRIBE:
            cloud.subscribe(change.place, change.queue, settings=change.after)
        case Act.SET_SUBSCRIPTION:
            cloud.set_subscription(change.place, change.after)


def _refuse_mixed(wish: Wish, queue: QueueState) -> None:
    doing = f"Planning the subscription of {queue.name}"
    if is_fifo(queue.name):
        for topic in wish.topics:
            if not is_fifo(topic):
                raise FixConfig(doing, f"a FIFO queue takes nothing from {topic}, which is a standard topic")
    if wish.dead_letters and is_fifo(queue.name) != is_fifo(wish.dead_letters):
        raise FixConfig(doing, f"its dead letter queue {wish.dead_letters} must be of its kind, FIFO or not")


def _dead_letters(wish: Wish, queue: QueueState, cloud: Subscriptions) -> Iterator[Change]:
    """The queue is made before it is named: SQS takes no name of none."""
    if not wish.dead_letters:
        return
    arn = f"{queue.arn.rpartition(':')[0]}:{wish.dead_letters}"
    if _found(wish.dead_letters, cloud) is None:
        kept = {"MessageRetentionPeriod": str(_LONGEST_KEPT_S)}
        yield Change(Act.MAKE_QUEUE, wish.dead_letters, {**kept, **({"FifoQueue": "true"} if is_fifo(queue.name) else {})})
    before = queue.settings.get("RedrivePolicy", "")
    policy = _object(before)
    if policy.get("deadLetterTargetArn") != arn or str(policy.get("maxReceiveCount")) != str(wish.max_receives):
        after = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": wish.max_receives})
        yield Change(Act.SET_QUEUE, queue.url, {"RedrivePolicy": after}, {"RedrivePolicy": before})


def _found(name: str, cloud: Subscriptions) -> QueueState | None:
    try:
        return cloud.queue(name)
    except NotFound:
        return None


def _let_in(wish: Wish, queue: QueueState) -> Iterator[Change]:
    """Before anything is subscribed, as SNS drops what a queue does not take."""
    before = queue.settings.get("Policy", "")
    policy = QueuePolicy.read(queue.arn, before)
    missing = [topic for topic in wish.topics if not policy.lets_in(topic)]
    if missing:
        yield Change(Act.SET_QUEUE, queue.url, {"Policy": policy.with_topics(missing)}, {"Policy": before})


def _subscribed(wish: Wish, topic: str, *, queue: QueueState, cloud: Subscriptions) -> tuple[Change | None, str]:
    wanted = {"RawMessageDelivery": "true" if wish.raw else "false"}
    if wish.filters:
        wanted |= {"FilterPolicyScope": _SCOPES[wish.filter_by], "FilterPolicy": json.dumps(wish.filters, ensure_ascii=False)}
    found = cloud.subscription(topic, queue.arn)
    if found is None:
        return Change(Act.SUBSCRIBE, topic, wanted, queue=queue.arn), ""
    if not found.arn.startswith("arn:"):
        return None, f"The subscription of {queue.arn} to {topic} waits for its confirmation by the owner of the queue"
    if not wish.filters and _object(found.settings.get("FilterPolicy", "")):
        wanted["FilterPolicy"] = _NOTHING  # so a filter is taken away
    after = {name: value for name, value in wanted.items() if not _same(name, value, found.settings.get(name, ""))}
    before = {name: found.settings[name] for name in after if found.settings.get(name)}
    return (Change(Act.SET_SUBSCRIPTION, found.arn, after, before) if after else None), ""


def _same(name: str, wanted: str, found: str) -> bool:
    """Whether a setting says what is wanted; in a filter the order of values says nothing."""
    if name == "FilterPolicy":
        return _sorted(_object(wanted)) == _sorted(_object(found))
    usual = {"RawMessageDelivery": "false", "FilterPolicyScope": "MessageAttributes"}.get(name, "")
    return wanted.lower() == (found or usual).lower()


def _sorted(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: sorted(values, key=lambda one: json.dumps(one, sort_keys=True)) if isinstance(values, list) else values
        for key, values in policy.items()
    }


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _queue_problems(wish: Wish, queue: QueueState, cloud: Subscriptions) -> Iterator[str]:
    if QueuePolicy.read(queue.arn, queue.settings.get("Policy", "")).is_open():
        yield f"The policy of {queue.name} lets anybody send to it: take out the statement that has no Condition (aws:SourceArn)"
    if queue.settings.get("KmsMasterKeyId", "").endswith(_AWS_KEY):
        yield f"{queue.name} is encrypted with the key of AWS ({_AWS_KEY}), which lets SNS not in: use a key of your own"
    dead = _found(wish.dead_letters, cloud) if wish.dead_letters else None
    if dead is not None and _kept_s(dead) < _kept_s(queue):
        kept = f"{dead.name} keeps messages for {_kept_s(dead)} s, {queue.name} for {_kept_s(queue)} s"
        yield f"{kept}: their age counts from when they were first sent, so let it keep them longer"


def _kept_s(queue: QueueState) -> int:
    return int(queue.settings.get("MessageRetentionPeriod", _USUALLY_KEPT_S))


def _notes(wish: Wish, queue: QueueState) -> Iterator[str]:
    if wish.filters and wish.filter_by is FilterBy.ATTRIBUTE:
        left_out = f"Only messages with the attribute {next(iter(wish.filters))} come through the filter"
        yield f"{left_out}; an event of EventBridge has none: for topics that it publishes to, filter_by must be detail-type"
    key = queue.settings.get("KmsMasterKeyId", "")
    if key and not key.endswith(_AWS_KEY):
        yield f"The key {key} must let sns.amazonaws.com use kms:GenerateDataKey and kms:Decrypt; that is not looked at"
