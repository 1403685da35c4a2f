"""A name that an object does not have: what may have been meant."""

from __future__ import annotations

from typing import Any

import pytest

from halocline import FieldMapper
from halocline.mapping.unknown import unknown_field

CONTACT: dict[str, Any] = {
    "name": "Contact",
    "fields": [
        {"name": "Id", "label": "Contact ID", "type": "id"},
        {"name": "LastName", "label": "Last Name", "type": "string", "createable": True, "nillable": False},
        {
            "name": "AccountId",
            "label": "Account ID",
            "type": "reference",
            "relationshipName": "Account",
            "referenceTo": ["Account"],
        },
    ],
}


@pytest.mark.parametrize(
    ("name", "problem", "meant"),
    [
        ("Last Name", "it is the label of a field, not its name", ("LastName",)),
        ("contact id", "it is the label of a field, not its name", ("Id",)),
        (" LastName ", "there are spaces around the name", ("LastName",)),
        ("Account", "it is no field, but leads to another object", ("AccountId", "Account.<external id>")),
        ("Account:Ext__c", "it is no field, but leads to another object", ("Account.Ext__c",)),
        ("LastNam", "Contact has no such field", ("LastName",)),
        ("Zzz", "Contact has no such field", ()),
    ],
)
def test_what_was_meant_is_told(name: str, problem: str, meant: tuple[str, ...]) -> None:
    """By label, by relationship, by Data Loader's spelling, or by being close; and it is fatal, for no row can be written."""
    found = unknown_field(name, CONTACT, sobject="Contact")
    assert (found.target, found.problem, found.suggestions, found.fatal) == (name, problem, meant, True)


def test_a_mapping_says_the_same() -> None:
    """Its targets are looked at in one way with columns that need no mapping."""
    findings = FieldMapper({"a": "Last Name"}).check(CONTACT, mode="insert")
    assert "Last Name: it is the label of a field, not its name. Did you mean LastName?" in str(findings[0])
