"""SELECT: a whole SOQL query of a user's, taken apart into what a sync reads - object, fields, fields of parents, condition.

What a table of rows cannot be kept from is refused with the reason: groups and aggregates, sub-queries, TYPEOF, LIMIT, OFFSET,
ORDER BY. Parents are followed up to five levels, by REST and by Bulk; a Bulk page's header spells them `Owner.Name`.

Source: SOQL and SOSL Reference, "SOQL SELECT Syntax", "Understanding Relationship Query Limitations" (five levels),
"Understanding Polymorphic Relationships"; for Bulk https://developer.salesforce.com/docs/atlas.en-us.212.0.api_asynch.meta/api_asynch/
asynch_api_using_bulk_query.htm ("You can use SOQL relationships in bulk queries"). Read November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from halocline.connectors.salesforce import types
from halocline.errors import BadQuery, NotFound
from halocline.mapping.near import near
from halocline.schema import Column

MAX_LEVELS = 5
_DOING = "Reading the SOQL"
_EXAMPLE = "Write SELECT Id, Name, Owner.Name FROM Account WHERE Industry = 'Energy'."
_QUERY = re.compile(r"\s*SELECT\s+(?P<list>.+?)\s+FROM\s+(?P<object>\w+)(?P<rest>.*)\Z", re.IGNORECASE | re.DOTALL)
_PATH = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*", re.ASCII)
_WHERE = re.compile(r"\s*WHERE\b", re.IGNORECASE)
_TYPEOF = re.compile(r"\s*TYPEOF\b", re.IGNORECASE)
_ALL = re.compile(r"\*|FIELDS\s*\(\s*\w+\s*\)", re.IGNORECASE)
_ALL_ARE_CARRIED = "Leave the query out (--soql, soql): without it all fields are carried, and --where (where) chooses rows."
_REFUSED = (
    (re.compile(r"\bGROUP\s+BY\b|\bHAVING\b", re.I), "GROUP BY makes rows that are no records; group in the warehouse"),
    (re.compile(r"\bLIMIT\s+[\d:]", re.I), "LIMIT would leave rows out by chance; narrow it with a condition"),
    (re.compile(r"\bOFFSET\s+[\d:]", re.I), "OFFSET would leave rows out by chance; narrow it with a condition"),
    (re.compile(r"\bORDER\s+BY\b", re.I), "a table has no order, and ORDER BY makes Salesforce slow; leave it out"),
    (re.compile(r"\bALL\s+ROWS\b", re.I), "the setting for deletes decides on ALL ROWS; leave it out"),
    (re.compile(r"\bUSING\s+SCOPE\b", re.I), "USING SCOPE has no place in a sync; write a condition"),
    (re.compile(r"\bWITH\s+\w", re.I), "WITH has no place in a sync; write a condition"),
    (
        re.compile(r"\bFOR\s+(VIEW|REFERENCE|UPDATE)\b", re.I),
        "FOR VIEW, FOR REFERENCE and FOR UPDATE change what is only to be read",
    ),
    (re.compile(r"\bUPDATE\s+(TRACKING|VIEWSTAT)\b", re.I), "UPDATE changes what is only to be read"),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query asks for: `fields` of the object itself, `paths` to fields of its parents, and `where`, its condition."""

    object: str
    fields: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...] = ()
    where: str | None = None


def parse(text: str) -> Selection:
    """The query, taken apart; names are not looked up yet.

    Raises: BadQuery for a query that a sync cannot carry, saying why.
    """
    text = text.strip().removesuffix(";")
    bare = _bare(text)
    found = _QUERY.fullmatch(bare)
    if found is None:
        raise BadQuery(_DOING, f"it is no SELECT ... FROM ... ({_short(text)})", hint=_EXAMPLE)
    items = list(_items(text, bare, found.span("list")))
    names = [tuple(_without_object(item.split("."), found["object"])) for item in items]
    return Selection(
        found["object"],
        tuple(_distinct([name[0] for name in names if len(name) == 1])),
        tuple(tuple(path.split(".")) for path in _distinct([".".join(name) for name in names if len(name) > 1])),
        _condition(text[found.start("rest") :], found["rest"]),
    )


def parent_columns(
    paths: Sequence[tuple[str, ...]], start: Mapping[str, Any], *, describe: Callable[[str], Mapping[str, Any]], numbers: str
) -> tuple[Column, ...]:
    """The columns for fields of parents, typed by the parents' describes and named by their whole path: `Owner.Name`.

    They count as calculated: a parent changes without a stamp of the child's. Where a relationship may lead to several objects,
    the first of them that has the field gives the type.
    Raises: NotFound with near names for a relationship or a field; BadQuery for a field that no column can hold.
    """
    columns: dict[str, Column] = {}
    for path in paths:
        column = _followed(path, start, describe=describe, numbers=numbers)
        columns.setdefault(column.name.lower(), column)
    return tuple(columns.values())


def _followed(
    path: tuple[str, ...], start: Mapping[str, Any], *, describe: Callable[[str], Mapping[str, Any]], numbers: str
) -> Column:
    doing = f"Choosing fields of {start['name']}"
    if len(path) - 1 > MAX_LEVELS:
        raise BadQuery(doing, f"{'.'.join(path)} goes up {len(path) - 1} levels; SOQL goes up {MAX_LEVELS}")
    here: list[Mapping[str, Any]] = [start]
    spelled: list[str] = []
    for name in path[:-1]:
        reference = _relationship(here, name, doing=doing)
        spelled.append(str(reference["relationshipName"]))
        here = list(_described(reference["referenceTo"], describe))
    field = _field(here, path[-1], doing=doing, path=path)
    reason = types.left_out(field)
    if reason:
        raise BadQuery(doing, f"{'.'.join(path)} cannot be a column: {reason}")
    return replace(
        types.column(field, numbers=numbers), name=".".join([*spelled, str(field["name"])]), nullable=True, calculated=True
    )


def _described(names: Sequence[str], describe: Callable[[str], Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The objects that a relationship may lead to, those left out that this user may not see."""
    for name in names:
        try:
            yield describe(name)
        except NotFound:
            continue


def _relationship(here: Sequence[Mapping[str, Any]], name: str, *, doing: str) -> Mapping[str, Any]:
    fields = [field for told in here for field in told["fields"] if field.get("relationshipName")]
    for field in fields:
        if str(field["relationshipName"]).lower() == name.lower():
            found: Mapping[str, Any] = field
            return found
    known = [str(field["relationshipName"]) for field in fields]
    raise NotFound(doing, f"there is no relationship {name!r}", suggestions=near(name, known), hint=_RELATIONSHIP)


_RELATIONSHIP = "A relationship is named by its own name (Owner, Parent__r), not by its field (OwnerId, Parent__c)."


def _field(here: Sequence[Mapping[str, Any]], name: str, *, doing: str, path: Sequence[str]) -> Mapping[str, Any]:
    for told in here:
        for field in told["fields"]:
            if str(field["name"]).lower() == name.lower():
                found: Mapping[str, Any] = field
                return found
    if len(here) > 1 and name.lower() == "type":  # of every relationship to several objects: which of them it is
        return {"name": "Type", "type": "string", "length": 40}
    known = [str(field["name"]) for told in here for field in told["fields"]]
    hint = "Check that the user may see it (field-level security)."
    raise NotFound(doing, f"there is no field {'.'.join(path)!r}", suggestions=near(name, known), hint=hint)


def _bare(text: str) -> str:
    """The text with everything inside of quotes and parentheses blotted out, at the same places.

    Raises: BadQuery when they do not balance.
    """
    kept, depth, quoted, escaped = [], 0, False, False
    for char in text:
        if quoted:
            quoted, escaped = escaped or char != "'", char == "\\" and not escaped
            kept.append("~")
            continue
        depth -= char == ")"
        kept.append("~" if depth > 0 or char == "'" else char)
        depth += char == "("
        quoted = char == "'"
        if depth < 0:
            break
    if depth or quoted:
        what = "a quote is not closed" if quoted else "the parentheses do not balance"
        raise BadQuery(_DOING, f"{what} in {_short(text)}")
    return "".join(kept)


def _items(text: str, bare: str, span: tuple[int, int]) -> Iterator[str]:
    """The names in the list of a SELECT.

    Raises: BadQuery for what is no name.
    """
    begin = span[0]
    for piece in bare[slice(*span)].split(","):
        item = text[begin : begin + len(piece)].strip()
        begin += len(piece) + 1
        if _TYPEOF.match(piece):
            raise BadQuery(_DOING, "TYPEOF gives rows of different columns", hint="Sync each object by itself.")
        if _ALL.fullmatch(item):
            raise BadQuery(_DOING, f"{_short(item)} is no field's name", hint=_ALL_ARE_CARRIED)
        if "(" in piece:
            sub = re.match(r"\(\s*SELECT\b", item, re.IGNORECASE)
            what = "holds rows of its own" if sub else "is computed, not a field"
            hint = "Sync the child object by itself." if sub else "Compute it in the warehouse."
            raise BadQuery(_DOING, f"{_short(item)} {what}", hint=hint)
        if not _PATH.fullmatch(item):
            raise BadQuery(_DOING, f"{_short(item)} is no field", hint=_EXAMPLE)
        yield item


def _without_object(names: list[str], sobject: str) -> list[str]:
    """`Account.Name` of an Account is its own `Name`."""
    return names[1:] if len(names) > 1 and names[0].lower() == sobject.lower() else names


def _condition(rest: str, bare: str) -> str | None:
    for pattern, told in _REFUSED:
        if pattern.search(bare):
            raise BadQuery(_DOING, f"{told} ({_short(rest)})")
    if not bare.strip():
        return None
    where = _WHERE.match(bare)
    if where is None:
        raise BadQuery(
            _DOING, f"{_short(rest)} stands behind the object, where only WHERE may", hint="Names are written without an alias."
        )
    if not rest[where.end() :].strip():
        raise BadQuery(_DOING, "nothing stands behind WHERE")
    return rest[where.end() :].strip()


def _distinct(names: Sequence[str]) -> list[str]:
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.lower(), name)
    return list(found.values())


def _short(text: str) -> str:
    words = " ".join(text.split())
    return repr(words if len(words) <= 80 else f"{words[:77]}...")
