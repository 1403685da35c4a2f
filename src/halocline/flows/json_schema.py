"""The JSON schema of `halocline.yaml`, by which editors complete and check it."""

from __future__ import annotations

from typing import Any

from halocline.flows.configuration import NAME, Said


def json_schema() -> dict[str, Any]:
    """The schema. Source: https://json-schema.org/draft/2020-12/schema, the dialect that pydantic writes."""
    found = Said.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": NAME}
