"""Single records over REST: create, read, change, upsert, delete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from halocline.emulator.errors import ApiError, not_found, unknown_record
from halocline.emulator.rules import Insistence
from halocline.emulator.selection import listed, selected
from halocline.emulator.wire import Answer, Ask, empty_answer, json_answer
from halocline.emulator.writing import SeveralMatches, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halocline.emulator.objects import SObject

UPSERT_ANSWERS_SINCE = 46.0  # before it an upsert that changes a record answers 204. Source: REST API Developer Guide, "Upsert"
_ALLOW_SAVE = re.compile(r"\ballowSave\s*=\s*true\b", re.IGNORECASE)
TRANSACTION_HEADER = "x-emulator-transaction"  # ours: the write belongs to a transaction that the admin door began


def create(ask: Ask) -> Answer:
    """`POST /sobjects/X`, also `POST /sobjects/X/Id`: 201 with the new id."""
    sobject = _sobject(ask)
    return _created(ask, sobject, writer(ask).insert(sobject, ask.json()))


def read(ask: Ask) -> Answer:
    """`GET /sobjects/X/{id}?fields=A,B`: the record, all of its fields when none is named."""
    return _record(ask, _sobject(ask), ask.params["id"])


def change(ask: Ask) -> Answer:
    """`PATCH /sobjects/X/{id}`: 204; null clears a field, what is not named stays."""
    with _named(ask.params["id"]):
        writer(ask).update(_sobject(ask), ask.params["id"], ask.json())
    return empty_answer()


def delete(ask: Ask) -> Answer:
    """`DELETE /sobjects/X/{id}`: 204; the record goes to the recycle bin."""
    with _named(ask.params["id"]):
        writer(ask).delete(_sobject(ask), ask.params["id"])
    return empty_answer()


def read_by_key(ask: Ask) -> Answer:
    """`GET /sobjects/X/Ext__c/{value}`."""
    sobject, found = _matches(ask)
    if len(found) > 1:
        return _several(ask, sobject, found)
    if not found:
        raise not_found()
    return _record(ask, sobject, found[0])


def upsert(ask: Ask) -> Answer:
    """`PATCH /sobjects/X/Ext__c/{value}`: 201 for a new record, 200 for a changed one, 300 if several have that value.
    Source: REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID".
    """
    if ask.params["key"].lower() == "id":
        return change(replace(ask, params={**ask.params, "id": ask.params["value"]}))
    sobject = _sobject(ask)
    key = writer(ask).key_field(sobject, ask.params["key"]).name
    record = _with_key(ask, key, ask.json())
    update_only = ask.query.get("updateOnly", "").lower() == "true"
    try:
        saved = writer(ask).upsert(sobject, record, key=key, update_only=update_only)
    except SeveralMatches as several:
        return _several(ask, sobject, several.ids)
    if saved.created and saved.id:
        return _created(ask, sobject, saved.id, created=True)
    if float(ask.version) < UPSERT_ANSWERS_SINCE:
        return empty_answer()
    return json_answer({"id": saved.id, "success": True, "errors": [], "created": False})


def delete_by_key(ask: Ask) -> Answer:
    """`DELETE /sobjects/X/Ext__c/{value}`."""
    sobject, found = _matches(ask)
    if len(found) > 1:
        return _several(ask, sobject, found)
    if not found:
        raise not_found()
    writer(ask).delete(sobject, found[0])
    return empty_answer()


def writer(ask: Ask) -> Writer:
    """Writes as the user who asks, in the transaction that the request names, insisting on duplicates if it says so.

    `Sforce-Auto-Assign` is accepted and means nothing, because the org has no assignment rules.
    Source: REST API Developer Guide, "Duplicate Rule Header", "Assignment Rule Header".
    """
    allow_save = _ALLOW_SAVE.search(ask.headers.get("sforce-duplicate-rule-header", "")) is not None
    insistence = Insistence(allow_save=allow_save, version=ask.version)
    return Writer(ask.org, ask.user_id, transaction=ask.headers.get(TRANSACTION_HEADER), insistence=insistence)


def _sobject(ask: Ask) -> SObject:
    return ask.org.sobject(ask.params["sobject"])


@contextmanager
def _named(record_id: str) -> Iterator[None]:
    """An unknown id in the path is a resource that does not exist, not a bad reference."""
    try:
        yield
    except ApiError as refusal:
        if refusal.status == 404 and refusal.code == "INVALID_CROSS_REFERENCE_KEY":
            raise unknown_record(record_id) from refusal
        raise


def _record(ask: Ask, sobject: SObject, record_id: str) -> Answer:
    with _named(record_id):
        record_id = writer(ask).live(sobject, record_id)
    fields = selected(sobject, listed(ask.query.get("fields", "")))
    found = ask.org.readings.record(ask.org.view, sobject, fields=fields, record_id=record_id, version=ask.version)
    if found is None:  # purged between the two looks
        raise unknown_record(record_id)
    return json_answer(found)


def _created(ask: Ask, sobject: SObject, record_id: str, **more: object) -> Answer:
    location = f"/services/data/v{ask.version}/sobjects/{sobject.name}/{record_id}"
    return json_answer({"id": record_id, "success": True, "errors": [], **more}, status=201, headers=(("Location", location),))


def _matches(ask: Ask) -> tuple[SObject, list[str]]:
    """The object, and the ids of its live records that have the key in the path."""
    sobject, write = _sobject(ask), writer(ask)
    with _named(ask.params["value"]):
        key = write.key_field(sobject, ask.params["key"])
        return sobject, write.matches(sobject, key, value=ask.params["value"])


def _with_key(ask: Ask, name: str, record: dict[str, object]) -> dict[str, object]:
    """The record with its external id, which only the address may name.

    Source: REST API Developer Guide, "sObject Rows by External ID": "Do not specify Id or an external ID field in the request
    body or an error is generated"; the words are those that users quote.
    """
    if any(key.lower() == name.lower() for key in record):
        raise ApiError(400, "INVALID_FIELD", f"The {name} field should not be specified in the sobject data.")
    return {**record, name: ask.params["value"]}


def _several(ask: Ask, sobject: SObject, found: Sequence[str]) -> Answer:
    return json_answer([f"/services/data/v{ask.version}/sobjects/{sobject.name}/{one}" for one in found], status=300)
