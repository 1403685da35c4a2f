"""Values for fields that only the user's schema knows: custom fields, and whole objects without a recipe, by type alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from halocline.emulator.objects import Field
from halocline.emulator.seeding.block import DAY_S, Block, Columns, dates, stamps
from halocline.emulator.seeding.dice import joined, padded, rounded
from halocline.emulator.seeding.traits import email, name_positions, phone
from halocline.emulator.tables import columns

FILLED = 0.85  # share of rows in which an optional custom field has a value
_MOST_DIGITS = 6  # numbers stay below a million, so that they look like something
_RECORD_TYPE = "RecordTypeId"
_CUT_TYPES = frozenset({"string", "textarea", "url", "phone", "email", "combobox"})


def custom_columns(block: Block) -> Columns:
    """A value for every custom field of the object that can hold one, and the Name of a custom object."""
    custom = block.sobject.custom
    return columns_of(block, [one for one in columns(block.sobject) if _is_custom(one) or (custom and one.name_field)])


def _is_custom(field: Field) -> bool:
    return field.custom or field.name.endswith("__c")


def columns_of(block: Block, fields: Iterable[Field]) -> Columns:
    """A value for each of the fields that can hold one; formulas that are only stored have values like other fields."""
    found = {field.name: _column(block, field) for field in fields}
    return {name: column for name, column in found.items() if column is not None}


def record_types(block: Block) -> Columns:
    """A record type for each row, where the object has any; objects without them have no such value."""
    types = [one.id for one in block.sobject.record_types if one.active]
    if not types or not block.sobject.field(_RECORD_TYPE):
        return {}
    return {_RECORD_TYPE: block.dice.pick(pa.array(types, pa.string()))}


def fitting(block: Block, field: Field, *, column: pa.Array) -> pa.Array:
    """The column as the field can hold it: texts cut to its length, values that its picklist does not offer replaced.

    Recipes are written for the packaged schemas, and an org may have shortened a field or changed a picklist.
    """
    if field.type == "picklist" and field.picklist:
        offered = pa.array(_offered(field), pa.string())
        strange = pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=offered)))
        column = pc.if_else(strange, block.dice.pick(offered), column) if pc.any(strange).as_py() else column
    if field.length and field.type in _CUT_TYPES and not field.unique:
        return pc.utf8_slice_codeunits(column, 0, field.length)
    return column


def _column(block: Block, field: Field) -> pa.Array | None:
    make = _BY_TYPE.get(field.type)
    if make is None or field.name == _RECORD_TYPE:
        return None
    if field.auto_number is not None or (field.name_field and field.type == "string"):
        return _name(block, field)
    if field.unique or field.external_id:
        return _unique(block, field)
    column = make(block, field)
    return block.dice.sometimes(column, FILLED) if field.nillable else column


def _name(block: Block, field: Field) -> pa.Array:
    number = pc.add(block.serials, 1)
    if field.auto_number is None:
        return joined(f"{block.sobject.label} ", padded(number, 6))
    head, _, rest = field.auto_number.partition("{")
    digits, _, tail = rest.partition("}")
    return joined(head, padded(number, len(digits)), tail)


def _unique(block: Block, field: Field) -> pa.Array:
    """A value that no other row has, within the field's length."""
    if field.type in _NUMBER_TYPES:
        return block.serials
    word = "".join(letter for letter in field.name.removesuffix("__c") if letter.isalnum())[:12].upper()
    width = 8
    text = padded(block.serials, min(width, field.length))
    value = joined(f"{word}-", text) if len(word) + 1 + width <= field.length else text
    return joined(value, "@halocline.example") if field.type == "email" else value


def _text(block: Block, field: Field) -> pa.Array:
    words = joined(block.word("company_roots"), " ", block.word("product_lines"), " ", block.word("products"))
    return pc.utf8_slice_codeunits(words, 0, field.length)


def _long_text(block: Block, field: Field) -> pa.Array:
    return pc.utf8_slice_codeunits(block.dice.pick(block.words.descriptions), 0, field.length)


def _choice(block: Block, field: Field) -> pa.Array:
    return block.dice.pick(pa.array(_offered(field), pa.string()))


def _offered(field: Field) -> list[str | None]:
    """The values that may be chosen; where none are listed, anything, or nothing if the list is all there is."""
    values: list[str | None] = [value.value for value in field.picklist if value.active]
    return values or ([None] if field.restricted_picklist else ["A", "B", "C"])


def _choices(block: Block, field: Field) -> pa.Array:
    """One value, or two neighbours of the list."""
    values = _offered(field)
    pairs = [f"{one};{other}" for one, other in itertools.pairwise(values)]
    return block.dice.pick(pa.array([*values, *pairs], pa.string()))


def _url(block: Block, field: Field) -> pa.Array:
    address = joined("https://", block.dice.pick(block.words.slugs["company_roots"]), ".example/", block.dice.digits(4))
    return pc.utf8_slice_codeunits(address, 0, field.length)


def _phone(block: Block, field: Field) -> pa.Array:
    return pc.utf8_slice_codeunits(phone(block), 0, field.length)


def _email(block: Block, field: Field) -> pa.Array:
    return pc.utf8_slice_codeunits(email(block, *name_positions(block)), 0, field.length)


def _boolean(block: Block, _field: Field) -> pa.Array:
    return block.dice.chance(0.35)


def _whole(block: Block, field: Field) -> pa.Array:
    return block.dice.numbers(10 ** min(field.digits, _MOST_DIGITS))


def _number(block: Block, field: Field) -> pa.Array:
    if field.name.endswith("__Latitude__s") or field.name.endswith("__Longitude__s"):
        return block.dice.pick(block.words.places["latitude" if "Latitude" in field.name else "longitude"])
    most = 10 ** min(field.precision - field.scale, _MOST_DIGITS)
    return rounded(pc.multiply(block.dice.fractions(), float(most - 1)), field.scale)


def _percent(block: Block, field: Field) -> pa.Array:
    most = 10 ** min(field.precision - field.scale, 2)
    return rounded(pc.multiply(block.dice.fractions(), float(most)), field.scale)


def _date(block: Block, _field: Field) -> pa.Array:
    return dates(_moment(block))


def _datetime(block: Block, _field: Field) -> pa.Array:
    return stamps(_moment(block))


def _moment(block: Block) -> pa.Array:
    return pc.add(block.created, block.dice.numbers(365 * DAY_S))


def _time(block: Block, _field: Field) -> pa.Array:
    return pc.strftime(pc.cast(block.dice.numbers(DAY_S), pa.timestamp("s")), "%H:%M:%S.000Z")


def _reference(block: Block, field: Field) -> pa.Array:
    """An older record of the first target that has any; a user for users."""
    target = next((name for name in field.reference_to if name in block.parents), None)
    if target == "User" or (target is None and "User" in field.reference_to):
        return block.dice.pick(block.users)
    return pa.nulls(block.rows, pa.string()) if target is None else block.reference(target)


_NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})
_BY_TYPE: Mapping[str, Callable[[Block, Field], pa.Array]] = {
    "string": _text,
    "encryptedstring": _text,
    "textarea": _long_text,
    "picklist": _choice,
    "combobox": _choice,
    "multipicklist": _choices,
    "url": _url,
    "phone": _phone,
    "email": _email,
    "boolean": _boolean,
    "int": _whole,
    "double": _number,
    "currency": _number,
    "percent": _percent,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "reference": _reference,
}
