"""Salesforce's formula language, as far as it means the same in SQL: arithmetic over an object's own numbers, joined texts.

Anything else is left alone: a wrong value would be worse than none.
Source: Salesforce Help, "Formula Operators and Functions by Context"; "Tips for Working with Picklist and Number Fields" on
blank fields, which count as blank or as zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_NUMBERS = frozenset({"int", "double", "currency"})  # not percent, which counts as its hundredth in formulas
_TEXTS = frozenset({"string", "email", "phone", "url"})
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>"[^"\\]*")|(?P<name>[A-Za-z_]\w*)(?![\w.]|\s*\()|(?P<sign>[-+*/()&]))"""
)


def sql_of(formula: Mapping[str, Any], fields: Iterable[Mapping[str, Any]]) -> str | None:
    """A formula field's expression in SQL over the row, for `formula` of a schema file; None if it cannot be read.

    `formula` and `fields`, which are all of the object, are as describe lists them. Formulas over other formulas are not read.
    """
    empty_is_zero = bool(formula.get("formulaTreatNullNumberAsZero"))
    tokens = _tokens(formula.get("calculatedFormula") or "")
    known = {str(one["name"]).lower(): one for one in fields if not one.get("calculated")}
    kinds = {_kind(group, text, known) for group, text in tokens}
    if not tokens or None in kinds or not _balanced(tokens):
        return None
    if kinds <= {"number", "arithmetic"} and formula["type"] in _NUMBERS:
        return " ".join(_number(group, text, known, empty_is_zero=empty_is_zero) for group, text in tokens)
    if kinds <= {"text", "joining"} and formula["type"] in _TEXTS:
        return " ".join(_text(group, text, known) for group, text in tokens)
    return None


def _tokens(formula: str) -> list[tuple[str, str]]:
    """Group and text of each token; none if something in it is no token."""
    tokens: list[tuple[str, str]] = []
    place = 0
    text = formula.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            return []
        tokens.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return tokens


def _kind(group: str, text: str, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What the token belongs to; None for a name that is no number or text of the object."""
    if group != "name":
        return {"&": "joining"}.get(text, "arithmetic") if group == "sign" else group
    kind = known.get(text.lower(), {}).get("type")
    return "number" if kind in _NUMBERS else "text" if kind in _TEXTS else None


def _balanced(tokens: list[tuple[str, str]]) -> bool:
    """Whether operands and operators take turns, and every parenthesis is closed."""
    depth, operand_next = 0, True
    for group, text in tokens:
        opening = text == "(" or (text == "-" and operand_next and group == "sign")
        if operand_next != (group != "sign" or opening):
            return False
        depth += {"(": 1, ")": -1}.get(text, 0) if group == "sign" else 0
        operand_next = group == "sign" and text != ")"
        if depth < 0:
            return False
    return depth == 0 and not operand_next


def _number(group: str, text: str, known: Mapping[str, Mapping[str, Any]], *, empty_is_zero: bool) -> str:
    if group == "number":
        return text if "." in text else f"{text}.0"  # SQL would divide whole numbers into whole numbers
    if group == "sign":
        return text
    name = str(known[text.lower()]["name"])
    value = f"coalesce({name}, 0)" if empty_is_zero else name
    return f"({value} * 1.0)" if known[text.lower()]["type"] == "int" else value


def _text(group: str, text: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    if group == "sign":
        return "||"
    if group == "text":
        quoted = text[1:-1].replace("'", "''")
        return f"'{quoted}'"
    return f"coalesce({known[text.lower()]['name']}, '')"
