"""Laws of subscriptions that are made from handlers, on our fake and on moto."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.connectors.aws.servers import BOTH, SERVERS, beside, new_name, new_queue

from halocline.connectors.aws import Topic, open_queue, open_topic
from halocline.connectors.aws.sqs import SQS
from halocline.consume.handling.envelope import unwrap
from halocline.consume.handling.handlers import Handlers
from halocline.consume.topics.queue_policy import QueuePolicy
from halocline.consume.topics.subscription import Act, FilterBy, Wish, apply, plan
from halocline.errors import Changed, FixConfig, NotFound
from halocline.subscriptions import QueueState

ARN = "arn:aws:sqs:us-east-1:123456789012:orders"
TOPIC = "arn:aws:sns:us-east-1:123456789012:shop"
NAMED = {"ArnEquals": {"aws:SourceArn": TOPIC}}


@pytest.fixture(scope="module", params=BOTH)
def server(request: pytest.FixtureRequest) -> Iterator[object]:
    with SERVERS[request.param]() as running:
        yield running


def handled(*events: str | None) -> Handlers:
    """Handlers of these events; None: a default one."""
    handlers = Handlers()
    for event in events:
        handlers.add_handler(lambda message: message, event)
    return handlers


@dataclass(frozen=True)
class Place:
    topic: Topic
    queue: SQS

    def wish(self, *events: str | None, **more: Any) -> Wish:
        return Wish.of(handled(*events), queue=self.queue.name, topics=[self.topic.arn], **more)

    def settings(self) -> Mapping[str, str]:
        """Of the one subscription."""
        (one,) = self.topic.subscriptions()
        return self.topic.subscription(one["SubscriptionArn"])

    def arrived(self) -> list[str]:
        """Which events arrive of A.x, A.y and B.x when all are published."""
        for event in ("A.x", "A.y", "B.x"):
            self.topic.publish(event, attributes={"iniesta_pass": event})
        found = self.queue.receive(wait_s=0)
        self.queue.delete([one.handle for one in found])
        return sorted(unwrap(one.body).body for one in found)


@pytest.fixture
def place(server: object) -> Place:
    arn = beside("sns").create_topic(Name=new_name("topic"))["TopicArn"]
    return Place(open_topic(arn), open_queue(new_queue()))


def test_a_plan_changes_nothing_and_what_is_applied_is_met(place: Place) -> None:
    """Subscription, filter, raw delivery, queue policy and dead letters, each once; then nothing is left to do."""
    dead = new_name("dead")
    wish = place.wish("A.x", dead_letters=dead)
    planned = plan(wish)
    assert [change.act for change in planned.changes] == [Act.MAKE_QUEUE, Act.SET_QUEUE, Act.SET_QUEUE, Act.SUBSCRIBE]
    assert list(place.topic.subscriptions()) == []
    apply(planned)
    assert plan(wish).is_met
    assert place.settings()["RawMessageDelivery"] == "true"
    assert json.loads(place.settings()["FilterPolicy"]) == {"iniesta_pass": ["A.x"]}
    settings = open_queue(place.queue.url).attributes()
    redrive = json.loads(settings["RedrivePolicy"])
    assert (redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) == (open_queue(dead).attributes()["QueueArn"], 5)
    assert open_queue(dead).attributes()["MessageRetentionPeriod"] == "1209600"
    (statement,) = json.loads(settings["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": [place.topic.arn]}}
    apply(plan(wish))
    assert place.arrived() == ["A.x"]


@pytest.mark.short
@pytest.mark.parametrize(
    ("events", "arriving"),
    [(("A.x", "B.x"), ["A.x", "B.x"]), (("A.*",), ["A.x", "A.y"]), (("A.x", None), ["A.x", "A.y", "B.x"])],
    ids=["events", "prefix", "default"],
)
def test_what_is_handled_is_what_arrives(place: Place, events: tuple[str | None, ...], arriving: list[str]) -> None:
    """An event by name or prefix; with a default handler everything."""
    apply(plan(place.wish(*events)))
    assert place.arrived() == arriving


@pytest.mark.parametrize(
    ("filter_by", "arriving"),
    [("detail-type", ["A.x", "A.y"]), ("nothing", ["A.x", "A.y", "B.x"]), ("attribute", [])],
)
def test_events_of_eventbridge_arrive_by_their_detail_type(place: Place, filter_by: str, arriving: list[str]) -> None:
    """They come to the topic without attributes, so that a filter of attributes lets none through, which the plan says; in the
    queue each has its handler. The filter can be changed for the other and back.
    """
    wish = place.wish("A.*", filter_by=filter_by)
    for one in (place.wish("A.*"), wish, place.wish("A.*", filter_by="detail-type"), wish):
        apply(plan(one))
        assert plan(one).is_met
    assert ["EventBridge" in note for note in plan(wish).notes] == [True] * (filter_by == "attribute")
    assert plan(wish).lines()[0].startswith("= ")
    for event in ("A.x", "A.y", "B.x"):
        about = {"version": "0", "id": event, "source": "shop", "account": "1", "time": "t", "region": "r", "resources": []}
        place.topic.publish(json.dumps({**about, "detail-type": event, "detail": {}}))
    handlers = handled("A.*")
    found = [handlers.message(one) for one in place.queue.receive(wait_s=0)]
    assert sorted(message.event for message in found) == arriving


def test_filters_are_looked_for_where_the_wish_says() -> None:
    """In a default handler's wish there are none; those that nobody looks for are a mistake."""
    for filter_by in FilterBy:
        assert Wish.of(handled("A", None), queue="q", topics=[TOPIC], filter_by=filter_by).filters == {}
    with pytest.raises(FixConfig, match="filter by nothing"):
        Wish(queue="q", topics=(), filters={"a": ["b"]}, filter_by=FilterBy.NOTHING)


def test_a_new_handler_widens_the_filter_and_a_default_takes_it_away(place: Place) -> None:
    """Each time the plan shows the filter before and after; that it is shown in another order is no change."""
    apply(plan(place.wish("B.x", "A.x")))
    wider = plan(place.wish("A.x", "A.y"))
    ((change,), filters) = wider.changes, {"iniesta_pass": ["A.x", "A.y"]}
    assert change.act is Act.SET_SUBSCRIPTION
    assert json.loads(change.before["FilterPolicy"]) == {"iniesta_pass": ["A.x", "B.x"]}
    assert json.loads(change.after["FilterPolicy"]) == filters
    assert " -> " in "".join(wider.lines())
    apply(wider)
    assert plan(replace(wider.wish, filters={"iniesta_pass": ["A.y", "A.x"]})).is_met
    apply(plan(place.wish(None)))
    assert place.arrived() == ["A.x", "A.y", "B.x"]
    assert plan(place.wish(None)).is_met


def test_a_subscription_that_wraps_is_made_raw_and_back(place: Place) -> None:
    """Either is read; the wish says which."""
    beside("sns").subscribe(TopicArn=place.topic.arn, Protocol="sqs", Endpoint=place.queue.attributes()["QueueArn"])
    for raw in (True, False):
        apply(plan(place.wish(None, raw=raw)))
        assert place.settings()["RawMessageDelivery"] == str(raw).lower()
        assert plan(place.wish(None, raw=raw)).is_met


def test_what_was_changed_since_it_was_planned_is_not_overwritten(place: Place) -> None:
    """Somebody else's statement in the queue's policy would be lost otherwise."""
    planned = plan(place.wish("A.x"))
    theirs = {"Statement": [{"Sid": "theirs", "Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sqs:*"}]}
    theirs["Statement"][0]["Resource"] = place.queue.attributes()["QueueArn"]
    beside("sqs").set_queue_attributes(QueueUrl=place.queue.url, Attributes={"Policy": json.dumps(theirs)})
    with pytest.raises(Changed, match="since it was planned"):
        apply(planned)
    assert list(place.topic.subscriptions()) == []
    apply(plan(planned.wish))
    kept = json.loads(open_queue(place.queue.url).attributes()["Policy"])["Statement"]
    assert [one["Sid"] for one in kept] == ["theirs", "HaloclineTopics"]


def test_a_second_topic_keeps_the_first(place: Place) -> None:
    """One statement names both; a topic that is not named any more stays."""
    apply(plan(place.wish(None)))
    other = beside("sns").create_topic(Name=new_name("topic"))["TopicArn"]
    apply(plan(replace(place.wish(None), topics=(other, other))))
    (statement,) = json.loads(open_queue(place.queue.url).attributes()["Policy"])["Statement"]
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == sorted([place.topic.arn, other])
    assert plan(replace(place.wish(None), topics=(place.topic.arn, other))).is_met


def test_what_is_not_there_is_named(place: Place) -> None:
    """Topics and queues are somebody's; only the dead-letter queue is made."""
    with pytest.raises(NotFound, match="nothing"):
        plan(replace(place.wish(None), queue="nothing"))
    with pytest.raises(NotFound, match="nothing"):
        plan(replace(place.wish(None), topics=(f"{place.topic.arn.rpartition(':')[0]}:nothing",)))


def test_a_fifo_queue_gets_a_fifo_topic_and_dead_letters_of_its_kind(server: object) -> None:
    """What SNS and SQS would refuse is refused before."""
    topic = open_topic(beside("sns").create_topic(Name=new_name("t") + ".fifo", Attributes={"FifoTopic": "true"})["TopicArn"])
    fifo = Place(topic, open_queue(new_queue(FifoQueue="true")))
    apply(plan(fifo.wish(None, dead_letters=new_name("dead") + ".fifo")))
    with pytest.raises(FixConfig, match="standard topic"):
        plan(replace(fifo.wish(None), topics=(TOPIC,)))
    with pytest.raises(FixConfig, match="of its kind"):
        plan(fifo.wish(None, dead_letters="dead"))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Wish.of(Handlers(), queue="q", topics=[TOPIC]), "no handler is registered"),
        (lambda: Wish.of(handled(*(f"A.{n}" for n in range(151))), queue="q", topics=[TOPIC]), "150 values"),
        (lambda: Wish(queue="q", topics=(), filters={str(n): ["x"] for n in range(6)}), "5 attributes"),
        (lambda: Wish(queue="q", topics=(), filters={"a": []}), "nothing through"),
        (lambda: Wish(queue="q", topics=(), max_receives=0), "no number"),
    ],
    ids=["no handlers", "many events", "many keys", "empty", "receives"],
)
def test_a_wish_that_sns_would_not_take_is_refused(make: Any, match: str) -> None:
    """Before anything is asked; a module that was not imported would filter everything away."""
    with pytest.raises(FixConfig, match=match):
        make()


class Twin:
    """A queue whose settings are given, subscribed to nothing."""

    def __init__(self, dead: Mapping[str, str] | None = None, **settings: str) -> None:
        self._states = {"orders": settings, **({"dead": dead} if dead is not None else {})}

    def queue(self, place: str) -> QueueState:
        if place not in self._states:
            raise NotFound("Looking", f"no {place}")
        return QueueState(place, f"https://q/{place}", f"{ARN.rpartition(':')[0]}:{place}", self._states[place])

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_more: None


@pytest.mark.parametrize(
    ("twin", "problem"),
    [
        (
            Twin(Policy=json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}})),
            "anybody",
        ),
        (Twin(KmsMasterKeyId="alias/aws/sqs"), "lets SNS not in"),
        (Twin({"MessageRetentionPeriod": "60"}), "keeps messages for 60 s"),
    ],
    ids=["open", "key", "retention"],
)
def test_what_only_a_person_can_solve_is_a_problem(twin: Any, problem: str) -> None:
    """A queue that is open to the world, encrypted with a key that SNS may not use, or whose dead letters die first."""
    found = plan(Wish(queue="orders", topics=(TOPIC,), dead_letters="dead"), twin)
    assert problem in "".join(found.problems)
    assert not found.is_met
    assert any(line.startswith("! ") for line in found.lines())


def test_a_key_of_ones_own_is_noted() -> None:
    """Whether it lets SNS in cannot be looked at, and is no problem."""
    found = plan(Wish(queue="orders", topics=()), Twin(KmsMasterKeyId="alias/mine"))  # type: ignore[arg-type]
    assert (found.is_met, len(found.notes)) == (True, 1)


def statement(**more: Any) -> str:
    usual = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": ARN}
    return json.dumps({"Statement": [{**usual, "Condition": NAMED, **more}]})


def without(left_out: str, **more: Any) -> str:
    (made,) = json.loads(statement(**more))["Statement"]
    return json.dumps({"Statement": {name: value for name, value in made.items() if name != left_out}})


@pytest.mark.parametrize(
    ("text", "lets_in", "is_open"),
    [
        ("", False, False),
        (statement(), True, False),
        (statement(Principal={"AWS": "*"}, Action=["SQS:SendMessage"]), True, False),
        (statement(Condition={"ArnLike": {"aws:SourceArn": ["x", "arn:aws:sns:*:123456789012:sh*"]}}), True, False),
        (statement(Condition={"StringEquals": {"AWS:SourceArn": TOPIC}}), True, False),
        (statement(Condition={"StringEquals": {"aws:SourceArn": "arn:*"}}), False, False),
        (statement(Condition={"ArnEquals": {"aws:SourceArn": f"{TOPIC}2"}}), False, False),
        (statement(Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}}), False, False),
        (statement(Condition=None), False, True),
        (statement(Principal="*", Action="*", Condition={}), False, True),
        (statement(Principal={"AWS": "arn:aws:iam::123456789012:root"}, Condition=None), False, False),
        (statement(Effect="Deny"), False, False),
        (statement(Action="sqs:ReceiveMessage"), False, False),
        (statement(Resource=f"{ARN}2"), False, False),
        (statement(Resource="arn:aws:sqs:*:*:*"), True, False),
        (statement(Action="sqs:Send*"), True, False),
        (statement(Action="SQS:S?ndMessage"), True, False),
        (statement(Condition={**NAMED, "StringEquals": {"aws:SourceAccount": "123456789012"}}), True, False),
        (statement(Condition={**NAMED, "StringEquals": {"aws:SourceAccount": ["1", "999999999999"]}}), False, False),
        (statement(Condition={**NAMED, "Bool": {"aws:SecureTransport": "true"}}), False, False),
        (statement(Condition={**NAMED, "StringNotLike": {"aws:SourceArn": "x"}}), False, False),
        (statement(Condition={"ArnNotEquals": {"aws:SourceArn": TOPIC}}), False, True),
        (statement(Condition={"ArnLikeIfExists": {"aws:SourceArn": TOPIC}}), False, True),
        (statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*"}}), False, True),
        (statement(Condition={"ArnLike": {"aws:SourceArn": "*"}}), False, True),
        (statement(Condition={"ArnLike": {"aws:SourceArn": [TOPIC, "arn:aws:sns:*:*:shop"]}}), True, True),
        (statement(Condition={"StringLike": {"aws:SourceArn": "*:123456789012:sh[o]p"}}), False, True),
        (statement(Principal="*", Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:my-bucket"}}), False, False),
        (statement(Principal="*", Condition={"Bool": {"aws:SecureTransport": "true"}}), False, True),
        (statement(Principal="*", Condition={"Bool": {"aws:SecureTransport": "true"}}, Action="sqs:Send*"), False, True),
        (statement(Principal="*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), False, False),
        (statement(Principal="*", Condition={"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}), False, True),
        (statement(Principal="*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), False, False),
        (statement(Principal="*", Condition={"StringLike": {"aws:PrincipalOrgID": "*"}}), False, True),
        (statement(Principal="*", Condition={"DateGreaterThan": "soon"}), False, True),
        (without("Action", NotAction="sqs:DeleteQueue", Condition=None), False, True),
        (without("Action", NotAction="sqs:*", Condition=None), False, False),
        (without("Principal", NotPrincipal={"AWS": "123456789012"}, Condition=None), False, True),
        (without("Resource", NotResource=ARN, Condition=None), False, False),
    ],
)
def test_a_policy_lets_in_whom_it_names(text: str, lets_in: bool, is_open: bool) -> None:
    """A topic by its ARN or a pattern of it, where every other condition is met as well; a statement names nobody that has no
    condition, or one that anybody meets.
    """
    policy = QueuePolicy.read(ARN, text)
    assert (policy.lets_in(TOPIC), policy.is_open()) == (lets_in, is_open)
    assert QueuePolicy.read(ARN, policy.with_topics([TOPIC])).lets_in(TOPIC)


def test_a_policy_that_is_none_or_full_is_told() -> None:
    """Nothing of somebody's is thrown away to make place."""
    with pytest.raises(FixConfig, match="no JSON object"):
        QueuePolicy.read(ARN, "[]")
    with pytest.raises(FixConfig, match="20 statements"):
        QueuePolicy(ARN, {"Statement": [{"Sid": str(n)} for n in range(20)]}).with_topics([TOPIC])
