"""What the results of a bulk write say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halocline.filejob.results import NO_REASON, told_apart

__all__ = ["extract_errors_from_results", "parse_bulk_upsert_results"]

_SILENT = {"statusCode": NO_REASON, "message": "Salesforce did not write the row, and did not say why", "fields": []}


def parse_bulk_upsert_results(
    results: Sequence[Mapping[str, Any]],
    data: Sequence[Mapping[str, Any]] | None = None,
    salesforce_object: str = "",
    upsert_key: str | None = None,
) -> tuple[list[Mapping[str, Any]], list[dict[str, Any]]]:
    """The results of the rows that were written, and a line of the error report for every other row.

    With `data`, the rows, lines hold them too; where there are not as many results as rows, every row has a line that says so.
    """
    rows = [{} for _ in results] if data is None else data
    return told_apart(results, rows, salesforce_object=salesforce_object, upsert_key=upsert_key)


def extract_errors_from_results(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Salesforce's errors of all rows, one after the other; a row that was not written and has none gets one that says that."""
    bad = [result for result in results if not result.get("success")]
    return [dict(error) for result in bad for error in (result.get("errors") or [_SILENT])]
