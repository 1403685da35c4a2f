"""Single records: create, read, change, upsert, delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from halocline.emulator.errors import ApiError, deleted_record, malformed_id, not_found, unknown_record
from halocline.emulator.ids import is_valid, to_18
from halocline.emulator.incoming import Checker
from halocline.emulator.query import prepare
from halocline.emulator.wire import Answer, Ask, empty_answer, json_answer

if TYPE_CHECKING:
    from threading import RLock

    from halocline.emulator.objects import SObject
    from halocline.emulator.store import Store

UPSERT_ANSWERS_SINCE = 46.0  # before it an upsert that changes a record answers 204. Source: REST API Developer Guide, "Upsert"
TRANSACTION_HEADER = "x-emulator-transaction"  # ours: the write belongs to a transaction that the admin door began


@dataclass(frozen=True, slots=True)
class _Write:
    """Where and as whom a request writes. `seen` is the object as its user may see it, `whole` as the store keeps it."""

    store: Store
    seen: SObject
    whole: SObject
    user_id: str
    transaction: str | None
    lock: RLock

    def insert(self, record: Mapping[str, object]) -> str:
        """Add a record and return its id."""
        with self.alone():
            values = Checker(self.store, self.seen).stored(record)
            return self.store.insert(self.whole, values, user_id=self.user_id, transaction=self.transaction)

    def update(self, record_id: str, record: Mapping[str, object]) -> None:
        """Change a live record."""
        with self.alone():
            self.live(record_id)
            values = Checker(self.store, self.seen, record_id).stored(record)
            self.store.update(self.whole, record_id, values, user_id=self.user_id, transaction=self.transaction)

    def delete(self, record_id: str) -> None:
        """Put a live record into the recycle bin."""
        with self.alone():
            self.live(record_id)
            self.store.delete(self.whole, record_id, user_id=self.user_id, transaction=self.transaction)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes until the block ends. A transaction that is not open becomes a refusal."""
        with self.lock:
            try:
                yield
            except KeyError as reason:
                if self.transaction is None:
                    raise
                raise ApiError(400, "EMULATOR_ADMIN", f"transaction {self.transaction} is not open") from reason

    def live(self, record_id: str) -> None:
        """Raises: ApiError(404) if the record is unknown or in the recycle bin."""
        row = self.store.get(self.whole, record_id)
        if row is None:
            raise unknown_record(record_id)
        if row.get("IsDeleted"):
            raise deleted_record()


def create(ask: Ask) -> Answer:
    """`POST /sobjects/X`, also `POST /sobjects/X/Id`: 201 with the new id."""
    write = _write(ask)
    _check_allowed(write.seen, "createable", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", verb="inserted")
    return _created(ask, write, write.insert(ask.json()))


def read(ask: Ask) -> Answer:
    """`GET /sobjects/X/{id}?fields=A,B`: the record, all of its fields when none is named."""
    write = _write(ask)
    return _record(ask, write, _record_id(write.seen, ask.params["id"]))


def change(ask: Ask) -> Answer:
    """`PATCH /sobjects/X/{id}`: 204; null clears a field, what is not named stays."""
    write = _write(ask)
    _check_allowed(write.seen, "updateable", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", verb="updated")
    write.update(_record_id(write.seen, ask.params["id"]), ask.json())
    return empty_answer()


def delete(ask: Ask) -> Answer:
    """`DELETE /sobjects/X/{id}`: 204; the record goes to the recycle bin."""
    write = _write(ask)
    _check_deletable(write.seen)
    write.delete(_record_id(write.seen, ask.params["id"]))
    return empty_answer()


def read_by_key(ask: Ask) -> Answer:
    """`GET /sobjects/X/Ext__c/{value}`."""
    write = _write(ask)
    found = _matches(ask, write)
    if len(found) > 1:
        return _several(ask, write, found)
    if not found:
        raise not_found()
    return _record(ask, write, found[0])


def upsert(ask: Ask) -> Answer:
    """`PATCH /sobjects/X/Ext__c/{value}`: 201 for a new record, 200 for a changed one, 300 if several have that value.
    Source: REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID".
    """
    write = _write(ask)
    if ask.params["key"].lower() == "id":
        return change(replace(ask, params={**ask.params, "id": ask.params["value"]}))
    with write.alone():
        return _upserted(ask, write, ask.json())


def delete_by_key(ask: Ask) -> Answer:
    """`DELETE /sobjects/X/Ext__c/{value}`."""
    write = _write(ask)
    _check_deletable(write.seen)
    found = _matches(ask, write)
    if len(found) > 1:
        return _several(ask, write, found)
    if not found:
        raise not_found()
    write.delete(found[0])
    return empty_answer()


def _write(ask: Ask) -> _Write:
    seen = ask.org.sobject(ask.params["sobject"])
    whole = ask.org.store.catalog.get(seen.name) or seen
    return _Write(ask.org.store, seen, whole, ask.user_id, ask.headers.get(TRANSACTION_HEADER), ask.org.writing)


def _upserted(ask: Ask, write: _Write, record: dict[str, object]) -> Answer:
    found = _matches(ask, write)
    if len(found) > 1:
        return _several(ask, write, found)
    record = _with_key(ask, write.seen, record)
    if not found:
        if ask.query.get("updateOnly", "").lower() == "true":
            raise not_found()
        return _created(ask, write, write.insert(record), created=True)
    write.update(found[0], record)
    if float(ask.version) < UPSERT_ANSWERS_SINCE:
        return empty_answer()
    return json_answer({"id": found[0], "success": True, "errors": [], "created": False})


def _record(ask: Ask, write: _Write, record_id: str) -> Answer:
    write.live(record_id)
    fields = ask.query.get("fields") or ",".join(field.name for field in write.seen.fields.values())
    soql = f"SELECT {fields} FROM {write.seen.name} WHERE Id = '{record_id}'"
    records = prepare(ask.org.view, soql, all_rows=True).records(ask.version, 0, 1)
    return json_answer(records[0])


def _created(ask: Ask, write: _Write, record_id: str, **more: object) -> Answer:
    location = f"/services/data/v{ask.version}/sobjects/{write.seen.name}/{record_id}"
    return json_answer({"id": record_id, "success": True, "errors": [], **more}, status=201, headers=(("Location", location),))


def _record_id(sobject: SObject, text: str) -> str:
    if not is_valid(text) or text[:3] != sobject.key_prefix:
        raise malformed_id(f"{sobject.label} ID", text, field="Id")
    return to_18(text)


def _matches(ask: Ask, write: _Write) -> list[str]:
    """Ids of the live records that have the key in the path."""
    field = write.seen.field(ask.params["key"])
    if field is None or not (field.external_id or field.type == "id" or field.overrides.get("idLookup") is True):
        raise unknown_record(ask.params["key"])
    value: object = ask.params["value"]
    if field.type == "id":
        return [_record_id(write.seen, str(value))]
    if field.type in ("int", "double", "currency", "percent"):
        value = _numeric(ask.params["value"])
    return [cast("str", row["Id"]) for row in write.store.find(write.whole, field.name, value)]


def _numeric(text: str) -> float:
    try:
        return float(text)
    except ValueError as reason:
        raise not_found() from reason


def _with_key(ask: Ask, sobject: SObject, record: dict[str, object]) -> dict[str, object]:
    """The record with its external id, which the body may repeat but not contradict."""
    field = sobject.field(ask.params["key"])
    name = field.name if field else ask.params["key"]
    given = next((value for key, value in record.items() if key.lower() == name.lower()), None)
    if given is not None and str(given) != ask.params["value"]:
        raise ApiError(400, "INVALID_FIELD", f"The {name} field should not be specified in the sobject data.")
    return {key: value for key, value in record.items() if key.lower() != name.lower()} | {name: ask.params["value"]}


def _several(ask: Ask, write: _Write, found: list[str]) -> Answer:
    return json_answer([f"/services/data/v{ask.version}/sobjects/{write.seen.name}/{one}" for one in found], status=300)


def _check_allowed(sobject: SObject, flag: str, code: str, *, verb: str) -> None:
    if sobject.overrides.get(flag) is False:
        raise ApiError(400, code, f"entity type cannot be {verb}: {sobject.label}", fields=())


def _check_deletable(sobject: SObject) -> None:
    if not sobject.deletable:
        raise ApiError(400, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", fields=())
