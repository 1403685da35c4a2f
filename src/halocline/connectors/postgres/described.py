"""Described: the columns of a table or a query in the neutral types, each with PostgreSQL's own word for its type."""

from __future__ import annotations

import re
from collections.abc import Sequence

from halocline.connectors.postgres.client import Cursor, one, rows
from halocline.connectors.postgres.tables import CAPITALS, Table
from halocline.connectors.postgres.types import is_array, longest
from halocline.errors import FixConfig
from halocline.schema import Column, Kind, Schema

NAIVE = "timestamp without time zone"
_KINDS = {
    "boolean": Kind.BOOLEAN,
    "smallint": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "bigint": Kind.INTEGER,
    "real": Kind.DOUBLE,
    "double precision": Kind.DOUBLE,
    "date": Kind.DATE,
    "time without time zone": Kind.TIME,
    "timestamp with time zone": Kind.DATETIME,
    NAIVE: Kind.DATETIME,  # there is no neutral type without a zone: it is taken for UTC
    "bytea": Kind.BINARY,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
}
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_CHARACTER = re.compile(r"character\((\d+)\)")
_MOST_DIGITS = 38  # of Arrow's decimals
_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef OR attidentity <> '' OR attgenerated <> ''
FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_KEY = """
SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey::int[]) WITH ORDINALITY k (number, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.place
"""


def column(name: str, kind: str, *, nullable: bool = True) -> Column:
    """A column of the type that PostgreSQL calls `kind`. What no neutral type holds exactly is text, as PostgreSQL writes it.

    A numeric without digits declared is text too, so that no digit is lost; an array is JSON.
    """
    found = _NUMERIC.fullmatch(kind)
    if found is not None and int(found[1]) <= _MOST_DIGITS and int(found[2]) <= int(found[1]):
        return Column(name, Kind.DECIMAL, precision=int(found[1]), scale=int(found[2]), nullable=nullable, source_type=kind)
    if is_array(kind):
        return Column(name, Kind.JSON, nullable=nullable, source_type=kind)
    if kind in _KINDS:
        return Column(name, _KINDS[kind], nullable=nullable, source_type=kind)
    character = _CHARACTER.fullmatch(kind)
    length = int(character[1]) if character else longest(kind) or 0
    return Column(name, Kind.STRING, length=length, nullable=nullable, source_type=kind)


def schema_of(cursor: Cursor, table: Table) -> Schema:
    """The columns and the primary key of a table."""
    found = rows(cursor, _COLUMNS, values=(table.oid,))
    return Schema(tuple(column(str(n), str(k), nullable=not needed) for n, k, needed, _ in found), _key(cursor, table))


def fillable(cursor: Cursor, table: Table) -> Schema:
    """Likewise, without the columns that the database fills by itself: with a default, an identity or an expression.

    Raises: FixConfig for a column with capitals in its name: the names that a load writes are in lower case.
    """
    found = rows(cursor, _COLUMNS, values=(table.oid,))
    capital = [str(name) for name, _, _, own in found if str(name) != str(name).lower() and not own]
    if capital:
        cause = f'its column "{capital[0]}" is spelled with capitals'
        raise FixConfig(f"Looking at the columns of {table.label}", cause, hint=CAPITALS)
    named = [column(str(n), str(k), nullable=not needed) for n, k, needed, own in found if not own]
    return Schema(tuple(named), _key(cursor, table))


def answered(cursor: Cursor, names: Sequence[str], *, types: Sequence[tuple[int, int]]) -> Schema:
    """The columns of a query's answer, by the numbers of their types and modifiers."""
    kinds = [str(one(cursor, "SELECT format_type($1::oid, $2::int)", values=numbers)) for numbers in types]
    return Schema(tuple(column(name, kind) for name, kind in zip(names, kinds, strict=True)))


def _key(cursor: Cursor, table: Table) -> tuple[str, ...]:
    return tuple(str(name) for (name,) in rows(cursor, _KEY, values=(table.oid,)))
