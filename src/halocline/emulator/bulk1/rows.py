"""An uploaded batch -> one record for each row, or what is wrong with the row.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Prepare CSV Files", "Prepare XML and JSON Files" of the Bulk API.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from halocline.emulator.bulk1 import xml
from halocline.emulator.bulk1.columns import Column, Columns
from halocline.emulator.bulk1.refusals import field_not_found, invalid_batch
from halocline.emulator.bulk2.csv_in import is_well_quoted
from halocline.emulator.errors import ApiError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_ROWS = 10_000  # in a batch. Source: Bulk API Developer Guide, "Limits": batch size
NULL = "#N/A"
_BOM = "\ufeff"
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
Row: TypeAlias = "dict[str, object] | ApiError"

_NO_ROWS = "Records not found"  # observed stateMessage of a batch without content


def read_rows(content_type: str, body: bytes, *, charset: str, columns: Columns) -> list[Row]:
    """The records of a batch in the order in which they came.

    In CSV an empty value is left out and `#N/A` is null; in XML an empty element is left out and `xsi:nil` is null. Other records
    are named as `{"Owner": {"Username": "..."}}`, with their type in `attributes` where it could be one of several.
    Raises: ApiError InvalidBatch when nothing of it can be processed, a field that does not exist among the reasons.
    """
    if content_type == "CSV":
        rows = list(_csv_rows(_decoded(body, charset), columns))
    elif content_type == "XML":
        rows = [_xml_row(item, columns) for item in _xml_records(body)]
    else:
        rows = [_json_row(item, columns) for item in _json_list(_decoded(body, charset))]
    if not rows:
        raise invalid_batch(_NO_ROWS)
    if len(rows) > MOST_ROWS:
        raise invalid_batch(f"Exceeded max number of records in a batch: {MOST_ROWS}")  # words unverified
    return rows


def _decoded(body: bytes, charset: str) -> str:
    try:
        text = body.decode(charset)
    except (UnicodeError, LookupError) as reason:
        raise invalid_batch(f"Failed to read the batch as {charset}") from reason  # words unverified
    _check_characters(text)
    return text


def _check_characters(text: str) -> None:
    """Half characters come from some charsets and from JSON's escapes; UTF-8 cannot hold them."""
    if _HALF_CHARACTER.search(text):
        raise invalid_batch("Failed to read the batch: a surrogate without its pair is no text")  # words unverified


def _csv_rows(text: str, columns: Columns) -> Iterator[Row]:
    if not is_well_quoted(text, ",") or text.startswith(_BOM + '"'):  # words observed
        raise invalid_batch("Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote")
    lines = csv.reader(io.StringIO(text.removeprefix(_BOM), newline=""))
    try:
        known = columns.of_header(next((line for line in lines if line), []))
        yield from (_csv_row(line, known) for line in lines if line)
    except csv.Error as reason:
        raise invalid_batch(f"Failed to parse CSV. {reason}") from reason  # words unverified


def _csv_row(line: Sequence[str], columns: Sequence[Column]) -> Row:
    if len(line) != len(columns):  # words observed in Bulk API 2.0's failed results
        message = f"Number of fields in header is different from the row. header = {len(columns)} row = {len(line)}"
        return ApiError(400, "INVALID_FIELD", message, fields=())
    record: dict[str, object] = {}
    for column, value in zip(columns, line, strict=True):
        if value != "":
            column.put(record, None if value == NULL else value)
    return record


def _xml_records(body: bytes) -> Element:
    try:
        return xml.parsed(body)
    except ApiError as reason:
        raise invalid_batch(f"Failed to parse XML. {reason.message}") from reason  # words unverified


def _xml_row(item: Element, columns: Columns) -> Row:
    record: dict[str, object] = {}
    for child in item:
        if xml.local(child) == "type" and (child.text or "").strip().lower() == columns.sobject.name.lower():
            continue  # the object, as force-wsc writes it, which the job names already; else it is a field
        parent = next(iter(child), None)
        if parent is None:
            _put_text(record, columns.named(xml.local(child)), child)
        else:
            _put_parent(record, columns, xml.local(child), xml.texts(parent))
    return record


def _put_text(record: dict[str, object], column: Column, item: Element) -> None:
    if xml.is_nil(item):
        column.put(record, None)
    elif item.text:
        column.put(record, item.text)


def _put_parent(record: dict[str, object], columns: Columns, name: str, parent: dict[str, str]) -> None:
    """`<Owner><sObject><type>User</type><Username>...</Username></sObject></Owner>`."""
    kind = parent.pop("type", None)
    for key, value in parent.items():
        columns.of_parent(name, key, kind=kind).put(record, value)


def _json_list(text: str) -> list[object]:
    try:
        found = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError) as reason:
        raise invalid_batch(f"Failed to parse JSON: {reason}") from reason  # words unverified
    if "\\u" in text:
        _check_characters(json.dumps(found, ensure_ascii=False))
    if not isinstance(found, list):
        raise invalid_batch("Failed to parse JSON: a batch is a list of records")  # words unverified
    return found


def _json_row(item: object, columns: Columns) -> Row:
    if not isinstance(item, dict):
        raise invalid_batch("Failed to parse JSON: a record is an object")  # words unverified
    record: dict[str, object] = {}
    for name, value in item.items():
        if name == "attributes":
            continue
        if isinstance(value, Mapping):
            _put_parent(record, columns, name, _flat(name, value))
        else:
            columns.named(name).put(record, value)
    return record


def _flat(name: str, parent: Mapping[str, object]) -> dict[str, str]:
    """`{"attributes": {"type": "User"}, "Username": "..."}` with the type beside the key."""
    attributes = parent.get("attributes")
    kind = attributes.get("type") if isinstance(attributes, Mapping) else None
    keys = {key: str(value) for key, value in parent.items() if key != "attributes"}
    if not keys:
        raise field_not_found(name)
    return keys | ({"type": str(kind)} if kind is not None else {})
