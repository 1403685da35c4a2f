"""A record as a client sends it: checked field by field, and turned into stored values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from halocline.emulator.conversions import converter
from halocline.emulator.errors import ApiError, blank_owner, malformed_json, no_column, read_only, required_missing
from halocline.emulator.lookups import Lookups

if TYPE_CHECKING:
    from halocline.emulator.objects import Field, SObject
    from halocline.emulator.store import Store

_MOST_PLANS = 2_000  # of fields that come together; beyond it the oldest go

Step: TypeAlias = "tuple[str, str, Callable[[object], object]]"


@dataclass(frozen=True, slots=True)
class _Plan:
    """How records of one object that name the same fields are read: (name as given, field, conversion) of each.

    The `required` ones must not be null, nor the `owners`; of a new record the `defaulted` ones are left to their defaults where
    they are. `sobject` is the object that it was made for, which may be a view with fewer fields.
    """

    sobject: SObject
    steps: tuple[Step, ...]
    required: tuple[str, ...]
    owners: tuple[Field, ...]
    defaulted: tuple[str, ...]


class Checks:
    """Checks the records of one org. What follows from the object and the names of the fields alone is worked out once.

    `required` False lets records without their required fields pass.
    """

    def __init__(self, store: Store, *, required: bool = True) -> None:
        self._lookups = Lookups(store)
        self._required = required
        self._plans: dict[tuple[int, bool, tuple[str, ...]], _Plan] = {}

    def stored(self, sobject: SObject, record: Mapping[str, object], *, new: bool) -> dict[str, object]:
        """The values to store, under canonical names; `new` for a record that is added.
        Raises: ApiError(400) in Salesforce's words for the first thing that is wrong.
        """
        plan = self._plan(sobject, record, new)
        values = {name: None if record[given] in _NOTHING else convert(record[given]) for given, name, convert in plan.steps}
        for name in plan.required:
            if values.get(name) is None:
                raise required_missing([one for one in plan.required if values.get(one) is None])
        for owner in plan.owners:
            if values[owner.name] is None:
                raise blank_owner(owner.label, owner.name)
        for name in plan.defaulted:
            if values[name] is None:
                del values[name]
        return values

    def _plan(self, sobject: SObject, record: Mapping[str, object], new: bool) -> _Plan:  # noqa: FBT001 - part of the key
        key = (id(sobject), new, tuple(record))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._made(sobject, record, new=new)
            if len(self._plans) >= _MOST_PLANS:
                self._plans.pop(next(iter(self._plans)), None)
            self._plans[key] = plan
        if "attributes" in record:
            _check_attributes(sobject, record["attributes"])
        return plan

    def _made(self, sobject: SObject, record: Mapping[str, object], *, new: bool) -> _Plan:
        named = [(given, *self._named(sobject, given)) for given in record if given.lower() != "attributes"]
        fields = [field for _, field, _ in named]
        _check_once(named)
        _check_writable(fields, new=new)
        steps = tuple((given, field.name, self._conversion(sobject, field, by_key)) for given, field, by_key in named)
        looked_at = list(sobject.stored_fields()) if new else fields
        required = tuple(f.name for f in looked_at if self._required and _is_required(f, new=new))
        owners = tuple(f for f in fields if self._required and _is_owner(f))
        return _Plan(sobject, steps, required, owners, tuple(f.name for f in fields if new and not f.nillable))

    def _named(self, sobject: SObject, name: str) -> tuple[Field, bool]:
        """The field, and whether the name is that of its relationship, so that the value is another record's key."""
        field = sobject.field(name)
        if field is not None:
            return field, False
        reference = sobject.relationship(name)
        if reference is None:
            raise no_column(name, sobject.name)
        return reference, True

    def _conversion(self, sobject: SObject, field: Field, by_key: bool) -> Callable[[object], object]:  # noqa: FBT001 - from `_named`
        if by_key:
            return self._lookups.by_key(sobject, field)
        return self._lookups.by_id(sobject, field) if field.type == "reference" else converter(field)


_NOTHING = (None, "")  # Salesforce keeps no empty text


def _check_attributes(sobject: SObject, given: object) -> None:
    """Raises: ApiError(400) if the record says that it is of another object than the resource; the words are unverified."""
    kind = given.get("type") if isinstance(given, Mapping) else None
    if kind is not None and str(kind).lower() != sobject.name.lower():
        raise ApiError(400, "INVALID_TYPE", f"The record's type {kind} is not that of the resource: {sobject.name}")
    if given is not None and not isinstance(given, Mapping):
        raise malformed_json("Cannot deserialize instance of attributes: it is not a JSON object")


def _check_once(named: Sequence[tuple[str, Field, bool]]) -> None:
    """Raises: ApiError(400) for a lookup that is given by id and by key, or a field that is given twice."""
    seen: dict[str, tuple[str, bool]] = {}
    for given, field, by_key in named:
        other = seen.get(field.name)
        if other is not None and other[1] != by_key:
            message = f"Cannot specify both an external ID reference {field.relationship_name} and a salesforce id, {field.name}"
            raise ApiError(400, "INVALID_FIELD", message)
        if other is not None:
            raise malformed_json(f"Duplicate field '{given}'")
        seen[field.name] = given, by_key


def _check_writable(fields: Sequence[Field], *, new: bool) -> None:
    if any(field.type == "id" for field in fields):
        if new:
            raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", fields=("Id",))
        raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
    refused = [f.name for f in fields if f.is_compound or f.calculated or not (f.createable if new else f.updateable)]
    if refused:
        raise read_only(refused)


def _is_owner(field: Field) -> bool:
    return field.name == "OwnerId" and not field.nillable


def _is_required(field: Field, *, new: bool) -> bool:
    """A new record needs every such field that gets no value by itself; a change must not empty one.

    What a boolean becomes that is changed to null is unverified: here it is not refused and reads false.
    Source: Object Reference, "Required Fields": "In updates, a required field can't be set to null"; on create "the system
    implicitly assigns a value" to those with `defaultedOnCreate`. Help article 005225085: only where `nillable` is false.
    """
    if field.nillable or field.type == "boolean" or _is_owner(field):
        return False
    return not new or (field.createable and not field.defaulted_on_create and field.default is None)
