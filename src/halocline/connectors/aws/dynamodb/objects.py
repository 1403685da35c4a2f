"""Objects: attribute values in Arrow as Python values, a column at a time; the same that `values.item` makes of each item.

The parser's tagged objects are never made in Python, which is most of what it costs to read DynamoDB there.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.aws.dynamodb.nested import check
from halocline.connectors.aws.dynamodb.values import number

_MISSING = object()
_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$"


def objects(items: pa.StructArray) -> list[dict[str, Any]]:
    """The dict of each object: what it lacks is not in it.

    Raises: Stop for what is no page; DecimalException or ValueError for a number or bytes that are none.
    """
    full: dict[str, list[Any]] = {}
    sparse: dict[str, list[Any]] = {}
    for index, held in enumerate(items.type):
        cells = pc.struct_field(items, [index])
        (sparse if cells.null_count else full)[held.name] = _values(cells)
    names = tuple(full)
    made = [dict(zip(names, row, strict=True)) for row in zip(*full.values(), strict=True)] or [{} for _ in range(len(items))]
    for name, values in sparse.items():
        for one, value in zip(made, values, strict=True):
            if value is not _MISSING:
                one[name] = value
    return made


def _values(cells: pa.StructArray) -> list[Any]:
    """The value of each cell; _MISSING where there is none."""
    check(cells)
    tags = [held.name for held in cells.type]
    if len(tags) == 1:
        return _READ[tags[0]](pc.struct_field(cells, [0]))
    made: list[Any] = [_MISSING] * len(cells)
    for index, tag in enumerate(tags):
        held = pc.struct_field(cells, [index])
        if held.null_count < len(held):
            for row, value in enumerate(_READ[tag](held)):
                if value is not _MISSING:
                    made[row] = value
    return made


def _listed(values: pa.Array) -> list[Any]:
    found = values.to_pylist()
    return [_MISSING if value is None else value for value in found] if values.null_count else found


def _each(values: pa.Array, *, read: Callable[[Any], Any]) -> list[Any]:
    found = values.to_pylist()
    if values.null_count:
        return [_MISSING if value is None else read(value) for value in found]
    return list(map(read, found))


def _nulls(values: pa.Array) -> list[Any]:
    return [None if there else _MISSING for there in values.is_valid().to_pylist()]


def _maps(values: pa.StructArray) -> list[Any]:
    if not values.null_count:
        return objects(values)
    there = iter(objects(values.drop_null()))
    return [next(there) if valid else _MISSING for valid in values.is_valid().to_pylist()]


def _lists(values: pa.ListArray) -> list[Any]:
    members = _values(values.flatten())
    made: list[Any] = []
    start = 0
    for length in pc.list_value_length(values).to_pylist():
        if length is None:
            made.append(_MISSING)
        else:
            made.append(members[start : start + length])
            start += length
    return made


def _numbers(values: pa.StringArray) -> list[Any]:
    """Decimal would also take NaN, 1_000 and blanks; few numbers are so odd that this is looked at one by one."""
    plain = pc.all(pc.match_substring_regex(values, _PLAIN), min_count=0).as_py()
    return _each(values, read=Decimal if plain else number)


def _number_set(texts: Iterable[str]) -> set[Decimal]:
    return {number(text) for text in texts}


_bytes = partial(binascii.a2b_base64, strict_mode=True)
_READ: dict[str, Callable[[pa.Array], list[Any]]] = {
    "S": _listed,
    "N": _numbers,
    "B": partial(_each, read=_bytes),
    "BOOL": _listed,
    "NULL": _nulls,
    "M": _maps,
    "L": _lists,
    "SS": partial(_each, read=set),
    "NS": partial(_each, read=_number_set),
    "BS": partial(_each, read=lambda texts: {_bytes(text) for text in texts}),
}
