"""Laws of the writer behind every API: one record or many, in one commit or late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.emulator.life_org import Life, life, refused

from halocline.emulator.errors import ApiError
from halocline.emulator.objects import SObject
from halocline.emulator.writing import Saved, SeveralMatches, Writer


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Life]:
    with life(tmp_path) as made:
        yield made


def inserts(org: Life, *records: dict[str, object]) -> list[Callable[[], Saved]]:
    deal = org.kind("Deal__c")
    return [lambda record=record: Saved(org.writer.insert(deal, record), created=True) for record in records]  # type: ignore[misc]


def codes(results: list[Saved]) -> list[str | None]:
    return [saved.error.code if saved.error else None for saved in results]


def test_a_batch_keeps_order_and_undoes_only_what_is_refused(org: Life) -> None:
    """Each result stands where its write stood."""
    results = org.writer.batch(inserts(org, {"Code__c": "1"}, {"Nope__c": 1}, {"Code__c": "2"}))
    assert codes(results) == [None, "INVALID_FIELD", None]
    assert [org.row("Deal__c", str(results[at].id))["Code__c"] for at in (0, 2)] == ["1", "2"]


def test_all_or_none_keeps_nothing_of_a_batch_with_a_refusal(org: Life) -> None:
    """The refused one keeps its error, the others say that they were rolled back; serials are not given twice afterwards."""
    results = org.writer.batch(inserts(org, {"Code__c": "1"}, {"Nope__c": 1}), all_or_none=True)
    assert codes(results) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "INVALID_FIELD"]
    assert org.query("SELECT Id FROM Deal__c") == []
    assert len({org.insert("Deal__c") for _ in range(3)}) == 3


def test_batches_inside_one_commit_are_seen_together(org: Life) -> None:
    """A failure of the whole undoes them all."""
    results: list[Saved] = []

    def two_batches() -> None:
        with org.org.store.database.together():
            results.extend(org.writer.batch(inserts(org, {"Code__c": "1"})))
            org.writer.batch([lambda: 1 / 0])  # type: ignore[list-item, return-value]  # what a broken caller does

    with pytest.raises(ZeroDivisionError):
        two_batches()
    assert codes(results) == [None]
    assert org.query("SELECT Id FROM Deal__c") == []


def test_an_upsert_changes_what_its_key_finds(org: Life) -> None:
    """Case aside where it is unique; a key that several have raises their ids; one that only may change refuses a new record."""
    deal = org.kind("Deal__c")
    first = org.writer.upsert(deal, {"Code__c": "a"}, key="code__c")
    again = org.writer.upsert(deal, {"CODE__C": "A", "City__c": "Ulm"}, key="Code__c")
    assert (first.created, again.created, again.id) == (True, False, first.id)
    with pytest.raises(ApiError, match="NOT_FOUND"):
        org.writer.upsert(deal, {"Code__c": "b"}, key="Code__c", update_only=True)
    ids = [org.insert("Account", Name="Acme", Batch__c="x") for _ in range(2)]
    with pytest.raises(SeveralMatches) as caught:
        org.writer.upsert(org.kind("Account"), {"Batch__c": "x", "Name": "y"}, key="Batch__c")
    assert list(caught.value.ids) == ids
    assert org.writer.upsert(org.kind("Account"), {"Batch__c": "X", "Name": "y"}, key="Batch__c").created


def test_a_field_that_finds_nothing_is_no_key(org: Life) -> None:
    """NOT_FOUND names it."""
    for name in ("City__c", "Nothing__c"):
        with pytest.raises(ApiError, match=f"does not exist or is not accessible: {name}"):
            org.writer.key_field(org.kind("Deal__c"), name)


def test_late_writes_obey_the_rules_too(org: Life) -> None:
    """At once, as in Salesforce, where rules are looked at when a record is saved."""
    deal = org.insert("Deal__c", Discount__c=10)
    name = org.org.store.begin()
    late = replace(org.writer, transaction=name)
    with refused("FIELD_CUSTOM_VALIDATION_EXCEPTION"):
        late.insert(org.kind("Deal__c"), {"Discount__c": -1})
    late.insert(org.kind("Deal__c"), {"Code__c": "late"})
    with refused("FIELD_CUSTOM_VALIDATION_EXCEPTION"):
        late.update(org.kind("Deal__c"), deal, {"Discount__c": -1})
    assert [row["Id"] for row in org.query("SELECT Id FROM Deal__c")] == [deal]
    org.org.store.commit(name)
    assert [row["Discount__c"] for row in org.query("SELECT Discount__c FROM Deal__c")] == [10, None]


def test_a_transaction_holds_its_unique_values(org: Life) -> None:
    """Others are refused them with the id of the record that will have them; what a batch undid holds nothing."""
    name = org.org.store.begin()
    late, deal = replace(org.writer, transaction=name), org.kind("Deal__c")

    def written(*values: str, **how: bool) -> list[Saved]:
        return late.batch([partial(_saved, late, deal, {"Code__c": value}) for value in values], **how)

    assert not written("undone", "undone", all_or_none=True)[0].success
    first, again = written("a", "A")
    assert (first.success, again.error and again.error.code) == (True, "DUPLICATE_VALUE")
    late.update(deal, org.insert("Deal__c", Code__c="b"), {"Code__c": "c"})
    for writer in (org.writer, replace(org.writer, transaction=org.org.store.begin())):
        for value in ("A", "b", "C"):
            with refused("DUPLICATE_VALUE"):
                writer.insert(deal, {"Code__c": value})
    with pytest.raises(ApiError, match=f"duplicates value on record with id: {str(first.id)[:15]}$"):
        org.writer.upsert(deal, {"Code__c": "a"}, key="Code__c")
    assert late.upsert(deal, {"Code__c": "a"}, key="Code__c").id == first.id
    org.insert("Deal__c", Code__c="undone")
    org.org.store.commit(name)
    assert sorted(str(row["Code__c"]) for row in org.query("SELECT Code__c FROM Deal__c")) == ["a", "c", "undone"]


def _saved(writer: Writer, sobject: SObject, record: dict[str, object]) -> Saved:
    return Saved(writer.insert(sobject, record), created=True)


def test_fields_that_the_user_cannot_see_are_still_worked_out(org: Life) -> None:
    """Hidden from the writer, not from the record."""
    org.org.hide(["Opportunity.Probability", "Deal__c.Code__c"])
    found = org.insert("Opportunity", Name="x", StageName="Closed Won", CloseDate="2026-11-20")
    with refused("INVALID_FIELD"):
        org.insert("Deal__c", Code__c="1")
    org.org.show()
    assert org.row("Opportunity", found)["Probability"] == 100.0


def test_what_may_not_be_written_is_refused(org: Life) -> None:
    """Objects that are not createable, updateable or deletable."""
    record_type = str(org.query("SELECT Id FROM RecordType LIMIT 1")[0]["Id"])
    with refused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"):
        org.insert("RecordType", Name="x")
    with refused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"):
        org.update("RecordType", record_type, Name="x")
    with refused("INSUFFICIENT_ACCESS_OR_READONLY"):
        org.delete("RecordType", record_type)
