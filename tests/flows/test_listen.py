"""Laws of flows of the kind listen: what they may say, what comes of it, and what AWS must allow."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

import boto3
import pytest
from tests.command_line import app
from typer.testing import CliRunner

from halocline.config import Settings
from halocline.consume.examined import examine
from halocline.consume.handling.handlers import Handlers
from halocline.consume.handling.registries import Registry, registry_at
from halocline.consume.letters.quarantine import Quarantine
from halocline.consume.limits import Limits
from halocline.consume.listening import Ended, Listening, Post, labels
from halocline.consume.topics.subscription import FilterBy
from halocline.consume.watching.counts import Counts
from halocline.consume.watching.observer import Note, Observers, Silent, Snapshot, What
from halocline.errors import FixConfig, NotFound, RetryLater
from halocline.flows.check import checks
from halocline.flows.configuration import Configuration
from halocline.flows.connected import Connected
from halocline.flows.json_schema import json_schema
from halocline.flows.listen import ListenFlow
from halocline.flows.listening import listening, unnamed
from halocline.flows.policy import policy
from halocline.flows.reading import understood
from halocline.flows.run import run_flow
from halocline.queues import Message
from halocline.registry import open_queue
from halocline.testing.aws import FakeAWS

USUAL = "flows:\n  orders:\n    kind: listen\n    queue: orders\n    handlers: mine:handlers\n"


def flow_of(more: str = "") -> ListenFlow:
    flow = understood(USUAL + "".join(f"    {line}\n" for line in more.splitlines())).flow("orders")
    assert isinstance(flow, ListenFlow)
    return flow


def around_of(configuration: Configuration, folder: Path) -> Connected:
    return Connected(configuration.connections, folder, Settings(folder))


def test_a_flow_says_no_more_than_queue_and_handlers() -> None:
    """All else has a default; the worker's limits are its own defaults then."""
    post = Post("orders", flow_of(), Handlers())
    usual = post.limits(records=True)
    assert usual == Limits(records=True)


def test_what_a_flow_says_is_what_the_worker_is_given() -> None:
    """Every setting reaches the limits; a queue is FIFO by its name."""
    more = (
        "workers: 3\nin_flight: 7\npolls: 2\nvisibility: 60\nlongest: 600\ngrace: 5\nretry_first: 1\nretry_most: 9\n"
        "poison_after: 5\nmost_receives: 4\nin_doubt: set_aside\nkeep: 60\nlease: 20\nalone: 2\npatience: 30\nsilent: 15"
    )
    flow = flow_of(more)
    limits = Post("o", flow.model_copy(update={"queue": "https://sqs.eu-west-1.amazonaws.com/1/o.fifo"}), Handlers()).limits(
        records=False
    )
    assert (limits.workers, limits.in_flight, limits.polls, limits.visibility_s, limits.longest_s) == (3, 7, 2, 60, 600)
    assert (limits.grace_s, limits.retries.first_s, limits.retries.most_s, limits.poison_after) == (5, 1, 9, 5)
    assert (limits.lease_s, limits.alone_s, limits.patience_s, limits.silent_s) == (20, 2, 30, 15)
    assert (limits.most_receives, limits.in_doubt, limits.keep_s, limits.fifo, limits.records) == (
        4,
        "set_aside",
        60,
        True,
        False,
    )


@pytest.mark.parametrize("filter_by", list(FilterBy))
def test_a_flow_says_by_what_its_topics_filter(filter_by: FilterBy) -> None:
    """In the words of a wish, all of them."""
    handlers = Handlers()
    handlers.add_handler(print, "Placed")
    topics = "topics: [arn:aws:sns:eu-west-1:123456789012:shop]"
    assert Post("o", flow_of(topics), handlers).wish().filter_by is FilterBy.ATTRIBUTE
    wish = Post("o", flow_of(f"{topics}\nfilter_by: {filter_by.value}"), handlers).wish()
    assert (wish.filter_by, bool(wish.filters)) == (filter_by, filter_by is not FilterBy.NOTHING)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("store: redis://:pw@host", "holds a password"),
        ("store: redis://host?password=pw@", "holds a password"),
        ("store: redis://u:a/pw@host", "holds a password"),
        ("store: 'redis://a:6379/0, redis://:pw@b'", "holds a password"),
        ("store: redis://host?api_key=pw@", "holds a password"),
        ("store: redis://host?auth=pw@", "holds a password"),
        ("store: postgresql://u@host/db?sslmode=require&PGPASSWORD=pw@", "holds a password"),
        ("dead_letters: file://", "it is a queue by name or URL, or file:///folder"),
        ("dead_letters: file://rel/x", "it is a queue by name or URL, or file:///folder"),
        ("dead_letters: s3://b/x", "it is a queue by name or URL, or file:///folder"),
        ("dead_letters: a b", "it is a queue by name or URL, or file:///folder"),
        ("dead_letters: orders", "dead_letters is the queue itself"),
        ("silent: 1", "'silent' in the flow 'orders' is too small: at least 2"),
        ("store: mysql://host", "it is ledger, none, env:NAME, or begins with one of redis://"),
        ("topics: [orders]", "it is the ARN of an SNS topic"),
        ("workers: 0", "'workers' in the flow 'orders' is too small: at least 1"),
        ("visibility: 43201", "'visibility' in the flow 'orders' is too large: at most 43,200"),
        ("in_flight: 5", "in_flight is less than workers"),
        ("retry_most: 1", "retry_most is less than retry_first"),
        ("worker: 5", "Did you mean workers?"),
        ("in_doubt: maybe", "is none of 'run', 'set_aside' or 'quarantine'"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_the_secret(more: str, says: str) -> None:
    """With what may have been meant."""
    with pytest.raises(FixConfig) as caught:
        flow_of(more)
    assert says in str(caught.value)
    assert "pw@" not in str(caught.value)


@pytest.mark.parametrize("store", ["redis://a:6379/0,redis://user@b:6379", "sqlite:///a:b@c.sqlite", "env:STORE"])
def test_a_store_without_a_password_is_taken(store: str) -> None:
    """Several masters as well, with ports and users."""
    assert flow_of(f"store: {store}").store == store


@pytest.mark.parametrize("handlers", ["", "mine:", "mine:a b", "/etc/passwd", "../mine:handlers", "a;b:c"])
def test_handlers_are_named_by_module_and_name(handlers: str) -> None:
    """Nothing else is a place of handlers."""
    with pytest.raises(FixConfig, match="it is module:name"):
        understood(USUAL.replace("mine:handlers", json.dumps(handlers)))


def test_the_schema_knows_the_kind() -> None:
    """Editors complete it, with what each setting is."""
    told = json_schema()["$defs"]["ListenFlow"]
    assert told["properties"]["workers"]["description"] == "Handlers that run at once."
    assert all("description" in one for name, one in told["properties"].items() if name not in {"kind", "profile"})


def test_a_flow_that_has_no_end_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` and `plan` say what does it; `run --all` leaves it out."""
    configuration = understood(USUAL)
    with pytest.raises(FixConfig, match="halocline listen orders"):
        list(run_flow("orders", configuration, around=around_of(configuration, tmp_path)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "halocline.yaml").write_text(USUAL)
    told = {verb: CliRunner().invoke(app, [verb, "orders"]) for verb in ("run", "plan")}
    assert {verb: (done.exit_code, "halocline listen orders" in done.stderr) for verb, done in told.items()} == {
        "run": (2, True),
        "plan": (2, True),
    }
    assert CliRunner().invoke(app, ["run", "--all"]).exit_code == 0


def test_which_flows_are_meant(tmp_path: Path) -> None:
    """By name, or all that listen; another kind is told, and what runs it."""
    path = tmp_path / "halocline.yaml"
    bills = "  bills: {kind: listen, queue: bills, handlers: mine}\n"
    path.write_text(f"{USUAL}{bills}  p: {{kind: push, object: A, key: K, file: x.csv}}\n")
    assert [name for name, _, _ in listening([], str(path))] == ["orders", "bills"]
    assert [(name, folder) for name, _, folder in listening(["bills", "bills"], str(path))] == [("bills", tmp_path)]
    with pytest.raises(FixConfig, match="halocline run p"):
        listening(["p"], str(path))
    with pytest.raises(NotFound, match="orders"):
        listening(["order"], str(path))
    with pytest.raises(FixConfig, match="--queue"):
        unnamed("mine:handlers", queue="")
    with pytest.raises(FixConfig, match="topics: it is the ARN of an SNS topic"):
        unnamed("mine:handlers", queue="q", topics=["t"])


# ---- where handlers are


MODULE = """
from halocline.consume.examined import examine
from halocline.consume.handling.handlers import Handlers
from halocline import SQSClient
handlers = Handlers()
empty = Handlers()
number = 7
class Orders(SQSClient):
    queue_name = "orders"
@handlers.handler("A.b")
def on_a(message): ...
@Orders.handler
def on_any(message): ...
usual = Orders(queue_name="users")
client = Orders(queue_name="users", store=None, dead_letters="users-dead")
"""


def test_handlers_are_found_in_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `Handlers`, or an `SQSClient`, which may know its queue; what is wrong is told with where."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "listen_mine.py").write_text(MODULE)
    (tmp_path / "listen_broken.py").write_text("import json\njson.loads('{')\n")
    (tmp_path / "listen_lacks.py").write_text("import no_such_package_at_all\n")
    assert registry_at("listen_mine", folder=tmp_path).handlers.events == ("A.b",)
    found = registry_at("listen_mine:Orders", folder=tmp_path)
    assert (found.queue, found.handlers.has_default, found.of_client) == ("orders", True, True)
    found = registry_at("listen_mine:usual", folder=tmp_path)
    assert (found.queue, found.of_client) == ("users", True)
    assert not registry_at("listen_mine", folder=tmp_path).of_client
    wrong = {
        "listen_mine:nobody": "has no nobody",
        "listen_mine:client": "was given store, dead_letters too, which would not be used",
        "listen_mine:number": "it is of the type int, neither",
        "listen_mine:empty": "no handler is registered",
        "listen_none:x": "there is no module listen_none",
        "listen_lacks:x": "needs 'no_such_package_at_all'",
        "listen_broken:x": r"JSONDecodeError.*decoder.py",
    }
    for place, says in wrong.items():
        with pytest.raises(FixConfig, match=says):
            registry_at(place, folder=tmp_path)


def test_a_client_of_a_module_goes_by_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does itself: queue, store, place, topic and limits; what is typed counts more, and a `Handlers` has none of them."""
    topic = "arn:aws:sns:eu-central-1:123456789012:events"
    said = {"SQS_QUEUE_NAME": "users", "SQS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "eu-west-1"}
    said |= {"CACHES": '{"a": {"HOST": "a", "PASSWORD": "x"}}', "SNS_PRODUCER_GLOBAL_TOPIC_ARN": topic, "LOCK_TIMEOUT": "120"}
    said |= {"SQS_RECEIVE_MESSAGE_MAX_NUMBER_OF_MESSAGES": "2"}
    for name, value in said.items():
        monkeypatch.setenv(f"INIESTA_{name}", value)
    handlers = Handlers()
    handlers.add_handler(print)
    post = Post.at("mine:SQSClient", Registry(handlers, of_client=True), queue=None)
    limits = post.limits(records=True)
    assert (post.queue, post.store, limits.batch, limits.lease_s) == ("users", "redis://a:6379/0", 2, 120)
    assert (post.flow.access(), post.wish().topics) == ({"region": "eu-west-1", "endpoint": "http://127.0.0.1:9"}, (topic,))
    own = Post.at("mine:Users", Registry(handlers, "own", of_client=True), queue=None)
    typed = Post.at("mine:Users", Registry(handlers, "own", of_client=True), queue="typed", topics=[f"{topic}-2"], store="none")
    assert [own.queue, typed.queue, typed.store, *typed.wish().topics] == ["own", "typed", "none", f"{topic}-2"]
    monkeypatch.setenv("HALOCLINE_IDEMPOTENCY", "sqlite:///claims.sqlite")
    assert post.store is None
    plain = Post.at("mine:handlers", Registry(handlers), queue="q")
    assert (plain.store, plain.flow.access(), plain.limits(records=True)) == (None, {}, Limits(records=True))
    monkeypatch.delenv("INIESTA_SQS_QUEUE_NAME")
    with pytest.raises(FixConfig, match="--queue"):
        Post.at("mine:SQSClient", Registry(handlers, of_client=True), queue=None)


def test_the_settings_of_a_client_reach_the_worker(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`listen module:SQSClient` remembers where INIESTA_CACHES says: without that Redis nothing is received."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    monkeypatch.setenv("INIESTA_CACHES", "redis://127.0.0.1:1")
    (tmp_path / "listen_client.py").write_text(
        "from halocline import SQSClient\nclass Users(SQSClient): ...\n@Users.handler\ndef on_any(message): ...\n"
    )
    boto3.client("sqs").create_queue(QueueName="users")
    open_queue("users").send([Message("{}")])
    done = CliRunner().invoke(app, ["listen", "listen_client:Users", "--queue", "users"])
    assert (done.exit_code, aws.counts("users").visible) == (75, 1)
    assert "127.0.0.1:1" in done.stderr


# ---- AWS


class Once(Silent):
    """Ends the workers when so many messages are done or set aside."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.listening: Listening | None = None
        self.notes: list[Note] = []

    def noted(self, note: Note) -> None:
        self.notes.append(note)

    def seen(self, snapshot: Snapshot) -> None:
        gone = snapshot.counts.get("deleted", 0)
        if gone >= self.count and self.listening is not None:
            self.listening.stop()


def listen(flow: ListenFlow, folder: Path, handlers: Handlers, *, until: int) -> Once:
    """Listen until so many messages are gone from the queue."""
    watch = Once(until)
    watch.listening = Listening([Post("orders", flow, handlers)], watch, Settings(folder))
    (ended,) = watch.listening.run()
    assert ended.error is None
    return watch


def test_the_rights_are_what_a_worker_asks_for_and_no_more(aws: FakeAWS, tmp_path: Path) -> None:
    """Each call of a worker is allowed by the policy of its flow, and each right of the policy is used."""
    sqs = boto3.client("sqs")
    for name in ("orders", "orders-dlq"):
        sqs.create_queue(QueueName=name)
    configuration = understood(USUAL + "    dead_letters: orders-dlq\n    store: none\n    visibility: 1\n")
    handlers = Handlers(unknown="bury")

    @handlers.handler("A.b")
    def handle(message: object) -> None: ...

    open_queue("orders").send([Message("x", {"iniesta_pass": "A.b"}), Message("y", {"iniesta_pass": "no.such"})])
    aws.calls.clear()
    flow = configuration.flow("orders")
    assert isinstance(flow, ListenFlow)
    listen(flow, tmp_path, handlers, until=2)
    assert aws.counts("orders-dlq").visible == 1
    allowed = policy("orders", configuration, around=around_of(configuration, tmp_path))["Statement"]
    rights = {(action, resource) for one in allowed for action in one["Action"] for resource in one["Resource"]}
    asked = {f"sqs:{name.removesuffix('Batch')}" for name in operations(aws)}
    assert asked <= {action for action, _ in rights}
    unused = {action for action, _ in rights} - asked
    assert unused <= {"sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}  # for what takes long, and for large messages
    for name in ("orders", "orders-dlq"):
        arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        assert any(fnmatchcase(arn, resource) for _, resource in rights)
    assert not any(fnmatchcase("arn:aws:sqs:us-east-1:000000000000:other", resource) for _, resource in rights)


def operations(aws: FakeAWS) -> set[str]:
    """What was asked of SQS."""
    return {name for name in boto3.client("sqs").meta.service_model.operation_names if aws.calls.count(f"sqs.{name}")}


@pytest.mark.parametrize(
    ("more", "arns"),
    [
        ("region: eu-west-1", ["arn:aws:sqs:eu-west-1:*:orders"]),
        ("dead_letters: file:///x", ["arn:aws:sqs:*:*:orders"]),
        (
            "dead_letters: https://sqs.eu-west-1.amazonaws.com/123456789012/d",
            ["arn:aws:sqs:*:*:orders", "arn:aws:sqs:eu-west-1:123456789012:d"],
        ),
        ("store: dynamodb://claims?region=eu-west-1", ["arn:aws:dynamodb:eu-west-1:*:table/claims", "arn:aws:sqs:*:*:orders"]),
        ("store: dynamodb://claims", ["arn:aws:dynamodb:*:*:table/claims", "arn:aws:sqs:*:*:orders"]),
        ("offload: large", ["arn:aws:s3:::large", "arn:aws:s3:::large/*", "arn:aws:sqs:*:*:orders"]),
        ("store: aws-sm:claims#uri", ["arn:aws:secretsmanager:*:*:secret:claims-??????", "arn:aws:sqs:*:*:orders"]),
    ],
)
def test_rights_name_what_the_flow_names(more: str, arns: list[str], tmp_path: Path) -> None:
    """Queues by name or URL, a bucket, a table, a secret; regions and accounts as far as they are said."""
    configuration = understood(f"{USUAL}    {more}\n")
    found = policy("orders", configuration, around=around_of(configuration, tmp_path))["Statement"]
    assert sorted({resource for one in found for resource in one["Resource"]}) == arns


def test_the_rights_of_a_role_are_told_apart(tmp_path: Path) -> None:
    """Who assumes the role needs that right alone; the role needs those on queues."""
    configuration = understood(f"{USUAL}    role: arn:aws:iam::1:role/r\n")
    around = around_of(configuration, tmp_path)
    (own,) = policy("orders", configuration, around=around)["Statement"]
    (role,) = policy("orders", configuration, around=around, assumed=True)["Statement"]
    assert (own["Action"], role["Sid"]) == (["sts:AssumeRole"], "Receive")


@pytest.fixture
def checked(aws: FakeAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """What `check` says of a flow with these lines: what was found, or the error. There are a queue and some handlers."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine_at_check.py").write_text(CHECKED)
    boto3.client("sqs").create_queue(QueueName="orders")

    def told(more: str = "", *, handlers: str = "mine_at_check:handlers") -> str:
        configuration = understood(f"{USUAL.replace('mine:handlers', handlers)}    {more}\n")
        (one,) = [
            one for one in checks(configuration, around_of(configuration, tmp_path), listens=examine) if one.name == "flow orders"
        ]
        assert (one.error is None) == bool(one.found)
        return one.found or str(one.error)

    yield told
    sys.modules.pop("mine_at_check", None)


CHECKED = """
from typing import TYPE_CHECKING
from halocline import Handlers
if TYPE_CHECKING:
    from nowhere import Unknown

class Wants:
    own = Handlers()
    def __init__(self, database): raise AssertionError("an instance was made")
    @own.handler("E")
    def h(self, m): ...

class Raises:
    own = Handlers()
    def __init__(self): raise AssertionError("an instance was made")
    @own.handler("E")
    def h(self, m): ...

class Unknowing:
    own = Handlers()
    def __init__(self): raise AssertionError("an instance was made")
    @own.handler("E")
    def h(self, m: "Unknown"): ...

class More:
    own = Handlers()
    @own.handler("E")
    def h(this, m, extra): ...

wants, raises, unknowing, more = Wants.own, Raises.own, Unknowing.own, More.own
handlers, empty = Handlers(), Handlers()

@handlers.handler
def plain(message): ...
"""


def test_check_looks_at_the_queue(checked: Callable[..., str], tmp_path: Path) -> None:
    """A queue that is there, with where its dead letters go; a queue, or a place, that cannot be had is told."""
    assert re.search(r"can be reached; what is set aside goes to a folder", checked())
    (tmp_path / "file").touch()
    assert "Not a directory" in checked(f"dead_letters: file://{tmp_path}/file/aside")
    assert "Looking for the queue orders-dlq: " in checked("dead_letters: orders-dlq")
    for name in ("orders-dlq", "other.fifo"):
        boto3.client("sqs").create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if "fifo" in name else {})
    assert checked("dead_letters: orders-dlq").endswith("what is set aside goes to orders-dlq")
    assert "orders is a standard queue, and other.fifo a FIFO one" in checked("dead_letters: other.fifo")
    boto3.client("sqs").delete_queue(QueueUrl=boto3.client("sqs").get_queue_url(QueueName="orders")["QueueUrl"])
    assert checked().startswith("Looking for the queue orders: ")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere_at_check:x", "there is no module nowhere_at_check"),
        ("mine_at_check:plain", "it is of the type function, neither Handlers nor an SQSClient"),
        ("mine_at_check:empty", "no handler is registered there"),
        ("mine_at_check:wants", "the constructor of Wants wants arguments"),
        ("mine_at_check:unknowing", "name 'Unknown' is not defined"),
        ("mine_at_check:more", "More.h"),
        ("mine_at_check:raises", "can be reached"),
    ],
)
def test_check_looks_at_the_handlers(checked: Callable[..., str], name: str, says: str) -> None:
    """As listening does; but of a class no instance is made, for that runs code of the user's."""
    assert says in checked(handlers=name)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("store: env:NOPE_AT_CHECK", "NOPE_AT_CHECK"),
        ("store: dynamodb://nosuch", "nosuch"),
        ("store: redis://127.0.0.1:1", "127.0.0.1"),
        ("offload: no-such-bucket", "no-such-bucket"),
        ("topics: ['arn:aws:sns:us-east-1:000000000000:nosuch']", "nosuch"),
    ],
)
def test_check_looks_at_what_else_a_flow_names(checked: Callable[..., str], more: str, says: str) -> None:
    """Its store, its bucket and its topics."""
    found = checked(more)
    assert (says in found, "can be reached" in found) == (True, False), found


def test_check_makes_no_store(checked: Callable[..., str], tmp_path: Path) -> None:
    """One in a file comes with the first listening; where it could not, that is told. What is there is asked."""
    assert "can be reached" in checked(f"store: sqlite:///{tmp_path}/claims.sqlite")
    assert not (tmp_path / "claims.sqlite").exists()
    (tmp_path / "claims.sqlite").write_text("no database, and long enough not to be taken for an empty one" * 100)
    assert "claims.sqlite" in checked(f"store: sqlite:///{tmp_path}/claims.sqlite")
    assert "claims.sqlite" in checked(f"store: sqlite:///{tmp_path}/claims.sqlite/below.sqlite")


def test_one_queue_is_listened_to_once(aws: FakeAWS, tmp_path: Path) -> None:
    """Two flows on one queue would each get some of the messages; whether they name it by its name or its URL."""
    url = boto3.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    for place in ("orders", url):
        places = {"a": "orders", "b": place}
        posts = [Post(name, flow_of().model_copy(update={"queue": one}), Handlers()) for name, one in places.items()]
        with pytest.raises(FixConfig, match="a and b listen to the same queue"):
            Listening(posts, Silent(), Settings(tmp_path)).run()


@pytest.mark.parametrize(
    ("more", "keyed", "says"),
    [
        ("", False, "what is set aside goes to one place"),
        ("dead_letters: file:///FOLDER/PLACE", True, "remembered by that name in one idempotency store"),
        ("dead_letters: file:///FOLDER/PLACE", False, ""),
        ("store: none\ndead_letters: file:///FOLDER/PLACE", True, ""),
        ("known_as: orders-PLACE", True, ""),
    ],
)
def test_two_queues_of_one_name_share_nothing_unsaid(tmp_path: Path, more: str, keyed: bool, says: str) -> None:
    """Two regions' queues with one store of keys, or one place of dead letters, are refused until one has another name."""
    handlers = Handlers(key=(lambda message: message.id) if keyed else None)
    handlers.add_handler(lambda message: None)
    listening = Listening([], Silent(), Settings(tmp_path))
    posts = []
    for place in ("east", "west"):
        said = more.replace("FOLDER", str(tmp_path).lstrip("/")).replace("PLACE", place)
        posts.append(Post(place, flow_of(said).model_copy(update={"endpoint": f"http://{place}"}), handlers))
    with ExitStack() as stack:

        def made() -> list[str]:
            return [listening._worker(post, Quarantine(tmp_path / post.name), stack, observer=Silent()).name for post in posts]

        if not says:
            assert made() == [post.queue for post in posts]
            return
        with pytest.raises(FixConfig, match=rf"east and west listen .* known as orders: .*{says}.*known_as"):
            made()


def test_queues_of_one_name_are_watched_by_the_names_of_their_flows() -> None:
    """One may be in another region; a queue whose name is its own is called by that."""
    places = {"east": "orders", "west": "https://sqs.us-west-2.amazonaws.com/111122223333/orders", "third": "bills"}
    posts = [Post(name, flow_of().model_copy(update={"queue": place}), Handlers()) for name, place in places.items()]
    assert labels(posts) == ["east", "west", "bills"]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("store: redis://127.0.0.1:1/0", RetryLater),
        ("store: none\ndead_letters: NOWHERE", NotFound),
        ("store: none\ndead_letters: none", NotFound),
    ],
)
def test_nothing_is_received_before_all_is_known_to_be_there(
    aws: FakeAWS, tmp_path: Path, more: str, error: type[Exception]
) -> None:
    """A store that does not answer, dead letters that are not there, by name or URL, are told before the first poll."""
    url = boto3.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    flow = flow_of(more.replace("NOWHERE", url.replace("orders", "nowhere")))
    handlers = Handlers()
    handlers.add_handler(lambda message: None)
    with pytest.raises(error):
        Listening([Post("orders", flow, handlers)], Silent(), Settings(tmp_path)).run()
    assert aws.calls.count("sqs.ReceiveMessage") == 0


def test_what_is_set_aside_is_told_with_why_and_where(aws: FakeAWS, tmp_path: Path) -> None:
    """Large messages go by way of their bucket into the dead letters too, and leave no object behind in their queue."""
    boto3.client("s3").create_bucket(Bucket="large")
    for name in ("orders", "orders-dlq"):
        boto3.client("sqs").create_queue(QueueName=name)
    flow = flow_of("dead_letters: orders-dlq\nstore: none\noffload: large\nmost_receives: 1")
    handlers = Handlers()

    @handlers.handler
    def handle(message: object) -> None:
        raise ValueError("no such order")

    open_queue("orders", offload="large").send([Message("b" * 1_200_000)])
    notes = [note for note in listen(flow, tmp_path, handlers, until=1).notes if note.what is What.BURIED]
    assert [note.reason for note in notes] == ["ValueError: no such order; it is in orders-dlq"]
    (letter,) = open_queue("orders-dlq", offload="large").receive(1, wait_s=0)
    assert len(letter.body) == 1_200_000
    assert len(boto3.client("s3").list_objects_v2(Bucket="large")["Contents"]) == 1


def test_an_observer_that_raises_ends_no_worker(aws: FakeAWS, tmp_path: Path) -> None:
    """Messages are handled, and what listens ends when it is told to."""
    boto3.client("sqs").create_queue(QueueName="orders")
    open_queue("orders").send([Message("x")])

    class Broken(Once):
        def noted(self, note: Note) -> None:
            raise RuntimeError("the collector is away")

    watch, handlers = Once(1), Handlers()
    handlers.add_handler(lambda message: None)
    both = Observers([Broken(1), watch])
    watch.listening = Listening([Post("orders", flow_of("store: none"), handlers)], both, Settings(tmp_path))
    (ended,) = watch.listening.run()
    assert (ended.error, ended.counts.done) == (None, 1)
    assert [note.what for note in watch.notes].count(What.OBSERVER_FAILED) == 1


def test_every_queue_that_ended_by_a_mistake_of_ours_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first does not hide the second; what both were is raised after that."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "listen_two.py").write_text(MODULE)
    two = USUAL.replace("mine:handlers", "listen_two") + USUAL.replace("flows:\n  orders", "  bills").replace(
        "mine:handlers", "listen_two"
    )
    (tmp_path / "halocline.yaml").write_text(two)
    ended = [Ended(name, name, Counts(), RuntimeError(name)) for name in ("orders", "bills")]
    monkeypatch.setattr(Listening, "run", lambda _listening: ended)
    done = CliRunner().invoke(app, ["listen", "--all"])
    assert [f"{name}: a mistake of ours: RuntimeError" in done.stderr for name in ("orders", "bills")] == [True, True]
    assert isinstance(done.exception, BaseExceptionGroup)
    assert [str(one) for one in done.exception.exceptions] == ["orders", "bills"]


def test_other_packages_log_warnings_alone() -> None:
    """What the handlers' own package says from INFO on is logged; what a client says of each call is not."""
    code = (
        "import logging; from halocline.cli.listen import _log; _log(['mine.events:orders']);"
        "print([logging.getLogger(name).isEnabledFor(logging.INFO) for name in ('mine.events', 'halocline.listen', 'httpx')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[True, True, False]\n"
