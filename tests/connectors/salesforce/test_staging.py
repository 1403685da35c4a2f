"""Staging: from rows to what will be sent, in a durable folder. Every row is refused, folded or in one chunk."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from halocline.connectors.salesforce import sheets
from halocline.connectors.salesforce.job_results import Matching
from halocline.connectors.salesforce.pages import text_batches
from halocline.connectors.salesforce.sheets import CELL_CHARS, header_line
from halocline.connectors.salesforce.spelling import CLEARED, CannotSpell, cell, flat_record, json_record
from halocline.connectors.salesforce.writing import answers, frames, planning, staging
from halocline.connectors.salesforce.writing.cargo import Chunk, Prepared
from halocline.connectors.salesforce.writing.staging import Staging
from halocline.errors import FixConfig, StorageFailed
from halocline.outcome import Fate, RowResult
from halocline.push.destination import RowBatch, WritePlan
from halocline.push.order import Api, Nulls, SyncMode, WriteOrder

Make = Callable[..., tuple[Prepared, list[RowResult]]]
Row = Mapping[str, Any]

DESCRIBE = {
    "fields": [
        {"name": "OwnerId", "type": "reference", "relationshipName": "Owner", "cascadeDelete": False, "relationshipOrder": None},
        {
            "name": "AccountId",
            "type": "reference",
            "relationshipName": "Account",
            "cascadeDelete": False,
            "relationshipOrder": None,
        },
        {"name": "Boss__c", "type": "reference", "relationshipName": "Boss__r", "cascadeDelete": True, "relationshipOrder": 0},
        {"name": "LastName", "type": "string", "relationshipName": None},
    ]
}
INSERT = WriteOrder("Contact", SyncMode.INSERT)
UPSERT = WriteOrder("Contact", SyncMode.UPSERT, "Code__c")
UPDATE = WriteOrder("Contact", SyncMode.UPDATE)
DELETE = WriteOrder("Contact", SyncMode.DELETE)
ID = "003000000000001"


def by(order: WriteOrder, **changed: Any) -> WriteOrder:
    return WriteOrder(**{**{name: getattr(order, name) for name in WriteOrder.__slots__}, **changed})


def prepared(
    rows: Any, order: WriteOrder, folder: Path, *, size: int = 1_000, describe: Mapping[str, Any] = DESCRIBE
) -> tuple[Prepared, list[RowResult]]:
    """The rows (dicts or an Arrow batch), staged in batches of `size`."""
    load, refused = Staging(order, folder, describe=describe), list[RowResult]()
    for start in range(0, len(rows), size):
        some = rows.slice(start, size) if isinstance(rows, pa.RecordBatch) else rows[start : start + size]
        refused += load.stage(RowBatch(range(start, start + len(some)), some))
    return load.finish(), refused


@pytest.fixture
def make(tmp_path: Path) -> Make:
    folders = iter(range(1_000))
    return lambda rows, order, **options: prepared(rows, order, tmp_path / f"run{next(folders)}", **options)


@contextmanager
def small(**sizes: int) -> Iterator[None]:
    """Frames and buckets so small that a few rows need many of them."""
    frame_rows = sizes.get("frame", 3)
    with (
        mock.patch.object(frames, "FRAME_ROWS", frame_rows),
        mock.patch.object(staging, "FRAME_ROWS", frame_rows),
        mock.patch.object(frames, "_BUCKET_ROWS", sizes.get("bucket", 4)),
    ):
        yield


def bodies(made: Prepared) -> dict[int, Any]:
    """The rows that go by collections, in the order in which they are sent."""
    return dict(pair for chunk in made.chunks if chunk.api is Api.COLLECTIONS for pair in made.bodies(chunk))


def cells(made: Prepared) -> dict[int, dict[str, str]]:
    """The rows that go by Bulk, read from the sheets by Python's own reader: the cells that are not empty."""
    found = dict[int, dict[str, str]]()
    for chunk in made.chunks:
        if chunk.api is Api.BULK:
            sheet = made.sheet(chunk)
            with sheet.path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            assert len(rows) == sheet.rows == chunk.rows
            numbers = sheet.row_numbers().to_pylist()
            found |= {n: {k: v for k, v in row.items() if v} for n, row in zip(numbers, rows, strict=True)}
    return found


def numbers(made: Prepared) -> list[int]:
    """The row numbers in the order in which they are sent."""
    return [*bodies(made), *cells(made)]


def as_cells(body: Mapping[str, Any]) -> dict[str, str]:
    """What Bulk would have to be told, to mean the same as a JSON body."""
    return {name: CLEARED if value is None else cell(name, value) for name, value in flat_record(body).items()}


def means(text: str, value: Any) -> bool:
    """Whether a cell and a JSON value say the same."""
    if value is None or isinstance(value, str):
        return text == (CLEARED if value is None else value)
    return bool(json.loads(text) == value)


# ---- what is refused


def test_rows_that_can_never_be_sent_are_told_and_the_others_are_sent(make: Make) -> None:
    """Each has its number, a code, a sentence and the field; 0 is a value."""
    rows: list[Any] = [
        {"Code__c": "a", "LastName": "x"},
        {"LastName": "x"},
        {"Code__c": None},
        {"Code__c": ""},
        {"Code__c": 0},
        "a text",
        17,
        {"Code__c": "b", "code__C": "c"},
        {"Code__c": "d", "LastName": float("nan")},
        {"Code__c": "e", "LastName": "\ud800"},
        {"Code__c": "f", "LastName": datetime(2026, 1, 1)},  # noqa: DTZ001 - nobody knows which instant it is
        {"Code__c": "g", "LastName": object()},
        {"Code__c": "h", "LastName": 10**5000},
        {"Code__c": "i", "LastName": Decimal("1e999999999")},
        {"Code__c": "j", 3: "x"},
        {"Code__c": "k", "Account": {"A__c": 1, "B__c": 2}},
        {"Code__c": "l", "Account.A__c": 1, "User:Account.B__c": 2},
        {"Code__c": "m", "Account.": 1},
        {"Code__c": "n", "LastName": {"first": "x"}},
        {"Code__c": "o", "AccountId": {"A__c": 1}},
    ]
    made, refused = make(rows, UPSERT)
    assert {one.row: one.code for one in refused} == {
        **dict.fromkeys((1, 2, 3), "MISSING_KEY"),
        **dict.fromkeys(range(5, len(rows)), "CANNOT_BE_SENT"),
    }
    assert {one.fate for one in refused} == {Fate.NOT_SENT}
    assert [one.row for one in refused] == sorted(one.row for one in refused if one.row is not None)
    assert all(one.message for one in refused)
    assert {one.row: one.fields for one in refused if one.row in (2, 8, 16, 18)} == {
        2: ("Code__c",),
        8: ("LastName",),
        16: ("Account.A__c", "User:Account.B__c"),
        18: ("LastName",),
    }
    assert refused[-1].message == "AccountId: a dict is no value of a field; a record is looked up by Account, not by AccountId"
    assert bodies(made) == {0: {"Code__c": "a", "LastName": "x"}, 4: {"Code__c": 0}}


@pytest.mark.parametrize("value", ["x", "00300000000000", "003000000000001,003", "003000000000001\n", "0030000000000012A"])
@pytest.mark.parametrize("order", [UPDATE, DELETE, by(UPSERT, key="Id"), by(DELETE, mode=SyncMode.HARD_DELETE)], ids=str)
def test_an_id_that_is_none_is_refused(make: Make, order: WriteOrder, value: str) -> None:
    """Before it can make two of one in a list of ids, or spoil a call."""
    rows = [{"Id": value, "LastName": "x"}, {"id": ID, "LastName": "x"}]
    made, refused = make(rows, order)
    assert [(one.row, one.code, one.fields) for one in refused] == [(0, "CANNOT_BE_SENT", ("Id",))]
    assert numbers(made) == [1]


@pytest.mark.parametrize("prefix", ["003", "a0X", None])
def test_ids_of_another_object_are_not_deleted(make: Make, prefix: str | None) -> None:
    """Where the describe says how this object's ids begin; an update is refused by Salesforce itself."""
    rows = [
        {"Id": ID, "LastName": "x"},
        {"Id": "001000000000001AAA", "LastName": "x"},
        {"Id": "A0x000000000001", "LastName": "x"},
    ]
    told = {**DESCRIBE, "keyPrefix": prefix}
    for order in (DELETE, by(DELETE, mode=SyncMode.HARD_DELETE)):
        made, refused = make(rows, order, describe=told)
        wrong = {"003": [1, 2], "a0X": [0, 1, 2], None: []}[prefix]
        assert [(one.row, one.code, one.fields) for one in refused] == [(row, "CANNOT_BE_SENT", ("Id",)) for row in wrong]
        assert all(f"is a record of another object: ids of this one begin with {prefix}" in one.message for one in refused)
        assert numbers(made) == [row for row in range(3) if row not in wrong]
    assert make(rows, UPDATE, describe=told)[1] == []


def test_a_row_that_says_nothing_is_refused_where_it_would_change_nothing(make: Make) -> None:
    """An insert without a value, an update with its id alone; an upsert's key alone makes sure that the record is there."""
    assert [one.code for one in make([{}, {"LastName": "x"}], INSERT)[1]] == ["NOTHING_TO_SEND"]
    assert [one.code for one in make([{"Id": ID}], UPDATE)[1]] == ["NOTHING_TO_SEND"]
    assert [one.code for one in make([{"Id": ID, "LastName": None}], by(UPDATE, nulls=Nulls.KEEP))[1]] == ["NOTHING_TO_SEND"]
    assert make([{"Id": ID, "LastName": None}], UPDATE)[1] == []
    assert bodies(make([{"Code__c": "a"}], UPSERT)[0]) == {0: {"Code__c": "a"}}


def test_columns_that_cannot_be_sent_stop_the_load(make: Make) -> None:
    """A table's column is wrong for all rows: a type without a spelling, a name twice, a name that is no field's."""
    for name, column in [("A", pa.array([[1]])), ("A.B.C", pa.array(["x"])), ("", pa.array(["x"]))]:
        with pytest.raises(FixConfig):
            make(pa.RecordBatch.from_arrays([column], names=[name]), INSERT)
    with pytest.raises(FixConfig, match="the columns 'A' and 'a' are one field"):
        make(pa.RecordBatch.from_arrays([pa.array(["x"])] * 2, names=["A", "a"]), INSERT)


def test_only_the_id_of_a_row_travels_in_a_delete(make: Make) -> None:
    """A row may be a bare id; what else a row holds is not looked at."""
    rows = [ID, {"LastName": object(), "id": "003000000000002AAA"}]
    assert bodies(make(rows, DELETE)[0]) == {0: ID, 1: "003000000000002AAA"}
    hard, _ = make(rows, by(DELETE, mode=SyncMode.HARD_DELETE))
    assert cells(hard) == {0: {"Id": ID}, 1: {"Id": "003000000000002AAA"}}
    table = pa.RecordBatch.from_pylist([{"Id": ID, "Tags": ["no", "spelling"]}])
    assert bodies(make(table, DELETE)[0]) == {0: ID}


# ---- what values mean


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=4),
    st.sampled_from(["", "#N/A", 'a,"b"', "x\r\ny", "\r", "\n", " é\U0001f600 ", "007", "NULL", "nan", "\x1f", b"", b"\x00\xff"]),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.dates(min_value=date(1700, 1, 1)),
    st.times(),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1700, 1, 1)),  # noqa: DTZ001 - the strategy adds the zone
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["Code__c", "LastName", "lastname", "X__c", "Account.Ext__c", "AccountId"]), VALUES, max_size=5
    ),
    max_size=12,
)


@settings(max_examples=examples(150), deadline=None)
@given(rows=ROWS, size=st.integers(1, 5))
def test_both_paths_mean_the_same(rows: list[Row], size: int) -> None:
    """A body is what `json_record` makes of the row, and a sheet says the same; a row is in exactly one place on either path."""
    with tempfile.TemporaryDirectory() as folder, small():
        calls, refused = prepared(rows, by(INSERT, api=Api.COLLECTIONS), Path(folder, "c"), size=size)
        jobs, also = prepared(rows, by(INSERT, api=Api.BULK), Path(folder, "b"), size=size)
        assert refused == also
        sent, by_cells, apart = bodies(calls), cells(jobs), bodies(jobs)
    assert sorted([*sent, *(one.row for one in refused if one.row is not None)]) == list(range(len(rows)))
    assert sorted([*by_cells, *apart]) == sorted(sent)
    for number, body in sent.items():
        assert {name.lower(): value for name, value in body.items()} == {k.lower(): v for k, v in _json(rows[number]).items()}
    for number, row in by_cells.items():
        said = _said(rows[number])
        assert _lower(row).keys() == said.keys()
        assert all(means(text, said[name]) for name, text in _lower(row).items())
    assert all(apart[number] == sent[number] for number in apart)
    several = {"AccountId", "Account.Ext__c"}  # one field, and a sheet has one column of them
    assert all(
        several & row.keys() or any(value in (CLEARED, b"\x00\xff") for value in row.values())
        for row in map(rows.__getitem__, apart)
    )
    assert not several <= {name for row in by_cells.values() for name in row}


def _json(row: Row, describe: Mapping[str, Any] = DESCRIBE) -> dict[str, Any]:
    """The body that a row is to have: an empty file is as null, and a number in a field of text, or a lookup's key, a text."""
    told: dict[str, Any] = {name: None if value == b"" else value for name, value in _settled(row).items()}
    texts = {field["name"].lower() for field in describe["fields"]}  # all of them are of texts and ids
    numbers = {
        name
        for name, value in told.items()
        if ("." in name or name.lower() in texts) and isinstance(value, (bool, int, float, Decimal))
    }
    return json_record({name: cell(name, value) if name in numbers else value for name, value in told.items()})


def _settled(row: Row) -> dict[str, Any]:
    """The row without the null of a lookup that its other column sets."""
    names = {"AccountId", "Account.Ext__c"}
    is_set = any(row.get(name) not in (None, "", b"") for name in names)
    return {name: value for name, value in row.items() if not (is_set and name in names and value in (None, "", b""))}


def _said(row: Row, describe: Mapping[str, Any] = DESCRIBE) -> dict[str, Any]:
    """What JSON says of each field, lookups under their dotted names."""
    found = {name.lower(): _json({name: value}, describe) for name, value in _settled(row).items()}
    return {name: None if None in body.values() else flat_record(body).popitem()[1] for name, body in found.items()}


def test_arrow_and_dicts_mean_the_same(make: Make) -> None:
    """Columns of any type give the bodies, the sheet and the refusals that dicts of the same values give."""
    instant = datetime(2026, 11, 21, 10, 20, 30, 123456, UTC)
    columns = {
        "Code__c": pa.array(["a", "b", "c", ""]),
        "Flag__c": pa.array([True, None, False, True]),
        "Count__c": pa.array([1, None, -(2**60), 1]),
        "Price__c": pa.array([Decimal("0.0000000001"), None, Decimal("5"), None], pa.decimal128(20, 10)),
        "Share__c": pa.array([0.5, None, 1e20, 1.0]),
        "Day__c": pa.array([date(2026, 1, 2), None, None, None]),
        "At__c": pa.array([instant, None, instant, None], pa.timestamp("us", "UTC")),
        "Opens__c": pa.array([time(1, 2, 3, 456789), None, None, None], pa.time64("us")),
        "Text__c": pa.array(["", None, "x", "y"]).dictionary_encode(),
        "File__c": pa.array([None, b"\x01", b"", None], pa.binary()),
        "Account": pa.array([{"Ext__c": "p"}, {"Ext__c": None}, None, {"Ext__c": "q"}]),
    }
    table = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    rows = table.to_pylist()
    for row in rows:
        row["Account"] = row["Account"] or {"Ext__c": None}
    for nulls in Nulls:
        one, refused = make(table, by(UPSERT, nulls=nulls))
        two, also = make(rows, by(UPSERT, nulls=nulls))
        assert [(told.row, told.code) for told in refused] == [(told.row, told.code) for told in also] == [(3, "MISSING_KEY")]
        assert bodies(one) == bodies(two)
        assert bodies(one)[0]["Price__c"] == "0.0000000001" or bodies(one)[0]["Price__c"] == 1e-10
        by_bulk, also_by_bulk = (cells(make(given, by(UPSERT, nulls=nulls, api=Api.BULK))[0]) for given in (table, rows))
        assert by_bulk.keys() == also_by_bulk.keys() == {0, 2}
        assert by_bulk[0]["Price__c"] == also_by_bulk[0]["Price__c"] == "0.0000000001"


@pytest.mark.parametrize("arrow", [False, True])
def test_a_number_in_a_field_of_text_is_one_text_on_both_paths(make: Make, *, arrow: bool) -> None:
    """Its own digits, also as a key and as that of a lookup; a field of numbers gets a number."""
    describe = _keyed()
    describe["fields"].append({"name": "Price__c", "type": "double", "relationshipName": None})
    value = Decimal("500007.0000000000")
    rows: Any = [{"Code__c": value, "LastName": 12, "Account.Ext__c": value, "Price__c": value}]
    given = pa.RecordBatch.from_pylist(rows) if arrow else rows
    wanted = {"Code__c": str(value), "LastName": "12", "Price__c": 500_007, "Account": {"Ext__c": str(value)}}
    assert bodies(make(given, UPSERT, describe=describe)[0]) == {0: wanted}
    told = cells(make(given, by(UPSERT, api=Api.BULK), describe=describe)[0])[0]
    assert told == {"Code__c": str(value), "LastName": "12", "Account.Ext__c": str(value), "Price__c": str(value)}


def test_doubles_of_a_table_are_told_without_an_exponent(make: Make) -> None:
    """A data frame makes doubles of the phone numbers of a column that lacks one; Arrow would write 4.91701234567e+11."""
    numbers = pa.array([491_701_234_567.0, 1e15, 12_345_678_901.5, None, 1e16])
    table = pa.RecordBatch.from_arrays([numbers, pa.array(list("abcde"))], names=["LastName", "Code__c"])
    wanted = ["491701234567", "1000000000000000", "12345678901.5", None, "1e+16"]
    assert [body["LastName"] for body in bodies(make(table, UPSERT)[0]).values()] == wanted
    by_bulk = cells(make(table, by(UPSERT, api=Api.BULK))[0])
    assert [row["LastName"] for row in by_bulk.values()] == ["#N/A" if one is None else one for one in wanted]


@settings(max_examples=examples(100), deadline=None)
@given(
    values=st.one_of(
        st.lists(st.floats(), min_size=1, max_size=4),
        st.lists(
            st.one_of(
                st.integers(-(10**16), 10**16).map(float),
                st.builds(lambda digits, power: float(f"{digits}e{power}"), st.integers(-(10**5), 10**5), st.integers(-12, 24)),
            ),
            min_size=1,
            max_size=4,
        ),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
        st.lists(st.decimals(-(10**20), 10**20, allow_nan=False, places=9), min_size=1, max_size=4),
        st.lists(st.sampled_from([Decimal("1E+3"), Decimal("-0.00"), Decimal("1E-7"), Decimal("7.50")]), min_size=1, max_size=1),
        st.lists(st.booleans(), min_size=1, max_size=4),
        st.lists(st.dates(), min_size=1, max_size=4),
    ),
    api=st.sampled_from([Api.COLLECTIONS, Api.BULK]),
)
def test_a_value_in_a_field_of_text_is_one_text_as_a_column_and_row_by_row(values: list[Any], api: Api) -> None:
    """Also as the key and as that of a lookup, for else the same row makes another record; a refused one is refused by both."""
    column = pa.array(values)
    table = pa.RecordBatch.from_arrays([column] * 3, names=["Code__c", "LastName", "Account.Ext__c"])
    rows = [dict.fromkeys(table.schema.names, value) for value in values]
    read = bodies if api is Api.COLLECTIONS else cells
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, given in (("columns", table), ("rows", rows)):
            made, refused = prepared(given, by(UPSERT, api=api), Path(folder, name), describe=_keyed())
            found.append((read(made), [(one.row, one.code) for one in refused], list(made.folded())))
    assert found[0] == found[1]
    assert len(found[0][0]) + len(found[0][1]) + len(found[0][2]) == len(values)
    assert all(isinstance(told, (str, dict)) for body in found[0][0].values() for told in body.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (-0.0, "-0"),
        (491_701_234_567.0, "491701234567"),
        (9_999_999_999_999_998.0, "9999999999999998"),
        (1e16, "1e+16"),
        (-1.5e300, "-1.5e+300"),
        (0.000001, "0.000001"),
        (-0.000012, "-0.000012"),
        (1e-7, "1e-7"),
        (2.5e-9, "2.5e-9"),
        (5e-324, "5e-324"),
    ],
)
def test_the_text_of_a_double_stays_what_it_is(make: Make, value: float, text: str) -> None:
    """It is the key of records that are there; as a column, row by row, and among values of other types."""
    for rows in (pa.RecordBatch.from_pylist([{"Code__c": value}]), [{"Code__c": value}], [{"Code__c": value}, {"Code__c": "x"}]):
        assert bodies(make(rows, UPSERT, describe=_keyed())[0])[0] == {"Code__c": text}
        assert cells(make(rows, by(UPSERT, api=Api.BULK), describe=_keyed())[0])[0] == {"Code__c": text}


@pytest.mark.parametrize("arrow", [False, True])
@pytest.mark.parametrize(
    ("nulls", "clears", "expected"),
    [
        (Nulls.CLEAR, None, {"A": None, "B": None, "C": "-", "D": "x"}),
        (Nulls.KEEP, None, {"C": "-", "D": "x"}),
        (Nulls.KEEP, "-", {"C": None, "D": "x"}),
        (Nulls.CLEAR, "-", {"A": None, "B": None, "C": None, "D": "x"}),
        (Nulls.KEEP, "", {"B": None, "C": "-", "D": "x"}),
    ],
)
def test_empty_values_mean_what_the_order_says(
    make: Make, nulls: Nulls, clears: str | None, expected: Row, *, arrow: bool
) -> None:
    """Null and the empty text clear or leave the field, a text may be the order to clear - in dicts, in Arrow, on both paths."""
    rows: Any = [{"A": None, "B": "", "C": "-", "D": "x"}]
    given = pa.RecordBatch.from_pylist(rows) if arrow else rows
    assert bodies(make(given, by(INSERT, nulls=nulls, clears=clears))[0]) == {0: expected}
    assert cells(make(given, by(INSERT, nulls=nulls, clears=clears, api=Api.BULK))[0]) == {0: as_cells(expected)}


def test_a_cleared_key_is_missing(make: Make) -> None:
    """The text that clears a field leaves nothing to find the record by."""
    assert [one.code for one in make([{"Code__c": "#N/A"}], by(UPSERT, clears="#N/A"))[1]] == ["MISSING_KEY"]


@pytest.mark.parametrize("arrow", [False, True])
def test_what_one_column_sets_no_other_clears(make: Make, *, arrow: bool) -> None:
    """A lookup has several columns in a table of owners of several kinds, and all but one are null; all null clears."""
    rows: Any = [
        {"LastName": "a", "User:Owner.Username": "u", "Group:Owner.Name": None, "AccountId": None, "Account.Ext__c": "e"},
        {"LastName": "b", "User:Owner.Username": None, "Group:Owner.Name": None, "AccountId": "i", "Account.Ext__c": None},
    ]
    made, refused = make(pa.RecordBatch.from_pylist(rows) if arrow else rows, by(INSERT, stop_on_error=True))
    assert not refused
    assert bodies(made) == {
        0: {"LastName": "a", "Owner": {"attributes": {"type": "User"}, "Username": "u"}, "Account": {"Ext__c": "e"}},
        1: {"LastName": "b", "Owner": None, "AccountId": "i"},
    }


@pytest.mark.parametrize("arrow", [False, True])
def test_a_sheet_has_one_column_for_a_field(make: Make, *, arrow: bool) -> None:
    """Rows that set it by the id and rows that do by a key travel apart, for Bulk fails a job whose header has both."""
    rows: Any = [
        {"LastName": "a", "AccountId": "i", "Account.Ext__c": None},
        {"LastName": "b", "AccountId": None, "Account.Ext__c": "e"},
        {"LastName": "c", "AccountId": None, "Account.Ext__c": "f"},
        {"LastName": "d", "AccountId": None, "Account.Ext__c": None},
    ]
    given = pa.RecordBatch.from_pylist(rows) if arrow else rows
    made, refused = make(given, by(INSERT, api=Api.BULK, nulls=Nulls.KEEP))
    assert not refused
    assert bodies(made) == {0: {"LastName": "a", "AccountId": "i"}}
    told = [{"LastName": "b", "Account.Ext__c": "e"}, {"LastName": "c", "Account.Ext__c": "f"}, {"LastName": "d"}]
    assert cells(made) == dict(enumerate(told, start=1))
    assert any("here not by AccountId" in reason for reason in made.plan.reasons)


def test_lookups_by_a_key_travel_in_both_ways(make: Make) -> None:
    """A dict in a field's place and a name with a dot are the same."""
    rows = [{"LastName": "a", "Owner": {"attributes": {"type": "User"}, "Username": "u"}}, {"User:Owner.Username": "v"}]
    assert bodies(make(rows, INSERT)[0]) == {
        0: {"LastName": "a", "Owner": {"attributes": {"type": "User"}, "Username": "u"}},
        1: {"Owner": {"attributes": {"type": "User"}, "Username": "v"}},
    }
    assert cells(make(rows, by(INSERT, api=Api.BULK))[0])[1] == {"User:Owner.Username": "v"}


def test_a_struct_is_a_lookup_or_refused_as_a_whole(make: Make) -> None:
    """Its parts would be columns that the object does not have, for which Salesforce fails a whole job."""
    parents = pa.array([{"Username": "u"}, None])
    made, _ = make(pa.RecordBatch.from_pydict({"LastName": ["a", "b"], "Owner": parents}), by(INSERT, nulls=Nulls.KEEP))
    assert bodies(made) == {0: {"LastName": "a", "Owner": {"Username": "u"}}, 1: {"LastName": "b"}}
    table = pa.RecordBatch.from_pydict({"LastName": parents})
    with pytest.raises(FixConfig, match=r"column LastName is a struct<.*LastName is no lookup"):
        make(table, INSERT)
    assert make(table, INSERT, describe={})[1] == [], "nothing is known of the object"
    assert bodies(make(pa.RecordBatch.from_pydict({"Id": [ID, ID], "LastName": parents}), DELETE)[0]) == {1: ID}


@pytest.mark.parametrize("attributes", [{"type": "Contact", "url": "/x"}, "{}"])
def test_the_attributes_of_a_query_are_not_sent_back(make: Make, attributes: object) -> None:
    """In dicts as in tables."""
    rows = [{"attributes": attributes, "LastName": "a"}]
    for told in (rows, pa.RecordBatch.from_pylist(rows)):
        assert bodies(make(told, INSERT)[0]) == {0: {"LastName": "a"}}


# ---- how rows travel


def people(count: int, **more: object) -> list[dict[str, Any]]:
    return [{"Code__c": f"k{number}", "LastName": f"n{number}", **more} for number in range(count)]


@pytest.mark.parametrize(
    ("order", "count", "api"),
    [
        (UPSERT, 2_000, Api.COLLECTIONS),
        (UPSERT, 2_001, Api.BULK),
        (by(UPSERT, stop_on_error=True), 2_001, Api.COLLECTIONS),
        (by(UPSERT, api=Api.COLLECTIONS), 2_001, Api.COLLECTIONS),
        (by(UPSERT, api=Api.BULK), 1, Api.BULK),
        (UPSERT, 0, Api.COLLECTIONS),
    ],
    ids=str,
)
def test_few_rows_go_by_collections_and_many_by_bulk(make: Make, order: WriteOrder, count: int, api: Api) -> None:
    """The order may say otherwise; the reasons are sentences, and chunks and calls are counted."""
    made, _ = make(people(count), order)
    assert (made.plan.api, made.plan.rows) == (api, count)
    assert {chunk.api for chunk in made.chunks} <= {api}
    assert made.plan.chunks == len(made.chunks) == (-(-count // 200) if api is Api.COLLECTIONS else 1)
    assert made.plan.calls == (len(made.chunks) if api is Api.COLLECTIONS else 6)
    assert all((reason[0].isupper() or reason[0].isdigit()) and reason.endswith(".") for reason in made.plan.reasons)


def test_rows_are_counted_after_folding(make: Make) -> None:
    """5,000 rows of 10 records are 10 rows."""
    made, _ = make([{"Code__c": str(number % 10), "LastName": str(number)} for number in range(5_000)], UPSERT)
    assert (made.plan.api, made.plan.rows, made.plan.folded) == (Api.COLLECTIONS, 10, 4_990)
    assert "4,990 rows share Code__c" in " ".join(made.plan.reasons)
    assert [body["LastName"] for body in bodies(made).values()] == [str(number) for number in range(4_990, 5_000)]


def test_rows_that_no_sheet_holds_go_by_collections(make: Make) -> None:
    """Beside the jobs, before them, and the plan says how many."""
    rows = people(10)
    rows[3]["LastName"], rows[5]["LastName"], rows[7]["LastName"] = CLEARED, b"\x01\x02", "x" * (CELL_CHARS + 1)
    made, refused = make(rows, by(UPSERT, api=Api.BULK))
    assert not refused
    assert [(chunk.id, chunk.api, chunk.rows) for chunk in made.chunks] == [
        ("c00001", Api.COLLECTIONS, 3),
        ("b00001", Api.BULK, 7),
    ]
    assert {number: body["LastName"] for number, body in bodies(made).items()} == {
        3: CLEARED,
        5: "AQI=",
        7: "x" * (CELL_CHARS + 1),
    }
    assert list(cells(made)) == [0, 1, 2, 4, 6, 8, 9]
    assert any(reason.startswith("3 rows go by collections") for reason in made.plan.reasons)
    assert made.plan.rows == 10
    assert made.plan.calls == 1 + 6


def test_chunks_are_cut_at_their_limits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls by the batch size, at most 200, and by their bytes; sheets by bytes and rows. Ids are as wide as all need."""
    assert [chunk.rows for chunk in make(people(450), INSERT)[0].chunks] == [200, 200, 50]
    assert [chunk.rows for chunk in make(people(450), by(INSERT, batch_size=1_000))[0].chunks] == [200, 200, 50]
    assert [chunk.id for chunk in make(people(7), by(INSERT, batch_size=3))[0].chunks] == ["c00001", "c00002", "c00003"]
    monkeypatch.setattr(planning, "CALL_BYTES", 30)
    assert [chunk.rows for chunk in make(people(10), INSERT)[0].chunks] == [7, 3]
    monkeypatch.setattr(sheets, "MAX_BYTES", 1_000)
    made, _ = make(people(500), by(INSERT, api=Api.BULK))
    assert len(made.chunks) > 5
    assert max(made.sheet(chunk).path.stat().st_size for chunk in made.chunks) <= 1_000
    assert list(cells(made)) == list(range(500))
    monkeypatch.setattr(sheets, "MAX_ROWS", 7)
    assert max(chunk.rows for chunk in make(people(50), by(INSERT, api=Api.BULK))[0].chunks) <= 7
    wide, _ = make([{"LastName": "x"}] * 3, by(INSERT, batch_size=1))
    assert wide.chunks[1:] == [Chunk("c00002", Api.COLLECTIONS, 1), Chunk("c00003", Api.COLLECTIONS, 1)]
    assert wide.chunks[-1] in wide.chunks


def test_the_first_rows_are_told_as_they_will_be_sent(make: Make) -> None:
    """Bodies for collections, cells for Bulk, ids for a delete."""
    rows = [{"LastName": "a", "Age__c": 1, "X__c": None, "Account": {"Ext__c": "p"}}, *people(5)]
    first = make(rows, INSERT, describe={})[0].first()
    assert first[0] == {"LastName": "a", "Age__c": 1, "X__c": None, "Account": {"Ext__c": "p"}}
    assert len(first) == 3
    by_bulk = make(rows, by(INSERT, api=Api.BULK), describe={})[0].first()[0]
    assert by_bulk == {"LastName": "a", "Age__c": "1", "X__c": CLEARED, "Account.Ext__c": "p"}
    assert make([ID], DELETE)[0].first() == [{"Id": ID}]


def test_a_plan_holds_no_row(make: Make) -> None:
    """It goes to the ledger and to whoever hears events. One that an earlier Halocline wrote, with its first rows, is read."""
    plan = make([{"LastName": "Zebra"}], INSERT)[0].plan
    assert "Zebra" not in json.dumps(plan.to_json())
    assert WritePlan.from_json({**plan.to_json(), "first": [{"LastName": "Zebra"}]}) == plan


def test_a_sheet_in_another_order_is_matched_with_its_rows(make: Make) -> None:
    """The rows of a result file find the row numbers of a sheet that was sorted by parent."""
    rows = [{**row, "AccountId": f"p{number % 3}"} for number, row in enumerate(people(30))]
    made, _ = make(rows, by(UPSERT, api=Api.BULK))
    sheet = made.sheet(made.chunks[0])
    matching = Matching(sheet, "Code__c")
    found = [pair for batch in text_batches(sheet.path, sheet.columns) for pair in _matched(matching, batch)]
    assert len(found) == 30
    assert all(key == f"k{number}" for number, key in found)
    assert sheet.path.read_bytes().startswith(header_line(["Code__c", "LastName", "AccountId"]))


def _matched(matching: Matching, batch: pa.RecordBatch) -> Iterator[tuple[int, str]]:
    return zip(matching.rows(batch).to_pylist(), batch.column("Code__c").to_pylist(), strict=True)


# ---- folding


KEYED = st.lists(
    st.fixed_dictionaries(
        {"Code__c": st.sampled_from(["a", "A", "b", "c", "7", 7])},
        optional={
            "LastName": st.sampled_from(["x", "y", "", None, 3, Decimal("1.50")]),
            "Rev__c": st.sampled_from([1, 2.5, None, "1", True]),
            "AccountId": st.sampled_from(["p", None]),
            "Account.Ext__c": st.sampled_from(["q", "r"]),
        },
    ),
    max_size=30,
)


@settings(max_examples=examples(150), deadline=None)
@given(
    rows=KEYED,
    collide=st.booleans(),
    caseless=st.booleans(),
    api=st.sampled_from([Api.COLLECTIONS, Api.BULK]),
    nulls=st.sampled_from(list(Nulls)),
)
def test_folding_is_applying_the_rows_one_after_the_other(
    rows: list[Row], collide: bool, caseless: bool, api: Api, nulls: Nulls
) -> None:
    """The last row of a key says what all said, later ones winning - also when all keys have one hash, and over many frames."""
    one_hash = mock.patch.object(staging, "hashed", lambda keys: array("q", [1] * len(keys)))
    with (
        tempfile.TemporaryDirectory() as folder,
        small(),
        one_hash if collide else mock.patch.object(frames, "FRAME_BYTES", 1 << 24),
    ):
        order, describe = by(UPSERT, api=api, nulls=nulls), _keyed(unique=caseless, caseSensitive=False)
        made, refused = prepared(rows, order, Path(folder, "run"), size=4, describe=describe)
        apart = bodies(made)  # all, or those of rows that no sheet can hold
        sent = apart if api is Api.COLLECTIONS else cells(made) | apart
        pairs = list(made.folded())
        some = list(made.folded([n for n in sent if n % 2]))
    assert not refused
    applied, last, travels = _applied(rows, nulls, caseless=caseless)
    assert sorted(sent) == sorted(last.values())
    for key, number in last.items():
        if number in apart:
            assert _lower(sent[number]) == _lower(_json(applied[key], describe))
        else:
            said = _said(applied[key], describe)
            assert _lower(sent[number]).keys() == said.keys()
            assert all(means(text, said[name]) for name, text in _lower(sent[number]).items())
    assert sorted(pairs) == travels
    assert some == [pair for n in sent if n % 2 for pair in travels if pair[1] == n]
    assert made.plan.folded == len(travels)
    assert len({*sent, *(row for row, _ in pairs)}) == len(sent) + len(pairs) == len(rows)


def _keyed(**told: object) -> dict[str, Any]:
    """The describe with the key as an external id of which this is told."""
    key = {"name": "Code__c", "type": "string", "relationshipName": None, "externalId": True, **told}
    return {"fields": [*DESCRIBE["fields"], key]}


def _applied(
    rows: Sequence[Row], nulls: Nulls, *, caseless: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, int], list[tuple[int, int]]]:
    """The model: what each record was told in the end, by its key; its last row; which row travels in which."""
    told, last = dict[str, dict[str, Any]](), dict[str, int]()
    same = [{"AccountId", "Account.Ext__c"}]
    keys = [str(row["Code__c"]).lower() if caseless else str(row["Code__c"]) for row in rows]
    for number, (key, row) in enumerate(zip(keys, rows, strict=True)):
        record = told.setdefault(key, {})
        said = {name: value for name, value in _settled(row).items() if nulls is Nulls.CLEAR or value not in (None, "")}
        for names in same:
            if names & said.keys():
                for name in names - said.keys():
                    record.pop(name, None)
        record |= said
        last[key] = number
    into = ((number, last[key]) for number, key in enumerate(keys))
    return told, last, sorted(pair for pair in into if pair[0] != pair[1])


def _lower(row: Row) -> dict[str, Any]:
    return {name.lower(): value for name, value in row.items()}


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize(
    ("told", "folded"),
    [
        ({"unique": True, "caseSensitive": False}, [(0, 2)]),
        ({"unique": True, "caseSensitive": False, "type": "email"}, [(0, 2)]),
        ({"unique": True, "caseSensitive": True}, []),
        ({"unique": False, "caseSensitive": False}, []),
        ({}, []),
    ],
)
def test_keys_that_differ_by_case_are_one_where_salesforce_says_so(
    make: Make, told: Row, folded: list[tuple[int, int]], columns: bool
) -> None:
    """Where the external id is unique and not case-sensitive; else each finds a record of its own. Only A to Z have no case."""
    keys = ["ab", "b", "AB", "\u00e9", "\u00c9"]
    rows = [{"Code__c": key, "LastName": str(number)} for number, key in enumerate(keys)]
    made, _ = make(pa.RecordBatch.from_pylist(rows) if columns else rows, UPSERT, describe=_keyed(**told))
    assert list(made.folded()) == folded
    assert bodies(made) == {number: row for number, row in enumerate(rows) if number not in dict(folded)}


def test_ids_of_15_and_18_characters_are_the_same(make: Make) -> None:
    """An insert folds nothing; ids that differ in case are two records."""
    rows = [{"Id": ID, "A": 1}, {"Id": f"{ID}AAA", "B": 2}, {"Id": "00300000000000A", "A": 3}, {"Id": "00300000000000a", "A": 4}]
    made, _ = make(rows, UPDATE)
    assert bodies(made) == {1: {"Id": f"{ID}AAA", "A": 1, "B": 2}, 2: rows[2], 3: rows[3]}
    assert list(made.folded()) == [(0, 1)]
    deleted, _ = make([ID, f"{ID}AAA"], DELETE)
    assert bodies(deleted) == {1: f"{ID}AAA"}
    assert len(bodies(make([{"LastName": "same"}] * 3, INSERT)[0])) == 3


def test_folding_holds_when_stopping_at_errors(make: Make) -> None:
    """The rows that are left keep the order of the source."""
    rows = [{"Code__c": key, "AccountId": parent} for key, parent in zip("abcab", "ppqrq", strict=True)]
    made, _ = make(rows, by(UPSERT, stop_on_error=True))
    assert list(bodies(made)) == [2, 3, 4]
    assert made.plan.sorted_by is None


# ---- sorting


@settings(max_examples=examples(80), deadline=None)
@given(
    parents=st.lists(st.one_of(st.none(), st.sampled_from("pqrst")), min_size=1, max_size=40),
    keys=st.integers(1, 40),
    api=st.sampled_from([Api.COLLECTIONS, Api.BULK]),
)
def test_the_rows_of_a_parent_stand_together(parents: list[str | None], keys: int, api: Api) -> None:
    """Stable inside a parent, whatever folds, over many frames and buckets."""
    rows = [{"Code__c": str(number % keys), "AccountId": parent} for number, parent in enumerate(parents)]
    with tempfile.TemporaryDirectory() as folder, small():
        made, _ = prepared(rows, by(UPSERT, api=api), Path(folder, "run"), size=7)
        order = numbers(made)
    assert made.plan.sorted_by == "AccountId"
    runs: list[list[int]] = []
    for number in order:
        if runs and rows[runs[-1][-1]]["AccountId"] == rows[number]["AccountId"]:
            runs[-1].append(number)
        else:
            runs.append([number])
    assert len(runs) == len({rows[number]["AccountId"] for number in order})
    assert all(run == sorted(run) for run in runs)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["OwnerId", "AccountId"], "AccountId"),
        (["accountid", "Boss__c"], "Boss__c"),
        (["AccountId", "Boss__r.Code__c"], "Boss__r.Code__c"),
        (["Account:Account.Ext__c"], "Account:Account.Ext__c"),
        (["OwnerId", "User:Owner.Username", "LastName"], None),
    ],
    ids=str,
)
def test_the_column_to_sort_by(make: Make, names: list[str], chosen: str | None) -> None:
    """Master-detail before other references, a lookup by a key as good as an id; owners and the like never."""
    made, _ = make([dict.fromkeys(names[:1], "x") | dict.fromkeys(names[1:2], "y")], INSERT)
    assert made.plan.sorted_by == chosen
    assert any(("sorted by" in reason) is (chosen is not None) for reason in made.plan.reasons[1:])


def test_nothing_is_sorted_where_no_parent_is_told(make: Make) -> None:
    """An update without a parent's column, a delete, an order that stops at errors: the source's order, and the plan says why."""
    updated, _ = make([{"Id": ID, "LastName": "x"}], UPDATE)
    deleted, _ = make([ID], DELETE)
    stopped, _ = make([{"AccountId": "q"}, {"AccountId": "p"}, {"AccountId": "q"}], by(INSERT, stop_on_error=True))
    unknown, _ = make([{"AccountId": "q"}], INSERT, describe={})
    assert {made.plan.sorted_by for made in (updated, deleted, stopped, unknown)} == {None}
    assert numbers(stopped) == [0, 1, 2]
    assert len({made.plan.reasons[-1] for made in (updated, deleted, stopped, unknown)}) == 4


# ---- what is durable


READ = """
import json, sys
from pathlib import Path
from halocline.connectors.salesforce.writing.cargo import Prepared
made = Prepared.open(Path(sys.argv[1]))
chunks = [[c.id, c.rows, made.bodies(c) if c.id[0] == "c" else made.sheet(c).path.read_text()] for c in made.chunks]
print(json.dumps([chunks, list(made.folded()), made.plan.to_json(), made.order.to_json()]))
"""


def numbers_in(made: Prepared, chunk: Chunk) -> list[int]:
    """The numbers that a chunk's rows are sent with."""
    if chunk.api is Api.BULK:
        return [int(number) for number in made.sheet(chunk).row_numbers().to_pylist()]
    return [number for number, _ in made.bodies(chunk)]


def test_another_process_finds_the_same(make: Make, tmp_path: Path) -> None:
    """Chunks, bodies, sheets, folds, plan and order."""
    rows = [{"Code__c": str(n % 400), "LastName": CLEARED if n % 50 == 0 else "x", "AccountId": str(n % 7)} for n in range(500)]
    made, _ = make(rows, by(UPSERT, api=Api.BULK))
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path / "run0")], capture_output=True, text=True, check=True)
    chunks = [[c.id, c.rows, made.bodies(c) if c.api is Api.COLLECTIONS else made.sheet(c).path.read_text()] for c in made.chunks]
    assert [made.numbers(c).to_pylist() for c in made.chunks] == [numbers_in(made, c) for c in made.chunks]
    here = [chunks, list(made.folded()), made.plan.to_json(), made.order.to_json()]
    assert json.loads(done.stdout) == json.loads(json.dumps(here))
    assert {chunk.api for chunk in made.chunks} == {Api.COLLECTIONS, Api.BULK}


def test_a_plan_is_there_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever write of planning fails, the folder has no plan, and the rows can be staged there again."""
    rows = [{"Code__c": str(number % 7), "LastName": CLEARED if number % 5 == 0 else "x"} for number in range(50)]
    real, points = frames.to_disk, 0
    for point in range(100):
        left = iter(range(point))

        def dying(path: Path, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            real(path)

        for module in (frames, planning, answers):
            monkeypatch.setattr(module, "to_disk", dying)
        load = Staging(by(UPSERT, api=Api.BULK), tmp_path, describe={})
        load.stage(RowBatch(range(50), rows))
        try:
            made = load.finish()
        except StorageFailed:
            points += 1
            if Prepared.open(tmp_path) is not None:
                break  # the last one makes durable that the whole plan is there
        else:
            pytest.fail(f"planning ended well at {made.plan}")
    assert points > 4
    found = Prepared.open(tmp_path)
    assert found is not None
    assert sorted(numbers(found)) == list(range(43, 50))
    with pytest.raises(StorageFailed, match="a plan already"):
        Staging(UPSERT, tmp_path, describe={})


def test_rows_that_are_gone_are_told(make: Make, tmp_path: Path) -> None:
    """A plan whose rows were cut off or deleted behind our back is no plan."""
    made, _ = make(people(10), by(UPSERT, api=Api.BULK))
    sheet, folder = made.sheet(made.chunks[0]).path, tmp_path / "run0"
    sheet.write_bytes(sheet.read_bytes()[:-1])
    with pytest.raises(StorageFailed, match="bytes"):
        made.sheet(made.chunks[0])
    (folder / "bulk.arrow").unlink()
    with pytest.raises(StorageFailed, match="it is gone"):
        Prepared.open(folder)
    assert Prepared.open(tmp_path / "elsewhere") is None


def test_no_scratch_file_stays(make: Make, tmp_path: Path) -> None:
    """What sorting and folding needed is gone; what is left is what the plan speaks of."""
    with small():
        make([{"Code__c": str(n % 30), "AccountId": str(n % 4)} for n in range(60)], by(UPSERT, api=Api.BULK))
    left = {path.name for path in (tmp_path / "run0").iterdir()}
    assert left == {"plan.json", "folded.bin", "bulk.arrow", "collections.arrow", "sheet-00001.csv"}


def test_the_digest_tells_inputs_apart_and_nothing_else(make: Make) -> None:
    """The same rows have the same digest however they come; a value, a null, a number or an order that differs shows."""
    rows = [{"Code__c": f"k{n}", "LastName": None if n % 3 else "x", **({"Late__c": "1"} if n > 20 else {})} for n in range(40)]
    same = {make(rows, INSERT, size=size)[0].plan.digest for size in (1, 7, 40)}
    with small():
        same.add(make([dict(reversed(row.items())) for row in rows], INSERT, size=7)[0].plan.digest)
    assert len(same) == 1
    columns = {"Code__c": [row["Code__c"] for row in rows], "LastName": [row["LastName"] for row in rows]}
    plain = [{name: row[name] for name in columns} for row in rows]
    assert make(plain, INSERT)[0].plan.digest == make(pa.RecordBatch.from_pydict(columns), INSERT)[0].plan.digest
    others = [rows[1:], rows[::-1], [{**rows[0], "LastName": None}, *rows[1:]], [{**rows[0], "Late__c": "1"}, *rows[1:]], plain]
    assert len(same | {make(other, INSERT)[0].plan.digest for other in others}) == 6


# ---- once more


@settings(max_examples=examples(60), deadline=None)
@given(rows=KEYED, pick=st.sets(st.integers(0, 29)), api=st.sampled_from([Api.COLLECTIONS, Api.BULK]))
def test_prepared_rows_can_be_staged_again(rows: list[Row], pick: set[int], api: Api) -> None:
    """They keep their numbers and mean what they meant, on either path; a row that travelled in another travels in it again."""
    wanted = sorted(number for number in pick if number < len(rows))
    with tempfile.TemporaryDirectory() as folder, small():
        made, _ = prepared(rows, by(UPSERT, api=api), Path(folder, "run"), size=4)
        load = Staging(by(UPSERT, api=Api.COLLECTIONS, nulls=Nulls.KEEP, clears="x"), Path(folder, "again"), describe=DESCRIBE)
        given = list(made.rows(wanted))
        refused = [told for batch in given for told in load.stage(batch)]
        again = load.finish()
        whole, _ = prepared(rows, by(UPSERT, api=Api.COLLECTIONS), Path(folder, "whole"), size=4)
        sent, travels = bodies(whole), dict(whole.folded())
        carriers = {number: travels.get(number, number) for number in wanted}
        assert [number for batch in given for number in batch.numbers] == wanted
        assert not refused
        as_json = partial(json.dumps, sort_keys=True)  # the order of a body's names says nothing
        assert sorted(map(as_json, bodies(again).values())) == sorted(as_json(sent[n]) for n in set(carriers.values()))
        assert sorted([*bodies(again), *(row for row, _ in again.folded())]) == wanted


def test_a_row_that_was_never_staged_cannot_be_staged_again(make: Make) -> None:
    """It is asked for by mistake, and that is told."""
    made, _ = make([{"Code__c": "a"}, {"LastName": "no key"}], UPSERT)
    with pytest.raises(KeyError, match="row 1 was never staged"):
        list(made.rows([0, 1]))
    assert list(made.rows([])) == []
    empty, _ = make([], UPSERT)
    assert (numbers(empty), list(empty.folded()), empty.first()) == ([], [], [])


def test_a_value_that_cannot_be_spelled_is_told_as_everywhere(make: Make) -> None:
    """The sentence is the one that the client's own calls give."""
    value = {"LastName": float("inf")}
    with pytest.raises(CannotSpell) as caught:
        json_record(value)
    assert make([value], INSERT)[1][0].message == f"LastName: {caught.value}"


TYPED = {
    "fields": [
        {"name": "LastName", "type": "string"},
        {"name": "Active__c", "type": "boolean"},
        {"name": "Score__c", "type": "double"},
        {"name": "Born__c", "type": "date"},
        {"name": "Seen__c", "type": "datetime"},
    ]
}


@pytest.mark.parametrize("arrow", [False, True], ids=["dicts", "arrow"])
@pytest.mark.parametrize("api", [Api.COLLECTIONS, Api.BULK])
def test_a_checkbox_is_spelled_alike_on_both_ways(make: Make, api: Api, *, arrow: bool) -> None:
    """What a file says of a checkbox does not depend on how many rows it has: JSON takes no `1`, CSV does."""
    words = ["true", "FALSE", "1", "0", "Yes", "no", " on ", "off", "t", "N", "", None]
    rows: Any = [{"LastName": str(n), "active__c": word} for n, word in enumerate(words)]
    rows = pa.RecordBatch.from_pylist(rows) if arrow else rows
    made, refused = make(rows, by(INSERT, api=api, nulls=Nulls.CLEAR), describe=TYPED)
    sent = bodies(made) if api is Api.COLLECTIONS else cells(made)
    cleared = None if api is Api.COLLECTIONS else CLEARED
    assert refused == []
    assert [sent[n]["active__c"] for n in range(12)] == [*["true", "false"] * 5, cleared, cleared]


CHECKED: list[tuple[str, Any, list[Any]]] = [
    ("numbers", pa.array([1, 0, None]), [1, 0, None]),
    ("floats", pa.array([1.0, 0.0, None]), [1.0, 0.0, None]),
    ("decimals", pa.array([Decimal("1.00"), Decimal("0.00"), None]), [Decimal(1), Decimal("0.0"), None]),
    ("booleans", pa.array([True, False, None]), [True, False, None]),
    ("mixed", None, [1, "no", None]),
    ("texts", None, ["yes", 0, None]),
]


@pytest.mark.parametrize(("column", "values"), [one[1:] for one in CHECKED], ids=[one[0] for one in CHECKED])
@pytest.mark.parametrize("api", [Api.COLLECTIONS, Api.BULK])
def test_a_checkbox_of_numbers_is_spelled_alike_on_both_ways(make: Make, api: Api, column: pa.Array, values: list[Any]) -> None:
    """A query's `1 AS Active__c`, and the 1 of JSON or Python, is what `1` is in a file; also when it is sent again."""
    order = by(INSERT, api=api, nulls=Nulls.CLEAR)
    rows = [{"LastName": str(n), "Active__c": value} for n, value in enumerate(values)]
    some = (
        [rows] if column is None else [rows, pa.RecordBatch.from_pydict({"LastName": pa.array(list("012")), "Active__c": column})]
    )
    wanted = [True, False, None] if api is Api.COLLECTIONS else ["true", "false", CLEARED]
    for source in some:
        made, refused = make(source, order, describe=TYPED)
        (again,) = (batch.rows for batch in made.rows([0, 1, 2]))
        told = [made, make(again, order, describe=TYPED)[0]]
        sent = [bodies(one) if api is Api.COLLECTIONS else cells(one) for one in told]
        assert refused == []
        assert [[one[n]["Active__c"] for n in range(3)] for one in sent] == [wanted, wanted]


def test_a_text_that_no_field_of_its_type_takes_is_not_sent(make: Make) -> None:
    """One such text makes a whole call unreadable; here its row is told, with its field, and no call is spent."""
    wrong = [
        ("Active__c", "maybe", "is neither true nor false"),
        ("Score__c", "1,234.50", "is no number such as"),
        ("Score__c", "12 EUR", "is no number such as"),
        ("Born__c", "31.12.2026", "is no date such as"),
        ("Seen__c", "12/31/2026 10:20", "is no instant such as"),
    ]
    rows = [{"LastName": "x", name: text} for name, text, _ in wrong] + [{"LastName": "good"}]
    made, refused = make(rows, INSERT, describe=TYPED)
    assert [(one.row, one.fate, one.code, one.fields) for one in refused] == [
        (row, Fate.NOT_SENT, "CANNOT_BE_SENT", (name,)) for row, (name, _, _) in enumerate(wrong)
    ]
    assert all(f"{name}: {text!r} {told}" in one.message for one, (name, text, told) in zip(refused, wrong, strict=True))
    assert bodies(made) == {5: {"LastName": "good"}}


WRONG: list[tuple[str, Any, str]] = [
    ("Active__c", 2, "'2' is neither true nor false"),
    ("Active__c", 0.5, "'0.5' is neither true nor false"),
    ("Active__c", b"true", "is neither true nor false"),
    ("Score__c", True, "'true' is no number such as"),
    ("Born__c", 20261231, "'20261231' is no date such as"),
    ("Seen__c", date(2026, 1, 2), "'2026-01-02' is a day and no instant"),
]


@pytest.mark.parametrize("arrow", [False, True], ids=["dicts", "arrow"])
def test_a_value_of_another_type_than_its_field_is_not_sent(make: Make, *, arrow: bool) -> None:
    """A value of Python or Arrow is judged as a text is: JSON refuses the whole call for it. None stays the order to clear."""
    for name, value, told in WRONG:
        rows: Any = [{"LastName": "x", name: value}, {"LastName": "good", name: None}]
        rows = pa.RecordBatch.from_pylist(rows) if arrow else rows
        made, refused = make(rows, by(INSERT, nulls=Nulls.CLEAR), describe=TYPED)
        assert [(one.row, one.fate, one.code, one.fields) for one in refused] == [(0, Fate.NOT_SENT, "CANNOT_BE_SENT", (name,))]
        assert told in refused[0].message
        assert bodies(made) == {1: {"LastName": "good", name: None}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("Score__c", text) for text in ("+1.5e3", ".5", "5.")),
        *(("Born__c", text) for text in ("2026-1-3", "2026-13-45", "2026-12-31T00:00:00Z")),
        *(("Seen__c", text) for text in ("2026-12-31", "2026-12-31 10:20")),
    ],
)
def test_what_salesforce_may_take_is_left_to_it(make: Make, name: str, text: str) -> None:
    """Only what is surely wrong is refused here."""
    made, refused = make([{name: text}], INSERT, describe=TYPED)
    assert (refused, bodies(made)) == ([], {0: {name: text}})


def test_values_that_are_no_texts_stay_as_they_are(make: Make) -> None:
    """A boolean and a number of Python are sent as such, beside texts of other rows too."""
    day, instant = date(2026, 1, 2), datetime(2026, 1, 2, 3, tzinfo=UTC)
    rows = [
        {"Active__c": True, "Score__c": Decimal("1.5"), "Born__c": day},
        {"Active__c": False, "Score__c": 2, "Seen__c": instant},
    ]
    made, refused = make(rows, INSERT, describe=TYPED)
    assert refused == []
    assert bodies(made) == {
        0: {"Active__c": True, "Score__c": 1.5, "Born__c": "2026-01-02"},
        1: {"Active__c": False, "Score__c": 2, "Seen__c": "2026-01-02T03:00:00.000Z"},
    }
