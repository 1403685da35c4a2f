"""Laws of examples/: each of the five jobs is a halocline.yaml that runs on a laptop and leaves the rows that it says."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import boto3
import duckdb
import pytest
from tests.system.push_desk import PushDesk, desk_at

from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.flows.reading import read
from halocline.testing.aws import FakeAWS

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KINDS = {
    "salesforce_to_warehouse": {"sync", "push"},
    "records_into_salesforce": {"push"},
    "files_in_s3": {"file"},
    "events": {"listen"},
    "demand_pipeline": {"tables"},
}
PATIENCE_S = 40.0


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    schemas = tuple(sorted(EXAMPLES.glob("*/org.yaml")))
    with Emulator(EmulatorConfig(schemas=schemas)) as running:
        running.checkpoint()
        yield running


@pytest.fixture
def desk(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[PushDesk]:
    """A desk at a copy of the example that the test is named for; modules of it are forgotten afterwards."""
    folder = tmp_path / "copy"
    shutil.copytree(EXAMPLES / request.param, folder)
    path, modules = list(sys.path), set(sys.modules)
    yield desk_at(emulator, folder, monkeypatch)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def of(example: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("desk", [example], indirect=True)


def test_there_is_one_for_each_job() -> None:
    """A halocline.yaml that is understood, of the kinds that the job needs, and a page of one screen."""
    assert {path.parent.name for path in EXAMPLES.glob("*/halocline.yaml")} == KINDS.keys()
    for name, kinds in KINDS.items():
        assert {flow.kind for flow in read(EXAMPLES / name / "halocline.yaml").flows.values()} == kinds
        assert len((EXAMPLES / name / "README.md").read_text().splitlines()) <= 50


@of("salesforce_to_warehouse")
def test_objects_become_tables_and_scores_go_back(desk: PushDesk) -> None:
    """Every record is a row; each account with opportunities gets ten points for each; the next run moves what changed."""
    desk.emulator.seed({"Account": 60, "Contact": 30, "Opportunity": 40}, number=1)
    desk.env["WAREHOUSE"] = f"duckdb:///{desk.folder}/lake.duckdb"
    assert desk.type("check").exit_code == 0  # the lake is not there yet, and the first flow makes it
    assert desk.type("run", "crm", "scores").exit_code == 0
    with duckdb.connect(str(desk.folder / "lake.duckdb")) as lake:
        counts = [
            lake.execute(f"SELECT count(*) FROM raw.{name}").fetchone() for name in ("accounts", "contacts", "opportunities")
        ]
        owned = dict(lake.execute('SELECT "AccountId", count(*) * 10 FROM raw.opportunities GROUP BY 1').fetchall())
    assert counts == [(60,), (30,), (40,)]
    wanted = {account: Decimal(score) for account, score in owned.items() if account is not None}
    org = desk.emulator.query("SELECT Id, Score__c FROM Account")
    found = {one["Id"]: None if one["Score__c"] is None else Decimal(str(one["Score__c"])) for one in org}
    assert {account: found[account] for account in wanted} == wanted
    again = {one["flow"]: one for one in desk.documents("run", "crm", "scores")}
    assert again["scores"]["unchanged"] == len(wanted)
    with duckdb.connect(str(desk.folder / "lake.duckdb")) as lake:
        told = dict(lake.execute('SELECT "Id", "Score__c" FROM raw.accounts').fetchall())
    assert told == found
    assert desk.type("run", "afresh").exit_code == 0


@of("records_into_salesforce")
def test_records_go_in_by_every_mode(desk: PushDesk) -> None:
    """Of a file, a query and a function; mapped by names and by functions; what is refused is told and stops nothing else."""
    desk.env["SHOP"] = "duckdb:///shop.duckdb"
    with duckdb.connect("shop.duckdb") as shop:
        shop.execute(Path("customers.sql").read_text())
    assert desk.type("check").exit_code == 0
    assert [desk.type("run", name).exit_code for name in ("accounts", "customers", "tiers", "leads")] == [3, 0, 0, 3]
    query = "SELECT Name, AnnualRevenue FROM Account WHERE Name IN ('Aab & Sons', 'Globex', 'Initech') ORDER BY Name"
    assert [tuple(one.values()) for one in desk.emulator.query(query)] == [("Aab & Sons", 1200000.5), ("Initech", 25000000.0)]
    tiers = "SELECT External_Customer_Id__c, Customer_Tier__c FROM Account WHERE External_Customer_Id__c != null ORDER BY Name"
    assert [tuple(one.values()) for one in desk.emulator.query(tiers)] == [("1", "Platinum"), ("2", "Gold"), ("3", "Silver")]
    leads = "SELECT External_Lead_Id__c, Email, Phone, LeadSource, Rating FROM Lead ORDER BY External_Lead_Id__c"
    assert [tuple(one.values()) for one in desk.emulator.query(leads)] == [
        ("L-1", "ada@engines.example", "+442071", "Web", "Hot"),
        ("L-2", "grace@navy.example", None, "Web", "Cold"),
    ]
    assert Path("refused.log").read_text().startswith("L-3: ")
    with duckdb.connect("shop.duckdb") as shop:
        shop.execute("UPDATE customers SET gone = true WHERE id = 3")
    assert desk.type("run", "gone", "customers").exit_code == 0
    assert [one["External_Customer_Id__c"] for one in desk.emulator.query(tiers)] == ["1", "2"]


@of("files_in_s3")
def test_a_file_that_landed_is_taken_care_of(desk: PushDesk, aws: FakeAWS) -> None:
    """Upserted, reported on, archived, and told of in a record of Salesforce; then there is nothing to do."""
    with closing(boto3.client("s3")) as s3:
        s3.create_bucket(Bucket="acme-landing")
        s3.put_object(Bucket="acme-landing", Key="some/s3/key/companies.csv", Body=Path("companies.csv").read_bytes())
        assert desk.type("check").exit_code == 0
        assert desk.type("run", "companies").exit_code == 3
        query = "SELECT My_External_ID__c, Name, Industry FROM Account WHERE My_External_ID__c != null ORDER BY Name"
        assert [tuple(one.values()) for one in desk.emulator.query(query)] == [
            ("MMM", "3M", "Manufacturing"),
            ("ABT", "Abbott Laboratories", "Healthcare"),
        ]
        archived, report = sorted(one["Key"] for one in s3.list_objects_v2(Bucket="acme-landing")["Contents"])
        assert archived.startswith("archive/some/s3/key/companies-")
        lines = s3.get_object(Bucket="acme-landing", Key=report)["Body"].read().decode().splitlines()
        assert (len(lines), "REQUIRED_FIELD_MISSING" in lines[1], '""symbol"": ""AOS""' in lines[1]) == (2, True, True)
        record = "SELECT Data_File__c, Number_of_Rows__c, Number_of_Errors__c FROM Integration_Execution__c"
        assert [tuple(one.values()) for one in desk.emulator.query(record)] == [(archived, 3.0, 1.0)]
        assert "nothing to do" in desk.type("run", "companies").out


@of("events")
def test_messages_go_to_their_handlers(desk: PushDesk, aws: FakeAWS) -> None:
    """By their events, and to the one for all else; the worker ends with 0 when it is told to."""
    environment = {**os.environ, **desk.env, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    runpy.run_path("send.py", run_name="__main__")
    with Path("worker.log").open("w") as log:
        worker = subprocess.Popen([sys.executable, "-m", "halocline", "listen", "users"], env=environment, stderr=log)
    try:
        ends = time.monotonic() + PATIENCE_S
        while len(_users()) < 3:
            assert time.monotonic() < ends, Path("worker.log").read_text()
            time.sleep(0.02)  # another process is looked at; nothing tells when
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0
    finally:
        worker.kill()
        worker.wait()
    assert _users() == [(1, "UserCreated.user", "Ada"), (2, "UserCreated.user", "Grace"), (3, "UserDeleted.user", None)]
    counts = [json.loads(line) for line in Path("worker.log").read_text().splitlines()][-1]
    assert (counts["received"], counts["done"], counts["deleted"]) == (3, 3, 3)


def _users() -> list[tuple[object, ...]]:
    if not Path("users.sqlite").exists():
        return []
    with closing(sqlite3.connect("users.sqlite")) as users:
        there = users.execute("SELECT count(*) FROM sqlite_master WHERE name = 'users'").fetchone()
        return sorted(users.execute("SELECT * FROM users").fetchall()) if there == (1,) else []
