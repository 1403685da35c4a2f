"""Values: what Salesforce says in JSON or CSV, as Arrow, exactly or not at all."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halocline.connectors.salesforce import types
from halocline.errors import FixConfig, SchemaConflict
from halocline.schema import Column, Kind, Schema


def field(told: str, **more: Any) -> dict[str, Any]:
    return {"name": "F", "type": told, "length": 0, "precision": 0, "scale": 0, "calculated": False, **more}


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        *((name, Kind.STRING) for name in ("id", "reference", "string", "picklist", "multipicklist", "combobox", "textarea")),
        *((name, Kind.STRING) for name in ("phone", "url", "email", "encryptedstring", "anyType", "datacategorygroupreference")),
        ("boolean", Kind.BOOLEAN),
        ("int", Kind.INTEGER),
        ("long", Kind.INTEGER),
        ("date", Kind.DATE),
        ("datetime", Kind.DATETIME),
        ("time", Kind.TIME),
        ("complexvalue", Kind.JSON),
        ("json", Kind.JSON),
        ("from the future", Kind.STRING),
    ],
)
def test_every_type_has_a_kind(told: str, kind: Kind) -> None:
    """Each of Salesforce's types is a neutral kind; a type that nobody knows is text."""
    assert types.column(field(told)).kind is kind


@pytest.mark.parametrize("told", ["double", "currency", "percent"])
def test_numbers_are_exact_where_their_description_is(told: str) -> None:
    """A number is a decimal of its precision and scale; a formula, or a number of unknown size, or by wish, is a double."""
    assert types.column(field(told, precision=18, scale=2)).arrow == pa.decimal128(18, 2)
    assert types.column(field(told, precision=18, scale=2, calculated=True)).kind is Kind.DOUBLE
    assert types.column(field(told, precision=18, scale=2), numbers="double").kind is Kind.DOUBLE
    assert types.column(field(told)).kind is Kind.DOUBLE


def test_only_the_id_is_never_null() -> None:
    """Even a required field may be null in old rows; the key never is."""
    assert not types.column(field("id", nillable=False)).nullable
    assert types.column(field("string", nillable=False)).nullable


def test_what_cannot_be_a_column_has_its_reason() -> None:
    """Compounds and files are left out with words for it; everything else stays."""
    assert "components" in (types.left_out(field("address")) or "")
    assert "components" in (types.left_out(field("location")) or "")
    assert "base64" in (types.left_out(field("base64")) or "")
    assert types.left_out(field("string")) is None


def test_an_unknown_setting_for_numbers_is_told() -> None:
    """`numbers` is decimal or double."""
    with pytest.raises(FixConfig, match="float"):
        types.check_numbers("float")


COLUMNS = Schema(
    (
        Column("S", Kind.STRING),
        Column("B", Kind.BOOLEAN),
        Column("I", Kind.INTEGER),
        Column("N", Kind.DECIMAL, precision=18, scale=2),
        Column("D", Kind.DOUBLE),
        Column("Day", Kind.DATE),
        Column("T", Kind.TIME),
        Column("At", Kind.DATETIME),
        Column("J", Kind.JSON),
    )
)
WANTED = {
    "S": "x",
    "B": True,
    "I": 12,
    "N": Decimal("10000000.50"),
    "D": 1.0e7,
    "Day": date(2022, 3, 17),
    "T": time(10, 20, 30, 5000),
    "At": datetime(2022, 3, 17, 16, 21, 26, tzinfo=UTC),
    "J": '{"a":[1,2.5],"ü":null}',
}
AS_JSON = {
    "S": "x",
    "B": True,
    "I": Decimal("12.0"),
    "N": Decimal("1.00000005E7"),
    "D": Decimal("1.0E7"),
    "Day": "2022-03-17",
    "T": "10:20:30.005Z",
    "At": "2022-03-17T16:21:26.000+0000",
    "J": {"a": [1, Decimal("2.5")], "ü": None},
}
AS_CSV = {
    "S": "x",
    "B": "true",
    "I": "12",
    "N": "10000000.5",
    "D": "10000000",
    "Day": "2022-03-17",
    "T": "10:20:30.005Z",
    "At": "2022-03-17T16:21:26.000Z",
    "J": '{"a":[1,2.5],"ü":null}',
}


def from_csv(*rows: dict[str, str | None], schema: Schema = COLUMNS) -> pa.RecordBatch:
    texts = pa.RecordBatch.from_pylist(list(rows), schema=pa.schema([(name, pa.string()) for name in schema.names]))
    return types.batch_of_texts(texts, schema, sobject="X")


def test_both_spellings_give_the_same_arrow() -> None:
    """The spellings of REST and of Bulk become equal columns: same values, same types, nulls for what is not there."""
    rest = types.batch_of_records([AS_JSON, dict.fromkeys(COLUMNS.names)], COLUMNS, sobject="X")
    bulk = from_csv(AS_CSV, {})  # type: ignore[arg-type]  # all values are text
    assert rest.to_pylist() == [WANTED, dict.fromkeys(WANTED)]
    assert rest.equals(bulk)
    assert rest.schema == COLUMNS.arrow


def test_a_record_without_a_field_is_no_null() -> None:
    """Salesforce tells nulls as such: a field that does not come at all was lost on the way."""
    with pytest.raises(SchemaConflict, match="without the field 'S'"):
        types.batch_of_records([{"S": "a"}, {"T": None}], Schema((Column("S", Kind.STRING),)), sobject="X")


@pytest.mark.parametrize("text", ["", None])
def test_empty_text_is_null(text: str | None) -> None:
    """Salesforce keeps no empty strings; REST's `""` is null as Bulk's is."""
    assert types.batch_of_records([{"S": text}], COLUMNS.select(["S"]), sobject="X").to_pylist() == [{"S": None}]


@pytest.mark.parametrize("text", ["NA", "null", "NULL", "nan", "#N/A", "None", " ", "0", "\r\n", "𝔘"])
def test_text_that_looks_like_nothing_is_text(text: str) -> None:
    """Words for nothing in other systems are values here."""
    schema = COLUMNS.select(["S"])
    assert types.batch_of_records([{"S": text}], schema, sobject="X").to_pylist() == [{"S": text}]
    assert from_csv({"S": text}, schema=schema).to_pylist() == [{"S": text}]


def test_values_of_any_type_are_spelled_as_text() -> None:
    """An anyType field holds numbers and booleans too; they become the text that Bulk would send."""
    schema = COLUMNS.select(["S"])
    rows = types.batch_of_records([{"S": True}, {"S": 5}, {"S": Decimal("1.50")}], schema, sobject="X")
    assert rows.column("S").to_pylist() == ["true", "5", "1.50"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("N", "1.5", "1.555"),
        ("N", "1", "12345678901234567.00"),
        ("I", "1", "1.5"),
        ("I", "1", "92233720368547758080"),
        ("B", "true", "yes"),
        ("Day", "2022-03-17", "2022-02-30"),
        ("T", "10:20:30.000Z", "25:00:00.000Z"),
        ("At", "2022-03-17T16:21:26.000Z", "2022-03-17T16:21:26.000"),
        ("D", "1", "one"),
    ],
)
def test_what_does_not_fit_is_never_bent(name: str, good: str, bad: str) -> None:
    """A value that its column cannot hold exactly stops the load, and the message names field and value."""
    texts: list[str | None] = [good] * 5 + [None] + [bad] + [good] * 6
    with pytest.raises(SchemaConflict) as told:
        from_csv(*({name: text} for text in texts), schema=COLUMNS.select([name]))
    assert f"X.{name}" in str(told.value)
    assert repr(bad) in str(told.value)
    assert ('numbers="double"' in str(told.value)) == (name == "N")


@given(st.integers(1 - 10**16, 10**16 - 1), st.integers(0, 2), st.booleans())
def test_decimals_are_exact_however_they_are_written(digits: int, scale: int, exponent: bool) -> None:
    """No digit changes between the wire and the column, in plain or in exponent notation."""
    value = Decimal(digits).scaleb(-scale)
    text = f"{value:E}" if exponent else f"{value:f}"
    schema = COLUMNS.select(["N"])
    assert from_csv({"N": text}, schema=schema).to_pylist() == [{"N": value.quantize(Decimal("0.01"))}]
    record = json.loads(f'{{"N": {text}}}', parse_float=Decimal)
    assert types.batch_of_records([record], schema, sobject="X").to_pylist() == [{"N": value.quantize(Decimal("0.01"))}]


@given(st.datetimes(datetime(1700, 1, 1), datetime(4000, 12, 31)))  # noqa: DTZ001  # the zone is added below
def test_instants_keep_their_full_precision(moment: datetime) -> None:
    """Any instant that Salesforce can hold survives, in both spellings."""
    aware = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    text = aware.isoformat(timespec="milliseconds")
    schema = COLUMNS.select(["At"])
    for spelled in (text.replace("+00:00", "Z"), text.replace("+00:00", "+0000")):
        assert from_csv({"At": spelled}, schema=schema).to_pylist() == [{"At": aware}]
