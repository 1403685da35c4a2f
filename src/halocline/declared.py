"""Declared: columns as a person writes them down, `{"caseId": "text not null", "amount": "decimal(18,2)"}`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from halocline.errors import FixConfig
from halocline.mapping.near import near
from halocline.schema import Column, Kind, Schema

_WORDS = {
    **dict.fromkeys(("text", "string", "varchar", "char", "uuid"), Kind.STRING),
    **dict.fromkeys(("integer", "int", "smallint", "bigint"), Kind.INTEGER),
    **dict.fromkeys(("decimal", "numeric"), Kind.DECIMAL),
    **dict.fromkeys(("double", "float"), Kind.DOUBLE),
    **dict.fromkeys(("boolean", "bool"), Kind.BOOLEAN),
    **dict.fromkeys(("json", "jsonb"), Kind.JSON),
    **dict.fromkeys(("datetime", "timestamptz"), Kind.DATETIME),
    **dict.fromkeys(("binary", "bytea"), Kind.BINARY),
    "date": Kind.DATE,
    "time": Kind.TIME,
}
_OWN = {"int": "integer", "integer": "integer", "smallint": "smallint", "uuid": "uuid"}
"""The words whose own limits a value is held to."""
_TYPE = re.compile(r"([a-z]+)(?:\((\d+)(?:\s*,\s*(\d+))?\))?(\s+not\s+null)?")
_MOST_DIGITS = 38


def declared(columns: Mapping[str, str], key: Sequence[str] = ()) -> Schema:
    """The schema that is written down.

    Raises: FixConfig for a type that nobody knows, with what may have been meant.
    """
    return Schema(tuple(_column(name, told) for name, told in columns.items()), tuple(key))


def _column(name: str, told: str) -> Column:
    doing = f"Reading the type of the column {name}"
    found = _TYPE.fullmatch(" ".join(told.lower().split()))
    if found is None or found[1] not in _WORDS:
        hint = "Write text, varchar(80), integer, bigint, decimal(18,2), double, boolean, date, datetime, json, ... [not null]."
        meant = near(re.split(r"\W", told.strip().lower(), maxsplit=1)[0], list(_WORDS))
        raise FixConfig(doing, f"{told!r} is no type", hint=f"Did you mean {' or '.join(meant)}? {hint}" if meant else hint)
    word, first, second, needed = found[1], found[2], found[3], found[4]
    kind = _WORDS[word]
    if kind is Kind.DECIMAL:
        precision, scale = int(first or 0), int(second or 0)
        if not 0 < precision <= _MOST_DIGITS or scale > precision:
            hint = f"Write decimal(18,2); it has up to {_MOST_DIGITS} digits."
            raise FixConfig(doing, f"{told!r} does not say how many digits it has", hint=hint)
        return Column(name, kind, precision=precision, scale=scale, nullable=needed is None)
    length = int(first) if first and kind is Kind.STRING else 0
    return Column(name, kind, length=length, nullable=needed is None, source_type=_OWN.get(word, ""))
