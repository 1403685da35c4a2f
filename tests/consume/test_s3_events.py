"""Laws of events of S3: what they say whichever way they come, and that each file is handled once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.consume.s3_samples import TEST_EVENT, event, eventbridge, record, sns, sns_lambda, sqs

from halocline.config import Settings
from halocline.consume.s3_events import Handling, Landed, News, S3Events, landed, notices, respond_to_s3_event
from halocline.errors import FixConfig, NotAllHandled
from halocline.ledger import Ledger, MemoryLedger, SqliteLedger

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

# ---- what an event says


@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(event(), id="from S3"),
        pytest.param(sns_lambda(event()), id="SNS to Lambda"),
        pytest.param(sqs(event()), id="SQS to Lambda, raw"),
        pytest.param(sqs(sns(event())), id="SNS in SQS"),
        pytest.param(json.dumps(sqs(sns(event()))), id="as text"),
        pytest.param([{"MessageId": "m-0", "ReceiptHandle": "r", "Body": json.dumps(event())}], id="a poll"),
        pytest.param(record(), id="one record"),
        pytest.param(eventbridge(), id="EventBridge"),
        pytest.param(sqs(eventbridge()), id="EventBridge in SQS"),
    ],
)
def test_a_landing_is_the_same_whichever_way_it_comes(wrapped: object) -> None:
    """Bucket, key, etag, size and sequencer, and so what tells it from others."""
    if isinstance(wrapped, list):
        (wrapped,) = wrapped
    (where,) = landed(wrapped)
    assert (where.bucket, where.key, where.etag, where.size, where.version) == ("drop", "in/a.csv", "e1", 3, None)
    assert where.dedupe == '["drop","in/a.csv","e1","0055AED6DCD90281E5"]'


def test_the_instant_is_aware() -> None:
    assert landed(event())[0].at == AT
    assert landed(eventbridge())[0].at == AT.replace(microsecond=0)


@pytest.mark.parametrize("key", ["in/red flower.csv", "a+b.csv", "100%.csv", "%2B.csv", "in/ä 漢.csv", "a&b=c;d.csv"])
def test_keys_are_decoded_once(key: str) -> None:
    """Also a key that looks encoded itself; EventBridge's are as they are."""
    assert landed(event(record(key)))[0].key == key
    assert landed(eventbridge(key))[0].key == key


def test_the_version_goes_before_the_etag() -> None:
    """The same bytes put twice are two landings where versions are kept."""
    (where,) = landed(event(record(version="v2")))
    assert (where.version, json.loads(where.dedupe)[2]) == ("v2", "v2")
    assert landed(eventbridge(version="v2"))[0].dedupe == where.dedupe


def test_tests_and_removals_are_no_landings() -> None:
    """They are told apart, and are no errors."""
    removed = record(event="ObjectRemoved:DeleteMarkerCreated")
    found = notices(sqs(TEST_EVENT, event(removed, record("in/b.csv")), eventbridge(event="Object Deleted")))
    assert [(one.news, one.message) for one in found] == [
        (News.TEST, "m-0"),
        (News.REMOVED, "m-1"),
        (News.LANDED, "m-1"),
        (News.REMOVED, "m-2"),
    ]
    assert landed(TEST_EVENT) == ()


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        ("no json", "no JSON"),
        (7, "no JSON object"),
        ({}, "nothing in it says"),
        ({"Records": []}, "nothing in it says"),
        ({"Records": [{"eventSource": "aws:dynamodb"}]}, "nothing in it says"),
        (event(record(event="ObjectTagging:Put")), "ObjectTagging:Put tells of no file"),
        (eventbridge(event="Object Tags Added"), "Object Tags Added tells of no file"),
        (event({"s3": {"bucket": {"name": "b"}, "object": {}}}), "KeyError"),
        (event({"s3": {"bucket": {"name": "b"}, "object": {"key": "%ff"}}}), "UnicodeDecodeError"),
        (eventbridge("a\ud800"), "UnicodeEncodeError"),
        (sqs({"Type": "SubscriptionConfirmation", "Message": "x"}), "message m-0: nothing in it says"),
    ],
)
def test_what_is_not_known_is_an_error(unknown: object, said: str) -> None:
    """Never left out; the error says what came, in which message."""
    with pytest.raises(FixConfig, match=said):
        landed(unknown)


def test_what_is_not_known_hides_nothing_beside_it() -> None:
    """The landing next to it is told."""
    assert [one.news for one in notices(sqs("?", event()))] == [News.UNKNOWN, News.LANDED]


def test_no_depth_of_wrapping_ends_the_process() -> None:
    """It is unknown, and that is all."""
    wrapped: object = event()
    for _ in range(12):
        wrapped = sns(wrapped)
    assert [one.news for one in notices(wrapped)] == [News.UNKNOWN]
    assert [one.news for one in notices("[" * 100_000)] == [News.UNKNOWN]


def test_landings_of_one_key_are_in_their_order() -> None:
    """By sequencer, the shorter filled with zeros on its right; duplicates once; other keys keep their place."""
    mixed = [
        record("a", sequencer="0055AED6DCD90281E5", etag="2"),
        record("b"),
        record("a", sequencer="0055AED6DCD902", etag="1"),
        record("a", sequencer="0055AED6DCD90281E5", etag="2"),
        record("a", sequencer="0055AED6DCD90281E6", etag="3"),
    ]
    assert [(one.key, one.etag) for one in landed(event(*mixed))] == [("a", "1"), ("a", "2"), ("a", "3"), ("b", "e1")]
    assert Landed("b", "k", sequencer="0A").order == Landed("b", "k", sequencer="0a00").order


# ---- what is done about it


class Desk:
    """A callback that keeps what it was called with, and fails where it is told to; a ledger of its own."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.settings = Settings(folder)
        self.called: list[tuple[str, str]] = []
        self.broken: set[str] = set()

    def work(self, key: str, bucket: str, *more: object, **named: object) -> object:
        self.called.append((key, bucket))
        if key in self.broken:
            raise ValueError(f"no {key}")
        return (more, named) if more or named else key.upper()

    def respond(self, told: object, *more: object, **named: object) -> list[Any]:
        return S3Events(self.ledger, self.settings).respond(told, self.work, *more, **named)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.called]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with MemoryLedger() as ledger:
        yield Desk(ledger, tmp_path)


def test_the_callback_is_called_as_documented(desk: Desk) -> None:
    """With key, bucket, and what else was given; what it returns is in the result."""
    (result,) = desk.respond(event(record("in/a b.csv")))
    assert desk.called == [("in/a b.csv", "drop")]
    assert (result.handling, result.value) == (Handling.DONE, "IN/A B.CSV")
    (result,) = desk.respond(event(record("in/c.csv")), 1, x=2)
    assert result.value == ((1,), {"x": 2})


def test_one_that_fails_stops_no_other(desk: Desk) -> None:
    """All have their turn; then one error names every one that failed, and has all results."""
    desk.broken = {"in/1", "in/3"}
    with pytest.raises(NotAllHandled, match=r"2 of 4 .*in/1: ValueError: no in/1; s3://drop/in/3") as failed:
        desk.respond(event(*(record(f"in/{number}") for number in range(4))))
    assert desk.keys == ["in/0", "in/1", "in/2", "in/3"]
    assert [one.handling for one in failed.value.results] == ["done", "failed", "done", "failed"]  # type: ignore[attr-defined]
    assert isinstance(failed.value.__cause__, ValueError)


def test_only_what_failed_runs_again(desk: Desk) -> None:
    """What is done is a duplicate from then on, by whichever way it comes again."""
    desk.broken = {"in/1"}
    told = event(record("in/0"), record("in/1"))
    with pytest.raises(NotAllHandled):
        desk.respond(told)
    desk.broken = set()
    assert [one.handling for one in desk.respond(sqs(told))] == [Handling.DUPLICATE, Handling.DONE]
    assert [one.handling for one in desk.respond(sqs(sns(told)))] == [Handling.DUPLICATE, Handling.DUPLICATE]
    assert desk.keys == ["in/0", "in/1", "in/1"]


def test_a_new_version_of_a_file_is_new(desk: Desk) -> None:
    """The same name with other bytes, or put again, is handled again."""
    desk.respond(event(record("in/a", sequencer="01")))
    desk.respond(event(record("in/a", sequencer="02")))
    assert desk.keys == ["in/a", "in/a"]


def test_a_file_that_nothing_identifies_is_handled_each_time(desk: Desk) -> None:
    """Two landings that cannot be told apart are not taken for one."""
    bare = {"s3": {"bucket": {"name": "drop"}, "object": {"key": "in/a"}}}
    desk.respond(event(bare, bare))
    desk.respond(event(bare))
    assert desk.keys == ["in/a"] * 3


def test_own_prefixes_are_left_out(desk: Desk) -> None:
    """So that the archive and the reports start nothing; other prefixes can be named."""
    told = event(record("archive/in/a"), record("errors/e.csv"), record("in/a"), record("mine/x"))
    assert [one.handling for one in desk.respond(told)] == ["ignored", "ignored", "done", "done"]
    results = S3Events(MemoryLedger(), desk.settings, ignore=("mine/",)).respond(told, desk.work)
    assert [one.handling for one in results] == ["done", "done", "done", "ignored"]


def test_a_removal_and_a_test_call_nobody(desk: Desk) -> None:
    """They are in the results."""
    told = sqs(TEST_EVENT, event(record(event="ObjectRemoved:Delete")))
    assert [one.handling for one in desk.respond(told)] == [Handling.TEST, Handling.REMOVED]
    assert desk.called == []


def test_an_unknown_event_fails_when_the_rest_is_done(desk: Desk) -> None:
    """It is named, with its message, and hides nothing."""
    with pytest.raises(NotAllHandled, match="message m-0") as failed:
        desk.respond(sqs("?", event()))
    assert [one.handling for one in failed.value.results] == [Handling.FAILED, Handling.DONE]  # type: ignore[attr-defined]


def test_two_callbacks_each_have_the_file(desk: Desk) -> None:
    """What one has done says nothing of the other; `flow` gives them one name."""
    told = event()
    desk.respond(told)
    S3Events(desk.ledger, desk.settings).respond(told, lambda *_: desk.called.append(("other", "")))
    assert desk.keys == ["in/a.csv", "other"]


def test_two_lambdas_are_two_callbacks(desk: Desk) -> None:
    """Although they have one name; what is partial is the function that it wraps."""
    here = S3Events(desk.ledger, desk.settings)
    here.respond(event(), lambda key, _: desk.called.append((key, "1")))
    here.respond(event(), lambda key, _: desk.called.append((key, "2")))
    assert [one for _, one in desk.called] == ["1", "2"]
    here.respond(event(), partial(desk.work, more=1))
    assert [one.handling for one in desk.respond(event())] == [Handling.DUPLICATE]


def test_a_file_whose_process_died_runs_again(tmp_path: Path) -> None:
    """At once, for the dead one's lease is nobody's."""
    settings = Settings(tmp_path)
    dying = "import json, os, sys\nfrom pathlib import Path\nfrom halocline.config import Settings\n"
    dying += "from halocline.consume.s3_events import S3Events\n"
    dying += "S3Events(settings=Settings(Path(sys.argv[1])), flow='f').respond(sys.argv[2], lambda *_: os._exit(7))"
    done = subprocess.run([sys.executable, "-c", dying, str(tmp_path), json.dumps(event())], check=False, timeout=60)
    assert done.returncode == 7
    called: list[str] = []
    here = S3Events(settings=settings, flow="f")
    assert [one.handling for one in here.respond(event(), lambda key, _: called.append(key))] == [Handling.DONE]
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        assert [run.state for run in ledger.runs()] == ["done", "abandoned"]


def test_a_parallel_delivery_waits_for_its_redelivery(desk: Desk) -> None:
    """While one process is at a file another is told BUSY, as a failure, so that the queue keeps the message."""
    started, go_on = threading.Event(), threading.Event()

    def slow(key: str, bucket: str) -> None:
        desk.called.append((key, bucket))
        started.set()
        assert go_on.wait(30)

    here = S3Events(desk.ledger, desk.settings, flow="f")
    first = threading.Thread(target=here.respond, args=(event(), slow))
    first.start()
    assert started.wait(30)
    with pytest.raises(NotAllHandled) as busy:
        here.respond(event(), slow)
    go_on.set()
    first.join(30)
    assert [one.handling for one in busy.value.results] == [Handling.BUSY]  # type: ignore[attr-defined]
    assert [one.handling for one in here.respond(event(), slow)] == [Handling.DUPLICATE]
    assert len(desk.called) == 1


def test_an_interrupt_is_no_result(desk: Desk) -> None:
    """It goes through, and the file may run again."""

    def interrupted(key: str, bucket: str) -> None:
        raise KeyboardInterrupt

    here = S3Events(desk.ledger, desk.settings, flow="f")
    with pytest.raises(KeyboardInterrupt):
        here.respond(event(), interrupted)
    assert [one.handling for one in here.respond(event(), desk.work)] == [Handling.DONE]


def test_the_environment_names_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments what was done is kept there, for the next process."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    called: list[str] = []

    def work(key: str, bucket: str) -> None:
        called.append(key)

    respond_to_s3_event(event(), work)
    respond_to_s3_event(event(), work)
    assert called == ["in/a.csv"]
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        assert [run.state for run in ledger.runs()] == ["done"]
