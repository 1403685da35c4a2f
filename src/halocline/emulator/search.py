"""Searches over REST: SOSL in `/search`, and words with parameters in `/parameterizedSearch`.

Source: REST API Developer Guide, "Search", "Parameterized Search" (by GET and by POST).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

from halocline.emulator.errors import ApiError
from halocline.emulator.members import Members
from halocline.emulator.sosl.finding import found
from halocline.emulator.sosl.parser import GROUPS, MOST_ROWS, Returning, Search, parse
from halocline.emulator.wire import RAW_QUERY, Answer, Ask, json_answer

WRAPPED_SINCE = 37.0  # older versions answer with the bare list. Source: "Search", "Response Body"
_NOT_HERE = ("dataCategories", "division", "filter", "metadata", "netWorkIds", "pricebookId", "snippet", "spellCorrection")
_COMMON = ("defaultLimit", "fields", "in", "offset", "overallLimit", "sobjects", "updateTracking", "updateViewStat")
_OF_OBJECT = ("fields", "limit", "offset", "orderBy", "where")
_NAME = re.compile(r"[A-Za-z]\w*")


def search(ask: Ask) -> Answer:
    """`GET /search?q=FIND {...}`.
    Raises: ApiError(400) in Salesforce's words for what is wrong with the SOSL.
    """
    sosl = ask.query.get("q", "").strip()
    if not sosl:
        raise ApiError(400, "MALFORMED_SEARCH", "No search string found.")
    return _answer(ask, parse(sosl))


def by_parameters(ask: Ask) -> Answer:
    """`GET /parameterizedSearch?q=word&sobject=Account&Account.fields=Name`."""
    pairs = parse_qsl(ask.headers.get(RAW_QUERY, ""), keep_blank_values=True) or list(ask.query.items())
    given = {name: value for name, value in pairs if "." not in name and name != "sobject"}
    names = [value for name, value in pairs if name == "sobject"]
    objects: list[dict[str, object]] = []
    for sobject in names:
        own = {name.partition(".")[2]: value for name, value in pairs if name.lower().startswith(f"{sobject.lower()}.")}
        objects.append({"name": sobject, **own})
    return _answer(ask, _by_members({**given, **({"sobjects": objects} if objects else {})}))


def by_body(ask: Ask) -> Answer:
    """`POST /parameterizedSearch` with the same as JSON."""
    return _answer(ask, _by_members(ask.json()))


def _answer(ask: Ask, wanted: Search) -> Answer:
    records = found(ask, wanted)
    return json_answer({"searchRecords": records} if float(ask.version) >= WRAPPED_SINCE else records)


def _by_members(given: dict[str, object]) -> Search:
    unsupported = next((name for name in _NOT_HERE if name in given), None)
    if unsupported is not None:
        raise ApiError(400, "INVALID_SEARCH", f"The parameter {unsupported} is not supported by this emulator")
    members = Members.of(given, _COMMON, required=("q",))
    group = (members.text("in") or "ALL").partition(" ")[0].lower()
    if group not in GROUPS:
        raise ApiError(400, "INVALID_SEARCH_SCOPE", f"Unknown search scope: {members.text('in')}")
    usual, most = _count(members, "defaultLimit"), _count(members, "overallLimit") or MOST_ROWS
    objects = members.objects("sobjects")
    if not objects and (members.values.get("fields") or usual):
        raise ApiError(400, "INVALID_SEARCH", "fields and defaultLimit need at least one sobject")
    fields = _names(members, "fields")
    returning = [_returning(one, fields=fields, usual=usual) for one in objects]
    skipped = _count(members, "offset")
    if skipped:  # only allowed for a single object. Source: "Parameterized Search", `offset`
        returning = [replace(one, tail=f"{one.tail} OFFSET {skipped}") for one in returning]
    return Search(members.text("q"), group, tuple(returning), min(most, MOST_ROWS))


def _returning(value: object, *, fields: Sequence[str], usual: int) -> Returning:
    members = Members.of(value, _OF_OBJECT, required=("name",))
    name = members.text("name")
    if not _NAME.fullmatch(name):
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
    rows, skipped, order = _count(members, "limit") or usual, _count(members, "offset"), members.text("orderBy")
    tail = (f"ORDER BY {order} " if order else "") + (f"LIMIT {rows} " if rows else "") + (f"OFFSET {skipped}" if skipped else "")
    return Returning(name, ", ".join(_names(members, "fields") or fields), members.text("where"), tail)


def _names(members: Members, name: str) -> list[str]:
    """A list of fields, as a JSON list or with commas between."""
    value = members.values.get(name)
    names = members.text(name).split(",") if isinstance(value, str) else members.texts(name)
    return [one.strip() for one in names if one.strip()]


def _count(members: Members, name: str) -> int:
    """A number of rows, as a number or as text; 0 when it is absent."""
    value = members.values.get(name)
    text = str(value if value is not None else 0)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > MOST_ROWS:
        raise ApiError(400, "INVALID_SEARCH", f"{name} must be a number up to {MOST_ROWS}: {value}")
    return int(text)
