"""Rows of raw.templates, of the items of the templates table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from halocline.compat.demand.utils import Rows, rows_of

COLUMNS = {
    "templateId": "text not null",
    "templateName": "text not null",
    "version": "integer not null",
    "defaultDemandConfig": "json",
}
HEADERS = list(COLUMNS)


def build_templates_table_data(templates: Iterable[Mapping[str, Any]]) -> Rows:
    """The row of each template; `rejections` has those of which none could be built."""
    return rows_of(templates, build_template, columns=COLUMNS)


def build_template(template: Mapping[str, Any]) -> dict[str, Any]:
    """The row of one template.

    Raises: KeyError for one without its id, name or version.
    """
    return {
        "templateId": template["templateId"],
        "templateName": template["templateName"],
        "version": template["version"],
        "defaultDemandConfig": template.get("defaultDemandConfig"),
    }
