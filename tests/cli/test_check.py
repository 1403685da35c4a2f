"""Laws of `halocline check` and `schema`: every connection is tried, what is wrong is said, nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from halocline.emulator.server import Emulator
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

FLOWS = """
connections:
  org: {kind: salesforce, login_url: env:SF_LOGIN_URL, client_id: env:SF_CLIENT_ID, client_secret: env:SF_CLIENT_SECRET}
  lake: duckdb:///lake.duckdb
flows:
  accounts: {kind: sync, from: org, to: lake, objects: [Account]}
  file: {kind: push, file: some.csv, object: Account, key: Ext__c, mapping: map.yaml}
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    desk = desk_at(emulator, tmp_path, monkeypatch)
    desk.file("halocline.yaml", FLOWS)
    desk.file("some.csv", "key,name\na,A\n")
    desk.file("map.yaml", "mapping: {key: Ext__c}")
    return desk


def test_all_that_is_well_is_said(desk: PushDesk) -> None:
    """Ledger, connections, the environment's org, flows; a lake that does not exist yet is not made."""
    told = desk.type("check")
    assert told.exit_code == 0, told
    lines = {line.split()[1].rstrip(":"): line for line in told.out.splitlines()}
    assert [one for one in lines if one != "flow"] == ["ledger", "org", "lake", "salesforce"]
    assert "API calls left today" in lines["org"]
    assert "some.csv: 1 row for Account" in told.out
    assert not Path("lake.duckdb").exists()
    assert desk.emulator.query("SELECT Id FROM Account") == []


def test_each_thing_that_is_wrong_is_said(desk: PushDesk) -> None:
    """A login refused, a database that is none, a mapping that is not there; the others are tried all the same."""
    Path("lake.duckdb").write_text("no database, and long enough not to be taken for an empty one" * 100)
    Path("map.yaml").unlink()
    desk.file("secret", "wrong")
    Path("secret").chmod(0o600)
    desk.file("halocline.yaml", FLOWS.replace("env:SF_CLIENT_SECRET", f"file:{desk.folder}/secret"))
    documents = desk.documents("check")
    wrong = {one["name"]: one["kind"] for one in documents if not one["success"]}
    assert wrong.keys() == {"org", "lake", "flow file"}
    assert wrong["org"] == "LoginRefused"
    told = desk.type("check")
    assert (told.exit_code in {1, 2}, "failed  org" in told.out, "ok      ledger" in told.out) == (True, True, True), told
    assert "map.yaml" in told.err


def test_the_database_of_a_query_has_to_be_there(desk: PushDesk) -> None:
    """A push reads it, and nothing would make it, unless a flow of the same file puts tables there."""
    flow = "  q: {kind: push, from: lake, query: SELECT 1, object: Account, key: Ext__c}\n"
    desk.file("halocline.yaml", FLOWS + flow)
    (lake,) = [one for one in desk.documents("check") if one["name"] == "lake"]
    assert (lake["success"], lake["found"]) == (True, "can be reached")
    desk.file("halocline.yaml", (FLOWS + flow).replace("to: lake", "to: 'duckdb:///other.duckdb'"))
    (lake,) = [one for one in desk.documents("check") if one["name"] == "lake"]
    assert (lake["success"], lake["kind"]) == (False, "NotFound")
    duckdb.connect("lake.duckdb").close()
    (lake,) = [one for one in desk.documents("check") if one["name"] == "lake"]
    assert (lake["success"], lake["found"]) == (True, "answers queries")


def test_a_connection_that_is_only_read_needs_no_flow(desk: PushDesk) -> None:
    """Nothing is written into DynamoDB, so that it is no mistake of the connection; of a flow that would, it is."""
    desk.file("halocline.yaml", 'connections: {app: "dynamodb://?region=us-east-1"}\n')
    (app,) = [one for one in desk.documents("check") if one["name"] == "app"]
    assert (app["success"], app["found"]) == (True, "can be read")
    desk.file("halocline.yaml", FLOWS.replace("duckdb:///lake.duckdb", '"dynamodb://?region=us-east-1"'))
    (lake,) = [one for one in desk.documents("check") if one["name"] == "lake"]
    assert (lake["success"], "how to write to dynamodb" in lake["error"]) == (False, True)


IMPOSSIBLE = (
    ("{kind: push, file: some.csv, object: Acount, mode: insert}", "Did you mean Account"),
    ("{kind: push, file: some.csv, object: Account, key: Nope__c, mapping: {key: Nope__c}}", "Account has no such field"),
    ("{kind: push, file: some.csv, object: Account, key: Name, mapping: {key: Ext__c, name: Name}}", "no external id"),
    ("{kind: push, rows: 'nowhere_at_all:x', object: Account, mode: insert}", "there is no module nowhere_at_all"),
    ("{kind: push, from: lake, query: SELECT 1, object: Account, mode: insert, mapping: {a: Nme}}", "Did you mean Name"),
    ("{kind: sync, from: org, to: lake, objects: [Acount]}", "Did you mean Account"),
    ("{kind: sync, from: org, to: lake, objects: [Account], stage_name: '@S'}", "has no stages"),
    ("{kind: sync, from: org, to: lake, objects: [Account], fields: [Name], exclude: [Account.Name]}", "to be left out"),
    ("{kind: sync, from: org, to: lake, objects: [Account], mask: {Webiste: 'null'}}", "Did you mean Website"),
    ("{kind: listen, queue: q, handlers: 'nowhere_at_all:x'}", "there is no module nowhere_at_all"),
)


def test_a_flow_is_held_against_its_org(desk: PushDesk) -> None:
    """What it could never do is told now, of each with its line; nothing is sent."""
    duckdb.connect("lake.duckdb").close()
    desk.emulator.calls.clear()
    desk.file("halocline.yaml", FLOWS + "".join(f"  f{at}: {flow}\n" for at, (flow, _) in enumerate(IMPOSSIBLE)))
    told = {one["name"]: one for one in desk.documents("check")}
    for at, (_, says) in enumerate(IMPOSSIBLE):
        one = told[f"flow f{at}"]
        assert (one["state"], one["line"], one["exit_code"], says in one["error"]) == ("failed", 8 + at, 2, True), one
    flow, says = IMPOSSIBLE[0]
    desk.file("halocline.yaml", f"{FLOWS}  f: {flow}\n")
    said = desk.type("check")
    assert (said.exit_code, "failed  flow f (halocline.yaml, line 8)" in said.out, says in said.err) == (2, True, True), said
    assert desk.sent() == []


def test_a_flow_whose_connection_failed_is_skipped(desk: PushDesk) -> None:
    """It would only say the same once more; the connection has its line, or that of the flow which holds its URI."""
    flow = "  f: {kind: sync, from: org, to: 'duckdb://two.duckdb', objects: [Account]}\n"
    desk.file("halocline.yaml", FLOWS.replace("SF_CLIENT_ID", "NOT_SET") + flow)
    told = desk.type("check")
    assert "failed  org (halocline.yaml, line 3)" in told.out
    assert "failed  duckdb://... (halocline.yaml, line 8)" in told.out
    assert "skipped flow accounts: not tried, for org failed" in told.out
    assert told.err.count("NOT_SET") == told.err.count("NOT_SET is not set") * 2
    states = {one["name"]: (one["state"], one.get("line")) for one in desk.documents("check")}
    assert (states["org"], states["flow f"]) == (("failed", 3), ("skipped", 8))
    desk.file("halocline.yaml", "")
    assert "there are none yet" in desk.type("check").out


def test_a_mistake_in_the_file_is_said_first(desk: PushDesk) -> None:
    """With 2 and its line; nothing is tried."""
    desk.file("halocline.yaml", FLOWS.replace("kind: sync", "kind: snyc"))
    told = desk.type("check")
    assert (told.exit_code, told.out) == (2, "")
    assert "line 6: the flow 'accounts' has an unknown kind" in told.err


def test_a_variable_that_nothing_reads_is_warned_of(desk: PushDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name that may have been meant; all else stays, the exit code too. What a reference names is read."""
    desk.file("halocline.yaml", FLOWS.replace("env:SF_CLIENT_SECRET", "env:HALOCLINE_SECRET_OF_ORG"))
    given = {"HALOCLINE_LEDGR": "x", "SF_CLIENT_SECERT": "x", "HALOCLINE_ODD_THING": "x", "SF_LOG_LEVEL": "x", "OTHER_HOME": "x"}
    given |= {"INIESTA_CACHE": "redis://a", "INIESTA_LOCK_RETRY_COUNT": "3"}
    given |= {"HALOCLINE_SECRET_OF_ORG": desk.env["SF_CLIENT_SECRET"]}
    given |= {"HALOCLINE_LEDGER": "env:HALOCLINE_BOOKS", "HALOCLINE_BOOKS": str(desk.folder / "books.sqlite")}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    told = desk.type("check")
    warned = [line for line in told.out.splitlines() if line.startswith("warning ")]
    assert told.exit_code == 0, told
    assert warned == [
        "warning variable HALOCLINE_LEDGR: nothing reads it. Did you mean HALOCLINE_LEDGER?",
        "warning variable HALOCLINE_ODD_THING: nothing reads it. Unset it, unless another program needs it.",
        "warning variable INIESTA_CACHE: nothing reads it. Did you mean INIESTA_CACHES?",
        "warning variable SF_CLIENT_SECERT: nothing reads it. Did you mean SF_CLIENT_SECRET?",
    ]
    documents = [one for one in desk.documents("check") if one["state"] == "warning"]
    assert [one["name"] for one in documents] == ["variable " + line.split()[2].rstrip(":") for line in warned]
    assert {(one["success"], one["exit_code"]) for one in documents} == {(True, 0)}


def test_a_misspelt_name_of_the_file_is_told_with_what_it_led_to(desk: PushDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the error: there is no file where it is looked for then."""
    Path("halocline.yaml").rename("flows.yaml")
    monkeypatch.setenv("HALOCLINE_CONFG", "flows.yaml")
    told = desk.type("check")
    assert (told.exit_code, "Did you mean HALOCLINE_CONFIG?" in told.out, "halocline.yaml" in told.err) == (2, True, True), told


def test_the_schema_is_printed(desk: PushDesk) -> None:
    """As one JSON document."""
    told = desk.type("schema")
    assert json.loads(told.out)["title"] == "halocline.yaml"
