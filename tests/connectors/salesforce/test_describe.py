"""Describes: which columns, which stamp, and a word for everything that is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from halocline.connectors.salesforce import describe
from halocline.errors import FixConfig, NotFound
from halocline.schema import Kind


def field(name: str, told: str = "string", **more: Any) -> dict[str, Any]:
    usual = {"filterable": True, "compoundFieldName": None, "length": 80, "precision": 0, "scale": 0, "calculated": False}
    return {"name": name, "type": told, **usual, **more}


AUDIT = [field("CreatedDate", "datetime"), field("LastModifiedDate", "datetime"), field("SystemModstamp", "datetime")]
PLACE = [
    field("BillingCity", compoundFieldName="BillingAddress"),
    field("BillingLatitude", "double", precision=18, scale=15, compoundFieldName="BillingAddress"),
    field("BillingAddress", "address"),
]


def sobject(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = [field("Id", "id"), field("IsDeleted", "boolean"), field("Name", compoundFieldName="Name"), *fields]
    return {"name": "Account", "queryable": True, "replicateable": True, "fields": named, **more}


def test_columns_follow_the_describe() -> None:
    """All fields that can be carried are columns in the describe's order, with the key, the stamp and the delete flag found."""
    found = describe.read(sobject(*PLACE, *AUDIT))
    assert found.schema.names == (
        *("Id", "IsDeleted", "Name", "BillingCity", "BillingLatitude"),
        *("CreatedDate", "LastModifiedDate", "SystemModstamp"),
    )
    assert found.schema.key == ("Id",)
    assert (found.cursor, found.delete_flag, found.replicateable) == ("SystemModstamp", "IsDeleted", True)


def test_what_is_left_out_is_told() -> None:
    """Compounds, files and types that nobody knows each have a note with their names."""
    notes = describe.read(sobject(*PLACE, field("Body", "base64"), field("New", "hologram"), *AUDIT)).notes
    assert any("BillingAddress" in note and "components" in note for note in notes)
    assert any("Body" in note and "base64" in note for note in notes)
    assert any("New" in note and "hologram" in note for note in notes)
    assert len(notes) == 3


def test_formulas_are_told_because_they_change_without_a_stamp() -> None:
    """A formula is a double, and a note says that only a full sync brings it up to date."""
    found = describe.read(sobject(field("Score__c", "double", precision=18, scale=2, calculated=True), *AUDIT))
    assert found.schema.columns[3].kind is Kind.DOUBLE
    assert [note for note in found.notes if "Score__c" in note]


@pytest.mark.parametrize(
    ("unusable", "cursor"),
    [
        ((), "SystemModstamp"),
        (("SystemModstamp",), "LastModifiedDate"),
        (("SystemModstamp", "LastModifiedDate"), "CreatedDate"),
        (("SystemModstamp", "LastModifiedDate", "CreatedDate"), None),
    ],
)
def test_the_best_stamp_that_can_be_filtered_by_is_the_cursor(unusable: tuple[str, ...], cursor: str | None) -> None:
    """SystemModstamp before LastModifiedDate before CreatedDate before none; anything but the first is told."""
    stamps = [{**one, "filterable": one["name"] not in unusable} for one in AUDIT]
    found = describe.read(sobject(*stamps))
    assert found.cursor == cursor
    assert bool(found.notes) == bool(unusable)


def test_an_object_without_stamps_or_flag_can_be_read() -> None:
    """No stamp and no IsDeleted are facts, not failures."""
    bare = {"name": "Bare", "queryable": True, "replicateable": False, "fields": [field("Id", "id")]}
    found = describe.read(bare)
    assert (found.cursor, found.delete_flag, found.schema.names) == (None, None, ("Id",))


def test_chosen_fields_are_found_in_any_case_with_what_every_sync_needs() -> None:
    """`fields` and `exclude` take names in any case; key, stamp and flag stay, and a note says so."""
    found = describe.read(sobject(*PLACE, *AUDIT), fields=["name", "BILLINGCITY"], exclude=["Name", "systemmodstamp"])
    assert found.schema.names == ("Id", "IsDeleted", "BillingCity", "SystemModstamp")
    assert any("Id, IsDeleted, SystemModstamp" in note for note in found.notes)


def test_a_compound_stands_for_its_components() -> None:
    """Choosing or excluding an address chooses or excludes its components."""
    assert "BillingLatitude" in describe.read(sobject(*PLACE, *AUDIT), fields=["BillingAddress"]).schema.names
    kept = describe.read(sobject(*PLACE, *AUDIT), exclude=["BillingAddress"]).schema.names
    assert not [name for name in kept if name.startswith("Billing")]
    assert "Name" in kept


@pytest.mark.parametrize("option", ["fields", "exclude"])
def test_a_misspelt_field_is_told_with_near_names(option: str) -> None:
    """A name that the object does not have names the ones that it may have meant."""
    with pytest.raises(NotFound) as told:
        describe.read(sobject(*PLACE, *AUDIT), **{option: ["BilingCity"]})  # type: ignore[arg-type]  # one of two options
    assert "BillingCity" in told.value.suggestions
    assert "BilingCity" in str(told.value)


def test_salesforces_own_word_gets_near_names() -> None:
    """The name in quotes of an INVALID_FIELD message is looked up among the known ones."""
    error = NotFound("Counting", "INVALID_FIELD: No such column 'Indutry' on entity 'Account'", code="INVALID_FIELD", status=400)
    better = describe.with_suggestions(error, ["Industry", "Name"])
    assert better.suggestions == ("Industry",)
    assert (better.code, better.facts) == ("INVALID_FIELD", {"status": 400})


def test_an_object_that_cannot_be_queried_is_told() -> None:
    """Salesforce says in the describe that it will refuse; we say it first."""
    with pytest.raises(FixConfig, match="Account"):
        describe.read(sobject(*AUDIT, queryable=False))


def test_objects_known_not_to_be_in_bulk_say_so() -> None:
    """The reason names the object, for the plan to show."""
    assert "TaskStatus" in describe.read({**sobject(*AUDIT), "name": "TaskStatus"}).not_in_bulk
    assert not describe.read(sobject(*AUDIT)).not_in_bulk


@pytest.mark.parametrize(
    "name", ["Account", "Case", "Contact", "Custom__c", "Event", "Lead", "Opportunity", "OpportunityContactRole"]
)
def test_describes_of_a_real_org_are_understood(name: str, recorded_data: Path) -> None:
    """Every field of a recorded describe is a column of a known kind, or is named in a note."""
    told = json.loads((recorded_data / "describe" / f"{name}.json").read_text())
    found = describe.read(told)
    notes = " ".join(found.notes)
    missing = [one["name"] for one in told["fields"] if not found.schema.column(one["name"]) and one["name"] not in notes]
    assert missing == []
    assert "not known" not in notes
    if name != "Custom__c":  # the recording of this one has no audit fields
        assert found.cursor == "SystemModstamp"
    assert found.schema.arrow.names == list(found.schema.names)
