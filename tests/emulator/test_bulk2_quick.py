"""The quick way to write a batch leads to the same as one write after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from halocline.emulator.bulk2 import quick, writes
from halocline.emulator.bulk2.quick import Quick, quick_of
from halocline.emulator.bulk2.writes import Plan, plan_of, write_rows
from halocline.emulator.objects import SObject
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.emulator.writing import Saved, Writer

SCHEMA = """
object: Parcel__c
label: Parcel
plural: Parcels
name: {label: Parcel Name}
fields:
  Key__c: string(6) external unique
  Batch__c: string(6) external
  Line__c: "double(18,0) external"
  Other__c: string(4) unique
  Exact__c: string(4) unique case_sensitive
  Amount__c: double(6,2) required
  Short__c: string(5)
  Count__c: int
  Paid__c: boolean
  Stage__c: {type: picklist required, default: New, values: [New, Done]}
  State__c: {type: picklist restricted, default: Draft, values: [Draft, Sent]}
  Tags__c: {type: multipicklist restricted, values: [Red, Green]}
  Due__c: date
  Sent__c: datetime
  At__c: time
  Mail__c: email
  Phone__c: phone(10)
  Page__c: url
  Note__c: textarea(12)
  Fixed__c: string(9) readonly
  Account__c: {type: reference, to: Account, children: Parcels}
  Parent__c: {type: reference, to: Parcel__c, children: Parts}
"""
POOLS: dict[str, list[str]] = {
    "Key__c": ["", "k1", "K1", " k1", "k2 ", " ", "k2", "k3", "k4", "k5", "k6", "toolong", "#N/A", "ä", "k\0"],
    "Batch__c": ["", "b1", "B1", "b2", "b3", "b4", "b5", "#N/A"],
    "Line__c": ["", "1", "1.0", "2", "3", "4", "x", "#N/A"],
    "Other__c": ["", "o1", "O1", "o2", "o3", "o4", "o5", "#N/A"],
    "Exact__c": ["", "e1", "E1", "e1 ", "e2", "e3", "#N/A"],
    "Amount__c": ["", "1", "2.5", "99999", "abc", "#N/A", "1e3"],
    "Short__c": ["", "short", "longer", "#N/A", " x ", " short ", " #N/A"],
    "Count__c": ["", "1", "1.5", "x", "#N/A"],
    "Paid__c": ["", "1", "0", "TRUE", "yes", "#N/A"],
    "Name": ["", "Crate", " ", "#N/A"],
    "OwnerId": ["", "#N/A"],
    "Stage__c": ["", "Done", " ", "#N/A"],
    "State__c": ["", "Draft", "Sent", " Sent", " ", "Lost", "#N/A"],
    "Tags__c": ["", "Red;Green", "Blue"],
    "Due__c": ["", "2026-01-02", "2026-02-30", "2026-01-02T10:00:00Z"],
    "Sent__c": ["", "2026-01-02T10:00:00+02:00", "yesterday"],
    "At__c": ["", "10:00:00.000Z", "25:00"],
    "Mail__c": ["", "a@b.cd", "nobody"],
    "Phone__c": ["", "+49 30 1", "nobody's", "+49 30 123456"],
    "Page__c": ["", "https://x.yz", "no page", "#N/A"],
    "Note__c": ["", "two\r\nlines", "\u2028 \U0001f41f", "more than twelve", " "],
    "Account__c": ["", "ACCOUNT", "0015g00000ZZZZZ", "nonsense", "#N/A"],
    "Account__r.Id": ["", "ACCOUNT", "0015g00000ZZZZZ"],
    "Parent__c": ["", "ID0", "#N/A"],
    "Fixed__c": ["", "x"],
}
JOBS = [
    *[("upsert", name) for name in ("Key__c", "Key__c", "Batch__c", "Line__c", "Id")],
    ("insert", None),
    *[("update", None)] * 2,
]
IDS = ["ID0", "ID1", "ID2", "SHORT0", "SHORT1", "DELETED", "", "0015g00000ZZZZZ", "rubbish", "#N/A"]
INITIAL: list[dict[str, object]] = [
    {"Key__c": "k1", "Batch__c": "b1", "Line__c": 1.0, "Other__c": "o1", "Exact__c": "e1", "Amount__c": 1.0},
    {"Key__c": "K2", "Batch__c": "b2", "Line__c": 2.0, "Other__c": "o2", "Exact__c": "E1", "Amount__c": 2.0, "Short__c": "x"},
    {"Key__c": "k3", "Batch__c": "B2", "Line__c": 2.0, "Other__c": "o3", "Amount__c": 3.0, "Paid__c": True},
    {"Key__c": "k4", "Batch__c": "b4", "Amount__c": 4.0},
    {"Key__c": "k\0", "Amount__c": 5.0},
]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An org without a door, with one account and one parcel object."""
    path = tmp_path_factory.mktemp("quick") / "parcel.yaml"
    path.write_text(SCHEMA, encoding="utf-8")
    made = Emulator(EmulatorConfig(schemas=(Path(path),)))
    yield made
    made.stop()


class _UndoneError(Exception):
    pass


@contextmanager
def undone(emulator: Emulator) -> Iterator[None]:
    """What is written in the block is as if it had never been."""
    with suppress(_UndoneError), emulator.store.database.together():
        yield
        raise _UndoneError


def parcel(emulator: Emulator) -> SObject:
    return emulator.org.sobject("Parcel__c")


def outcome(emulator: Emulator, operation: str, key: str | None, table: list[list[str]], *, quickly: bool) -> Any:
    """What a batch leads to in a fresh org: an outcome for each row, and the records, new ids named by their row."""
    store, sobject = emulator.store, parcel(emulator)
    writer = Writer(emulator.org, emulator.org.api_user_id)
    with undone(emulator):
        ids = [store.insert(sobject, values, user_id=writer.user_id) for values in INITIAL]
        account = store.insert(emulator.org.sobject("Account"), {"Name": "A"}, user_id=writer.user_id)
        store.delete(sobject, ids[3], user_id=writer.user_id)
        names = {f"ID{at}": one for at, one in enumerate(ids)} | {f"SHORT{at}": one[:15] for at, one in enumerate(ids)}
        names |= {"DELETED": ids[3], "ACCOUNT": account}
        header, rows = table[0], [[names.get(cell, cell) for cell in row] for row in table[1:]]
        plan = plan_of(operation, sobject, header=header, key=key, writer=writer)
        saved = written(quick_of(writer, plan) if quickly else None, writer, plan, rows)
        return _named(saved, store.database.read('SELECT * FROM "Parcel__c" ORDER BY Id'))


def written(fast: Quick | None, writer: Writer, plan: Plan, rows: list[list[str]]) -> list[Saved]:
    saved = fast.write(rows) if fast else None
    return list(write_rows(writer, plan, rows=rows)) if saved is None else saved


def _named(saved: Sequence[Saved], records: list[tuple[Any, ...]]) -> tuple[list[Any], list[Any]]:
    names = {str(one.id): f"new {at}" for at, one in enumerate(saved) if one.created}

    def plain(value: object) -> object:
        if isinstance(value, str):
            for record_id, name in names.items():
                value = value.replace(record_id, name).replace(record_id[:15], name)
        return value

    outcomes = []
    for one in saved:
        error = None if one.error is None else (one.error.code, plain(one.error.message), one.error.fields)
        outcomes.append((plain(one.id), one.created, error))
    return outcomes, sorted([tuple(plain(value) for value in record) for record in records], key=repr)


def job_of(dice: Random) -> tuple[str, str | None, list[list[str]]]:
    """An operation, its key, and a table that has it: mostly good cells from small pools, so that rows meet."""
    operation, key = dice.choice(JOBS)
    names = [*sorted(POOLS.keys() - {"Amount__c"}), *["Other__c"] * 5]  # where rows can take each other's values
    columns = list(dict.fromkeys(dice.sample(names, dice.randint(0, 3))))
    if {"Account__c", "Account__r.Id"} <= set(columns):
        columns.remove("Account__c")
    if dice.random() < 0.9:
        columns.append("Amount__c")
    if operation == "update" or key == "Id":
        columns.insert(0, "Id")
    elif key and key not in columns:
        columns.insert(0, key)
    columns = columns or ["Amount__c"]
    rows = [[_cell(dice, name) for name in columns] for _ in range(dice.randint(1, 10))]
    return operation, key, [columns, *rows]


def _cell(dice: Random, name: str) -> str:
    pool = IDS if name == "Id" else POOLS[name]
    good = {"Amount__c": ["1", "2.5"], "Id": IDS[:5]}.get(name, pool)
    return dice.choice(good if dice.random() < 0.9 else pool)


# Numbers, not tables, are drawn: tables made of independent cells would rarely hold two rows that are good and meet.
@settings(max_examples=examples(1_000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), size=st.integers(1, 6))
def test_quick_and_careful_writes_are_twins(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, seed: int, size: int) -> None:
    """Same ids, same flags, same errors word for word, same records - for any rows, cut into transactions anywhere."""
    operation, key, table = job_of(Random(seed))
    emulator.clock.freeze(emulator.clock.now())
    for module in (writes, quick):
        monkeypatch.setattr(module, "TRANSACTION_ROWS", size)
    slow = outcome(emulator, operation, key, table, quickly=False)
    fast = outcome(emulator, operation, key, table, quickly=True)
    assert fast == slow


def quickly(emulator: Emulator, header: list[str], operation: str = "upsert", **more: str) -> Quick | None:
    writer = Writer(emulator.org, emulator.org.api_user_id)
    key = more.get("key", "Key__c" if operation == "upsert" else None)
    sobject = emulator.org.sobject(more.get("sobject", "Parcel__c"))
    return quick_of(writer, plan_of(operation, sobject, header=header, key=key, writer=writer))


def test_plain_jobs_are_quick(emulator: Emulator) -> None:
    """The twins above would agree if nothing were quick: this is what makes them a test."""
    fast = quickly(emulator, ["Key__c", "Amount__c", "Account__c", "State__c", "Account__r.Id"][:4])
    assert fast is not None
    with undone(emulator):
        saved = fast.write([["q1", "1", "", "Sent"], ["q2", "2", "", ""], ["q3", "x", "", ""]])
        assert saved is not None
        assert [one.created for one in saved] == [True, True, False]


@pytest.mark.parametrize(
    ("header", "operation"),
    [(["Id"], "delete"), (["Key__c", "Fixed__c"], "insert"), (["Key__c", "Parent__r.Key__c"], "upsert"), (["Id"], "insert")],
)
def test_unusual_jobs_are_careful(emulator: Emulator, header: list[str], operation: str) -> None:
    """Deletes, columns that nobody may write, lookups of what the job itself writes."""
    assert quickly(emulator, header, operation) is None


def test_objects_with_a_life_of_their_own_are_careful(emulator: Emulator) -> None:
    """Names made of parts, stages that imply more, numbers that count on."""
    for sobject, header in (("Contact", ["LastName"]), ("Opportunity", ["StageName"]), ("Case", ["Subject"])):
        assert quickly(emulator, header, "insert", sobject=sobject) is None


def test_locked_records_make_a_batch_careful(emulator: Emulator) -> None:
    """Whoever holds a lock is waited for, row by row."""
    fast = quickly(emulator, ["Key__c", "Amount__c"])
    assert fast is not None
    emulator.org.locks.lock(emulator.org.api_user_id)
    try:
        assert fast.write([["q1", "1"]]) is None
    finally:
        emulator.org.locks.release_all()
