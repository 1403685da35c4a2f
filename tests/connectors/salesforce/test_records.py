"""Single records: what is sent says what is meant, nothing happens twice, and refusals are Salesforce's own words."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from tests.connectors.salesforce.writable import Org

from halocline.connectors.salesforce.spelling import CLEARED, CannotSpell, cell, flat_record, json_record
from halocline.errors import BadQuery, NotFound, NotSupported, RejectRecord, RetryLater

# ---- spelling


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, CLEARED),
        ("", CLEARED),
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        (Decimal("1E+3"), "1000"),
        (Decimal("12.30"), "12.30"),
        (date(2026, 11, 21), "2026-11-21"),
        (datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2))), "2026-11-21T10:00:00.000Z"),
        (datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC), "2026-11-21T10:00:00.123Z"),
        (time(9, 30), "09:30:00.000Z"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_both_paths_spell_a_value_alike(value: object, text: str) -> None:
    """The cell of CSV and the value of JSON mean the same; null is null on both."""
    assert cell("F", value) == text
    told = json_record({"F": value})["F"]
    number = isinstance(told, (int, float)) and not isinstance(told, bool)
    assert told is None if text == CLEARED else float(text) == told if number else str(told).lower() == text.lower()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "no number"),
        (Decimal("Infinity"), "no number"),
        (datetime(2026, 11, 21), "without a time zone"),  # noqa: DTZ001 - that it is naive is the point
        (["a"], "a list is no value"),
        ("\ud800", "half a character"),
    ],
)
def test_what_cannot_be_sent_is_refused_on_both_paths(value: object, words: str) -> None:
    """The field is named, and nothing is guessed."""
    for spell in (lambda: cell("F", value), lambda: json_record({"F": value})):
        with pytest.raises(CannotSpell, match=words) as told:
            spell()
        assert told.value.field == "F"


def test_the_text_that_clears_can_only_be_sent_by_rest() -> None:
    """`#N/A` is a text like any other in JSON; in a cell it would clear the field, so it is refused there."""
    assert json_record({"F": CLEARED}) == {"F": CLEARED}
    with pytest.raises(CannotSpell, match="REST can send it"):
        cell("F", CLEARED)


def test_lookups_by_key_are_dotted_or_nested_on_both_paths() -> None:
    """A dotted name and a dict in a field's place are the same lookup; `attributes` of a query are left out."""
    nested = {"attributes": {"type": "Contact"}, "Owner": {"attributes": {"type": "User"}, "Username": "u"}}
    assert flat_record(nested) == {"User:Owner.Username": "u"}
    assert json_record({"User:Owner.Username": "u"}) == {"Owner": {"attributes": {"type": "User"}, "Username": "u"}}
    assert json_record({"Account.Ext__c": None}) == {"Account": None}
    for record in ({"A.B.C": 1}, {".B": 1}):
        with pytest.raises(CannotSpell, match="no lookup"):
            json_record(record)
    with pytest.raises(CannotSpell, match="names 2"):
        flat_record({"Account": {"A": 1, "B": 2}})


def test_a_field_given_twice_is_refused() -> None:
    """Names are the same in any case; which value was meant cannot be known."""
    for spell in (json_record, flat_record):
        with pytest.raises(CannotSpell, match="twice"):
            spell({"Name": "a", "NAME": "b"})


# ---- one record


def test_a_record_lives(org: Org) -> None:
    """Created, changed, cleared, upserted, deleted: a missing field stays, None and the empty text clear."""
    emulator, client = org
    record: dict[str, Any] = {"Name": "a", "Phone": "1", "Site": "s", "Fax": "f", "Founded__c": date(2020, 1, 2)}
    made = client.create("Account", record)
    changes = {"Id": made, "Phone": None, "Site": ""}
    client.update("Account", made, changes)
    assert changes["Id"] == made
    fields = "Name, Phone, Site, Fax, Founded__c"
    assert client.query_one(f"SELECT {fields} FROM Account") == {
        "Name": "a",
        "Phone": None,
        "Site": None,
        "Fax": "f",
        "Founded__c": "2020-01-02",
    }
    client.delete("Account", made)
    assert emulator.query("SELECT Id FROM Account") == []
    with pytest.raises(NotFound, match="ENTITY_IS_DELETED"):
        client.delete("Account", made)


@pytest.mark.parametrize("value", ["E-1", "A/B?x=1", "O'Hara & Söhne #%", "日本"])
def test_an_upsert_changes_or_creates(org: Org, value: str) -> None:
    """The key stands in the address, quoted, and not in the body; created or changed, the id comes back."""
    emulator, client = org
    record = {"Ext__c": value, "Name": "a"}
    made = client.upsert("Account", record, external_id_field="Ext__c")
    assert client.upsert("Account", {"Name": "b"}, external_id_field="Ext__c", value=value) == made
    assert record == {"Ext__c": value, "Name": "a"}
    assert emulator.query("SELECT Id, Ext__c, Name FROM Account") == [{"Id": made, "Ext__c": value, "Name": "b"}]


def test_an_upsert_before_v46_finds_the_id(org: Org) -> None:
    """There a change answers without a body; the id is asked for by the same key."""
    _, client = org
    client.transport.base = "/services/data/v45.0"
    made = client.upsert("Account", {"Ext__c": "E'1", "Name": "a"}, external_id_field="Ext__c")
    assert client.upsert("Account", {"Ext__c": "E'1", "Name": "b"}, external_id_field="Ext__c") == made


@pytest.mark.parametrize("value", [None, ""])
def test_an_upsert_without_its_key_is_refused(org: Org, value: str | None) -> None:
    """Nothing is sent; the record is the caller's to mend."""
    emulator, client = org
    emulator.calls.clear()
    with pytest.raises(RejectRecord, match="no value for Ext__c"):
        client.upsert("Account", {"Ext__c": value, "Name": "a"}, external_id_field="Ext__c")
    assert emulator.calls.count("record.upsert") == 0


def test_zero_is_a_key(org: Org) -> None:
    """0 names a record; only null and the empty text do not."""
    _, client = org
    assert client.upsert("Account", {"Ext__c": 0, "Name": "a"}, external_id_field="ext__c").startswith("001")


@pytest.mark.parametrize(
    ("record", "code", "fields"),
    [
        ({}, "REQUIRED_FIELD_MISSING", ("Name",)),
        ({"Name": "n" * 300}, "STRING_TOO_LONG", ("Name",)),
        ({"Name": "a", "Seen__c": datetime(2026, 1, 1)}, "CANNOT_BE_SENT", ("Seen__c",)),  # noqa: DTZ001 - likewise
    ],
)
def test_a_refused_record_says_why(org: Org, record: dict[str, Any], code: str, fields: tuple[str, ...]) -> None:
    """Salesforce's code, message and fields; what we refuse ourselves has the same shape."""
    with pytest.raises(RejectRecord) as told:
        org[1].create("Account", record)
    assert (told.value.code, told.value.facts["fields"]) == (code, fields)


def test_an_object_needs_a_name(org: Org) -> None:
    """What is no name never becomes part of an address."""
    with pytest.raises(BadQuery):
        org[1].create("Account/../User", {"Name": "a"})


def test_undelete_says_who_can(org: Org) -> None:
    """REST and Bulk have no undelete: the error names the API that has it."""
    with pytest.raises(NotSupported, match="SOAP"):
        org[1].undelete("Account", "001000000000001AAA")


# ---- answers that are lost


def test_a_create_whose_answer_is_lost_is_in_doubt(org: Org) -> None:
    """It is not sent again, and the error says that the record may exist."""
    emulator, client = org
    emulator.faults.add("cut", kind="record.create", where="after")
    with pytest.raises(RetryLater) as told:
        client.create("Account", {"Name": "a"})
    assert told.value.facts["in_doubt"] is True
    assert "Try again" not in str(told.value)
    assert "look in Salesforce first" in str(told.value)
    assert len(emulator.query("SELECT Id FROM Account")) == 1


@pytest.mark.parametrize("action", ["cut", "unavailable"])
def test_changes_are_repeated_when_an_answer_is_lost(org: Org, action: str) -> None:
    """A second update, upsert or delete does no more than the first; a delete finds its work done."""
    emulator, client = org
    made = client.create("Account", {"Name": "a", "Ext__c": "1"})
    for kind in ("record.update", "record.upsert", "record.delete"):
        emulator.faults.add(action, kind=kind, where="after", times=1)
    client.update("Account", made, {"Phone": "1"})
    assert client.upsert("Account", {"Ext__c": "1", "Phone": "2"}, external_id_field="Ext__c") == made
    client.delete("Account", made)
    assert emulator.query("SELECT Id FROM Account") == []


def test_a_locked_record_is_tried_again(org: Org) -> None:
    """A lock is Salesforce's word that nothing was done, so even a create may be repeated."""
    emulator, client = org
    emulator.faults.add("lock", kind="record.create", times=2)
    client.create("Account", {"Name": "a"})
    assert len(emulator.query("SELECT Id FROM Account")) == 1
