"""Lookups in a record that a client sends: whom they may point at, by id or by an external id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from halocline.emulator.conversions import record_id, trimmed
from halocline.emulator.errors import ApiError, malformed_json, no_column

if TYPE_CHECKING:
    from halocline.emulator.objects import Field, SObject
    from halocline.emulator.store import Store

_QUEUE = "Queue"  # the Type of a Group that can own records


class Lookups:
    """Finds the records of one store that lookups point at."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def by_id(self, sobject: SObject, field: Field) -> Callable[[object], object]:
        """What checks an id given for the lookup `field` of an `sobject` record, and returns it in 18 characters.
        Raises (what is returned does): ApiError(400) for what is no id, not live, or may not be pointed at.
        """
        special = {"OwnerId": self._check_owner, "RecordTypeId": self._check_record_type}.get(field.name)

        def check(value: object) -> str:
            wanted = record_id(field, value)
            target = self._target(field, wanted)
            if target is not None:
                self._check_live(target, wanted)
                if special is not None:
                    special(sobject, wanted)
            return wanted

        return check

    def by_key(self, sobject: SObject, field: Field) -> Callable[[object], object]:
        """What finds the id that `{"Ext__c": "..."}` in place of a lookup means.

        With several objects that the lookup may point at, the key says its object, or only one of them has such a key field.
        Source: REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID"; error words unverified.
        """
        return partial(self._found, sobject, field)

    def _found(self, sobject: SObject, field: Field, value: object) -> str:
        if not isinstance(value, Mapping):
            raise malformed_json(f"Cannot deserialize instance of {field.relationship_name}: it is not a JSON object")
        named = {name: one for name, one in value.items() if name != "attributes"}
        if len(named) != 1:
            raise no_column(str(field.relationship_name), sobject.name)
        name, key = next(iter(named.items()))
        parent, own = self._keyed(field, name, _type_of(value))
        found = self._store.ids_with(parent, own, value=_comparable(own, key)) if key is not None else []
        if len(found) > 1:
            message = f"More than one record found for external id field: [{', '.join(found)}]"
            raise ApiError(400, "DUPLICATE_EXTERNAL_ID", message, fields=())
        if not found:
            message = f"Foreign key external ID: {key} not found for field {own.name} in entity {parent.name}"
            raise ApiError(400, "INVALID_FIELD", message, fields=())
        return found[0]

    def _keyed(self, field: Field, name: str, kind: str | None) -> tuple[SObject, Field]:
        """The object and the key field that a key means."""
        if kind is not None and kind.lower() not in {one.lower() for one in field.reference_to}:
            raise ApiError(400, "INVALID_FIELD", f"{kind} is not a valid type for the reference {field.relationship_name}")
        targets = [target for one in ([kind] if kind else field.reference_to) if (target := self._store.catalog.get(one))]
        having = [(target, own) for target in targets if (own := target.field(name)) is not None]
        keyed = [(target, own) for target, own in having if is_key(own)]
        if len(keyed) == 1:
            return keyed[0]
        if len(keyed) > 1:
            message = f"The reference {field.relationship_name} may be of several types: attributes.type has to say which"
            raise ApiError(400, "INVALID_FIELD", message)
        if not having:
            raise no_column(name, kind or field.reference_to[0])
        parent, own = having[0]
        raise ApiError(400, "INVALID_FIELD", f"{own.name} is not an External ID or indexed field for {parent.name}")

    def _target(self, field: Field, wanted: str) -> SObject | None:
        """The object of the id; None for one that this org does not model but the field may point at.
        Raises: ApiError(400, FIELD_INTEGRITY_EXCEPTION) for an id of another object.
        """
        target = self._store.catalog.by_prefix(wanted)
        modelled = all(self._store.catalog.get(name) for name in field.reference_to)
        if target.name not in field.reference_to if target else modelled:
            message = f"{field.label}: id value of incorrect type: {wanted}"
            raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", message, fields=(field.name,))
        return target

    def _check_live(self, target: SObject, wanted: str) -> None:
        """Source: SOAP API Developer Guide, "Status Codes": ENTITY_IS_DELETED is the reference to a deleted record."""
        live = self._store.presence(target, wanted)
        if live is None:
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=())
        if not live:
            raise ApiError(400, "ENTITY_IS_DELETED", "entity is deleted", fields=())

    def _check_owner(self, sobject: SObject, wanted: str) -> None:
        """Source: SOAP API Developer Guide, "Status Codes", INACTIVE_OWNER_OR_USER; words as in public reports."""
        target = self._store.catalog.by_prefix(wanted)
        if target is None:
            return
        if target.name == "User":
            if target.field("IsActive") and not self._store.read('SELECT 1 FROM "User" WHERE Id = ? AND IsActive = 1', (wanted,)):
                message = f"operation performed with inactive user [{wanted}] as owner of {sobject.name.lower()}"
                raise ApiError(400, "INACTIVE_OWNER_OR_USER", message, fields=())
        elif target.name == "Group" and not self._takes(sobject, wanted):
            raise ApiError(400, "INVALID_OPERATION", "Queue not associated with this SObject type", fields=("OwnerId",))

    def _takes(self, sobject: SObject, queue_id: str) -> bool:
        """Whether the group is a queue for records of this object. Source: Object Reference, "QueueSobject"."""
        sql = (
            'SELECT 1 FROM "Group" AS g JOIN "QueueSobject" AS q ON q.QueueId = g.Id '
            "WHERE g.Id = ? AND g.Type = ? AND q.SobjectType = ? COLLATE NOCASE"
        )
        return bool(self._store.read(sql, (queue_id, _QUEUE, sobject.name)))

    def _check_record_type(self, sobject: SObject, wanted: str) -> None:
        known = next((one for one in sobject.record_types if one.id == wanted), None)
        if known is None or not known.active:
            message = f"Record Type ID: this ID value isn't valid for the user: {wanted}"
            raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", message, fields=("RecordTypeId",))


def is_key(field: Field) -> bool:
    """Whether the field's value can find a record: an external id, the Id, or one that describe calls `idLookup`."""
    return field.external_id or field.type == "id" or field.overrides.get("idLookup") is True


def _type_of(value: Mapping[str, object]) -> str | None:
    attributes = value.get("attributes")
    kind = attributes.get("type") if isinstance(attributes, Mapping) else None
    return None if kind is None else str(kind)


def _comparable(field: Field, key: object) -> object:
    """The key as the store keeps it."""
    if isinstance(key, (Mapping, list)):
        raise malformed_json(f"Cannot deserialize instance of {field.name} from START_OBJECT")
    if field.type in ("int", "double", "currency", "percent"):
        try:
            return float(str(key))
        except ValueError:
            return str(key)
    return record_id(field, key) if field.type == "id" else trimmed(str(key))
