"""Laws of a record that a client sends: values, lookups, owners and record types, each refused in the vendor's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.emulator.life_org import Life, life, refused

from halocline.emulator.describe import sobject_describe


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Life]:
    with life(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        ({"Stage__c": "Lost"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Stage: bad value for restricted picklist field: Lost"),
        (
            {"Tags__c": "Red;Blue"},
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Tags: bad value for restricted picklist field: Red;Blue",
        ),
        ({"Secret__c": "x" * 21}, "STRING_TOO_LONG", f"Secret: data value too large: {'x' * 21} (max length=20)"),
        ({"Site__c": "x" * 256}, "STRING_TOO_LONG", None),
        ({"Mail__c": "eva@"}, "INVALID_EMAIL_ADDRESS", "Mail: invalid email address: eva@"),
        ({"Discount__c": 1000}, "NUMBER_OUTSIDE_VALID_RANGE", "Discount: value outside of valid range on numeric field: 1000"),
        ({"Discount__c": "1_0"}, "JSON_PARSER_ERROR", None),
        *(
            (
                {name: value},
                "JSON_PARSER_ERROR",
                f"Cannot deserialize instance of {told} or request may be missing a required field",
            )
            for name, value, told in (
                ("City__c", {"a": [1, None]}, 'string from START_OBJECT value {"a": [1, null]}'),
                ("City__c", ["x"], 'string from START_ARRAY value ["x"]'),
                ("Discount__c", True, "double from VALUE_TRUE value true"),
                ("Discount__c", "x", "double from VALUE_STRING value x"),
            )
        ),
        ({"Lines__c": 1}, "INVALID_FIELD_FOR_INSERT_UPDATE", None),
        ({"attributes": {"type": "Account"}}, "INVALID_TYPE", None),
        ({"attributes": 7}, "JSON_PARSER_ERROR", None),
        ({"City__c": "x", "CITY__C": "y"}, "JSON_PARSER_ERROR", "Duplicate field 'CITY__C'"),
        (
            {"Account__c": "00Q000000000000EAA"},
            "FIELD_INTEGRITY_EXCEPTION",
            "Account: id value of incorrect type: 00Q000000000000EAA",
        ),
        ({"Account__c": "zzz000000000000AAA"}, "FIELD_INTEGRITY_EXCEPTION", None),
        ({"Account__c": "001000000000009AAA"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
        ({"Account__r": {"Name": "Acme"}, "Account__c": None}, "INVALID_FIELD", None),
        ({"Account__r": {"Site": "x"}}, "INVALID_FIELD", "Site is not an External ID or indexed field for Account"),
        ({"Account__r": {"Nothing__c": "x"}}, "INVALID_FIELD", "No such column 'Nothing__c' on sobject of type Account"),
        ({"Account__r": {}}, "INVALID_FIELD", "No such column 'Account__r' on sobject of type Deal__c"),
        ({"Account__r": "Acme"}, "JSON_PARSER_ERROR", None),
        ({"Who__r": {"Email": "a@b.c", "attributes": {"type": "Lead"}}}, "INVALID_FIELD", None),
        ({"RecordTypeId": "012000000000009AAA"}, "INVALID_CROSS_REFERENCE_KEY", None),
    ],
)
def test_a_wrong_value_is_refused(org: Life, values: dict[str, object], code: str, message: str | None) -> None:
    """And the record with it."""
    with refused(code, message=message):
        org.insert("Deal__c", **values)
    assert org.query("SELECT Id FROM Deal__c") == []


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("CloseDate", "20261120", "JSON_PARSER_ERROR"),
        ("CloseDate", "2026-W47-5", "JSON_PARSER_ERROR"),
        ("CloseDate", "1600-01-01", "FIELD_INTEGRITY_EXCEPTION"),
        ("CloseDate", "9999-12-31", "FIELD_INTEGRITY_EXCEPTION"),
    ],
)
def test_a_date_is_a_day_of_the_vendors_calendar(org: Life, field: str, value: str, code: str) -> None:
    """From 1700 to 4000, in one notation."""
    with refused(code):
        org.insert("Opportunity", **{"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-11-20", field: value})


def test_a_deleted_parent_is_a_deleted_entity(org: Life) -> None:
    """ENTITY_IS_DELETED, where an unknown one is an invalid reference."""
    account = org.insert("Account", Name="Acme")
    org.delete("Account", account)
    with refused("ENTITY_IS_DELETED", message="entity is deleted"):
        org.insert("Deal__c", Account__c=account)


def test_required_fields_are_missed_all_at_once(org: Life) -> None:
    """Absent or empty, in describe order."""
    with refused("REQUIRED_FIELD_MISSING", message="Required fields are missing: [Name, StageName, CloseDate]"):
        org.insert("Opportunity", Name="", StageName=None)


def test_a_change_empties_no_field_that_is_not_nillable(org: Life) -> None:
    """Though it be one that has a default when a record is made."""
    lead = org.insert("Lead", LastName="Berg", Company="Acme")
    before = org.row("Lead", lead)
    with refused("REQUIRED_FIELD_MISSING", message="Required fields are missing: [Status]"):
        org.update("Lead", lead, Status=None)
    with refused("INVALID_CROSS_REFERENCE_KEY", message="Owner ID: owner cannot be blank"):
        org.update("Lead", lead, OwnerId="")
    assert org.row("Lead", lead) == before


def test_a_new_record_gets_the_default_in_place_of_null(org: Life) -> None:
    """Where the field is not nillable; nobody's it cannot be."""
    lead = org.row("Lead", org.insert("Lead", LastName="Berg", Company="Acme", Status=None, IsUnreadByOwner=None))
    assert (lead["Status"], lead["IsUnreadByOwner"]) == ("Open - Not Contacted", False)
    task = org.row("Task", org.insert("Task", Status="", Priority=None))
    assert (task["Status"], task["Priority"]) == ("Not Started", "Normal")
    with refused("INVALID_CROSS_REFERENCE_KEY", message="Owner ID: owner cannot be blank"):
        org.insert("Account", Name="Acme", OwnerId=None)


def test_a_nillable_field_with_a_default_can_be_null(org: Life) -> None:
    """As describe says."""
    case = org.insert("Case", Status=None)
    assert org.row("Case", case)["Status"] is None


def test_a_custom_record_without_a_name_is_named_by_its_id(org: Life) -> None:
    """In fifteen characters."""
    for given in ({}, {"Name": None}, {"Name": ""}):
        deal = org.insert("Deal__c", **given)
        assert org.row("Deal__c", deal)["Name"] == deal[:15]
    assert org.row("Deal__c", org.insert("Deal__c", Name="Big"))["Name"] == "Big"


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("City__c", "  Neu Ulm \r\n", "Neu Ulm"),
        ("City__c", " \t ", None),
        ("City__c", "\u00a0Ulm\u00a0", "\u00a0Ulm\u00a0"),
        ("Mail__c", " eva@example.com ", "eva@example.com"),
        ("Stage__c", "Won ", "Won"),
        ("Secret__c", f" {'x' * 20} ", "x" * 20),
    ],
)
def test_text_is_kept_without_blanks_around_it(org: Life, field: str, given: str, kept: str | None) -> None:
    """In a new record and in a changed one; blanks alone are null."""
    deal = org.insert("Deal__c", **{field: given})
    assert org.row("Deal__c", deal)[field] == kept
    org.update("Deal__c", deal, **{field: None})
    org.update("Deal__c", deal, **{field: given})
    assert org.row("Deal__c", deal)[field] == kept


def test_a_name_of_blanks_is_missing(org: Life) -> None:
    """As null is, in a new record and in a change."""
    with refused("REQUIRED_FIELD_MISSING", message="Required fields are missing: [Name]"):
        org.insert("Account", Name=" ")
    account = org.insert("Account", Name=" Acme ")
    with refused("REQUIRED_FIELD_MISSING", message="Required fields are missing: [Name]"):
        org.update("Account", account, Name="\n")
    assert org.row("Account", account)["Name"] == "Acme"


def test_a_key_with_blanks_around_it_finds_its_record(org: Life) -> None:
    """An upsert's and a lookup's; blanks alone are no key."""
    deal = org.kind("Deal__c")
    made = org.writer.upsert(deal, {"Code__c": "abc"}, key="Code__c")
    assert org.writer.upsert(deal, {"Code__c": " abc "}, key="Code__c").id == made.id
    with refused("MISSING_ARGUMENT", message="Code__c not specified"):
        org.writer.upsert(deal, {"Code__c": " "}, key="Code__c")
    acme = org.insert("Account", Name="Acme", Batch__c="a")
    found = org.insert("Deal__c", Account__r={"Batch__c": " a"})
    assert org.row("Deal__c", found)["Account__c"] == acme


def test_a_lookup_by_key_finds_its_object(org: Life) -> None:
    """By the only object that has the key, or by the type in its attributes; null clears."""
    eva = org.insert("Contact", LastName="Berg", Email="eva@example.com")
    acme = org.insert("Account", Name="Acme", Batch__c="a")
    deal = org.insert("Deal__c", Who__r={"Email": "EVA@example.com"})
    assert org.row("Deal__c", deal)["Who__c"] == eva
    with refused("INVALID_FIELD", message="Foreign key external ID: x@y.z not found for field Email in entity Contact"):
        org.update("Deal__c", deal, Who__r={"Email": "x@y.z"})
    org.update("Deal__c", deal, Who__r={"attributes": {"type": "account"}, "Batch__c": "a"})
    assert org.row("Deal__c", deal)["Who__c"] == acme
    org.update("Deal__c", deal, Who__r=None)
    assert org.row("Deal__c", deal)["Who__c"] is None


def test_a_key_that_several_records_have_is_refused(org: Life) -> None:
    """DUPLICATE_EXTERNAL_ID."""
    for _ in range(2):
        org.insert("Account", Name="Acme", Batch__c="a")
    with refused("DUPLICATE_EXTERNAL_ID"):
        org.insert("Deal__c", Account__r={"Batch__c": "a"})


def test_an_upsert_without_its_key_is_refused(org: Life) -> None:
    """MISSING_ARGUMENT names the field; Id is the exception, which inserts."""
    deal = org.kind("Deal__c")
    with refused("MISSING_ARGUMENT", message="Code__c not specified"):
        org.writer.upsert(deal, {"City__c": "Ulm", "Code__c": ""}, key="Code__c")
    assert org.writer.upsert(deal, {"City__c": "Ulm"}, key="Id").created


def test_an_inactive_user_cannot_be_made_an_owner(org: Life) -> None:
    """INACTIVE_OWNER_OR_USER, with the user and the object."""
    user = org.query("SELECT Id FROM User WHERE Alias = 'noor'")[0]["Id"]
    org.update("User", str(user), IsActive=False)
    with refused("INACTIVE_OWNER_OR_USER", message=f"operation performed with inactive user [{user}] as owner of account"):
        org.insert("Account", Name="Acme", OwnerId=user)


def test_a_queue_owns_records_of_its_objects(org: Life) -> None:
    """Where OwnerId may be a group at all; other groups own nothing."""
    queue = org.insert("Group", Name="Support", Type="Queue")
    public = org.insert("Group", Name="All", Type="Regular")
    org.insert("QueueSobject", QueueId=queue, SobjectType="Lead")
    lead = org.insert("Lead", LastName="Berg", Company="Acme", OwnerId=queue)
    assert org.query(f"SELECT Owner.Name, Owner.Type FROM Lead WHERE Id = '{lead}'")[0]["Owner"]["Type"] == "Group"  # type: ignore[index]
    for record in ({"sobject": "Case", "OwnerId": queue}, {"sobject": "Deal__c", "OwnerId": public}):
        with refused("INVALID_OPERATION", message="Queue not associated with this SObject type"):
            org.insert(**record)  # type: ignore[arg-type]
    with refused("FIELD_INTEGRITY_EXCEPTION"):
        org.insert("Account", Name="Acme", OwnerId=queue)
    with refused("DELETE_FAILED"):
        org.delete("Group", queue)


def test_record_types_have_rows_and_a_default(org: Life) -> None:
    """The default is filled in; an inactive one cannot be chosen; describe lists them all."""
    rows = {row["DeveloperName"]: row for row in org.query("SELECT Id, DeveloperName, SobjectType, IsActive FROM RecordType")}
    assert {name: (row["SobjectType"], row["IsActive"]) for name, row in rows.items()} == {
        "Big_Deal": ("Deal__c", True),
        "Small": ("Deal__c", True),
        "Old": ("Deal__c", False),
    }
    deal = org.insert("Deal__c")
    assert org.row("Deal__c", deal)["RecordTypeId"] == rows["Big_Deal"]["Id"]
    org.update("Deal__c", deal, RecordTypeId=rows["Small"]["Id"])
    with refused("INVALID_CROSS_REFERENCE_KEY", fields=("RecordTypeId",)):
        org.update("Deal__c", deal, RecordTypeId=rows["Old"]["Id"])
    infos = sobject_describe(org.org.catalog, org.kind("Deal__c"), version="66.0")["recordTypeInfos"]
    assert isinstance(infos, list)
    assert [(i["developerName"], i["defaultRecordTypeMapping"], i["active"], i["master"]) for i in infos] == [
        ("Big_Deal", True, True, False),
        ("Small", False, True, False),
        ("Old", False, False, False),
        ("Master", False, True, True),
    ]
    assert infos[0]["recordTypeId"] == rows["Big_Deal"]["Id"]
    assert infos[0]["urls"]["layout"].endswith(f"/Deal__c/describe/layouts/{infos[0]['recordTypeId']}")
