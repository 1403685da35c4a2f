"""The execution record: one record in Salesforce that tells what came of one run, created once.

With an external id field it is an upsert under the run's name, which may be repeated. Without one it can only be created, and
whoever loses the answer to that does not know whether it was: so what is about to be created is noted first, together with the
records that are equal to it already; in doubt they are looked for again, and a new one among them is ours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from string import Formatter
from typing import Any, Protocol
from urllib.parse import quote

from halocline.errors import AccessDenied, BadQuery, FixConfig, HaloclineError, NotFound, RetryLater
from halocline.events import Noticed, Sink
from halocline.filejob.journal import StepBook
from halocline.mapping.near import near
from halocline.quantity import quantity
from halocline.soql_text import soql_text

STEP = "record"
NAMES = (
    *("archive_key", "bucket", "created", "error_key", "error_report_link", "error_report_url", "errors", "in_doubt", "job"),
    *("key", "message", "rows", "run", "state", "unchanged", "updated", "written"),
)
"""What a template of a field may name."""

_FIELD = re.compile(r"[A-Za-z]\w*", re.ASCII)
_EQUAL = 200  # equal records that are looked at, the newest first
_DOING = "Reading the execution record of a file job"


@dataclass(frozen=True, slots=True)
class Execution:
    """Which record tells of a run: its object, and its fields, each a value or a template such as `"{errors} of {rows}"`.

    A template that is one name and nothing else gives the value itself: `"{errors}"` is a number. With `external_id_field`, a
    text of 32 characters or more, the record is found under the run's name and never created twice.
    Raises: FixConfig for a template that names what is not known, and for a value that is not JSON.
    """

    sobject: str
    fields: Mapping[str, object]
    external_id_field: str | None = None

    def __post_init__(self) -> None:
        for name in (self.sobject, *self.fields, *([self.external_id_field] if self.external_id_field else [])):
            if not _FIELD.fullmatch(name):
                raise FixConfig(_DOING, f"{name!r} cannot be the API name of an object or a field")
        _check_json(self.fields)
        for value in self.fields.values():
            for wanted in _named(value):
                if wanted not in NAMES:
                    close = near(wanted, NAMES)
                    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(NAMES)}."
                    raise FixConfig(_DOING, f"the template {value!r} names {wanted!r}, which nobody knows", hint=hint)

    def rendered(self, values: Mapping[str, object]) -> dict[str, object]:
        """The record's fields for these values of `NAMES`."""
        return {name: _rendered(value, values) for name, value in self.fields.items()}


def plain(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields with instants as texts and decimals as numbers, so that they can be noted before they are sent.

    Raises: FixConfig for another value that is not JSON.
    """
    told = {name: _plain(value) for name, value in fields.items()}
    _check_json(told)
    return told


class Records(Protocol):
    """What an execution record needs of an org."""

    def describe(self, sobject: str) -> Mapping[str, Any]:
        """The object's describe."""

    def query(self, soql: str) -> Iterable[Mapping[str, Any]]:
        """The records that a query finds."""

    def create(self, sobject: str, record: Mapping[str, Any]) -> str:
        """The id of a new record."""

    def upsert(self, sobject: str, record: Mapping[str, Any], *, external_id_field: str, value: object = None) -> str:
        """The id of the record with that external id, changed or created."""


def fields_of(sobject: str, records: Records) -> dict[str, Mapping[str, Any]]:
    """The fields of an object, by their names in lower case; none where this user may not see it described.

    Raises: NotFound; what asking the org raises.
    """
    try:
        return {str(one["name"]).lower(): one for one in records.describe(sobject)["fields"]}
    except AccessDenied:
        return {}


def refuse_unknown(execution: Execution, fields: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a record that could never be made, as far as `fields_of` its object tell.

    Raises: NotFound for a field that is not there; FixConfig for one that cannot be written, and for a key that is no external
    id.
    """
    doing, key = f"Looking at the execution record's object {execution.sobject}", execution.external_id_field
    for name in (*execution.fields, *([] if key is None else [key])) if fields else ():
        found = fields.get(name.lower())
        if found is None:
            names = [str(one["name"]) for one in fields.values()]
            raise NotFound(doing, f"it has no field {name!r}", suggestions=near(name, names))
        if not found.get("createable", True):
            raise FixConfig(doing, f"{name} cannot be written", hint="Name a field that this user may set.")
        if name == key and not found.get("externalId", True):
            raise FixConfig(doing, f"the key {name} is no external id", hint="Name one, or leave the key out.")


def records_of(client: Any) -> Records:
    """A client of ours, or one that asks as simple-salesforce does: `client.Account.create({...})`, `client.query_all(soql)`."""
    return client if callable(getattr(client, "create", None)) else _ByAttribute(client)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record to be: `body` are its fields; a `link` in them that is too long for its field becomes `instead`, and with `cuts`
    any other text is cut.
    """

    sobject: str
    body: Mapping[str, object]
    external_id_field: str | None = None
    link: str = ""
    instead: str = ""
    cuts: bool = False


@dataclass(frozen=True, slots=True)
class Recorder:
    """Makes the record of a run, once. `sink` hears of what had to be changed, and of what cannot be known."""

    records: Records
    book: StepBook
    sink: Sink
    _described: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)  # so that an object is described once

    def examine(self, execution: Execution) -> None:
        """Raises: as `refuse_unknown`."""
        refuse_unknown(execution, self._fields(execution.sobject))

    def make(self, wanted: Wanted) -> str:
        """The id of the record, which is there when this returns.

        Raises: RejectRecord when Salesforce refuses it; RetryLater when the answer was lost: called again, it looks first.
        """
        found = self._by_key(wanted) if self._is_resumed else None
        if found is not None:
            return found
        body = self._fitting(wanted)
        if wanted.external_id_field is not None:
            key = wanted.external_id_field
            return self.records.upsert(wanted.sobject, body, external_id_field=key, value=self.book.run)
        return self._create(wanted, body)

    @property
    def _is_restored(self) -> bool:
        return bool(self.book.steps.get("submit", {}).get("restored"))

    @property
    def _is_resumed(self) -> bool:
        return not self.book.fresh or self._is_restored

    def _by_key(self, wanted: Wanted) -> str | None:
        """The record that an earlier try has made, which is then left as it is."""
        if wanted.external_id_field is None:
            return None
        soql = f"SELECT Id FROM {wanted.sobject} WHERE {wanted.external_id_field} = {_literal(self.book.run)} LIMIT 1"
        return next((str(record["Id"]) for record in self._asked(soql) or ()), None)

    def _create(self, wanted: Wanted, body: Mapping[str, object]) -> str:
        past = self.book.intended(STEP)
        if isinstance(past, dict) and (new := self._new(wanted, past)):
            return new[0]
        intent: dict[str, Any] = {"body": dict(body), "before": self._equal(wanted, body)}
        if self._is_restored and intent["before"]:  # what began this left no ledger, so an equal record is taken for its own
            return str(intent["before"][0])
        self.book.intend(STEP, intent)
        self.book.still_ours()
        try:
            made = self.records.create(wanted.sobject, body)
        except RetryLater as error:
            new = self._new(wanted, intent) if error.facts.get("in_doubt") else []
            if not new:
                raise
            made = new[0]
        except HaloclineError:  # it was refused: what comes next is another record
            self.book.intend(STEP, None)
            raise
        if isinstance(past, dict):  # what an earlier try sent may have arrived late; else there can be one alone
            self._tell_doubles(wanted, past)
        return made

    def _new(self, wanted: Wanted, past: Mapping[str, Any]) -> list[str]:
        """The equal records that were not there when this one was intended.

        Raises: RetryLater, FixConfig where they cannot be asked for: then it cannot be said whether one was made.
        """
        if past["before"] is None:
            cause = "the answer was lost, and this user may not look whether it is there"
            hint = "Look for it; give the record an external id field (external_id_field) to make it safe to repeat."
            raise FixConfig(f"Creating a record of {wanted.sobject}", cause, hint=hint, in_doubt=True)
        now = self._equal(wanted, past["body"]) or []
        return [one for one in reversed(now) if one not in past["before"]]

    def _tell_doubles(self, wanted: Wanted, past: Mapping[str, Any]) -> None:
        new = [] if past["before"] is None else self._new(wanted, past)
        if len(new) > 1:
            self.sink(
                Noticed(f"{len(new)} equal records of {wanted.sobject} were made for run {self.book.run}: {', '.join(new)}.")
            )

    def _equal(self, wanted: Wanted, body: Mapping[str, object]) -> list[str] | None:
        """The ids of the records that have these values, the newest first; None where nobody may ask."""
        fields = self._fields(wanted.sobject)
        if not fields:
            return None
        asked = [
            f"{name} = {_literal(value)}"
            for name, value in body.items()
            if _can_be_asked(fields.get(name.lower()), value, wanted=wanted)
        ]
        where = f" WHERE {' AND '.join(asked)}" if asked else ""
        found = self._asked(f"SELECT Id FROM {wanted.sobject}{where} ORDER BY CreatedDate DESC, Id DESC LIMIT {_EQUAL}")
        return None if found is None else [str(record["Id"]) for record in found]

    def _asked(self, soql: str) -> list[Mapping[str, Any]] | None:
        try:
            return list(self.records.query(soql))
        except (AccessDenied, BadQuery, NotFound):
            return None

    def _fields(self, sobject: str) -> dict[str, Mapping[str, Any]]:
        if sobject not in self._described:
            self._described[sobject] = fields_of(sobject, self.records)
        return self._described[sobject]

    def _fitting(self, wanted: Wanted) -> dict[str, object]:
        """The body with its link, and where it may be its texts, no longer than their fields."""
        long = [name for name, value in wanted.body.items() if isinstance(value, str) and len(value) > 1]
        fields = self._fields(wanted.sobject) if long and (wanted.cuts or wanted.link) else {}
        body = dict(wanted.body)
        for name in long:
            room = int((fields.get(name.lower()) or {}).get("length") or 0)
            if 0 < room < len(str(body[name])):
                body[name] = self._shorter(wanted, name, room=room)
        return body

    def _shorter(self, wanted: Wanted, name: str, *, room: int) -> object:
        value = str(wanted.body[name])
        if wanted.link and value == wanted.link:
            told = f"The signed link is {len(value)} characters long, and {wanted.sobject}.{name} holds {room}"
            if len(wanted.instead) <= room:
                self.sink(Noticed(f"{told}: it has the address without a signature instead."))
                return wanted.instead
            self.sink(Noticed(f"{told}: it stays empty."))
            return None
        if not wanted.cuts:
            return value
        self.sink(Noticed(f"{wanted.sobject}.{name} holds {quantity(room, 'character')}: the text of {len(value)} was cut."))
        return value[:room]


class _ByAttribute:
    """A client of simple-salesforce's manners. Implements `Records`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def describe(self, sobject: str) -> Mapping[str, Any]:
        told: Mapping[str, Any] = getattr(self._client, sobject).describe()
        return told

    def query(self, soql: str) -> list[Mapping[str, Any]]:
        return list(self._client.query_all(soql)["records"])

    def create(self, sobject: str, record: Mapping[str, Any]) -> str:
        return str(getattr(self._client, sobject).create(dict(record))["id"])

    def upsert(self, sobject: str, record: Mapping[str, Any], *, external_id_field: str, value: object = None) -> str:
        getattr(self._client, sobject).upsert(f"{external_id_field}/{quote(str(value), safe='')}", dict(record))
        soql = f"SELECT Id FROM {sobject} WHERE {external_id_field} = {_literal(value)} LIMIT 1"
        return str(self.query(soql)[0]["Id"])


def _check_json(fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            cause = f"{name} is {value!r}, which is no JSON ({error})"
            raise FixConfig(_DOING, cause, hint='Write a date as a text: "2026-01-01".') from error


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _named(value: object) -> list[str]:
    if not isinstance(value, str):
        return []
    try:
        parts = list(Formatter().parse(value))
    except ValueError as error:
        hint = "A brace that is meant as one is written twice: {{ and }}."
        raise FixConfig(_DOING, f"the template {value!r} cannot be read ({error})", hint=hint) from error
    odd = next((one for one in parts if one[1] is not None and (one[2] or one[3])), None)
    if odd is not None:
        raise FixConfig(_DOING, f"the template {value!r} asks for a format", hint="Write the name alone: {errors}.")
    return [name for _, name, _, _ in parts if name is not None]


def _rendered(value: object, values: Mapping[str, object]) -> object:
    if not isinstance(value, str):
        return value
    parts = list(Formatter().parse(value))
    if len(parts) == 1 and not parts[0][0] and parts[0][1] is not None:
        return values[parts[0][1]]
    texts = [text + ("" if name is None or values[name] is None else str(values[name])) for text, name, _, _ in parts]
    return "".join(texts)


def _can_be_asked(field: Mapping[str, Any] | None, value: object, *, wanted: Wanted) -> bool:
    """Whether a condition on the field finds a record with this value: links change with each signature, fractions with bits."""
    if field is None or not field.get("filterable") or (wanted.link and value in {wanted.link, wanted.instead}):
        return False
    if isinstance(value, float):
        return value.is_integer()
    return value is None or (isinstance(value, (str, bool, int)) and str(field.get("type")) not in {"date", "datetime", "time"})


def _literal(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return soql_text(str(value))
