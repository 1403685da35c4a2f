"""The demand pipeline: four tables of DynamoDB into four tables of PostgreSQL, which all change at once, or none does.

    python main.py

Exit code 0; 3 where items were rejected; 1, 2 (something to correct) or 75 (try again later) where nothing was written.

Everything is read and built before the first table is touched. Whatever fails on the way leaves all tables as they were.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from builders.audit_builder import HEADERS as AUDIT
from builders.audit_builder import build_audit_table_data
from builders.case_builder import HEADERS as CASES
from builders.case_builder import build_cases_table_data
from builders.metadata_builder import HEADERS as METADATA
from builders.metadata_builder import build_metadata_table_data
from builders.templates_builder import HEADERS as TEMPLATES
from builders.templates_builder import build_templates_table_data
from utils import (
    get_db_connection,
    get_dynamo_table,
    insert_data_into_table,
    parallel_scan_dynamo_table,
    scan_dynamo_table,
    setting,
)

from halocline.errors import HaloclineError

LOG = logging.getLogger("demand_pipeline")
ARCHIVED = {"names": {"#action": "actionType"}, "values": {":archived": "DemandArchived"}}
AUDIT_COLUMNS = "auditRecordId, createdTs, documentId, actionType, lastArchiveReason, lastArchiveComment"


def main() -> dict[str, dict[str, int]]:
    """Run the pipeline once; for each table, how many items were read, rows written and items rejected."""
    prefix = f"exchange-{setting('SOURCE_ENV', 'dev')}"
    account = setting("SOURCE_ACCOUNT_ID")
    documents, metadata, templates, audit = (
        get_dynamo_table(f"{prefix}-{name}", account)
        for name in ("documents", "documents-metadata", "templates", "documents-audit")
    )
    items = {
        "raw.cases": parallel_scan_dynamo_table(documents),
        "raw.metadata": scan_dynamo_table(metadata),
        "raw.templates": scan_dynamo_table(templates),
        "raw.audit": parallel_scan_dynamo_table(
            audit, filter_expression="#action = :archived", projection_expression=AUDIT_COLUMNS, **ARCHIVED
        ),
    }
    rows = {
        "raw.cases": (CASES, build_cases_table_data(items["raw.cases"])),
        "raw.metadata": (METADATA, build_metadata_table_data(items["raw.metadata"])),
        "raw.templates": (TEMPLATES, build_templates_table_data(items["raw.templates"])),
        "raw.audit": (AUDIT, build_audit_table_data(items["raw.audit"])),
    }
    connection = get_db_connection()
    try:
        for table, (headers, data) in rows.items():
            insert_data_into_table(connection, table, headers, data)
        connection.commit()  # the only one: readers see all four tables change at once
    finally:
        connection.close()
    return {table: told(table, len(items[table]), data) for table, (_, data) in rows.items()}


def told(table: str, read: int, data: list[dict[str, Any]]) -> dict[str, int]:
    """The counts of a table; each item that was rejected goes to the log, with its reason."""
    rejections = getattr(data, "rejections", ())
    for one in rejections:
        LOG.error("%s: item %d: %s", table, one.row, one.message)
    return {"read": read, "written": len(data), "rejected": len(rejections)}


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - the signature is Lambda's
    """Run the pipeline in Lambda. What fails is raised, so that Lambda tells of it."""
    return {"tables": main()}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        counts = main()
    except HaloclineError as error:
        LOG.error("%s", error)  # noqa: TRY400 - it says what was done and what to try; where in the code is of no use
        sys.exit(error.exit_code)
    for name, count in counts.items():
        LOG.info("%s: %s", name, ", ".join(f"{number:,} {word}" for word, number in count.items()))
    sys.exit(3 if any(count["rejected"] for count in counts.values()) else 0)
