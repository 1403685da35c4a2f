"""Single records: created, changed, upserted, deleted, one call each.

What must not happen twice is not sent twice: a `create` whose answer was lost raises with `facts["in_doubt"]` True. The others
may be repeated, for a second time changes nothing more.

Source: REST API Developer Guide, "sObject Basic Information", "sObject Rows", "sObject Rows by External ID".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from halocline.connectors.salesforce.spelling import CannotSpell, json_record
from halocline.connectors.salesforce.transport import Transport
from halocline.errors import NotFound, NotSupported, RejectRecord, RetryLater

DELETED = "ENTITY_IS_DELETED"


def create(transport: Transport, sobject: str, *, record: Mapping[str, Any]) -> str:
    """The id of the new record."""
    doing = f"Creating a record of {sobject}"
    body = _spelled(record, doing)
    told = transport.send_once("POST", f"sobjects/{sobject}", json=body, accept=(200, 201), doing=doing).json()
    return str(told["id"])


def update(transport: Transport, sobject: str, *, record_id: str, record: Mapping[str, Any]) -> None:
    """Change one record; its id, where the record names it, stays out of the body, as Salesforce wants it."""
    doing = f"Updating {sobject} {record_id}"
    body = _without(_spelled(record, doing), "Id")
    transport.send("PATCH", f"sobjects/{sobject}/{quote(record_id, safe='')}", json=body, accept=(200, 204), doing=doing)


def upsert(transport: Transport, sobject: str, *, record: Mapping[str, Any], key: str, value: object) -> str:
    """The id of the record whose `key` is `value`, created where there was none. The key stays out of the body.

    Raises: RejectRecord without a value, or when several records have it; all that `send` raises.
    Source: "Do not specify Id or an external ID field in the request body or an error is generated".
    """
    given = {name.lower(): told for name, told in record.items()}.get(key.lower()) if value is None else value
    doing = f"Upserting {sobject} by {key}"
    if given is None or (isinstance(given, str) and not given):
        hint = "Give the value, or put it in the record."
        raise RejectRecord(doing, f"there is no value for {key}", row=0, hint=hint, code="MISSING_KEY")
    text = str(json_record({key: given})[key]) if not isinstance(given, str) else given
    path = f"sobjects/{sobject}/{quote(key, safe='')}/{quote(text, safe='')}"
    body = _without(_spelled(record, doing), key)
    reply = transport.send("PATCH", path, json=body, accept=(200, 201, 204, 300), doing=doing)
    if reply.status == 300:
        raise RejectRecord(doing, f"several records have {key} = {text!r}", row=0, code="SEVERAL_MATCHES", records=reply.json())
    if reply.status != 204:
        return str(reply.json()["id"])
    return _id_by_key(transport, path, doing=doing)


def delete(transport: Transport, sobject: str, *, record_id: str) -> None:
    """Put one record in the recycle bin. When the first answer was lost, finding it there is success."""
    path, doing = f"sobjects/{sobject}/{quote(record_id, safe='')}", f"Deleting {sobject} {record_id}"
    try:
        transport.send("DELETE", path, accept=(200, 204), doing=doing, safe=False)
    except RetryLater as error:
        if not error.facts.get("in_doubt") or error.facts.get("permanent"):
            raise
        _delete_again(transport, path, doing=doing)


def no_undelete(sobject: str, record_id: str) -> NotSupported:
    """The error that says who can undelete. Source: SOAP API Developer Guide, "undelete()"; no REST resource does it."""
    hint = "Undelete it in Setup's or the user's recycle bin, or by undelete() of the SOAP API."
    cause = "the REST and Bulk APIs of Salesforce cannot; only the SOAP API can"
    return NotSupported(f"Undeleting {sobject} {record_id}", cause, ability="undelete", hint=hint)


def _delete_again(transport: Transport, path: str, *, doing: str) -> None:
    try:
        transport.send("DELETE", path, accept=(200, 204), doing=doing)
    except NotFound as error:
        if error.code != DELETED:
            raise


def _id_by_key(transport: Transport, path: str, *, doing: str) -> str:
    """The id where the upsert does not tell it: before v46 an upsert that changes a record answers 204 without a body."""
    return str(transport.send("GET", path, params={"fields": "Id"}, doing=doing).json()["Id"])


def _spelled(record: Mapping[str, Any], doing: str) -> dict[str, Any]:
    try:
        return json_record(record)
    except CannotSpell as error:
        raise RejectRecord(doing, f"{error.field}: {error}", row=0, code="CANNOT_BE_SENT", fields=(error.field,)) from error


def _without(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name.lower() != key.lower()}
