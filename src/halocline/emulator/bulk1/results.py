"""What became of the rows of a batch, in the order of the rows, as CSV, JSON or XML.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Get Batch Results"; errors in JSON and XML as in answers of real orgs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from halocline.emulator.bulk1 import xml
from halocline.emulator.bulk2.outcomes import failure
from halocline.emulator.wire import json_bytes

if TYPE_CHECKING:
    from halocline.emulator.writing import Saved

CSV_HEADER = ("Id", "Success", "Created", "Error")
_WORDS = {True: "true", False: "false"}


def results_of(saved: Sequence[Saved], content_type: str) -> bytes:
    """The results in the format of the job."""
    return {"CSV": _csv, "JSON": _json, "XML": _xml}[content_type](saved)


def _csv(saved: Sequence[Saved]) -> bytes:
    """All values quoted, the error as `CODE:message:fields --`."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for one in saved:
        error = failure(one.error) if one.error else ""
        writer.writerow((one.id or "", _WORDS[one.success], _WORDS[one.created], error))
    return text.getvalue().encode()


def _json(saved: Sequence[Saved]) -> bytes:
    return json_bytes([{"success": one.success, "created": one.created, "id": one.id, "errors": _errors(one)} for one in saved])


def _errors(one: Saved) -> list[dict[str, object]]:
    if one.error is None:
        return []
    fields, code = list(one.error.fields or ()), one.error.code
    return [{"statusCode": code, "message": one.error.message, "fields": fields, "extendedErrorDetails": None}]


def _xml(saved: Sequence[Saved]) -> bytes:
    return xml.document("results", "".join(f"<result>{_xml_result(one)}</result>" for one in saved))


def _xml_result(one: Saved) -> str:
    """An id where there is one, else the errors first."""
    flags = {"success": one.success, "created": one.created}
    if one.error is None:
        return xml.elements({"id": one.id, **flags})
    fields = "".join(xml.element("fields", name) for name in one.error.fields or ())
    texts = xml.elements({"message": one.error.message, "statusCode": one.error.code})
    return f"<errors>{fields}{texts}</errors>" + xml.elements(flags)
