"""Laws of `halocline dlq`: what was set aside is shown, brought back, written out and deleted, and told as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner, Result

from halocline import registry
from halocline.consume.letters import dead_letters
from halocline.consume.letters.dead_letters import buried
from halocline.consume.letters.quarantine import quarantine
from halocline.consume.stores import open_store
from halocline.idempotency import Held, IdempotencyStore, Wanted
from halocline.queues import Delivery, Message, Queue
from halocline.testing.aws import FakeAWS
from tests.command_line import app

Type = Callable[..., Result]
FLOW = "flows:\n  orders:\n    kind: listen\n    queue: orders\n    handlers: mine:handlers\n    store: sqlite:///claims.sqlite\n"


@pytest.fixture
def type_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """`halocline dlq` and these words, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HALOCLINE_IDEMPOTENCY", raising=False)
    monkeypatch.setattr(dead_letters, "_POLL_S", 0.0)  # the fake's polls miss nothing

    def type_(*words: str | Path) -> Result:
        done = CliRunner().invoke(app, ["dlq", *map(str, words)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return type_


@pytest.fixture
def letters(aws: FakeAWS) -> list[str]:
    """A queue `orders`, and twelve messages in its dead letter queue that a worker set aside; their ids."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="orders-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": policy})
    some = [
        buried(
            Delivery("h", json.dumps({"order": number}), f"id-{number}", 3),
            queue="orders",
            reason=f"ValueError: {number}",
            key=f"k{number}",
        )
        for number in range(12)
    ]
    return [str(reply.message_id) for reply in registry.open_queue("orders-dlq").send(some)]


def documents(done: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_was_set_aside_is_listed_without_bodies(letters: list[str], type_: Type, aws: FakeAWS) -> None:
    """By the queue's name or that of its dead letters; all in JSON, some for people; nothing is moved."""
    for name in ("orders", "orders-dlq"):
        done = type_("ls", name, "--json")
        assert (done.exit_code, {one["id"] for one in documents(done)}) == (0, set(letters))
        assert "body" not in done.stdout
        assert '{"order"' not in done.stdout
    done = type_("ls", "orders", "--limit", "3")
    assert done.stdout.count("ValueError") == 3
    assert "... and more" in done.stdout
    assert len(documents(type_("ls", "orders", "--match", "error: 11", "--json"))) == 1
    assert aws.counts("orders-dlq").visible == 12


def test_one_message_is_shown_with_its_body(letters: list[str], type_: Type, aws: FakeAWS) -> None:
    """By its id, by how that begins, or by the id that it had; one that is not there is told."""
    for name in (letters[4], letters[4][:13], "id-4"):
        done = type_("show", "orders", name)
        assert (done.exit_code, '{"order": 4}' in done.stdout, "reason: ValueError: 4" in done.stdout) == (0, True, True)
    (found,) = documents(type_("show", "orders", letters[0], "--json"))
    assert found["body"] == '{"order": 0}'
    done = type_("show", "orders", "none")
    assert (done.exit_code, "there is none" in done.stderr) == (2, True)
    assert aws.counts("orders-dlq").visible == 12


def test_redrive_sends_back_what_is_meant_and_lets_its_key_go(
    letters: list[str], type_: Type, aws: FakeAWS, tmp_path: Path
) -> None:
    """The store of the flow has set the key aside; the message that comes back is worked on."""
    (tmp_path / "halocline.yaml").write_text(FLOW)
    store = open_store("sqlite:///claims.sqlite")
    assert store is not None
    (claim,) = store.claim([Wanted("k4")], owner="dead", lease_s=30)
    store.quarantine([(Held("k4", claim.fence), "poison")])
    done = type_("redrive", "orders", "--id", "id-4", "--json")
    counts = {"done": 1, "sent_before": 0, "handled_meanwhile": 0, "maybe_sent_before": 0, "unknown_keys": 0}
    assert documents(done) == [{"queue": "orders-dlq", **counts, "left": [], "not_found": [], "unseen": 0, "exit_code": 0}]
    assert (aws.counts("orders").visible, aws.counts("orders-dlq").visible) == (1, 11)
    assert store.quarantined() == []
    store.close()
    done = type_("redrive", "orders", "--limit", "2")
    assert done.stdout == "orders-dlq: 2 messages sent back\n"
    assert type_("redrive", "orders").exit_code == 0
    assert (aws.counts("orders").visible, aws.counts("orders-dlq").visible) == (12, 0)
    assert aws.calls.count("sqs.StartMessageMoveTask") == 0


def test_redrive_leaves_to_aws_what_is_aws_s(type_: Type, letters: list[str], aws: FakeAWS) -> None:
    """Messages without a worker's mark are moved by a task of AWS, unless one by one is asked for; --to names another target."""
    assert type_("purge", "orders", "--yes").exit_code == 0
    registry.open_queue("orders-dlq").send([Message(str(number)) for number in range(5)])
    done = type_("redrive", "orders")
    assert (done.exit_code, done.stdout) == (0, "orders-dlq: 5 messages moved to orders by AWS\n")
    assert (aws.counts("orders").visible, aws.calls.count("sqs.StartMessageMoveTask")) == (5, 1)
    registry.open_queue("orders-dlq").send([Message("x")])
    boto3.client("sqs").create_queue(QueueName="other")
    assert type_("redrive", "orders", "--one-by-one", "--to", "other", "--store", "none").exit_code == 0
    assert (aws.counts("other").visible, aws.calls.count("sqs.StartMessageMoveTask")) == (1, 1)


def test_a_redrive_that_leaves_something_ends_with_3(type_: Type, letters: list[str], aws: FakeAWS) -> None:
    """Each that is left is told with why; sent again, they go."""
    aws.faults.add("fail_entries", operation="SendMessageBatch", entries=0, times=20)
    done = type_("redrive", "orders", "--limit", "2")
    assert done.exit_code == 3
    assert done.stderr.count("is left: InternalError") == 2
    aws.faults.clear()
    aws.clock.advance(600)
    assert type_("redrive", "orders").exit_code == 0
    assert aws.counts("orders").visible == 12


def test_export_writes_all_and_purge_deletes_only_when_it_is_told_twice(type_: Type, letters: list[str], aws: FakeAWS) -> None:
    """Without --yes nothing is deleted; - prints the lines."""
    done = type_("export", "orders", "out.jsonl")
    assert (done.exit_code, done.stdout) == (0, "orders-dlq: 12 messages in out.jsonl\n")
    assert len(Path("out.jsonl").read_text().splitlines()) == 12
    assert len(documents(type_("export", "orders", "-", "--match", "valueerror: 1"))) == 3
    assert type_("purge", "orders").exit_code == 2
    assert aws.counts("orders-dlq").visible == 12
    assert type_("purge", "orders", "--match", "valueerror: 1", "--yes").stdout == "orders-dlq: 3 messages deleted\n"
    assert documents(type_("purge", "orders", "--yes", "--json"))[0]["done"] == 9
    assert type_("ls", "orders").stdout == "orders-dlq: no message is set aside.\n"


def test_a_folder_is_a_place_too(type_: Type, aws: FakeAWS, tmp_path: Path) -> None:
    """What a worker put below HALOCLINE_HOME for want of a queue is found by the queue's name, and goes back to it."""
    boto3.client("sqs").create_queue(QueueName="plain")
    quarantine(tmp_path / "home", "plain").send([buried(Delivery("h", "x", "id"), queue="plain", reason="r")])
    assert len(documents(type_("ls", "plain", "--json"))) == 1
    assert len(documents(type_("ls", f"file://{tmp_path}/home/quarantine/plain", "--json"))) == 1
    done = type_("redrive", "plain")
    assert (done.exit_code, aws.counts("plain").visible) == (0, 1)


@pytest.mark.parametrize("later", ["policy", "flow"])
def test_what_was_put_into_a_folder_before_is_dealt_with_too(type_: Type, aws: FakeAWS, tmp_path: Path, later: str) -> None:
    """A queue that has a place for dead letters by now: what lies in the folder still is told, listed, exported and sent back."""
    sqs = boto3.client("sqs")
    url, dead = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("orders", "orders-dlq"))
    if later == "policy":
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    else:
        Path("halocline.yaml").write_text(f"{FLOW}    dead_letters: orders-dlq\n")
    folder = quarantine(tmp_path / "home", "orders")
    for place, name in ((folder, "first"), (registry.open_queue("orders-dlq"), "second")):
        place.send([buried(Delivery("h", name, name), queue="orders", reason="r")])
    done = type_("ls", "orders", "--json")
    assert [one["original_id"] for one in documents(done)] == ["first", "second"]
    assert f"set aside in file://{folder.folder} are dealt with too" in done.stderr
    assert [one["body"] for one in documents(type_("export", "orders", "-"))] == ["first", "second"]
    done = type_("redrive", "orders")
    assert (done.exit_code, done.stdout) == (0, "orders-dlq: 2 messages sent back\n")
    assert (aws.counts("orders").visible, aws.counts("orders-dlq").visible, folder.count()) == (2, 0, 0)
    assert type_("ls", "orders").stderr == ""


@pytest.mark.parametrize("verb", ["redrive", "purge"])
def test_an_id_that_no_message_has_is_told(letters: list[str], type_: Type, verb: str) -> None:
    """With the others done, and exit code 3; where only so many were wanted, nobody can say it."""
    yes = ["--yes"] if verb == "purge" else []
    done = type_(verb, "orders", "--id", "typo", "--id", letters[0], "--json", *yes)
    assert (done.exit_code, documents(done)[0]["done"], documents(done)[0]["not_found"]) == (3, 1, ["typo"])
    done = type_(verb, "orders", "--id", "typo", *yes)
    assert (done.exit_code, "No message was set aside with the id typo." in done.stderr) == (3, True)
    assert type_(verb, "orders", "--id", letters[1], "--id", "typo", "--limit", "1", *yes).exit_code == 0


def test_what_is_hidden_in_a_group_is_told_and_purged_only_into_a_file(type_: Type, aws: FakeAWS) -> None:
    """Of a FIFO queue's group nobody sees more than ten: an export of less than all says so, and a purge can write all."""
    boto3.client("sqs").create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})
    registry.open_queue("dead.fifo").send([Message(str(number), group="g", dedupe=str(number)) for number in range(12)])
    for words in (("export", "dead.fifo", "some.jsonl"), ("export", "dead.fifo", "-"), ("ls", "dead.fifo")):
        done = type_(*words, "--as-is")
        assert (done.exit_code, "About 2 more messages could not be seen" in done.stderr) == (3, True), words
    assert len(Path("some.jsonl").read_text().splitlines()) == 10
    assert type_("purge", "dead.fifo", "--as-is", "--yes", "--export", "some.jsonl").exit_code != 0  # it is there already
    assert aws.counts("dead.fifo").visible == 12
    assert type_("purge", "dead.fifo", "--as-is", "--yes", "--export", "all.jsonl").exit_code == 0
    assert [json.loads(line)["body"] for line in Path("all.jsonl").read_text().splitlines()] == [str(n) for n in range(12)]
    assert (aws.counts("dead.fifo").visible, Path("all.jsonl").stat().st_mode & 0o777) == (0, 0o600)


def test_a_queue_at_work_is_never_touched_by_mistake(type_: Type, aws: FakeAWS) -> None:
    """A queue that is nobody's dead letter queue is refused, whatever the verb, unless it is said twice."""
    boto3.client("sqs").create_queue(QueueName="plain")
    registry.open_queue("plain").send([Message("x")])
    for words in (("ls",), ("show",), ("redrive",), ("export",), ("purge", "--yes")):
        verb, *more = words
        done = type_(verb, "plain", *(["x"] if verb in ("show", "export") else []), *more)
        assert (done.exit_code, "no queue puts its dead letters there" in done.stderr) == (2, True), verb
    assert aws.counts("plain").visible == 1
    assert type_("purge", "plain", "--as-is", "--yes").exit_code == 0
    assert aws.counts("plain").visible == 0


def test_the_place_of_a_flow_is_its_folder_before_anything_is_in_it(type_: Type, aws: FakeAWS, tmp_path: Path) -> None:
    """By the flow's name and its queue's: nothing is set aside, and nobody is led to the messages that wait."""
    boto3.client("sqs").create_queue(QueueName="plain")
    registry.open_queue("plain").send([Message("x")])
    flow = FLOW.replace("queue: orders", "queue: plain")
    Path("halocline.yaml").write_text(flow)
    for name in ("orders", "plain"):
        done = type_("ls", name)
        folder = tmp_path / "home" / "quarantine" / "plain"
        assert (done.exit_code, done.stdout) == (0, f"plain: no message is set aside on this host, in {folder}.\n")
        assert (type_("purge", name, "--yes").exit_code, aws.counts("plain").visible) == (0, 1)
    other = flow.replace("flows:\n", "").replace("  orders:", "  other:") + "    known_as: else\n"
    Path("halocline.yaml").write_text(flow + other)
    assert [type_("ls", name).exit_code for name in ("orders", "other")] == [0, 0]
    done = type_("purge", "plain", "--yes")
    assert (done.exit_code, "Name the flow: orders or other" in done.stderr, "--as-is" in done.stderr) == (2, True, False)
    assert aws.counts("plain").visible == 1


def test_a_folder_that_is_not_there_is_told(type_: Type, tmp_path: Path) -> None:
    """A misspelt one is not an empty one; the one of a flow comes with its first message."""
    done = type_("ls", f"file://{tmp_path}/quarantin")
    assert (done.exit_code, "there is no folder" in done.stderr) == (2, True)
    Path("halocline.yaml").write_text(f"{FLOW}    dead_letters: file://{tmp_path}/aside\n")
    for name in ("orders", f"file://{tmp_path}/aside"):
        assert type_("ls", name).exit_code == 0


def test_a_queue_that_is_not_there_is_told(type_: Type, aws: FakeAWS) -> None:
    """With exit code 2, as every name that is wrong."""
    done = type_("ls", "none")
    assert (done.exit_code, "none" in done.stderr) == (2, True)


def set_aside(place: str, *keys: str) -> IdempotencyStore:
    """A store in which these keys are set aside."""
    store = open_store(place)
    assert store is not None
    claims = store.claim([Wanted(key) for key in keys], owner="dead", lease_s=30)
    store.quarantine([(Held(claim.key, claim.fence), "poison") for claim in claims])
    return store


@pytest.mark.parametrize("name", ["orders", "orders-dlq"])
def test_the_store_is_that_of_the_flow_whichever_queue_is_named(
    letters: list[str], type_: Type, tmp_path: Path, name: str
) -> None:
    """By the queue's name or that of its dead letters, in the file that --config names too: the worker's store lets keys go."""
    (tmp_path / "other.yaml").write_text(FLOW.replace("  orders:", "  mine:"))
    store = set_aside("sqlite:///claims.sqlite", *(f"k{number}" for number in range(12)))
    assert type_("redrive", name, "--config", "other.yaml").exit_code == 0
    assert store.quarantined() == []
    store.close()


def test_what_is_purged_is_forgotten(letters: list[str], type_: Type, tmp_path: Path) -> None:
    """A key that was set aside is free again when its letter is gone; others stay set aside."""
    (tmp_path / "halocline.yaml").write_text(FLOW)
    store = set_aside("sqlite:///claims.sqlite", "k1", "k2", "other")
    assert type_("purge", "orders", "--id", "id-1", "--yes").exit_code == 0
    assert sorted(entry.key for entry in store.quarantined()) == ["k2", "other"]
    store.close()


def test_a_store_that_knows_no_key_is_told(letters: list[str], type_: Type, tmp_path: Path) -> None:
    """Their worker may have another one, and would set them aside again."""
    done = type_("redrive", "orders", "--store", "sqlite:///empty.sqlite")
    assert (done.exit_code, "knows nothing of the keys of 12 messages" in done.stderr) == (0, True)


def test_flows_of_one_queue_with_two_stores_are_told_apart(letters: list[str], type_: Type, tmp_path: Path) -> None:
    """The queue alone does not say which one its letters' keys are in."""
    other = FLOW.replace("flows:\n  orders:", "  second:").replace("queue: orders\n", "queue: bills\n").replace("claims", "more")
    both = [f"{one}    dead_letters: orders-dlq\n" for one in (FLOW, other)]
    (tmp_path / "halocline.yaml").write_text("".join(both))
    done = type_("redrive", "orders-dlq")
    assert (done.exit_code, "orders, second have different idempotency stores" in done.stderr) == (2, True)


def test_large_messages_are_followed_into_their_bucket(type_: Type, letters: list[str], aws: FakeAWS, tmp_path: Path) -> None:
    """Exported with their bodies, and purged with their objects; without the bucket they are left, and told."""
    assert type_("purge", "orders", "--yes").exit_code == 0
    boto3.client("s3").create_bucket(Bucket="large")
    registry.open_queue("orders-dlq", offload="large").send([Message("c" * 1_200_000)])
    done = type_("export", "orders", "pointer.jsonl")
    assert (done.exit_code, "is left: it is a large message in S3" in done.stderr) == (3, True)
    assert "failure" in json.loads(Path("pointer.jsonl").read_text())
    assert type_("export", "orders", "-").exit_code == 3
    assert type_("purge", "orders", "--yes").exit_code == 3
    assert aws.counts("orders-dlq").visible + aws.counts("orders-dlq").in_flight == 1
    aws.clock.advance(600)
    (tmp_path / "halocline.yaml").write_text(f"{FLOW}    offload: large\n")
    assert type_("export", "orders", "whole.jsonl").exit_code == 0
    assert len(json.loads(Path("whole.jsonl").read_text())["body"]) == 1_200_000
    assert type_("purge", "orders-dlq", "--yes").exit_code == 0
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="large")


def test_what_cannot_be_read_is_purged_when_it_is_told_so(type_: Type, aws: FakeAWS, tmp_path: Path) -> None:
    """A torn file is no message; --unreadable deletes it."""
    folder = tmp_path / "torn"
    folder.mkdir()
    (folder / "1.message.json").write_text("{")
    assert type_("purge", f"file://{folder}", "--yes", "--store", "none").exit_code == 3
    assert type_("purge", f"file://{folder}", "--yes", "--store", "none", "--unreadable").exit_code == 0
    assert list(folder.iterdir()) == []


def test_a_target_that_is_not_there_is_told_before_anything_is_claimed(letters: list[str], type_: Type, aws: FakeAWS) -> None:
    """With the right name the letters go at once."""
    words = ("redrive", "orders", "--one-by-one", "--store", "sqlite:///claims.sqlite")
    assert type_(*words, "--to", "ordres").exit_code == 2
    assert type_(*words, "--to", "orders").exit_code == 0
    assert aws.counts("orders").visible == 12


def test_a_queue_that_is_named_by_its_url_is_asked_where_that_is(
    type_: Type, letters: list[str], aws: FakeAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beside it is opened in its account and region, and letters go back to the very queue."""
    opened: list[str] = []
    real = registry.open_queue

    def open_queue(place: str, **given: object) -> Queue:
        opened.append(place)
        return real(place, **given)

    monkeypatch.setattr(registry, "open_queue", open_queue)
    url = boto3.client("sqs").get_queue_url(QueueName="orders")["QueueUrl"]
    assert type_("redrive", url, "--store", "none").exit_code == 0
    assert set(opened) == {url}
    assert type_("redrive", url, "--to", "orders", "--store", "none").exit_code == 0
    assert set(opened) == {url}
    assert aws.counts("orders").visible == 12
