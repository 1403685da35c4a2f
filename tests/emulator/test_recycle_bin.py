"""Laws of deleted records: what goes with them, what is cleared, what forbids it, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from tests.emulator.conftest import connect
from tests.emulator.life_org import Life, life, refused

from halocline.emulator import admin
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.store import Store
from halocline.emulator.wire import Ask

EVER = ("2000-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z")


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Life]:
    with life(tmp_path) as made:
        yield made


def test_a_lookup_is_cleared_with_its_target_and_comes_back_with_it(org: Life) -> None:
    """Neither moves the record's stamps."""
    account = org.insert("Account", Name="Acme")
    deal = org.insert("Deal__c", Account__c=account)
    before = org.row("Deal__c", deal)
    org.emulator.clock.advance(60)
    org.delete("Account", account)
    cleared = org.row("Deal__c", deal)
    assert (cleared["Account__c"], cleared["AccountName__c"], cleared["SystemModstamp"]) == (None, None, before["SystemModstamp"])
    org.writer.undelete(org.kind("Account"), account)
    assert org.row("Deal__c", deal) == before


def test_a_lookup_that_was_set_anew_meanwhile_stays(org: Life) -> None:
    """Only what is still empty is restored. Source: Apex Developer Guide, "Restoring Deleted Records"."""
    old, new = org.insert("Account", Name="Old"), org.insert("Account", Name="New")
    deal = org.insert("Deal__c", Account__c=old)
    org.delete("Account", old)
    org.update("Deal__c", deal, Account__c=new)
    org.writer.undelete(org.kind("Account"), old)
    assert org.row("Deal__c", deal)["Account__c"] == new


def test_a_record_that_others_hold_cannot_be_deleted(org: Life) -> None:
    """DELETE_FAILED names the record and what holds it; deleted ones do not hold."""
    account = org.insert("Account", Name="Acme")
    case = org.insert("Case", AccountId=account)
    words = "Your attempt to delete Acme could not be completed because it is associated with the following cases.: 00000001\n"
    for delete in (org.writer.delete, org.writer.hard_delete):
        with refused("DELETE_FAILED", message=words, fields=()):
            delete(org.kind("Account"), account)
    assert org.row("Account", account)["IsDeleted"] is False
    org.delete("Case", case)
    org.delete("Account", account)


def test_what_would_go_along_can_be_held_too(org: Life) -> None:
    """An account whose contact has a case stays, unless the case goes with it."""
    account = org.insert("Account", Name="Acme")
    eva = org.insert("Contact", LastName="Berg", AccountId=account)
    org.insert("Case", ContactId=eva, AccountId=org.insert("Account", Name="Other"))
    with refused("DELETE_FAILED"):
        org.delete("Account", account)
    assert org.row("Contact", eva)["IsDeleted"] is False


def test_details_go_with_their_master_and_come_back_with_it(org: Life) -> None:
    """A detail that was deleted before its master is gone for good; of a purge nothing is left but the ids in `deleted`."""
    deal = org.insert("Deal__c")
    lines = [org.insert("Line__c", Deal__c=deal) for _ in range(2)]
    org.emulator.clock.advance(60)
    org.delete("Line__c", lines[0])
    org.emulator.clock.advance(60)
    org.delete("Deal__c", deal)
    assert org.query("SELECT Id FROM Line__c") == []
    assert [org.org.store.presence(org.kind("Line__c"), one) for one in lines] == [None, False]
    org.writer.undelete(org.kind("Deal__c"), deal)
    assert [row["Id"] for row in org.query("SELECT Id FROM Line__c")] == [lines[1]]
    org.writer.hard_delete(org.kind("Deal__c"), deal)
    store = org.org.store
    assert store.count(org.kind("Line__c"), all_rows=True) == 0
    assert {one for one, _ in store.deleted_between(org.kind("Line__c"), *EVER)} == set(lines)


def test_a_detail_does_not_come_back_before_its_master(org: Life) -> None:
    """No org has a live detail of a deleted master."""
    deal = org.insert("Deal__c")
    line = org.insert("Line__c", Deal__c=deal)
    org.delete("Deal__c", deal)
    with refused("UNDELETE_FAILED", message=f"The record's master {deal} is in the recycle bin"):
        org.writer.undelete(org.kind("Line__c"), line)
    org.writer.undelete(org.kind("Deal__c"), deal)
    assert [row["Id"] for row in org.query("SELECT Id FROM Line__c")] == [line]


@pytest.mark.parametrize("by", ["its own", "a child's"])
@pytest.mark.parametrize("door", ["SOAP", "admin"])
def test_nothing_comes_back_whose_unique_value_is_taken(org: Life, by: str, door: str) -> None:
    """Nor does anything with it; an open transaction has taken its values, too. Once the value is free, all comes back."""
    deal, late = org.insert("Deal__c", Code__c="D"), replace(org.writer, transaction=org.org.store.begin())
    line = org.insert("Line__c", Deal__c=deal, Key__c="L")
    org.delete("Deal__c", deal)
    taken = {
        "its own": ("Deal__c", {"Code__c": "D"}),
        "a child's": ("Line__c", {"Key__c": "L", "Deal__c": org.insert("Deal__c")}),
    }
    name, values = taken[by]
    other = late.insert(org.kind(name), values)

    def undelete() -> None:
        if door == "SOAP":
            org.writer.undelete(org.kind("Deal__c"), deal)
        else:
            admin.undelete(Ask(org.org, "POST", "", params={"sobject": "Deal__c", "id": deal}))

    for _ in ("open", "committed"):
        with refused("DUPLICATE_VALUE"):
            undelete()
        if late.transaction in org.org.store.transactions:
            org.org.store.commit(late.transaction)
    assert {org.row("Deal__c", deal)["IsDeleted"], org.row("Line__c", line)["IsDeleted"]} == {True}
    org.writer.hard_delete(org.kind(name), other)
    undelete()
    assert {org.row("Deal__c", deal)["IsDeleted"], org.row("Line__c", line)["IsDeleted"]} == {False}


def test_what_knows_no_bin_is_gone_at_once_with_what_belongs_to_it(org: Life) -> None:
    """A queue and the objects that it takes."""
    queue = org.insert("Group", Name="Support", Type="Queue")
    taken = org.insert("QueueSobject", QueueId=queue, SobjectType="Lead")
    org.delete("Group", queue)
    store = org.org.store
    assert [store.presence(org.kind(name), one) for name, one in (("Group", queue), ("QueueSobject", taken))] == [None, None]


def test_what_is_not_in_the_bin_cannot_come_back(org: Life) -> None:
    """UNDELETE_FAILED."""
    with refused("UNDELETE_FAILED"):
        org.writer.undelete(org.kind("Account"), org.insert("Account", Name="Acme"))


def test_the_bin_can_be_emptied(org: Life) -> None:
    """From the admin door; live records stay."""
    account, other = org.insert("Account", Name="Acme"), org.insert("Account", Name="Bolt")
    org.insert("Contact", LastName="Berg", AccountId=account)
    org.delete("Account", account)
    with connect(org.emulator.start()), httpx2.Client(base_url=f"{org.emulator.url}/__emulator__") as admin:
        assert admin.delete("/recyclebin").json() == {"purged": 2}
    store, kind = org.org.store, org.kind("Account")
    assert [store.presence(kind, one) for one in (account, other)] == [None, True]
    assert [one for one, _ in store.deleted_between(kind, *EVER)] == [account]


@pytest.mark.parametrize("stamps", [(), ("CreatedDate",), ("CreatedDate", "LastModifiedDate")])
def test_an_object_without_system_modstamp_can_be_deleted_and_restored(stamps: tuple[str, ...]) -> None:
    """`deleted` goes by the stamp that there is; without any, it knows the purged ones."""
    fields = [
        Field("Id", "id", "Id", length=18),
        Field("IsDeleted", "boolean", "Deleted"),
        Field("Name", "string", "Name", length=80),
    ]
    fields += [Field(name, "datetime", name) for name in stamps]
    thing = SObject("Thing__c", "Thing", "Things", "a00", {f.name.lower(): f for f in fields}, custom=True)
    store = Store(Catalog([thing]))
    try:
        record_id = store.insert(thing, {"Name": "x"}, user_id="005000000000000AAA")
        store.delete(thing, record_id, user_id="005000000000000AAA")
        assert [one for one, _ in store.deleted_between(thing, *EVER)] == ([record_id] if stamps else [])
        store.undelete(thing, record_id, user_id="005000000000000AAA")
        assert store.presence(thing, record_id) is True
        assert store.updated_between(thing, *EVER) == ([record_id] if stamps else [])
        store.purge(thing, record_id)
        assert [one for one, _ in store.deleted_between(thing, *EVER)] == [record_id]
    finally:
        store.close()
