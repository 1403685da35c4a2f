"""Many records by sObject Collections: 200 a call, several calls in flight, results in the order of the input.

    records -> calls of 200 -> threads -> a result for each row
                                 ├── a row that is locked      sent again, alone, with back-off
                                 ├── a row that is unreadable  refuses its call: the call is divided until it is found
                                 └── an answer that is lost    an insert's rows are in doubt; the rest is sent again

Source: REST API Developer Guide, "sObject Collections"; read November 2026.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, islice
from typing import Any
from urllib.parse import quote

from halocline import engine
from halocline.connectors.salesforce import results
from halocline.connectors.salesforce.records import DELETED
from halocline.connectors.salesforce.results import not_sent, saved
from halocline.connectors.salesforce.spelling import CannotSpell, json_record
from halocline.connectors.salesforce.transport import Transport
from halocline.errors import FixConfig, HaloclineError, RetryLater
from halocline.foreign_table import by_value
from halocline.outcome import Fate, RowResult
from halocline.quantity import quantity
from halocline.retry import PACE, Pace, Policy

CALL_ROWS = 200  # the most that a call takes; "sObject Collections"
# Calls in flight: an org lets 25 requests of 20 seconds and longer run at the same time, a Developer Edition or trial org 5.
# Source: https://developer.salesforce.com/docs/platform/salesforce-app-limits-cheatsheet/guide/salesforce-app-limits-platform-api.html
WIDTH = 4
ROW_RETRIES = Policy(attempts=6, base_s=1.0, cap_s=20.0, budget_s=120.0)
_UNREADABLE = frozenset({"JSON_PARSER_ERROR", "INVALID_FIELD", "MALFORMED_ID"})  # of one row, told for the whole call
_NO_COLUMN = re.compile(r"No such column '(\w+)'")
_QUOTED_VALUE = re.compile(r"\bvalue (.+?) or request may be missing")  # as JSON_PARSER_ERROR says it
_ID = "Id"
AN_ID = "[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?"  # a record's id, as a pattern for the whole text


class Operation(StrEnum):
    """What is to happen to the records, in the words of Bulk's jobs."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with all the records of a load. `key` is the external id of an upsert."""

    operation: Operation
    sobject: str
    key: str | None = None

    @property
    def doing(self) -> str:
        """How error messages begin."""
        return f"{_DOING[self.operation]} records of {self.sobject}"

    @property
    def needed(self) -> str | None:
        """The field without which a row cannot be written."""
        return self.key if self.operation is Operation.UPSERT else None if self.operation is Operation.INSERT else _ID


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    body: Any


class Collections:
    """Calls of up to `rows_per_call` records, up to `width` of them in flight (1: one after the other)."""

    def __init__(
        self,
        transport: Transport,
        *,
        width: int = WIDTH,
        rows_per_call: int = CALL_ROWS,
        retries: Policy = ROW_RETRIES,
        pace: Pace = PACE,
    ) -> None:
        if width < 1 or not 1 <= rows_per_call <= CALL_ROWS:
            raise FixConfig("Writing by collections", f"width is {width} and rows_per_call {rows_per_call}", hint=_LIMITS)
        self._transport = transport
        self._width = width
        self._rows_per_call = rows_per_call
        self._retries, self._pace = retries, pace

    def write(self, order: Order, records: Iterable[Mapping[str, Any] | str]) -> Iterator[list[RowResult]]:
        """The results, call by call, in the order of the records; for deletes a record may be its bare id.

        Records are drawn as calls are made, so at most `width` calls are ahead of the results taken.
        Raises: what Salesforce says of a call as a whole when none of its rows was written; `facts["results"]` then holds the
        results that were not handed out yet, those of the calls in flight included. Rows never drawn were not attempted.
        """
        drawn, waiting = _Drawn(records, self._rows_per_call), deque[Future[list[RowResult]]]()
        with engine.threads(self._width) as executor:
            for chunk in drawn.chunks():
                waiting.append(executor.submit(self._call, order, chunk))
                if len(waiting) >= self._width:
                    yield _first_of(waiting)
            while waiting:
                yield _first_of(waiting)
        drawn.check()

    def write_all(self, order: Order, records: Iterable[Mapping[str, Any] | str]) -> list[RowResult]:
        """The results of all records.

        Raises: as `write`; `facts["results"]` then holds every result that is known.
        """
        done: list[RowResult] = []
        try:
            for told in self.write(order, records):
                done += told
        except HaloclineError as error:
            error.facts["results"] = [*done, *_results_of(error)]
            raise
        return done

    def send(self, order: Order, bodies: Sequence[tuple[int, Any]]) -> list[RowResult]:
        """The results of the rows of one call, in their order: row numbers, each with what JSON carries (for a delete, an id).

        Raises: as `write`; `facts["results"]` then has a result for each of these rows, NOT_SENT where it was not tried.
        """
        rows = [_Row(number, _typed(order, body)) for number, body in bodies]
        return self._tried(order, rows, done={}, numbers=[number for number, _ in bodies])

    def _call(self, order: Order, chunk: Sequence[tuple[int, Mapping[str, Any] | str]]) -> list[RowResult]:
        """The results of one chunk, in its order."""
        prepared = [_prepared(order, number, record=record) for number, record in chunk]
        done: dict[int | None, RowResult] = {one.row: one for one in prepared if isinstance(one, RowResult)}
        rows = [one for one in prepared if isinstance(one, _Row)]
        return self._tried(order, rows, done=done, numbers=[number for number, _ in chunk])

    def _tried(
        self, order: Order, rows: list[_Row], *, done: dict[int | None, RowResult], numbers: Sequence[int]
    ) -> list[RowResult]:
        """The results of `numbers`: of `rows`, locked ones tried again with back-off, and of those that are `done` already."""
        started, failures = self._pace.clock(), 0
        while rows:
            try:
                done |= {one.row: one for one in self._sent(order, rows)}
            except HaloclineError as error:
                done |= {one.row: one for one in _results_of(error)}
                left = {number: not_sent(number, error.code or "", message=error.cause) for number in numbers}
                error.facts["results"] = [done.get(number, left[number]) for number in numbers]
                raise
            rows = [row for row in rows if results.is_transient(done[row.number])]
            failures += 1
            wait_s = self._retries.wait_s(failures, chance=self._pace.chance())
            late = self._pace.clock() - started + wait_s > self._retries.budget_s
            if not rows or late or failures >= self._retries.attempts:
                break
            self._pace.sleep(wait_s)
        return [done[number] for number in numbers]

    def _sent(self, order: Order, rows: Sequence[_Row]) -> list[RowResult]:
        """The results of these rows, in any order; a call refused for one row's sake is made again without that row."""
        try:
            return self._asked(order, rows)
        except HaloclineError as error:
            if not _is_rows_fault(error):
                raise
            guilty = rows if len(rows) == 1 else _named(error, rows)
            done = [_refused(row, error) for row in guilty]
            parts = _without(rows, guilty) if guilty else _halves(rows, _suspects(error, rows))
        for part in parts:
            try:
                done += self._sent(order, part) if part else []
            except HaloclineError as error:
                error.facts["results"] = [*done, *_results_of(error)]
                raise
        return done

    def _asked(self, order: Order, rows: Sequence[_Row]) -> list[RowResult]:
        """The answer to one call, or what is known when it was lost."""
        try:
            return self._answer(order, rows)
        except RetryLater as error:
            if not error.facts.get("in_doubt") or error.facts.get("permanent"):
                raise
            if order.operation is Operation.INSERT:
                return _in_doubt(rows, error)
        try:
            return [second(order, told) for told in self._answer(order, rows, safe=True)]
        except HaloclineError as error:  # whatever it is, the first try may have been carried out
            if _is_rows_fault(error):  # but not if the call cannot be read: it could not be read the first time either
                raise
            return _in_doubt(rows, error)

    def _answer(self, order: Order, rows: Sequence[_Row], *, safe: bool = False) -> list[RowResult]:
        """One result for each row, by its place in the answer, as the guide promises."""
        bodies = [row.body for row in rows]
        made = {Operation.INSERT: True, Operation.UPSERT: None}.get(order.operation, False)
        if order.operation is Operation.DELETE:
            params = {"ids": ",".join(bodies), "allOrNone": "false"}
            reply = self._transport.send("DELETE", _PATH, params=params, doing=order.doing, safe=safe)
        else:
            method = "POST" if order.operation is Operation.INSERT else "PATCH"
            upserted = f"{_PATH}/{quote(order.sobject, safe='')}/{quote(order.key or '', safe='')}"
            path = upserted if order.operation is Operation.UPSERT else _PATH
            json = {"allOrNone": False, "records": bodies}
            reply = self._transport.send(method, path, json=json, doing=order.doing, safe=safe)
        told = reply.json()
        if not isinstance(told, list) or len(told) != len(rows):
            raise RetryLater(order.doing, f"the answer does not tell of {quantity(len(rows), 'row')}", in_doubt=True)
        return [saved(row.number, one, created=made) for row, one in zip(rows, told, strict=True)]


class _Drawn:
    """The records, drawn a chunk at a time and numbered. A failure of their source waits until what was sent is accounted for."""

    def __init__(self, records: Iterable[Mapping[str, Any] | str], size: int) -> None:
        self._rows, self._size = enumerate(_dicts(records)), size
        self._failure: Exception | None = None

    def chunks(self) -> Iterator[list[tuple[int, Mapping[str, Any] | str]]]:
        while chunk := self._next():
            yield chunk

    def check(self) -> None:
        """Raises: what the records' source raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def _next(self) -> list[tuple[int, Mapping[str, Any] | str]]:
        try:
            return list(islice(self._rows, self._size))
        except Exception as error:  # noqa: BLE001 - whatever the caller's iterator raises is raised again by `check`
            self._failure = error
            return []


def _dicts(records: Iterable[Mapping[str, Any] | str]) -> Iterable[Mapping[str, Any] | str]:
    """The records one by one, those of an Arrow stream as well.

    Raises: FixConfig for a file's name, which would be taken apart into letters, or for one record.
    """
    if isinstance(records, (str, Mapping)):
        hint = "Give a list of records; a CSV file can be loaded by client.bulk."
        raise FixConfig("Writing by collections", f"a {type(records).__name__} is no list of records", hint=hint)
    records = by_value(records)
    if not hasattr(records, "__arrow_c_stream__"):
        return records
    import pyarrow as pa

    return (row for batch in pa.RecordBatchReader.from_stream(records) for row in batch.to_pylist())


def _first_of(waiting: deque[Future[list[RowResult]]]) -> list[RowResult]:
    """The oldest call's results. When it failed, the calls in flight are waited for, and the error takes all results along."""
    try:
        return waiting.popleft().result()
    except HaloclineError as error:
        error.facts["results"] = list(chain(_results_of(error), *map(_ended, waiting)))
        raise


def _ended(call: Future[list[RowResult]]) -> list[RowResult]:
    try:
        return call.result()
    except HaloclineError as error:
        return _results_of(error)


def _results_of(error: HaloclineError) -> list[RowResult]:
    found = error.facts.get("results")
    return list(found) if isinstance(found, list) else []


def _prepared(order: Order, number: int, *, record: Mapping[str, Any] | str) -> _Row | RowResult:
    """The row as it is sent, or why it cannot be."""
    told = {_ID: record} if isinstance(record, str) else record
    try:
        body = json_record(told)
    except CannotSpell as error:
        return not_sent(number, results.CANNOT_BE_SENT, message=f"{error.field}: {error}", fields=(error.field,))
    if order.needed is not None and not _value(body, order.needed):
        message = f"{order.needed} is missing or empty; the row was not sent"
        return not_sent(number, results.MISSING_KEY, message=message, fields=(order.needed,))
    if order.operation is Operation.DELETE:
        record_id = str(_value(body, _ID))
        if not re.fullmatch(AN_ID, record_id):  # ids travel in one list, where a comma would make two of one
            return not_sent(number, results.CANNOT_BE_SENT, message=f"{record_id[:40]!r} is no id of a record", fields=(_ID,))
        return _Row(number, record_id)
    return _Row(number, _typed(order, body))


def _typed(order: Order, body: Any) -> Any:
    """The body with the name of its object, which every entry but a delete's id carries."""
    return body if order.operation is Operation.DELETE else {"attributes": {"type": order.sobject}, **body}


def _value(record: Mapping[str, Any], name: str) -> Any:
    """The value of a field in any case; 0 is a value."""
    found = next((value for key, value in record.items() if key.lower() == name.lower()), None)
    return "0" if found == 0 else found


def _in_doubt(rows: Sequence[_Row], error: HaloclineError) -> list[RowResult]:
    message = f"the rows were sent and may be written; no answer told what became of them: {error.cause}"
    return [RowResult(row.number, Fate.IN_DOUBT, code=results.IN_DOUBT, message=message) for row in rows]


def second(order: Order, told: RowResult) -> RowResult:
    """The result of a row that was sent twice: the first time may have deleted it, or created what the second only changed.

    Which code a record has that was deleted for good the first time is unverified; one that is not known here stays refused.
    """
    if order.operation in (Operation.DELETE, Operation.HARD_DELETE) and told.code == DELETED:
        return RowResult(told.row, Fate.WRITTEN, id=told.id, created=False)
    if order.operation is Operation.UPSERT and told.success and not told.created:
        return replace(told, created=None)
    return told


def _refused(row: _Row, error: HaloclineError) -> RowResult:
    told = error.facts.get("fields")
    message = error.cause.removeprefix(f"{error.code}: ")
    fields = tuple(map(str, told)) if isinstance(told, tuple) else ()
    return RowResult(row.number, Fate.REFUSED, code=error.code or "", message=message, fields=fields)


def _named(error: HaloclineError, rows: Sequence[_Row]) -> list[_Row]:
    """The rows that have the field which the refusal says does not exist: all of them at once, without halving."""
    found = _NO_COLUMN.search(error.cause)
    if found is None:
        return []
    name = found[1].lower()
    return [row for row in rows if isinstance(row.body, Mapping) and name in map(str.lower, row.body)]


def _suspects(error: HaloclineError, rows: Sequence[_Row]) -> list[_Row]:
    """The rows that hold the value which the refusal quotes; they are tried apart from the others, not refused unheard."""
    found = _QUOTED_VALUE.search(error.cause)
    return [row for row in rows if found and isinstance(row.body, Mapping) and found[1] in map(str, row.body.values())]


def _halves(rows: Sequence[_Row], suspects: Sequence[_Row]) -> list[Sequence[_Row]]:
    """Two parts: the suspects and the others, or just halves where that is no division."""
    if 0 < len(suspects) < len(rows):
        return [suspects, *_without(rows, suspects)]
    half = len(rows) // 2
    return [rows[:half], rows[half:]]


def _without(rows: Sequence[_Row], some: Sequence[_Row]) -> list[Sequence[_Row]]:
    """One part: the rows that are not among `some`."""
    numbers = {row.number for row in some}
    return [[row for row in rows if row.number not in numbers]]


def _is_rows_fault(error: HaloclineError) -> bool:
    """Whether the whole call was refused for what one row of it says, nothing having been written.

    Source: "If the request isn't well formed, the API returns a 400 Bad Request HTTP Status."; which codes come so is unverified.
    """
    return error.facts.get("status") == 400 and error.code in _UNREADABLE


_PATH = "composite/sobjects"
_LIMITS = f"A call takes 1 to {CALL_ROWS} records."
_DOING = {
    Operation.INSERT: "Creating",
    Operation.UPDATE: "Updating",
    Operation.UPSERT: "Upserting",
    Operation.DELETE: "Deleting",
    Operation.HARD_DELETE: "Deleting for good",
}
