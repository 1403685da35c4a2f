"""SfBulk: many rows of an object, and an answer for each of them, in their order.

Rows travel as every push does: staged, journaled, sent by collections or Bulk 2.0, matched with their answers. So a reply that
was lost, a job that failed or a process that died neither loses a row nor sends it twice, and every row has an answer of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from halocline import registry
from halocline.config import Settings
from halocline.errors import FixConfig, HaloclineError, JobFailed
from halocline.ledger import Ledger
from halocline.mapping.near import near
from halocline.push.destination import Told
from halocline.push.fields import checked
from halocline.push.order import Api, SyncMode, WriteOrder
from halocline.push.push import Push, execute
from halocline.push.run import PushRun
from halocline.push.watch import Unwatched
from halocline.rows.of import rows_of
from halocline.several import company
from halocline.spool import Spool

if TYPE_CHECKING:
    from halocline.connectors.salesforce.client import SalesforceClient
    from halocline.execution import Execution

Row: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = dict[str, Any]
_UNKNOWN = "FATE_UNKNOWN"  # ours: the push ended before anything became known of the row


@dataclass(frozen=True, slots=True)
class SfBulk:
    """The objects of an org, each an attribute: `sf.bulk.Account`. `execution` records what is refused of every write."""

    client: SalesforceClient
    settings: Settings | None = None
    ledger: Ledger | None = None
    execution: Execution | None = None

    def __getattr__(self, name: str) -> BulkType:
        if name.startswith("_"):
            raise AttributeError(name)
        return BulkType(self, name)

    def submit_dml(
        self,
        object_name: str,
        dml: str,
        data: Iterable[Row],
        external_id_field: str | None = None,
        batch_size: int | str = 0,
        use_serial: bool = False,
        bypass_results: bool = False,
        include_detailed_results: bool = False,
    ) -> list[Answer]:
        """The write of that name to that object: see `BulkType.submit_dml`.

        Source: simple-salesforce, `SFBulkHandler.submit_dml`.
        """
        options = (batch_size, use_serial, bypass_results, include_detailed_results)
        return BulkType(self, object_name).submit_dml(dml, data, external_id_field, *options)


@dataclass(frozen=True, slots=True)
class BulkType:
    """The rows of one object. Every write answers a list of `{"success", "created", "id", "errors"}`, one for each row, in order.

    `errors` holds dicts with `statusCode`, `message`, `fields`. A row of which it is not known whether it was written has the
    statusCode IN_DOUBT. Rows of an upsert that share a key travel as one, the later values win, and all get its answer.
    `batch_size` and `use_serial` of older clients are taken and mean nothing: rows are cut by what Salesforce takes, sorted by
    parent, and locked ones tried again. `bypass_results` and `include_detailed_results` are refused: every row has its answer.
    Raises: FixConfig before anything is sent for names that the object does not have, for values of fields that the write cannot
    set, and for error records that could not be made; what ends a push on its way (login, quota, network), then with
    `facts["results"]`, the answers as far as they are known: the same call later does the rest of a write that was cut off so,
    and no more, and error records are made by the call that ends it. Stop when the rows were sent and their error records could
    not be made: the same call would send the rows again, and what became of them is in `facts["results"]` and
    `facts["answers"]`, of the error records in `facts["recorded"]`.
    """

    bulk: SfBulk
    object_name: str

    def insert(
        self,
        data: Iterable[Row],
        batch_size: int | str = 0,
        use_serial: bool = False,
        bypass_results: bool = False,
        include_detailed_results: bool = False,
    ) -> list[Answer]:
        """Create a record for every row; by Bulk, whatever the number, for a job can be asked afterwards what it did."""
        _refuse(bypass_results=bypass_results, include_detailed_results=include_detailed_results)
        return self._write(WriteOrder(self.object_name, SyncMode.INSERT, api=Api.BULK), data)

    def update(
        self,
        data: Iterable[Row],
        batch_size: int | str = 0,
        use_serial: bool = False,
        bypass_results: bool = False,
        include_detailed_results: bool = False,
    ) -> list[Answer]:
        """Change the records that the rows name by `Id`."""
        _refuse(bypass_results=bypass_results, include_detailed_results=include_detailed_results)
        return self._write(WriteOrder(self.object_name, SyncMode.UPDATE), data)

    def upsert(
        self,
        data: Iterable[Row],
        external_id_field: str,
        batch_size: int | str = 0,
        use_serial: bool = False,
        bypass_results: bool = False,
        include_detailed_results: bool = False,
    ) -> list[Answer]:
        """Change the records that have the rows' external ids, create those that do not exist."""
        _refuse(bypass_results=bypass_results, include_detailed_results=include_detailed_results)
        mode = SyncMode.UPDATE if external_id_field.lower() == "id" else SyncMode.UPSERT
        return self._write(WriteOrder(self.object_name, mode, external_id_field), data)

    def delete(
        self,
        data: Iterable[Row],
        batch_size: int | str = 0,
        use_serial: bool = False,
        bypass_results: bool = False,
        include_detailed_results: bool = False,
    ) -> list[Answer]:
        """Put the records that the rows name by `Id` in the recycle bin."""
        _refuse(bypass_results=bypass_results, include_detailed_results=include_detailed_results)
        return self._write(WriteOrder(self.object_name, SyncMode.DELETE), data)

    def hard_delete(
        self,
        data: Iterable[Row],
        batch_size: int | str = 0,
        use_serial: bool = False,
        bypass_results: bool = False,
        include_detailed_results: bool = False,
    ) -> list[Answer]:
        """Delete records for good, past the recycle bin."""
        _refuse(bypass_results=bypass_results, include_detailed_results=include_detailed_results)
        return self._write(WriteOrder(self.object_name, SyncMode.HARD_DELETE), data)

    def submit_dml(
        self,
        function_name: str,
        data: Iterable[Row],
        external_id_field: str | None = None,
        batch_size: int | str = 0,
        use_serial: bool = False,
        bypass_results: bool = False,
        include_detailed_results: bool = False,
    ) -> list[Answer]:
        """The write of that name: `insert`, `update`, `upsert` (which alone needs the field), `delete`, `hard_delete`.

        Raises: FixConfig for any other name; as the write of that name.
        """
        _refuse(bypass_results=bypass_results, include_detailed_results=include_detailed_results)
        doing = f"Writing {self.object_name} by submit_dml"
        names = [one.value for one in SyncMode]
        if function_name not in names:
            close = near(function_name, names) or names
            raise FixConfig(doing, f"there is no write {function_name!r}", hint=f"Did you mean {' or '.join(close)}?")
        if function_name != SyncMode.UPSERT:
            return list(getattr(self, function_name)(data))
        if external_id_field is None:
            raise FixConfig(doing, "an upsert needs an external id field", hint='submit_dml("upsert", rows, "Ext__c")')
        return self.upsert(data, external_id_field)

    def query(self, data: str, lazy_operation: bool = False, *, wait: float = 0) -> list[dict[str, Any]]:
        """The records that a SOQL query answers, without `attributes`. `wait` is taken and means nothing.

        Raises: FixConfig for `lazy_operation`.
        """
        return self._records(data, lazy_operation=lazy_operation, include_deleted=False)

    def query_all(self, data: str, lazy_operation: bool = False, *, wait: float = 0) -> list[dict[str, Any]]:
        """As `query`, with deleted records."""
        return self._records(data, lazy_operation=lazy_operation, include_deleted=True)

    def _records(self, soql: str, *, lazy_operation: bool, include_deleted: bool) -> list[dict[str, Any]]:
        if lazy_operation:
            hint = "SfClient().client.query(soql) gives the records one by one, as they are taken."
            raise FixConfig(f"Querying {self.object_name}", "lazy_operation is not to be had here", hint=hint)
        return list(self.bulk.client.query(soql, include_deleted=include_deleted))

    def _write(self, order: WriteOrder, data: Iterable[Row]) -> list[Answer]:
        rows, execution = list(data), self.bulk.execution
        if not rows:
            return []
        if execution is not None:
            execution.expect_error_fields(order)
        answers = _Answers(order.mode)
        try:
            self._push(order, rows, answers)
        except HaloclineError as error:
            if not (isinstance(error, JobFailed) and len(answers.found) == len(rows)):  # a failed job's rows are told
                error.facts["results"] = answers.of(len(rows))
                raise
        told = answers.of(len(rows))
        if execution is not None:
            execution.record_errors(order, rows, answers=told)
        return told

    def _push(self, order: WriteOrder, data: Sequence[Row], answers: _Answers) -> None:
        settings = self.bulk.settings or Settings.from_env()
        flow = f"bulk->salesforce:{order.sobject}:{order.mode}".lower()
        with ExitStack() as stack:
            spool = Spool(uuid.uuid4().hex, settings.spool)
            stack.callback(spool.close)
            rows = rows_of(data, folder=spool.path)
            stack.callback(rows.close)
            shared = stack.enter_context(company(self.bulk.ledger, settings))
            destination = registry.open_rows(self.bulk.client, spend=shared.spend)
            stack.callback(destination.close)
            looked_at, _ = checked(rows, order, mapper=None, destination=destination)
            push = Push(order, looked_at, destination, flow)
            execute(push, PushRun.new(), ledger=shared.books, home=settings.home, watch=answers)


@dataclass(slots=True)
class _Answers(Unwatched):
    """A `Watch` that keeps an answer for each row."""

    mode: SyncMode
    found: dict[int, Answer] = field(default_factory=dict)

    def told(self, told: Told) -> None:
        """See `Watch`."""
        if told.written is not None:
            columns = (told.written.column(name).to_pylist() for name in ("row", "id", "created"))
            for row, record_id, created in zip(*columns, strict=True):
                made = self.mode is SyncMode.INSERT or (self.mode is SyncMode.UPSERT and bool(created))
                self.found[row] = {"success": True, "created": made, "id": record_id, "errors": []}
        for one in told.others:
            if one.row is not None:
                self.found[one.row] = _not_written(one.code or one.fate.value.upper(), one.message, fields=one.fields, id=one.id)

    def of(self, rows: int) -> list[Answer]:
        """The answers in the order of the rows."""
        unknown = "nothing is known of this row: the push ended before"
        return [self.found.get(number) or _not_written(_UNKNOWN, unknown) for number in range(rows)]


def _refuse(**options: bool) -> None:
    """Raises: FixConfig for an option of older clients that would leave rows without their answers."""
    for name, wanted in options.items():
        if wanted:
            hint = "Leave it out: the answers are a list, one for each row."
            raise FixConfig("Writing many rows", f"{name} is not to be had here", hint=hint)


def _not_written(code: str, message: str, *, fields: Sequence[str] = (), id: str | None = None) -> Answer:  # noqa: A002
    error = {"statusCode": code, "message": message, "fields": list(fields)}
    return {"success": False, "created": False, "id": id, "errors": [error]}
