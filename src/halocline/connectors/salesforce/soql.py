"""SOQL text: built from checked names, quoted literals and a user's condition that cannot get out of its parentheses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import quote

from halocline.errors import BadQuery
from halocline.soql_text import soql_text

MAX_SOQL_CHARS = 100_000  # SOQL and SOSL Reference, "SOQL SELECT Syntax"; read November 2026
MAX_URI_BYTES = (
    16_384  # request URI and headers together; REST API Developer Guide, "Status Codes and Error Responses" (414, 431)
)
HEADER_BYTES = (
    3_072  # of those, left for headers: a session id takes 112, a JWT-based access token up to about 2,000 (unverified)
)
MAX_QUERY_BYTES = MAX_URI_BYTES - HEADER_BYTES

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_DOING = "Reading the where clause"

# Each pattern, and what a person is told. They are looked for outside of quotes; the second list also outside of parentheses.
_NEVER = (
    (re.compile(r"--|//|/\*|\*/"), "it holds a comment, and SOQL knows none"),
    (re.compile(r";"), "it holds a semicolon"),
)
_NOT_OUTSIDE = (
    (re.compile(r"\A\s*WHERE\b", re.I), "it starts with WHERE; give only what comes after"),
    (re.compile(r"\A\s*SELECT\b", re.I), "it is a whole query; give only what comes after WHERE"),
    (re.compile(r"\bLIMIT\s+[\d:]", re.I), "it holds a LIMIT, which would leave rows out by chance"),
    (re.compile(r"\bOFFSET\s+[\d:]", re.I), "it holds an OFFSET"),
    (re.compile(r"\b(ORDER|GROUP)\s+BY\b", re.I), "it holds an ORDER BY or GROUP BY; only a condition is wanted"),
    (re.compile(r"\bHAVING\b", re.I), "it holds a HAVING; only a condition is wanted"),
    (re.compile(r"\bWITH\s+\w", re.I), "it holds a WITH clause"),
    (re.compile(r"\bUSING\s+SCOPE\b", re.I), "it holds a USING SCOPE"),
    (re.compile(r"\bFOR\s+(VIEW|REFERENCE|UPDATE)\b", re.I), "it holds a FOR clause"),
    (re.compile(r"\bALL\s+ROWS\b", re.I), "it holds ALL ROWS; the setting for deletes decides that"),
    (re.compile(r"\bUPDATE\s+(TRACKING|VIEWSTAT)\b", re.I), "it holds an UPDATE clause"),
)

Value = str | bool | int | float | Decimal | date | datetime | None
"""What a literal can be made from."""


def name(text: str) -> str:
    """`text`, once it is sure that it is nothing but a name.

    Raises: BadQuery for anything that could end a name and begin something else.
    """
    if not _NAME.fullmatch(text):
        raise BadQuery("Building a query", f"{text!r} cannot be the API name of an object or a field")
    return text


def path(text: str) -> str:
    """`text`, once it is sure that it is nothing but the name of a field, or of a parent's field (`Owner.Name`).

    Raises: BadQuery as `name`.
    """
    return ".".join(map(name, text.split(".")))


def literal(value: Value) -> str:
    """`value` as SOQL writes it; text is quoted and escaped.

    Raises: ValueError for a datetime without a time zone, which would silently mean some local time.
    Source: SOQL and SOSL Reference, "Quoted String Escape Sequences" and "Date Formats and Date Literals"; read November 2026.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return soql_text(value)
    if isinstance(value, datetime):
        return instant(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def instant(moment: datetime) -> str:
    """`2026-11-21T10:20:30Z`, with milliseconds only where there are some.

    Raises: ValueError for a datetime without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a datetime with a time zone is needed")
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def condition(where: str | None) -> str | None:
    """A user's condition in parentheses, so that `A OR B` cannot get round what is ANDed to it; None for none.

    Raises: BadQuery for unbalanced parentheses or quotes, a comment, or a clause that is not a condition.
    """
    if where is None or not where.strip():
        return None
    masked = _STRING.sub("''", where)
    if "'" in masked.replace("''", ""):
        raise BadQuery(_DOING, f"a quote is not closed in {where!r}", hint=r"A quote inside text is written \'.")
    _forbid(_NEVER, masked, where)
    _forbid(_NOT_OUTSIDE, _outside(masked, where), where)
    return f"({where.strip()})"


def select(fields: Sequence[str], sobject: str, *, conditions: Iterable[str | None] = (), order: str | None = None) -> str:
    """`SELECT fields FROM sobject`, with the conditions that are not None ANDed, ordered by the field `order`.

    Raises: BadQuery for a name that is none, or for text longer than Salesforce reads.
    """
    text = f"SELECT {', '.join(map(path, fields))} FROM {name(sobject)}{_where(conditions)}"
    text += f" ORDER BY {name(order)}" if order else ""
    if len(text) > MAX_SOQL_CHARS:
        hint = "Choose fewer fields, or shorten the where clause."
        raise BadQuery(f"Building the query of {sobject}", f"it has {len(text):,} of {MAX_SOQL_CHARS:,} characters", hint=hint)
    return text


def count(sobject: str, *, conditions: Iterable[str | None] = ()) -> str:
    """`SELECT COUNT() FROM sobject`, with the conditions that are not None ANDed."""
    return f"SELECT COUNT() FROM {name(sobject)}{_where(conditions)}"


def window(cursor: str, low: str | None, *, high: str) -> str | None:
    """The condition `cursor` in `[low, high)`, both as `instant` writes them; None without a `low`: a full read has no bound."""
    return None if low is None else f"{name(cursor)} >= {low} AND {name(cursor)} < {high}"


def after(field: str, value: str) -> str:
    """The condition that `field` comes after `value` in the order of the field."""
    return f"{name(field)} > {literal(value)}"


def any_of(field: str, values: Iterable[str]) -> str:
    """The condition that `field` is one of `values`."""
    return f"{name(field)} IN ({', '.join(map(literal, values))})"


def uri_bytes(soql: str, *, base: str) -> int:
    """The bytes that a query takes in the URI of a GET below `base` (`/services/data/v67.0`), percent-encoding included."""
    return len(f"{base}/queryAll?q=") + len(quote(soql, safe=""))


def _where(conditions: Iterable[str | None]) -> str:
    given = [one for one in conditions if one]
    return f" WHERE {' AND '.join(given)}" if given else ""


def _outside(masked: str, where: str) -> str:
    """What stands outside of all parentheses.

    Raises: BadQuery when they do not balance.
    """
    kept, depth, start = [], 0, 0
    for mark in re.finditer(r"[()]", masked):
        if depth == 0:
            kept.append(masked[start : mark.start()])
        depth += 1 if mark[0] == "(" else -1
        start = mark.end()
        if depth < 0:
            break
    if depth:
        raise BadQuery(_DOING, f"the parentheses do not balance in {where!r}")
    return " () ".join([*kept, masked[start:]])


def _forbid(patterns: Iterable[tuple[re.Pattern[str], str]], text: str, where: str) -> None:
    for pattern, told in patterns:
        if pattern.search(text):
            raise BadQuery(
                _DOING, f"{told} ({where!r})", hint="Give one condition, such as: Industry = 'Energy' OR Rating = 'Hot'"
            )
