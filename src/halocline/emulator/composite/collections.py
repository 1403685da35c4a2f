"""sObject Collections: up to 200 records created, changed, upserted or deleted, and up to 2,000 read, in one request.

Source: REST API Developer Guide, "sObject Collections" and the pages of its operations. Words of refusals that are not in the
guide are unverified unless their function says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from halocline.emulator.conversions import trimmed
from halocline.emulator.errors import ApiError, malformed_json
from halocline.emulator.ids import is_valid, to_18
from halocline.emulator.keys import GivenTwice
from halocline.emulator.members import Members
from halocline.emulator.query import prepare
from halocline.emulator.records import writer
from halocline.emulator.save_results import is_unreadable, save_result
from halocline.emulator.selection import listed, selected
from halocline.emulator.wire import Answer, Ask, json_answer
from halocline.emulator.writing import Saved, Writer

if TYPE_CHECKING:
    from halocline.emulator.objects import SObject

SINCE, UPSERT_SINCE = 42, 46  # API versions. Source: "sObject Collections", "Upsert Records Using sObject Collections"
MOST_RECORDS = 200
MOST_READ = 2_000  # "Get Records With a Request Body Using sObject Collections"
MOST_CHUNKS = 10  # runs of records of one object. Source: "Create Records Using sObject Collections"

Record = dict[str, object]


def create(ask: Ask) -> Answer:
    """`POST /composite/sobjects`: new records of any objects."""
    return _written(ask, _inserted)


def update(ask: Ask) -> Answer:
    """`PATCH /composite/sobjects`: changes of records that name their `id`."""
    return _written(ask, _updated)


def upsert(ask: Ask) -> Answer:
    """`PATCH /composite/sobjects/X/Ext__c`: each record changes the one with its external id, or becomes a new one."""
    body = Members.of(ask.json(), ("allOrNone",), required=("records",))
    records, write = _records(body), writer(ask)
    sobject = ask.org.sobject(ask.params["sobject"])
    if any(found.name != sobject.name for found in _sobjects(ask, records)):
        raise ApiError(400, "INVALID_TYPE", f"Records of an upsert must all be of type {sobject.name}")
    key = write.key_field(sobject, ask.params["key"])
    twice = GivenTwice.among(key, (_given(record, key.name) for record in records))
    writes = [partial(_upserted, write, sobject, record, twice=twice) for record in records]
    saved = _saved(write, writes, all_or_none=body.flag("allOrNone"))
    return json_answer([save_result(one, tells_created=True) for one in saved])


def delete(ask: Ask) -> Answer:
    """`DELETE /composite/sobjects?ids=a,b&allOrNone=`: records of any objects go to the recycle bin."""
    wanted = listed(ask.query.get("ids", ""))
    if not wanted:
        raise ApiError(400, "MISSING_ARGUMENT", "The required parameter 'ids' is missing")
    _check_count(wanted, MOST_RECORDS)
    write = writer(ask)
    all_or_none = ask.query.get("allOrNone", "").lower() == "true"
    saved = _saved(write, [partial(_deleted, ask, write, one) for one in wanted], all_or_none=all_or_none)
    return json_answer([save_result(one) for one in saved])


def read(ask: Ask) -> Answer:
    """`GET /composite/sobjects/X?ids=&fields=`: the records in the order of their ids, null for one that is not there."""
    return _read(ask, listed(ask.query.get("ids", "")), listed(ask.query.get("fields", "")))


def read_many(ask: Ask) -> Answer:
    """`POST /composite/sobjects/X` with `{"ids": [...], "fields": [...]}`: the same, without the limit of a URL."""
    body = Members.of(ask.json(), (), required=("ids", "fields"))
    return _read(ask, body.texts("ids"), body.texts("fields"))


def _records(body: Members) -> list[Record]:
    records = body.objects("records")
    _check_count(records, MOST_RECORDS)
    return records


def _check_count(given: Sequence[object], most: int) -> None:
    """Source: the words as recorded from real orgs for 200."""
    if len(given) > most:
        message = f"record limit reached. cannot submit more than {most} records into this call"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", message)


def _sobjects(ask: Ask, records: Sequence[Record]) -> list[SObject]:
    """The object of each record. Source for too many runs: the API's words, as Apex and SOAP clients quote them."""
    sobjects = [_sobject(ask, record) for record in records]
    if sum(1 for _ in groupby(sobjects, key=lambda sobject: sobject.name)) > MOST_CHUNKS:
        message = "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce chunking."
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    return sobjects


def _sobject(ask: Ask, record: Record) -> SObject:
    attributes = record.get("attributes")
    name = attributes.get("type") if isinstance(attributes, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ApiError(400, "INVALID_TYPE", "Must send a concrete entity type.")
    sobject = ask.org.catalog.get(name)
    if sobject is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
    return sobject


def _saved(write: Writer, writes: Sequence[Callable[[], Saved]], *, all_or_none: bool) -> list[Saved]:
    """What became of the writes. A record that cannot even be read refuses the whole request, and nothing is written.

    Source: the same pages: "If the request isn't well formed, the API returns a 400 Bad Request HTTP Status."
    """
    with write.alone(), write.org.store.database.together():
        results = write.batch(writes, all_or_none=all_or_none)
        unreadable = next((one.error for one in results if one.error and is_unreadable(one.error)), None)
        if unreadable is not None:
            raise unreadable
    return results


def _written(ask: Ask, work: Callable[[Writer, SObject, Record, GivenTwice], Saved]) -> Answer:
    """Records of any objects, each written by `work`, which is told the ids that several of them have."""
    body = Members.of(ask.json(), ("allOrNone",), required=("records",))
    records, write = _records(body), writer(ask)
    sobjects = _sobjects(ask, records)
    twice = GivenTwice.among_ids(_given(record, "Id") for record in records)
    writes = [partial(work, write, sobject, record, twice) for sobject, record in zip(sobjects, records, strict=True)]
    return json_answer([save_result(one) for one in _saved(write, writes, all_or_none=body.flag("allOrNone"))])


def _inserted(write: Writer, sobject: SObject, record: Record, _twice: GivenTwice) -> Saved:
    return Saved(write.insert(sobject, record), created=True)


def _updated(write: Writer, sobject: SObject, record: Record, twice: GivenTwice) -> Saved:
    """Source: the words for a missing id as recorded in amp-labs/connectors, `TestBatchUpdate`."""
    record_id = _given(record, "Id")
    if record_id is None:
        raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call")
    twice.refuse(record_id)
    values = {name: value for name, value in record.items() if name.lower() != "id"}
    write.update(sobject, str(record_id), values)
    return Saved(to_18(str(record_id)))


def _upserted(write: Writer, sobject: SObject, record: Record, *, twice: GivenTwice) -> Saved:
    key = twice.field
    value = _given(record, key.name)
    if (value is None or (isinstance(value, str) and not trimmed(value))) and key.type != "id":
        raise ApiError(400, "MISSING_ARGUMENT", f"{key.name} not specified")
    if isinstance(value, (Mapping, list)):
        raise malformed_json(f"Cannot deserialize instance of {key.type} for {key.name}")
    twice.refuse(value)
    return write.upsert(sobject, record, key=key.name)


def _deleted(ask: Ask, write: Writer, record_id: str) -> Saved:
    """Source: "Delete Records Using sObject Collections", example answer, for the words about a bad id."""
    sobject = ask.org.catalog.by_prefix(record_id) if is_valid(record_id) else None
    if sobject is None:
        raise ApiError(400, "MALFORMED_ID", f"malformed id {record_id}")
    write.delete(sobject, record_id)
    return Saved(to_18(record_id))


def _given(record: Record, name: str) -> object:
    return next((value for key, value in record.items() if key.lower() == name.lower()), None)


def _read(ask: Ask, wanted: Sequence[str], fields: Sequence[str]) -> Answer:
    sobject = ask.org.sobject(ask.params["sobject"])
    for name, given in (("ids", wanted), ("fields", fields)):
        if not given:
            raise ApiError(400, "MISSING_ARGUMENT", f"The required parameter '{name}' is missing")
    _check_count(wanted, MOST_READ)
    names = selected(sobject, fields)
    ids = [to_18(one) if is_valid(one) and one[:3] == sobject.key_prefix else "" for one in wanted]
    found = _found(ask, sobject, sorted({one for one in ids if one}), fields=names)
    return json_answer([found.get(one) for one in ids])


def _found(ask: Ask, sobject: SObject, ids: Sequence[str], *, fields: Sequence[str]) -> dict[str, Record]:
    if not ids:
        return {}
    columns = ", ".join(dict.fromkeys((*fields, "Id")))
    among = ", ".join(f"'{one}'" for one in ids)
    soql = f"SELECT {columns} FROM {sobject.name} WHERE Id IN ({among})"
    rows = prepare(ask.org.view, soql, all_rows=False).records(ask.version, 0, len(ids))
    found = {str(row["Id"]): row for row in rows}
    return found if "Id" in fields else {key: {n: v for n, v in row.items() if n != "Id"} for key, row in found.items()}
