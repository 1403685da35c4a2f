"""Rows of raw.audit, of the items of the documents-audit table that tell of a demand put into the archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from halocline.compat.demand.utils import Rows, rows_of

COLUMNS = {
    "auditRecordId": "text not null",
    "documentId": "text not null",
    "createdTs": "bigint",
    "actionType": "text",
    "lastArchiveReason": "text",
    "lastArchiveComment": "text",
}
HEADERS = list(COLUMNS)


def build_audit_table_data(records: Iterable[Mapping[str, Any]]) -> Rows:
    """The row of each record; `rejections` has those of which none could be built."""
    return rows_of(records, build_audit, columns=COLUMNS)


def build_audit(record: Mapping[str, Any]) -> dict[str, Any]:
    """The row of one record: what the scan projects is what is taken.

    Raises: KeyError for one without its own id or the document's.
    """
    return {
        "auditRecordId": record["auditRecordId"],
        "documentId": record["documentId"],
        "createdTs": record.get("createdTs"),
        "actionType": record.get("actionType"),
        "lastArchiveReason": record.get("lastArchiveReason"),
        "lastArchiveComment": record.get("lastArchiveComment"),
    }
