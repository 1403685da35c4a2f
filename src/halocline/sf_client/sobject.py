"""SfType: the records of one object, one call each, answered as simple-salesforce answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from halocline.errors import BadQuery, HaloclineError, RejectRecord, RetryLater
from halocline.outcome import Fate, RowResult

if TYPE_CHECKING:
    from halocline.connectors.salesforce.client import SalesforceClient


class SfType:
    """The object `name` of an org. Methods that change a record answer the HTTP status, as simple-salesforce does.

    Values are spelt as everywhere here: dates and Decimals may be given, None clears a field. Raises: as SalesforceClient.
    """

    def __init__(self, client: SalesforceClient, name: str) -> None:
        self.name = name
        self._client = client

    def __repr__(self) -> str:
        return f"SfType({self.name})"

    def create(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of Salesforce to a new record: `id`, `success`, `errors`.

        Raises: RejectRecord; RetryLater with `facts["in_doubt"]` when the answer was lost.
        """
        return {"id": self._client.create(self.name, data), "success": True, "errors": []}

    def get(self, record_id: str) -> dict[str, Any]:
        """The record with its `attributes`. Raises: NotFound."""
        return self._client.record(self.name, record_id)

    def get_by_custom_id(self, custom_id_field: str, custom_id: object) -> dict[str, Any]:
        """The record whose external id has that value. Raises: NotFound; BadQuery when several have it."""
        return self._client.record(self.name, str(custom_id), key=custom_id_field)

    def update(self, record_id: str, data: Mapping[str, Any]) -> int:
        """Change one record; 204. Raises: RejectRecord; NotFound."""
        self._client.update(self.name, record_id, data)
        return 204

    def upsert(self, record_id: str, data: Mapping[str, Any]) -> int:
        """Change or create the record of `Field__c/value` (the value as in an address, `%2F` for a slash): 201 where it is new.

        Raises: RejectRecord; BadQuery for a `record_id` without a field.
        """
        field, separator, value = record_id.partition("/")
        if not separator or not value:
            hint = "Write upsert('Ext__c/the-value', data)."
            raise BadQuery(f"Upserting {self.name}", f"{record_id!r} names no field and value", hint=hint)
        row = {**{name: told for name, told in data.items() if name.lower() != field.lower()}, field: unquote(value)}
        (result,) = self._client.upsert_many(self.name, [row], external_id_field=field)
        if not result.success:
            raise _refusal(f"Upserting {self.name} by {field}", result)
        return 201 if result.created else 200

    def delete(self, record_id: str) -> int:
        """Put one record in the recycle bin; 204. Raises: NotFound."""
        self._client.delete(self.name, record_id)
        return 204

    def describe(self) -> dict[str, Any]:
        """The object's describe."""
        return self._client.describe(self.name)

    def deleted(self, start: datetime | str, end: datetime | str) -> dict[str, Any]:
        """The records deleted between two instants: `deletedRecords`, `latestDateCovered`."""
        pairs, covered = self._client.deleted(self.name, start, end)
        return {"deletedRecords": [{"id": one, "deletedDate": at} for one, at in pairs], "latestDateCovered": covered}

    def updated(self, start: datetime | str, end: datetime | str) -> dict[str, Any]:
        """The records made or changed between two instants: `ids`, `latestDateCovered`."""
        ids, covered = self._client.updated(self.name, start, end)
        return {"ids": ids, "latestDateCovered": covered}


def _refusal(doing: str, result: RowResult) -> HaloclineError:
    """The error for a row that was not written, or may not have been."""
    cause = f"{result.code}: {result.message}"
    if result.fate is Fate.IN_DOUBT:
        return RetryLater(doing, cause, code=result.code, in_doubt=True)
    return RejectRecord(doing, cause, row=0, code=result.code, fields=result.fields)
