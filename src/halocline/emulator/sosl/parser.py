"""SOSL text -> what is asked: the search text, where to look, what to return.

Source: SOQL and SOSL Reference, "SOSL Syntax", "IN SearchGroup", "RETURNING FieldSpec".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from halocline.emulator.errors import ApiError

GROUPS = frozenset({"all", "name", "email", "phone", "sidebar"})
MOST_ROWS = 2_000  # Source: SOQL and SOSL Reference, "LIMIT n"

_FIND = re.compile(r"\s*find\s*(?:\{(?P<braces>(?:[^}\\]|\\.)*)\}|'(?P<quotes>(?:[^'\\]|\\.)*)')", re.IGNORECASE | re.DOTALL)
_IN = re.compile(r"\s*in\s+(\w+)\s+fields\b", re.IGNORECASE)
_RETURNING = re.compile(r"\s*returning\b", re.IGNORECASE)
_OBJECT = re.compile(r"\s*([A-Za-z]\w*)\s*")
_LIMIT = re.compile(r"\s*limit\s+(\d{1,9})", re.IGNORECASE)
_CLAUSE = re.compile(r"\b(?:where|order\s+by|limit|offset|using)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Returning:
    """One object of the answer: its fields as written (none mean its Id), and the clauses behind them, each as SOQL has it."""

    sobject: str
    fields: str = ""
    where: str = ""
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """A whole search; without `returning` all objects are looked through."""

    text: str
    group: str = "all"
    returning: tuple[Returning, ...] = ()
    limit: int = MOST_ROWS


def parse(sosl: str) -> Search:
    """The search that the text says.
    Raises: ApiError(400, MALFORMED_SEARCH); its words are unverified.
    """
    found = _FIND.match(sosl)
    if found is None:
        raise malformed("expecting FIND {search text}", sosl)
    text = found["braces"] if found["braces"] is not None else found["quotes"]
    at, group = found.end(), "all"
    chosen = _IN.match(sosl, at)
    if chosen:
        group, at = chosen[1].lower(), chosen.end()
        if group not in GROUPS:
            raise malformed(f"unknown search group '{chosen[1]}'", sosl)
    returning, at = _returning(sosl, at)
    limit = _LIMIT.match(sosl, at)
    at = limit.end() if limit else at
    if sosl[at:].strip():
        raise malformed(f"unexpected token: '{sosl[at:].split(maxsplit=1)[0]}'", sosl)
    return Search(text, group, returning, _rows(limit[1], sosl) if limit else MOST_ROWS)


def malformed(what: str, sosl: str) -> ApiError:
    """The refusal of a search that cannot be read."""
    return ApiError(400, "MALFORMED_SEARCH", f"{what} in: {sosl}")


def _rows(text: str, sosl: str) -> int:
    if len(text.lstrip("0")) > len(str(MOST_ROWS)) or int(text) > MOST_ROWS:
        raise malformed(f"the LIMIT can be at most {MOST_ROWS}", sosl)
    return int(text)


def _returning(sosl: str, at: int) -> tuple[tuple[Returning, ...], int]:
    start = _RETURNING.match(sosl, at)
    if start is None:
        return (), at
    entries, at = [], start.end()
    while True:
        entry, at = _entry(sosl, at)
        entries.append(entry)
        rest = sosl[at:].lstrip()
        if not rest.startswith(","):
            return tuple(entries), at
        at = len(sosl) - len(rest) + 1


def _entry(sosl: str, at: int) -> tuple[Returning, int]:
    named = _OBJECT.match(sosl, at)
    if named is None:
        raise malformed("expecting an object after RETURNING", sosl)
    at = named.end()
    if not sosl.startswith("(", at):
        return Returning(named[1]), at
    end = _closing(sosl, at)
    return returned(named[1], sosl[at + 1 : end]), end + 1


def _closing(sosl: str, at: int) -> int:
    """Where the parenthesis at `at` closes; texts in quotes are passed over."""
    depth = 0
    while at < len(sosl):
        quoted = _QUOTED.match(sosl, at)
        if quoted:
            at = quoted.end()
            continue
        depth += {"(": 1, ")": -1}.get(sosl[at], 0)
        if depth == 0:
            return at
        at += 1
    raise malformed("a parenthesis is not closed", sosl)


def returned(sobject: str, inside: str) -> Returning:
    """What stands between the parentheses behind an object.
    Raises: ApiError(400, MALFORMED_SEARCH).
    """
    blank = _QUOTED.sub(lambda match: " " * len(match[0]), inside)
    clauses = [match for match in _CLAUSE.finditer(blank) if _depth(blank[: match.start()]) == 0]
    first = clauses[0].start() if clauses else len(inside)
    if any(match[0].lower() == "using" for match in clauses):
        raise malformed("USING ListView is not supported by this emulator", inside)
    fields = inside[:first].strip()
    if not fields:
        raise malformed("expecting a field", inside)
    if not clauses or clauses[0][0].lower() != "where":
        return Returning(sobject, fields, "", inside[first:].strip())
    second = clauses[1].start() if len(clauses) > 1 else len(inside)
    return Returning(sobject, fields, inside[clauses[0].end() : second].strip(), inside[second:].strip())


def _depth(text: str) -> int:
    return text.count("(") - text.count(")")
