"""Laws of events of S3: what they say whichever way they come, and that each file is handled once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
from tests.consume.s3_samples import TEST_EVENT, event, eventbridge, record, sns, sns_lambda, sqs

from halocline.config import Settings
from halocline.consume.aws.s3_events import Handling, Landed, News, S3Events, in_order, landed, notices, respond_to_s3_event
from halocline.errors import FixConfig, HaloclineError, NotAllHandled, StorageFailed
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


def test_the_message_is_one_of_sqs() -> None:
    """The id that SNS gives names nothing that could be handed back to a queue."""
    bare = {"MessageId": "m-0", "ReceiptHandle": "r", "Body": json.dumps(sns(event()))}
    found = [notices(told)[0].message for told in (event(), sns(event()), sns_lambda(event()), sqs(sns(event())), bare)]
    assert found == ["", "", "", "m-0", "m-0"]


def test_what_is_not_known_names_its_object() -> None:
    """Where it has one; two of them are two, though they look the same."""
    odd = record(event="ObjectTagging:Put")
    found = in_order(notices(event(odd, odd)))
    assert [(one.news, str(one.where)) for one in found] == [(News.UNKNOWN, "s3://drop/in/a.csv")] * 2


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
        self.error: type[BaseException] = ValueError

    def work(self, key: str, bucket: str, *more: object, **named: object) -> object:
        self.called.append((key, bucket))
        if key in self.broken:
            raise self.error(f"no {key}")
        return (more, named) if more or named else key.upper()

    def respond(self, told: object, *more: object, **named: object) -> list[Any]:
        return S3Events(self.ledger, self.settings, flow="desk").respond(told, self.work, *more, **named)

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


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_one_that_fails_stops_no_other(desk: Desk, error: type[BaseException]) -> None:
    """All have their turn; then one error names every one that failed, and has all results."""
    desk.error = error
    desk.broken = {"in/1", "in/3"}
    with pytest.raises(NotAllHandled, match=rf"2 of 4 .*in/1: {error.__name__}: no in/1; s3://drop/in/3") as failed:
        desk.respond(event(*(record(f"in/{number}") for number in range(4))))
    assert desk.keys == ["in/0", "in/1", "in/2", "in/3"]
    assert [one.handling for one in failed.value.results] == ["done", "failed", "done", "failed"]  # type: ignore[attr-defined]
    assert isinstance(failed.value.__cause__, error)


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
    results = S3Events(MemoryLedger(), desk.settings, ignore=("mine/",), flow="f").respond(told, desk.work)
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


CALLED: list[object] = []


def plainly(key: str, bucket: str, *more: object, **named: object) -> None:
    CALLED.append(("plainly", *more, *named.items()))


def otherwise(key: str, bucket: str) -> None:
    CALLED.append(("otherwise",))


class Named:
    """Work with a name of its own."""

    def __init__(self, key: str, bucket: str = "") -> None:
        CALLED.append((key,))

    def go(self, key: str, bucket: str) -> None:
        CALLED.append(("go",))

    def __call__(self, key: str, bucket: str) -> None:
        CALLED.append(("call",))

    @staticmethod
    def still(key: str, bucket: str) -> None:
        CALLED.append(("still",))


@wraps(plainly)
def imposter(key: str, bucket: str) -> None:
    CALLED.append(("imposter",))


@pytest.fixture
def called() -> list[object]:
    CALLED.clear()
    return CALLED


def test_two_pieces_of_work_each_have_the_file(desk: Desk, called: list[object]) -> None:
    """Two functions, a class, one function with other arguments: what one has done says nothing of the others."""
    here = S3Events(desk.ledger, desk.settings)
    for _ in range(2):
        here.respond(event(), plainly)
        here.respond(event(), otherwise)
        here.respond(event(), Named)
        here.respond(event(), Named.still)
        here.respond(event(), plainly, "Account")
        here.respond(event(), plainly, "Contact")
        here.respond(event(), plainly, a=1, b=2)
        here.respond(event(), plainly, b=2, a=1)
        here.respond(event(), plainly, flow="orders")
    expected = ["plainly", "otherwise", "in/a.csv", "still", "plainly", "plainly", "plainly", "plainly"]
    assert [one[0] for one in called] == expected  # type: ignore[index]
    assert called[4:6] == [("plainly", "Account"), ("plainly", "Contact")]
    assert called[-1] == ("plainly", ("flow", "orders"))


@pytest.mark.parametrize(
    ("callback", "args"),
    [
        pytest.param(Named("x").go, (), id="a bound method"),
        pytest.param(partial(plainly, 1), (), id="a partial"),
        pytest.param(Named("x"), (), id="an object"),
        pytest.param(lambda key, bucket: None, (), id="a lambda"),
        pytest.param(imposter, (), id="a wrapper under the name of what it wraps"),
        pytest.param(plainly, (object(),), id="an argument that is no JSON"),
    ],
)
def test_work_that_has_no_name_needs_one(desk: Desk, called: list[object], callback: Any, args: tuple[object, ...]) -> None:
    """For another may look the same. It is told before anything is called; with `flow` it is handled."""
    called.clear()
    with pytest.raises(FixConfig, match="flow="):
        S3Events(desk.ledger, desk.settings).respond(event(), callback, *args)
    assert called == []
    assert desk.ledger.runs() == []
    (result,) = S3Events(desk.ledger, desk.settings, flow="f").respond(event(), callback, *args)
    assert result.handling is Handling.DONE
    assert S3Events(desk.ledger, desk.settings, flow="f").respond(event(), plainly)[0].handling is Handling.DUPLICATE


def test_two_lambda_functions_are_two(desk: Desk, called: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Although both have a `handler.plainly`, and one ledger."""
    here = S3Events(desk.ledger, desk.settings)
    for function in ("one", "two", "one"):
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", function)
        here.respond(event(), plainly)
    assert called == [("plainly",)] * 2


def test_two_scripts_are_two(tmp_path: Path) -> None:
    """Although all are `__main__`, or have an `app`; run again, each is the same. What is typed in has no name."""
    text = "import json, sys\nfrom pathlib import Path\nfrom halocline.config import Settings\n"
    text += "from halocline.consume.aws.s3_events import S3Events\nfrom app import other\n"
    text += "def work(*_):\n    pass\n"
    text += "here = S3Events(settings=Settings(Path(sys.argv[1])))\n"
    text += "print([str(here.respond(sys.argv[2], one)[0].handling) for one in (work, other)])\n"
    found = []
    for name in ("a", "b", "a"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "app.py").write_text("def other(*_):\n    pass\n")
        (tmp_path / name / "main.py").write_text(text)
        found.append(_output([str(tmp_path / name / "main.py"), str(tmp_path), json.dumps(event())]))
    assert found == ["['done', 'done']", "['done', 'done']", "['duplicate', 'duplicate']"]
    typed = text.replace("from app import other\n", "").replace("(work, other)", "(work,)")
    assert "is in no file" in _output(["-c", typed, str(tmp_path), json.dumps(event())])


def _output(arguments: list[str]) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout or done.stderr).strip()


class Broken:
    """A ledger of which one method fails for the second file."""

    def __init__(self, ledger: Ledger, broken: str) -> None:
        self._ledger = ledger
        self._broken = broken
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._ledger, name)
        if name != self._broken:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls += 1
            if self._calls == 2:
                raise StorageFailed("Asking the ledger", "it is away")
            return real(*args, **kwargs)

        return call


@pytest.mark.parametrize("method", ["claim", "abandon_dead", "runs", "start", "finish"])
def test_a_ledger_that_is_away_fails_one_file(desk: Desk, method: str) -> None:
    """And loses no result: the others are told, and only that one comes again."""
    told = event(*(record(f"in/{number}") for number in range(3)))
    broken: Any = Broken(desk.ledger, method)
    with pytest.raises(NotAllHandled, match=r"1 of 3 .*it is away") as failed:
        S3Events(broken, desk.settings, flow="desk").respond(told, desk.work)
    assert [one.handling for one in failed.value.results] == ["done", "failed", "done"]  # type: ignore[attr-defined]
    assert [one.handling for one in desk.respond(told)] == [Handling.DUPLICATE, Handling.DONE, Handling.DUPLICATE]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_ledger_that_is_away_hides_no_failure(desk: Desk, error: BaseException) -> None:
    """What the callback raised is told; an interrupt stays one."""

    def work(key: str, bucket: str) -> None:
        desk.called.append((key, bucket))
        if key == "in/1":
            raise error

    broken: Any = Broken(desk.ledger, "finish")
    with pytest.raises((NotAllHandled, KeyboardInterrupt)) as failed:
        S3Events(broken, desk.settings, flow="f").respond(event(*(record(f"in/{number}") for number in range(3))), work)
    assert isinstance(failed.value, HaloclineError) is isinstance(error, ValueError)
    assert (failed.value.__cause__ or failed.value) is error
    assert desk.keys == ["in/0", "in/1", "in/2"][: 2 if isinstance(error, KeyboardInterrupt) else 3]


def test_a_file_whose_process_died_runs_again(tmp_path: Path) -> None:
    """At once, for the dead one's lease is nobody's."""
    settings = Settings(tmp_path)
    dying = "import json, os, sys\nfrom pathlib import Path\nfrom halocline.config import Settings\n"
    dying += "from halocline.consume.aws.s3_events import S3Events\n"
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


def test_the_environment_names_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: list[object]) -> None:
    """Without arguments what was done is kept there, for the next process."""
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    respond_to_s3_event(event(), plainly)
    respond_to_s3_event(event(), plainly)
    assert called == [("plainly",)]
    with SqliteLedger(tmp_path / "ledger.sqlite") as ledger:
        assert [run.state for run in ledger.runs()] == ["done"]
