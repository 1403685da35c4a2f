"""Laws of results and reports: a row that was not written is one line of the report, whatever Salesforce made of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from halocline.filejob.report import HEADERS, append
from halocline.filejob.results import NO_REASON, NO_RESULT, told_apart

ABOUT = {"salesforce_object": "Account", "upsert_key": "K__c"}


def result(success: bool, *errors: tuple[str, str]) -> dict[str, Any]:
    told = [{"statusCode": code, "message": message, "fields": []} for code, message in errors]
    return {"success": success, "created": success, "id": "001" if success else None, "errors": told}


def told(results: list[Any], data: list[Any], key: str = "K__c") -> tuple[list[Any], list[dict[str, Any]]]:
    return told_apart(results, data, salesforce_object="Account", upsert_key=key)


def test_each_result_is_that_of_its_row() -> None:
    """Written rows are told by their results, the others by a line with the row itself."""
    rows = [{"K__c": "1"}, {"K__c": "2"}]
    written, refused = told([result(True), result(False, ("BAD", "no"))], rows)
    assert written == [result(True)]
    assert refused == [
        {
            "salesforce_object": "Account",
            "code": "BAD",
            "message": "no",
            "upsert_key": "K__c",
            "upsert_key_value": "2",
            "object_json": rows[1],
        }
    ]


def test_a_row_with_several_errors_is_one_line() -> None:
    """The count of errors is one of rows; each code and each message is told once."""
    _, (line,) = told([result(False, ("A", "one"), ("B", "two"), ("A", "one"))], [{"K__c": "1"}])
    assert (line["code"], line["message"]) == ("A; B", "one; two")


def test_a_refusal_without_a_reason_is_told() -> None:
    """success=false and no errors: the row is no written one, and is counted."""
    written, (line,) = told([result(False)], [{"K__c": "1"}])
    assert (written, line["code"]) == ([], NO_REASON)


def test_a_row_without_its_key_is_told() -> None:
    """Its key is empty in the report, and nothing is raised."""
    _, (line,) = told([result(False, ("A", "one"))], [{"Name": "n"}])
    assert line["upsert_key_value"] == ""


def test_fewer_results_than_rows_lose_no_row() -> None:
    """A batch that failed as a whole answers nothing: nobody can say whose the other results are, so each row is told."""
    rows = [{"K__c": str(number)} for number in range(3)]
    written, lines = told([result(True), result(False, ("A", "one"))], rows)
    assert written == []
    assert [line["object_json"] for line in lines] == rows
    assert {line["code"] for line in lines} == {NO_RESULT}
    assert "2 results came for 3 rows" in lines[0]["message"]
    assert "A: one" in lines[0]["message"]


def test_a_report_is_csv_with_json_that_no_spreadsheet_runs(tmp_path: Path) -> None:
    """One header line however often it is written to; formulas are texts; objects are JSON, odd values as text."""
    path = tmp_path / "report.csv"
    row = {"=K": "=1+1", "n": float("nan"), "t": None, "deep": {"a": [1]}}
    for number in range(2):
        line = {"salesforce_object": "Account", "code": "@A", "message": "=cmd|' /C calc'!A0\nnext", "upsert_key_value": -number}
        assert append([{**line, "object_json": row}], path) == 1
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(HEADERS)
    assert [(one["code"], one["message"][:2], one["upsert_key_value"]) for one in lines] == [
        ("'@A", "'=", "0"),
        ("'@A", "'=", "-1"),
    ]
    assert json.loads(lines[0]["object_json"]) == {"=K": "=1+1", "n": "nan", "t": None, "deep": {"a": [1]}}
