"""How Salesforce refuses a query: the line, a caret under the place, row and column, and what is wrong."""

from __future__ import annotations

from halocline.emulator.errors import ApiError

CONTEXT = 40  # characters shown on either side of the place; the real width is unverified


def refusal(soql: str, at: int, message: str, *, code: str = "MALFORMED_QUERY") -> ApiError:
    """The error for the place `at` (offset into `soql`), to be raised.

    Source: recorded answers of real orgs: an empty line, the query, the caret, `ERROR at Row:1:Column:21`, the message.
    """
    start = soql.rfind("\n", 0, at) + 1
    end = soql.find("\n", at)
    line = soql[start : len(soql) if end < 0 else end]
    row, column = soql.count("\n", 0, at) + 1, at - start
    shown, caret = _window(line, column)
    return ApiError(400, code, f"\n{shown}\n{' ' * caret}^\nERROR at Row:{row}:Column:{column + 1}\n{message}")


def unexpected(soql: str, at: int, token: str) -> ApiError:
    """The error for a token that cannot stand there."""
    return refusal(soql, at, f"unexpected token: '{token}'")


def _window(line: str, column: int) -> tuple[str, int]:
    left = 0 if column <= CONTEXT else line.find(" ", column - CONTEXT, column) + 1 or column - CONTEXT
    right = len(line) if len(line) - column <= CONTEXT else column + CONTEXT
    return line[left:right], column - left
