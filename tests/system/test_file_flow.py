"""Laws of flows of files: a YAML file and nothing else does the typical use case, from the command line as by event."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from halocline import aws_lambda
from halocline.connectors.aws.s3 import S3
from halocline.consume.aws.aws_lambda import _configuration
from halocline.emulator.server import Emulator
from halocline.errors import Stop
from halocline.flows.reading import understood
from halocline.outcome import Counts
from tests.system.flow_desk import FLOWS, FlowDesk, failures, flow_desk, flow_org, sqs_event
from tests.system.push_desk import desk_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXECUTION = """    execution:
      object: Run__c
      key: Key__c
      fields: {Rows__c: "{rows}", Errors__c: "{errors}", Report__c: "{error_report_link}"}
    queue:"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with flow_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowDesk:
    return flow_desk(desk_at(emulator, tmp_path, monkeypatch), FLOWS.replace("    queue:", EXECUTION))


def test_files_that_lie_there_are_taken_care_of(desk: FlowDesk) -> None:
    """Each by itself: rows, report, archive and record; what is done is not done again."""
    desk.land("in/a.csv", "key,name\na,A\nb,\n")
    desk.land("in/b.csv", "key,name\nc,C\n")
    told = desk.desk.type("run", "companies")
    first, second = told.out.splitlines()
    assert told.exit_code == 3, told
    assert re.match(
        r"companies: s3://\S+/in/a\.csv: 2 rows, 1 written \(1 created, 0 updated\), 1 not; report errors/in/a-\w+", first
    )
    assert "in/b.csv: 1 row, 1 written" in second
    assert desk.desk.accounts() == [("a", "A"), ("c", "C")]
    runs = desk.desk.emulator.query("SELECT Key__c, Rows__c, Errors__c, Report__c FROM Run__c ORDER BY Rows__c")
    assert [(run["Rows__c"], run["Errors__c"]) for run in runs] == [(1, 0), (2, 1)]
    with urllib.request.urlopen(runs[1]["Report__c"]) as page:
        assert b"REQUIRED_FIELD_MISSING" in page.read()
    assert [name.split("/")[0] for name in desk.names()] == ["archive", "archive", "errors"]
    told = desk.desk.type("run", "companies")
    assert (told.exit_code, told.out) == (0, "companies: nothing to do\n")


@pytest.mark.parametrize("versions", [False, True])
def test_a_file_that_was_cut_off_behind_its_archive_gets_its_record(
    desk: FlowDesk, monkeypatch: pytest.MonkeyPatch, *, versions: bool
) -> None:
    """No listing of the bucket has it any more: the ledger tells that it is not done."""
    if versions:
        desk.bucket.client.put_bucket_versioning(Bucket=desk.bucket.name, VersioningConfiguration={"Status": "Enabled"})
    desk.land("in/a.csv", "key,name\na,A\n")
    with monkeypatch.context() as patch:
        patch.setattr("halocline.filejob.run._Work._record", _no_copy)
        assert desk.desk.type("run", "companies").exit_code == 1
    assert [name.split("/")[0] for name in desk.names()] == ["archive"]
    assert desk.desk.emulator.query("SELECT Id FROM Run__c") == []
    assert desk.desk.type("run", "companies").exit_code == 0
    assert len(desk.desk.emulator.query("SELECT Id FROM Run__c")) == 1
    assert desk.desk.type("run", "companies").out == "companies: nothing to do\n"


def test_the_same_file_dropped_once_more_is_new_work(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mapping mended, whoever drops the very same bytes again gets them carried; as long as one drop lies there it is one."""
    path, right = Path("halocline.yaml"), Path("halocline.yaml").read_text()
    path.write_text(right.replace("name: Name", "nmae: Name"))
    desk.land("in/a.csv", "key,name\na,A\n")
    told = desk.desk.type("run", "companies")
    assert (told.exit_code, desk.desk.accounts()) == (3, [])
    with monkeypatch.context() as patch:  # a second later, which S3 and moto tell only by their clock
        patch.setattr("moto.s3.models.utcnow", lambda: datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=2))
        desk.land("in/a.csv", "key,name\na,A\n")
    path.write_text(right)
    told = desk.desk.type("run", "companies")
    assert (told.exit_code, desk.desk.accounts()) == (0, [("a", "A")]), told
    assert [name.split("/")[0] for name in desk.names()] == ["archive", "archive", "errors"]


def test_the_rows_of_a_file_are_those_of_its_push(desk: FlowDesk) -> None:
    """`halocline errors` and `retry` of a file's run show and send what the push of its rows left."""
    desk.land("in/a.csv", "key,name\na,A\nb,\n")
    (document,) = desk.desk.documents("run", "companies")
    assert document["counts"] == Counts(inserted=1, rejected=1).to_json()
    by_file, by_push = (desk.desk.type("errors", document[name]) for name in ("run", "push_run"))
    assert "REQUIRED_FIELD_MISSING" in by_file.out
    assert by_file.out == by_push.out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("object: Run__c", "object: Rnu__c", "Rnu__c"),
        ("{Rows__c:", "{Rwos__c:", "Did you mean Rows__c"),
        ("{Rows__c:", "{CreatedDate:", "CreatedDate cannot be written"),
        ("key: Key__c", "key: Report__c", "the key Report__c is no external id"),
    ],
)
def test_a_record_that_could_never_be_made_is_told_before_anything_is_sent(desk: FlowDesk, old: str, new: str, says: str) -> None:
    """By `check` and by `run`; the file stays where it is, and is carried when the flow is mended."""
    right = Path("halocline.yaml").read_text()
    Path("halocline.yaml").write_text(right.replace(old, new))
    desk.land("in/a.csv", "key,name\na,A\n")
    (flow,) = [one for one in desk.desk.documents("check") if one["name"] == "flow companies"]
    assert (flow["success"], says in flow["error"]) == (False, True), flow
    told = desk.desk.type("run", "companies")
    assert (told.exit_code, says in told.err) == (2, True), told
    assert (desk.desk.accounts(), desk.names()) == ([], ["in/a.csv"])
    Path("halocline.yaml").write_text(right)
    assert desk.desk.type("run", "companies").exit_code == 0
    assert desk.desk.accounts() == [("a", "A")]


def test_a_finding_names_its_file(desk: FlowDesk) -> None:
    """It is told before the file's run begins, when the last run was of another file."""
    desk.land("in/1good.csv", "key,name\na,A\n")
    desk.land("in/2odd.csv", "key,nmae\nb,B\n")
    told = desk.desk.type("run", "companies").err
    (line,) = [one for one in told.splitlines() if "the source has no 'name'" in one]
    assert line.startswith("2odd.csv -> Account: Name: "), line


def test_one_file_may_be_named(desk: FlowDesk) -> None:
    """The others stay; one that is not there, or is none of the flow's, is told."""
    desk.land("in/a.csv", "key,name\na,A\n")
    desk.land("in/b.csv", "key,name\nb,B\n")
    desk.land("elsewhere.csv", "key,name\nx,X\n")
    (document,) = desk.desk.documents("run", "companies", "--file", f"{desk.bucket}/in/b.csv")
    wanted = {"flow": "companies", "state": "done", "written": 1, "success": True, "exit_code": 0}
    assert document == {**document, **wanted}
    assert (document["rows_read"], document["counts"]) == (1, Counts(inserted=1).to_json()), "as every other answer has them"
    assert desk.desk.accounts() == [("b", "B")]
    for file, says in (("in/c.csv", "there is no s3://"), ("elsewhere.csv", "is none of its files")):
        told = desk.desk.type("run", "companies", "--file", f"{desk.bucket}/{file}")
        assert (told.exit_code, says in told.err) == (2, True), told
    told = desk.desk.type("run", "companies", "--file", "elsewhere.csv")
    assert (told.exit_code, "Write s3://bucket/key" in told.err) == (2, True)
    assert desk.desk.type("plan", "companies").out == f"companies: 1 file to take care of\n  - {desk.bucket}/in/a.csv\n"


def test_a_flow_leaves_the_files_of_another(desk: FlowDesk) -> None:
    """Also what another put below its own prefixes; by --file it is refused, and its flow is named."""
    path = Path("halocline.yaml")
    path.write_text(
        path.read_text()
        .replace("prefix: in/\n", "prefix: ''\n")
        .replace("prefix: in/other/\n", "prefix: in/other/\n    archive: in/done/\n")
    )
    desk.land("in/other/b.csv", "Ext__c,Name\nb,B\n")
    desk.land("in/done/in/other/old.csv", "key,name\nold,Old\n")
    assert desk.desk.type("plan", "companies").out == "companies: 0 files to take care of\n"
    told = desk.desk.type("run", "companies")
    assert (told.exit_code, told.out, desk.desk.accounts()) == (0, "companies: nothing to do\n", [])
    for key, says in (
        ("in/other/b.csv", "it belongs to the flow other"),
        ("in/done/in/other/old.csv", "it is none of its files"),
    ):
        told = desk.desk.type("run", "companies", "--file", f"{desk.bucket}/{key}")
        assert (told.exit_code, says in told.err) == (2, True), told
    assert desk.desk.type("run", "other").exit_code == 0
    assert desk.desk.accounts() == [("b", "B")]


def test_a_file_that_is_none_stops_no_other(desk: FlowDesk) -> None:
    """It is reported on and archived like any other, and its flow goes on."""
    desk.land("in/a.csv", b"\xff\xfe\x00\x00")
    desk.land("in/b.csv", "key,name\nb,B\n")
    told = desk.desk.type("run", "companies")
    assert (told.exit_code, "could not be read" in told.out, desk.desk.accounts()) == (3, True, [("b", "B")]), told
    assert desk.names()[0].startswith("archive/in/a")


@pytest.mark.parametrize("versions", [False, True])
@pytest.mark.parametrize("by_hand_first", [False, True])
def test_what_one_way_began_the_other_goes_on_with(
    desk: FlowDesk, monkeypatch: pytest.MonkeyPatch, *, by_hand_first: bool, versions: bool
) -> None:
    """An event's run that stopped behind its inserts is gone on with by hand, and the other way round: no row comes twice."""
    for name, value in desk.desk.env.items():
        monkeypatch.setenv(name, value)
    _configuration.cache_clear()
    path = Path("halocline.yaml")
    path.write_text(path.read_text().replace("    key: Ext__c\n    mapping", "    mode: insert\n    mapping"))
    if versions:
        desk.bucket.client.put_bucket_versioning(Bucket=desk.bucket.name, VersioningConfiguration={"Status": "Enabled"})
    event = sqs_event({"Records": [desk.land("in/a.csv", "key,name\na,A\n")]})
    if versions:
        found = desk.bucket.client.head_object(Bucket=desk.bucket.name, Key="in/a.csv")
        body = json.loads(event["Records"][0]["body"])
        body["Records"][0]["s3"]["object"]["versionId"] = found["VersionId"]
        event["Records"][0]["body"] = json.dumps(body)

    def by_hand() -> bool:
        return desk.desk.type("run", "companies").exit_code == 0

    def by_event() -> bool:
        return failures(aws_lambda.handler(event, desk.context)) == []

    first, second = (by_hand, by_event) if by_hand_first else (by_event, by_hand)
    with monkeypatch.context() as patch:
        patch.setattr(S3, "copy", _no_copy)
        assert not first()
    assert second()
    assert first()
    assert desk.desk.accounts() == [("a", "A")]
    assert len(desk.desk.emulator.query("SELECT Id FROM Run__c")) == 1
    assert [name.split("/")[0] for name in desk.names()] == ["archive"]


def by_versions(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch, *texts: str) -> list[dict[str, Any]]:
    """These contents put under one key in a bucket with versions, a few seconds between them; their events, and a Lambda."""
    for name, value in desk.desk.env.items():
        monkeypatch.setenv(name, value)
    _configuration.cache_clear()
    desk.bucket.client.put_bucket_versioning(Bucket=desk.bucket.name, VersioningConfiguration={"Status": "Enabled"})
    events = []
    for number, text in enumerate(texts):
        with monkeypatch.context() as patch:
            now = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=5 * (number - len(texts)))
            patch.setattr("moto.s3.models.utcnow", lambda now=now: now)
            record = desk.land("in/a.csv", text)
        record["s3"]["object"]["versionId"] = desk.bucket.client.head_object(Bucket=desk.bucket.name, Key="in/a.csv")["VersionId"]
        events.append(sqs_event({"Records": [record]}))
    return events


def test_an_older_file_whose_event_comes_after_a_newer_one_was_sent_by_hand_is_not_sent(
    desk: FlowDesk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An event tells a sequencer and a hand none: the bucket's instants say which of the two is older."""
    old, new = by_versions(desk, monkeypatch, "key,name\na,Old\n", "key,name\na,New\n")
    assert desk.desk.type("run", "companies").exit_code == 0
    capsys.readouterr()
    assert failures(aws_lambda.handler(old, desk.context)) == []
    assert '"state": "superseded"' in capsys.readouterr().out
    assert failures(aws_lambda.handler(new, desk.context)) == []
    assert desk.desk.accounts() == [("a", "New")]
    assert sorted(desk.desk.emulator.query("SELECT Rows__c FROM Run__c"), key=str) == [{"Rows__c": 0.0}, {"Rows__c": 1.0}]


def test_a_version_that_a_hand_only_began_is_taken_care_of_by_its_event(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """That run had noted nothing, and looks for the file at its key, where a newer one lies by now."""
    path = Path("halocline.yaml")
    path.write_text(path.read_text().replace("    key: Ext__c\n    mapping", "    mode: insert\n    mapping"))
    (old,) = by_versions(desk, monkeypatch, "key,name\na,A\n")
    with monkeypatch.context() as patch:
        patch.setattr("halocline.filejob.run._Work._fetch", _no_copy)
        assert desk.desk.type("run", "companies").exit_code == 1
    desk.land("in/a.csv", "key,name\nb,B\n")
    assert failures(aws_lambda.handler(old, desk.context)) == []
    assert desk.desk.accounts() == [("a", "A")]
    assert desk.desk.type("run", "companies").exit_code == 0
    assert desk.desk.accounts() == [("a", "A"), ("b", "B")]


def cut_off(desk: FlowDesk, *, mode: str = "upsert") -> None:
    """A file of three rows whose run stopped behind one row: any of them, for calls go side by side."""
    path = Path("halocline.yaml")
    more = f"batch_size: 1\n    api: collections\n    mode: {mode}" + ("\n    key: Ext__c" if mode == "upsert" else "")
    path.write_text(path.read_text().replace("    key: Ext__c\n    mapping", f"    {more}\n    mapping"))
    desk.land("in/a.csv", "key,name\na,Old\nb,Old\nc,Old\n")
    rule = desk.desk.emulator.faults.add("request_limit", path="composite", nth=2, times=1_000)
    assert desk.desk.type("run", "companies").exit_code == 75
    desk.desk.emulator.faults.remove(rule)
    assert len(desk.desk.accounts()) == 1


@pytest.mark.parametrize("mode", ["upsert", "insert"])
@pytest.mark.parametrize("newer", ["key,name\nd,New\n", None], ids=["written over", "taken away"])
def test_a_file_that_went_while_it_was_sent_is_gone_on_with(desk: FlowDesk, newer: str | None, *, mode: str) -> None:
    """From what was put aside, before the file in its place; both are recorded, and then nothing is left to do."""
    cut_off(desk, mode=mode)
    desk.bucket.client.delete_object(Bucket=desk.bucket.name, Key="in/a.csv")
    if newer is not None:
        desk.land("in/a.csv", newer)
    begun = f"{desk.bucket}/in/a.csv, which was begun and not ended"
    lying = [] if newer is None else [f"{desk.bucket}/in/a.csv"]
    assert [line[4:] for line in desk.desk.type("plan", "companies").out.splitlines()[1:]] == [begun, *lying]
    (plan,) = desk.desk.documents("plan", "companies")
    assert (plan["begun"], plan["files"]) == ([f"{desk.bucket}/in/a.csv"], [f"{desk.bucket}/in/a.csv", *lying])
    old, *new = desk.desk.documents("run", "companies")
    assert desk.desk.documents("plan", "companies")[0]["files"] == []
    assert (old["rows"], old["written"], old["archive_key"]) == (3, 3, None)
    assert [one["written"] for one in new] == ([] if newer is None else [1])
    assert desk.desk.accounts() == [("a", "Old"), ("b", "Old"), ("c", "Old"), *([] if newer is None else [("d", "New")])]
    assert len(desk.desk.emulator.query("SELECT Id FROM Run__c")) == 1 + len(new)
    assert desk.desk.type("run", "companies").out == "companies: nothing to do\n"
    assert {run["state"] for run in desk.desk.runs() if "rows of file" not in run["flow"]} == {"done"}


def test_the_older_of_two_that_were_cut_off_comes_first(desk: FlowDesk) -> None:
    """What is under the key is not taken for the file that lay there before, though its run did not end either."""
    cut_off(desk)
    desk.land("in/a.csv", "key,name\na,New\n")
    rule = desk.desk.emulator.faults.add("request_limit", path="composite", times=1_000)
    assert desk.desk.type("run", "companies").exit_code == 75
    desk.desk.emulator.faults.remove(rule)
    told = desk.desk.documents("run", "companies")
    assert [one["state"] for one in told][-1] == "done"
    assert dict(desk.desk.accounts())["a"] == "New"
    assert len({one["run"] for one in told}) == 2
    assert desk.desk.type("run", "companies").out == "companies: nothing to do\n"


def test_a_file_that_went_when_its_rows_were_sent_is_told_of(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run stopped before the report: the refused row is reported, though nobody has the file."""
    desk.land("in/a.csv", "key,name\na,A\nb,\n")
    with monkeypatch.context() as patch:
        patch.setattr("halocline.filejob.run._Work._report", _no_copy)
        assert desk.desk.type("run", "companies").exit_code == 1
    desk.bucket.client.delete_object(Bucket=desk.bucket.name, Key="in/a.csv")
    (document,) = desk.desk.documents("run", "companies")
    assert (document["written"], document["errors"], document["exit_code"]) == (1, 1, 3)
    assert desk.names() == [document["error_key"]]
    assert desk.desk.type("run", "companies").out == "companies: nothing to do\n"


def test_by_hand_an_older_file_never_puts_its_values_over_newer_ones(desk: FlowDesk) -> None:
    """The newer was sent by its name, before the older was gone on with: that is told, once, and its rows are not sent."""
    cut_off(desk)
    desk.land("in/a.csv", "key,name\na,New\nb,New\nc,New\n")
    assert desk.desk.type("run", "companies", "--file", f"{desk.bucket}/in/a.csv").exit_code == 0
    (document,) = desk.desk.documents("run", "companies")
    assert (document["state"], document["exit_code"]) == ("superseded", 3)
    assert desk.desk.accounts() == [("a", "New"), ("b", "New"), ("c", "New")]
    assert desk.desk.type("run", "companies").out == "companies: nothing to do\n"


def test_a_file_that_went_before_anything_of_it_was_sent_is_let_go(desk: FlowDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody took it away: there is nothing to go on with."""
    desk.land("in/a.csv", "key,name\na,A\n")
    with monkeypatch.context() as patch:
        patch.setattr("halocline.filejob.run._Work._submit", _no_copy)
        assert desk.desk.type("run", "companies").exit_code == 1
    desk.bucket.client.delete_object(Bucket=desk.bucket.name, Key="in/a.csv")
    assert desk.desk.type("run", "companies").out == "companies: nothing to do\n"


def _no_copy(*_: object, **__: object) -> None:
    raise Stop("Copying", "the bucket is closed")


def test_the_bucket_is_checked(desk: FlowDesk) -> None:
    """Listed, with what its flows are for; one that is not there is told."""
    told = desk.desk.type("check")
    assert (told.exit_code, f"ok      landing: {desk.bucket}/: can be listed, and is empty" in told.out) == (0, True), told
    assert f"flow companies: files below {desk.bucket}/in/ go into Account" in told.out
    text = Path("halocline.yaml").read_text()
    Path("halocline.yaml").write_text(text.replace(desk.bucket.name, "nowhere-to-be-found"))
    told = desk.desk.type("check")
    assert (told.exit_code, "failed  landing" in told.out) == (2, True), told


@pytest.mark.parametrize("page", ["flows.md", "lambda.md"])
def test_what_the_pages_show_can_be_read(page: str) -> None:
    """Every block of YAML that is a whole file is understood; every block of JSON is JSON."""
    text = (DOCS / page).read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    whole = [block for block in blocks if "flows:" in block]
    assert whole
    for block in whole:
        assert understood(block).flows
    for block in re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        json.loads(block)
