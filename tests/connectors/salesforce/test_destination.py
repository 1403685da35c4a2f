"""Laws of rows on their way into an org: every mode on both paths, each row told once, in Salesforce's words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.salesforce.loads import (
    DELETE,
    HARD_DELETE,
    INSERT,
    PATHS,
    UPDATE,
    UPSERT,
    Desk,
    accounts,
    by_row,
    fates,
)
from tests.connectors.salesforce.writable import Org
from tests.examples import in_turn

from halocline import registry
from halocline.connectors.salesforce import sheets
from halocline.connectors.salesforce.destination import SalesforceDestination
from halocline.connectors.salesforce.writing import cargo, left
from halocline.connectors.salesforce.writing.answers import Answers, Part
from halocline.connectors.salesforce.writing.cargo import PLAN_FILE
from halocline.connectors.salesforce.writing.left import read_left
from halocline.errors import FixConfig, JobFailed, NetworkFailed, NotFound, QuotaExhausted, Stop, StorageFailed
from halocline.outcome import Fate, RowResult
from halocline.push.destination import RowBatch, Told
from halocline.push.order import Api, WriteOrder


@pytest.fixture
def desk(org: Org, tmp_path: Path) -> Desk:
    return Desk(*org, tmp_path)


@pytest.fixture
def small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty rows fill a sheet."""
    monkeypatch.setattr(sheets, "MAX_ROWS", 40)


def by(order: WriteOrder, api: Api) -> WriteOrder:
    return replace(order, api=api)


# ---- what is written


@pytest.mark.parametrize("api", PATHS)
def test_records_live_by_rows(desk: Desk, api: Api) -> None:
    """Insert, upsert, update and delete do to the org what they say, and tell ids and what was created."""
    made = desk.sent(by(INSERT, api), accounts(30))
    ids = {row: one.id for row, one in made.items()}
    found = {row["Id"]: row["Name"] for row in desk.emulator.query("SELECT Id, Name FROM Account")}
    assert [found[ids[row]] for row in range(30)] == [row["Name"] for row in accounts(30)]
    assert {one.created for one in made.values()} == {True}
    upserted = desk.sent(by(UPSERT, api), accounts(40, Phone="1"))
    assert [row for row, one in upserted.items() if one.created] == list(range(30, 40))
    changed = desk.sent(by(UPDATE, api), [{"Id": one.id, "Phone": None} for one in upserted.values()])
    assert fates(changed) == {"written": 40}
    assert {row["Phone"] for row in desk.emulator.query("SELECT Phone FROM Account")} == {None}
    gone = desk.sent(by(DELETE, api), [{"Id": ids[row]} for row in range(30)])
    assert fates(gone) == {"written": 30}
    assert len(desk.names()) == 10


def test_hard_delete_goes_past_the_recycle_bin(desk: Desk) -> None:
    """The records are not even there for a query that looks into the bin."""
    made = desk.sent(INSERT, accounts(3))
    assert fates(desk.sent(HARD_DELETE, [str(one.id) for one in made.values()])) == {"written": 3}
    assert desk.emulator.query("SELECT Id FROM Account", all_rows=True) == []


@pytest.mark.parametrize("api", PATHS)
def test_bad_rows_are_told_in_salesforces_words(desk: Desk, api: Api) -> None:
    """Each bad row with its own number and code, whether it was refused here or there; all others are written."""
    rows = accounts(300)
    rows[5]["Name"] = None
    rows[17]["Name"] = "n" * 300
    rows[150]["Ext__c"] = "e00001"
    rows[200] = "no row at all"  # type: ignore[call-overload]  # that it is wrong is the point
    found = desk.sent(by(INSERT, api), rows)
    assert {row: one.code for row, one in found.items() if not one.success} == {
        5: "REQUIRED_FIELD_MISSING",
        17: "STRING_TOO_LONG",
        150: "DUPLICATE_VALUE",
        200: "CANNOT_BE_SENT",
    }
    assert found[5].fields == ("Name",)
    assert fates(found) == {"written": 296, "refused": 3, "not_sent": 1}
    assert len(desk.names()) == 296


def test_what_bulk_cannot_carry_goes_by_collections(desk: Desk) -> None:
    """The text #N/A arrives as itself, beside a Bulk job that takes the rest."""
    rows = accounts(50)
    rows[7]["Description"] = "#N/A"
    begun = desk.begun(by(UPSERT, Api.BULK), rows)
    tolds = list(begun.opened().outcomes())
    assert {told.chunk[0]: told.rows for told in tolds} == {"c": 1, "b": 49}
    assert {told.job_id is None for told in tolds if told.chunk.startswith("c")} == {True}
    found = desk.emulator.query("SELECT Name, Description FROM Account")
    assert [row["Name"] for row in found if row["Description"] == "#N/A"] == ["n00007"]


@pytest.mark.parametrize("api", PATHS)
def test_a_folded_row_shares_the_fate_of_the_row_it_travels_in(desk: Desk, api: Api) -> None:
    """Same id where it was written, same code where it was not, with the row that it travels in."""
    rows = [*accounts(10), {"Ext__c": "e00003", "Phone": "3"}, {"Ext__c": "e00004", "Name": "n" * 300}]
    begun = desk.begun(by(UPSERT, api), rows)
    assert dict(begun.opened().folded()) == {3: 10, 4: 11}
    found = begun.results()
    assert found[3].id == found[10].id is not None
    assert (found[4].fate, found[4].code) == (found[11].fate, found[11].code) == (Fate.REFUSED, "STRING_TOO_LONG")
    assert found[4].message == f"travels in row 11: {found[11].message}"
    assert desk.emulator.query("SELECT Name, Phone FROM Account WHERE Ext__c = 'e00003'") == [{"Name": "n00003", "Phone": "3"}]
    assert len(desk.names()) == 9


def test_many_rows_that_travel_in_one_are_told_in_pieces(desk: Desk) -> None:
    """However many rows share a key, no piece is longer than it may be."""
    rows = [{"Ext__c": "e", "Phone": str(number)} for number in range(20_500)]
    found = desk.sent(UPSERT, [*rows, {"Ext__c": "e", "Name": "last"}])
    assert {one.id for one in found.values()} == {found[20_500].id}
    assert desk.names() == ["last"]


def test_identical_rows_each_have_a_result(desk: Desk) -> None:
    """Rows that cannot be told apart share out written and refused results: every number comes once."""
    rows = [{"Name": "same", "Ext__c": "same"}] * 40 + [{"Name": "other"}] * 20
    found = desk.sent(by(INSERT, Api.BULK), rows)
    assert fates(found) == {"written": 21, "refused": 39}


def test_the_caller_hears_what_is_about_to_go(desk: Desk) -> None:
    """The row numbers of each chunk, before it goes; a caller that fails there has sent nothing."""
    heard: list[int] = []
    begun = desk.begun(by(INSERT, Api.COLLECTIONS), accounts(450))
    first = next(begun.opened().outcomes(sending=heard.extend))
    assert first.rows == 200
    assert heard == list(range(450))

    def broken(_: object) -> None:
        raise ZeroDivisionError

    other = desk.begun(INSERT, accounts(3, Phone="2"))
    with pytest.raises(ZeroDivisionError):
        list(other.opened().outcomes(sending=broken))
    assert other.journal.open() == []


def test_rows_lie_in_the_folder_before_anything_is_sent(desk: Desk) -> None:
    """Staging and planning ask for a describe and nothing more; without a journal nothing can be sent."""
    desk.client.org_id()
    before = desk.emulator.calls.count("collections.*") + desk.emulator.calls.count("ingest.*")
    load = SalesforceDestination(desk.client).open(INSERT, desk.home / "dry")
    assert load.stage(RowBatch(range(3), accounts(3))) == []
    with pytest.raises(Stop, match="not planned"):
        load.left()
    assert (load.plan().rows, load.plan().chunks) == (3, 1)
    with pytest.raises(Stop, match="without a journal"):
        next(load.outcomes())
    with pytest.raises(Stop, match="planned already"):
        load.stage(RowBatch(range(3), accounts(3)))
    with pytest.raises(FixConfig, match="other settings"):
        SalesforceDestination(desk.client).open(UPSERT, desk.home / "dry")
    assert desk.emulator.calls.count("collections.*") + desk.emulator.calls.count("ingest.*") == before == 0


# ---- when things go wrong


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("rows", [7, 201])
def test_locked_rows_are_sent_again(desk: Desk, monkeypatch: pytest.MonkeyPatch, api: Api, rows: int) -> None:
    """Each is written once in the end, and told once: few by collections, many by another job."""
    monkeypatch.setattr(cargo, "BY_COLLECTIONS", 200)
    desk.emulator.faults.add("lock", object="Account", rows=rows)
    begun = desk.begun(by(UPSERT, api), accounts(250))
    assert fates(begun.results()) == {"written": 250}
    assert len(desk.names()) == 250
    again = [path.name for path in begun.folder.glob("r*.told.json")]
    assert bool(again) == (api is Api.BULK)
    assert desk.emulator.calls.count("ingest.create") == (
        0 if api is Api.COLLECTIONS else 2 if rows > cargo.BY_COLLECTIONS else 1
    )


def test_rows_that_stay_locked_are_refused_in_the_end(desk: Desk, small_sheets: None) -> None:
    """With Salesforce's last words; the rows around them are written, also those that travel with them."""
    made = desk.sent(INSERT, accounts(100))
    for row in (3, 60):
        desk.emulator.locks.lock(str(made[row].id))
    rows = [*accounts(100, Phone="1"), {"Ext__c": "e00003", "Phone": "2"}]
    found = desk.sent(by(UPSERT, Api.BULK), rows)
    assert {row: one.code for row, one in found.items() if not one.success} == dict.fromkeys((3, 60, 100), "UNABLE_TO_LOCK_ROW")
    assert found[3].message.startswith("travels in row 100: unable to obtain exclusive access")
    assert len(desk.emulator.query("SELECT Id FROM Account WHERE Phone = '1'")) == 98


def test_hard_deletes_are_sent_again_by_bulk_until_the_policy_ends(desk: Desk) -> None:
    """Only Bulk can; a record that stays locked stays, and its row is refused."""
    made = desk.sent(INSERT, accounts(5))
    desk.emulator.locks.lock(str(made[2].id))
    found = desk.sent(HARD_DELETE, [str(one.id) for one in made.values()])
    assert {row: one.code for row, one in found.items() if not one.success} == {2: "UNABLE_TO_LOCK_ROW"}
    assert desk.emulator.calls.count("ingest.create") == 6
    assert desk.names() == ["n00002"]


@pytest.mark.parametrize("api", PATHS)
def test_a_session_that_ends_on_the_way_is_renewed(desk: Desk, small_sheets: None, api: Api) -> None:
    """Whatever call it hits: each row is written once."""
    for kind in ("ingest.upload", "ingest.end", "ingest.status", "collections.upsert"):
        desk.emulator.faults.add("expire_session", kind=kind)
    assert fates(desk.sent(by(UPSERT, api), accounts(300))) == {"written": 300}
    assert len(desk.names()) == 300


@pytest.mark.parametrize(
    ("kind", "where"),
    in_turn(["ingest.create", "ingest.upload", "ingest.end", "ingest.status", "ingest.results"], ["after", "before"]),
)
def test_every_step_of_a_job_survives_a_lost_answer(desk: Desk, small_sheets: None, kind: str, where: Any) -> None:
    """Each row of an insert is written once, and told once."""
    desk.emulator.faults.add("cut", kind=kind, where=where, nth=2)
    found = desk.sent(by(INSERT, Api.BULK), accounts(100))
    assert fates(found) == {"written": 100}
    assert len(desk.names()) == 100


def test_stop_on_error_sends_nothing_after_the_first_refusal(desk: Desk) -> None:
    """The call with the refused row is told; the rows of all later calls are told as never attempted, and were not."""
    rows = accounts(450)
    rows[210]["Name"] = None
    order = replace(INSERT, stop_on_error=True, batch_size=100)
    begun = desk.begun(order, rows)
    found = begun.results()
    assert fates(found) == {"written": 299, "refused": 1, "not_sent": 150}
    assert {one.code for row, one in found.items() if row >= 300} == {"NOT_ATTEMPTED"}
    assert "row 210 was not written (REQUIRED_FIELD_MISSING" in found[449].message
    assert desk.emulator.calls.count("collections.create") == 3
    assert begun.results() == found


def test_a_job_that_fails_at_once_ends_the_push(desk: Desk, small_sheets: None) -> None:
    """No other sheet is sent after it; every row is told in the job's words, then the error comes with the jobs."""
    begun = desk.begun(by(INSERT, Api.BULK), accounts(1000, Nope__c="1"))
    tolds: list[Told] = []
    with pytest.raises(JobFailed, match="Nope__c") as told:
        tolds.extend(begun.opened().outcomes())
    found = by_row(tolds)
    assert sorted(found) == list(range(1000))
    assert fates(found) == {"not_sent": 1000}
    assert all("Nope__c" in one.message for one in found.values())
    assert told.value.facts["job_ids"]
    assert "0 rows are written, 0 refused, 1,000 not sent" in str(told.value)
    assert desk.emulator.calls.count("ingest.create") < 25
    assert begun.journal.open() == []


def test_a_job_that_fails_later_costs_only_its_own_rows(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had written stays written and told; the other sheets are sent."""
    monkeypatch.setattr(sheets, "MAX_ROWS", 20_000)
    desk.emulator.faults.add("job_failed", kind="ingest.end", message="InternalServerError : it broke", after_batches=1)
    found = desk.sent(INSERT, [{"Name": f"n{number}"} for number in range(22_000)])
    assert fates(found) == {"written": 12_000, "not_sent": 10_000}
    assert {one.message for one in found.values() if not one.success} == {"InternalServerError : it broke"}


@pytest.mark.parametrize("api", PATHS)
def test_a_quota_that_ends_on_the_way_leaves_the_rest_for_later(desk: Desk, small_sheets: None, api: Api) -> None:
    """What was answered is told before the error comes; opened again, the load sends the rest, and no row is in doubt."""
    begun = desk.begun(replace(INSERT, api=api, batch_size=40), accounts(240))
    kind = "ingest.create" if api is Api.BULK else "collections.create"
    desk.emulator.faults.add("request_limit", kind=kind, nth=3, times=99)
    tolds: list[Told] = []
    with pytest.raises(QuotaExhausted) as told:
        tolds.extend(begun.opened().outcomes())
    assert len({one.chunk for one in tolds}) == 2
    assert 0 < len(by_row(tolds)) <= 80
    assert len(told.value.facts["job_ids"]) == (2 if api is Api.BULK else 0)  # type: ignore[arg-type]  # a list of ours
    desk.emulator.faults.clear()
    assert fates(begun.results()) == {"written": 240}
    assert len(desk.names()) == 240


def test_an_insert_whose_answer_is_lost_is_in_doubt(desk: Desk) -> None:
    """Its rows are told so and never sent again; a load opened later knows it too."""
    desk.emulator.faults.add("cut", kind="collections.create", where="after", nth=2)
    begun = desk.begun(by(INSERT, Api.COLLECTIONS), accounts(600))
    found = begun.results()
    assert fates(found) == {"written": 400, "in_doubt": 200}
    assert begun.results() == found
    assert len(desk.names()) == 600


def test_inserts_stop_when_answers_stay_away(desk: Desk) -> None:
    """A few lost answers in a row end the push: what was not sent by then is sent when it is taken up, and is in no doubt."""
    desk.emulator.faults.add("cut", kind="collections.create", where="after", every=1)
    begun = desk.begun(replace(INSERT, api=Api.COLLECTIONS, batch_size=20), accounts(200))
    with pytest.raises(NetworkFailed, match="the rows of 3 calls in a row"):
        for _ in begun.opened().outcomes():
            pass
    desk.emulator.faults.clear()
    sent = len(desk.names())
    assert 60 <= sent <= 120
    assert fates(begun.results()) == {"written": 200 - sent, "in_doubt": sent}
    assert len(desk.names()) == 200


def test_a_row_that_no_result_tells_of_is_in_doubt(desk: Desk) -> None:
    """Results that cannot be matched with what was sent are not given to some row, and no row is forgotten."""
    body = '"sf__Id","sf__Created","Name","Ext__c"\n"001000000000001AAA","true","n","e00001"\n' + '"","true","n","other"\n' * 2
    desk.emulator.faults.add("answer", kind="ingest.results", status=200, body=body, content_type="text/csv")
    found = desk.sent(by(UPSERT, Api.BULK), accounts(3))
    assert [found[row].fate for row in range(3)] == [Fate.IN_DOUBT, Fate.WRITTEN, Fate.IN_DOUBT]
    assert "no result of its job" in found[0].message


# ---- what is left


@pytest.mark.parametrize("api", PATHS)
def test_what_was_not_written_is_left_for_another_try(desk: Desk, small_sheets: None, api: Api) -> None:
    """The folder shrinks to rows refused or not sent; staged anew under their numbers and mended, they are written."""
    rows = [*accounts(100), {"Ext__c": "e00003", "Name": "n" * 300}]
    rows[7]["Name"] = "m" * 300
    begun = desk.begun(by(UPSERT, api), rows)
    load = begun.opened()
    assert fates(by_row(list(load.outcomes()))) == {"written": 98, "refused": 3}
    path = load.left()
    assert [one.name for one in begun.folder.iterdir()] == [path.name]
    (batch,) = read_left(path)
    assert list(batch.numbers) == [3, 7, 100]
    again = desk.begun(replace(begun.order), [])
    other = SalesforceDestination(desk.client).open(begun.order, desk.home / "other", journal=again.journal)
    assert other.stage(batch) == []
    assert (other.plan().rows, other.plan().folded) == (2, 1)
    assert fates(by_row(list(other.outcomes()))) == {"refused": 3}
    assert begun.opened().left() == path


def test_rows_in_doubt_are_not_left(desk: Desk) -> None:
    """Nobody may send them once more by mistake: they are kept apart, for who asks for them."""
    desk.emulator.faults.add("cut", kind="collections.create", where="after")
    begun = desk.begun(INSERT, accounts(3))
    load = begun.opened()
    assert fates(by_row(list(load.outcomes()))) == {"in_doubt": 3}
    assert list(read_left(load.left())) == []
    destination = SalesforceDestination(desk.client)
    assert list(destination.left(begun.folder)) == []
    (batch,) = destination.left(begun.folder, in_doubt=True)
    assert list(batch.numbers) == [0, 1, 2]
    assert list(destination.left(desk.home / "nowhere", in_doubt=True)) == []


def test_rows_that_travel_in_one_that_was_not_sent_are_left_with_it(desk: Desk) -> None:
    """A call that ended early tells of some rows; the others are left, and with each those that were folded into it."""
    begun = desk.begun(by(UPSERT, Api.COLLECTIONS), [*accounts(3), {"Ext__c": "e00001", "Phone": "1"}])
    begun.journal.intend("c00001", {"attempt": 1})
    Answers(begun.folder).keep_part("c00001", Part(1, (RowResult(0, Fate.WRITTEN, id="001000000000001AAA"),)))
    load = begun.opened()
    assert fates(by_row(list(load.settle()))) == {"written": 1}
    (batch,) = read_left(load.left())
    assert list(batch.numbers) == [1, 2, 3]


def test_the_plan_goes_only_when_what_is_left_is_on_the_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the names of the files that are kept cannot be made durable, the plan is still there, and `left` may be tried again."""
    begun = desk.begun(INSERT, [{"Name": "n" * 300}])
    load = begun.opened()
    assert fates(by_row(list(load.outcomes()))) == {"refused": 1}

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(left, "to_disk", full)
        with pytest.raises(StorageFailed):
            load.left()
    assert (begun.folder / PLAN_FILE).exists()
    (batch,) = read_left(begun.opened().left())
    assert list(batch.numbers) == [0]
    assert not (begun.folder / PLAN_FILE).exists()


# ---- the destination


def test_a_destination_knows_its_org_and_counts_its_calls(desk: Desk) -> None:
    """The org's id, or the host where the user may not know it; an object is described once, and near names are told."""
    destination = SalesforceDestination(desk.client)
    assert destination.org.startswith("00D")
    before = destination.calls
    assert destination.describe("account")["name"] == destination.describe("Account")["name"] == "Account"
    assert destination.calls == before + 1
    with pytest.raises(NotFound) as told:
        destination.describe("Acount")
    assert "Account" in told.value.suggestions


def test_a_client_stays_its_owners(desk: Desk) -> None:
    """`open_rows` takes a client, or whatever a client can be made of, and closes only what it made itself."""
    registry.open_rows(desk.client).close()
    assert desk.client.count("Account") == 0
    token = desk.client.transport.session.token()
    for session in (desk.client.transport.session, {"access_token": token.access_token, "instance_url": token.instance_url}):
        rows = registry.open_rows(session)
        assert rows.describe("Account")["name"] == "Account"
        rows.close()
        with pytest.raises(FixConfig, match="its client is closed"):
            rows.describe("Contact")
    with pytest.raises(FixConfig, match="push rows to int"):
        registry.open_rows(3)
