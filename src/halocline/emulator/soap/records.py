"""Records over SOAP: queries, and taking records to the recycle bin, out of it, and away for good.

Source: SOAP API Developer Guide, query(), queryAll(), queryMore(), delete(), undelete(), emptyRecycleBin().
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from halocline.emulator import rest
from halocline.emulator.errors import ApiError
from halocline.emulator.ids import is_valid
from halocline.emulator.soap.envelope import SoapFault, Typed
from halocline.emulator.writing import Saved, Writer

if TYPE_CHECKING:
    from halocline.emulator.objects import SObject
    from halocline.emulator.soap.envelope import Message
    from halocline.emulator.wire import Answer, Ask

_LONGEST = 40  # characters of a number or locator that can mean anything
MOST_RECORDS = 200  # in one call. Source: SOAP API Developer Guide, "delete()": "You can pass a maximum of 200 IDs"


def query(ask: Ask, message: Message) -> list[object]:
    """The first page of live rows."""
    return [_queried(ask, message, rest.query)]


def query_all(ask: Ask, message: Message) -> list[object]:
    """The first page, the recycle bin included."""
    return [_queried(ask, message, rest.query_all)]


def query_more(ask: Ask, message: Message) -> list[object]:
    """A further page."""
    locator = message.text("queryLocator")[:_LONGEST]
    asked = replace(_as_rest(ask, message), params={"version": f"{message.release}.0", "locator": locator})
    return [_page(ask, message, rest.query_more(asked))]


def delete(ask: Ask, message: Message) -> list[object]:
    """Records into the recycle bin, each for itself."""
    return _each(ask, message, Writer.delete)


def undelete(ask: Ask, message: Message) -> list[object]:
    """Records out of the recycle bin, each for itself."""
    return _each(ask, message, Writer.undelete)


def empty_recycle_bin(ask: Ask, message: Message) -> list[object]:
    """Records of the recycle bin away for good, each for itself."""
    return _each(ask, message, _purge)


def result(saved: Saved) -> dict[str, object]:
    """What became of a record, as every change says it."""
    if saved.error is None:
        return {"id": saved.id, "success": True}
    errors = {"fields": list(saved.error.fields or ()), "message": saved.error.message, "statusCode": saved.error.code}
    return {"errors": errors, "id": saved.id, "success": False}


def check_count(records: Sequence[object]) -> None:
    """Raises: SoapFault for more records than one call takes; the words are unverified."""
    if len(records) > MOST_RECORDS:
        text = f"record limit reached. cannot submit more than {MOST_RECORDS} records into this call"
        raise SoapFault("EXCEEDED_ID_LIMIT", text)


def undoes_all(message: Message) -> bool:
    """Whether one refusal undoes the whole call. Source: SOAP API Developer Guide, "AllOrNoneHeader"."""
    return message.headers.get("allOrNone", "").lower() in ("true", "1")


def _purge(writer: Writer, sobject: SObject, record_id: str) -> None:
    """Raises: ApiError for a record that is not in the recycle bin; the words are unverified."""
    with writer.alone():
        found = writer.org.store.get(sobject, record_id)
        if found is not None and not found.get("IsDeleted"):
            raise ApiError(400, "INVALID_ID_FIELD", "entity is not in the recycle bin")
        writer.hard_delete(sobject, record_id)


def _each(ask: Ask, message: Message, write: Callable[[Writer, SObject, str], None]) -> list[object]:
    """One result for each id."""
    ids = message.texts("ids")
    check_count(ids)
    writer = Writer(ask.org, ask.user_id)

    def written(record_id: str) -> Saved:
        write(writer, _owner(ask, record_id), record_id)
        return Saved(record_id)

    return [result(saved) for saved in writer.batch([partial(written, one) for one in ids], all_or_none=undoes_all(message))]


def _owner(ask: Ask, record_id: str) -> SObject:
    """The object that a record's id belongs to.
    Raises: ApiError(MALFORMED_ID, INVALID_CROSS_REFERENCE_KEY).
    """
    if not is_valid(record_id):
        raise ApiError(400, "MALFORMED_ID", f"bad id {record_id}")
    found = ask.org.catalog.by_prefix(record_id)
    if found is None:
        raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    return found


def _queried(ask: Ask, message: Message, work: Callable[[Ask], Answer]) -> object:
    return _page(ask, message, work(replace(_as_rest(ask, message), query={"q": message.text("queryString")})))


def _as_rest(ask: Ask, message: Message) -> Ask:
    """The request as REST would have it: both APIs share their queries."""
    size = message.headers.get("batchSize", "")[:_LONGEST]
    options = {"sforce-query-options": f"batchSize={size}"} if size else {}
    return replace(ask, params={"version": f"{message.release}.0"}, headers={**ask.headers, **options})


def _page(ask: Ask, message: Message, answer: Answer) -> object:
    found = json.loads(b"".join(answer.chunks()))
    return Typed(_query_result(ask, message.api, found), {"xsi:type": "QueryResult"})


def _query_result(ask: Ask, api: str, found: Mapping[str, Any]) -> dict[str, object]:
    locator = str(found["nextRecordsUrl"]).rpartition("/")[2] if "nextRecordsUrl" in found else None
    records = [_record(ask, api, record) for record in found["records"]]
    return {"done": found["done"], "queryLocator": locator, "records": records, "size": found["totalSize"]}


def _record(ask: Ask, api: str, record: Mapping[str, Any]) -> Typed:
    """A record in the WSDL's form: the partner API's has its type and, nil unless selected, its id before the fields."""
    name = str(record["attributes"]["type"])
    if api == "enterprise":
        return Typed(dict(_fields(ask, api, record)), {"xsi:type": f"sf:{name}"})
    head = {"sf:type": name, "sf:Id": [record["Id"], record["Id"]] if "Id" in record else None}
    fields = {key: value for key, value in _fields(ask, api, record) if key != "sf:Id"}
    return Typed(head | fields, {"xsi:type": "sf:sObject"})


def _fields(ask: Ask, api: str, record: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    sobject = ask.org.catalog.get(str(record["attributes"]["type"]))
    for name, value in record.items():
        if name != "attributes":
            field = sobject.field(name) if sobject else None
            yield f"sf:{name}", _value(ask, api, value, is_moment=field is not None and field.type == "datetime")


def _value(ask: Ask, api: str, value: Any, *, is_moment: bool) -> object:
    if isinstance(value, dict) and "records" in value:
        return Typed(_query_result(ask, api, value), {"xsi:type": "QueryResult"})
    if isinstance(value, dict) and "attributes" in value:
        return _record(ask, api, value)
    if is_moment and isinstance(value, str):
        return value.replace("+0000", "Z")  # XML Schema's dateTime wants a colon or a Z
    return value
