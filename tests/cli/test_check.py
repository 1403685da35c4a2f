"""Laws of `halocline check`, `init` and `schema`: every connection is tried, what is wrong is said, nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from halocline.emulator.server import Emulator
from halocline.flows.reading import read
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
    assert "some.csv: 1 rows for Account" in told.out
    assert not Path("lake.duckdb").exists()
    assert desk.emulator.query("SELECT Id FROM Account") == []


def test_each_thing_that_is_wrong_is_said(desk: PushDesk) -> None:
    """A login refused, a database that is none, a mapping that is not there; the others are tried all the same."""
    Path("lake.duckdb").write_text("no database, and long enough not to be taken for an empty one" * 100)
    Path("map.yaml").unlink()
    desk.file("secret", "wrong")
    desk.file("halocline.yaml", FLOWS.replace("env:SF_CLIENT_SECRET", f"file:{desk.folder}/secret"))
    documents = desk.documents("check")
    wrong = {one["name"]: one["kind"] for one in documents if not one["success"]}
    assert wrong.keys() == {"org", "lake", "flow file"}
    assert wrong["org"] == "LoginRefused"
    told = desk.type("check")
    assert (told.exit_code in {1, 2}, "failed  org" in told.out, "ok      ledger" in told.out) == (True, True, True), told
    assert "map.yaml" in told.err


def test_the_database_of_a_query_has_to_be_there(desk: PushDesk) -> None:
    """A push reads it; nothing would make it."""
    flow = "  q: {kind: push, from: lake, query: SELECT 1, object: Account, key: Ext__c}\n"
    desk.file("halocline.yaml", FLOWS + flow)
    (lake,) = [one for one in desk.documents("check") if one["name"] == "lake"]
    assert (lake["success"], lake["kind"]) == (False, "NotFound")
    duckdb.connect("lake.duckdb").close()
    (lake,) = [one for one in desk.documents("check") if one["name"] == "lake"]
    assert (lake["success"], lake["found"]) == (True, "answers queries")


def test_a_mistake_in_the_file_is_said_first(desk: PushDesk) -> None:
    """With 2 and its line; nothing is tried."""
    desk.file("halocline.yaml", FLOWS.replace("kind: sync", "kind: snyc"))
    told = desk.type("check")
    assert (told.exit_code, told.out) == (2, "")
    assert "line 6: the flow 'accounts' has an unknown kind" in told.err


def test_init_writes_a_file_once(desk: PushDesk) -> None:
    """One that can be read; what is there is not written over unless that is asked for."""
    told = desk.type("init")
    assert (told.exit_code, "is there already" in told.err) == (2, True)
    told = desk.type("init", "--config", "new.yaml")
    assert (told.exit_code, "halocline check" in told.out) == (0, True)
    assert list(read(Path("new.yaml")).flows) == ["accounts"]
    assert desk.type("init", "--force").exit_code == 0
    assert list(read(Path("halocline.yaml")).flows) == ["accounts"]


def test_the_schema_is_printed(desk: PushDesk) -> None:
    """As one JSON document."""
    told = desk.type("schema")
    assert json.loads(told.out)["title"] == "halocline.yaml"
