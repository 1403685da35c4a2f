"""Results as the Bulk API gives them, and the rows that they are of: which rows were written, and which were not, and why.

A result is `{"success": bool, "created": bool, "id": str | None, "errors": [{"statusCode", "message", "fields"}]}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halocline.quantity import quantity

NO_REASON = "UNKNOWN_ERROR"
"""The code of a row that is said not to be written, and not why."""
NO_RESULT = "NO_RESULT"
"""The code of rows of which it is not known what became: there are not as many results as rows."""
_SHOWN = 3  # errors that are told where nobody can say whose they are

Row = Mapping[str, Any]


def told_apart(
    results: Sequence[Row], data: Sequence[Row], *, salesforce_object: str, upsert_key: str | None
) -> tuple[list[Row], list[dict[str, Any]]]:
    """The results of the rows that were written, and a line of the error report for every other row: one a row.

    The n-th result is that of the n-th row. Where there are more or fewer results than rows (a batch that failed as a whole
    has none), nobody can say whose is whose: then no row counts as written, and each is reported.
    """
    about = {"salesforce_object": salesforce_object, "upsert_key": upsert_key or ""}
    if len(results) != len(data):
        return [], [_unknown(row, results, rows=len(data), about=about) for row in data]
    written = [result for result in results if result.get("success")]
    pairs = zip(results, data, strict=True)
    return written, [_refused(row, result, about=about) for result, row in pairs if not result.get("success")]


def _refused(row: Row, result: Row, *, about: Mapping[str, str]) -> dict[str, Any]:
    """All that Salesforce found is told in one line; the codes in the order of the messages."""
    errors = [error for error in result.get("errors") or () if isinstance(error, Mapping)]
    codes = dict.fromkeys(str(error.get("statusCode") or NO_REASON) for error in errors) or {NO_REASON: None}
    messages = dict.fromkeys(str(error.get("message") or "") for error in errors)
    told = "; ".join(one for one in messages if one) or "Salesforce did not write the row, and did not say why"
    return _line(row, code="; ".join(codes), message=told, about=about)


def _unknown(row: Row, results: Sequence[Row], *, rows: int, about: Mapping[str, str]) -> dict[str, Any]:
    errors = [error for result in results for error in result.get("errors") or () if isinstance(error, Mapping)]
    texts = dict.fromkeys(f"{error.get('statusCode')}: {error.get('message')}" for error in errors)
    came = f"{quantity(len(results), 'result')} came for {quantity(rows, 'row')}"
    told = f"{came}, so nobody can say which is this row's; look whether it is there"
    heard = f". Among the results: {'; '.join(list(texts)[:_SHOWN])}" if texts else ""
    return _line(row, code=NO_RESULT, message=told + heard, about=about)


def _line(row: Row, *, code: str, message: str, about: Mapping[str, str]) -> dict[str, Any]:
    value = row.get(about["upsert_key"], "") if about["upsert_key"] else ""
    return {**about, "code": code, "message": message, "upsert_key_value": value, "object_json": row}
