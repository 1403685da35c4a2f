"""An org carried into Parquet, CSV and JSON Lines files, as people and programs do it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline.connectors.files import read_table, table_files
from halocline.connectors.files.format import NAMES
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.connectors.files.server import bucket, s3
from tests.samples.documents import Document
from tests.system.laptop import Laptop, laptop
from tests.system.nursery import Done, Nursery

pytestmark = pytest.mark.system

LHT = Document("lht.md", "LHT")
BULK = ("--bulk-threshold", "40")  # a thousand otherwise


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    with laptop(tmp_path) as running:
        yield running


def halocline(here: Laptop, nursed: Nursery, *words: str, to: str) -> Done:
    """Run a command against the org and the folder; it shows no traceback."""
    login = {"SF_ACCESS_TOKEN": here.access_info["access_token"], "SF_INSTANCE_URL": here.access_info["instance_url"]}
    environment = {**os.environ, **login, "HALOCLINE_HOME": str(here.folder)}
    done = nursed.run(*words, "--to", to, env=environment, cwd=here.folder)
    assert "Traceback" not in done.out + done.err, done.err
    return done


def test_a_sync_by_the_command_line(here: Laptop, nursed: Nursery) -> None:
    """Full, then what changed, then in full again; rows and counts are the org's, and the plan makes no file."""
    here.seed("Account", 50)
    uri = f"file://{here.folder}/lake?partition_by=year(CreatedDate)"
    assert halocline(here, nursed, "plan", "Account", to=uri).code == 0
    assert not (here.folder / "lake").exists()
    done = halocline(here, nursed, "sync", "Account", "--json", *BULK, to=uri)
    told = json.loads(done.out)
    assert (done.code, told["sync_method"], told["actual_records"]) == (0, "bulk_api_full", 50)
    here.days_pass()
    here.add("Account", 2, Name="new {n}", AnnualRevenue=1234567)
    told = json.loads(halocline(here, nursed, "sync", "Account", "--json", *BULK, to=uri).out)
    assert (told["sync_method"], told["counts"]["inserted"]) == ("regular_api_incremental", 2)
    names = table_files(uri, "Account")
    found = duckdb.sql(f"SELECT Name, AnnualRevenue FROM read_parquet({names!r}) WHERE Name LIKE 'new %' ORDER BY 1").fetchall()
    assert [(name, int(revenue)) for name, revenue in found] == [("new 0", 1234567), ("new 1", 1234567)]
    assert "52 inserted" in halocline(here, nursed, "sync", "Account", "--full", to=uri).out
    every = f"{here.folder}/lake/Account/**/*.parquet"
    assert duckdb.sql(f"SELECT count(*), count(DISTINCT Id) FROM read_parquet('{every}')").fetchall() == [(52, 52)]


def test_mistakes_are_told(here: Laptop, nursed: Nursery) -> None:
    """A partition by a column that does not exist: exit code 2, and a word about it; no file was made."""
    done = halocline(here, nursed, "sync", "Account", to=f"file://{here.folder}/lake?partition_by=Nope")
    assert (done.code, "no column of this table" in " ".join(done.err.split())) == (2, True), done.err
    assert not list(here.folder.rglob("*.parquet"))


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_the_one_that_duckdb_gets(here: Laptop, name: str) -> None:
    """Every value of every column is the same in both, by REST as by Bulk, after a merge as after a full load."""
    here.seed("Account", 40)
    uri = f"file://{here.folder}/lake?format={name}"
    for bulk in (1, 1_000):
        job = SobjectSync("Account", "raw", "accounts", force_full_sync=True)
        _both(here, uri, job, bulk=bulk)
    here.days_pass()
    changed, gone = here.add("Account", 2, Name='odd\r\n"{n}"\u2028,;')
    _both(here, uri, SobjectSync("Account", "raw", "accounts"), bulk=1)
    here.change("Account", changed, Name="")
    here.delete("Account", gone)
    _both(here, uri, SobjectSync("Account", "raw", "accounts"), bulk=1_000)


def _both(here: Laptop, uri: str, job: SobjectSync, *, bulk: int) -> None:
    with here.system(bulk=bulk) as lake:
        lake.run(job, Run.new())
    with IntelligentSync(uri, here.client, settings=here.settings) as system:
        system.BULK_API_THRESHOLD = bulk
        system.run(job, Run.new())
    cursor = here.lake.cursor()
    cursor.execute("SET TimeZone = 'UTC'")
    theirs = cursor.sql("FROM raw.accounts ORDER BY Id").to_arrow_table().to_pylist()
    ours = read_table(uri, "accounts", schema="raw").read_all().to_pylist()
    assert sorted(ours, key=lambda row: str(row["Id"])) == theirs


def test_a_sync_into_s3(here: Laptop) -> None:
    """First in full, then what changed, into a bucket."""
    here.seed("Account", 40)
    with s3():
        place = bucket()
        for expected in (40, 42):
            with IntelligentSync(f"{place}/lake", here.client, settings=here.settings) as system:
                told = system.sync_sobject("Account", "RAW", "ACCOUNTS")
            assert told["success"], told["error"]
            assert read_table(f"{place}/lake", "ACCOUNTS", schema="RAW").read_all().num_rows == expected
            here.days_pass()
            here.add("Account", 2, Name="new {n}")
    assert told["sync_method"] == "regular_api_incremental"


# ---- the LHT document


def sample(here: Laptop, name: str, session: object) -> dict[str, Any]:
    """Run a sample of the document with a session of ours."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    every = {"session": session, "access_info": here.access_info, "sync_sobject_intelligent": sync_sobject_intelligent}
    return LHT.run(name, every)


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_run_on_files(here: Laptop, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Basic, with a stage, several objects and forced in full: as on DuckDB."""
    for one in ("Account", "Contact", "Opportunity"):
        here.seed(one, 20)
    uri = f"file://{here.folder}/lake?format={name}"
    sample(here, "basic-intelligent-sync", uri)
    assert capsys.readouterr().out == "Synced 20 records using regular_api_full\n"
    result = sample(here, "advanced-sync-with-stage", uri)["result"]
    assert (result["success"], result["sync_method"], result["actual_records"]) == (True, "bulk_api_stage_full", 20)
    results = sample(here, "multiple-object-sync", uri)["results"]
    assert all(one["success"] for one in results), results
    result = sample(here, "force-full-sync", uri)["result"]
    assert (result["success"], result["actual_records"]) == (True, 20)
    with sample(here, "custom-thresholds", uri)["sync_system"] as system:
        told = system.sync_sobject("Account", "RAW", "ACCOUNTS")
    assert told["success"], told["error"]
    for schema, table in (("RAW", "ACCOUNTS"), ("RAW", "CONTACTS"), ("RAW", "OPPORTUNITIES"), ("WAREHOUSE", "CONTACTS")):
        assert read_table(uri, table, schema=schema).read_all().num_rows == 20
    assert [path.name for path in sorted((here.folder / "lake").iterdir())] == ["RAW", "WAREHOUSE", "_halocline"]


def test_errors_are_captured_in_the_answer(here: Laptop) -> None:
    """A bucket that is not there is in the answer, and never raised."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    with s3():
        told = sync_sobject_intelligent("s3://nobodys-bucket", here.access_info, "Account", "RAW", "ACCOUNTS")
    assert told["success"] is False
    assert "NoSuchBucket" in str(told["error"])
