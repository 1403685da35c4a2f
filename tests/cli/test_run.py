"""Laws of flows on the command line: `halocline run` does what the file says, and tells it as `sync` and `push` do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from halocline.emulator.server import Emulator
from halocline.flows import run as run_module
from tests.command_line import app
from tests.system.push_desk import PushDesk, desk_at, push_org

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

FLOWS = """
connections:
  org:
    kind: salesforce
    login_url: env:SF_LOGIN_URL
    client_id: env:SF_CLIENT_ID
    client_secret: env:SF_CLIENT_SECRET
  lake: duckdb:///lake.duckdb
flows:
  accounts:
    kind: sync
    from: org
    to: lake
    objects: [Account]
    fields: [Id, Name, Ext__c]
    mask: {Account.Ext__c: null}
    rename: {Account.Name: label}
  from_file:
    kind: push
    to: org
    object: Account
    key: Ext__c
    file: data/some.csv
    mapping: {key: Ext__c, name: {target: Name, transform: strip}}
  from_query:
    kind: push
    from: lake
    query: SELECT 'q' AS "Ext__c", 'Query' AS "Name"
    object: Account
    key: Ext__c
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with push_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def desk(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushDesk:
    desk = desk_at(emulator, tmp_path, monkeypatch)
    desk.file("halocline.yaml", FLOWS)
    (tmp_path / "data").mkdir()
    desk.file("data/some.csv", "key,name\na, A \nb,B\n")
    duckdb.connect("lake.duckdb").close()
    return desk


def test_a_sync_flow_is_run(desk: PushDesk) -> None:
    """Objects come into the table with the columns that are meant of them; the second run reads what changed."""
    desk.emulator.create("Account", {"Ext__c": "a", "Name": "A"})
    told = desk.type("run", "accounts")
    assert (told.exit_code, "Account -> main.Account: regular_api_full, 1 inserted" in told.out) == (0, True), told
    with duckdb.connect("lake.duckdb") as lake:
        assert lake.execute('SELECT label, Ext__c FROM "Account"').fetchall() == [("A", None)]
    (document,) = desk.documents("run", "accounts")
    wanted = {"flow": "accounts", "sync_method": "regular_api_incremental", "success": True, "exit_code": 0}
    assert document == {**document, **wanted}


def test_a_folder_is_no_secret_in_a_file(desk: PushDesk) -> None:
    """A URI that begins with file: is where tables go, though `file:PATH` is where a secret lies."""
    desk.file("halocline.yaml", FLOWS.replace("duckdb:///lake.duckdb", f"file://{desk.folder}/lake"))
    desk.emulator.create("Account", {"Ext__c": "a", "Name": "A"})
    told = desk.type("run", "accounts")
    assert (told.exit_code, "1 inserted" in told.out) == (0, True), told
    assert list((desk.folder / "lake").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mask: {Account.Ext__c", "mask: {Acount.Ext__c"),
        ("rename: {Account.Name", "rename: {Lead.Name"),
        ("fields: [Id, ", "fields: [Id, Lead.Email, "),
        ("fields: [Id, Name, Ext__c]", "exclude: [Acount.Ext__c]"),
    ],
)
def test_a_column_of_an_object_that_is_not_meant_is_refused(desk: PushDesk, old: str, new: str) -> None:
    """A misspelt mask would carry what it is to hide; nothing is read."""
    desk.file("halocline.yaml", FLOWS.replace(old, new))
    for verb in ("run", "plan"):
        told = desk.type(verb, "accounts")
        assert (told.exit_code, "which is not among the objects (Account)" in told.err) == (2, True), told
    with duckdb.connect("lake.duckdb") as lake:
        assert lake.execute("SELECT table_name FROM information_schema.tables WHERE table_name = 'Account'").fetchall() == []


def test_a_push_flow_is_run(desk: PushDesk) -> None:
    """A file beside the configuration, mapped; the sentence is that of a push, and the run has the flow's name."""
    told = desk.type("run", "from_file")
    assert told.exit_code == 0, told
    assert re.match(r"from_file -> Account: upsert by collections, 2 written \(2 created, 0 updated\), 0 refused", told.out)
    assert desk.accounts() == [("a", "A"), ("b", "B")]
    assert desk.runs()[0]["flow"] == "from_file"


def test_all_flows_run_in_the_order_of_the_file(desk: PushDesk) -> None:
    """Queries are pushed too, into the org of the environment; each flow is told in its turn."""
    told = desk.type("run", "--all", "--json")
    documents = [json.loads(line) for line in told.out.splitlines()]
    assert [one["flow"] for one in documents] == ["accounts", "from_file", "from_query"]
    assert (told.exit_code, told.err) == (0, "")
    assert desk.accounts() == [("a", "A"), ("b", "B"), ("q", "Query")]


def test_a_flow_that_fails_stops_no_other(desk: PushDesk) -> None:
    """The gravest exit code is the command's; what failed is told with its flow."""
    desk.file("data/some.csv", "key,name\na,\n")
    told = desk.type("run", "from_file", "from_query")
    assert (told.exit_code, desk.accounts()) == (3, [("q", "Query")]), told
    Path("data/some.csv").unlink()
    first, second = desk.documents("run", "from_file", "from_query")
    assert (first["flow"], first["success"], first["exit_code"], first["kind"]) == ("from_file", False, 2, "NotFound")
    assert (second["flow"], second["success"]) == ("from_query", True)


@pytest.mark.parametrize("as_json", [True, False])
def test_what_nobody_thought_of_stops_no_other_flow(desk: PushDesk, monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> None:
    """It is told with its flow and its place, and the command fails with 1; the traceback goes to standard error."""
    real = run_module.run_flow

    def run_flow(name: str, *given: object, **more: object) -> object:
        if name == "from_file":
            raise ZeroDivisionError("a defect")
        return real(name, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "run_flow", run_flow)
    told = CliRunner().invoke(app, ["run", "from_file", "from_query", *(["--json"] if as_json else [])], env=desk.env)
    assert (told.exit_code, desk.accounts()) == (1, [("q", "Query")]), told
    assert "Traceback (most recent call last)" in told.stderr
    said = "Running the command: something unforeseen came up (ZeroDivisionError: a defect (" + __file__
    if as_json:
        first, second = [json.loads(line) for line in told.stdout.splitlines()]
        assert (first["flow"], first["success"], first["exit_code"], second["flow"]) == ("from_file", False, 1, "from_query")
        assert first["error"].startswith(said)
    else:
        assert f"Failed: from_file: {said}" in told.stderr


def test_an_object_that_is_not_there_is_told_with_its_flow(desk: PushDesk) -> None:
    """In JSON and in words; and a file of a flow with its name."""
    desk.file("halocline.yaml", FLOWS.replace("[Account]", "[Account, Nope__c]"))
    (document,) = [one for one in desk.documents("run", "accounts") if one["exit_code"]]
    assert (document["flow"], document["sobject"], document["success"], document["exit_code"]) == (
        "accounts",
        "Nope__c",
        False,
        2,
    )
    assert "Please check: accounts: " in desk.type("run", "accounts").err


def test_a_value_with_its_own_mind_on_equality_is_refused_with_its_row(desk: PushDesk) -> None:
    """As a NumPy array, or the NA of pandas, whose == is neither true nor false."""
    text = "    kind: push\n    object: Account\n    key: Ext__c\n    rows: odd:rows\n    to: org\n"
    desk.file("halocline.yaml", f"{FLOWS}  odd:\n{text}")
    desk.file(
        "odd.py",
        "class NAType:\n    __hash__ = None\n    def __eq__(self, other): return self\n"
        "    def __bool__(self): raise TypeError('ambiguous')\n"
        "def rows(): return [{'Ext__c': 'a', 'Name': 'A'}, {'Ext__c': 'b', 'Name': 'B', 'n': NAType()}]\n".replace(
            "'n'", "'Description'"
        ),
    )
    (document,) = desk.documents("run", "odd")
    assert (document["exit_code"], document["written"], document["not_sent"]) == (3, 1, 1), document
    assert desk.accounts() == [("a", "A")]


def test_a_push_that_breaks_off_tells_what_is_written(desk: PushDesk) -> None:
    """The network goes half-way: the rows that are known are told, then the error; run again, it goes on."""
    desk.file("data/some.csv", "key,name\n" + "".join(f"k{n:03},N{n}\n" for n in range(600)))
    desk.emulator.faults.add("request_limit", path="composite", nth=2, times=1_000)
    (document,) = desk.documents("run", "from_file")
    desk.emulator.faults.clear()
    assert (document["flow"], document["success"], document["total"]) == ("from_file", False, 600), document
    assert document["exit_code"] != 0
    desk.type("run", "from_file")
    assert len(desk.accounts()) == 600


def test_a_push_that_stops_at_an_error_ends_as_by_hand(desk: PushDesk) -> None:
    """Code 3, as `halocline push --stop-on-error`; what was written by then is told."""
    desk.file("halocline.yaml", FLOWS.replace("    file: data", "    stop_on_error: true\n    batch_size: 1\n    file: data"))
    desk.file("data/some.csv", "key,name\na,A\nb,\nc,C\n")
    told = desk.type("run", "from_file")
    assert (told.exit_code, "stopped at the first error: row 1" in told.err, desk.accounts()) == (3, True, [("a", "A")]), told
    (document,) = desk.documents("run", "from_file")
    assert (document["success"], document["exit_code"], document["kind"]) == (False, 3, "Stopped")


def test_a_source_without_rows_is_told(desk: PushDesk) -> None:
    """It is a mistake unless the flow allows it."""
    desk.file("data/some.csv", "key,name\n")
    told = desk.type("run", "from_file")
    assert (told.exit_code, "some.csv has no rows" in told.err) == (2, True), told
    desk.file("halocline.yaml", FLOWS.replace("    file: data", "    allow_empty: true\n    file: data"))
    told = desk.type("run", "from_file")
    assert (told.exit_code, told.out) == (0, "from_file -> Account: 0 written, for there are no rows.\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name flows, or say --all"),
        (("accounts", "--all"), "name flows, or say --all"),
        (("acounts",), "Did you mean accounts?"),
        (("from_file", "nothing"), "there is none called 'nothing'"),
        (("accounts", "--file", "s3://b/k"), "is of the kind sync"),
        (("accounts", "from_file", "--file", "s3://b/k"), "name that one"),
        (("accounts", "--config", "other.yaml"), "`halocline init` writes one"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(desk: PushDesk, words: tuple[str, ...], says: str) -> None:
    """With 2, before anything is begun."""
    told = desk.type("run", *words)
    assert (told.exit_code, says in told.err, desk.runs()) == (2, True, []), told


def test_a_secret_that_is_not_there_is_told(desk: PushDesk) -> None:
    """By the name of its variable."""
    desk.file("halocline.yaml", FLOWS.replace("env:SF_CLIENT_SECRET", "env:NOT_THERE"))
    told = desk.type("run", "accounts")
    assert (told.exit_code, "the environment variable NOT_THERE is not set" in told.err) == (2, True), told


def test_a_plan_without_a_file_says_what_an_object_needs(desk: PushDesk) -> None:
    """Whoever forgot --to is not told of a file that was never thought of."""
    Path("halocline.yaml").unlink()
    told = desk.type("plan", "Account")
    assert (told.exit_code, "such as --to duckdb:///lake.duckdb" in told.err) == (2, True), told
    assert "halocline init" in desk.type("plan", "Account", "--config", "mine.yaml").err


def test_a_flow_may_be_planned(desk: PushDesk) -> None:
    """A sync by its method and reasons, a push by what would be sent; nothing is read or changed."""
    told = desk.type("plan", "accounts", "from_file")
    assert told.exit_code == 0, told
    assert ("regular_api_full" in told.out, "2 rows of some.csv" in told.out, desk.accounts()) == (True, True, [])
    first, second = desk.documents("plan", "accounts", "from_file")
    assert (first["flow"], first["method"], second["flow"], second["total"]) == ("accounts", "regular_api_full", "from_file", 2)
    for words, says in (
        ((), "name flows of halocline.yaml, or objects with --to"),
        (("nothing",), "none called 'nothing'"),
        (("accounts", "--where", "x"), "or leave --where out"),
    ):
        told = desk.type("plan", *words)
        assert (told.exit_code, says in told.err) == (2, True), told
