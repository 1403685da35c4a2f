"""Batches that change data: each row written for itself, in the transactions of 200 that Salesforce makes of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from halocline.emulator.bulk1.columns import Columns
from halocline.emulator.bulk1.jobs import Done
from halocline.emulator.bulk1.refusals import invalid_batch
from halocline.emulator.bulk1.results import results_of
from halocline.emulator.bulk1.rows import Row, read_rows
from halocline.emulator.errors import ApiError
from halocline.emulator.ids import to_18
from halocline.emulator.keys import GivenTwice
from halocline.emulator.writing import Saved, Writer

if TYPE_CHECKING:
    from halocline.emulator.bulk1.job import Batch, Job
    from halocline.emulator.objects import SObject
    from halocline.emulator.org import Org

ROWS_AT_ONCE = 200  # in one transaction. Source: Bulk API Developer Guide, "General Guidelines for Data Loads"


def change_data(org: Org, job: Job, *, batch: Batch, charset: str) -> Done:
    """Write the rows of a batch; a row that is refused stops no other.
    Raises: ApiError when nothing of the batch can be processed.
    """
    sobject = org.sobject(job.sobject)
    rows = read_rows(job.content_type, batch.request.read_bytes(), charset=charset, columns=Columns(org.catalog, sobject))
    changes = _Changes(Writer(org, job.user_id), sobject, job.operation, job.external_id or "Id")
    changes.check(rows)
    saved = [one for start in range(0, len(rows), ROWS_AT_ONCE) for one in changes.made(rows[start : start + ROWS_AT_ONCE])]
    path = batch.request.with_suffix(".result")
    path.write_bytes(results_of(saved, job.content_type))
    return Done(len(saved), sum(not one.success for one in saved), (path,))


@dataclass(frozen=True, slots=True)
class _Changes:
    writer: Writer
    sobject: SObject
    operation: str
    key: str

    def check(self, rows: Sequence[Row]) -> None:
        """Raises: ApiError InvalidBatch for a delete with more than ids; its words are unverified."""
        deletes = self.operation in ("delete", "hardDelete")
        if deletes and any(not isinstance(row, ApiError) and row.keys() - {"Id"} for row in rows):
            raise invalid_batch("Delete batch must contain only ids")

    def made(self, rows: Sequence[Row]) -> list[Saved]:
        """What became of each of these rows, in one commit; a refused row undoes itself alone."""
        twice = self._given_twice(rows) if self.operation in ("update", "upsert") else None
        return self.writer.batch([partial(self._attempt, row, twice) for row in rows])

    def _given_twice(self, rows: Sequence[Row]) -> GivenTwice:
        field = self.writer.key_field(self.sobject, self.key if self.operation == "upsert" else "Id")
        return GivenTwice.among(field, (row.get(field.name) for row in rows if not isinstance(row, ApiError)))

    def _attempt(self, row: Row, twice: GivenTwice | None) -> Saved:
        if isinstance(row, ApiError):
            raise row
        if twice is not None:
            twice.refuse(row.get(twice.field.name))
        try:
            return _WRITES[self.operation](self, row)
        except ApiError as refusal:
            raise _as_bulk_says(refusal, self.sobject, row) from refusal

    def insert(self, record: dict[str, object]) -> Saved:
        return Saved(self.writer.insert(self.sobject, record), created=True)

    def update(self, record: dict[str, object]) -> Saved:
        record_id = _id(record, "an update")
        self.writer.update(self.sobject, record_id, {name: value for name, value in record.items() if name != "Id"})
        return Saved(to_18(record_id))

    def upsert(self, record: dict[str, object]) -> Saved:
        if self.key != "Id" and record.get(self.key) is None:
            raise ApiError(400, "MISSING_ARGUMENT", f"{self.key} not specified", fields=())
        return self.writer.upsert(self.sobject, record, key=self.key)

    def delete(self, record: dict[str, object]) -> Saved:
        record_id = _id(record, "a delete")
        self.writer.delete(self.sobject, record_id)
        return Saved(to_18(record_id))

    def hard_delete(self, record: dict[str, object]) -> Saved:
        record_id = _id(record, "a delete")
        self.writer.hard_delete(self.sobject, record_id)
        return Saved(to_18(record_id))


_WRITES: dict[str, Callable[[_Changes, dict[str, object]], Saved]] = {
    "insert": _Changes.insert,
    "update": _Changes.update,
    "upsert": _Changes.upsert,
    "delete": _Changes.delete,
    "hardDelete": _Changes.hard_delete,
}


def _id(record: dict[str, object], call: str) -> str:
    value = record.get("Id")
    if value is None:
        raise ApiError(400, "MISSING_ARGUMENT", f"Id not specified in {call} call", fields=())
    return str(value)


def _as_bulk_says(refusal: ApiError, sobject: SObject, record: dict[str, object]) -> ApiError:
    """REST reads typed JSON and says where it stumbled; Bulk names the field.
    Source: `INVALID_TYPE_ON_FIELD_IN_RECORD` in SOAP API Developer Guide, "StatusCode"; the message as Bulk clients show it.
    """
    if refusal.code != "JSON_PARSER_ERROR":
        return refusal
    found = ((sobject.field(name), value) for name, value in record.items() if f" value {value} " in refusal.message)
    for field, value in found:
        if field is not None:
            message = f"{field.label}: value not of required type: {value}"
            return ApiError(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", message, fields=(field.name,))
    return refusal
