"""Laws of the Lambda function: each event reaches its flow, what failed comes again and nothing else, and time is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest

from halocline import aws_lambda
from halocline.consume.aws_lambda import _configuration
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.errors import FixConfig, NotAllHandled, NotFound, RetryLater
from tests.connectors.files.server import s3
from tests.figures import SAYS, Says
from tests.system import push_desk
from tests.system.flow_desk import FLOWS, SCHEMA, FlowDesk, failures, flow_desk, sqs_event
from tests.system.push_desk import desk_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("org")
    schemas = (folder / "account.yaml", folder / "run.yaml")
    for path, text in zip(schemas, (push_desk.SCHEMA, SCHEMA), strict=True):
        path.write_text(text, encoding="utf-8")
    with s3(), Emulator(EmulatorConfig(schemas=schemas)) as running:
        running.checkpoint()
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
