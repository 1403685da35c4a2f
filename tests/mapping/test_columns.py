"""Arrow batches by a FieldMapper: the rows are those of `each`, or it says that only `each` can do it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from halocline import ConditionalFieldMapper, FieldMapper, FixConfig
from halocline.errors import NotSupported
from halocline.mapping import UNTOUCHED

NAMES = st.sampled_from(["a", "b", "a.b", "s", "c"])
SOURCES = st.sampled_from(["a", "b", "a.b", "s", "s.a", "s.b", "s.t.a", "a.b.a", "c", "zz"])
SCALARS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.sampled_from(["", "x", "#N/A", " ", "å"]),
    pa.large_string(): st.sampled_from(["", "y"]),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["", "z"]),
    pa.int64(): st.integers(-3, 3),
    pa.float64(): st.sampled_from([0.0, 1.5, -2.0]),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.date32(): st.dates(),
}
DEFAULTS = st.sampled_from(["", "x", "n/a", 0, 1, 1.5, True, None])


@st.composite
def columns(draw: st.DrawFn, depth: int = 2) -> pa.DataType:
    """A column's type: a scalar, or a struct of some."""
    if depth and draw(st.booleans()):
        fields = draw(st.dictionaries(st.sampled_from(["a", "b", "t"]), columns(depth - 1), max_size=2))
        return pa.struct(list(fields.items()))
    return draw(st.sampled_from(list(SCALARS)))


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(kind):
        fields = {kind.field(at).name: values(kind.field(at).type) for at in range(kind.num_fields)}
        return st.one_of(st.none(), st.fixed_dictionaries(fields))
    return st.one_of(st.none(), SCALARS[kind])


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    """A batch of a few rows, cut out of a longer one so that offsets are not zero."""
    kinds = draw(st.dictionaries(NAMES, columns(), min_size=1, max_size=4))
    rows = draw(st.integers(1, 6))
    arrays = [pa.array(draw(st.lists(values(kind), min_size=rows, max_size=rows)), kind) for kind in kinds.values()]
    start = draw(st.integers(0, rows))
    return pa.RecordBatch.from_arrays(arrays, names=list(kinds)).slice(start)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, object]:
    sources = draw(st.lists(SOURCES, unique=True, min_size=1, max_size=4))
    forms = [f"T{at}" if draw(st.booleans()) else (f"L{at}.K__c", None, draw(DEFAULTS)) for at in range(len(sources))]
    return dict(zip(sources, forms, strict=True))


@given(batches(), mappings())
def test_columns_are_the_rows(batch: pa.RecordBatch, mapping: dict[str, object]) -> None:
    """Names, order and values, null and missing included, equal those of the row path; else columns were refused."""
    mapper = FieldMapper(mapping)
    try:
        told = mapper.columns(batch)
    except NotSupported:
        return
    rows = list(mapper.each(batch.to_pylist()))
    assert told.num_rows == batch.num_rows
    assert repr(told.to_pylist()) == repr(rows)  # so that True is not 1, and the fields are in the same order


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1))
def test_common_batches_are_not_refused(texts: list[str | None]) -> None:
    """Renames, lookups and text defaults for text columns are always done by columns."""
    batch = pa.RecordBatch.from_pydict({"a": texts, "b": list(range(len(texts)))})
    mapper = FieldMapper({"a": ["Name", ("Account.Ext__c", None, "none")], "b": "Number__c", "zz": ("Status", None, "New")})
    assume(mapper.vectorised)
    assert mapper.columns(batch).to_pylist() == list(mapper.each(batch.to_pylist()))


def test_columns_keep_their_types_and_are_not_copied() -> None:
    """A rename costs nothing."""
    batch = pa.RecordBatch.from_pydict({"a": pa.array([1, None], pa.int16()), "b": ["x", "y"]})
    told = FieldMapper({"a": "A"}).columns(batch)
    assert told.schema == pa.schema([("A", pa.int16())])
    assert told.column(0).buffers()[1].address == batch.column(0).buffers()[1].address


def test_a_missing_column_is_untouched_and_a_null_stays_null() -> None:
    """The two are not the same in Arrow either."""
    told = FieldMapper({"a": "A", "b": "B"}).columns(pa.RecordBatch.from_pydict({"a": ["x", None]}))
    assert told.to_pylist() == [{"A": "x"}, {"A": None}]


def test_a_struct_that_is_null_has_null_below_it() -> None:
    """Whatever lies in the memory of its children."""
    struct = pa.StructArray.from_arrays([pa.array(["x", "y"])], ["c"], mask=pa.array([False, True]))
    batch = pa.RecordBatch.from_arrays([struct], names=["s"])
    assert FieldMapper({"s.c": "C"}).columns(batch).to_pylist() == [{"C": "x"}, {"C": None}]


@pytest.mark.parametrize(
    ("mapper", "message"),
    [
        (FieldMapper({"a": ("A", str)}), "a Python function"),
        (FieldMapper({"a": ("A", "strip")}), "a Python function"),
        (ConditionalFieldMapper({"a": "A"}, {"B": len}), "a Python function"),
        (FieldMapper({"a": ("A", None, "n/a")}), "'n/a' of A"),
        (FieldMapper({"a": ("A", None, True)}), "True of A"),
        (FieldMapper({"a": ("A", None, object())}), "of A"),
        (FieldMapper({"a": ("A", None, UNTOUCHED)}), "of A"),
        (FieldMapper({"zz": ("A", None, UNTOUCHED)}), "of A"),
        (FieldMapper({"zz": "A"}), r"none of the mapped sources is a column of the batch \(a, s\)"),
        (FieldMapper({"s.zz": "A"}), "null below the rows that are null"),
        (FieldMapper({"a.zz": "A"}), "null below the rows that are null"),
    ],
)
def test_what_only_rows_can_do_is_said(mapper: FieldMapper, message: str) -> None:
    """Never a result that differs from the rows', nor one without rows."""
    batch = pa.RecordBatch.from_pylist([{"a": 1, "s": {"c": 1}}, {"a": None, "s": None}])
    with pytest.raises(NotSupported, match=message) as caught:
        mapper.columns(batch)
    assert caught.value.ability == "columns"


def test_a_mapper_says_whether_it_works_on_columns() -> None:
    """So that a caller can choose before it reads."""
    assert FieldMapper({"a": ("A", None, 1)}).vectorised
    assert not FieldMapper({"a": ("A", int)}).vectorised
    assert not ConditionalFieldMapper({"a": "A"}, {"B": len}).vectorised
    assert ConditionalFieldMapper({"a": "A"}).vectorised


def test_two_columns_of_one_name_are_refused() -> None:
    """One of them would be lost in silence."""
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(FixConfig, match="several columns named 'a'"):
        FieldMapper({"a": "A"}).columns(batch)
