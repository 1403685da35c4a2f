"""Columns and schemas: one meaning, one Arrow type, and the way through JSON and back."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.schema import Column, Kind, Schema

COLUMN = st.builds(
    Column,
    st.text(min_size=1),
    st.sampled_from(Kind),
    length=st.integers(0, 131_072),
    precision=st.integers(1, 38),
    scale=st.integers(0, 18),
    nullable=st.booleans(),
    source_type=st.text(),
    calculated=st.booleans(),
)
SCHEMA = Schema((Column("Id", Kind.STRING, length=18), Column("Amount", Kind.DECIMAL, precision=18, scale=2)), ("Id",))


@pytest.mark.parametrize(
    ("kind", "arrow"),
    [
        (Kind.STRING, pa.string()),
        (Kind.JSON, pa.string()),
        (Kind.BOOLEAN, pa.bool_()),
        (Kind.INTEGER, pa.int64()),
        (Kind.DOUBLE, pa.float64()),
        (Kind.DATE, pa.date32()),
        (Kind.TIME, pa.time64("us")),
        (Kind.DATETIME, pa.timestamp("us", "UTC")),
        (Kind.BINARY, pa.binary()),
    ],
)
def test_a_kind_has_one_arrow_type(kind: Kind, arrow: pa.DataType) -> None:
    """Instants carry their zone and microseconds, so nothing is cut off."""
    assert Column("c", kind).arrow == arrow


def test_every_kind_has_an_arrow_type() -> None:
    """A kind that is added cannot be forgotten."""
    assert all(isinstance(Column("c", kind, precision=10, scale=2).arrow, pa.DataType) for kind in Kind)


def test_a_decimal_keeps_its_digits() -> None:
    """Precision and scale are the source's, not a default."""
    assert Column("c", Kind.DECIMAL, precision=18, scale=4).arrow == pa.decimal128(18, 4)


def test_the_arrow_schema_has_the_columns_in_order() -> None:
    """Names as the source spells them."""
    assert SCHEMA.arrow == pa.schema([("Id", pa.string()), ("Amount", pa.decimal128(18, 2))])
    assert (SCHEMA.names, len(SCHEMA), [c.name for c in SCHEMA]) == (("Id", "Amount"), 2, ["Id", "Amount"])


def test_a_column_is_found_in_any_case() -> None:
    """`ID`, as the documents write it, is the column `Id`."""
    assert SCHEMA.column("ID") is SCHEMA.columns[0]
    assert SCHEMA.column("amount") is SCHEMA.columns[1]
    assert SCHEMA.column("Id ") is None


def test_a_selection_has_the_order_asked_for() -> None:
    """Unknown names are left out, the key is kept."""
    chosen = SCHEMA.select(["AMOUNT", "nope", "id"])
    assert (chosen.names, chosen.key) == (("Amount", "Id"), ("Id",))


@given(st.builds(Schema, st.lists(COLUMN).map(tuple), st.lists(st.text()).map(tuple)))
def test_a_schema_survives_json(schema: Schema) -> None:
    """What `to_json` writes, `from_json` reads, through real JSON text."""
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
