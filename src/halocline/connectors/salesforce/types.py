"""Salesforce's field types as neutral types, and values - JSON or CSV text - as Arrow.

Both APIs take one road: a REST value is first respelled as Bulk's CSV would spell it, and all text is then parsed by the same
casts. So REST and Bulk cannot disagree.

Source of types and spellings: Object Reference, "Field Types" and "Primitive Data Types"; Bulk API 2.0 and Bulk API Developer
Guide, "Valid Date Format in Records". Read November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.errors import FixConfig, SchemaConflict
from halocline.schema import Column, Kind, Schema

NUMBERS = ("decimal", "double")
MAX_PRECISION = 38  # digits of Arrow's decimal128
_TEXT_TYPES = (
    *("id", "reference", "string", "picklist", "multipicklist", "combobox", "textarea", "phone", "url", "email"),
    *("encryptedstring", "anyType", "datacategorygroupreference", "masterrecord"),
)
_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(_TEXT_TYPES, Kind.STRING),
    "boolean": Kind.BOOLEAN,
    "int": Kind.INTEGER,
    "long": Kind.INTEGER,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
    "time": Kind.TIME,
    "complexvalue": Kind.JSON,  # how Bulk spells it is unverified; REST's object becomes compact JSON text
    "json": Kind.JSON,  # likewise
}
_NUMBER_TYPES = frozenset({"double", "currency", "percent"})
_LEFT_OUT: Mapping[str, str] = {
    "address": "compound fields; their components are read instead",
    "location": "compound fields; their components are read instead",
    "base64": "files (base64); a query gives no content for them",
    "junctionidlist": "lists of ids; Bulk cannot query them",
}
FIELD_TYPES = (*_KINDS, *sorted(_NUMBER_TYPES), *_LEFT_OUT)  # all that we have a rule for


def column(field: Mapping[str, Any], *, numbers: str = "decimal") -> Column:
    """The column for a field of a describe; `numbers="double"` gives up exact decimals for values of any scale.

    Formula results (`calculated`) have more decimals than their scale says, so they are always doubles. The key `Id` is the
    only column that is never null. A type that we do not know is text.
    """
    told = str(field["type"])
    kind = _KINDS.get(told, Kind.STRING)
    calculated = bool(field.get("calculated"))
    precision, scale = int(field.get("precision") or 0), int(field.get("scale") or 0)
    if told in _NUMBER_TYPES:
        exact = numbers == "decimal" and not calculated and 0 < precision <= MAX_PRECISION and scale <= MAX_PRECISION
        kind = Kind.DECIMAL if exact else Kind.DOUBLE
    is_decimal = kind is Kind.DECIMAL
    return Column(
        name=str(field["name"]),
        kind=kind,
        length=int(field.get("length") or 0) if kind is Kind.STRING else 0,
        precision=max(precision, scale) if is_decimal else 0,
        scale=scale if is_decimal else 0,
        nullable=told != "id",
        source_type=told,
        calculated=calculated,
    )


def left_out(field: Mapping[str, Any]) -> str | None:
    """Why a field cannot be a column, or None when it can."""
    return _LEFT_OUT.get(str(field["type"]).lower())


def is_known(field: Mapping[str, Any]) -> bool:
    """Whether the field's type is one that we have a rule for."""
    told = str(field["type"])
    return told in _KINDS or told in _NUMBER_TYPES or told.lower() in _LEFT_OUT


def check_numbers(numbers: str) -> str:
    """`numbers`, once it is sure that it is a setting that we have.

    Raises: FixConfig.
    """
    if numbers not in NUMBERS:
        raise FixConfig("Reading the options", f"numbers={numbers!r} is unknown", hint="Use decimal or double.")
    return numbers


def batch_of_records(records: Sequence[Mapping[str, Any]], schema: Schema, *, sobject: str) -> pa.RecordBatch:
    """REST's records as an Arrow batch with the schema's columns; floats must have been parsed as Decimals.

    Raises: SchemaConflict for a value that its column cannot hold without loss, and for a record without a field that was asked
    for: a null is told as such.
    """
    try:
        texts = [pa.array([text(record[c.name]) for record in records], pa.string()) for c in schema]
    except KeyError as error:
        cause, hint = f"a record came without the field {error}", "The object may have changed while it was read; run it again."
        raise SchemaConflict(f"Reading {sobject}", cause, hint=hint) from error
    columns = [typed(values, c, sobject=sobject) for values, c in zip(texts, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema.arrow)


def batch_of_texts(texts: pa.RecordBatch, schema: Schema, *, sobject: str) -> pa.RecordBatch:
    """CSV text columns (null where empty) as an Arrow batch with the schema's columns, found by name.

    Raises: SchemaConflict as `batch_of_records`.
    """
    columns = [typed(texts.column(c.name), c, sobject=sobject) for c in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema.arrow)


def text(value: object) -> str | None:
    """A JSON value as Bulk's CSV spells it; None for null and for empty text, which Salesforce does not keep."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain_number)
    return str(value)


def typed(texts: pa.Array, column: Column, *, sobject: str) -> pa.Array:
    """Texts as the column's Arrow type, exactly: nothing is rounded or cut.

    Raises: SchemaConflict naming the field and the first value that does not fit.
    """
    cast = _CASTS.get(column.kind, _by_arrow)
    try:
        return cast(texts, column)
    except pa.ArrowInvalid as error:
        raise _conflict(_culprit(texts, column, cast=cast), column, sobject=sobject) from error


Cast = Callable[[pa.Array, Column], pa.Array]


def _by_arrow(texts: pa.Array, column: Column) -> pa.Array:
    return texts.cast(column.arrow)


def _as_integer(texts: pa.Array, column: Column) -> pa.Array:
    """Integers, also where they are written `12.0` or `1.2E1`."""
    try:
        return texts.cast(column.arrow)
    except pa.ArrowInvalid:
        return texts.cast(pa.decimal128(MAX_PRECISION, 18)).cast(column.arrow)


def _as_time(texts: pa.Array, column: Column) -> pa.Array:
    """`10:20:30.000Z`; Arrow casts no text to a time, so the time goes by way of a day."""
    moments = pc.binary_join_element_wise("1970-01-01T", texts, "").cast(pa.timestamp("us", "UTC"))
    return moments.cast(column.arrow)


_CASTS: Mapping[Kind, Cast] = {Kind.INTEGER: _as_integer, Kind.TIME: _as_time}


def _culprit(texts: pa.Array, column: Column, *, cast: Cast) -> str:
    """The first value that the cast refuses, found by halves."""
    while len(texts) > 1:
        half = texts.slice(0, len(texts) // 2)
        try:
            cast(half, column)
        except pa.ArrowInvalid:
            texts = half
        else:
            texts = texts.slice(len(half))
    return str(texts[0].as_py())


def _conflict(value: str, column: Column, *, sobject: str) -> SchemaConflict:
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    wanted, hint = column.kind.value, "Leave the field out (exclude), and report this as a defect of Halocline."
    if column.kind is Kind.DECIMAL:
        wanted = f"a decimal of {column.precision} digits with {column.scale} after the point, as its description says"
        hint = 'Read the object with numbers="double", or leave the field out (exclude); nothing is rounded silently.'
    cause = f"the value {shown!r} does not fit {wanted}"
    return SchemaConflict(f"Reading {sobject}.{column.name}", cause, hint=hint, field=column.name, value=shown)


def _plain_number(value: object) -> object:
    """Decimals inside nested JSON, which only the json module asks for."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return int(value) if value == value.to_integral_value() else float(value)
