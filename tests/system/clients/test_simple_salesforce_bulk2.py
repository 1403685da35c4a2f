"""simple-salesforce 1.12.10: `sf.bulk2`, which is Bulk API 2.0."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import BULK_PAGE, Play
from tests.system.clients.stage import ClientFailed

CLIENT = "simple-salesforce"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
Bulk = Callable[..., Any]
ALL = 2 * BULK_PAGE + 20


@pytest.fixture
def login(org: Emulator, session_id: str) -> dict[str, str]:
    return {"session_id": session_id, "instance_url": org.https_url}


@pytest.fixture
def bulk2(play: Play, login: dict[str, str]) -> Bulk:
    def run(operation: str, records: list[dict[str, str]], **options: object) -> Any:
        return play("bulk2", login=login, sobject="Account", operation=operation, records=records, **options)

    return run


def rows(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_insert_loads_a_file(org: Emulator, bulk2: Bulk) -> None:
    """create, PUT (201), close, poll, counts, and the three result files."""
    records = [{"Name": 'Quote " comma , end', "Site": "line\nbreak"}, {"Name": "Two", "Site": ""}, {"Name": "", "Site": "x"}]
    seen = bulk2("insert", records)
    (job,) = seen["jobs"]
    assert (job["numberRecordsTotal"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (3, 3, 1)
    good = rows(seen["successful"])
    assert [(row["sf__Created"], row["Name"], row["Site"]) for row in good] == [
        ("true", 'Quote " comma , end', "line\nbreak"),
        ("true", "Two", ""),
    ]
    (bad,) = rows(seen["failed"])
    assert (bad["sf__Id"], bad["sf__Error"]) == ("", "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --")
    assert rows(seen["unprocessed"]) == []
    assert set(org.store.read('SELECT "Name", "Site" FROM "Account"')) == {
        (row["Name"], row["Site"] or None) for row in records[:2]
    }


def test_pipes_and_crlf_are_kept(bulk2: Bulk, org: Emulator) -> None:
    """`column_delimiter` and `line_ending` say how the file is written, and the results come the same way."""
    seen = bulk2("insert", [{"Name": "A|B", "Site": "x"}], column_delimiter="PIPE", line_ending="CRLF")
    assert [row["Name"] for row in rows(seen["successful"], "|")] == ["A|B"]
    assert org.store.read('SELECT "Name" FROM "Account"') == [("A|B",)]


def test_update_and_its_clearing(bulk2: Bulk, add: Add, stored: Stored) -> None:
    """A value changes, an empty cell leaves alone, #N/A clears."""
    record_id = add("Account", Name="Old", Phone="1", Site="Here")
    seen = bulk2("update", [{"Id": record_id, "Name": "New", "Phone": "#N/A", "Site": ""}])
    assert [row["sf__Created"] for row in rows(seen["successful"])] == ["false"]
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"], row["Site"]) == ("New", None, "Here")


def test_upsert_tells_new_from_known(bulk2: Bulk, add: Add) -> None:
    """`sf__Created` per row, by an external id."""
    known = add("Account", Name="Known", Code__c="K")
    records = [{"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"}]
    seen = bulk2("upsert", records, external_id_field="Code__c")
    made = {row["Code__c"]: (row["sf__Id"], row["sf__Created"]) for row in rows(seen["successful"])}
    assert made["K"] == (known, "false")
    assert made["N"][1] == "true"


def test_delete_fills_the_bin_and_hard_delete_does_not(bulk2: Bulk, add: Add, stored: Stored) -> None:
    """Delete leaves the row in the recycle bin, hardDelete nothing."""
    soft, hard = add("Account", Name="Soft"), add("Account", Name="Hard")
    assert bulk2("delete", [{"Id": soft}])["jobs"][0]["numberRecordsFailed"] == 0
    assert bulk2("hard_delete", [{"Id": hard}])["jobs"][0]["numberRecordsFailed"] == 0
    row = stored("Account", soft)
    assert row is not None
    assert row["IsDeleted"]
    assert stored("Account", hard) is None


def test_a_file_goes_up_in_parts(org: Emulator, play: Play, login: dict[str, str]) -> None:
    """`csv_file` with a batch size: one job for each part, several at a time."""
    text = "Name,Site\n" + "".join(f"Row {number},x\n" for number in range(7))
    seen = play("bulk2_file", login=login, sobject="Account", text=text, batch_size=3, concurrency=2)
    assert sorted(job["numberRecordsTotal"] for job in seen) == [1, 3, 3]
    assert org.store.read('SELECT count(*) FROM "Account"') == [(7,)]


def test_results_come_as_a_file(bulk2: Bulk, play: Play, login: dict[str, str]) -> None:
    """`get_successful_records(job_id, file=...)`."""
    seen = bulk2("insert", [{"Name": "One"}])
    text = play("bulk2_results_file", login=login, sobject="Account", job_id=seen["jobs"][0]["job_id"])
    assert text == seen["successful"]


def test_a_wrong_column_fails_the_job(bulk2: Bulk) -> None:
    """The job's errorMessage reaches the user."""
    with pytest.raises(ClientFailed, match="InvalidBatch : Field name not found : Nope__c"):
        bulk2("insert", [{"Name": "One", "Nope__c": "x"}])


def test_text_results_without_a_charset_are_misread(bulk2: Bulk, org: Emulator) -> None:
    """The client's fault: Bulk results are UTF-8 in a `text/csv` without a charset, which it takes for Latin-1.

    What it sent is stored whole, and what it queries is read right: only its result files are decoded like this.
    """
    seen = bulk2("insert", [{"Name": "Müller"}])
    assert org.store.read('SELECT "Name" FROM "Account"') == [("Müller",)]
    assert [row["Name"] for row in rows(seen["successful"])] == ["Müller".encode().decode("latin-1")]


def test_an_aborted_job_stays_aborted(play: Play, login: dict[str, str]) -> None:
    """create, abort, look."""
    seen = play("bulk2_job_life", login=login, sobject="Account")
    states = [seen[moment]["state"] for moment in ("created", "aborted", "seen")]
    assert states == ["Open", "Aborted", "Aborted"]
    assert seen["created"]["contentUrl"] == f"services/data/v59.0/jobs/ingest/{seen['created']['id']}/batches"


@pytest.mark.parametrize("is_query", [False, True])
def test_deleting_a_job_looks_like_a_failure(org: Emulator, play: Play, login: dict[str, str], is_query: bool) -> None:
    """The client's fault: Salesforce answers 204 without a body, which it tries to read as JSON. The job is gone all the same."""
    if is_query:
        play("bulk2_query", login=login, sobject="Account", soql="SELECT Id FROM Account")
        (created,) = [call for call in org.calls if call.kind == "bulk.results"]
        job_id = created.path.split("/")[6]
    else:
        job_id = play("bulk2_job_life", login=login, sobject="Account")["created"]["id"]
    with pytest.raises(ClientFailed, match="Expecting value") as caught:
        play("bulk2_delete_job", login=login, sobject="Account", job_id=job_id, is_query=is_query)
    assert caught.value.kind == "JSONDecodeError"
    with pytest.raises(ClientFailed, match="NOT_FOUND"):
        play("bulk2_delete_job", login=login, sobject="Account", job_id=job_id, is_query=is_query)


def test_query_gives_every_page(org: Emulator, play: Play, login: dict[str, str]) -> None:
    """Three pages, each with its header, until the locator is `null`."""
    org.seed({"Account": ALL})
    pages = play("bulk2_query", login=login, sobject="Account", soql="SELECT Id, Name FROM Account", max_records=BULK_PAGE)
    assert [len(rows(page)) for page in pages] == [BULK_PAGE, BULK_PAGE, 20]
    assert len({row["Id"] for page in pages for row in rows(page)}) == ALL


def test_query_all_reads_the_bin(play: Play, login: dict[str, str], bulk2: Bulk, add: Add) -> None:
    """QueryAll gives deleted rows, query does not."""
    bulk2("delete", [{"Id": add("Account", Name="Gone")}])
    query = {"login": login, "sobject": "Account", "soql": "SELECT Id, IsDeleted FROM Account"}
    assert rows(play("bulk2_query", **query)[0]) == []
    assert [row["IsDeleted"] for row in rows(play("bulk2_query", **query, operation="query_all")[0])] == ["true"]


def test_download_writes_every_page(org: Emulator, play: Play, login: dict[str, str]) -> None:
    """Files with the rows, and the numbers that the headers told."""
    org.seed({"Account": ALL})
    pages = play("bulk2_download", login=login, sobject="Account", soql="SELECT Id FROM Account", max_records=BULK_PAGE)
    assert [page["number_of_records"] for page in pages] == [BULK_PAGE, BULK_PAGE, 20]
    assert [len(rows(page["file"])) for page in pages] == [BULK_PAGE, BULK_PAGE, 20]
    assert pages[-1]["locator"] == ""


def test_a_query_that_bulk_cannot_do_is_refused(play: Play, login: dict[str, str]) -> None:
    """400 at creation, with the vendor's words."""
    with pytest.raises(ClientFailed, match=r"Aggregate|aggregate|COUNT|count") as caught:
        play("bulk2_query", login=login, sobject="Account", soql="SELECT COUNT(Id) FROM Account")
    assert caught.value.kind == "SalesforceMalformedRequest"
