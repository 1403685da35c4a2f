"""Bulk loads: files below the limit, a job each, and for every row what became of it, whatever order results come in."""

from __future__ import annotations

import csv
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.salesforce.writable import HastyPace, Org
from tests.examples import in_turn

from halocline.connectors.salesforce.ingest import Loaded, Progress
from halocline.connectors.salesforce.ingest_jobs import IngestJobs, JobInfo
from halocline.connectors.salesforce.job_results import Matching
from halocline.connectors.salesforce.pages import text_batches
from halocline.connectors.salesforce.results import read_error
from halocline.connectors.salesforce.sheets import CELL_CHARS, Sheets
from halocline.emulator.server import Emulator
from halocline.errors import FixConfig, JobFailed, NotFound, QuotaExhausted, RetryLater, StillRunning, Truncated
from halocline.outcome import Fate, RowResult
from halocline.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool("test", tmp_path)
    yield made
    made.close()


def accounts(count: int, **more: object) -> list[dict[str, Any]]:
    return [{"Name": f"n{number}", "Ext__c": f"e{number}", **more} for number in range(count)]


def names(emulator: Emulator) -> list[object]:
    return [row["Name"] for row in emulator.query("SELECT Name FROM Account ORDER BY Name")]


def by_row(results: Iterator[RowResult]) -> dict[int | None, RowResult]:
    found = {one.row: one for one in results}
    assert None not in found
    return found


def sheet_texts(spool: Spool, rows: Any, **options: Any) -> list[str]:
    return [sheet.path.read_bytes().decode() for sheet in Sheets(spool, **options).of(rows)]


# ---- sheets


def test_missing_null_and_empty_are_told_apart(spool: Spool) -> None:
    """A missing key is an empty cell, which Bulk ignores; None and the empty text are the order to clear."""
    rows = [{"A": "1", "B": "2"}, {"A": None, "B": ""}, {"A": 'x,"y"\nz'}, {"b": "3"}]
    assert sheet_texts(spool, rows) == ['A,B\n"1","2"\n"#N/A","#N/A"\n"x,""y""\nz",\n,"3"\n']


def test_a_new_name_begins_a_new_sheet(spool: Spool) -> None:
    """Columns that show up late are not lost, and the sheets before stay as they are."""
    rows = [{"A": "1"}] * 2000 + [{"A": "2", "B": "3"}]
    sheets = list(Sheets(spool).of(iter(rows)))
    assert [(sheet.columns, sheet.rows, sheet.first_row) for sheet in sheets] == [(("A",), 2000, 0), (("A", "B"), 1, 2000)]


def test_sheets_stay_below_the_limit(spool: Spool) -> None:
    """Every sheet is smaller than `max_bytes`, each has a header, and together they have all rows in order."""
    sheets = list(Sheets(spool, max_bytes=1_000).of(accounts(500)))
    assert len(sheets) > 5
    assert max(sheet.path.stat().st_size for sheet in sheets) <= 1_000
    numbers = [number for sheet in sheets for number in sheet.row_numbers().to_pylist()]
    assert numbers == list(range(500))
    texts = [row["Name"] for sheet in sheets for row in csv.DictReader(sheet.path.read_text().splitlines())]
    assert texts == [f"n{number}" for number in range(500)]


def test_rows_that_no_sheet_can_hold_are_results(spool: Spool) -> None:
    """Each has its number, code and reason; the rows around them keep theirs."""
    rows = [
        {"Ext__c": "a", "Name": "a"},
        {"Ext__c": "b", "Name": "#N/A"},
        {"Ext__c": None, "Name": "c"},
        {"Name": "d"},
        {"Ext__c": "e", "Name": "x" * (CELL_CHARS + 1)},
        {"Ext__c": "f", "Name": float("inf")},
        {"Ext__c": "g", "ext__C": "h"},
        {"Ext__c": "i", "Name": "i"},
    ]
    sheets = Sheets(spool, needed="ext__c")
    (sheet,) = sheets.of(rows)
    assert sheet.row_numbers().to_pylist() == [0, 7]
    assert {one.row: one.code for one in sheets.refused} == {
        1: "CANNOT_BE_SENT",
        2: "MISSING_KEY",
        3: "MISSING_KEY",
        4: "CANNOT_BE_SENT",
        5: "CANNOT_BE_SENT",
        6: "CANNOT_BE_SENT",
    }
    assert {one.fate for one in sheets.refused} == {Fate.NOT_SENT}


def test_a_row_without_values_is_no_blank_line(spool: Spool) -> None:
    """In a sheet of one column it would be a line that Bulk does not count."""
    sheets = Sheets(spool)
    (sheet,) = sheets.of([{"Name": "a"}, {}, {"Name": "b"}])
    assert sheet.rows == 2
    assert [one.row for one in sheets.refused] == [1]


def test_arrow_is_spelled_as_dicts_are(spool: Spool) -> None:
    """The same values as a table and as dicts make the same sheet."""
    row = {
        "Name": "é",
        "Flag": True,
        "Count": 7,
        "Share__c": Decimal("1.50"),
        "Seen__c": datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC),
        "Founded__c": date(2026, 11, 21),
        "Opens__c": time(9, 30),
        "Account": {"Ext__c": "x"},
        "Rate": 0.25,
        "Gone": None,
    }
    table = pa.Table.from_pylist([row, dict.fromkeys(row)])
    of_table, of_dicts = sheet_texts(spool, table), sheet_texts(spool, [row])
    assert of_table[0].splitlines()[:2] == of_dicts[0].splitlines()
    assert set(of_table[0].splitlines()[2].split(",")) == {'"#N/A"'}
    assert sheet_texts(spool, table.to_batches()[0]) == sheet_texts(spool, table.to_reader()) == of_table


@pytest.mark.parametrize(
    "column",
    [pa.array([datetime(2026, 1, 1)], pa.timestamp("us")), pa.array([b"x"]), pa.array([["a"]])],  # noqa: DTZ001 - likewise
)
def test_a_column_that_cannot_be_sent_is_told_at_once(spool: Spool, column: pa.Array) -> None:
    """A timestamp without a zone names no instant; the error says what to cast."""
    with pytest.raises(FixConfig, match="the column Seen__c"):
        sheet_texts(spool, pa.table({"Seen__c": column}))


def test_a_row_of_a_table_that_cannot_be_sent_is_a_result(spool: Spool) -> None:
    """Only that row is left out."""
    sheets = Sheets(spool)
    (sheet,) = sheets.of(pa.table({"Name": ["a", "#N/A", "c", "d"], "Share__c": [1.0, 2.0, float("nan"), None]}))
    assert sheet.row_numbers().to_pylist() == [0, 3]
    assert [one.row for one in sheets.refused] == [1, 2]


def test_a_csv_file_keeps_bulks_own_meaning(spool: Spool, tmp_path: Path) -> None:
    """In a file an empty cell leaves the field and `#N/A` clears it; any quoting, line ends and byte-order mark will do."""
    path = tmp_path / "rows.csv"
    path.write_bytes('\ufeffName,Phone\r\n"a\r\nb",\r\n\r\nc,#N/A\r\n'.encode())
    assert sheet_texts(spool, path) == ['Name,Phone\n"a\r\nb",\n"c","#N/A"\n']
    assert sheet_texts(spool, str(path)) == ['Name,Phone\n"a\r\nb",\n"c","#N/A"\n']


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"Name,Phone\na,1\nb\n", "no CSV of its 2 columns"),
        (b"Name,name\na,b\n", "the name of another"),
        ("Name\nMüller\n".encode("latin-1"), "UTF"),
        ("Name\nMüller\n".encode("utf-16"), "UTF"),
    ],
)
def test_a_bad_csv_file_stops_the_load_before_it_begins(org: Org, tmp_path: Path, content: bytes, words: str) -> None:
    """The file is looked at to its end before any of it is sent."""
    emulator, client = org
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(FixConfig, match=words):
        client.bulk.insert("Account", path)
    assert emulator.calls.count("ingest.create") == 0


def test_a_file_that_is_not_there_is_not_found(org: Org, tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(NotFound, match="nowhere"):
        org[1].bulk.insert("Account", tmp_path / "nowhere.csv")


# ---- matching


def test_rows_are_matched_by_key_else_by_what_they_hold(spool: Spool) -> None:
    """A result is found by its key in whatever order; with a key that comes twice, or none, by all its cells, by count."""
    (sheet,) = Sheets(spool).of([{"K": "a", "V": "1"}, {"K": "b", "V": "1"}, {"K": "b", "V": "2"}, {"K": "b", "V": "2"}])
    results = pa.record_batch({"V": ["2", "2", "2", "1", "9"], "K": ["b", "b", "b", "a", "a"]})
    assert Matching(sheet, "k").rows(results).to_pylist() == [2, 3, None, 0, None]
    (unique,) = Sheets(spool).of([{"K": "a", "V": "1"}, {"K": "b", "V": "1"}])
    changed = pa.record_batch({"K": ["b", "a"], "V": ["changed on the way", "1"]})
    assert Matching(unique, "K").rows(changed).to_pylist() == [1, 0]
    assert Matching(unique).rows(changed).to_pylist() == [None, 0]


TEXTS = st.one_of(st.none(), st.text(st.sampled_from('ab,"\r\n #é\U0001f30a'), max_size=5), st.text(max_size=8))


@given(rows=st.lists(st.fixed_dictionaries({}, optional={"A": TEXTS, "B": TEXTS}), min_size=1, max_size=12), dice=st.randoms())
def test_whatever_rows_hold_they_are_found_again(rows: list[dict[str, str | None]], dice: random.Random) -> None:
    """Echoed in any order, each row finds a number whose row is the same, and no number is given twice."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool("test", Path(folder))
        sheets = Sheets(spool)
        drawn = list(sheets.of(rows))
        assert sum(sheet.rows for sheet in drawn) + len(sheets.refused) == len(rows)
        for sheet in drawn:
            echoed = [row for batch in text_batches(sheet.path, sheet.columns) for row in batch.to_pylist()]
            assert len(echoed) == sheet.rows
            dice.shuffle(echoed)
            schema = pa.schema([(name, pa.string()) for name in sheet.columns])
            numbers = Matching(sheet).rows(pa.RecordBatch.from_pylist(echoed, schema=schema)).to_pylist()
            assert sorted(numbers) == sheet.row_numbers().to_pylist()
            for number, echo in zip(numbers, echoed, strict=True):
                sent = {name: value or "#N/A" for name, value in rows[number].items()}
                assert _one_line_end(sent) == _one_line_end({name: value for name, value in echo.items() if value is not None})


def _one_line_end(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(value).replace("\r\n", "\n") for name, value in row.items()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("REQUIRED_FIELD_MISSING:Missing: [Name]:Name --", ("REQUIRED_FIELD_MISSING", "Missing: [Name]", ("Name",))),
        ("UNABLE_TO_LOCK_ROW:1 records: 001:--", ("UNABLE_TO_LOCK_ROW", "1 records: 001", ())),
        ("DUPLICATE_VALUE:twice:\nhere:A__c B__c --", ("DUPLICATE_VALUE", "twice:\nhere", ("A__c", "B__c"))),
        ("something else", ("UNKNOWN", "something else", ())),
    ],
)
def test_errors_are_taken_apart(text: str, told: tuple[str, str, tuple[str, ...]]) -> None:
    """Code, message and fields, whatever the message holds."""
    assert read_error(text) == told


# ---- loads


def test_every_row_is_accounted_for(org: Org) -> None:
    """Written, refused and unsent rows are told apart, each with its number; together they are the input."""
    emulator, client = org
    given = accounts(3000)
    for number in (0, 700, 2999):
        given[number]["Name"] = None
    given[5]["Name"] = "n" * 300
    given[9]["Phone"] = "#N/A"
    given[11]["Ext__c"] = "e10"
    with client.bulk.insert("Account", iter(given)) as loaded:
        assert (loaded.success_count, loaded.failed_count, loaded.unsent_count, loaded.total_count) == (2994, 5, 1, 3000)
        errors, written = by_row(loaded.errors()), by_row(loaded.successes())
        assert set(errors) | set(written) == set(range(3000))
        assert {row: one.code for row, one in errors.items()} == {
            0: "REQUIRED_FIELD_MISSING",
            700: "REQUIRED_FIELD_MISSING",
            2999: "REQUIRED_FIELD_MISSING",
            5: "STRING_TOO_LONG",
            9: "CANNOT_BE_SENT",
            11: "DUPLICATE_VALUE",
        }
        assert errors[700].record == {"Name": "#N/A", "Ext__c": "e700", "Phone": None}
        found = {row["Id"]: row["Name"] for row in emulator.query("SELECT Id, Name FROM Account")}
        assert {found[one.id] for one in written.values()} == {given[int(row or 0)]["Name"] for row in written}
        assert [found[written[row].id] for row in (1, 2, 2998)] == ["n1", "n2", "n2998"]


def test_all_operations(org: Org) -> None:
    """Upsert tells created from changed; deletes send nothing but ids, which may be bare."""
    emulator, client = org
    with client.bulk.upsert("Account", accounts(4), external_id_field="Ext__c") as loaded:
        ids = [str(one.id) for one in loaded.successes()]
    with client.bulk.upsert("Account", accounts(5, Phone="1"), external_id_field="ext__c") as loaded:
        assert {row: one.created for row, one in by_row(loaded.successes()).items()} == {
            0: False,
            1: False,
            2: False,
            3: False,
            4: True,
        }
    with client.bulk.update("Account", [{"Id": one, "Phone": None} for one in ids]) as loaded:
        assert loaded.success_count == 4
    assert len(emulator.query("SELECT Id FROM Account WHERE Phone = null")) == 4
    with client.bulk.delete("Account", ids[:2]) as loaded:
        assert sorted(by_row(loaded.successes())) == [0, 1]
    with client.bulk.hard_delete("Account", [{"Id": ids[2], "Name": "n2"}, {"Name": "nobody"}]) as loaded:
        assert (loaded.success_count, loaded.unsent_count) == (1, 1)
    assert names(emulator) == ["n3", "n4"]


def test_several_files_are_one_result(org: Org) -> None:
    """The input is split, each file goes to a job of its own, and row numbers run through all of them."""
    emulator, client = org
    given = accounts(400)
    given[333]["Name"] = None
    with client.bulk.insert("Account", given, max_bytes=2_000) as loaded:
        assert len(set(loaded.job_ids)) == len(loaded.jobs) > 3
        assert [one.row for one in loaded.errors()] == [333]
        assert sorted(by_row(loaded.successes())) == [number for number in range(400) if number != 333]
    assert emulator.calls.count("ingest.upload") == len(loaded.jobs)


def test_identical_rows_are_matched_by_count(org: Org) -> None:
    """Rows that cannot be told apart are interchangeable: every number comes once."""
    _, client = org
    with client.bulk.insert("Account", [{"Name": "same"}] * 50 + [{"Name": "other"}]) as loaded:
        assert Counter(one.row for one in loaded.successes()) == dict.fromkeys(range(51), 1)


def test_text_arrives_as_it_was(org: Org) -> None:
    """Commas, quotes, line ends, spaces and every alphabet come through, and are found again in the results. Salesforce keeps no
    blanks around a text.
    """
    emulator, client = org
    texts = ['a,"b"', " c ", "c  c\u00a0", "d\ne", "f\r\ng", "日本 🌊", "'", "null", "-1"]
    with client.bulk.insert("Account", [{"Name": f"n{n}", "Description": text} for n, text in enumerate(texts)]) as loaded:
        assert sorted(by_row(loaded.successes())) == list(range(len(texts)))
    found = emulator.query("SELECT Description FROM Account ORDER BY Name")
    assert [str(row["Description"]).replace("\r\n", "\n") for row in found] == [
        text.replace("\r\n", "\n").strip(" ") for text in texts
    ]


def test_nothing_is_no_job(org: Org) -> None:
    """No rows, or none that can be sent: no job is created."""
    emulator, client = org
    for rows in ([], [{"Name": "no id"}]):
        with client.bulk.update("Account", rows) as loaded:
            assert (loaded.jobs, loaded.total_count) == ([], len(rows))
    assert emulator.calls.count("ingest.create") == 0


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("deadlin_s", "did you mean deadline_s"),
        ("on_progress", "did you mean progress"),
        ("wait", "there are deadline_s, max_bytes, progress, spool$"),
        ("timeout_minutes", "there are deadline_s"),
    ],
)
def test_an_option_that_a_load_does_not_have_is_refused(org: Org, option: str, told: str) -> None:
    """Of every operation, and before anything is sent: forgotten in silence it would bound nothing, and tell nobody."""
    emulator, client = org
    for operation in ("insert", "update", "upsert", "delete", "hard_delete"):
        given = {option: None} | ({"external_id_field": "Ext__c"} if operation == "upsert" else {})
        with pytest.raises(TypeError, match=f"a bulk load has no option '{option}'; {told}"):
            getattr(client.bulk, operation)("Account", accounts(1), **given)
    assert emulator.calls.count("ingest.create") == 0


def test_progress_tells_of_every_step(org: Org) -> None:
    """The job's id is told before anything is sent to it, then each look at it."""
    seen: list[Progress] = []
    with org[1].bulk.insert("Account", accounts(3), progress=seen.append) as loaded:
        assert seen[0].state == "Open"
        assert seen[-1] == Progress(loaded.job_ids[0], "JobComplete", rows=3, processed=3, failed=0)


def test_files_go_when_the_result_is_closed(org: Org, spool: Spool) -> None:
    """A spool of ours is deleted; one that was given keeps its files."""
    mine = org[1].bulk.insert("Account", accounts(3), spool=spool)
    list(mine.successes())
    mine.close()
    assert len(list(spool.path.iterdir())) == 2


# ---- when things go wrong


STEPS = ["ingest.create", "ingest.upload", "ingest.end", "ingest.status", "ingest.results"]
LOST = [("cut", "after"), ("cut", "before"), ("unavailable", "after"), ("server_error", "before")]


@pytest.mark.parametrize(("kind", "lost"), in_turn(STEPS, LOST))
def test_every_step_survives_a_lost_answer(org: Org, kind: str, lost: tuple[str, Any]) -> None:
    """Creation, upload, close, a look, a result: whichever answer is lost, each row is written exactly once."""
    emulator, client = org
    action, where = lost
    emulator.faults.add(action, kind=kind, where=where)
    given = accounts(20)
    given[7]["Name"] = None
    with client.bulk.insert("Account", given) as loaded:
        assert [one.row for one in loaded.errors()] == [7]
        assert len(by_row(loaded.successes())) == 19
    assert len(names(emulator)) == 19


def test_a_session_that_ends_on_the_way_is_renewed(org: Org) -> None:
    """Whatever call it hits, the file included."""
    emulator, client = org
    for kind in ("ingest.upload", "ingest.end", "ingest.status"):
        emulator.faults.add("expire_session", kind=kind)
    with client.bulk.insert("Account", accounts(20)) as loaded:
        assert loaded.success_count == 20
    assert len(names(emulator)) == 20


def test_a_job_that_fails_is_an_error_with_every_row(org: Org) -> None:
    """What the job had written stays in the result; the rows it did not come to are not sent, with Salesforce's words."""
    emulator, client = org
    emulator.org.jobs.doom("Failed", "InternalServerError : it broke", after_batches=1)
    with pytest.raises(JobFailed, match="it broke") as told:
        client.bulk.insert("Account", [{"Name": f"n{number}"} for number in range(10_050)])
    loaded = told.value.facts["loaded"]
    assert isinstance(loaded, Loaded)
    with loaded:
        assert (loaded.success_count, loaded.unsent_count, loaded.total_count) == (10_000, 50, 10_050)
        errors = list(loaded.errors())
        assert sorted(one.row or 0 for one in errors) == list(range(10_000, 10_050))
        assert {(one.fate, one.message) for one in errors} == {(Fate.NOT_SENT, "InternalServerError : it broke")}


def test_an_unknown_field_fails_the_job_loudly(org: Org) -> None:
    """Salesforce's words name the field; every row is accounted for as not tried."""
    with pytest.raises(JobFailed, match="Nope__c") as told:
        org[1].bulk.insert("Account", accounts(3, Nope__c="1"))
    loaded = told.value.facts["loaded"]
    assert isinstance(loaded, Loaded)
    with loaded:
        assert [one.row for one in loaded.errors()] == [0, 1, 2]


def test_a_dict_in_a_plain_field_is_its_rows_own_failure(org: Org) -> None:
    """Salesforce would fail the whole job for it. Lookups are asked for once; a delete sends ids alone, and asks nothing."""
    emulator, client = org
    emulator.create("Account", {"Name": "parent", "Ext__c": "p"})
    rows = [
        {"Name": "a"},
        {"Name": {"a": 1}},
        {"Name": "b", "Parent": {"Ext__c": "p"}},
        {"Name": "c", "ParentId": {"Ext__c": "p"}},
    ]
    with client.bulk.insert("Account", rows) as loaded:
        told = by_row(loaded.errors())
        ids = [one.id for one in loaded.successes()]
    assert {row: (one.fate, one.code) for row, one in told.items()} == {
        1: (Fate.NOT_SENT, "CANNOT_BE_SENT"),
        3: (Fate.NOT_SENT, "CANNOT_BE_SENT"),
    }
    assert "Name is no lookup" in str(told[1].message)
    assert "looked up by Parent, not by ParentId" in str(told[3].message)
    assert names(emulator) == ["a", "b", "parent"]
    assert emulator.calls.count("describe") == 1
    with client.bulk.delete("Account", [{"Id": one, "Name": {"a": 1}} for one in ids]) as loaded:
        assert loaded.success_count == 2
    assert names(emulator) == ["parent"]
    assert emulator.calls.count("describe") == 1


def test_a_struct_that_is_no_lookup_is_refused_with_its_table(org: Org) -> None:
    """As a push does; what Salesforce says of the rows of a query is left out."""
    _, client = org
    table = pa.table({"attributes": [{"type": "Account"}], "Name": ["a"], "Site": [{"a": 1}]})
    with pytest.raises(FixConfig, match=r"the column Site is a struct<.*Site is no lookup"):
        client.bulk.insert("Account", table)
    with client.bulk.insert("Account", table.drop_columns(["Site"])) as loaded:
        assert loaded.success_count == 1


def test_patience_ends_without_harm_to_the_jobs(org: Org) -> None:
    """The error holds the jobs' ids, and the result goes on from there when somebody waits again."""
    emulator, client = org
    emulator.org.jobs.hold()
    with pytest.raises(StillRunning) as told:
        client.bulk.insert("Account", accounts(3), deadline_s=0.05)
    loaded = told.value.facts["loaded"]
    assert isinstance(loaded, Loaded)
    with loaded:
        assert told.value.facts["job_ids"] == loaded.job_ids
        assert (loaded.pending_count, loaded.unsent_count, list(loaded.errors())) == (3, 0, [])
        emulator.org.jobs.release()
        loaded.wait()
        assert (loaded.pending_count, loaded.success_count) == (0, 3)
        assert len(by_row(loaded.successes())) == 3


def test_a_job_that_cannot_be_made_leaves_its_rows_unsent(org: Org) -> None:
    """Jobs before it are done and told; the rows of its own file are listed as never sent."""
    emulator, client = org
    emulator.faults.add("request_limit", kind="ingest.create", nth=2, times=20)
    with pytest.raises(QuotaExhausted) as told:
        client.bulk.insert("Account", accounts(200), max_bytes=2_000)
    loaded = told.value.facts["loaded"]
    assert isinstance(loaded, Loaded)
    with loaded:
        loaded.wait()
        errors = by_row(loaded.errors())
        assert set(errors) | set(by_row(loaded.successes())) == set(range(loaded.total_count))
        assert {one.fate for one in errors.values()} == {Fate.NOT_SENT}
        assert len(names(emulator)) == loaded.success_count > 0


def test_a_source_that_fails_is_told_with_the_jobs(org: Org) -> None:
    """The caller's own error comes through, with a note of the jobs that have begun."""

    def broken() -> Iterator[dict[str, Any]]:
        yield from accounts(4000)
        raise OSError("the source broke")

    with pytest.raises(OSError, match="the source broke") as told:
        org[1].bulk.insert("Account", broken(), max_bytes=10_000)
    assert "750" in told.value.__notes__[0]


def test_a_result_file_that_stays_short_is_an_error(org: Org) -> None:
    """Fewer rows than the job counts, again and again: nothing is told of rows that are not there."""
    emulator, client = org
    emulator.faults.add(
        "answer", kind="ingest.results", times=20, status=200, body='"sf__Id","sf__Created","Name"\n', content_type="text/csv"
    )
    with client.bulk.insert("Account", accounts(3)) as loaded, pytest.raises(Truncated, match="0 of 3 rows"):
        list(loaded.successes())


def test_a_close_that_nobody_answers_is_in_doubt(org: Org) -> None:
    """When not even a look tells whether the job was closed, the error says so and holds its id."""
    emulator, client = org
    emulator.faults.add("cut", kind="ingest.end", where="after", times=50)
    emulator.faults.add("cut", kind="ingest.status", times=50)
    with pytest.raises(RetryLater) as told:
        client.bulk.insert("Account", accounts(3))
    loaded = told.value.facts["loaded"]
    assert isinstance(loaded, Loaded)
    with loaded:
        assert told.value.facts["in_doubt"] is True
        assert told.value.facts["job_ids"] == loaded.job_ids != []
        assert (loaded.pending_count, loaded.unsent_count, list(loaded.errors())) == (3, 0, [])
        emulator.faults.clear()
        loaded.wait()
        assert len(by_row(loaded.successes())) == 3
    assert len(names(emulator)) == 3


def test_the_counts_of_a_job_that_was_stopped_are_taken_when_they_stand(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was under way is still counted: a job is looked at until two looks agree, also when the time limit is over."""
    jobs, looks = IngestJobs(org[1].transport, pace=HastyPace().pace), [0, 5, 9, 9, 10]
    told = iter(JobInfo("750", "Aborted", processed=count) for count in looks)
    monkeypatch.setattr(jobs, "info", lambda _: next(told))
    seen: list[int] = []
    assert jobs.wait("750", until_s=0.0, seen=lambda info: seen.append(info.processed)).processed == 9
    assert seen == looks[:4]


# ---- jobs of some other time


def test_old_jobs_are_listed_and_read(org: Org) -> None:
    """By its id a job tells what became of its rows, which it names by what they held."""
    _, client = org
    given = accounts(3)
    given[1]["Name"] = None
    with client.bulk.insert("Account", given) as loaded:
        (job_id,) = loaded.job_ids
    assert [(job.id, job.state, job.operation, job.sobject) for job in client.bulk.jobs()] == [
        (job_id, "JobComplete", "insert", "Account")
    ]
    with client.bulk.results(job_id) as old:
        assert (old.success_count, old.failed_count, len(list(old.successes()))) == (2, 1, 2)
        assert [(one.row, one.record) for one in old.errors()] == [(None, {"Name": "#N/A", "Ext__c": "e1"})]
    with pytest.raises(NotFound):
        client.bulk.results("750000000000001AAA")


def test_an_old_job_is_matched_with_the_sheet_that_was_kept(org: Org, spool: Spool) -> None:
    """With the file that was sent, rows have their numbers again."""
    _, client = org
    (sheet,) = Sheets(spool).of(accounts(3))
    with client.bulk.insert("Account", accounts(3)) as loaded:
        (job_id,) = loaded.job_ids
    with client.bulk.results(job_id, sheet=sheet, key="Ext__c") as old:
        assert sorted(by_row(old.successes())) == [0, 1, 2]


def test_a_job_can_be_aborted(org: Org) -> None:
    """Aborting twice is aborting once; one that is complete says that it is too late."""
    emulator, client = org
    emulator.org.jobs.hold()
    with pytest.raises(StillRunning) as told:
        client.bulk.insert("Account", accounts(3), deadline_s=0.05)
    job_id = str(told.value.facts["job_id"])
    assert client.bulk.abort(job_id).state == "Aborted"
    assert client.bulk.abort(job_id).state == "Aborted"
    emulator.org.jobs.release()
    with client.bulk.results(job_id) as old:
        assert [one.fate for one in old.errors()] == [Fate.NOT_SENT] * 3
    with client.bulk.insert("Account", accounts(3)) as loaded, pytest.raises(JobFailed):
        client.bulk.abort(loaded.job_ids[0])
