"""simple-salesforce 1.12.10: `sf.bulk`, which is Bulk API 1.0 in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from halocline.emulator.server import Emulator
from tests.system.clients.conftest import Play
from tests.system.clients.stage import ClientFailed

CLIENT = "simple-salesforce"
Add = Callable[..., str]
Stored = Callable[[str, str], Mapping[str, object] | None]
Bulk = Callable[..., Any]
ROWS = [{"Name": f"Row {number}", "NumberOfEmployees": number, "Phone": None} for number in range(5)]


@pytest.fixture
def login(org: Emulator, session_id: str) -> dict[str, str]:
    return {"session_id": session_id, "instance_url": org.https_url}


@pytest.fixture
def bulk(play: Play, login: dict[str, str]) -> Bulk:
    def run(operation: str, data: object, **options: object) -> Any:
        return play("bulk", login=login, sobject="Account", operation=operation, data=data, **options)

    return run


def test_insert_keeps_the_order_over_its_batches(org: Emulator, bulk: Bulk) -> None:
    """Five rows in batches of two: three batches, results in the order of the rows, records as sent."""
    seen = bulk("insert", ROWS, batch_size=2)
    assert [(row["success"], row["created"], row["errors"]) for row in seen] == [(True, True, [])] * 5
    made = dict(org.store.read('SELECT "Id", "Name" FROM "Account"'))
    assert [made[row["id"]] for row in seen] == [row["Name"] for row in ROWS]
    assert [call.kind for call in org.calls].count("bulk1.add") == 3


def test_a_bad_row_leaves_the_others_alone(org: Emulator, bulk: Bulk) -> None:
    """The row's error stands at its place, with code, words and fields."""
    good, bad, last = bulk("insert", [{"Name": "Good"}, {"Phone": "1"}, {"Name": "Last"}])
    assert (good["success"], last["success"], bad["success"], bad["id"]) == (True, True, False, None)
    (error,) = bad["errors"]
    assert (error["statusCode"], error["fields"]) == ("REQUIRED_FIELD_MISSING", ["Name"])
    assert error["message"] == "Required fields are missing: [Name]"


def test_update_changes_what_is_named(bulk: Bulk, add: Add, stored: Stored) -> None:
    """A value, and null, which clears; what is not named stays. Serial mode is the same."""
    record_id = add("Account", Name="Old", Phone="1", Site="Here")
    (seen,) = bulk("update", [{"Id": record_id, "Name": "New", "Phone": None}], use_serial=True)
    assert (seen["success"], seen["created"], seen["id"]) == (True, False, record_id)
    row = stored("Account", record_id)
    assert row is not None
    assert (row["Name"], row["Phone"], row["Site"]) == ("New", None, "Here")


def test_upsert_tells_new_from_known(bulk: Bulk, add: Add) -> None:
    """`created` per row, by an external id."""
    known = add("Account", Name="Known", Code__c="K")
    rows = [{"Code__c": "K", "Name": "Changed"}, {"Code__c": "N", "Name": "New"}]
    first, second = bulk("upsert", rows, external_id_field="Code__c")
    assert (first["id"], first["created"], second["created"]) == (known, False, True)


def test_delete_fills_the_bin_and_hard_delete_does_not(bulk: Bulk, add: Add, stored: Stored) -> None:
    """Delete leaves the row in the recycle bin, hardDelete nothing."""
    soft, hard = add("Account", Name="Soft"), add("Account", Name="Hard")
    assert [row["success"] for row in bulk("delete", [{"Id": soft}])] == [True]
    assert [row["success"] for row in bulk("hard_delete", [{"Id": hard}])] == [True]
    row = stored("Account", soft)
    assert row is not None
    assert row["IsDeleted"]
    assert stored("Account", hard) is None


def test_query_gives_records(org: Emulator, bulk: Bulk, add: Add) -> None:
    """Records with attributes; a moment is a number of milliseconds, as Bulk API 1.0 writes JSON."""
    org.clock.freeze(datetime(2026, 11, 20, 10, 0, 30, tzinfo=UTC))
    record_id = add("Account", Name="One", AnnualRevenue=12.5)
    (seen,) = bulk("query", "SELECT Id, Name, AnnualRevenue, Phone, CreatedDate FROM Account")
    assert seen["attributes"]["type"] == "Account"
    assert (seen["Id"], seen["Name"], seen["AnnualRevenue"], seen["Phone"]) == (record_id, "One", 12.5, None)
    assert seen["CreatedDate"] == 1_795_168_830_000


def test_a_lazy_query_gives_its_pages(org: Emulator, play: Play, login: dict[str, str]) -> None:
    """`lazy_operation=True` gives lists of records, one for each result."""
    org.seed({"Account": 120})
    pages = play("bulk_lazy", login=login, sobject="Account", soql="SELECT Id FROM Account")
    assert len({row["Id"] for page in pages for row in page}) == 120


def test_query_all_reads_the_bin(org: Emulator, bulk: Bulk, add: Add) -> None:
    """QueryAll gives deleted rows, query does not."""
    bulk("delete", [{"Id": add("Account", Name="Gone")}])
    assert bulk("query", "SELECT Id FROM Account") == []
    assert [row["IsDeleted"] for row in bulk("query_all", "SELECT Id, IsDeleted FROM Account")] == [True]


def test_a_bad_query_fails_the_batch(bulk: Bulk) -> None:
    """The batch's stateMessage reaches the user."""
    with pytest.raises(ClientFailed, match="InvalidBatch"):
        bulk("query", "SELECT Nope FROM Account")


def test_rows_come_back_with_their_results(bulk: Bulk) -> None:
    """`include_detailed_results` asks for the batch's request and lays it beside the results."""
    seen = bulk("insert", ROWS[:2], include_detailed_results=True)
    assert [(row["success"], row["Name"]) for row in seen] == [(True, "Row 0"), (True, "Row 1")]


def test_results_can_be_left_for_later(bulk: Bulk) -> None:
    """`bypass_results` gives the job's id at once."""
    flag, job = bulk("insert", ROWS[:1], bypass_results=True)
    assert flag == {"bypass_results": True}
    assert job["job_id"].startswith("750")


def test_batches_size_themselves(org: Emulator, bulk: Bulk) -> None:
    """`batch_size='auto'`."""
    assert len(bulk("insert", ROWS, batch_size="auto")) == 5


def test_an_operation_can_be_named(play: Play, login: dict[str, str], org: Emulator) -> None:
    """`submit_dml('Account', 'upsert', ...)`."""
    rows = [{"Code__c": "S", "Name": "Submitted"}]
    (seen,) = play("bulk_dml", login=login, sobject="Account", operation="upsert", data=rows, key="Code__c")
    assert (seen["success"], seen["created"]) == (True, True)


def test_an_unknown_object_is_refused(play: Play, login: dict[str, str]) -> None:
    """400 InvalidJob, as JSON because the job was asked for in JSON. Source: simple-salesforce, issue 453."""
    with pytest.raises(ClientFailed, match="'exceptionCode': 'InvalidJob', 'exceptionMessage': 'Unable to find object: Nope__c'"):
        play("bulk", login=login, sobject="Nope__c", operation="insert", data=ROWS)


def test_an_unknown_session_is_a_bad_request(org: Emulator, play: Play) -> None:
    """Bulk API 1.0 says 400 InvalidSessionId where REST says 401: its SalesforceMalformedRequest, and no second login."""
    login = {"session_id": "00D!no", "instance_url": org.https_url}
    with pytest.raises(ClientFailed, match="InvalidSessionId") as caught:
        play("bulk", login=login, sobject="Account", operation="insert", data=ROWS)
    assert caught.value.kind == "SalesforceMalformedRequest"
