"""Rows of raw.metadata, of the items of the documents-metadata table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from halocline.compat.demand.utils import Rows, rows_of

COLUMNS = {
    "documentId": "text not null",
    "documentType": "text not null",
    "fileName": "text",
    "pages": "integer",
    "sizeBytes": "bigint",
    "tags": "json",  # text[] in the table
    "createdTs": "bigint",
    "lastUpdatedTs": "bigint",
}
HEADERS = list(COLUMNS)


def build_metadata_table_data(metadata: Iterable[Mapping[str, Any]]) -> Rows:
    """The row of each item; `rejections` has those of which none could be built."""
    return rows_of(metadata, build_metadata, columns=COLUMNS)


def build_metadata(item: Mapping[str, Any]) -> dict[str, Any]:
    """The row of one item.

    Raises: KeyError for one that does not say which document it is about, or of what type that is.
    """
    return {
        "documentId": item["documentId"],
        "documentType": item["documentType"],
        **extract_metadata_fields(item.get("metadata") or {}),
        "createdTs": item.get("createdTs"),
        "lastUpdatedTs": item.get("lastUpdatedTs"),
    }


def extract_metadata_fields(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the file itself; None for what is not."""
    return {name: metadata.get(name) for name in ("fileName", "pages", "sizeBytes", "tags")}
