"""Nested: attribute values in Arrow as plain JSON text, or as Python values, a column at a time.

Numbers keep all digits, sets are sorted arrays, bytes are base64, NULL is null. The names in an object come in one order for all
rows of a page, not in the order of each item: an object of JSON has none.

Python values are those that `values.item` makes of each item; the parser's tagged objects are never made in Python, which is most
of what it costs to read DynamoDB there.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.aws.dynamodb.values import json_number, malformed, number

_ESCAPED = r'["\\\x00-\x1f]'
_QUOTED = r'(["\\])'
_CONTROL = r"[\x00-\x1f]"
_JSON_NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"

_MISSING = object()
_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$"


def texts(cells: pa.StructArray) -> pa.StringArray:
    """The JSON text of each attribute value; null where there is none.

    Raises: Stop for what DynamoDB would not have sent.
    """
    check(cells)
    found = [_WRITE[held.name](pc.struct_field(cells, [index])) for index, held in enumerate(cells.type)]
    if not found:
        return pa.nulls(len(cells), pa.string())
    return found[0] if len(found) == 1 else pc.coalesce(*found)


def check(cells: pa.StructArray) -> None:
    """See that each attribute value has one tag, and that it is known.

    Raises: Stop for what DynamoDB would not have sent.
    """
    wanted = len(cells) - cells.null_count
    held = [pc.struct_field(cells, [index]) for index in range(cells.type.num_fields)]
    if sum(len(one) - one.null_count for one in held) != wanted or (len(held) > 1 and not _is_single(cells, held)):
        raise malformed("an attribute value has no type, or several")


def _is_single(cells: pa.StructArray, held: list[pa.Array]) -> bool:
    """Whether each value has one tag: if each has at least one, and there are as many tags as values, each has just one."""
    there = held[0].is_valid()
    for one in held[1:]:
        there = pc.or_(there, one.is_valid())
    return bool(pc.all(pc.equal(there, cells.is_valid()), min_count=0).as_py())


def quoted(values: pa.StringArray) -> pa.StringArray:
    """Texts as strings of JSON."""
    odd = pc.match_substring_regex(values, _ESCAPED)
    if pc.any(odd).as_py():
        values = pc.replace_substring_regex(values, _QUOTED, r"\\\1")
        control = pc.fill_null(pc.match_substring_regex(values, _CONTROL), fill_value=False)
        if pc.any(control).as_py():
            # what is escaped above is not touched again: only control characters are replaced
            plain = [_controls(text) for text in values.filter(control).to_pylist()]
            values = pc.replace_with_mask(values, control, pa.array(plain, pa.string()))
    return _wrapped('"', values, '"')


def _controls(text: str) -> str:
    return "".join(encode_basestring(one)[1:-1] if one < " " else one for one in text)


def numbers(values: pa.StringArray) -> pa.StringArray:
    """Numbers as JSON writes them.

    Raises: Stop for a text that is no number.
    """
    odd = pc.fill_null(pc.invert(pc.match_substring_regex(values, _JSON_NUMBER)), fill_value=False)
    if not pc.any(odd).as_py():
        return values
    try:
        plain = [json_number(text) for text in values.filter(odd).to_pylist()]
    except ValueError as error:
        raise malformed(str(error)) from error
    return pc.replace_with_mask(values, odd, pa.array(plain, pa.string()))


def _object(values: pa.Array) -> pa.StringArray:
    if pa.types.is_string(values.type):
        return values  # of a wild attribute: it is text already
    members = []
    for index, held in enumerate(values.type):
        inside = texts(pc.struct_field(values, [index]))
        members.append(_joined(f",{encode_basestring(held.name)}:", inside))
    if not members:
        return pc.if_else(values.is_valid(), pa.scalar("{}"), pa.scalar(None, pa.string()))
    # Not with null_handling="skip", which drops rows that are all null: https://github.com/narwhals-dev/narwhals/issues/3965
    together = pc.binary_join_element_wise(*members, "", null_handling="replace", null_replacement="")
    opened = pc.binary_replace_slice(together, 0, 1, "{")  # in place of the first comma, and also where there is nothing
    if values.null_count:
        opened = pc.if_else(values.is_valid(), opened, pa.scalar(None, pa.string()))
    return _joined(opened, "}")


def _list(values: pa.Array) -> pa.StringArray:
    if pa.types.is_string(values.type):
        return values  # likewise
    return _array(values, texts(values.flatten()))


def _set(values: pa.ListArray, order: list[pa.Array], write: pa.StringArray) -> pa.StringArray:
    """Sets are sorted: the members of each list, by `order`."""
    parents = pc.list_parent_indices(values)
    keys = [("list", "ascending"), *((f"k{n}", "ascending") for n in range(len(order)))]
    table = pa.table([parents, *order], names=[name for name, _ in keys])
    return _array(values, write.take(pc.sort_indices(table, sort_keys=keys)))


def _texts_set(values: pa.ListArray) -> pa.StringArray:
    flat = values.flatten()
    return _set(values, [flat], quoted(flat))


def _bytes_set(values: pa.ListArray) -> pa.StringArray:
    flat = values.flatten()
    return _set(values, [flat], _wrapped('"', flat, '"'))


def _numbers_set(values: pa.ListArray) -> pa.StringArray:
    flat = values.flatten()
    write = numbers(flat)  # first: it refuses what is no number
    return _set(values, [write.cast(pa.float64()), flat], write)


def _array(values: pa.ListArray, members: pa.StringArray) -> pa.StringArray:
    """The arrays of JSON that have these members, as many for each as its list has."""
    lengths = pc.fill_null(pc.list_value_length(values), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    together = pc.binary_join(pa.ListArray.from_arrays(offsets, members), ",")
    if values.null_count:
        together = pc.if_else(values.is_valid(), together, pa.scalar(None, pa.string()))
    return _wrapped("[", together, "]")


def _joined(first: pa.StringArray | str, second: pa.StringArray | str) -> pa.StringArray:
    return pc.binary_join_element_wise(first, second, "")


def _wrapped(before: str, values: pa.StringArray, behind: str) -> pa.StringArray:
    return pc.binary_join_element_wise(before, values, behind, "")


def _flags(values: pa.BooleanArray) -> pa.StringArray:
    return pc.if_else(values, pa.scalar("true"), pa.scalar("false"))


def _nothing(values: pa.BooleanArray) -> pa.StringArray:
    return pc.if_else(values.is_valid(), pa.scalar("null"), pa.scalar(None, pa.string()))


def _base64(values: pa.StringArray) -> pa.StringArray:
    return _wrapped('"', values, '"')


_WRITE = {
    "S": quoted,
    "N": numbers,
    "B": _base64,
    "BOOL": _flags,
    "NULL": _nothing,
    "M": _object,
    "L": _list,
    "SS": _texts_set,
    "NS": _numbers_set,
    "BS": _bytes_set,
}


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
