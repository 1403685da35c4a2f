"""Records that come in over SOAP: create, update, upsert.

Source: SOAP API Developer Guide, create(), update(), upsert(), "sObject", SaveResult, UpsertResult. That an unknown object or
field is a fault for the whole call, and the words of it, are unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from halocline.emulator.errors import ApiError
from halocline.emulator.keys import GivenTwice
from halocline.emulator.soap.envelope import XSI, SoapFault, local
from halocline.emulator.soap.records import check_count, result, undoes_all
from halocline.emulator.writing import Saved, Writer

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from halocline.emulator.objects import Field, SObject
    from halocline.emulator.soap.envelope import Message
    from halocline.emulator.wire import Ask

_FLAGS = {"1": "true", "0": "false"}  # XML Schema's other spellings of a boolean
_Record = dict[str, object]


def create(ask: Ask, message: Message) -> list[object]:
    """New records, each for itself unless AllOrNoneHeader says otherwise."""
    return [result(saved) for saved in _written(ask, message, _insert, _rows(ask, message))]


def update(ask: Ask, message: Message) -> list[object]:
    """Changed records, found by their ids."""
    rows = _rows(ask, message)
    twice = GivenTwice.among_ids(record.get("Id") for _, record in rows)
    return [result(saved) for saved in _written(ask, message, partial(_update, twice=twice), rows)]


def upsert(ask: Ask, message: Message) -> list[object]:
    """Records changed or added, found by the field that `externalIDFieldName` names."""
    rows, key = _rows(ask, message), message.text("externalIDFieldName") or "Id"
    saved = _written(ask, message, partial(_upsert, key=key, twice=_given_twice(rows, key)), rows)
    return [{"created": one.created, **result(one)} for one in saved]


def _insert(writer: Writer, sobject: SObject, record: _Record) -> Saved:
    return Saved(writer.insert(sobject, record), created=True)


def _update(writer: Writer, sobject: SObject, record: _Record, *, twice: GivenTwice) -> Saved:
    record_id = str(record.pop("Id", ""))
    if not record_id:
        raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call", fields=())
    twice.refuse(record_id)
    writer.update(sobject, record_id, record)
    return Saved(record_id)


def _upsert(writer: Writer, sobject: SObject, record: _Record, *, key: str, twice: Mapping[str, GivenTwice]) -> Saved:
    if (keys := twice.get(sobject.name)) is not None:
        keys.refuse(record.get(keys.field.name))
    return writer.upsert(sobject, record, key=key)


def _given_twice(rows: Sequence[tuple[SObject, _Record]], key: str) -> dict[str, GivenTwice]:
    """By the name of the object; what has no such field is refused when it is written."""
    fields = {sobject.name: field for sobject, _ in rows if (field := sobject.field(key)) is not None}
    return {
        name: GivenTwice.among(field, [record.get(field.name) for sobject, record in rows if sobject.name == name])
        for name, field in fields.items()
    }


def _rows(ask: Ask, message: Message) -> list[tuple[SObject, _Record]]:
    items = [child for child in message.body if local(child.tag) == "sObjects"]
    check_count(items)
    return [_row(ask, message.api, item) for item in items]


def _written(
    ask: Ask, message: Message, write: Callable[[Writer, SObject, _Record], Saved], rows: Sequence[tuple[SObject, _Record]]
) -> list[Saved]:
    writer = Writer(ask.org, ask.user_id)
    return writer.batch([partial(write, writer, *row) for row in rows], all_or_none=undoes_all(message))


def _row(ask: Ask, api: str, item: Element) -> tuple[SObject, _Record]:
    """The object of a record, and the record as the REST API shapes it."""
    children = list(item)
    if api == "partner":  # the first element is the type, whatever fields of that name follow
        name = next(((child.text or "").strip() for child in children[:1] if local(child.tag) == "type"), "")
        children = children[1:]
    else:
        name = item.get(f"{XSI}type", "").rpartition(":")[2]
    sobject = ask.org.catalog.get(name)
    if sobject is None:
        raise SoapFault("INVALID_TYPE", f"sObject type '{name}' is not supported.", kind="InvalidSObjectFault")
    return sobject, _record(sobject, children)


def _record(sobject: SObject, children: Sequence[Element]) -> _Record:
    """A nil or empty element says nothing; `fieldsToNull` clears."""
    record: _Record = {}
    for child in children:
        if local(child.tag) == "fieldsToNull":
            record[_field(sobject, (child.text or "").strip()).name] = None
        elif len(child):
            record[local(child.tag)] = _parent(sobject, child)
        elif child.text:
            field = _field(sobject, local(child.tag))
            record[field.name] = _FLAGS.get(child.text, child.text) if field.type == "boolean" else child.text
    return record


def _parent(sobject: SObject, item: Element) -> _Record:
    """Another record by its key: `<Owner><type>User</type><Username>...</Username></Owner>`."""
    if sobject.relationship(local(item.tag)) is None:
        raise _no_field(sobject, local(item.tag))
    values: _Record = {local(child.tag): (child.text or "").strip() for child in item}
    kind = values.pop("type", None) or item.get(f"{XSI}type", "").rpartition(":")[2]
    return {"attributes": {"type": kind}, **values} if kind else values


def _field(sobject: SObject, name: str) -> Field:
    field = sobject.field(name)
    if field is None:
        raise _no_field(sobject, name)
    return field


def _no_field(sobject: SObject, name: str) -> SoapFault:
    message = (
        f"No such column '{name}' on entity '{sobject.name}'. If you are attempting to use a custom field, be sure to append the "
        "'__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
    )
    return SoapFault("INVALID_FIELD", message, kind="InvalidFieldFault")
