"""An org carried into a PostgreSQL, as people and programs do it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from halocline.events import Noticed
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync
from tests.connectors.postgres.server import Place
from tests.samples.documents import Document
from tests.system.laptop import Laptop, laptop
from tests.system.nursery import Done, Nursery

pytestmark = pytest.mark.system

WORD = "a-word/that@nobody:may?see"
LHT = Document("lht.md", "LHT")
BULK = ("--bulk-threshold", "40")  # a thousand otherwise


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    with laptop(tmp_path) as running:
        yield running


def halocline(here: Laptop, nursed: Nursery, *words: str, to: str) -> Done:
    """Run a command against the org and the database; it shows neither a traceback nor the password."""
    login = {"SF_ACCESS_TOKEN": here.access_info["access_token"], "SF_INSTANCE_URL": here.access_info["instance_url"]}
    environment = {**os.environ, **login, "HALOCLINE_HOME": str(here.folder)}
    done = nursed.run(*words, "--to", to, env=environment, cwd=here.folder)
    for text in (done.out, done.err):
        assert "Traceback" not in text, text
        assert WORD not in text
        assert "nobody" not in text
    return done


def user(place: Place) -> str:
    """The URI of a user with a difficult password, who may make tables where the search path leads."""
    place.run(f"CREATE ROLE \"syncs_{place.database}\" LOGIN PASSWORD '{WORD}'")
    place.run(f'CREATE SCHEMA lake AUTHORIZATION "syncs_{place.database}"')
    return place.uri(f"syncs_{place.database}", WORD, search_path="lake")


def test_a_sync_by_the_command_line(here: Laptop, nursed: Nursery, place: Place) -> None:
    """Full, then what changed, then in full again; rows, names and counts are the org's, and the plan changes nothing."""
    here.seed("Account", 50)
    uri = user(place)
    assert halocline(here, nursed, "plan", "Account", to=uri).code == 0
    assert place.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'lake'") == [(0,)]
    done = halocline(here, nursed, "sync", "Account", "--json", *BULK, to=uri)
    told = json.loads(done.out)
    assert (done.code, told["sync_method"], told["actual_records"]) == (0, "bulk_api_full", 50)
    here.days_pass()
    kept = here.add("Account", 2, Name="new {n}", AnnualRevenue=1234567)
    told = json.loads(halocline(here, nursed, "sync", "Account", "--json", *BULK, to=uri).out)
    assert (told["sync_method"], told["counts"]["inserted"]) == ("regular_api_incremental", 2)
    found = place.rows(f"SELECT name, annualrevenue FROM lake.account WHERE id IN ('{kept[0]}', '{kept[1]}') ORDER BY 1")
    assert found == [("new 0", Decimal(1234567)), ("new 1", Decimal(1234567))]
    done = halocline(here, nursed, "sync", "Account", "--full", to=uri)
    assert "52 inserted" in done.out
    assert place.rows("SELECT count(*), count(DISTINCT id) FROM lake.account") == [(52, 52)]


def test_mistakes_are_told_without_the_password(here: Laptop, nursed: Nursery, place: Place) -> None:
    """A wrong password, a URI that cannot be read, a right that is missing: exit code 2, and a word about it."""
    uri = user(place)
    place.run(f"ALTER ROLE \"syncs_{place.database}\" PASSWORD 'another'")
    done = halocline(here, nursed, "sync", "Account", to=uri)
    assert (done.code, "password authentication failed" in done.err.replace("\n", " ")) == (2, True)
    done = halocline(here, nursed, "sync", "Account", to=f"postgresql://me:{WORD}@nobodys.example/db")
    assert (done.code, "cannot be read" in done.err) == (2, True)
    done = halocline(here, nursed, "sync", "Account", to=place.user("reader"))
    assert (done.code, "permission denied" in done.err) == (2, True)


def test_a_full_refresh_under_a_view_says_so(here: Laptop, place: Place) -> None:
    """The reason reaches the one who watches the sync."""
    here.seed("Account", 20)
    heard: list[Any] = []
    job = SobjectSync("Account", "raw", "accounts", force_full_sync=True)
    with IntelligentSync(place.uri(), here.client, settings=here.settings, sink=heard.append) as system:
        system.run(job, Run.new())
        place.run("CREATE VIEW raw.names AS SELECT name FROM raw.accounts")
        assert not [event for event in heard if isinstance(event, Noticed)]
        system.run(job, Run.new())
    assert [e.message for e in heard if isinstance(e, Noticed)] == [
        "raw.accounts was refreshed row by row and not swapped, because of the view raw.names."
    ]
    assert place.rows("SELECT count(*) FROM raw.names") == [(20,)]


def test_the_table_is_the_one_that_duckdb_gets(here: Laptop, place: Place) -> None:
    """Every value of every column is the same in both, by REST as by Bulk."""
    here.seed("Account", 40)
    for bulk in (1, 1_000):
        job = SobjectSync("Account", "raw", "accounts", force_full_sync=True)
        with here.system(bulk=bulk) as lake:
            lake.run(job, Run.new())
        with IntelligentSync(place.uri(), here.client, settings=here.settings) as system:
            system.BULK_API_THRESHOLD = bulk
            system.run(job, Run.new())
        theirs = here.lake.cursor().sql("FROM raw.accounts ORDER BY Id").to_arrow_table().to_pylist()
        with psycopg.connect(place.uri(TimeZone="UTC"), row_factory=dict_row) as connection:
            ours = connection.execute("SELECT * FROM raw.accounts ORDER BY id").fetchall()
        assert ours == [{name.lower(): value for name, value in row.items()} for row in theirs]


def test_several_objects_side_by_side(here: Laptop, place: Place) -> None:
    """Behind a URI each has connections of its own; a connection of the caller's serves one at a time."""
    for name in ("Account", "Contact", "Opportunity"):
        here.seed(name, 20)
    heard: list[Any] = []
    with psycopg.connect(place.uri()) as session:
        for schema, to in (("raw", place.uri()), ("other", session)):
            with IntelligentSync(to, here.client, settings=here.settings, sink=heard.append) as system:
                told = system.sync_objects(["Account", "Contact", "Opportunity"], schema, fields=["CreatedDate"])
            assert [(one["actual_records"], one["error"]) for one in told] == [(20, None)] * 3
    assert [event.message[:42] for event in heard if isinstance(event, Noticed)] == ["One connection serves one object at a time"]
    assert place.rows("SELECT count(*) FROM raw.account a JOIN other.account b USING (id)") == [(20,)]


# ---- the LHT document


def sample(here: Laptop, name: str, session: object) -> dict[str, Any]:
    """Run a sample of the document with a session of ours."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    every = {"session": session, "access_info": here.access_info, "sync_sobject_intelligent": sync_sobject_intelligent}
    return LHT.run(name, every)


def test_the_samples_run_on_a_connection(here: Laptop, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Basic, with a stage, several objects and forced in full: as on DuckDB, with names in lower case."""
    for name in ("Account", "Contact", "Opportunity"):
        here.seed(name, 20)
    with psycopg.connect(place.uri()) as session:
        sample(here, "basic-intelligent-sync", session)
        assert capsys.readouterr().out == "Synced 20 records using regular_api_full\n"
        result = sample(here, "advanced-sync-with-stage", session)["result"]
        assert (result["success"], result["sync_method"], result["actual_records"]) == (True, "bulk_api_stage_full", 20)
        results = sample(here, "multiple-object-sync", session)["results"]
        assert all(one["success"] for one in results), results
        place.run("UPDATE raw.accounts SET name = 'scribbled'")
        result = sample(here, "force-full-sync", session)["result"]
        assert (result["success"], result["actual_records"]) == (True, 20)
        with sample(here, "custom-thresholds", session)["sync_system"] as system:
            told = system.sync_sobject("Account", "RAW", "ACCOUNTS")
        assert told["success"], told["error"]
    assert place.rows("SELECT count(*), count(*) FILTER (WHERE name = 'scribbled') FROM raw.accounts") == [(20, 0)]
    for name in ("raw.contacts", "raw.opportunities", "warehouse.contacts"):
        assert place.rows(f"SELECT count(*) FROM {name}") == [(20,)]


def test_errors_are_captured_in_the_answer(here: Laptop, place: Place) -> None:
    """A database that is not there is in the answer, without its password, and never raised."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    told = sync_sobject_intelligent(place.uri(word="secret-word"), here.access_info, "Account", "RAW", "ACCOUNTS")
    assert told["success"] is False
    assert "password authentication failed" in str(told["error"])
    assert "secret-word" not in str(told)
