"""Laws of what a whole record must satisfy: validation rules, duplicate rules, unique values, and the switches of all three."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from tests.emulator.bulk2_load import load
from tests.emulator.conftest import connect
from tests.emulator.life_org import SCHEMA, Life, life, refused

from halocline.emulator.rules import DuplicatesDetected, Insistence, RuleErrors


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Life]:
    with life(tmp_path) as made:
        yield made


@pytest.fixture
def client(org: Life) -> Iterator[httpx2.Client]:
    with connect(org.emulator.start()) as connected:
        yield connected


def test_a_validation_rule_refuses_a_record_with_its_message(org: Life) -> None:
    """On insert and on update, where the record as a whole counts and not only what is sent; nothing is kept."""
    with refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", message="Too cheap.", fields=("Discount__c",)):
        org.insert("Deal__c", Discount__c=60, Account__c=org.insert("Account", Name="Bolt"))
    deal = org.insert("Deal__c", Discount__c=60, Account__c=org.insert("Account", Name="Acme"))
    with refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", message="Too cheap."):
        org.update("Deal__c", deal, Account__c=org.insert("Account", Name="Bolt"))
    assert org.row("Deal__c", deal)["AccountName__c"] == "Acme"
    assert len(org.query("SELECT Id FROM Deal__c")) == 1


def test_every_broken_rule_is_told(org: Life, client: httpx2.Client) -> None:
    """REST lists them all; a rule for the whole record names no field."""
    answer = client.post("/sobjects/Deal__c", json={"Discount__c": 95, "Account__r": None})
    assert answer.status_code == 400
    assert answer.json() == [{"message": "No such discount.", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": []}]
    bolt = org.insert("Account", Name="Bolt")
    with pytest.raises(RuleErrors) as caught:
        org.insert("Deal__c", Discount__c=95, Account__c=bolt)
    assert [entry["message"] for entry in caught.value.body()] == ["Too cheap.", "No such discount."]


def test_a_duplicate_that_may_be_saved_is_refused_until_its_writer_insists(org: Life, client: httpx2.Client) -> None:
    """The answer names the rule and the record; `allowSave=true` saves."""
    first = org.insert("Deal__c", Mail__c="eva@example.com")
    record = {"Mail__c": "EVA@example.com"}
    answer = client.post("/sobjects/Deal__c", json=record)
    (entry,) = answer.json()
    assert (answer.status_code, entry["errorCode"], entry["message"]) == (400, "DUPLICATES_DETECTED", "Use one of these records?")
    result = entry["duplicateResult"]
    assert (result["allowSave"], result["duplicateRule"], result["duplicateRuleEntityType"]) == (True, "Same_mail", "Deal__c")
    (match,) = result["matchResults"]
    assert [found["record"]["Id"] for found in match["matchRecords"]] == [first]
    assert match["matchRecords"][0]["record"]["attributes"]["url"] == f"/services/data/v66.0/sobjects/Deal__c/{first}"
    assert (match["size"], match["success"], match["errors"]) == (1, True, [])
    told = client.post("/sobjects/Deal__c", json=record, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})
    assert told.status_code == 201
    assert client.post("/sobjects/Deal__c", json=record, headers={"Sforce-Auto-Assign": "TRUE"}).status_code == 400


def test_a_blocked_duplicate_is_saved_by_nobody(org: Life) -> None:
    """All fields of the rule have to agree, none of them empty; a record is no duplicate of itself, nor of a deleted one."""
    deal = org.insert("Deal__c", City__c="Ulm", Street__c="Am Markt")
    insisting = replace(org.writer, insistence=Insistence(allow_save=True))
    with pytest.raises(DuplicatesDetected, match=r"We were there\."):
        insisting.insert(org.kind("Deal__c"), {"City__c": "Ulm", "Street__c": "Am Markt"})
    org.insert("Deal__c", City__c="Ulm")
    other = org.insert("Deal__c", City__c="Bonn", Street__c="Am Markt")
    org.update("Deal__c", deal, Street__c="am markt")
    with refused("DUPLICATES_DETECTED"):
        org.update("Deal__c", other, City__c="Ulm")
    org.delete("Deal__c", deal)
    org.update("Deal__c", other, City__c="Ulm")


def test_unique_text_is_compared_without_case_unless_the_field_minds(org: Life) -> None:
    """Among live records; one that comes back from the bin must be unique too."""
    first = org.insert("Deal__c", Code__c="a1", Exact__c="x")
    with refused("DUPLICATE_VALUE", message=f"duplicate value found: Code__c duplicates value on record with id: {first[:15]}"):
        org.insert("Deal__c", Code__c="A1")
    with refused("DUPLICATE_VALUE"):
        org.insert("Deal__c", Exact__c="x")
    org.insert("Deal__c", Exact__c="X")
    org.update("Deal__c", first, Code__c="A1")
    org.delete("Deal__c", first)
    org.insert("Deal__c", Code__c="A1")
    with refused("DUPLICATE_VALUE"):
        org.writer.undelete(org.kind("Deal__c"), first)


def test_rules_can_be_switched_off(tmp_path: Path) -> None:
    """Required fields, unique values and duplicate rules, each by its setting."""
    off = {"enforce_required": False, "enforce_unique": False, "enforce_duplicate_rules": False}
    with life(tmp_path, **off) as org:
        org.insert("Contact", FirstName="Eva")
        for _ in range(2):
            org.insert("Deal__c", Code__c="a1", Mail__c="eva@example.com")
        with refused("FIELD_CUSTOM_VALIDATION_EXCEPTION"):
            org.insert("Deal__c", Discount__c=-1)


def test_records_of_one_save_are_no_duplicates_of_each_other(org: Life, client: httpx2.Client) -> None:
    """Collections, Bulk and trees: they are compared with what was there before."""
    deal, alike = {"attributes": {"type": "Deal__c"}}, {"Mail__c": "eva@example.com"}
    told = client.post("/composite/sobjects", json={"records": [{**deal, **alike}, {**deal, **alike}]}).json()
    assert [one["success"] for one in told] == [True, True]
    told = client.post("/composite/sobjects", json={"records": [{**deal, **alike}, deal]}).json()
    assert [one["success"] for one in told] == [False, True]
    assert load(client, "Mail__c\nmax@example.com\nmax@example.com\n", "Deal__c").counts == ("JobComplete", 2, 0)
    assert load(client, "Mail__c\nmax@example.com\n", "Deal__c").counts == ("JobComplete", 1, 1)
    tree = [{"attributes": {"type": "Deal__c", "referenceId": f"r{at}"}, "Mail__c": "tree@example.com"} for at in range(2)]
    assert [client.post("/composite/tree/Deal__c", json={"records": tree}).status_code for _ in range(2)] == [201, 400]
    late = replace(org.writer, transaction=org.org.store.begin())
    with refused("DUPLICATES_DETECTED"):
        late.insert(org.kind("Deal__c"), alike)


@pytest.mark.parametrize("all_or_none", [False, True])
def test_a_rule_refuses_its_record_of_a_batch_only(org: Life, all_or_none: bool) -> None:
    """Records of the same batch count as duplicates of each other."""
    from halocline.emulator.writing import Saved

    deal = org.kind("Deal__c")
    records = [{"Code__c": "1"}, {"Discount__c": -1}, {"Code__c": "1"}, {"Code__c": "2"}]
    results = org.writer.batch([lambda r=r: Saved(org.writer.insert(deal, r)) for r in records], all_or_none=all_or_none)
    codes = [saved.error.code if saved.error else None for saved in results]
    undone = "ALL_OR_NONE_OPERATION_ROLLED_BACK" if all_or_none else None
    assert codes == [undone, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "DUPLICATE_VALUE", undone]
    assert len(org.query("SELECT Id FROM Deal__c")) == (0 if all_or_none else 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("validation_rules: [{name: A, condition: '1 +', message: x}]", "validation rule A"),
        ("validation_rules: [{name: A, condition: 'Nothing__r.Id', message: x}]", "validation rule A"),
        ("validation_rules: [{name: A, message: x}]", "condition is missing"),
        ("validation_rules: [{name: A, condition: '1', message: x, field: Nothing__c}]", "no field Nothing__c"),
        ("validation_rules: [A]", "expected a mapping"),
        ("duplicate_rules: [{name: A, fields: [Nothing__c]}]", "no field Nothing__c"),
        ("duplicate_rules: [{name: A, fields: [Name], action: warn}]", "none of allow, block"),
        ("duplicate_rules: [{name: A, fields: [Name], fuzzy: true}]", "unknown key fuzzy"),
        ("record_types: [{name: A, default: true}, {name: B, default: true}]", "more than one"),
    ],
)
def test_a_rule_that_means_nothing_is_refused_at_the_start(tmp_path: Path, line: str, reason: str) -> None:
    """The error names the rule."""
    with pytest.raises(ValueError, match=reason), life(tmp_path, f"object: Bad__c\n{line}\n"):
        pass


def test_an_object_that_exists_gains_rules_and_record_types(tmp_path: Path) -> None:
    """Also a standard one."""
    more = """
---
object: Account
validation_rules: [{name: Loud, condition: "Name = UPPER(Name)", message: Do not shout.}]
record_types: [{name: Customer, default: true}]
"""
    with life(tmp_path, SCHEMA + more) as org:
        with refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", message="Do not shout.", fields=()):
            org.insert("Account", Name="ACME")
        org.insert("Account", Name="Acme")
        assert org.query("SELECT RecordType.Name FROM Account")[0]["RecordType"]["Name"] == "Customer"  # type: ignore[index]
