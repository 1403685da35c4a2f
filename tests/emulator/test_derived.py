"""Laws of fields that follow from others when a record is saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.emulator.life_org import Life, life

from halocline.emulator.stages import STAGES


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Life]:
    with life(tmp_path) as made:
        yield made


def values(org: Life, sobject: str, record_id: str, *names: str) -> list[object]:
    row = org.row(sobject, record_id)
    return [row[name] for name in names]


FORECAST = ("IsClosed", "IsWon", "Probability", "ForecastCategory", "ForecastCategoryName")


def deal(org: Life, **values: object) -> str:
    return org.insert("Opportunity", **{"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-11-20", **values})


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_implies_the_forecast(org: Life, name: str) -> None:
    """On insert, and when the stage moves; the stage's date is that of its last move."""
    stage = STAGES[name]
    implied = [stage.closed, stage.won, float(stage.probability), stage.category, stage.category_name]
    assert values(org, "Opportunity", deal(org, StageName=name), *FORECAST) == implied
    moved = deal(org, StageName="Closed Won" if name == "Prospecting" else "Prospecting")
    org.update("Opportunity", moved, StageName=name)
    assert values(org, "Opportunity", moved, *FORECAST) == implied
    row = org.row("Opportunity", moved)
    assert row["LastStageChangeDate"] == row["SystemModstamp"]


def test_what_a_writer_says_wins_over_the_stage(org: Life) -> None:
    """Probability and forecast category may be given; a later save that leaves the stage alone leaves them too."""
    found = deal(org, Probability=35, ForecastCategoryName="Best Case", Amount=200)
    assert values(org, "Opportunity", found, "Probability", "ForecastCategory", "ExpectedRevenue") == [35.0, "BestCase", 70.0]
    org.update("Opportunity", found, Amount=1000, StageName="Prospecting")
    assert values(org, "Opportunity", found, "Probability", "ExpectedRevenue") == [35.0, 350.0]
    org.update("Opportunity", found, Amount=None)
    assert values(org, "Opportunity", found, "ExpectedRevenue") == [None]


def test_a_close_date_implies_the_fiscal_period(org: Life) -> None:
    """By the calendar."""
    found = deal(org, CloseDate="2026-03-31")
    assert values(org, "Opportunity", found, "FiscalYear", "FiscalQuarter", "Fiscal") == [2026, 1, "2026 1"]
    org.update("Opportunity", found, CloseDate="2027-10-01")
    assert values(org, "Opportunity", found, "FiscalYear", "FiscalQuarter", "Fiscal") == [2027, 4, "2027 4"]


def test_a_stage_that_the_org_does_not_know_is_an_open_one(org: Life) -> None:
    """The picklist is not restricted."""
    assert values(org, "Opportunity", deal(org, StageName="Dreaming"), "IsClosed", "Probability") == [False, 0.0]


def test_a_case_is_closed_since_its_status_says_so(org: Life) -> None:
    """The date stays while it is closed and goes when it is opened again; numbers count up."""
    first, second = org.insert("Case"), org.insert("Case", Status="Closed")
    assert values(org, "Case", first, "CaseNumber", "Status", "IsClosed", "ClosedDate") == ["00000001", "New", False, None]
    closed = org.row("Case", second)
    assert (closed["CaseNumber"], closed["IsClosed"], closed["ClosedDate"]) == ("00000002", True, closed["CreatedDate"])
    org.emulator.clock.advance(60)
    org.update("Case", second, Subject="still")
    assert org.row("Case", second)["ClosedDate"] == closed["ClosedDate"]
    org.update("Case", second, Status="Working")
    assert values(org, "Case", second, "IsClosed", "ClosedDate") == [False, None]


def test_a_case_repeats_how_its_contact_is_reached(org: Life) -> None:
    """And is about the contact's account unless it says otherwise."""
    account = org.insert("Account", Name="Acme")
    eva = org.insert("Contact", LastName="Berg", Email="eva@example.com", Phone="1", AccountId=account)
    case = org.insert("Case", ContactId=eva)
    assert values(org, "Case", case, "ContactEmail", "ContactPhone", "AccountId") == ["eva@example.com", "1", account]


def test_a_task_is_closed_urgent_and_about_an_account_by_its_fields(org: Life) -> None:
    """By status, priority, and whom it is related to."""
    account = org.insert("Account", Name="Acme")
    eva = org.insert("Contact", LastName="Berg", AccountId=account)
    task = org.insert("Task", Priority="High", WhoId=eva)
    names = ("IsClosed", "IsHighPriority", "AccountId", "CompletedDateTime")
    assert values(org, "Task", task, *names) == [False, True, account, None]
    org.update("Task", task, Status="Completed", Priority="Low", WhoId=None)
    done = org.row("Task", task)
    assert [done[name] for name in names] == [True, False, None, done["SystemModstamp"]]
    related = org.insert("Task", WhatId=deal(org, AccountId=account))
    assert values(org, "Task", related, "AccountId") == [account]


def test_an_event_ends_as_long_after_its_start_as_it_lasts(org: Life) -> None:
    """Either the length or the end is given; start and due date are one."""
    start, end = "2026-11-20T23:30:00.000Z", "2026-11-21T00:30:00.000Z"
    by_length = org.insert("Event", StartDateTime=start, DurationInMinutes=60)
    by_end = org.insert("Event", ActivityDateTime=start, EndDateTime=end)
    names = ("StartDateTime", "ActivityDateTime", "EndDateTime", "DurationInMinutes", "ActivityDate", "EndDate")
    for event in (by_length, by_end):
        assert values(org, "Event", event, *names) == [start, start, end, 60, "2026-11-20", "2026-11-21"]
    org.update("Event", by_length, DurationInMinutes=30)
    assert values(org, "Event", by_length, "EndDateTime", "EndDate") == ["2026-11-21T00:00:00.000Z", "2026-11-21"]
    all_day = org.insert("Event", IsAllDayEvent=True, ActivityDate="2026-11-20")
    assert values(org, "Event", all_day, "DurationInMinutes", "EndDate") == [1440, "2026-11-20"]


def test_a_line_comes_to_quantity_times_price_and_repeats_its_product(org: Life) -> None:
    """An entry repeats its product, a line its entry."""
    product = org.insert("Product2", Name="Pump", ProductCode="P-1")
    book = org.query("SELECT Id FROM Pricebook2")[0]["Id"]
    entry = org.insert("PricebookEntry", Pricebook2Id=book, Product2Id=product, UnitPrice=9)
    assert values(org, "PricebookEntry", entry, "Name", "ProductCode") == ["Pump", "P-1"]
    line = org.insert("OpportunityLineItem", OpportunityId=deal(org), PricebookEntryId=entry, Quantity=3, UnitPrice=8)
    names = ("TotalPrice", "ListPrice", "Product2Id", "ProductCode")
    assert values(org, "OpportunityLineItem", line, *names) == [24.0, 9.0, product, "P-1"]
    org.update("OpportunityLineItem", line, Quantity=2)
    assert values(org, "OpportunityLineItem", line, "TotalPrice") == [16.0]


def test_a_lead_starts_unconverted_with_its_status(org: Life) -> None:
    """And its name follows its parts."""
    lead = org.insert("Lead", FirstName="Eva", LastName="Berg", Company="Acme")
    assert values(org, "Lead", lead, "Name", "IsConverted", "Status") == ["Eva Berg", False, "Open - Not Contacted"]
