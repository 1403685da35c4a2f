"""Laws of reverse ETL: the answers that LHT gives, true to every row, from a query that is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from halocline import retl
from halocline.compat.lht.salesforce import retl as lht_retl
from halocline.config import Settings
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, NotFound, QuotaExhausted, StorageFailed
from halocline.ledger import open_ledger
from tests.connectors.salesforce.writable import writable
from tests.test_docs import DOCS, run_page

KEYS = ("total_records", "records_processed", "total_batches", "successful_batches", "failed_batches", "batch_results")
QUERY = 'SELECT ext AS "Ext__c", name AS "Name", phone AS "Phone" FROM accounts ORDER BY ext'
Function = Callable[..., dict[str, Any] | None]


@dataclass
class Place:
    """A lake with a table `accounts` (ext, name, phone, id), an org, and a home."""

    lake: duckdb.DuckDBPyConnection
    emulator: Emulator
    client: SalesforceClient
    settings: Settings

    def put(self, *rows: tuple[object, ...]) -> None:
        self.lake.execute("CREATE OR REPLACE TABLE accounts (ext VARCHAR, name VARCHAR, phone VARCHAR, id VARCHAR)")
        for row in rows:
            self.lake.execute("INSERT INTO accounts VALUES (?, ?, ?, ?)", [*row, *[None] * (4 - len(row))])

    def put_many(self, count: int) -> None:
        self.put(*((f"e{at:03}", f"n{at}", str(at)) for at in range(count)))

    def call(self, function: Function, *args: Any, **options: Any) -> Any:
        return function(self.lake, self.client, "Account", *args, settings=self.settings, **options)

    def upsert(self, query: str = QUERY, **options: Any) -> Any:
        return self.call(retl.upsert, query, "Ext__c", **options)

    def accounts(self) -> dict[Any, tuple[Any, Any]]:
        found = self.emulator.query("SELECT Id, Ext__c, Name, Phone FROM Account")
        return {row["Ext__c"]: (row["Name"], row["Phone"]) for row in found}

    def ids(self) -> dict[Any, str]:
        return {row["Ext__c"]: str(row["Id"]) for row in self.emulator.query("SELECT Id, Ext__c FROM Account")}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.lake.execute(sql).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with writable(tmp_path) as (emulator, client), duckdb.connect(str(tmp_path / "lake.duckdb")) as lake:
        yield Place(lake, emulator, client, Settings(tmp_path / "home", tmp_path))


def test_the_answer_has_lhts_shape(place: Place) -> None:
    """Its keys in their order, a result for each job, and the job's id."""
    place.put_many(60)
    told = place.upsert(batch_size=25)
    assert tuple(told)[: len(KEYS)] == KEYS
    assert [told[key] for key in KEYS[:-1]] == [60, 60, 3, 3, 0]
    assert [(one["batch_number"], one["records_processed"], one["success"]) for one in told["batch_results"]] == [
        (1, 25, True),
        (2, 25, True),
        (3, 10, True),
    ]
    info = [one["job_info"] for one in told["batch_results"]]
    assert [one["job_id"] for one in told["batch_results"]] == [one["id"] for one in info]
    assert all((one["object"], one["operation"]) == ("Account", "upsert") for one in info)
    assert (told["records_failed"], told["errors"]) == (0, [])
    assert len(place.accounts()) == 60


def test_each_operation_does_its_own(place: Place) -> None:
    """Insert, update and delete by Id, with LHT's arguments in LHT's places."""
    place.put(("a", "Åsa", "1"), ("b", "Bo", "2"))
    assert place.call(lht_retl.insert, QUERY, "LOGS")["records_processed"] == 2
    place.put(*((ext, f"{ext}!", None, record_id) for ext, record_id in place.ids().items()))
    by_id = 'SELECT id AS "Id", name AS "Name", phone AS "Phone" FROM accounts'
    assert place.call(lht_retl.update, by_id)["successful_batches"] == 1
    assert place.accounts() == {"a": ("a!", "1"), "b": ("b!", "2")}, "a null leaves its field"
    assert place.call(lht_retl.update, by_id, True)["successful_batches"] == 1
    assert place.accounts() == {"a": ("a!", None), "b": ("b!", None)}, "a null clears its field with clear_nulls"
    assert place.call(lht_retl.delete, "SELECT id AS \"Id\" FROM accounts WHERE ext = 'a'", "Id")["records_processed"] == 1
    assert list(place.accounts()) == ["b"]


def test_nulls_leave_fields_unless_they_are_to_clear(place: Place) -> None:
    """And the key of an upsert is never cleared."""
    place.put(("a", "Åsa", "1"))
    place.upsert()
    place.put(("a", "Åsa", None))
    place.upsert()
    assert place.accounts() == {"a": ("Åsa", "1")}
    place.upsert(clear_nulls=True)
    assert place.accounts() == {"a": ("Åsa", None)}


@pytest.mark.parametrize(
    "given", [{"clear_nulls": "no"}, {"clear_nulls": "false"}, {"batch_size": "25"}, {"batch_size": None}, {"batch_size": 2.5}]
)
def test_a_value_of_another_type_is_told_before_anything_is_read(place: Place, given: dict[str, Any]) -> None:
    """A text such as "no" is true to Python, and would have emptied fields."""
    place.put(("a", "Åsa", "1"))
    place.upsert()
    place.put(("a", "Åsa", None))
    with pytest.raises(FixConfig, match=f"^Reading the options: {next(iter(given))}="):
        place.upsert(**given)
    assert place.accounts() == {"a": ("Åsa", "1")}


def test_rows_that_are_refused_are_counted_and_told(place: Place) -> None:
    """A job that completes with a refused row is no success; the first errors are in the answer, all in the ledger."""
    place.put(*((f"e{at:02}", None if at % 2 else "n") for at in range(30)), (None, "no key"))
    told = place.upsert()
    assert (told["total_records"], told["records_processed"], told["records_failed"]) == (31, 30, 16)
    assert (told["total_batches"], told["successful_batches"], told["failed_batches"]) == (2, 0, 2)
    assert "REQUIRED_FIELD_MISSING" in told["batch_results"][0]["error"]
    assert len(told["errors"]) == retl.FIRST_ERRORS
    assert {error["code"] for error in told["errors"]} == {"REQUIRED_FIELD_MISSING", "MISSING_KEY"}
    with open_ledger(place.settings.ledger) as ledger:
        assert len(ledger.rejections(told["run"])) == 16
        assert ledger.get(told["run"]).rows_read == 31


@pytest.mark.parametrize("field", ["Phone", "Opens__c", "Founded__c", "Seen__c"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("TIME '24:00:00'", "24:00:00"),
        ("DATE '0044-03-15 (BC)'", "-0043-03-15"),
        ("DATE '100000-01-01'", "100000-01-01"),
        ("TIMESTAMPTZ '32768-01-01 00:00:00+00'", "32768-01-01T00:00:00Z"),
        ("TIMESTAMPTZ '294000-01-01 00:00:00.000001+00'", "294000-01-01T00:00:00.000001Z"),
    ],
)
def test_a_time_or_a_day_that_salesforce_does_not_have_is_a_row_that_is_not_sent(
    place: Place, field: str, value: str, text: str
) -> None:
    """No other value goes in its place, not even into a field of text, and the answer tells what it was."""
    rows = f"SELECT 'a' AS \"Ext__c\", 'A' AS \"Name\", {value} AS \"{field}\" UNION ALL SELECT 'b', 'B', NULL ORDER BY 1"
    told = place.upsert(rows)
    assert (told["records_processed"], told["records_failed"]) == (1, 1)
    assert [(one["code"], one["fields"], one["record"][field]) for one in told["errors"]] == [("CANNOT_BE_SENT", [field], text)]
    assert place.accounts() == {"b": ("B", None)}


def test_rows_that_are_not_sent_are_a_failed_batch(place: Place) -> None:
    """Whoever looks at `failed_batches`, as LHT's users do, sees them; the jobs beside them are what they are."""
    told = place.call(retl.insert, "SELECT 'q' AS \"Name\" UNION ALL SELECT NULL")
    assert [told[key] for key in KEYS[:-1]] == [2, 1, 2, 1, 1]
    sent, unsent = told["batch_results"]
    assert (sent["records_processed"], sent["success"]) == (1, True)
    assert (unsent["batch_number"], unsent["job_id"], unsent["records_processed"], unsent["success"]) == (2, None, 0, False)
    assert (unsent["records_failed"], unsent["error"].split(":")[:2]) == (1, ["row 1", " NOTHING_TO_SEND"])
    told = place.call(retl.upsert, 'SELECT NULL::VARCHAR AS "Id", \'n\' AS "Name"', "Id")
    assert [told[key] for key in KEYS[:-1]] == [1, 0, 1, 0, 1]
    assert "MISSING_KEY" in told["batch_results"][0]["error"]
    assert place.rows("SELECT count(*) FROM LOGS.JOB_INFO") == [(1,)]


def test_no_rows_need_nobody(place: Place) -> None:
    """None, as LHT answers an upsert, and not even a login; no table is made either."""
    place.put()
    before = len(place.emulator.calls)
    for function, more in ((retl.upsert, ("Ext__c",)), (retl.update, ()), (retl.insert, ()), (retl.delete, ())):
        assert place.call(function, QUERY, *more) is None
    assert len(place.emulator.calls) == before
    assert place.rows("SELECT schema_name FROM duckdb_schemas() WHERE schema_name ILIKE 'logs'") == []


def test_every_row_is_in_the_tables_beside_the_source(place: Place) -> None:
    """In LOGS unless told otherwise, and in none with None."""
    place.put(("a", "Åsa", "1"), ("b", None))
    told = place.upsert()
    job = told["batch_results"][0]["job_id"]
    found = place.rows("SELECT JOB_ID, SF_ID, MATCH_FIELD, MATCH_ID FROM LOGS.SUCCESS")
    assert found == [(job, place.ids()["a"], "Ext__c", "a")]
    assert place.rows("SELECT JOB_ID, CODE, MATCH_ID, ROW FROM LOGS.FAILURE") == [(job, "REQUIRED_FIELD_MISSING", "b", 1)]
    assert place.rows("SELECT ID, NUMBER_RECORDS_PROCESSED, NUMBER_RECORDS_FAILED FROM LOGS.JOB_INFO") == [(job, 2, 1)]
    place.upsert(log_schema="other")
    place.upsert(log_schema=None)
    assert place.rows("SELECT count(*) FROM LOGS.SUCCESS") == place.rows("SELECT count(*) FROM other.SUCCESS") == [(1,)]


def test_a_uri_serves_source_and_results(place: Place, tmp_path: Path) -> None:
    """The file is read, closed, and then written."""
    place.put_many(3)
    place.lake.close()
    uri = f"duckdb:///{tmp_path}/lake.duckdb"
    told = retl.upsert(uri, place.client, "Account", QUERY, "Ext__c", settings=place.settings)
    assert told is not None
    assert told["records_processed"] == 3
    with duckdb.connect(str(tmp_path / "lake.duckdb")) as lake:
        assert lake.execute("SELECT count(*) FROM LOGS.SUCCESS").fetchall() == [(3,)]


def test_a_source_that_cannot_take_results_is_told_before_anything_is_sent(place: Place, tmp_path: Path) -> None:
    """A read-only connection serves without tables."""
    place.put_many(2)
    place.lake.close()
    with duckdb.connect(str(tmp_path / "lake.duckdb"), read_only=True) as lake:
        place.lake = lake
        with pytest.raises(StorageFailed, match=r"read-only.*leave the tables out"):
            place.upsert()
        assert place.accounts() == {}
        assert place.upsert(log_schema=None)["records_processed"] == 2


def test_names_that_the_object_does_not_have_stop_the_call(place: Place) -> None:
    """Before anything is sent, with what was meant."""
    place.put_many(2)
    with pytest.raises(FixConfig, match="Nmae"):
        place.upsert('SELECT ext AS "Ext__c", name AS "Nmae" FROM accounts')
    with pytest.raises(NotFound, match="Acount"):
        retl.insert(place.lake, place.client, "Acount", QUERY, settings=place.settings)
    with pytest.raises(FixConfig, match="IsDeleted cannot be set"):
        place.upsert('SELECT ext AS "Ext__c", name AS "Name", false AS "IsDeleted" FROM accounts')
    assert place.emulator.calls.count("ingest.create") == 0


def test_a_call_that_died_is_gone_on_with(place: Place) -> None:
    """The same call does the rest: no row twice, in the org as in the tables."""
    place.put_many(60)
    place.emulator.faults.add("request_limit", kind="ingest.create", nth=2, times=20)
    with pytest.raises(QuotaExhausted, match="resume") as caught:
        place.call(retl.insert, QUERY, batch_size=20)
    partial: Any = caught.value.facts["result"]
    assert partial["total_records"] == 60
    assert partial["successful_batches"] < 3
    place.emulator.faults.clear()
    told = place.call(retl.insert, QUERY, batch_size=20)
    assert (told["records_processed"], told["successful_batches"]) == (60, 3)
    assert len(place.emulator.query("SELECT Id FROM Account")) == 60
    assert place.rows("SELECT count(*), count(DISTINCT ROW) FROM LOGS.SUCCESS") == [(60, 60)]


def test_the_page_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block of the page about reverse ETL, in order; they print nothing."""
    run_page(DOCS / "reverse-etl.md")
    assert capsys.readouterr().out == ""
