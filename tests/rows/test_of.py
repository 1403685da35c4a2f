"""Laws of lists, iterators and refusals: anything becomes Rows."""

from __future__ import annotations

import gc
import tracemalloc
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rows.reading import all_of

from halocline.errors import FixConfig, NotFound, StorageFailed
from halocline.push.order import Nulls
from halocline.rows.of import rows_of

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False) | st.datetimes() | st.binary()
RECORDS = st.lists(
    st.dictionaries(st.text(max_size=3), VALUES | st.dictionaries(st.text(max_size=2), VALUES, max_size=2), max_size=4)
)


def test_a_list_is_held_and_not_copied(tmp_path: Path) -> None:
    """`batches` and `records` hand out the caller's very dicts; no file is made."""
    given_rows: list[dict[str, object]] = [{"n": number} for number in range(4_500)]
    rows = rows_of(given_rows, folder=tmp_path)
    assert all_of(rows) == given_rows
    assert [len(batch.numbers) for batch in rows.batches()] == [2_000, 2_000, 500]
    assert rows.records([3, 3, 0])[1] is given_rows[3]
    assert next(rows.batches()).rows[7] is given_rows[7]
    assert (rows.name, rows.nulls, rows.clears) == ("rows", Nulls.CLEAR, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", [({"a": 1},), deque([{"a": 1}]), {"x": {"a": 1}}.values(), iter([{"a": 1}])])
def test_any_collection_of_records_is_a_source(source: Any, tmp_path: Path) -> None:
    """Tuples, deques, views and iterators are as good as lists."""
    assert all_of(rows_of(source, folder=tmp_path)) == [{"a": 1}]


@pytest.mark.parametrize("kind", [list, iter])
def test_elements_that_are_no_records_are_handed_out_as_they_are(kind: Any, tmp_path: Path) -> None:
    """Each is refused by itself later; the rows beside it are sent."""
    assert all_of(rows_of(kind([{"a": 1}, "001000000000001", None, 3]), folder=tmp_path)) == [
        {"a": 1},
        "001000000000001",
        None,
        3,
    ]


@pytest.mark.parametrize("source", [[], (), iter([])], ids=["list", "tuple", "iterator"])
def test_nothing_is_no_rows(source: Any, tmp_path: Path) -> None:
    """An empty source has the length 0 and no batches."""
    rows = rows_of(source, folder=tmp_path)
    assert (len(rows), list(rows.batches()), rows.records([])) == (0, [], [])


@given(records=RECORDS)
def test_what_was_drawn_comes_back_equal(records: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every value of every record, missing keys and nulls told apart, types kept."""
    rows = rows_of(iter(records), folder=tmp_path_factory.mktemp("drawn"))
    assert repr(all_of(rows)) == repr(records)


def test_a_generator_may_hand_out_the_same_dict_again_and_again(tmp_path: Path) -> None:
    """Each row is as it was when it came, in nested dicts too."""

    def source() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"inner": {}}
        for number in range(3):
            row["n"] = row["inner"]["n"] = number
            yield row

    assert all_of(rows_of(source(), folder=tmp_path)) == [{"n": n, "inner": {"n": n}} for n in range(3)]


def test_a_row_that_cannot_be_written_aside_is_kept(tmp_path: Path) -> None:
    """A value that cannot be pickled loses neither its row nor the places of the others."""
    odd = {"f": lambda: 1}
    rows = rows_of(iter([{"a": 1}, odd, {"b": 2}]), folder=tmp_path)
    assert all_of(rows) == [{"a": 1}, odd, {"b": 2}]


def test_a_dict_that_is_filled_anew_is_kept_as_it_came(tmp_path: Path) -> None:
    """Also where a value in it cannot be pickled: a generator may hand out the same dict again and again."""
    reused: dict[str, object] = {"how": lambda: None}

    def source() -> Iterator[dict[str, object]]:
        for number in range(3):
            reused["n"] = number
            yield reused

    rows = rows_of(source(), folder=tmp_path)
    assert [row["n"] for row in rows.records(range(3))] == [0, 1, 2]


def test_an_iterator_is_drawn_once_and_closing_deletes_its_file(tmp_path: Path) -> None:
    """Reading again reads the file, which its owner alone may read, and which is gone after `close`."""
    drawn = []

    def source() -> Iterator[dict[str, int]]:
        for number in range(2_500):
            drawn.append(number)
            yield {"n": number}

    rows = rows_of(source(), folder=tmp_path / "new")
    all_of(rows)
    (file,) = (tmp_path / "new").iterdir()
    assert (len(drawn), file.stat().st_mode & 0o777) == (2_500, 0o600)
    rows.close()
    rows.close()
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(StorageFailed):
        rows.records([0])


def test_what_a_generator_raises_comes_through_and_leaves_nothing(tmp_path: Path) -> None:
    """The very error, and no file."""

    def source() -> Iterator[dict[str, int]]:
        yield {"n": 1}
        raise OSError("mine")

    with pytest.raises(OSError, match=r"^mine$"):
        rows_of(source(), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_drawing_keeps_memory_flat(tmp_path: Path) -> None:
    """What is kept of a row is its place in the file: 8 bytes. Reading holds one batch."""
    source = ({"Ext__c": f"K{number}", "Amount": number} for number in range(20_000))
    gc.collect()
    tracemalloc.start()
    try:
        rows = rows_of(source, folder=tmp_path)
        drawing = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        count = sum(len(batch.numbers) for batch in rows.batches())
        reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert max(drawing, reading) < 3_000_000
    assert rows.records([19_999]) == [{"Ext__c": "K19999", "Amount": 19_999}]
    rows.close()


@pytest.mark.parametrize("source", [iter([{"a": Decimal(1)}]), [{"a": Decimal(1)}]], ids=["iterator", "list"])
def test_a_number_that_there_is_not_is_an_index_error(source: Any, tmp_path: Path) -> None:
    """No other row is answered in its place."""
    with pytest.raises(IndexError):
        rows_of(source, folder=tmp_path).records([1])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (None, "None holds no records"),
        ({"Name": "x"}, "a single record was passed"),
        (b"Name\nx\n", "a value of the type bytes holds no records"),
        (3, "a value of the type int holds no records"),
        ("", "a text was passed"),
        ("Name\nx\n", "a text was passed"),
        ("x" * 5_000, "a text was passed"),
        ("SELECT 1", r"For SQL pass Query\(connection, sql\)"),
        ("SELECT\n 1", r"name that with --from.* For SQL pass Query\(connection, sql\)"),
        ("\n  with a as (SELECT 1) FROM a", "name that with --from"),
        ("(select 1)", "name that with --from"),
        (f"SELECT {'x, ' * 2_000} y FROM t", "name that with --from"),
        ("SELECT * FROM t.csv", "name that with --from"),
        (f"{'x' * 5_000}.csv", "a text was passed"),
    ],
)
def test_what_is_no_rows_is_refused_with_what_to_pass(source: Any, told: str, tmp_path: Path) -> None:
    """The error says what came, and to pass a list of records; it repeats no text, which may hold a secret."""
    with pytest.raises(FixConfig, match=told) as caught:
        rows_of(source, folder=tmp_path)
    assert not isinstance(caught.value, NotFound)
    assert "Pass a list of records" in caught.value.hint


def test_a_path_without_its_ending_is_answered_with_the_file_that_is_there(tmp_path: Path) -> None:
    """What was typed is not repeated, which may hold a secret; a file whose name begins like a query is a file."""
    for name in ("accounts.csv", "select me.csv"):
        (tmp_path / name).write_text("Name\nx\n", encoding="utf-8")
    with pytest.raises(FixConfig, match=r"Did you mean accounts\.csv\?"):
        rows_of(str(tmp_path / "accounts"), folder=tmp_path)
    assert all_of(rows_of(str(tmp_path / "select me.csv"), folder=tmp_path)) == [{"Name": "x"}]


def test_a_name_that_is_given_is_kept(tmp_path: Path) -> None:
    """Rows are called what the caller calls them."""
    assert rows_of([{"a": 1}], folder=tmp_path, name="customers").name == "customers"
