"""Rows of raw.cases, of the items of the documents table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from halocline.compat.demand.utils import Rows, rows_of

COLUMNS = {
    "documentId": "text not null",
    "version": "integer not null",
    "status": "text",
    "statusTs": "bigint",
    "claimNumber": "text",
    "claimCoverage": "text",
    "claimant": "text",
    "lossDate": "date",
    "demandAmount": "decimal(18,2)",
    "demandTemplateId": "text",
    "demandTemplatePinnedVersion": "integer",
    "caseManagers": "text",
    "assignedCaseCollaborator": "json",  # text[] in the table
    "attachments": "integer not null",
    "demandDetails": "json",
    "createdTs": "bigint",
    "lastUpdatedTs": "bigint",
}
HEADERS = list(COLUMNS)


def build_cases_table_data(documents: Iterable[Mapping[str, Any]]) -> Rows:
    """The row of each document; `rejections` has those of which none could be built."""
    return rows_of(documents, build_case, columns=COLUMNS)


def build_case(document: Mapping[str, Any]) -> dict[str, Any]:
    """The row of one document. Only documentId and version must be there; the other parts may be missing.

    Raises: KeyError for a document without one of the two.
    """
    details = document.get("demandDetails") or {}
    claim = document.get("claimInfo") or {}
    template = details.get("template") or {}
    latest = max(document.get("statuses") or (), key=lambda one: one["ts"], default={})
    return {
        "documentId": document["documentId"],
        "version": document["version"],
        "status": latest.get("status"),
        "statusTs": latest.get("ts"),
        "claimNumber": claim.get("claimNumber"),
        "claimCoverage": claim.get("claimCoverage"),
        "claimant": claim.get("claimant"),
        "lossDate": claim.get("lossDate"),
        "demandAmount": details.get("amount"),
        "demandTemplateId": template.get("templateId"),
        "demandTemplatePinnedVersion": template.get("pinnedVersion"),
        "caseManagers": extract_names_from_case_managers(document.get("caseManagers") or ()),
        "assignedCaseCollaborator": document.get("assignedCaseCollaborator"),
        "attachments": len(document.get("attachments") or ()),
        "demandDetails": document.get("demandDetails"),
        "createdTs": document.get("createdTs"),
        "lastUpdatedTs": document.get("lastUpdatedTs"),
    }


def extract_names_from_case_managers(managers: Iterable[Mapping[str, Any]]) -> str | None:
    """`First Last, First Last`; None where there is nobody."""
    names = [" ".join(part for part in (one.get("firstName"), one.get("lastName")) if part) for one in managers]
    return ", ".join(name for name in names if name) or None
