"""Laws of a table that is copied again, into the columns that the first copy made or somebody declared."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest
from tests.connectors.aws.dynamodb.desk import Desk
from tests.connectors.aws.dynamodb.pages import page

from halocline.config import Settings
from halocline.connectors.aws.dynamodb.columns import beyond
from halocline.connectors.aws.dynamodb.pages import Pages
from halocline.connectors.aws.dynamodb.shape import Shape
from halocline.run import Run
from halocline.schema import Column, Kind, Schema
from halocline.tables import TableCopy, copy

STREAMED = {"nested": "flatten", "streams": True}
ITEMS: list[dict[str, Any]] = [
    {"id": "1", "claim": {"a": 1, "b": "x"}, "claim__a": "top", "name": "lower", "Name": "UPPER"},
    {"id": "2", "claim": {"a": 2}},
]


def copied(desk: Desk, **options: Any) -> Run:
    """A copy of the table into a DuckDB file."""
    uri, lake = f"dynamodb://{desk.table}", f"duckdb:///{desk.home}/lake.duckdb"
    table = TableCopy(desk.table, "raw.documents", options=options)
    return copy(uri, lake, table, settings=Settings(desk.home, desk.home / "spool"), name="again", sink=desk.hear)


def changed(desk: Desk, sql: str) -> None:
    """Something that somebody does to the loaded table."""
    with duckdb.connect(f"{desk.home}/lake.duckdb") as lake:
        lake.execute(sql)


@pytest.mark.parametrize(
    "options", [{"nested": "flatten"}, pytest.param(STREAMED, marks=pytest.mark.long)], ids=["scanned", "streamed"]
)
def test_columns_keep_the_attributes_that_they_came_from(desk: Desk, options: dict[str, Any]) -> None:
    """Of a map that was flattened, and of names that collide: a second copy, and a third, say what the first one said."""
    desk.make(ITEMS, key=["id"], stream="NEW_IMAGE")
    copied(desk, **options)
    first = desk.rows()
    assert (first[0]["Name"], first[0]["name_2"], first[0]["claim__a"], first[0]["claim__a_2"]) == ("UPPER", "lower", "top", 1)
    for one in ITEMS:
        desk.put(one)
    for _ in range(2):
        copied(desk, **options)
        assert desk.rows() == first
    assert desk.told == []


def test_columns_keep_their_attributes_where_maps_are_not_flattened_any_more(desk: Desk) -> None:
    """The table has the columns all the same, and they are filled."""
    desk.make([{"id": "1", "claim": {"a": 1, "b": "x"}}], key=["id"])
    copied(desk, nested="flatten")
    first = desk.rows()
    copied(desk)
    assert desk.rows() == first


def test_columns_that_a_first_copy_made_are_known_without_its_position(desk: Desk) -> None:
    """Names that collide are given out in the same order again."""
    desk.make(ITEMS, key=["id"])
    copied(desk, nested="flatten")
    first = desk.rows()
    changed(desk, "DELETE FROM raw.documents")
    copied(desk, nested="flatten")
    assert desk.rows() == first


def test_a_change_that_does_not_fit_is_read_again_until_it_does(desk: Desk) -> None:
    """Each run tells of it; once its column can hold it, or the item is mended, the row is there."""
    desk.make(
        [{"id": "1", "n": 1}, {"id": "2", "n": 1}, *({"id": f"a{n}", "n": 1} for n in range(20))], key=["id"], stream="NEW_IMAGE"
    )
    copied(desk, streams=True)
    for one in ({"id": "2", "n": "text"}, {"id": "new", "n": "text"}, *({"id": f"a{n}", "n": 2} for n in range(20))):
        desk.put(one)
    for _ in range(2):
        run = copied(desk, streams=True)
        assert run.counts is not None
        assert run.counts.rejected == 2
    assert run.plan is not None
    assert any("2 of the changes" in one and "read again" in one for one in run.plan.reasons)
    desk.put({"id": "new", "n": 5})
    changed(desk, "ALTER TABLE raw.documents ALTER n TYPE VARCHAR")
    run = copied(desk, streams=True)
    assert run.counts is not None
    assert run.counts.rejected == 0
    assert {one["id"]: one["n"] for one in desk.rows()} == {one["id"]: str(one["n"]) for one in desk.there()}


@pytest.mark.parametrize(
    ("column", "value", "fits"),
    [
        (Column("n", Kind.INTEGER, source_type="integer"), {"N": "2147483648"}, {"N": "-2147483648"}),
        (Column("n", Kind.INTEGER, source_type="UTINYINT"), {"N": "-1"}, {"N": "255"}),
        (Column("n", Kind.DOUBLE, source_type="real"), {"N": "1E+39"}, {"N": "3.4E+38"}),
        (Column("n", Kind.DOUBLE, source_type="real"), {"N": "1E-60"}, {"N": "0"}),
        (Column("n", Kind.STRING, source_type="character varying(5)", length=5), {"S": "a\0b"}, {"S": "ab"}),
        (Column("n", Kind.STRING, source_type="text"), {"S": "\0"}, {"S": ""}),
        (Column("n", Kind.STRING, source_type="numeric"), {"S": "seven"}, {"S": " 7.5e2"}),
        (Column("n", Kind.STRING, source_type="uuid"), {"S": "7"}, {"S": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
        (Column("n", Kind.JSON, source_type="jsonb"), {"M": {"a": {"S": "\0"}}}, {"M": {"a": {"S": "\\u0000"}}}),
    ],
    ids=lambda value: value.source_type if isinstance(value, Column) else "",
)
def test_what_a_columns_own_type_cannot_hold_is_a_rejection(column: Column, value: dict[str, Any], fits: dict[str, Any]) -> None:
    """Of a table of PostgreSQL or DuckDB, whose types are narrower than ours; beside it all that fits is loaded."""
    shape = Shape.declared(Schema((Column("id", Kind.STRING), column), ("id",)))
    decoded = Pages(shape).decode(
        page([{"id": {"S": "odd"}, "n": value}, {"id": {"S": "good"}, "n": fits}, {"id": {"S": "none"}}])
    )
    assert [one.fields for one in decoded.rejected] == [("n",)]
    assert "Item id = 'odd'" in decoded.rejected[0].message or "Item id = odd" in decoded.rejected[0].message
    assert decoded.batch.column("id").to_pylist() == ["good", "none"]


def test_types_that_hold_all_are_not_looked_at() -> None:
    """An integer of 64 bits, a text of DuckDB, what was inferred."""
    for column in (Column("n", Kind.INTEGER, source_type="bigint"), Column("n", Kind.INTEGER, source_type="N")):
        assert beyond(pa.array([1 << 62]), column) is None
    assert beyond(pa.array(["a\0"]), Column("n", Kind.STRING, source_type="VARCHAR")) is None
