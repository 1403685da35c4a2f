"""A record as a client sends it: checked field by field, and turned into stored values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, TypeVar

from halocline.emulator.errors import (
    ApiError,
    duplicate_value,
    malformed_id,
    malformed_json,
    no_column,
    read_only,
    required_missing,
)
from halocline.emulator.ids import is_valid, to_18

if TYPE_CHECKING:
    from halocline.emulator.objects import Field, SObject
    from halocline.emulator.store import Store

_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+")
_T = TypeVar("_T")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_INT_RANGE = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks records of one object for one write; `record_id` is the record that changes, None for a new one."""

    store: Store
    sobject: SObject
    record_id: str | None = None

    def stored(self, record: Mapping[str, object]) -> dict[str, object]:
        """The values to store, under canonical names.
        Raises: ApiError(400) in Salesforce's words for the first thing that is wrong.
        """
        named = [self._named(name, value) for name, value in record.items() if name != "attributes"]
        self._check_writable([field for field, _ in named])
        values = {field.name: self._value(field, value) for field, value in named}
        self._check_required(values)
        self._check_unique(values)
        return values

    def _named(self, name: str, value: object) -> tuple[Field, object]:
        field = self.sobject.field(name)
        if field is not None:
            return field, value
        reference = self.sobject.relationship(name)
        if reference is None or not isinstance(value, Mapping):
            raise no_column(name, self.sobject.name)
        return reference, self._looked_up(reference, value)

    def _looked_up(self, reference: Field, key: Mapping[str, object]) -> object:
        """The id that `{"Ext__c": "..."}` in place of a lookup means.
        Source: REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID"; error words unverified.
        """
        wanted = str(_attribute(key, "type") or reference.reference_to[0])
        parent = self.store.catalog.get(wanted)
        (name, value), *others = [item for item in key.items() if item[0] != "attributes"] or [("", None)]
        field = parent.field(name) if parent else None
        if parent is None or field is None or others:
            raise no_column(name, wanted)
        rows = self.store.find(parent, field.name, value)
        if len(rows) != 1:
            message = f"Foreign key external ID: {value} not found for field {field.name} in entity {parent.name}"
            raise ApiError(400, "INVALID_FIELD", message, fields=())
        return rows[0]["Id"]

    def _value(self, field: Field, value: object) -> object:
        if value is None or value == "":
            return None
        stored = _CONVERT.get(field.type, _text)(field, value)
        if field.type == "reference":
            self._check_reference(field, str(stored))
        return stored

    def _check_reference(self, field: Field, record_id: str) -> None:
        target = self.store.catalog.by_prefix(record_id)
        if target is None:
            return  # an object that this org does not model: nothing to check against
        if target.name not in field.reference_to:
            message = f"{field.label}: id value of incorrect type: {record_id}"
            raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", message, fields=(field.name,))
        row = self.store.get(target, record_id)
        if row is None or row.get("IsDeleted"):
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=())

    def _check_writable(self, fields: Sequence[Field]) -> None:
        new = self.record_id is None
        if any(field.type == "id" for field in fields):
            if new:
                raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", fields=("Id",))
            raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
        refused = [f.name for f in fields if f.is_compound or f.calculated or not (f.createable if new else f.updateable)]
        if refused:
            raise read_only(refused)

    def _check_required(self, values: Mapping[str, object]) -> None:
        """A new record needs every required field; a change must not empty one."""
        looked_at = [f for f in self.sobject.stored_fields() if self.record_id is None or f.name in values]
        missing = [f.name for f in looked_at if _is_required(f) and values.get(f.name) is None]
        if missing:
            raise required_missing(missing)

    def _check_unique(self, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            field = self.sobject.field(name)
            if field is None or not field.unique or value is None:
                continue
            for row in self.store.find(self.sobject, field.name, value):
                if row["Id"] != self.record_id:
                    raise duplicate_value(field.name, str(row["Id"]))


def _is_required(field: Field) -> bool:
    optional = field.nillable or field.defaulted_on_create or field.default is not None or field.type == "boolean"
    return field.createable and not optional


def _attribute(value: Mapping[str, object], name: str) -> object:
    attributes = value.get("attributes")
    return attributes.get(name) if isinstance(attributes, Mapping) else None


def _cannot_read(kind: str, value: object) -> ApiError:
    token = "VALUE_STRING" if isinstance(value, str) else "START_OBJECT" if isinstance(value, (dict, list)) else "VALUE"
    return malformed_json(
        f"Cannot deserialize instance of {kind} from {token} value {value} or request may be missing a required field"
    )


def _text(field: Field, value: object) -> str:
    if isinstance(value, (Mapping, list)):
        raise _cannot_read(field.type, value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if _HALF_CHARACTER.search(text):
        raise malformed_json("Unexpected character: a surrogate without its pair is no text")
    if field.length and len(text) > field.length:
        message = f"{field.label}: data value too large: {text} (max length={field.length})"
        raise ApiError(400, "STRING_TOO_LONG", message, fields=(field.name,))
    return text


def _picklist(field: Field, value: object) -> str:
    text = _text(field, value)
    active = {one.value for one in field.picklist if one.active}
    if field.restricted_picklist and not active.issuperset(text.split(";") if field.type == "multipicklist" else (text,)):
        message = f"{field.label}: bad value for restricted picklist field: {text}"
        raise ApiError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, fields=(field.name,))
    return text


def _email(field: Field, value: object) -> str:
    text = _text(field, value)
    if not _EMAIL.fullmatch(text):
        raise ApiError(400, "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", fields=(field.name,))
    return text


def _record_id(field: Field, value: object) -> str:
    if not isinstance(value, str) or not is_valid(value):
        raise malformed_id(field.label, value, field=field.name)
    return to_18(value)


def _boolean(_field: Field, value: object) -> bool:
    known = {True: True, False: False, "true": True, "false": False}
    folded = value.lower() if isinstance(value, str) else value
    if not isinstance(folded, (bool, str)) or folded not in known:
        raise _cannot_read("boolean", value)
    return known[folded]


def _double(field: Field, value: object) -> float:
    number = _number(value, "double")
    if field.precision and abs(number) >= 10.0 ** (field.precision - field.scale):
        message = f"{field.label}: value outside of valid range on numeric field: {value}"
        raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", message, fields=(field.name,))
    return number


def _int(_field: Field, value: object) -> int:
    number = _number(value, "int")
    if not number.is_integer() or int(number) not in _INT_RANGE:
        raise _cannot_read("int", value)
    return int(number)


def _number(value: object, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _cannot_read(kind, value)
    try:
        number = float(value)
    except (ValueError, OverflowError) as reason:
        raise _cannot_read(kind, value) from reason
    if not math.isfinite(number):
        raise _cannot_read(kind, value)
    return number


def _datetime(_field: Field, value: object) -> str:
    moment = _parsed(datetime.fromisoformat, value, "datetime")
    if moment.tzinfo is None:
        raise _cannot_read("datetime", value)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _date(field: Field, value: object) -> str:
    """A date; a datetime is cut to its date in UTC, the API user's zone here."""
    if isinstance(value, str) and "T" in value:
        return _datetime(field, value)[:10]
    return _parsed(date.fromisoformat, value, "date").isoformat()


def _time(_field: Field, value: object) -> str:
    return _parsed(time.fromisoformat, value, "time").replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _parsed(parse: Callable[[str], _T], value: object, kind: str) -> _T:
    try:
        return parse(str(value))
    except ValueError as reason:
        raise _cannot_read(kind, value) from reason


_CONVERT: dict[str, Callable[[Field, object], object]] = {
    "id": _record_id,
    "reference": _record_id,
    "boolean": _boolean,
    "int": _int,
    "long": _int,
    "double": _double,
    "currency": _double,
    "percent": _double,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "picklist": _picklist,
    "multipicklist": _picklist,
    "email": _email,
}
