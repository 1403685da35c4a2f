"""Laws of columns: declared ones refuse what does not fit and say so, inferred ones grow until all fits."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from tests.connectors.aws.dynamodb.pages import page

from halocline.connectors.aws.dynamodb import layout, values
from halocline.connectors.aws.dynamodb import reader as reader_module
from halocline.connectors.aws.dynamodb import shape as shape_module
from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.reader import Frame, Reader
from halocline.connectors.aws.dynamodb.shape import Chosen, Shape
from halocline.connectors.aws.dynamodb.wanted import Wanted
from halocline.errors import FixConfig, Stop
from halocline.moments import rows_of
from halocline.outcome import Rejection
from halocline.schema import Column, Kind, Schema

MOST = "9" * 38


def decoded(column: Column, *values: dict[str, Any] | None) -> tuple[list[Any], tuple[Rejection, ...]]:
    """One column of items with these values."""
    items = [{"pk": {"S": str(row)}} | ({} if value is None else {"a": value}) for row, value in enumerate(values)]
    schema = Schema((Column("pk", Kind.STRING, nullable=False), column), ("pk",))
    results = [Pages(Shape.declared(schema, only=only)).decode(page(items), part="p") for only in (False, True)]
    first, second = ([row["a"] for row in rows_of(one.batch)] for one in results)
    assert first == second
    assert [one.message for one in results[0].rejected] == [one.message for one in results[1].rejected]
    assert len(first) + len(results[0].rejected) == len(values)
    return first, results[0].rejected


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (Column("a", Kind.STRING), {"S": ""}, ""),
        (Column("a", Kind.STRING), {"N": MOST}, MOST),
        (Column("a", Kind.INTEGER), {"N": str(2**53 + 1)}, 2**53 + 1),
        (Column("a", Kind.INTEGER), {"N": str(-(2**63))}, -(2**63)),
        (Column("a", Kind.INTEGER), {"N": "1E+3"}, 1000),
        (Column("a", Kind.INTEGER), {"N": "7.0"}, 7),
        (Column("a", Kind.DECIMAL, precision=38), {"N": f"-{MOST}"}, Decimal(f"-{MOST}")),
        (Column("a", Kind.DECIMAL, precision=38, scale=38), {"N": f"0.{MOST}"}, Decimal(f"0.{MOST}")),
        (Column("a", Kind.DECIMAL, precision=10, scale=2), {"N": "1.5E+3"}, Decimal("1500.00")),
        (Column("a", Kind.DECIMAL, precision=10, scale=2), {"N": "1.500"}, Decimal("1.50")),
        (Column("a", Kind.DOUBLE), {"N": "0.1"}, 0.1),
        (Column("a", Kind.DOUBLE), {"N": "9.9E+125"}, 9.9e125),
        (Column("a", Kind.BOOLEAN), {"BOOL": False}, False),
        (Column("a", Kind.BINARY), {"B": "AP8="}, b"\0\xff"),
        (Column("a", Kind.BINARY), {"B": ""}, b""),
        (Column("a", Kind.DATE), {"S": "2026-02-28"}, date(2026, 2, 28)),
        (Column("a", Kind.TIME), {"S": "23:59:59.000001"}, time(23, 59, 59, 1)),
        (Column("a", Kind.TIME), {"S": "24:00"}, "24:00:00"),
        (Column("a", Kind.DATETIME), {"S": "2026-01-01T00:00:00.000001+02:00"}, datetime(2025, 12, 31, 22, 0, 0, 1, UTC)),
        (Column("a", Kind.DATETIME), {"S": "20260101T000000Z"}, datetime(2026, 1, 1, tzinfo=UTC)),
        (Column("a", Kind.JSON), {"S": ""}, '""'),
        (Column("a", Kind.JSON), {"NULL": True}, "null"),
        (Column("a", Kind.JSON), {"L": []}, "[]"),
        (Column("a", Kind.JSON), {"M": {}}, "{}"),
        (Column("a", Kind.JSON), {"NS": ["10", "9", "-1.5", "1E+2"]}, "[-1.5,9,10,1E+2]"),
        (Column("a", Kind.JSON), {"N": "+.5"}, "0.5"),
    ],
)
def test_a_value_that_fits_is_exact(column: Column, value: dict[str, Any], expected: object) -> None:
    """Beside one that is NULL and one that is missing: both are null, but NULL is the word `null` in JSON."""
    values, rejected = decoded(column, value, {"NULL": True}, None, value)
    nothing = "null" if column.kind is Kind.JSON else None
    assert (values, rejected) == ([expected, nothing, None, expected], ())


@pytest.mark.parametrize(
    ("column", "value", "came"),
    [
        (Column("a", Kind.STRING), {"BOOL": True}, "BOOL 'true', its column is string."),
        (Column("a", Kind.STRING, length=3), {"S": "four"}, "S 'four', its column is string(3)."),
        (Column("a", Kind.INTEGER), {"S": "1"}, "S '1', its column is integer."),
        (Column("a", Kind.INTEGER), {"N": "1.5"}, "N '1.5', its column is integer."),
        (Column("a", Kind.INTEGER), {"N": str(2**63)}, f"N '{2**63}', its column is integer."),
        (Column("a", Kind.INTEGER), {"N": "0x1F"}, "N '0x1F', its column is integer."),
        (Column("a", Kind.DECIMAL, precision=5, scale=2), {"N": "1000"}, "N '1000', its column is decimal(5,2)."),
        (Column("a", Kind.DECIMAL, precision=5, scale=2), {"N": "0.001"}, "N '0.001', its column is decimal(5,2)."),
        (Column("a", Kind.DECIMAL, precision=5, scale=2), {"N": "1E+125"}, "N '1E+125', its column is decimal(5,2)."),
        (Column("a", Kind.DOUBLE), {"N": "nan"}, "N 'nan', its column is double."),
        (Column("a", Kind.BOOLEAN), {"N": "1"}, "N '1', its column is boolean."),
        (Column("a", Kind.BINARY), {"B": "?"}, "B '?', its column is binary."),
        (Column("a", Kind.BINARY), {"S": "AA=="}, "S 'AA==', its column is binary."),
        (Column("a", Kind.DATE), {"S": "2026-02-30"}, "S '2026-02-30', its column is date."),
        (Column("a", Kind.TIME), {"S": "24:00:01"}, "S '24:00:01', its column is time."),
        (Column("a", Kind.TIME), {"S": "25:00"}, "S '25:00', its column is time."),
        (Column("a", Kind.DATETIME), {"S": "2026-01-01T00:00:00"}, "S '2026-01-01T00:00:00', its column is datetime."),
        (Column("a", Kind.DATETIME), {"S": "2026-01-01T00:00:00.1234567Z"}, "S '2026-01-01T00:00:00.1234567Z', its column is"),
        (Column("a", Kind.STRING, nullable=False), {"NULL": True}, "NULL, its column is string and must be there."),
        (Column("a", Kind.STRING, nullable=False), None, "missing, its column is string and must be there."),
        (Column("a", Kind.JSON, length=2), {"S": "x"}, "S 'x', its column is json(2)."),
    ],
)
def test_a_value_that_does_not_fit_is_a_rejection(column: Column, value: dict[str, Any] | None, came: str) -> None:
    """It names the item by its key, the attribute, what came and what was wanted; it is never a null."""
    values, (rejection,) = decoded(column, value)
    assert values == []
    assert (rejection.part, rejection.row, rejection.fields) == ("p", 0, ("a",))
    assert rejection.message.startswith(f"Item pk = '0': a is {came}")
    assert rejection.record is not None
    assert rejection.record["pk"] == "0"


def test_what_fits_stays_beside_what_does_not() -> None:
    """Each rejection has the number of its item, and one item has one, however many of its values are wrong."""
    schema = Schema((Column("pk", Kind.STRING), Column("a", Kind.INTEGER), Column("b", Kind.INTEGER)), ("pk",))
    items = [{"pk": {"S": str(row)}, "a": {"N": "1"}, "b": {"N": "2"}} for row in range(5)]
    items[1]["a"] = {"S": "x"}
    items[3] |= {"a": {"N": "0.5"}, "b": {"L": [{"S": "y"}]}}
    found = Pages(Shape.declared(schema)).decode(page(items))
    assert found.batch.column("pk").to_pylist() == ["0", "2", "4"]
    assert [(one.row, one.fields) for one in found.rejected] == [(1, ("a",)), (3, ("a", "b"))]
    assert 'b is L \'[{"S": "y"}]\'' in found.rejected[1].message


def test_an_attribute_without_a_column_is_told() -> None:
    """Unless attributes without a column are none of our business."""
    schema = Schema((Column("a", Kind.STRING),))
    data = page([{"a": {"S": "x"}, "new": {"M": {"b": {"S": "y"}}}}])
    assert Pages(Shape.declared(schema)).decode(data).unknown == ("new",)
    assert Pages(Shape.declared(schema, only=True)).decode(data).unknown == ()


def test_a_column_may_come_from_inside_a_map() -> None:
    """Where the map is missing or NULL the column is null; where something else stands in its place the item is refused."""
    schema = Schema((Column("claim", Kind.STRING), Column("limit", Kind.INTEGER)))
    shape = Shape.declared(schema, paths={"claim": ["info", "number"], "limit": ["info", "cover", "limit"]})
    maps = [
        {"M": {"number": {"S": "CL-1"}, "cover": {"M": {"limit": {"N": "5"}}}}},
        {"M": {"number": {"S": "CL-2"}}},
        {"NULL": True},
        {"S": "nothing"},
        {"M": {"number": {"S": "CL-3"}, "cover": {"N": "5"}}},
    ]
    items: list[dict[str, Any]] = [{"info": one} for one in maps]
    for wide in (layout.WIDEST, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "WIDEST", wide)
            found = Pages(shape).decode(page([*items, {}]))
        assert found.batch.to_pylist() == [
            {"claim": "CL-1", "limit": 5},
            {"claim": "CL-2", "limit": None},
            {"claim": None, "limit": None},
            {"claim": None, "limit": None},
        ]
        assert [(one.row, one.fields) for one in found.rejected] == [(3, ("claim", "limit")), (4, ("limit",))]


def test_columns_of_a_table_take_attributes_in_any_case() -> None:
    """Where one fits; where two do, nobody guesses, and one of the same spelling is meant."""
    shape = Shape.declared(Schema((Column("documentid", Kind.STRING), Column("other", Kind.STRING))))
    spelled = shape.spelled([("documentId",), ("more",)])
    assert Pages(spelled).decode(page([{"documentId": {"S": "x"}}])).batch.to_pylist() == [{"documentid": "x", "other": None}]
    assert shape.spelled([("documentId",), ("documentid",)]).path("documentid") == ("documentid",)
    with pytest.raises(FixConfig, match="documentID or documentId"):
        shape.spelled([("documentId",), ("documentID",)])


def test_a_shape_can_travel_to_another_process() -> None:
    """With its paths and all that it learned."""
    shape = Shape.infer([page([{"m": {"M": {"x": {"N": "1"}}}}])], flatten=1)
    assert pickle.loads(pickle.dumps(shape)) == shape


@pytest.mark.parametrize("paths", [{"b": ["a"]}, {"a": []}, {"a": ["x", ""]}])
def test_a_path_to_nowhere_is_refused(paths: dict[str, list[str]]) -> None:
    """And a path for a column that is not there."""
    with pytest.raises(FixConfig):
        Shape.declared(Schema((Column("a", Kind.STRING),)), paths=paths)


@pytest.mark.parametrize(
    ("values", "kind", "note"),
    [
        ([{"N": "1"}, {"N": str(2**63 - 1)}], Kind.INTEGER, ""),
        ([{"N": "1"}, {"N": str(2**63)}], Kind.DECIMAL, ""),
        ([{"N": "1"}, {"N": "0.25"}], Kind.DECIMAL, ""),
        ([{"N": MOST}], Kind.DECIMAL, ""),
        ([{"N": MOST}, {"N": "0.1"}], Kind.STRING, "which no decimal of 38 digits does"),
        ([{"N": "1E+125"}], Kind.STRING, "126 digits before the point"),
        ([{"N": "1E-130"}], Kind.STRING, "130 behind it"),
        ([{"S": "x"}, {"N": "1"}], Kind.STRING, "the numbers are text"),
        ([{"S": "x"}, {"BOOL": True}], Kind.JSON, "types BOOL, S, so it is JSON"),
        ([{"B": "AA=="}, {"NULL": True}], Kind.BINARY, ""),
        ([{"NULL": True}], Kind.STRING, "nothing but NULL"),
        ([{"SS": ["x"]}], Kind.JSON, ""),
        ([{"S": "x"}, {"M": {}}], Kind.JSON, "types M, S"),
    ],
)
def test_an_inferred_column_is_as_wide_as_its_values(values: list[dict[str, Any]], kind: Kind, note: str) -> None:
    """Whether they come on one page or one after the other; a widening that costs a type has a note."""
    together = Shape.infer([page([{"a": value} for value in values])])
    apart = Shape.infer([page([{"a": value}]) for value in values])
    assert together.schema == apart.schema
    (column,) = together.schema
    assert column.kind is kind
    assert note in "".join(together.notes)
    assert bool(together.notes) == bool(note)


def test_a_shape_grows_with_a_page_that_does_not_fit() -> None:
    """The page is told apart first: rejections and unknown attributes say that it is time to widen."""
    pages = Pages(Shape.infer([page([{"a": {"N": "1"}}])], key=("a",)))
    data = page([{"a": {"N": "1.5"}, "b": {"BOOL": True}}])
    before = pages.decode(data)
    assert (len(before.rejected), before.unknown) == (1, ("b",))
    pages.widen(data)
    after = pages.decode(data)
    assert (after.rejected, after.unknown) == ((), ())
    assert after.batch.to_pylist() == [{"a": Decimal("1.5"), "b": True}]
    with pytest.raises(FixConfig):
        Pages(Shape.declared(Schema((Column("a", Kind.STRING),)))).widen(data)


def test_maps_become_columns_where_that_is_asked_for() -> None:
    """Down to a depth; a map that some items have as another type stays JSON, and names that collide are told."""
    items = [
        {"m": {"M": {"x": {"N": "1"}, "deep": {"M": {"y": {"S": "z"}}}}}, "M__X": {"S": "mine"}, "j": {"M": {"k": {"S": "v"}}}}
    ]
    odd: list[dict[str, Any]] = [{"j": {"S": "no map"}}, {"m": {"NULL": True}}]
    shape = Shape.infer([page(items), page(odd)], flatten=1)
    (row, *_) = Pages(shape).decode(page(items)).batch.to_pylist()
    assert row == {"m__x_2": 1, "m__deep": '{"y":"z"}', "M__X": "mine", "j": '{"k":"v"}'}
    assert any("m__x_2" in note for note in shape.notes)
    deep = Shape.infer([page(items)], flatten=2)
    assert deep.path("m__deep__y") == ("m", "deep", "y")


def test_exported_lines_are_items_too() -> None:
    """One object on each line, as DynamoDB writes them to S3."""
    data = b'{"Item":{"a":{"N":"1"}}}\n{"Item":{"a":{"N":"2"},"b":{"S":"x\\ny"}}}\n'
    shape = Shape.infer([data], frame=Frame.EXPORT)
    found = Pages(shape, frame=Frame.EXPORT).decode(data)
    assert found.batch.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x\ny"}]
    assert (found.last_key, found.scanned) == (None, 2)


def test_a_map_whose_names_are_data_does_not_become_thousands_of_columns() -> None:
    """It comes by the slower way, exact like the rest, and so do later pages."""
    count = layout.WIDEST
    pages = Pages(Shape.infer([page([{"a": {"N": "1"}}])]))
    for start in (0, count):
        users = {f"user-{start + number}": {"N": f"{number}.10"} for number in range(count + 1)}
        data = page([{"a": {"N": "1"}, "m": {"M": users}}], LastEvaluatedKey={"a": {"N": str(start)}})
        shape = pages.widen(data)
        found = pages.decode(data)
        (row,) = found.batch.to_pylist()
        assert found.last_key == {"a": {"N": str(start)}}
        assert row["m"] == "{" + ",".join(f'"user-{start + number}":{number}.10' for number in range(count + 1)) + "}"
    assert [column.kind for column in shape.schema] == [Kind.INTEGER, Kind.JSON]


@pytest.mark.parametrize("value", [{"S": "x", "N": "1"}, {"S": None}, {}])
def test_a_value_without_one_type_is_refused_on_later_pages_too(value: dict[str, Any]) -> None:
    """Where its types are known by then, and the parser has nothing to complain of."""
    pages = Pages(Shape.declared(Schema((Column("a", Kind.STRING),))))
    assert pages.decode(page([{"a": {"S": "x"}}, {"a": {"N": "1"}}])).rejected == ()
    with pytest.raises(Stop, match="Reading items"):
        pages.decode(page([{"a": value}]))


def test_the_key_of_the_next_page_is_never_passed_over() -> None:
    """Also where only some attributes are looked at, and no page before had one: a scan would end too early."""
    pages = Pages(Shape.declared(Schema((Column("a", Kind.STRING),)), only=True))
    last = {"pk": {"S": "x"}, "sk": {"N": "1"}}
    assert pages.decode(page([{"a": {"S": "x"}}])).last_key is None
    assert pages.decode(page([{"a": {"S": "x"}}], LastEvaluatedKey=last)).last_key == last


CLAIM: dict[str, Any] = {"pk": {"S": "1"}, "claim": {"M": {"a": {"S": "x"}}}}
CROWD: dict[str, Any] = {
    "pk": {"S": "2"},
    "claim": {"M": {"a": {"S": "y"}, "b": {"S": "only here"}}},
    "users": {"M": {f"u{number}": {"S": "v"} for number in range(layout.WIDEST + 1)}},
}
FEW: dict[str, Any] = {"pk": {"S": "3"}, "users": {"M": {"u0": {"S": "few"}, "late": {"S": "z"}}}}


@pytest.mark.parametrize("order", [*permutations([CLAIM, CROWD, FEW])], ids=lambda some: "".join(one["pk"]["S"] for one in some))
def test_maps_become_the_same_columns_whichever_page_is_first(order: tuple[dict[str, Any], ...]) -> None:
    """Beside a map whose names are data too: that one is a column of JSON, and of the others no value goes missing."""
    shape = Shape.infer([page([one]) for one in order], key=("pk",), flatten=1)
    assert sorted(shape.schema.names) == ["claim__a", "claim__b", "pk", "users"]
    assert [note for note in shape.notes if note.startswith("users")] == [
        f"users: has more than {layout.WIDEST} names in its maps, so it is one column of JSON"
    ]
    pages = Pages(shape)
    rows = {one["pk"]["S"]: pages.decode(page([one])).batch.to_pylist()[0] for one in order}
    assert rows["1"] == {"pk": "1", "claim__a": "x", "claim__b": None, "users": None}
    assert (rows["2"]["claim__b"], rows["2"]["users"].count(":")) == ("only here", layout.WIDEST + 1)
    assert rows["3"]["users"] == '{"u0":"few","late":"z"}'


@pytest.mark.parametrize(
    ("items", "names"),
    [
        ([{"name": {"S": "lower"}}, {"Name": {"S": "upper"}}], {("Name",): "Name", ("name",): "name_2"}),
        (
            [{"a__b": {"S": "top"}}, {"a": {"M": {"b": {"S": "inner"}}}}, {"A__B": {"S": "third"}}],
            {("A__B",): "A__B", ("a__b",): "a__b_2", ("a", "b"): "a__b_3"},
        ),
        ([{"PK": {"S": "no key"}}, {"pk": {"S": "key"}}], {("pk",): "pk", ("PK",): "PK_2"}),
    ],
    ids=["case", "map", "key"],
)
def test_names_that_collide_are_given_alike_whichever_page_is_first(
    items: list[dict[str, Any]], names: dict[tuple[str, ...], str]
) -> None:
    """Two runs over the same items never change what is in which column."""
    for order in permutations(items):
        shape = Shape.infer([page([one]) for one in order], key=("pk",), flatten=1)
        assert {shape.path(name): name for name in shape.schema.names} == names


def test_a_name_that_a_column_got_stays_its_own() -> None:
    """An attribute that comes later takes another one, also where it would have come before it."""
    wanted = Wanted("t")
    first = Chosen(wanted, key=("pk",), types={"pk": "S"})
    first.see(Reader().read(page([{"pk": {"S": "1"}, "name": {"S": "lower"}}])))
    for earlier in (first.facts, None):
        later = Chosen(wanted, key=("pk",), types={"pk": "S"}, earlier=earlier, names=json.loads(json.dumps(first.names)))
        later.see(Reader().read(page([{"pk": {"S": "1"}, "Name": {"S": "upper"}}, {"pk": {"S": "2"}, "name": {"S": "lower"}}])))
        assert later.shape().path("name") == ("name",)
        assert later.shape().path("Name_2") == ("Name",)
    with pytest.raises(FixConfig, match="it is damaged"):
        Chosen(wanted, key=("pk",), types={"pk": "S"}, names=[1])


def test_attributes_whose_names_are_data_are_no_columns_and_no_burden(monkeypatch: pytest.MonkeyPatch) -> None:
    """To infer columns of them is refused; a builder's items come, and from many attributes on what is known stays as it is."""
    pages = [page([{"pk": {"S": "1"}, **{f"a{start}-{at}": {"N": "1.0"} for at in range(40)}}]) for start in range(6)]
    monkeypatch.setattr(shape_module, "MOST_COLUMNS", 120)
    with pytest.raises(FixConfig, match="more than 120 attributes"):
        Shape.infer(pages)
    monkeypatch.setattr(reader_module, "MANY", 100)
    read = Pages(Shape.declared(Schema((Column("pk", Kind.STRING),)), only=True))
    assert [one for data in pages for one in read.items(data)] == [one for data in pages for one in values.items(data)]
    known = len(read._all._known.layout.nodes)
    assert 100 < known < 160
    for number in range(20):  # what answers say besides is no burden either
        read._all.read(page([{"pk": {"S": "1"}, f"new{number}": {"S": ""}}], LastEvaluatedKey={"pk": {"S": str(number)}}))
    assert len(read._all._known.samples["LastEvaluatedKey"]) == 1


def test_what_is_new_beside_wild_maps_is_seen() -> None:
    """An attribute, and a type that an attribute did not have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "WIDEST", 0)
        pages = Pages(Shape.infer([page([{"a": {"N": "1"}, "m": {"M": {"x": {"N": "1"}}}}])]))
        pages.decode(page([{"a": {"N": "1"}, "m": {"M": {"x": {"N": "1"}}}}]))
        found = pages.decode(page([{"a": {"S": "x"}, "b": {"S": "y"}}, {"a": {"N": "2"}}]))
    assert (found.unknown, [one.row for one in found.rejected], found.batch.num_rows) == (("b",), [0], 1)


def test_a_number_beyond_what_its_table_takes_is_rejected() -> None:
    """An integer of 32 bits, or of 16: the database would end the whole run, and name no item."""
    columns = Schema((Column("id", Kind.INTEGER, source_type="smallint"), Column("n", Kind.INTEGER, source_type="integer")))
    found = Pages(Shape.declared(columns)).decode(
        page([{"id": {"N": "1"}, "n": {"N": "3000000000"}}, {"id": {"N": "-32768"}}, {"id": {"N": "32768"}, "n": {"N": "1"}}])
    )
    assert found.batch.to_pylist() == [{"id": -32768, "n": None}]
    assert [(one.row, one.fields) for one in found.rejected] == [(0, ("n",)), (2, ("id",))]
