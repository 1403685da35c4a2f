"""Laws of seeding: believable, consistent, reproducible, and flat in memory."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from halocline.emulator import ids
from halocline.emulator import seed as seeding
from halocline.emulator.objects import SObject
from halocline.emulator.schema_files import load_catalog
from halocline.emulator.seed import seed
from halocline.emulator.seeding.dice import Dice
from halocline.emulator.seeding.id_columns import TAILS, record_ids
from halocline.emulator.seeding.sales import STAGES
from halocline.emulator.standing import API_USERNAME, ensure_org
from halocline.emulator.store import Store

INVOICE = Path(__file__).with_name("invoice.yaml")
UNTIL = datetime(2026, 11, 1, 12, tzinfo=UTC)
COUNTS = {
    "User": 12,
    "Campaign": 20,
    "Product2": 40,
    "Pricebook2": 2,
    "PricebookEntry": 60,
    "Account": 1500,
    "Contact": 900,
    "Lead": 300,
    "Opportunity": 600,
    "OpportunityContactRole": 200,
    "OpportunityLineItem": 400,
    "Case": 400,
    "Task": 300,
    "Event": 300,
    "Invoice__c": 250,
    "Invoice_Line__c": 300,
}

Records = dict[str, list[dict[str, Any]]]


def known(store: Store, name: str) -> SObject:
    found = store.catalog.get(name)
    assert found is not None
    return found


def records(store: Store, name: str) -> list[dict[str, Any]]:
    sobject = known(store, name)
    found = [store.get(sobject, str(row[0])) for row in store.read(f'SELECT Id FROM "{name}" ORDER BY Id')]
    return [record for record in found if record is not None]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """An org with some records of everything."""
    made = Store(load_catalog([INVOICE]))
    assert seed(made, COUNTS, number=7, until=UNTIL) == COUNTS
    yield made
    made.close()


@pytest.fixture(scope="module")
def org(store: Store) -> Records:
    return {name: records(store, name) for name in ("Organization", *COUNTS)}


@pytest.fixture
def empty() -> Iterator[Store]:
    made = Store(load_catalog())
    yield made
    made.close()


def test_ids_of_a_column_are_the_ids_of_its_serials() -> None:
    """Ids made a column at a time are those that are made one by one, across every carry of the serial."""
    serials = [
        0,
        1,
        9,
        10,
        35,
        36,
        61,
        62,
        62**2,
        TAILS - 1,
        TAILS,
        TAILS + 1,
        10 * TAILS,
        36 * TAILS - 1,
        11 * TAILS + 17,
        40 * TAILS,
    ]
    assert record_ids("00Q", pa.array(serials)).to_pylist() == [ids.record_id("00Q", serial) for serial in serials]
    assert record_ids("001", pa.array([], pa.int64())).to_pylist() == []


def test_dice_stay_below_their_limits() -> None:
    """Thrown numbers lie between 0 and the limit, reach both ends, and are the same for the same seed."""
    thrown = Dice("x", 5_000).numbers(10).to_pylist()
    assert set(thrown) == set(range(10))
    assert thrown == Dice("x", 5_000).numbers(10).to_pylist()
    assert thrown != Dice("y", 5_000).numbers(10).to_pylist()
    assert Dice("x", 3).numbers_below(pa.array([0, 1, 1])).to_pylist() == [0, 0, 0]


def test_the_fixed_rows_exist_once(empty: Store) -> None:
    """An org has one organization, its users with the API user first, and the standard price book, however often one asks."""
    ensure_org(empty)
    ensure_org(empty)
    assert empty.count(known(empty, "Organization")) == 1
    [api] = empty.find(known(empty, "User"), "Username", API_USERNAME)
    assert (api["Id"], api["IsActive"], api["CreatedById"]) == (ids.record_id("005", 0), True, api["Id"])
    [standard] = empty.find(known(empty, "Pricebook2"), "IsStandard", value=True)
    assert standard["Name"] == "Standard Price Book"
    assert seed(empty, {}) == {}


def test_the_counts_are_met(store: Store, org: Records) -> None:
    """Exactly as many records are added as were asked for, beside those that every org has."""
    fixed = {"User": 7, "Pricebook2": 1}
    assert {name: len(org[name]) - fixed.get(name, 0) for name in COUNTS} == COUNTS
    assert len(org["Organization"]) == 1


def test_the_same_number_makes_the_same_records(empty: Store, store: Store, org: Records) -> None:
    """The same number, counts and moment make the same org; another number another."""
    other = Store(load_catalog([INVOICE]))
    seed(other, COUNTS, number=7, until=UNTIL)
    for name in ("Organization", *COUNTS):
        everything = f'SELECT * FROM "{name}" ORDER BY Id'
        assert other.read(everything) == store.read(everything)
    other.close()
    seed(empty, {"Account": 50}, number=8, until=UNTIL)
    assert [r["Name"] for r in records(empty, "Account")] != [r["Name"] for r in org["Account"][:50]]


def test_every_id_is_valid_and_unique(store: Store, org: Records) -> None:
    """Ids carry their object's prefix and a right checksum, and no two records share one."""
    for name in COUNTS:
        found = [str(record["Id"]) for record in org[name]]
        assert len(set(found)) == len(found)
        assert all(ids.is_valid(i) and len(i) == 18 and i.startswith(known(store, name).key_prefix) for i in found)


def test_records_made_later_get_ids_of_their_own(empty: Store) -> None:
    """After seeding, the next insert and the next seeding continue the serials."""
    account = known(empty, "Account")
    seed(empty, {"Account": 30}, until=UNTIL)
    inserted = empty.insert(account, {"Name": "By hand"}, user_id=ids.record_id("005", 0))
    assert ids.serial_of(inserted) == 30
    seed(empty, {"Account": 30}, number=1, until=UNTIL)
    assert empty.count(account) == 61


def test_references_point_at_records_of_the_org(store: Store, org: Records) -> None:
    """A reference that is set leads to a record of one of the objects that it may point at."""
    everyone = {str(record["Id"]): name for name, found in org.items() for record in found}
    missing = Counter[str]()
    for name in COUNTS:
        for field in known(store, name).fields.values():
            targets = set(field.reference_to) & org.keys()
            values = [record[field.name] for record in org[name] if targets and record.get(field.name)]
            missing[f"{name}.{field.name}"] = sum(everyone.get(value) not in targets for value in values)
    assert +missing == Counter()


def test_the_references_that_matter_are_used(org: Records) -> None:
    """Parents, people and things are connected, not just allowed to be."""
    used = {
        "Account": ["ParentId", "OwnerId"],
        "Contact": ["AccountId", "ReportsToId"],
        "Lead": ["ConvertedAccountId", "ConvertedContactId"],
        "Opportunity": ["AccountId", "CampaignId", "ContactId"],
        "OpportunityLineItem": ["OpportunityId", "PricebookEntryId", "Product2Id"],
        "Case": ["AccountId", "ContactId"],
        "Task": ["WhoId", "WhatId", "AccountId"],
        "Event": ["WhoId", "WhatId"],
        "Invoice__c": ["Account__c"],
        "Invoice_Line__c": ["Invoice__c"],
    }
    for name, fields in used.items():
        for field in fields:
            assert len({record[field] for record in org[name] if record[field]}) >= 5, f"{name}.{field}"


def test_a_record_is_changed_after_it_is_made_and_before_the_end(org: Records) -> None:
    """CreatedDate <= LastModifiedDate = SystemModstamp <= the end, all over the years before it."""
    for name in COUNTS:
        seeded = [record for record in org[name] if record["CreatedDate"] > "2024"]
        for record in seeded:
            assert "2024-10-31T" <= record["CreatedDate"] <= record["LastModifiedDate"] == record["SystemModstamp"]
            assert record["SystemModstamp"] <= "2026-11-01T12:00:00.000Z"
            assert record["CreatedDate"].endswith(".000Z")
        if len(seeded) >= 200:
            assert min(r["CreatedDate"] for r in seeded) < "2024-12"
            assert max(r["CreatedDate"] for r in seeded) > "2026-10"


def test_ids_grow_with_age(org: Records) -> None:
    """A later id was created later, as in an org."""
    stamps = [record["CreatedDate"] for record in org["Account"]]
    assert all(one <= other for one, other in pairwise(stamps))


def test_children_are_younger_than_their_parents(org: Records) -> None:
    """A contact was created after its account, an opportunity after its own."""
    created = {record["Id"]: record["CreatedDate"] for record in org["Account"]}
    for name in ("Contact", "Opportunity"):
        linked = [record for record in org[name][10:] if record["AccountId"]]
        assert linked
        assert all(created[record["AccountId"]] <= record["CreatedDate"] for record in linked)


def test_a_case_belongs_to_its_contacts_account(org: Records) -> None:
    """The account of a case is that of its contact."""
    account = {record["Id"]: record["AccountId"] for record in org["Contact"]}
    cases = [record for record in org["Case"] if record["ContactId"]]
    assert len(cases) > 300
    assert all(record["AccountId"] == account[record["ContactId"]] for record in cases)


def test_what_a_stage_implies_holds(org: Records) -> None:
    """Probability, closed, won, forecast category and expected revenue follow from stage and amount."""
    assert {record["StageName"] for record in org["Opportunity"]} == set(STAGES)
    for record in org["Opportunity"]:
        stage = STAGES[record["StageName"]]
        assert (record["IsClosed"], record["IsWon"], record["Probability"]) == (stage.closed, stage.won, stage.probability)
        assert (record["ForecastCategory"], record["ForecastCategoryName"]) == (stage.category, stage.category_name)
        if record["Amount"] is not None:
            assert record["ExpectedRevenue"] == pytest.approx(record["Amount"] * stage.probability / 100, abs=0.006)
        if stage.closed:
            assert record["CloseDate"] == record["LastModifiedDate"][:10]
        assert record["FiscalYear"] == int(record["CloseDate"][:4])
        assert record["Fiscal"] == f"{record['FiscalYear']} {(int(record['CloseDate'][5:7]) + 2) // 3}"


def test_money_has_two_decimals(org: Records) -> None:
    """Sums of money are written with at most two decimals."""
    sums = [record[name] for record in org["Opportunity"] for name in ("Amount", "ExpectedRevenue")]
    sums += [record[name] for record in org["OpportunityLineItem"] for name in ("UnitPrice", "TotalPrice")]
    texts = [repr(value) for value in sums if value is not None]
    assert len(texts) > 1000
    assert all(len(text.partition(".")[2]) <= 2 for text in texts)


def test_deals_with_lines_say_so(org: Records) -> None:
    """HasOpportunityLineItem is true exactly for the deals that lines point at, and these have a price book."""
    with_lines = {record["OpportunityId"] for record in org["OpportunityLineItem"]}
    for record in org["Opportunity"]:
        assert record["HasOpportunityLineItem"] == (record["Id"] in with_lines)
        assert (record["Pricebook2Id"] is not None) == record["HasOpportunityLineItem"]


def test_a_price_names_its_product(org: Records) -> None:
    """A price book entry and an opportunity's line repeat what their product says."""
    products = {record["Id"]: record for record in org["Product2"]}
    for record in org["PricebookEntry"]:
        product = products[record["Product2Id"]]
        assert (record["Name"], record["ProductCode"]) == (product["Name"], product["ProductCode"])
    entries = {record["Id"]: record for record in org["PricebookEntry"]}
    for record in org["OpportunityLineItem"]:
        assert record["Product2Id"] == entries[record["PricebookEntryId"]]["Product2Id"]
        assert record["ProductCode"] == products[record["Product2Id"]]["ProductCode"]


def test_closed_means_closed(org: Records) -> None:
    """Cases and tasks that are closed have a moment of closing, the others none."""
    for record in org["Case"]:
        assert record["IsClosed"] == (record["Status"] == "Closed") == (record["ClosedDate"] is not None)
    for record in org["Task"]:
        assert record["IsClosed"] == (record["Status"] == "Completed") == (record["CompletedDateTime"] is not None)


def test_meetings_end_after_their_minutes(org: Records) -> None:
    """An event's end is its start and its duration."""
    for record in org["Event"]:
        start, end = (datetime.fromisoformat(record[name]) for name in ("StartDateTime", "EndDateTime"))
        assert (end - start).total_seconds() == record["DurationInMinutes"] * 60


def test_text_is_as_awkward_as_in_life(org: Records) -> None:
    """Among the values are both kinds of line break, quotes, commas, tabs, other alphabets, astral characters, and nulls."""
    text = "\x00".join(
        str(record[name]) for record in org["Account"] for name in ("Name", "Description", "BillingStreet", "BillingCity")
    )
    assert "\r\n" in text
    assert "\n\n" in text
    assert all(wanted in text for wanted in ('"', ",", ";", "\t", "\\", "東京", "Клиент", "العميل", "🎄"))
    described = sum(record["Description"] is not None for record in org["Account"])
    assert 0.5 < described / len(org["Account"]) < 0.8


def test_no_text_is_empty_or_too_long(store: Store, org: Records) -> None:
    """Text is null rather than empty, and fits its field; picklist values are those of the picklist."""
    for name in COUNTS:
        for field in known(store, name).stored_fields():
            values = [record[field.name] for record in org[name] if record[field.name] is not None]
            if field.length and values:
                assert 0 < min(map(len, values)) <= max(map(len, values)) <= field.length, f"{name}.{field.name}"
            if field.type == "picklist" and field.picklist:
                assert set(values) <= {value.value for value in field.picklist}, f"{name}.{field.name}"


def test_required_fields_are_filled(store: Store, org: Records) -> None:
    """A field that cannot be null is not null in any record."""
    for name in COUNTS:
        for field in known(store, name).stored_fields():
            if not field.nillable:
                assert all(record[field.name] is not None for record in org[name]), f"{name}.{field.name}"


def test_what_must_be_unique_is(store: Store, org: Records) -> None:
    """Unique fields and external ids repeat no value."""
    checked = 0
    for name in COUNTS:
        for field in known(store, name).stored_fields():
            if field.unique or field.external_id or field.auto_number:
                values = [record[field.name] for record in org[name] if record[field.name] is not None]
                assert len(set(values)) == len(values), f"{name}.{field.name}"
                checked += len(values)
    assert checked > 3 * len(org["Invoice__c"])


def test_custom_fields_are_filled_by_their_type(org: Records) -> None:
    """Fields of a custom object get values of their type, optional ones in most records and not in all."""
    invoices = org["Invoice__c"]
    assert invoices[0]["Name"] == "INV-0001"
    assert invoices[0]["External_Key__c"] == "EXTERNALKEY-00000000"
    assert {record["Status__c"] for record in invoices} == {"Draft", "sent", "Paid", None}
    assert {value for record in invoices for value in (record["Tags__c"] or "").split(";")} == {"", "urgent", "export", "gift"}
    assert {type(record["Paid__c"]) for record in invoices} == {bool}
    assert {type(record["Items__c"]) for record in invoices} == {int, type(None)}
    first = next(record for record in invoices if record["Tax_Rate__c"] is not None)
    assert first["Total__c"] == pytest.approx(first["Amount__c"] * (1 + first["Tax_Rate__c"] / 100))


def test_existing_records_serve_as_parents(empty: Store) -> None:
    """Children seeded later point at the accounts that are there; those in the recycle bin are nobody's parents."""
    account = known(empty, "Account")
    seed(empty, {"Account": 3}, until=UNTIL)
    gone = records(empty, "Account")[0]["Id"]
    empty.delete(account, gone, user_id=ids.record_id("005", 0))
    seed(empty, {"Contact": 200}, until=UNTIL)
    linked = {record["AccountId"] for record in records(empty, "Contact")} - {None}
    assert linked == {record["Id"] for record in records(empty, "Account")} - {gone}


def test_children_without_parents_are_refused(empty: Store) -> None:
    """A required reference to an object without records is an error that says what to seed, and nothing is added."""
    with pytest.raises(ValueError, match=r"PricebookEntry points at Product2.*seed some"):
        seed(empty, {"Account": 5, "PricebookEntry": 5})
    with pytest.raises(ValueError, match="OpportunityContactRole points at Opportunity"):
        seed(empty, {"OpportunityContactRole": 5})
    assert empty.count(known(empty, "Account")) == 0


@pytest.mark.parametrize(
    ("counts", "words"),
    [({"Acount": 5}, "did you mean Account"), ({"Account": -1}, "negative"), ({"Organization": 1}, "one Organization")],
)
def test_senseless_counts_are_refused(empty: Store, counts: dict[str, int], words: str) -> None:
    """Unknown objects, negative counts and a second organization are refused with a reason."""
    with pytest.raises(ValueError, match=words):
        seed(empty, counts)


class _Counting(Store):
    """A store that counts what it would load, and keeps nothing."""

    def bulk_insert(self, sobject: SObject, batches: Any) -> int:
        self.sizes = [batch.num_rows for batch in batches]
        self.schemas = {sobject.name}
        return sum(self.sizes)


def test_rows_are_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows, none but the block in the making exists, and all of them arrive."""
    monkeypatch.setattr(seeding, "BLOCK_ROWS", 500)
    counting = _Counting(load_catalog())
    assert seed(counting, {"account": 1_001}) == {"Account": 1_001}
    assert counting.sizes == [500, 500, 1]
    counting.close()
