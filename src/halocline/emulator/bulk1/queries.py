"""Batches that query: the records of a result in the job's format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv

from halocline.emulator.bulk1 import xml
from halocline.emulator.bulk1.chunking import chunked, ranges, split_query
from halocline.emulator.bulk1.jobs import Done, new_id
from halocline.emulator.bulk1.refusals import invalid_batch
from halocline.emulator.errors import ApiError
from halocline.emulator.query import PreparedQuery, prepare
from halocline.emulator.soql.plan import Output
from halocline.emulator.wire import json_bytes

if TYPE_CHECKING:
    from halocline.emulator.bulk1.job import Batch, Job
    from halocline.emulator.org import Org

NOTHING_FOUND = b"Records not found for this query"  # all that a CSV result without records says; clients look for it
RECORDS_AT_ONCE = 2_000
_DAY_TYPES = ("date", "datetime")

Types: TypeAlias = "dict[tuple[str, ...], str]"  # of the columns, by their path
Pieces: TypeAlias = Iterator[tuple[bytes, int]]  # text, and how many records are in it


def query_data(org: Org, job: Job, *, batch: Batch) -> Done:
    """Run the query of a batch, or cut it into chunks if the job asks for that.
    Raises: ApiError for SOQL that is wrong, and for SOQL that this API does not run.
    """
    soql = batch.request.read_text("utf-8", errors="replace")
    prepared = _prepared(org, job, soql)
    chunks = () if batch.is_chunk else _chunks(org, job, soql, prepared=prepared)
    if chunks:
        org.limits.spend_batches(len(chunks))
        return Done(chunks=chunks)
    path = batch.request.with_name(new_id("752"))
    rows = _write(path, _FORMATS[job.content_type](prepared, job.version))
    return Done(rows, results=(path,))


def _prepared(org: Org, job: Job, soql: str) -> PreparedQuery:
    try:
        return prepare(org.view, soql, all_rows=job.operation == "queryAll", bulk=True, user_id=job.user_id, version=job.version)
    except ApiError as refusal:
        if refusal.code == "INVALIDENTITY":  # Bulk API 2.0's name for it
            raise ApiError(400, "InvalidEntity", refusal.message) from refusal
        # Bulk API 2.0 answers API_ERROR where this API's batches say FUNCTIONALITY_NOT_ENABLED, as observed.
        code = "FUNCTIONALITY_NOT_ENABLED" if refusal.code == "API_ERROR" else refusal.code
        raise invalid_batch(f"Failed to process query: {code}: {refusal.message}") from refusal


def _chunks(org: Org, job: Job, soql: str, *, prepared: PreparedQuery) -> tuple[str, ...]:
    parts = split_query(soql, prepared.sobject) if job.chunking else None
    if parts is None or job.chunking is None:
        return ()
    return tuple(chunked(parts, ranges(org, prepared.sobject, chunking=job.chunking)))


def _write(path: Path, pieces: Pieces) -> int:
    rows = 0
    with path.open("wb") as file:
        for text, count in pieces:
            file.write(text)
            rows += count
    return rows


def _csv(prepared: PreparedQuery, _version: str) -> Pieces:
    """Every value quoted, null as the empty text, one header."""
    options = pa_csv.WriteOptions(include_header=False, quoting_style="all_valid")
    header = (",".join(f'"{name}"' for name in prepared.columns) + "\n").encode()
    rows = 0
    for batch in prepared.batches():
        if batch.num_rows:
            yield (b"" if rows else header) + _csv_text(batch, options), batch.num_rows
            rows += batch.num_rows
    if not rows:
        yield NOTHING_FOUND, 0


def _csv_text(batch: pa.RecordBatch, options: pa_csv.WriteOptions) -> bytes:
    columns = [pc.fill_null(column.cast(pa.string()), "") for column in batch.columns]
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), sink, options)
    text: bytes = sink.getvalue().to_pybytes()
    return text


def _json(prepared: PreparedQuery, version: str) -> Pieces:
    """Records as REST writes them, but dates and datetimes as epoch milliseconds.
    Source: observed from the vendor's answers by simple-salesforce (#290) and salesforce-bulk (#70).
    """
    types, joint = _types(prepared), b"["
    for records in _pages(prepared, version):
        yield joint + b",".join(json_bytes(_retyped(one, (), types, _epoch_ms)) for one in records), len(records)
        joint = b","
    yield (b"]" if joint == b"," else b"[]"), 0


def _xml(prepared: PreparedQuery, version: str) -> Pieces:
    """`type` and `Id` first, as the partner WSDL's sObject has them, then the fields selected - an Id among them once more."""
    types = _types(prepared)
    yield xml.opening("queryResult", typed=True).encode(), 0
    for records in _pages(prepared, version):
        text = "".join(_xml_record("records", _retyped(one, (), types, _zulu)) for one in records)
        yield text.encode(), len(records)
    yield b"</queryResult>", 0


_FORMATS: dict[str, Callable[[PreparedQuery, str], Pieces]] = {"CSV": _csv, "JSON": _json, "XML": _xml}


def _pages(prepared: PreparedQuery, version: str) -> Iterator[list[dict[str, object]]]:
    for start in range(0, prepared.total_size(), RECORDS_AT_ONCE):
        records = prepared.records(version, start, RECORDS_AT_ONCE)
        if records:
            yield records


def _types(prepared: PreparedQuery) -> Types:
    return {one.path: one.value.type for one in prepared.plan.outputs if isinstance(one, Output) and not one.value.formatted}


def _retyped(
    record: dict[str, object], path: tuple[str, ...], types: Types, convert: Callable[[str], object]
) -> dict[str, object]:
    """The record with its dates and datetimes written as this format writes them."""
    changed: dict[str, object] = {}
    for name, value in record.items():
        here = (*path, name)
        if isinstance(value, dict) and name != "attributes":
            changed[name] = _retyped(value, here, types, convert)
        else:
            changed[name] = convert(value) if isinstance(value, str) and types.get(here) in _DAY_TYPES else value
    return changed


def _epoch_ms(text: str) -> int:
    moment = datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00")
    return round(moment.timestamp() * 1000)


def _zulu(text: str) -> str:
    return text.replace("+0000", "Z")


def _xml_record(tag: str, record: dict[str, object]) -> str:
    attributes = record["attributes"]
    kind = attributes.get("type") if isinstance(attributes, dict) else None
    fields = "".join(_xml_value(name, value) for name, value in record.items() if name != "attributes")
    return f'<{tag} xsi:type="sObject">{xml.element("type", kind)}{_xml_value("Id", record.get("Id"))}{fields}</{tag}>'


def _xml_value(name: str, value: object) -> str:
    if value is None:
        return xml.nil(name)
    return _xml_record(name, value) if isinstance(value, dict) else xml.element(name, value)
