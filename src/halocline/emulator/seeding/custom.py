"""Values for fields that only the user's schema knows: custom fields, and whole custom objects, by type alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from halocline.emulator.objects import Field
from halocline.emulator.seeding.block import DAY_S, Block, Columns, dates, stamps
from halocline.emulator.seeding.dice import joined, padded, rounded
from halocline.emulator.seeding.traits import email, name_positions, phone

FILLED = 0.85  # share of rows in which an optional custom field has a value
_MOST_DIGITS = 6  # numbers stay below a million, so that they look like something


def custom_columns(block: Block) -> Columns:
    """A value for every custom field of the object that can hold one, and the Name of a custom object."""
    columns: Columns = {}
    for field in block.sobject.stored_fields():
        column = _column(block, field)
        if column is not None:
            columns[field.name] = column
    return columns


def _column(block: Block, field: Field) -> pa.Array | None:
    if block.sobject.custom and field.name_field:
        return _name(block, field)
    make = _BY_TYPE.get(field.type)
    if not field.custom or field.calculated or make is None:
        return None
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
    values = [value.value for value in field.picklist if value.active] or ["A", "B", "C"]
    return block.dice.pick(pa.array(values, pa.string()))


def _choices(block: Block, field: Field) -> pa.Array:
    """One value, or two neighbours of the list."""
    values = [value.value for value in field.picklist if value.active] or ["A", "B", "C"]
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
    if target is None and field.nillable:
        return pa.nulls(block.rows, pa.string())
    return block.reference(target or field.reference_to[0])


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
