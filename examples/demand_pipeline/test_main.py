"""Laws of the demand pipeline: what it calls, what it writes, and that all of it is there or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, call, patch

import main
import pytest
from builders.audit_builder import build_audit_table_data
from builders.case_builder import build_cases_table_data
from tests.connectors.postgres.server import Place

BUILDERS = {
    "raw.cases": "build_cases_table_data",
    "raw.metadata": "build_metadata_table_data",
    "raw.templates": "build_templates_table_data",
    "raw.audit": "build_audit_table_data",
}
CALLED = ("get_dynamo_table", "scan_dynamo_table", "parallel_scan_dynamo_table", "get_db_connection", "insert_data_into_table")
DOCUMENT = {
    "documentId": "d1",
    "version": 3,
    "statuses": [{"status": "SENT", "ts": 20}, {"status": "DRAFT", "ts": 10}],
    "claimInfo": {"claimNumber": "C-1", "claimCoverage": "BI"},
    "demandDetails": {"amount": Decimal("1200.75"), "template": {"templateId": "t1", "pinnedVersion": 2}},
    "caseManagers": [{"firstName": "Ann", "lastName": "Lee"}, {"lastName": "Ode"}],
    "assignedCaseCollaborator": {"x", "b"},
    "attachments": [{"key": "a.pdf"}],
}


# ---- main, with everything around it taken away


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, MagicMock]]:
    """What main calls, replaced."""
    monkeypatch.setenv("SOURCE_ENV", "dev")
    monkeypatch.delenv("SOURCE_ACCOUNT_ID", raising=False)
    with ExitStack() as stack:
        yield {name: stack.enter_context(patch.object(main, name)) for name in (*CALLED, *BUILDERS.values())}


def _check_calls(around: dict[str, MagicMock], scanned: dict[str, list[Any]], built: dict[str, list[Any]]) -> None:
    assert around["get_dynamo_table"].call_args_list == [
        call(f"exchange-dev-{name}", None) for name in ("documents", "documents-metadata", "templates", "documents-audit")
    ]
    assert (around["scan_dynamo_table"].call_count, around["parallel_scan_dynamo_table"].call_count) == (2, 2)
    for table, builder in BUILDERS.items():
        around[builder].assert_called_once_with(scanned[table])
    connection = around["get_db_connection"].return_value
    headers = {"raw.cases": main.CASES, "raw.metadata": main.METADATA, "raw.templates": main.TEMPLATES, "raw.audit": main.AUDIT}
    wanted = [call(connection, table, headers[table], built[table]) for table in BUILDERS]
    assert around["insert_data_into_table"].call_args_list == wanted
    connection.commit.assert_called_once_with()
    connection.close.assert_called_once_with()


def test_main_function_successfully_processes_data(around: dict[str, MagicMock]) -> None:
    """Each table is scanned, built and written once; one commit; the connection is closed."""
    scanned = {table: [{"from": table}] for table in BUILDERS}
    built = {table: [{"row of": table}] for table in BUILDERS}
    around["parallel_scan_dynamo_table"].side_effect = [scanned["raw.cases"], scanned["raw.audit"]]
    around["scan_dynamo_table"].side_effect = [scanned["raw.metadata"], scanned["raw.templates"]]
    for table, builder in BUILDERS.items():
        around[builder].return_value = built[table]
    assert main.main() == {table: {"read": 1, "written": 1, "rejected": 0} for table in BUILDERS}
    _check_calls(around, scanned, built)


def test_main_with_empty_scans(around: dict[str, MagicMock]) -> None:
    """Tables without items are built and written all the same: what they held before goes."""
    nothing: dict[str, list[Any]] = {table: [] for table in BUILDERS}
    for name in ("parallel_scan_dynamo_table", "scan_dynamo_table", *BUILDERS.values()):
        around[name].return_value = []
    assert main.main() == {table: {"read": 0, "written": 0, "rejected": 0} for table in BUILDERS}
    _check_calls(around, nothing, nothing)


def test_a_failure_commits_nothing_and_closes_the_connection(around: dict[str, MagicMock]) -> None:
    """Whatever a write raises comes out."""
    around["insert_data_into_table"].side_effect = [1, RuntimeError("the disk is full")]
    with pytest.raises(RuntimeError, match="full"):
        main.main()
    connection = around["get_db_connection"].return_value
    assert (connection.commit.call_count, connection.close.call_count) == (0, 1)


def test_a_scan_that_fails_touches_no_table(around: dict[str, MagicMock]) -> None:
    """PostgreSQL is not even called."""
    around["scan_dynamo_table"].side_effect = RuntimeError("throttled for good")
    with pytest.raises(RuntimeError, match="throttled"):
        main.main()
    assert around["get_db_connection"].call_count == 0


@pytest.mark.parametrize(
    ("in_file", "environment", "wanted"),
    [
        ("SOURCE_ENV=prod\nSOURCE_ACCOUNT_ID=123456789012\n", {}, ("prod", "123456789012")),
        ("SOURCE_ENV=prod\nSOURCE_ACCOUNT_ID=\n", {}, ("prod", None)),
        ("SOURCE_ENV=prod\n", {"SOURCE_ENV": "test", "SOURCE_ACCOUNT_ID": "210987654321"}, ("test", "210987654321")),
        ("", {"SOURCE_ACCOUNT_ID": ""}, ("dev", None)),
    ],
)
def test_which_tables_are_read_is_said_in_the_environment_or_in_the_file(
    around: dict[str, MagicMock],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_file: str,
    environment: dict[str, str],
    wanted: tuple[str, str | None],
) -> None:
    """What `.env` said was not looked at: the tables of dev went into the warehouse that the same file names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(in_file)
    monkeypatch.delenv("SOURCE_ENV")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    main.main()
    assert [one.args for one in around["get_dynamo_table"].call_args_list] == [
        (f"exchange-{wanted[0]}-{name}", wanted[1])
        for name in ("documents", "documents-metadata", "templates", "documents-audit")
    ]


# ---- on DynamoDB and a real PostgreSQL


def _put(dynamodb: Any, name: str, *items: dict[str, Any]) -> None:
    with dynamodb.Table(f"exchange-{os.environ['SOURCE_ENV']}-{name}").batch_writer() as batch:
        for item in items:
            batch.put_item(item)


@pytest.mark.parametrize(
    ("documents", "odd", "archived", "others"),
    [(0, 0, 0, 0), (1, 0, 0, 2), (40, 0, 7, 5), (40, 3, 1, 0)],
    ids=["nothing", "one", "many", "some rejected"],
)
def test_row_count_consistency_scenarios(
    dynamodb: Any, warehouse: Place, documents: int, odd: int, archived: int, others: int
) -> None:
    """Read = written + rejected for each table, and the tables have what was written; what they held before is gone."""
    warehouse.run("INSERT INTO raw.cases (documentId, version, attachments) VALUES ('old', 1, 0)")
    _put(dynamodb, "documents", *({"documentId": f"d{n}", "version": n} for n in range(documents - odd)))
    _put(dynamodb, "documents", *({"documentId": f"odd{n}"} for n in range(odd)))
    _put(dynamodb, "templates", *({"templateId": f"t{n}", "templateName": "T", "version": 1} for n in range(others)))
    for action, count in (("DemandArchived", archived), ("DemandOpened", others)):
        _put(
            dynamodb,
            "documents-audit",
            *({"auditRecordId": f"{action}{n}", "documentId": "d", "actionType": action} for n in range(count)),
        )
    told = main.main()
    assert told["raw.cases"] == {"read": documents, "written": documents - odd, "rejected": odd}
    assert told["raw.audit"] == {"read": archived, "written": archived, "rejected": 0}
    for table, count in told.items():
        assert warehouse.rows(f"SELECT count(*) FROM {table}") == [(count["written"],)]
    assert warehouse.rows("SELECT count(*) FROM curated.open_cases") == [(documents - odd,)]


def test_a_document_becomes_its_row(dynamodb: Any, warehouse: Place) -> None:
    """Nested parts, the latest status, exact amounts, names, arrays."""
    _put(dynamodb, "documents", DOCUMENT)
    _put(
        dynamodb,
        "documents-audit",
        {
            "auditRecordId": "a1",
            "documentId": "d1",
            "createdTs": 5,
            "actionType": "DemandArchived",
            "lastArchiveReason": "paid",
            "lastArchiveComment": "in full",
        },
    )
    main.handler({}, None)
    assert warehouse.rows(
        "SELECT documentId, version, status, statusTs, claimNumber, demandAmount, demandTemplatePinnedVersion, caseManagers,"
        " assignedCaseCollaborator, attachments, demandDetails->>'amount', createdTs FROM raw.cases"
    ) == [("d1", 3, "SENT", 20, "C-1", Decimal("1200.75"), 2, "Ann Lee, Ode", ["b", "x"], 1, "1200.75", None)]
    assert warehouse.rows("SELECT createdTs, lastArchiveReason, lastArchiveComment FROM raw.audit") == [(5, "paid", "in full")]


def test_a_document_without_its_parts_is_a_row() -> None:
    """What may be missing is NULL: a row whose nested parts were missing was lost, or stayed half filled."""
    (row,) = build_cases_table_data([{"documentId": "d", "version": 1}])
    assert {name for name, value in row.items() if value is not None} == {"documentId", "version", "attachments"}
    assert set(row) == set(main.CASES)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"version": 1}, "KeyError: 'documentId'"),
        ({"documentId": None, "version": 1}, "documentId is NOT NULL"),
        ({"documentId": "d"}, "KeyError: 'version'"),
        ({"documentId": "d", "version": Decimal("1.5")}, "no whole number"),
        ({"documentId": "d", "version": 1, "statuses": [{"status": "SENT"}]}, "KeyError: 'ts'"),
        ({"documentId": "d", "version": 1, "claimInfo": "none"}, "AttributeError"),
    ],
)
def test_a_document_that_cannot_be_built_is_rejected(item: dict[str, Any], reason: str) -> None:
    """With the reason, and no half of its row: there it became `unknown`, was dropped, or was written and counted as an error."""
    rows = build_cases_table_data([item, *({"documentId": f"{n}", "version": n} for n in range(20))])
    assert [row["documentId"] for row in rows] == [f"{n}" for n in range(20)]
    (rejection,) = rows.rejections
    assert (rejection.row, rejection.record) == (0, item)
    assert reason in rejection.message


def test_nested_values_are_what_they_are() -> None:
    """Numbers stay whole, the latest status wins wherever it stands, and what is known is filled in."""
    (row,) = build_cases_table_data([{**DOCUMENT, "statuses": list(reversed(DOCUMENT["statuses"]))}])
    assert (row["version"], type(row["version"]), row["status"], row["claimNumber"]) == (3, int, "SENT", "C-1")
    assert [name for name, value in row.items() if value is None] == ["claimant", "lossDate", "createdTs", "lastUpdatedTs"]
    assert row["demandTemplatePinnedVersion"] == 2


def test_the_scan_of_the_audit_brings_what_its_rows_need() -> None:
    """Reason and comment were taken from an attribute that the scan left out, so they were always NULL."""
    assert set(main.AUDIT_COLUMNS.split(", ")) == set(main.AUDIT)
    (row,) = build_audit_table_data([dict.fromkeys(main.AUDIT, "x") | {"createdTs": 1}])
    assert None not in row.values()
