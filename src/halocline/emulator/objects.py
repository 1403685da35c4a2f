"""The shape of an org: sObjects, their fields, and how they point at each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PicklistValue:
    """One entry of a picklist, as describe lists it; `valid_for` is the bitmap of the controlling field's values, in base64."""

    value: str
    label: str
    active: bool = True
    default: bool = False
    valid_for: str | None = None


@dataclass(frozen=True, slots=True)
class RollUp:
    """What a roll-up summary field says about the detail records of its record.

    `function` is COUNT, SUM, MIN or MAX; `field` is the child's field that it reads (none for COUNT), `relationship` the child's
    reference to this object; `where` is an SQL expression over the child's row, None for all live children.
    """

    child: str
    relationship: str
    function: str
    field: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an sObject.

    `type` is Salesforce's own describe type (`string`, `picklist`, `reference`, `double`, ...).
    `compound` names the compound field (`BillingAddress`, `Name`) that this component belongs to.
    `cascade_delete`: the record goes when the one it points at is deleted; `restricted_delete`: it forbids that delete.
    `formula` is an SQL expression over the row, `roll_up` a summary of child rows; `sql` is how either is read once the whole
    catalog is known (see `formulas.py`).
    `overrides` holds describe keys that differ from what `type` implies.
    """

    name: str
    type: str
    label: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    defaulted_on_create: bool = False
    default: object = None
    custom: bool = False
    calculated: bool = False
    formula: str | None = None
    roll_up: RollUp | None = None
    sql: str | None = None
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    name_field: bool = False
    restricted_picklist: bool = False
    picklist: tuple[PicklistValue, ...] = ()
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    child_relationship_name: str | None = None
    cascade_delete: bool = False
    restricted_delete: bool = False
    compound: str | None = None
    auto_number: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_compound(self) -> bool:
        """Whether the field is an address or location made of other fields, which is not stored itself."""
        return self.type in ("address", "location")


@dataclass(frozen=True, slots=True)
class ChildRelationship:
    """A child object's reference field, seen from its parent."""

    child_sobject: str
    field: str
    relationship_name: str | None
    cascade_delete: bool
    restricted_delete: bool = False


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """What no record may be saved with: `condition`, an SQL expression over the row that is true for a wrong one.

    `field` is where the message belongs, None for the whole record.
    """

    name: str
    condition: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Which records count as duplicates: those with the same values in all of `fields`, none of them empty.

    A duplicate may be saved by those who insist if `allow_save`, else by nobody.
    """

    name: str
    fields: tuple[str, ...]
    allow_save: bool = False
    message: str = "Use one of these records?"


@dataclass(frozen=True, slots=True)
class RecordType:
    """One of an object's record types; `id` is its RecordType row's. It is `available` if the API user may choose it."""

    id: str
    name: str
    developer_name: str
    description: str | None = None
    active: bool = True
    default: bool = False
    available: bool = True


@dataclass(frozen=True, slots=True)
class SObject:
    """One sObject type; `fields` maps the lower-case field name to the field, in describe order."""

    name: str
    label: str
    label_plural: str
    key_prefix: str
    fields: Mapping[str, Field]
    custom: bool = False
    bulk_queryable: bool = True
    replicateable: bool = True
    queryable: bool = True
    deletable: bool = True
    validation_rules: tuple[ValidationRule, ...] = ()
    duplicate_rules: tuple[DuplicateRule, ...] = ()
    record_types: tuple[RecordType, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def field(self, name: str) -> Field | None:
        """The field of that name in any case, or None."""
        return self.fields.get(name.lower())

    def relationship(self, name: str) -> Field | None:
        """The reference field whose relationship (`Owner`, `Parent__r`) has that name in any case, or None."""
        wanted = name.lower()
        return next((f for f in self.fields.values() if f.relationship_name and f.relationship_name.lower() == wanted), None)

    def stored_fields(self) -> Iterator[Field]:
        """The fields that have a column of their own in the store (all but compounds), in describe order."""
        return (f for f in self.fields.values() if not f.is_compound)


class Catalog:
    """All sObjects of an org, found by name in any case."""

    def __init__(self, sobjects: Iterator[SObject] | list[SObject]) -> None:
        self._by_name = {s.name.lower(): s for s in sobjects}
        self._by_prefix = {s.key_prefix: s for s in self._by_name.values()}

    def get(self, name: str) -> SObject | None:
        """The sObject of that name in any case, or None."""
        return self._by_name.get(name.lower())

    def by_prefix(self, record_id: str) -> SObject | None:
        """The sObject that a record id's first three characters name, or None."""
        return self._by_prefix.get(record_id[:3])

    def children(self, parent: str) -> list[ChildRelationship]:
        """Every reference to `parent` from any object's fields, in catalog order."""
        wanted = parent.lower()
        return [
            ChildRelationship(child.name, f.name, f.child_relationship_name, f.cascade_delete, f.restricted_delete)
            for child in self._by_name.values()
            for f in child.fields.values()
            if any(target.lower() == wanted for target in f.reference_to)
        ]

    def __iter__(self) -> Iterator[SObject]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)
