"""Laws of the store."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from tests.emulator.small_org import USER, small_catalog

from halocline.emulator import ids
from halocline.emulator.clock import Clock
from halocline.emulator.objects import SObject
from halocline.emulator.query import prepare
from halocline.emulator.store import Store

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AT = "2026-11-20T12:00:{:02d}.000Z"
EVER = ("2000-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z")


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty small org whose clock stands at noon."""
    clock = Clock()
    clock.freeze(START)
    made = Store(small_catalog(), clock=clock)
    yield made
    made.close()


def rows_of(store: Store, name: str) -> list[dict[str, object]]:
    """Its live records."""
    sobject = kind(store, name)
    return [row for (one,) in store.read(f'SELECT Id FROM "{name}" WHERE IsDeleted = 0') if (row := store.get(sobject, one))]


def kind(store: Store, name: str) -> SObject:
    """The object of that name."""
    found = store.catalog.get(name)
    assert found is not None
    return found


def add(store: Store, name: str, /, **values: object) -> str:
    """A new record's id."""
    return store.insert(kind(store, name), values, user_id=USER)


def test_insert_fills_in_what_salesforce_fills_in(store: Store) -> None:
    """Id, audit fields, IsDeleted, owner, auto-number and false booleans are there without being given."""
    record_id = add(store, "Account", name="Acme")
    row = store.get(kind(store, "Account"), record_id)
    assert row is not None
    assert row["Id"] == record_id == ids.record_id("001", 0)
    assert row["Name"] == "Acme"
    assert row["IsDeleted"] is False
    assert row["OwnerId"] == row["CreatedById"] == row["LastModifiedById"] == USER
    assert row["CreatedDate"] == row["SystemModstamp"] == row["LastModifiedDate"] == AT.format(0)
    assert row["Number__c"] == "A-0001"
    thing = store.get(kind(store, "Thing__c"), add(store, "Thing__c", Name="x"))
    assert thing is not None
    assert thing["Flag__c"] is False


def test_empty_text_is_null_and_other_text_is_kept(store: Store) -> None:
    """Salesforce has no empty strings; everything else stays as given."""
    for given, kept in (("", None), (" ", " "), ("\r\n", "\r\n"), ("NA", "NA"), ("null", "null"), ("𝒳\r", "𝒳\r")):
        row = store.get(kind(store, "Thing__c"), add(store, "Thing__c", Text__c=given))
        assert row is not None
        assert row["Text__c"] == kept


def test_update_moves_the_modified_stamps_only(store: Store) -> None:
    """An update moves LastModifiedDate and SystemModstamp, never CreatedDate."""
    account = kind(store, "Account")
    record_id = add(store, "Account", Name="Acme")
    store.clock.advance(7)
    store.update(account, record_id, {"NAME": "Acme 2", "AnnualRevenue": 10, "NumberOfEmployees": 4}, user_id=USER)
    row = store.get(account, record_id)
    assert row is not None
    assert (row["Name"], row["CreatedDate"], row["SystemModstamp"]) == ("Acme 2", AT.format(0), AT.format(7))
    assert row["RevenueEach__c"] == 2.5


def test_a_persons_name_follows_its_parts(store: Store) -> None:
    """Name is first and last name, on insert and after either changes."""
    contact = kind(store, "Contact")
    record_id = add(store, "Contact", FirstName="Ada", LastName="King")
    store.update(contact, record_id, {"LastName": "Lovelace"}, user_id=USER)
    row = store.get(contact, record_id)
    assert row is not None
    assert row["Name"] == "Ada Lovelace"


def test_unknown_names_and_ids_raise(store: Store) -> None:
    """A field or id that does not exist is a KeyError, and nothing is written."""
    account = kind(store, "Account")
    with pytest.raises(KeyError, match="Nope__c"):
        add(store, "Account", Nope__c=1)
    for call in (store.delete, store.undelete):
        with pytest.raises(KeyError, match="does not exist"):
            call(account, ids.record_id("001", 5), user_id=USER)
    with pytest.raises(KeyError, match="does not exist"):
        store.update(account, ids.record_id("001", 5), {"Name": "x"}, user_id=USER)
    assert store.count(account, all_rows=True) == 0


def test_delete_takes_cascading_children_along_and_undelete_brings_them_back(store: Store) -> None:
    """Children that went to the bin with their parent come back with it; one deleted earlier stays there."""
    account, contact = kind(store, "Account"), kind(store, "Contact")
    parent = add(store, "Account", Name="Acme")
    early, late = (add(store, "Contact", LastName=n, AccountId=parent) for n in "AB")
    store.delete(contact, early, user_id=USER)
    store.clock.advance(5)
    store.delete(account, parent, user_id=USER)
    assert store.count(contact) == 0
    assert store.count(contact, all_rows=True) == 2
    assert store.deleted_between(contact, *EVER) == [(early, AT.format(0)), (late, AT.format(5))]
    store.clock.advance(5)
    store.undelete(account, parent, user_id=USER)
    assert [r["Id"] for r in store.find(contact, "AccountId", parent)] == [late]
    assert store.deleted_between(contact, *EVER) == [(early, AT.format(0))]
    assert store.updated_between(contact, AT.format(10), AT.format(11)) == [late]


def test_purged_records_vanish_but_are_still_listed_as_deleted(store: Store) -> None:
    """A purge removes the row; getDeleted knows the id, at the time it was deleted."""
    account = kind(store, "Account")
    binned, straight = add(store, "Account", Name="A"), add(store, "Account", Name="B")
    store.delete(account, binned, user_id=USER)
    store.clock.advance(3)
    for record_id in (binned, straight):
        store.purge(account, record_id)
    store.purge(account, binned)
    assert store.get(account, binned) is None
    assert store.count(account, all_rows=True) == 0
    assert store.deleted_between(account, *EVER) == [(binned, AT.format(0)), (straight, AT.format(3))]
    assert store.deleted_between(account, AT.format(1), AT.format(3)) == []


def test_transaction_rows_appear_late_with_their_early_stamp(store: Store) -> None:
    """Writes of an open transaction are unseen; after the commit they carry the stamp of when they were made."""
    account = kind(store, "Account")
    transaction = store.begin()
    record_id = store.insert(account, {"Name": "Late"}, user_id=USER, transaction=transaction)
    store.update(account, record_id, {"Name": "Later"}, user_id=USER, transaction=transaction)
    store.clock.advance(30)
    assert store.get(account, record_id) is None
    assert store.latest_date_covered() == AT.format(0)
    store.commit(transaction)
    row = store.get(account, record_id)
    assert row is not None
    assert (row["Name"], row["SystemModstamp"]) == ("Later", AT.format(0))
    assert store.latest_date_covered() == AT.format(30)


def test_rolled_back_transaction_leaves_nothing(store: Store) -> None:
    """A rollback forgets the writes, and the transaction is closed."""
    transaction = store.begin()
    store.insert(kind(store, "Account"), {"Name": "x"}, user_id=USER, transaction=transaction)
    store.rollback(transaction)
    assert store.count(kind(store, "Account"), all_rows=True) == 0
    with pytest.raises(KeyError):
        store.commit(transaction)


def test_a_failed_commit_keeps_nothing_and_the_transaction_open(store: Store) -> None:
    """When one write of a transaction fails, none of them is made, and it can be tried again or rolled back."""
    account = kind(store, "Account")
    transaction = store.begin()
    store.insert(account, {"Name": "good"}, user_id=USER, transaction=transaction)
    taken = store.insert(account, {"Name": "bad"}, user_id=USER, transaction=transaction)
    store.insert(account, {"Id": taken, "Name": "other"}, user_id=USER)
    with pytest.raises(sqlite3.IntegrityError):
        store.commit(transaction)
    assert [row["Name"] for row in rows_of(store, "Account")] == ["other"]
    store.rollback(transaction)


def test_a_write_on_what_was_purged_meanwhile_stops_no_other(store: Store) -> None:
    """Nobody will see it; the transaction's other writes were acknowledged."""
    account = kind(store, "Account")
    gone, kept = add(store, "Account", Name="A"), add(store, "Account", Name="B")
    transaction = store.begin()
    for record_id in (gone, kept):
        store.update(account, record_id, {"Name": "late"}, user_id=USER, transaction=transaction)
    store.delete(account, gone, user_id=USER, transaction=transaction)
    with pytest.raises(KeyError):
        store.update(account, ids.record_id("001", 99), {"Name": "never"}, user_id=USER, transaction=transaction)
    store.purge(account, gone)
    store.commit(transaction)
    assert [(row["Id"], row["Name"]) for row in rows_of(store, "Account")] == [(kept, "late")]


def test_a_transaction_sees_what_it_wrote_and_nobody_else_does(store: Store) -> None:
    """Its block reads through its writes; what an error undoes in it is no part of it, and no id is given twice."""
    account = kind(store, "Account")
    transaction = store.begin()
    with store.inside(transaction):
        first = store.insert(account, {"Name": "first"}, user_id=USER)
        with suppress(ValueError), store.database.together():
            store.insert(account, {"Name": "undone"}, user_id=USER)
            raise ValueError("undo it")
        assert [row["Name"] for row in rows_of(store, "Account")] == ["first"]
    other = add(store, "Account", Name="other")
    assert other != first
    assert [row["Name"] for row in rows_of(store, "Account")] == ["other"]
    with store.inside(transaction):
        assert store.presence(account, first)
        store.delete(account, first, user_id=USER)
    assert store.presence(account, first) is None
    store.commit(transaction)
    assert (store.presence(account, first), store.presence(account, other)) == (False, True)


def test_an_index_that_a_transaction_made_is_made_again(store: Store) -> None:
    """It went with the rest."""
    contact, transaction = kind(store, "Contact"), store.begin()
    field = contact.field("LastName")
    assert field is not None
    for _ in range(2):
        with store.inside(transaction):
            store.ensure_index(contact, field)
    store.ensure_index(contact, field)
    assert len(store.read("SELECT 1 FROM sqlite_master WHERE type = 'index' AND sql LIKE '%Contact%LastName%'")) == 1


def test_late_commit_never_moves_a_stamp_back(store: Store) -> None:
    """A late write on a row that others changed meanwhile keeps the later stamp."""
    account = kind(store, "Account")
    record_id = add(store, "Account", Name="A")
    transaction = store.begin()
    store.update(account, record_id, {"Name": "B"}, user_id=USER, transaction=transaction)
    store.clock.advance(9)
    store.update(account, record_id, {"AnnualRevenue": 1}, user_id=USER)
    store.commit(transaction)
    row = store.get(account, record_id)
    assert row is not None
    assert (row["Name"], row["AnnualRevenue"], row["SystemModstamp"]) == ("B", 1.0, AT.format(9))


def test_find_matches_text_case_aside_and_exact_text_exactly(store: Store) -> None:
    """A find compares as SOQL's `=` does, and sees live rows only."""
    thing = kind(store, "Thing__c")
    record_id = add(store, "Thing__c", Text__c="Abc", Exact__c="Abc", Flag__c=True)
    assert [r["Id"] for r in store.find(thing, "text__C", "aBC")] == [record_id]
    assert store.find(thing, "Exact__c", "abc") == []
    assert [r["Id"] for r in store.find(thing, "Flag__c", True)] == [record_id]
    assert [r["Id"] for r in store.find(thing, "Date__c", None)] == [record_id]
    store.delete(thing, record_id, user_id=USER)
    assert store.find(thing, "Text__c", "Abc") == []


def loaded(first: int, rows: int) -> pa.RecordBatch:
    """Complete Account rows with serials from `first`."""
    stamps = [AT.format(0)] * rows
    return pa.RecordBatch.from_pydict(
        {
            "Id": [ids.record_id("001", first + n) for n in range(rows)],
            "IsDeleted": pa.array([False] * rows),
            "Name": [f'row "{n}"\r\n' for n in range(rows)],
            "AnnualRevenue": [n / 3 for n in range(rows)],
            "CreatedDate": stamps,
            "LastModifiedDate": stamps,
            "SystemModstamp": stamps,
        }
    )


def test_bulk_rows_read_back_as_they_came_and_serials_go_on_after_them(store: Store) -> None:
    """A bulk load keeps every value, and the next insert gets the next id and auto-number."""
    account = kind(store, "Account")
    assert store.bulk_insert(account, (loaded(first, 10) for first in (0, 10))) == 20
    row = store.get(account, ids.record_id("001", 14))
    assert row is not None
    assert (row["Name"], row["AnnualRevenue"], row["IsDeleted"], row["OwnerId"]) == ('row "4"\r\n', 4 / 3, False, None)
    added = store.get(account, add(store, "Account", Name="next"))
    assert added is not None
    assert (added["Id"], added["Number__c"]) == (ids.record_id("001", 20), "A-0021")
    assert store.count(account) == 21
    assert store.bulk_insert(account, []) == 0


def test_bulk_load_of_an_existing_id_keeps_nothing(store: Store) -> None:
    """A load is all or nothing, and the store works on after a refusal."""
    account = kind(store, "Account")
    store.bulk_insert(account, [loaded(5, 2)])
    with pytest.raises(sqlite3.IntegrityError):
        store.bulk_insert(account, [loaded(0, 10)])
    assert store.count(account) == 2
    assert store.bulk_insert(account, [loaded(0, 5)]) == 5


def test_store_opens_again_with_its_rows_and_new_fields(tmp_path: Path) -> None:
    """A file keeps rows and serials, and a field that the catalog gained is there, null."""
    path = tmp_path / "org.sqlite"
    first = Store(small_catalog(), path)
    record_id = add(first, "Account", Name="Kept")
    first.database.writer.execute('ALTER TABLE "Account" DROP COLUMN "BillingCity"')
    first.close()
    second = Store(small_catalog(), path)
    row = second.get(kind(second, "Account"), record_id)
    assert row is not None
    assert (row["Name"], row["BillingCity"]) == ("Kept", None)
    assert add(second, "Account", Name="next") == ids.record_id("001", 1)
    second.close()


def test_temporary_store_leaves_no_file(store: Store) -> None:
    """Closing deletes a private file, and may be repeated."""
    folder = store.path.parent
    store.close()
    store.close()
    assert not folder.exists()


def test_many_threads_write_read_and_export_without_losing_or_mixing_rows(store: Store) -> None:
    """Exports see one state each, whole, while other threads insert, update and delete; in the end every row is there once."""
    account = kind(store, "Account")
    store.bulk_insert(account, [loaded(0, 3_000)])
    failures: list[BaseException] = []
    # Both rows of a pair are made in one transaction: a state that shows one of them only was torn.
    writers = [threading.Thread(target=_pairs, args=(store, account, n, failures)) for n in range(2)]
    readers = [threading.Thread(target=_exports, args=(store, failures)) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in (*writers, *readers):
        thread.join()
    assert failures == []
    assert store.count(account) == 3_000 + 2 * 2 * 40
    assert store.read("PRAGMA integrity_check") == [("ok",)]


def _pairs(store: Store, account: SObject, number: int, failures: list[BaseException]) -> None:
    try:
        for n in range(40):
            transaction = store.begin()
            for half in "ab":
                store.insert(account, {"Name": f"pair {number} {n} {half}"}, user_id=USER, transaction=transaction)
            store.commit(transaction)
            store.update(account, ids.record_id("001", n), {"AnnualRevenue": n}, user_id=USER)
    except BaseException as failure:  # noqa: BLE001  # carried to the test's own thread
        failures.append(failure)


def _exports(store: Store, failures: list[BaseException]) -> None:
    try:
        for _ in range(12):
            query = prepare(store, "SELECT Id, Name FROM Account", all_rows=False, bulk=True)
            names = [name for batch in query.batches(500) for name in batch.column(1).to_pylist()]
            pairs = [name[:-1] for name in names if name.startswith("pair")]
            assert all(pairs.count(p) == 2 for p in set(pairs))
            assert len(names) - len(pairs) == 3_000
    except BaseException as failure:  # noqa: BLE001  # carried to the test's own thread
        failures.append(failure)


def test_indexes_serve_the_incremental_window(store: Store) -> None:
    """Counting a window of SystemModstamp never looks at the table itself."""
    window = "t0.SystemModstamp >= ? AND t0.SystemModstamp < ?"
    (plan,) = store.read(f"EXPLAIN QUERY PLAN SELECT COUNT(*) FROM Account AS t0 WHERE t0.IsDeleted = 0 AND {window}", EVER)
    assert "USING COVERING INDEX Account_by_SystemModstamp_IsDeleted" in str(plan[3])
