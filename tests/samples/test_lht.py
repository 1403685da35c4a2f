"""Laws of the LHT document: its code runs here with no edit but the listed ones, and answers look as it shows them."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halocline.connector import Abilities, Survey
from halocline.connectors.salesforce import SalesforceClient
from halocline.plan import Wish, decide
from halocline.retry import Policy
from halocline.schema import Column, Kind, Schema
from tests.samples.documents import Document, fenced, table, unmade
from tests.system.laptop import Laptop, laptop

LHT = Document("lht.md", "LHT")
RUN = (
    *("basic-intelligent-sync", "advanced-sync-with-stage", "custom-thresholds", "multiple-object-sync", "force-full-sync"),
    "environment-setup",  # Snowflake only: see tests/system/test_sync_snowflake.py
)
KEYS = [
    *("sobject", "target_table", "sync_method", "estimated_records", "actual_records"),
    *("sync_duration_seconds", "last_modified_date", "sync_timestamp", "success", "error"),
]


def run(here: Laptop, name: str) -> dict[str, Any]:
    """Run a sample with its listed edits and nothing else; the names it left behind."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    every: dict[str, object] = {"session": here.lake, "access_info": here.access_info}
    return LHT.run(name, {**every, "sync_sobject_intelligent": sync_sobject_intelligent})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    monkeypatch.setenv("HALOCLINE_HOME", str(tmp_path))
    with laptop(tmp_path) as running:
        yield running


# ---- the lists are whole


def test_the_quotes_are_the_document(recorded_data: Path) -> None:
    """Every fenced block of the document is quoted here, letter by letter and in order; so is its table."""
    document = recorded_data.parent / "spec" / "1-lht.md"
    assert document.is_file(), f"HALOCLINE_TEST_DATA has no document beside it: {document}"
    original = document.read_text(encoding="utf-8")
    assert list(LHT.blocks().values()) == fenced(original)
    ours = LHT.text.partition("## decision-matrix")[2]
    theirs = original.partition("### Decision Matrix")[2].partition("### ")[0]
    # The document's UTF-8 was once read as Mac Roman and saved so.
    assert table(ours) == [[cell.encode("mac_roman").decode() for cell in row] for row in table(theirs)]


def test_every_block_has_its_place() -> None:
    """A block is run, compared as an output, or listed as not run with a reason; no list names a block that is not there."""
    outputs = {row[0] for row in LHT.edits("outputs")} - {"decision-matrix"}
    kept_out = dict(LHT.edits("not run"))
    assert sorted([*RUN, *outputs, *kept_out]) == sorted(LHT.blocks())
    assert all(kept_out.values())
    named = {row[0] for section in ("text replaced", "names supplied") for row in LHT.edits(section)}
    assert named <= {*RUN, *outputs}


@pytest.mark.parametrize("name", [*RUN, "return-values"])
def test_just_the_names_that_a_sample_lacks_are_supplied(name: str) -> None:
    """The list of supplied names is exactly what the sample uses and does not make: none is slipped in beside."""
    assert unmade(LHT.edited(name)) == {row[1] for row in LHT.edits("names supplied") if row[0] == name}


def test_the_edits_are_seen() -> None:
    """A name used and not made is found, one that is imported, assigned or a builtin is not."""
    assert unmade("import a\nb = a.c(d)\nprint(b, [e for e in f])\n") == {"d", "f"}
    assert unmade("def a(b):\n    global c\n    c = b + d\n    return lambda: e\nprint(a)\n") == {"d", "e"}
    assert table("| a | b |\n|---|---|\n| `x` | **y** |\n") == [["x", "y"]]


# ---- the samples run


@pytest.mark.system
def test_basic_intelligent_sync(here: Laptop, capsys: pytest.CaptureFixture[str]) -> None:
    """The first sample loads the object, prints its own line and nothing else, and the next run takes what is new."""
    here.seed("Account", 40)
    here.days_pass()
    result = run(here, "basic-intelligent-sync")["result"]
    assert result["success"] is True, result["error"]
    assert capsys.readouterr().out == "Synced 40 records using regular_api_full\n"
    assert here.number("SELECT count(*) FROM RAW.ACCOUNTS") == 40
    here.days_pass()
    here.add("Account", 2, Name="new {n}")
    run(here, "basic-intelligent-sync")
    assert capsys.readouterr().out == "Synced 2 records using regular_api_incremental\n"
    assert here.number("SELECT count(*) FROM RAW.ACCOUNTS") == 42


@pytest.mark.system
def test_advanced_sync_with_stage(here: Laptop) -> None:
    """use_stage stages at any size; a stage name that this destination cannot use does no harm."""
    here.add("Contact", 3, LastName="{n}")
    result = run(here, "advanced-sync-with-stage")["result"]
    assert (result["success"], result["sync_method"], result["actual_records"]) == (True, "bulk_api_stage_full", 3)
    assert here.rows('SELECT "LastName" FROM WAREHOUSE.CONTACTS ORDER BY 1') == [("0",), ("1",), ("2",)]


@pytest.mark.system
@pytest.mark.parametrize(
    ("rows", "method"),
    [
        (4_999, "regular_api_full"),
        (5_000, "bulk_api_full"),
        pytest.param(24_999, "bulk_api_full", marks=pytest.mark.long),
        (25_000, "bulk_api_stage_full"),
    ],
)
def test_custom_thresholds(here: Laptop, rows: int, method: str) -> None:
    """The thresholds that the sample sets are the ones that decide."""
    here.seed("Account", rows)
    with run(here, "custom-thresholds")["sync_system"] as system:
        result = system.sync_sobject("Account", "RAW", "ACCOUNTS", fields=["Name"])
    assert (result["success"], result["sync_method"], result["actual_records"]) == (True, method, rows)


@pytest.mark.system
def test_multiple_object_sync(here: Laptop) -> None:
    """One answer an object, in order, and each table holds its object."""
    here.seed("Account", 30)
    here.seed("Contact", 20)
    here.seed("Opportunity", 10)
    results = run(here, "multiple-object-sync")["results"]
    told = [(one["sobject"], one["target_table"], one["success"], one["actual_records"]) for one in results]
    assert told == [
        ("Account", "RAW.ACCOUNTS", True, 30),
        ("Contact", "RAW.CONTACTS", True, 20),
        ("Opportunity", "RAW.OPPORTUNITIES", True, 10),
    ]
    assert [here.number(f"SELECT count(*) FROM {one['target_table']}") for one in results] == [30, 20, 10]


@pytest.mark.system
def test_force_full_sync(here: Laptop) -> None:
    """The forced sync overwrites the entire table: edits made in it, and rows that are no longer in the org, are gone."""
    kept, gone = here.add("Account", 2, Name="{n}")
    run(here, "basic-intelligent-sync")
    here.lake.execute("UPDATE RAW.ACCOUNTS SET \"Name\" = 'scribbled'")
    here.purge("Account", gone)
    result = run(here, "force-full-sync")["result"]
    assert (result["success"], result["sync_method"], result["actual_records"]) == (True, "regular_api_full", 1)
    assert here.rows('SELECT "Id", "Name" FROM RAW.ACCOUNTS') == [(kept, "0")]


# ---- the answers look as shown


def shown(name: str, **names: object) -> dict[str, object]:
    """The value that an output block shows."""
    value = eval(compile(LHT.blocks()[name].text, f"lht.md:{name}", "eval"), names)
    assert isinstance(value, dict)
    return value


@pytest.mark.system
def test_return_values(here: Laptop) -> None:
    """The documented answer with its own numbers - 1,500 rows in the window, 1,487 changed - its ten keys in order, its types."""
    from pandas import Timestamp

    documented = shown("return-values", Timestamp=Timestamp)
    here.add("Account", 13, Name="{n}")
    run(here, "basic-intelligent-sync")
    here.seed("Account", 1_487, hours=0.05)
    began = time.monotonic()
    ours = run(here, "basic-intelligent-sync")["result"]
    took_s = time.monotonic() - began
    assert list(ours) == list(documented) == KEYS
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in documented.items()}
    own = {"sync_duration_seconds", "last_modified_date", "sync_timestamp"}
    assert {key: ours[key] for key in KEYS if key not in own} == {key: documented[key] for key in KEYS if key not in own}
    assert 0 < ours["sync_duration_seconds"] <= took_s
    assert ours["last_modified_date"] <= ours["sync_timestamp"]
    greatest = here.rows('SELECT max("SystemModstamp") FROM RAW.ACCOUNTS')[0][0]
    assert ours["last_modified_date"] == Timestamp(greatest)
    assert ours["sync_timestamp"].utcoffset().total_seconds() == 0


@pytest.mark.system
def test_error_handling(here: Laptop) -> None:
    """A job that fails is told as documented, and in Salesforce's own words; no row was processed, and none is there."""
    documented = shown("error-handling")
    here.add("Contact", 3, LastName="{n}")
    failed = '{"id": "750000000000001AAA", "state": "Failed", "errorMessage": "InvalidBatch : the field is unknown"}'
    here.org.faults.add("answer", path=r"/jobs/query/\w+$", method="GET", status=200, body=failed)
    ours = run(here, "advanced-sync-with-stage")["result"]
    assert list(ours) == [*KEYS, "records_processed"]
    assert {key: type(ours[key]) for key in documented} == {key: type(value) for key, value in documented.items()}
    assert {key: ours[key] for key in ("success", "records_processed")} == {"success": False, "records_processed": 0}
    assert str(documented["error"]) in ours["error"]
    assert "InvalidBatch : the field is unknown" in ours["error"]
    assert here.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'WAREHOUSE'") == []


@pytest.mark.system
@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"access_info": {"access_token": "00Dwrong!token"}}, id="half a login"),
        pytest.param({"access_info": {"access_token": "wrong", "instance_url": "{url}"}}, id="authentication"),
        pytest.param({"session": 7}, id="session"),
        pytest.param({"sobject": "Acount"}, id="data"),
    ],
)
def test_errors_are_captured_in_the_answer(here: Laptop, trouble: dict[str, Any]) -> None:
    """Whatever kind of error it is - login, use, data - it is in the answer and is never raised."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    wanted: dict[str, Any] = {"session": here.lake, "access_info": here.access_info, "sobject": "Account", **trouble}
    if "instance_url" in wanted["access_info"]:
        wanted["access_info"] = {**wanted["access_info"], "instance_url": here.org.url}
    check_captured(here, sync_sobject_intelligent(**wanted, schema="RAW", table="ACCOUNTS"))


@pytest.mark.system
def test_network_errors_are_captured_in_the_answer(here: Laptop) -> None:
    """Nobody listens where Salesforce should be: that, too, is in the answer."""
    from halocline.compat.lht.salesforce.intelligent_sync import sync_sobject_intelligent

    with socket.socket() as taken:  # bound, so that nobody else gets the port, and not listening
        taken.bind(("127.0.0.1", 0))
        nobody = {"access_token": "x", "instance_url": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        with SalesforceClient(nobody, retry=Policy(attempts=2, base_s=0.0)) as client:
            told = sync_sobject_intelligent(here.lake, client, "Account", "RAW", "ACCOUNTS")
    check_captured(here, told)
    assert "refused the connection" in str(told["error"])


def check_captured(here: Laptop, told: dict[str, object]) -> None:
    """A failed answer, whole, and a lake without a trace of it."""
    assert list(told) == [*KEYS, "records_processed"]
    assert (told["success"], told["records_processed"], told["actual_records"]) == (False, 0, 0)
    assert len(str(told["error"])) > 40
    assert here.rows("SELECT table_name FROM duckdb_tables() WHERE table_name = 'ACCOUNTS'") == []


# ---- the decision matrix


def border_numbers(text: str) -> tuple[int, int]:
    """The first and the last number of rows of a range: `< 1,000`, `1,000 - 49,999`, `≥ 50,000`."""
    numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", text)]
    if text.startswith("<"):
        return 0, numbers[0] - 1
    return (numbers[0], 10_000_000) if text.startswith("≥") else (numbers[0], numbers[1])


MATRIX = table(LHT.text.partition("## decision-matrix")[2])


@pytest.mark.parametrize(("scenario", "records", "method"), [row[:3] for row in MATRIX], ids=[row[2] for row in MATRIX])
def test_the_decision_matrix(scenario: str, records: str, method: str) -> None:
    """Each row of the documented table holds at both ends of its range."""
    low = {"First-time sync": None, "Incremental sync": "2026-01-01T00:00:00Z"}[scenario]
    for rows in border_numbers(records):
        survey = Survey(
            object="Account",
            schema=Schema((Column("Id", Kind.STRING),), ("Id",)),
            estimated_rows=rows,
            server_time="2026-01-02T00:00:00Z",
            complete_until=None,
            cursor="SystemModstamp",
            delete_flag=None,
            window=(low, "2026-01-02T00:00:01Z"),
            abilities=Abilities(bulk=True),
            next_position={},
            query="SELECT Id FROM Account",
        )
        assert decide(survey, Abilities(), wish=Wish("flow")).method == method
