"""How Salesforce refuses a query: the line, a caret under the place, row and column, and what is wrong."""

from __future__ import annotations

import re

from halocline.emulator.errors import ApiError

CONTEXT = 30  # characters on either side of the place; the words that they begin and end in are shown whole

_BETWEEN_WORDS = re.compile(r"[\s,]")


def refusal(soql: str, at: int, message: str, *, code: str = "MALFORMED_QUERY") -> ApiError:
    """The error for the place `at` (offset into `soql`), to be raised.

    Source: some twenty answers of real orgs that users quote: an empty line, of the query's lines the one with the place (or what
    is around it), the caret, `ERROR at Row:1:Column:21`, the message.
    """
    start = soql.rfind("\n", 0, at) + 1
    end = soql.find("\n", at)
    line = soql[start : len(soql) if end < 0 else end]
    row, column = soql.count("\n", 0, at) + 1, at - start
    shown, caret = _window(line, column)
    return ApiError(400, code, f"\n{shown}\n{' ' * caret}^\nERROR at Row:{row}:Column:{column + 1}\n{message}")


def unexpected(soql: str, at: int, token: str) -> ApiError:
    """The error for a token that cannot stand there."""
    return _early(soql, at, f"unexpected token: '{token}'")


def unreadable(soql: str, at: int, *, problem: str) -> ApiError:
    """The error for text that is no token."""
    row, column = _place(soql, at)
    return _early(soql, at, f"line {row}:{column} {problem}")


def _early(soql: str, at: int, message: str) -> ApiError:
    """What the parser refuses, not what comes after it: columns count from 0 there, so the caret stands one place early.

    At the beginning of a line only the message is left. Source: the same answers.
    """
    _, column = _place(soql, at)
    return refusal(soql, at - 1, message) if column else ApiError(400, "MALFORMED_QUERY", message)


def _place(soql: str, at: int) -> tuple[int, int]:
    """Row (from 1) and column (from 0)."""
    return soql.count("\n", 0, at) + 1, at - soql.rfind("\n", 0, at) - 1


def _window(line: str, column: int) -> tuple[str, int]:
    left = max((m.end() for m in _BETWEEN_WORDS.finditer(line, 0, max(0, column - CONTEXT))), default=0)
    following = _BETWEEN_WORDS.search(line, column + CONTEXT + 1)
    return line[left : following.start() if following else len(line)], column - left
