"""Laws of the Lambda function: each event reaches its flow, what failed comes again and nothing else, and time is kept."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest

from halocline import aws_lambda
from halocline.consume.aws.aws_lambda import _configuration
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, NotAllHandled, NotFound, RetryLater, Stop
from halocline.flows.connected import Connected
from halocline.flows.files import FileFlow
from halocline.flows.push import PushDone, PushFlow
from tests.figures import SAYS, Says
from tests.system.flow_desk import FLOWS, FlowDesk, failures, flow_desk, flow_org, sqs_event
from tests.system.push_desk import desk_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with flow_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowDesk:
    made = desk_at(emulator, tmp_path, monkeypatch)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    _configuration.cache_clear()
    return flow_desk(made)


def rewritten(desk: FlowDesk, old: str, new: str) -> None:
    """Another halocline.yaml for this desk."""
    desk.desk.file("halocline.yaml", FLOWS.replace("BUCKET", desk.bucket.name).replace(old, new))
    _configuration.cache_clear()


def handle(desk: FlowDesk, event: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(aws_lambda.handler(event, desk.context)))


# ---- handlers

LISTENS = """  orders:
    kind: listen
    queue: https://sqs.us-east-1.amazonaws.com/123456789012/landed
    handlers: my_project.events:Orders
    dead_letters: orders-dead
    known_as: orders
    offload: big
"""
LINE = (
    "from halocline import aws_lambda; from my_project.events import Orders; "
    "handler = aws_lambda.handles(Orders.handlers, dead_letters='orders-dead', known_as='orders', offload='big')"
)


def test_what_is_for_handlers_is_told_with_the_line_that_takes_it(desk: FlowDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """A call of a flow that listens, and a message of its queue that tells of no file; what tells of one is taken care of."""
    rewritten(desk, "lambda:", f"{LISTENS}lambda:")
    with pytest.raises(FixConfig, match="the flow orders is of the kind listen") as raised:
        handle(desk, {"flow": "orders"})
    assert str(raised.value).endswith(LINE)
    landed = {"Records": [desk.land("in/a.csv", "key,name\na,A\n")]}
    capsys.readouterr()
    assert failures(handle(desk, sqs_event('{"id": 17}', landed))) == ["m0"]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (failed,) = [line for line in lines if line.get("failed")]
    assert failed["error"].endswith(LINE)
    assert failures(handle(desk, sqs_event('{"id": 17}', arn="arn:aws:sqs:us-east-1:123456789012:another"))) == ["m0"]
    assert LINE not in capsys.readouterr().out


def test_where_all_flows_listen_any_event_is_told_so(desk: FlowDesk) -> None:
    """Also one that comes without a queue."""
    flow = LISTENS.replace(":Orders", "").replace(
        "    dead_letters: orders-dead\n    known_as: orders\n    offload: big\n", "    store: env:CLAIMS\n"
    )
    desk.desk.file("halocline.yaml", f"flows:\n{flow}")
    _configuration.cache_clear()
    with pytest.raises(FixConfig) as raised:
        handle(desk, {"source": "my.shop", "detail-type": "Order.placed", "detail": {"id": 17}})
    line = "from my_project.events import handlers; handler = aws_lambda.handles(handlers, store='env:CLAIMS')"
    assert str(raised.value).endswith(line)


# ---- files


def test_a_file_in_a_queue_is_taken_care_of(desk: FlowDesk) -> None:
    """Rows are in the org, the refused one in the report, the file in the archive; the message is done."""
    record = desk.land("in/some file+ä.csv", "key,name\na,A\nb,\n")
    assert failures(handle(desk, sqs_event({"Records": [record]}))) == []
    assert desk.desk.accounts() == [("a", "A")]
    archived, report = desk.names()
    assert (archived.startswith("archive/in/some file+ä"), report.startswith("errors/in/some file+ä")) == (True, True)


def test_a_delivery_that_comes_again_changes_nothing(desk: FlowDesk) -> None:
    """Twice in one batch, and again later: one push, the same bucket."""
    event = {"Records": [desk.land("in/a.csv", "key,name\na,A\n")]}
    assert failures(handle(desk, sqs_event(event, event))) == []
    before = (desk.names(), len(desk.desk.runs()))
    desk.desk.sent()
    assert failures(handle(desk, sqs_event(event))) == []
    assert (desk.names(), len(desk.desk.runs()), desk.desk.sent()) == (*before, [])


def test_one_bad_record_stops_no_other(desk: FlowDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no event, what no flow takes and a file that is gone come again, each told in the log; the rest is done."""
    gone = desk.land("in/gone.csv", "key,name\ng,G\n")
    desk.bucket.client.delete_object(Bucket=desk.bucket.name, Key="in/gone.csv")
    bodies = [
        {"Records": [desk.land("in/a.csv", "key,name\na,A\n")]},
        "no JSON",
        {"Records": [gone]},
        {"Records": [desk.land("elsewhere/x.csv", "key,name\nx,X\n")]},
        {"Records": [desk.land("in/other/b.csv", "Ext__c,Name\nb,B\n")]},
    ]
    assert failures(handle(desk, sqs_event(*bodies))) == ["m1", "m2", "m3"]
    assert desk.desk.accounts() == [("a", "A"), ("b", "B")]
    told = {
        one["message"]: one["error"] for line in capsys.readouterr().out.splitlines() if (one := json.loads(line)).get("message")
    }
    assert ("is no JSON" in told["m1"], "in/gone.csv" in told["m2"], "no flow takes s3://" in told["m3"]) == (True, True, True)


def test_news_that_means_no_work_is_done(desk: FlowDesk) -> None:
    """S3's test, a removal, the marks of folders, and what flows put into the bucket themselves."""
    removed = desk.land("in/a.csv", "") | {"eventName": "ObjectRemoved:Delete"}
    own = [desk.land(key, "") for key in ("archive/in/x.csv", "errors/x.csv", "in/folder/")]
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": desk.bucket.name}
    assert failures(handle(desk, sqs_event(test, {"Records": [removed]}, {"Records": own}))) == []
    assert desk.desk.runs() == []


def test_events_that_no_flow_is_for_may_be_ignored(desk: FlowDesk) -> None:
    """By a setting; without it they fail, so that they reach a dead letter queue."""
    event = sqs_event({"Records": [desk.land("elsewhere/x.csv", "")]})
    assert failures(handle(desk, event)) == ["m0"]
    rewritten(desk, "{margin: 5}", "{unmatched: ignore}")
    assert failures(handle(desk, event)) == []


def test_every_envelope_of_s3_is_known(desk: FlowDesk) -> None:
    """S3 by itself, by SNS, by EventBridge: the answer says what was done."""
    bare = {"Records": [desk.land("in/a.csv", "key,name\na,A\n")]}
    answer = handle(desk, bare)
    (told,) = answer["results"]
    assert (answer["done"], told["flow"], told["success"], told["written"]) == (True, "companies", True, 1)
    inner = json.dumps({"Records": [desk.land("in/b.csv", "key,name\nb,B\n")]})
    handle(desk, {"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": inner}}]})
    desk.land("in/c.csv", "key,name\nc,C\n")
    detail = {"bucket": {"name": desk.bucket.name}, "object": {"key": "in/c.csv", "size": 13}}
    handle(desk, {"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    assert desk.desk.accounts() == [("a", "A"), ("b", "B"), ("c", "C")]


def test_what_failed_is_raised_where_nobody_reads_an_answer(desk: FlowDesk) -> None:
    """S3 and SNS deliver again only what raises: all that failed is in the error, and what could be done is done."""
    good, bad = desk.land("in/a.csv", "key,name\na,A\n"), desk.land("elsewhere/x.csv", "")
    with pytest.raises(FixConfig, match="no flow takes"):
        handle(desk, {"Records": [bad, good]})
    with pytest.raises(NotAllHandled, match="2 were not handled"):
        handle(desk, {"Records": [bad, desk.land("elsewhere/y.csv", "")]})
    assert desk.desk.accounts() == [("a", "A")]


def test_a_fifo_group_waits_for_the_one_that_failed(desk: FlowDesk) -> None:
    """What stands behind a failure in its group comes again too, unbegun; other groups go on."""
    bodies = [
        {"Records": [desk.land("in/a.csv", "key,name\na,A\n")]},
        "no JSON",
        {"Records": [desk.land("in/b.csv", "key,name\nb,B\n")]},
        {"Records": [desk.land("in/other/c.csv", "Ext__c,Name\nc,C\n")]},
    ]
    event = sqs_event(*bodies, arn="arn:aws:sqs:us-east-1:123456789012:landed.fifo", groups=("one", "one", "one", "two"))
    assert failures(handle(desk, event)) == ["m1", "m2"]
    assert desk.desk.accounts() == [("a", "A"), ("c", "C")]


def test_a_flow_that_cannot_log_in_fails_its_own_messages_only(desk: FlowDesk) -> None:
    """Another flow's files are done."""
    rewritten(desk, "    prefix: in/other/\n    to: org", "    prefix: in/other/\n    to: lost")
    path = Path("halocline.yaml")
    lost = "connections:\n  lost: {kind: salesforce, access_token: env:NOT_THERE, instance_url: https://x}\n"
    path.write_text(path.read_text().replace("connections:\n", lost, 1))
    bodies = [{"Records": [desk.land(key, "key,name,Ext__c,Name\na,A,x,X\n")]} for key in ("in/a.csv", "in/other/b.csv")]
    assert failures(handle(desk, sqs_event(*bodies))) == ["m1"]
    assert desk.desk.accounts() == [("a", "A")]


# ---- calls and schedules

SYNC = """
  accounts:
    kind: sync
    from: org
    to: duckdb:///lake.duckdb
    objects: [Account]
    fields: [Id, Name]
    schedule: nightly
lambda: {"""


def test_a_schedule_starts_its_flows(desk: FlowDesk) -> None:
    """Those that name the rule; a rule that no flow names is an error."""
    rewritten(desk, "lambda: {", SYNC.lstrip("\n"))
    desk.desk.emulator.create("Account", {"Ext__c": "a", "Name": "A"})
    event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
    answer = handle(desk, {**event, "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly"]})
    assert [(one["flow"], one["actual_records"]) for one in answer["results"]] == [("accounts", 1)]
    with duckdb.connect("lake.duckdb") as lake:
        assert lake.execute('SELECT Name FROM "Account"').fetchall() == [("A",)]
    with pytest.raises(FixConfig, match="no flow has the schedule hourly"):
        handle(desk, {**event, "resources": ["arn:aws:events:us-east-1:123456789012:rule/hourly"]})


def test_a_flow_is_called_by_its_name(desk: FlowDesk) -> None:
    """By Step Functions, by a message: all files that lie there, or one; names and keys that are not known are told."""
    for name in ("a", "b", "c"):
        desk.land(f"in/{name}.csv", f"key,name\n{name},{name.upper()}\n")
    answer = handle(desk, {"flow": "companies", "key": "in/b.csv"})
    assert [(one["file"], one["state"]) for one in answer["results"]] == [(f"{desk.bucket}/in/b.csv", "done")]
    assert failures(handle(desk, sqs_event({"flow": "companies"}, {"flow": "compani"}, {"flow": "companies", "kye": "x"}))) == [
        "m1",
        "m2",
    ]
    assert desk.desk.accounts() == [("a", "A"), ("b", "B"), ("c", "C")]
    with pytest.raises(NotFound, match="Did you mean companies"):
        handle(desk, {"flow": "compani"})


PUSHES = """
  ins: {kind: push, file: two.csv, to: org, object: Account, mode: insert, schedule: nightly}
  ins2: {kind: push, file: none.csv, to: org, object: Account, mode: insert, schedule: nightly}
lambda: {"""


@pytest.fixture
def pushes(desk: FlowDesk) -> FlowDesk:
    """A desk with an insert of two rows, and one whose file is not there yet."""
    rewritten(desk, "lambda: {", PUSHES.lstrip("\n"))
    desk.desk.file("two.csv", "Name\nA\nB\n")
    return desk


def names(desk: FlowDesk) -> list[str]:
    """The accounts in the order in which they were made."""
    return [one["Name"] for one in desk.desk.emulator.query("SELECT Name, Id FROM Account ORDER BY Id")]


NIGHTLY = {"detail-type": "Scheduled Event", "resources": ["arn:aws:events:us-east-1:1:rule/nightly"]}
BOTH = {"flows": ["ins", "ins2"]}


@pytest.mark.parametrize(
    ("event", "request_id"),
    [
        (sqs_event(BOTH), ""),
        (NIGHTLY | {"id": "e1"}, ""),
        (NIGHTLY, "r1"),
        (BOTH, "r1"),
        (BOTH | {"id": "execution-1"}, ""),
    ],
    ids=["message", "event", "event-repeated", "call-repeated", "call-with-id"],
)
def test_a_flow_that_was_done_is_passed_over(pushes: FlowDesk, event: dict[str, Any], request_id: str) -> None:
    """Beside one that fails, and at every delivery behind; what asks anew is done anew."""
    pushes.context.aws_request_id = request_id

    def is_done(asked: dict[str, Any]) -> bool:
        try:
            return failures(handle(pushes, asked)) == [] if "Records" in asked else handle(pushes, asked)["done"]
        except NotFound:
            return False

    assert [is_done(event) for _ in range(3)] == [False, False, False]
    assert names(pushes) == ["A", "B"]
    pushes.desk.file("none.csv", "Name\nC\n")
    assert [is_done(event) for _ in range(2)] == [True, True]
    assert names(pushes) == ["A", "B", "C"]
    pushes.context.aws_request_id = "another"
    assert is_done({"flow": "ins2"})
    assert names(pushes) == ["A", "B", "C", "C"]


def test_what_is_passed_over_is_told(pushes: FlowDesk) -> None:
    """In the answer, as a file that was taken care of before."""
    event = {"flow": "ins", "id": "x"}
    assert handle(pushes, event)["results"][0]["written"] == 2
    assert handle(pushes, event) == {"done": True, "results": [{"flow": "ins", "success": True, "state": "again"}]}


def test_a_key_in_a_message_that_comes_again_is_done(desk: FlowDesk) -> None:
    """The file is in the archive by then; it is not looked for any more."""
    desk.land("in/a.csv", "key,name\na,A\n")
    event = sqs_event({"flow": "companies", "key": "in/a.csv"})
    assert [failures(handle(desk, event)) for _ in range(2)] == [[], []]
    assert desk.desk.accounts() == [("a", "A")]


def test_a_file_of_another_flow_is_refused(desk: FlowDesk) -> None:
    """Whoever names it is told whose it is."""
    desk.land("in/other/a.csv", "Ext__c,Name\na,A\n")
    with pytest.raises(FixConfig, match="it belongs to the flow other"):
        handle(desk, {"flow": "companies", "key": "in/other/a.csv"})
    assert handle(desk, {"flow": "companies"}) == {"done": True, "results": []}


BAD_CALLS: list[tuple[dict[str, Any], str]] = [
    ({"flows": None}, "names no flows"),
    ({"flows": 5}, "names no flows"),
    ({"flows": "ins"}, "names no flows"),
    ({"flows": []}, "names no flows"),
    ({"flows": ["ins", 5]}, "names no flows"),
    ({"flow": ["ins"]}, "names no flows"),
    ({"flow": "ins", "flows": ["ins"]}, "both flow and flows"),
    ({"flow": "companies", "bucket": "b"}, "a bucket is given without a key"),
    ({"flow": "companies", "key": None}, "key is no text"),
    ({"flow": "companies", "key": ""}, "key is no text"),
    ({"flow": "companies", "key": "x", "bucket": 5}, "bucket is no text"),
    ({"flows": ["companies", "other"], "key": "x"}, "several flows"),
    ({"flow": "ins", "key": "x"}, "the flow ins takes no files"),
    ({"flow": "ins", "id": 7}, "id is no text"),
    ({"flow": "ins", "on_timeout": "fail"}, "on_timeout is unknown"),
]


def test_a_call_of_another_shape_fails_alone(pushes: FlowDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """In a batch the messages beside it are done, and none does something else than was meant."""
    pushes.land("in/a.csv", "key,name\na,A\n")
    bodies = [call for call, _ in BAD_CALLS]
    assert failures(handle(pushes, sqs_event(*bodies, {"flow": "ins"}))) == [f"m{n}" for n in range(len(bodies))]
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {one["message"]: one["error"] for one in told if one.get("message")}
    assert [found[f"m{n}"] for n, (_, says) in enumerate(BAD_CALLS) if says not in found[f"m{n}"]] == []
    assert (names(pushes), pushes.names()) == (["A", "B"], ["in/a.csv"])


def test_a_defect_in_one_item_ends_no_other(pushes: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a flow raises is its own failure; its place is in the log."""
    record = pushes.land("in/a.csv", "key,name\na,A\n")

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by a defect")

    monkeypatch.setattr(FileFlow, "run", broken)
    event = sqs_event({"Records": [record]}, {"flow": "companies"}, {"flow": "ins"})
    assert failures(handle(pushes, event)) == ["m0", "m1"]
    assert names(pushes) == ["A", "B"]
    with pytest.raises(Stop, match="ZeroDivisionError: by a defect"):
        handle(pushes, {"Records": [record]})


def test_flows_run_in_the_order_asked(pushes: FlowDesk) -> None:
    """Not in that of their names; a schedule's in the file's order."""
    pushes.desk.file("none.csv", "Name\nC\n")
    answer = handle(pushes, {"flows": ["ins2", "companies", "ins"]})
    assert [one["flow"] for one in answer["results"]] == ["ins2", "ins"]
    rewritten(pushes, "lambda: {", PUSHES.lstrip("\n").replace("ins2:", "z:").replace("ins:", "y:").replace("z:", "a:"))
    assert [one["flow"] for one in handle(pushes, NIGHTLY)["results"]] == ["y", "a"]


def test_rows_that_are_refused_are_no_failure(pushes: FlowDesk) -> None:
    """Sent again they would be refused again: the push is done, and the answer says how many are not written."""
    pushes.desk.file("two.csv", "Ext__c,Name\na,\nb,\n")
    answer = handle(pushes, {"flow": "ins"})
    (told,) = answer["results"]
    assert (answer["done"], told["success"], told["written"], told["not_written"]) == (True, False, 0, 2)
    assert failures(handle(pushes, sqs_event({"flow": "ins"}))) == []
    assert "REQUIRED_FIELD_MISSING" in pushes.desk.type("errors", told["run"]).out


# ---- time


def test_without_time_nothing_is_begun(desk: FlowDesk) -> None:
    """All messages come again, none was touched; with time they are done."""
    event = sqs_event(*({"Records": [desk.land(f"in/{n}.csv", f"key,name\nk{n},N\n")]} for n in range(3)), {"flow": "other"})
    desk.context.left_ms = [0]
    assert failures(handle(desk, event)) == ["m0", "m1", "m2", "m3"]
    assert (desk.desk.runs(), len(desk.names())) == ([], 3)
    desk.context.left_ms = [60_000]
    assert failures(handle(desk, event)) == []
    assert len(desk.desk.accounts()) == 3


def test_a_batch_that_takes_too_long_goes_on_at_the_next_delivery(desk: FlowDesk, record_property: Says) -> None:
    """A slow org: the file at work is told to end, those behind it are not begun; deliveries later each row is there once."""
    rows = "".join(f"k{n:03},N\n" for n in range(450))
    bodies = [{"Records": [desk.land(f"in/{n}.csv", f"key,name\n{rows.replace('k', f'{n}k')}")]} for n in range(3)]
    desk.desk.emulator.faults.add("delay", path="composite", seconds=1.2, times=1_000)
    hops, left = 0, list(range(3))
    desk.desk.sent()
    desk.context.left_ms = [5_000]  # of which 3.3 s are for work: two files take 2.4 s of waiting, three 3.6 s
    while left and hops < 12:
        event = sqs_event(*(bodies[one] for one in left))
        left = [left[int(name[1:])] for name in failures(handle(desk, event))]
        hops += 1
    desk.desk.emulator.faults.clear()
    again = len([call for call in desk.desk.sent() if "composite" in call]) - 9
    record_property(SAYS, f"T19 Lambda's time: 3 files, {hops} deliveries, {again} calls with rows made again")
    assert (left, len(set(desk.desk.accounts())), again) == ([], 1_350, 0)
    assert len(desk.desk.accounts()) == 1_350
    assert hops > 1, "otherwise nothing was cut"


def test_step_functions_may_ask_for_the_rest(desk: FlowDesk) -> None:
    """A call that runs out of time answers what to call next; without being asked to, it raises."""
    desk.land("in/a.csv", "key,name\na,A\n")
    desk.context.left_ms = [0]
    answer = handle(desk, {"flows": ["companies", "other"], "on_timeout": "return"})
    assert answer == {"done": False, "results": [], "continue": {"flows": ["companies", "other"], "on_timeout": "return"}}
    with pytest.raises(RetryLater, match="no time left"):
        handle(desk, {"flow": "companies"})
    desk.context.left_ms = [60_000]
    assert handle(desk, answer["continue"])["done"] is True
    assert desk.desk.accounts() == [("a", "A")]


def test_out_of_time_one_file_tells_it_for_all(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow with many files ends at the first that there is no time for; the next call goes on there."""
    for number in range(20):
        desk.land(f"in/{number:02}.csv", f"key,name\nk{number},N\n")
    taken = itertools.count()
    monkeypatch.setattr(Connected, "is_over", lambda _: next(taken) >= 3)  # asked once before the flow, and before each file
    event = {"flow": "companies", "on_timeout": "return"}
    answer = handle(desk, event)
    states = [one.get("state", "late") for one in answer["results"]]
    assert (answer["done"], states) == (False, ["done", "done", "late"])
    monkeypatch.undo()
    for name, value in desk.desk.env.items():
        monkeypatch.setenv(name, value)


def test_what_time_would_not_help_is_no_matter_of_time(pushes: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that would come again is raised, though the time is over when it is told, and though others were late."""
    over = threading.Event()
    monkeypatch.setattr(Connected, "is_over", lambda _: over.is_set())

    def missing(*_: object, **__: object) -> None:
        over.set()
        raise FixConfig("Reading", "a thing that is not there")

    monkeypatch.setattr(PushFlow, "rows", missing)
    with pytest.raises(NotAllHandled, match="a thing that is not there"):
        handle(pushes, {"flows": ["ins", "companies"], "on_timeout": "return"})


def test_a_push_that_is_cut_off_is_to_be_called_again(pushes: FlowDesk) -> None:
    """Its halt is a matter of time; the next call goes on with its run, and no row comes twice."""
    pushes.desk.file("two.csv", "Name\n" + "".join(f"N{n:03}\n" for n in range(900)))
    pushes.desk.emulator.faults.add("delay", path="composite", seconds=1.0, times=1_000)
    event: dict[str, Any] = {"flow": "ins", "on_timeout": "return"}
    pushes.context.left_ms = [1_500]  # of which one second is for work
    answer = handle(pushes, event)
    assert (answer["done"], answer["continue"]) == (False, {"flows": ["ins"], "on_timeout": "return"})
    pushes.desk.emulator.faults.clear()
    pushes.context.left_ms = [60_000]
    assert handle(pushes, answer["continue"])["done"] is True
    assert sorted(names(pushes)) == [f"N{n:03}" for n in range(900)]


def test_an_answer_is_no_longer_than_a_state_may_be(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many results the first are in it, and how many are not; all are in the log."""
    many = [PushDone("x" * 200, "Account", None) for _ in range(2_000)]
    monkeypatch.setattr(FileFlow, "run", lambda *_, **__: iter(many))
    answer = handle(desk, {"flow": "companies", "on_timeout": "return"})
    assert len(json.dumps(answer)) < 256 << 10
    assert len(answer["results"]) + answer["results_left_out"] == 2_000
    assert len(answer["results"]) > 500


def test_a_login_may_lie_in_secrets_manager(desk: FlowDesk) -> None:
    """By reference; one that is not there is told by its name, and the message comes again."""
    secrets, config = boto3.client("secretsmanager"), desk.desk.emulator.config
    secrets.create_secret(Name="prod/sf", SecretString=json.dumps({"secret": config.consumer_secret}))
    rewritten(desk, "client_secret: env:SF_CLIENT_SECRET", "client_secret: aws-sm:prod/sf#secret")
    event = sqs_event({"Records": [desk.land("in/a.csv", "key,name\na,A\n")]})
    assert (failures(handle(desk, event)), desk.desk.accounts()) == ([], [("a", "A")])
    secrets.delete_secret(SecretId="prod/sf", ForceDeleteWithoutRecovery=True)
    event = sqs_event({"Records": [desk.land("in/b.csv", "key,name\nb,B\n")]})
    assert failures(handle(desk, event)) == ["m0"]


def test_a_function_keeps_its_things_where_it_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """In /tmp, unless HALOCLINE_HOME says otherwise."""
    from halocline.config import Settings

    lambdas = {"AWS_LAMBDA_FUNCTION_NAME": "f", "HOME": "/nowhere"}
    assert Settings.from_env(lambdas).home.parent == Path(os.environ.get("TMPDIR", "/tmp"))
    assert Settings.from_env({**lambdas, "HALOCLINE_HOME": "/mnt/x"}).home == Path("/mnt/x")
