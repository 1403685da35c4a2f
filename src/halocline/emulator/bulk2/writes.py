"""The writes of an ingest job: one record each, in the transactions of 200 that Salesforce makes of a batch.

Source: Bulk API 2.0 and Bulk API Developer Guide, "How Requests Are Processed". That a double key fails every record of a
transaction that has it is observed by a client of these APIs, and documented for SOAP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from halocline.emulator.bulk2.csv_in import BadUploadError
from halocline.emulator.bulk2.header import NULL, Column, columns_of
from halocline.emulator.errors import ApiError
from halocline.emulator.ids import to_18
from halocline.emulator.keys import GivenTwice
from halocline.emulator.writing import Saved, Writer

if TYPE_CHECKING:
    from halocline.emulator.objects import Field, SObject

TRANSACTION_ROWS = 200
_TYPED = frozenset({"boolean", "int", "long", "double", "currency", "percent", "date", "datetime", "time"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job does with each record: an operation on an object, from these columns. `key` finds the records of an upsert."""

    operation: str
    sobject: SObject
    columns: tuple[Column, ...]
    key: str = "Id"

    def record(self, row: Sequence[str]) -> dict[str, object]:
        """The record of a row; empty cells say nothing."""
        return dict(column.entry(text) for column, text in zip(self.columns, row, strict=True) if text)

    def key_index(self) -> int | None:
        """Which column holds the key, if any."""
        wanted = self.key.lower()
        return next((at for at, column in enumerate(self.columns) if column.name.lower() == wanted), None)


def plan_of(operation: str, sobject: SObject, *, header: Sequence[str], key: str | None, writer: Writer) -> Plan:
    """How records under this header are written.
    Raises: BadUploadError for a header that cannot be.
    """
    columns = columns_of(header, sobject, catalog=writer.org.catalog)
    if operation in ("delete", "hardDelete") and [column.field.type for column in columns] != ["id"]:
        raise BadUploadError("InvalidBatch : Delete batch must contain only ids")  # words unverified
    return Plan(operation, sobject, columns, key or "Id")


def write_rows(writer: Writer, plan: Plan, *, rows: Sequence[Sequence[str]]) -> Iterator[Saved]:
    """Write the rows in transactions of 200, and say of each what became of it, in order."""
    for start in range(0, len(rows), TRANSACTION_ROWS):
        yield from write_transaction(writer, plan, rows=rows[start : start + TRANSACTION_ROWS])


def write_transaction(writer: Writer, plan: Plan, *, rows: Sequence[Sequence[str]]) -> list[Saved]:
    """Write up to 200 rows in one commit. A refused row undoes itself alone."""
    twice = _given_twice(plan, rows)
    write = _WRITES[plan.operation]
    return writer.batch([_attempt(partial(write, writer, plan), plan, row, twice=twice) for row in rows])


def _attempt(
    write: Callable[[dict[str, object]], Saved], plan: Plan, row: Sequence[str], *, twice: GivenTwice | None
) -> Callable[[], Saved]:
    def attempt() -> Saved:
        record = plan.record(row)
        if twice is not None:
            twice.refuse(record.get(twice.field.name))
        try:
            return write(record)
        except ApiError as refusal:
            raise _as_bulk_says(refusal, plan, record) from refusal

    return attempt


def _given_twice(plan: Plan, rows: Sequence[Sequence[str]]) -> GivenTwice | None:
    at = plan.key_index()
    if at is None or plan.operation not in ("update", "upsert"):
        return None
    return GivenTwice.among(plan.columns[at].field, (None if row[at] == NULL else row[at] for row in rows))


def _insert(writer: Writer, plan: Plan, record: dict[str, object]) -> Saved:
    return Saved(writer.insert(plan.sobject, record), created=True)


def _update(writer: Writer, plan: Plan, record: dict[str, object]) -> Saved:
    record_id = _id(record, "an update")
    writer.update(plan.sobject, record_id, record)
    return Saved(to_18(record_id))


def _upsert(writer: Writer, plan: Plan, record: dict[str, object]) -> Saved:
    return writer.upsert(plan.sobject, record, key=plan.key)


def _delete(writer: Writer, plan: Plan, record: dict[str, object]) -> Saved:
    record_id = _id(record, "a delete")
    writer.delete(plan.sobject, record_id)
    return Saved(to_18(record_id))


def _hard_delete(writer: Writer, plan: Plan, record: dict[str, object]) -> Saved:
    record_id = _id(record, "a delete")
    writer.hard_delete(plan.sobject, record_id)
    return Saved(to_18(record_id))


_WRITES = {"insert": _insert, "update": _update, "upsert": _upsert, "delete": _delete, "hardDelete": _hard_delete}


def _id(record: dict[str, object], call: str) -> str:
    """Takes the id out of the record.
    Raises: ApiError if there is none.
    """
    record_id = record.pop("Id", None)
    if record_id is None:
        raise ApiError(400, "MISSING_ARGUMENT", f"Id not specified in {call} call", fields=())
    return str(record_id)


def _as_bulk_says(refusal: ApiError, plan: Plan, record: dict[str, object]) -> ApiError:
    """REST reads typed JSON and says where it stumbled; a CSV has only text, and Bulk names the field.
    Source: `INVALID_TYPE_ON_FIELD_IN_RECORD` in SOAP API Developer Guide, "StatusCode"; the message as Bulk clients show it.
    """
    if refusal.code != "JSON_PARSER_ERROR":
        return refusal
    typed = (column.field for column in plan.columns if column.field.type in _TYPED)
    wrong = next((field for field in typed if _is_named(refusal.message, record.get(field.name))), None)
    if wrong is None:
        return refusal
    return _wrong_type(wrong, record[wrong.name])


def _is_named(message: str, value: object) -> bool:
    return value is not None and f" value {value} " in message


def _wrong_type(field: Field, value: object) -> ApiError:
    message = f"{field.label}: value not of required type: {value}"
    return ApiError(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", message, fields=(field.name,))
