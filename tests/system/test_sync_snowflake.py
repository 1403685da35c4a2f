"""An org carried into a Snowflake, as people and programs do it. The Snowflake is an emulation; see docs/snowflake.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.connectors.snowflake.pages import Wire, leftovers, rows
from tests.connectors.snowflake.server import WORD, Server, snowflake_server
from tests.samples.documents import Document
from tests.system.laptop import Laptop, laptop
from tests.system.nursery import Done, Nursery

pytestmark = pytest.mark.system

LHT = Document("lht.md", "LHT")
BULK = ("--bulk-threshold", "40")  # a thousand otherwise


class Session:
    """What the document uses of a Snowpark session: `connection`, and `sql(...).collect()`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def sql(self, query: str) -> _Answer:
        return _Answer(self.connection, query)


class _Answer:
    def __init__(self, connection: Any, query: str) -> None:
        self._asked = connection, query

    def collect(self) -> list[Any]:
        connection, query = self._asked
        return list(connection.cursor().execute(query).fetchall())


Session.__module__ = "snowflake.snowpark.session"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with snowflake_server() as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    with laptop(tmp_path) as running:
        yield running


@pytest.fixture
def connection(server: Server, here: Laptop) -> Iterator[Any]:
    made = server.connect(server.database(here.folder))
    yield made
    made.close()


def halocline(here: Laptop, nursed: Nursery, *words: str, to: str, **more: str) -> Done:
    """Run a command, in a process of its own, against the org and the database; it shows neither a traceback nor the password."""
    login = {"SF_ACCESS_TOKEN": here.access_info["access_token"], "SF_INSTANCE_URL": here.access_info["instance_url"]}
    environment = {**os.environ, **login, "HALOCLINE_HOME": str(here.folder), **more}
    done = nursed.run(*words, "--to", to, env=environment, cwd=here.folder)
    for text in (done.out, done.err):
        assert "Traceback" not in text, text
        assert WORD not in text
        assert "nobody" not in text
    return done


def test_a_sync_by_the_command_line(here: Laptop, server: Server, connection: Any, nursed: Nursery) -> None:
    """Full, then what changed; rows, names and counts are the org's, the plan changes nothing, and nothing is left behind."""
    here.seed("Account", 50)
    database = server.database(here.folder)
    uri = server.uri(database)
    assert halocline(here, nursed, "plan", "Account", to=uri).code == 0
    assert rows(connection, f"SELECT count(*) FROM {database}.INFORMATION_SCHEMA.TABLES") == [(0,)]
    told = json.loads(halocline(here, nursed, "sync", "Account", "--json", "--schema", "raw", *BULK, to=uri).out)
    assert (told["sync_method"], told["actual_records"]) == ("bulk_api_full", 50)
    here.days_pass()
    kept = here.add("Account", 2, Name="new {n}", AnnualRevenue=1234567)
    around = {
        "SNOWFLAKE_PASSWORD": WORD,
        "SNOWFLAKE_ACCOUNT": "fake",
        "SNOWFLAKE_DATABASE": database,
        "SNOWFLAKE_SCHEMA": "PUBLIC",
    }
    around |= {"SNOWFLAKE_USER": "etl", "SNOWFLAKE_HOST": "127.0.0.1", "SNOWFLAKE_PORT": str(server.port)}
    done = halocline(
        here, nursed, "sync", "Account", "--json", "--schema", "raw", *BULK, to="snowflake://?protocol=http", **around
    )
    told = json.loads(done.out)
    assert (told["sync_method"], told["counts"]["inserted"]) == ("regular_api_incremental", 2)
    found = rows(connection, f"SELECT NAME, ANNUALREVENUE FROM RAW.ACCOUNT WHERE ID IN ('{kept[0]}', '{kept[1]}') ORDER BY 1")
    assert found == [("new 0", Decimal(1234567)), ("new 1", Decimal(1234567))]
    assert rows(connection, "SELECT count(*), count(DISTINCT ID) FROM RAW.ACCOUNT") == [(52, 52)]
    assert leftovers(connection) == []


def test_mistakes_are_told_without_the_password(here: Laptop, server: Server, nursed: Nursery) -> None:
    """A URI that cannot be read, an option that does not exist, no database: exit code 2, and a word about it."""
    for uri, said in (
        (f"snowflake://me:{WORD}@nobodys/db", "cannot be read"),
        (server.uri("DB", wherehouse="x"), "wherehouse"),
        ("snowflake://me@/db", "names no account"),
    ):
        done = halocline(here, nursed, "sync", "Account", to=uri)
        assert (done.code, said in done.err.replace("\n", " ")) == (2, True), done.err


def test_the_table_is_the_one_that_duckdb_gets(here: Laptop, connection: Any) -> None:
    """Every value of every column is the same in both, by REST as by Bulk."""
    here.seed("Account", 40)
    for bulk in (1, 1_000):
        job = SobjectSync("Account", "raw", "accounts", force_full_sync=True)
        with here.system(bulk=bulk) as lake:
            lake.run(job, Run.new())
        with IntelligentSync(connection, here.client, settings=here.settings) as system:
            system.BULK_API_THRESHOLD = bulk
            system.run(job, Run.new())
        theirs = here.lake.cursor().sql("FROM raw.accounts ORDER BY Id").to_arrow_table().to_pylist()
        cursor = connection.cursor()
        ours = cursor.execute('SELECT * FROM "RAW"."ACCOUNTS" ORDER BY "ID"').fetchall()
        names = [column[0] for column in cursor.description]
        assert names == [name.upper() for name in theirs[0]]
        assert [dict(zip(names, row, strict=True)) for row in ours] == [
            {name.upper(): value for name, value in row.items()} for row in theirs
        ]


# ---- the LHT document


def sample(here: Laptop, name: str, session: object) -> dict[str, Any]:
    """Run a sample of the document with a session of ours."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    every = {"session": session, "access_info": here.access_info, "sync_sobject_intelligent": sync_sobject_intelligent}
    return LHT.run(name, every)


def test_the_samples_run_on_a_session(here: Laptop, connection: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Basic, the stage that the document makes and uses, several objects and forced in full: as on DuckDB, in upper case."""
    for name in ("Account", "Contact", "Opportunity"):
        here.seed(name, 20)
    session = Session(connection)
    sample(here, "basic-intelligent-sync", session)
    assert capsys.readouterr().out == "Synced 20 records using regular_api_full\n"
    sample(here, "environment-setup", session)
    wire = Wire(connection)
    result = sample(here, "advanced-sync-with-stage", session)["result"]
    assert (result["success"], result["sync_method"], result["actual_records"]) == (True, "bulk_api_stage_full", 20)
    assert any(sql.startswith("PUT ") and " @SALESFORCE_STAGE/halocline/" in sql for sql in wire.statements)
    assert rows(connection, "LIST @SALESFORCE_STAGE") == []
    results = sample(here, "multiple-object-sync", session)["results"]
    assert all(one["success"] for one in results), results
    connection.cursor().execute("UPDATE RAW.ACCOUNTS SET NAME = 'scribbled'")
    result = sample(here, "force-full-sync", session)["result"]
    assert (result["success"], result["actual_records"]) == (True, 20)
    with sample(here, "custom-thresholds", session)["sync_system"] as system:
        told = system.sync_sobject("Account", "RAW", "ACCOUNTS")
    assert told["success"], told["error"]
    assert rows(connection, "SELECT count(*), COUNT_IF(NAME = 'scribbled') FROM RAW.ACCOUNTS") == [(20, 0)]
    for name in ("RAW.CONTACTS", "RAW.OPPORTUNITIES", "WAREHOUSE.CONTACTS"):
        assert rows(connection, f"SELECT count(*) FROM {name}") == [(20,)]
    assert leftovers(connection) == []


def test_errors_are_captured_in_the_answer(here: Laptop) -> None:
    """A database that is not to be had is in the answer, without its password, and never raised."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    uri = "snowflake://me:secret-word@acc/db?warehouses=x"
    told = sync_sobject_intelligent(uri, here.access_info, "Account", "RAW", "ACCOUNTS")
    assert told["success"] is False
    assert "warehouses" in str(told["error"])
    assert "secret-word" not in str(told)
