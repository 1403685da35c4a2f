"""`SalesforceClient` and `SalesforceSession` with the arguments and answers of kinetic-core's.

What differs from there: queried rows come without `attributes`, so that they can be sent back as they are; a refusal is an error
of `halocline.errors` that holds Salesforce's code, message and fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from halocline import SalesforceClient as _Client
from halocline.compat.kinetic.auth import SalesforceSession

if TYPE_CHECKING:
    from halocline.connectors.salesforce import Authenticator, Session
    from halocline.outcome import RowResult

__all__ = ["SalesforceClient", "SalesforceSession"]

_Login: TypeAlias = "SalesforceSession | Session | Authenticator | Mapping[str, object]"


class SalesforceClient(_Client):
    """`halocline.SalesforceClient`, asked and answering as kinetic-core's client.

    `session` is a SalesforceSession, or anything that ours takes. Its `api_version` is used where it has one.
    """

    def __init__(self, session: _Login, logger_instance: object = None) -> None:  # noqa: ARG002 - documented; ours logs nothing
        login: Any = session  # a SalesforceSession stands for a Session
        version = getattr(session, "api_version", None)
        options: dict[str, Any] = {"version": str(version).removeprefix("v")} if version else {}
        super().__init__(login, **options)

    # The next ones differ from ours on purpose: mypy is right that one cannot stand in for the other.

    def query(self, soql: str, include_deleted: bool = False, **options: Any) -> list[dict[str, Any]]:  # type: ignore[override]
        """All records at once."""
        return list(super().query(soql, include_deleted=include_deleted, **options))

    def query_one(self, soql: str, include_deleted: bool = False) -> dict[str, Any] | None:
        """The first record, or None."""
        return next(super().query(soql, include_deleted=include_deleted), None)

    def get(self, sobject: str, record_id: str, fields: list[str] | None = None) -> dict[str, Any]:
        """One record by its id."""
        return super().get(sobject, record_id, fields=fields)

    def count(self, sobject: str, where: str | None = "", **options: Any) -> int:  # type: ignore[override]
        """How many records there are, or how many of them `where` holds for."""
        return super().count(sobject, where or None, **options)

    def create(self, sobject: str, data: Mapping[str, Any]) -> str:
        """The id of a new record. Raises: RejectRecord; RetryLater with `facts["in_doubt"]` when the answer was lost."""
        return super().create(sobject, data)

    def update(self, sobject: str, record_id: str, data: Mapping[str, Any]) -> bool:  # type: ignore[override]
        """Change one record; True. Raises: RejectRecord; NotFound."""
        super().update(sobject, record_id, data)
        return True

    def upsert(  # type: ignore[override]
        self, sobject: str, external_id_field: str, external_id_value: object, data: Mapping[str, Any]
    ) -> str:
        """The id of the record with that external id, changed or created. Raises: RejectRecord."""
        return super().upsert(sobject, data, external_id_field=external_id_field, value=external_id_value)

    def delete(self, sobject: str, record_id: str) -> bool:  # type: ignore[override]
        """Put one record in the recycle bin; True. Raises: NotFound."""
        super().delete(sobject, record_id)
        return True

    def create_batch(self, sobject: str, records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What became of each record, in order: `id`, `success`, `errors` with `statusCode`, `message`, `fields`."""
        return [_answer(result) for result in self.create_many(sobject, records)]


def _answer(result: RowResult) -> dict[str, Any]:
    errors = [] if result.success else [{"statusCode": result.code, "message": result.message, "fields": list(result.fields)}]
    return {"id": result.id, "success": result.success, "errors": errors}
