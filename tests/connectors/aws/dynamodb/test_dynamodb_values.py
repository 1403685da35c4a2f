"""Laws of decoding: every value is what boto3 makes of it, in Python, in JSON and in Arrow, and nothing is lost on the way."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.aws.dynamodb.pages import judged, page
from tests.examples import examples

from halocline.connectors.aws.dynamodb import layout
from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.reader import Reader
from halocline.connectors.aws.dynamodb.shape import Shape
from halocline.connectors.aws.dynamodb.values import items, json_text, plain, tagged
from halocline.errors import RejectRecord, Stop
from halocline.schema import Column, Kind, Schema

NUMBERS = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**30), max_value=10**30),
    st.builds(lambda digits, power: Decimal(digits).scaleb(power), st.integers(-(10**38) + 1, 10**38 - 1), st.integers(-92, 87)),
).map(lambda value: {"N": str(value)})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
BYTES = st.binary(max_size=8).map(lambda value: base64.b64encode(value).decode())
NAMES = st.one_of(st.sampled_from(["S", "N", "M", "L", "NULL", "a", 'q"uote', "back\\slash", "ä\n"]), TEXTS.filter(bool))
SCALARS = st.one_of(
    TEXTS.map(lambda value: {"S": value}),
    NUMBERS,
    BYTES.map(lambda value: {"B": value}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(lambda value: {"SS": value}),
    st.lists(NUMBERS, min_size=1, max_size=3, unique_by=lambda one: Decimal(one["N"])).map(
        lambda value: {"NS": [one["N"] for one in value]}
    ),
    st.lists(BYTES, min_size=1, max_size=3, unique=True).map(lambda value: {"BS": value}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda value: {"L": value}),
        st.dictionaries(NAMES, inner, max_size=3).map(lambda value: {"M": value}),
    ),
    max_leaves=8,
)
ITEMS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=5)
KEYS = {"pk": {"S": "x"}}


def as_json(value: dict[str, Any]) -> Any:
    """What the JSON of a value must read back as, numbers exact."""
    ((tag, held),) = value.items()
    if tag == "M":
        return {name: as_json(one) for name, one in held.items()}
    if tag == "L":
        return [as_json(one) for one in held]
    if tag == "NS":
        return sorted(Decimal(one) for one in held)
    if tag in ("SS", "BS"):
        return sorted(held)
    return Decimal(held) if tag == "N" else None if tag == "NULL" else held


def read_json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@settings(deadline=None, max_examples=examples(40))
@given(ITEMS)
def test_items_are_what_boto3_makes_of_them(found: list[dict[str, Any]]) -> None:
    """One at a time in Python, and a column at a time through Arrow."""
    expected = [{name: judged(value) for name, value in one.items()} for one in found]
    assert items(page(found)) == expected
    assert Pages(Shape.declared(Schema(()))).items(page(found)) == expected


@settings(deadline=None, max_examples=examples(40))
@given(ITEMS)
def test_json_columns_hold_every_value(found: list[dict[str, Any]]) -> None:
    """A missing attribute is null, NULL is the word `null`, numbers keep their digits, sets are sorted."""
    names = sorted({name for one in found for name in one})
    schema = Schema(tuple(Column(f"c{number}", Kind.JSON) for number in range(len(names))))
    pages = Pages(Shape.declared(schema, paths={f"c{number}": (name,) for number, name in enumerate(names)}))
    decoded = pages.decode(page(found))
    assert decoded.rejected == ()
    for number, name in enumerate(names):
        texts = decoded.batch.column(number).to_pylist()
        assert [None if text is None else [read_json(text)] for text in texts] == [
            [as_json(one[name])] if name in one else None for one in found
        ]


@settings(deadline=None, max_examples=examples(40))
@given(ITEMS)
def test_the_slower_way_for_wild_maps_says_the_same(found: list[dict[str, Any]]) -> None:
    """Where names are data, nested values come by Python: the same columns, the same items."""
    usual = Shape.infer([page(found)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "WIDEST", 0)
        wild = Shape.infer([page(found)])
        assert sorted(wild.schema, key=str) == sorted(usual.schema, key=str)
        pages = Pages(usual)
        rows = pages.decode(page(found))
        assert pages.items(page(found)) == items(page(found))
    expected = Pages(usual).decode(page(found))
    assert rows.rejected == expected.rejected == ()
    for column in usual.schema:
        one, other = rows.batch.column(column.name).to_pylist(), expected.batch.column(column.name).to_pylist()
        if column.kind is Kind.JSON:
            one, other = ([None if text is None else read_json(text) for text in texts] for texts in (one, other))
        assert one == other


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(ITEMS, max_size=3))
def test_an_inferred_shape_holds_every_page_it_saw(found: list[list[dict[str, Any]]]) -> None:
    """Nothing is rejected or unknown, and a column that is not JSON holds just the values that boto3 reads."""
    pages = [page(one) for one in found]
    shape = Shape.infer(pages)
    for data, expected in zip(pages, found, strict=True):
        decoded = Pages(shape).decode(data)
        assert (decoded.rejected, decoded.unknown) == ((), ())
        for column in shape.schema:
            (name,) = shape.path(column.name)
            for got, one in zip(decoded.batch.column(column.name).to_pylist(), expected, strict=True):
                assert got == _expected(one.get(name), column)


def _expected(value: dict[str, Any] | None, column: Column) -> Any:
    if value is None or (value == {"NULL": True} and column.kind is not Kind.JSON):
        return None
    if column.kind is Kind.JSON:
        return _Json(as_json(value))
    return value["N"] if column.kind is Kind.STRING and "N" in value else judged(value)


class _Json:
    """Equal to a text that reads back as this."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and bool(read_json(other) == self._value)

    __hash__ = None  # type: ignore[assignment]


@settings(deadline=None, max_examples=examples(40))
@given(VALUES)
def test_a_value_comes_back_from_the_wire_as_it_went(value: dict[str, Any]) -> None:
    """And goes as boto3 sends it; its JSON text reads back as it."""
    python = plain(value)
    assert plain(tagged(python)) == python == judged(value)
    assert judged(tagged(python)) == judged(_wire(TypeSerializer().serialize(python)))
    assert read_json(json_text(value)) == as_json(value)


def _wire(value: dict[str, Any]) -> dict[str, Any]:
    ((tag, held),) = value.items()
    if tag == "B":
        return {tag: base64.b64encode(bytes(held)).decode()}
    if tag == "BS":
        return {tag: [base64.b64encode(bytes(one)).decode() for one in held]}
    if tag == "M":
        return {tag: {name: _wire(one) for name, one in held.items()}}
    return {tag: [_wire(one) for one in held]} if tag == "L" else value


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), Decimal("NaN"), 10**38 + 1, Decimal(1).scaleb(126), Decimal("1E-131"), set(), {1, "a"}, {True}, object()],
)
def test_what_dynamodb_cannot_hold_is_refused(value: object) -> None:
    """Floats too: they are not exact."""
    with pytest.raises(RejectRecord):
        tagged(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        b"[]",
        b"{}",
        b'{"Items": 1}',
        b'{"Items": [null]}',
        b'{"Items": [{"a": {}}]}',
        b'{"Items": [{"a": {"S": null}}]}',
        b'{"Items": [{"a": {"S": 1}}]}',
        b'{"Items": [{"a": {"X": "x"}}]}',
        b'{"Items": [{"a": {"M": "x"}}]}',
        b'{"Items": [{"a": {"L": {"S": "x"}}}]}',
        b'{"Items": [{"a": "x"}]}',
        b'{"Items": [{"a": {"S": "\xff"}}]}',
        b'{"Items": [{"a": {"S": "x"}}',
        b'{"Items": []}{"Items": []}',
        b'{"Count": 2, "Items": [{"a": {"S": "x"}}]}',
    ],
)
def test_what_is_no_page_is_refused(data: bytes) -> None:
    """Whole: no row of it, and no value of it, is made up."""
    with pytest.raises(Stop, match="Reading items of DynamoDB"):
        Pages(Shape.declared(Schema((Column("a", Kind.JSON),)))).decode(data)
    with pytest.raises(Stop, match="Reading items of DynamoDB"):
        Pages(Shape.declared(Schema((Column("a", Kind.STRING),)), only=True)).decode(data)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1_000", " 1", "1 ", "\u0661", "", "0x1F", "1e", "."])
@pytest.mark.parametrize("tag", ["N", "NS"])
def test_what_is_no_number_is_refused_by_every_way(text: str, tag: str) -> None:
    """Python's Decimal would take some of these, and no way makes a value of what another one refuses."""
    data = page([{"a": {tag: text if tag == "N" else [text]}}])
    pages = Pages(Shape.declared(Schema((Column("a", Kind.JSON),))))
    for read in (items, pages.items, pages.decode):
        with pytest.raises(Stop, match="Reading items of DynamoDB"):
            read(data)


def test_a_value_of_two_types_is_refused() -> None:
    """Where all of an item is read; DynamoDB never sends one."""
    data = page([{"a": {"S": "x", "N": "1"}}])
    for read in (items, Pages(Shape.declared(Schema((Column("a", Kind.STRING),)))).decode):
        with pytest.raises(Stop, match="Reading items of DynamoDB"):
            read(data)


def test_a_reader_learns_what_comes_later() -> None:
    """Types, names and the key of the next page that the first page did not have."""
    reader = Reader()
    assert reader.read(page([KEYS])).last_key is None
    last = {"pk": {"S": "x"}, "sk": {"N": "1"}}
    found = reader.read(page([{"pk": {"N": "1"}, "m": {"M": {"a": {"L": []}}}}], LastEvaluatedKey=last))
    assert (found.last_key, found.scanned, found.consumed) == (last, 1, None)
    told = {"TableName": "t", "CapacityUnits": 1.5, "Table": {"CapacityUnits": 1.5}}
    assert reader.read(page([], ScannedCount=9, ConsumedCapacity=told)).consumed == 1.5
    assert reader.read(page([], ScannedCount=9)).scanned == 9
