"""The names in a batch -> fields of the object, and of the records that it points at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.emulator.bulk1.refusals import field_not_found, invalid_batch

if TYPE_CHECKING:
    from halocline.emulator.objects import Catalog, Field, SObject

# `Owner.Username`, or `Contact:Who.Email` where the lookup may point at several objects.
# Source: Bulk API 2.0 and Bulk API Developer Guide, "Relationship Fields in a Header Row", "Polymorphic ... Header Row".
_RELATED = re.compile(r"(?:(\w+):)?(\w+)\.(\w+)")
_BOOLEANS: dict[object, bool] = {"1": True, "0": False}  # beside true and false, which every API takes


@dataclass(frozen=True, slots=True)
class Column:
    """Where a value goes: into `field`, or with `key` into the lookup `field` as the value that finds the other record.

    `kind` is the other record's object where the client named it.
    """

    field: Field
    key: str | None = None
    kind: str | None = None

    def put(self, record: dict[str, object], value: object) -> None:
        """Put a value, None for null, into a record as the REST API shapes it."""
        if self.key is None or value is None:
            is_flag = self.field.type == "boolean" and isinstance(value, str)
            record[self.field.name] = _BOOLEANS.get(value, value) if is_flag else value
        else:
            attributes = {"attributes": {"type": self.kind}} if self.kind else {}
            record[str(self.field.relationship_name)] = {**attributes, self.key: value}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a batch for one object may have."""

    catalog: Catalog
    sobject: SObject

    def named(self, name: str) -> Column:
        """The column of that name: a field, a relationship, or a field of another record after a relationship and a dot.
        Raises: ApiError InvalidBatch if there is none.
        """
        related = _RELATED.fullmatch(name)
        if related:
            kind, relationship, key = related.groups()
            return self.of_parent(relationship, key, kind=kind)
        field = self.sobject.field(name) or self.sobject.relationship(name)
        if field is None:
            raise field_not_found(name)
        return Column(field)

    def of_header(self, names: Sequence[str]) -> list[Column]:
        """The columns of a CSV header, in order.
        Raises: ApiError InvalidBatch for a name that is no column, or (in words of our own) that comes twice.
        """
        columns = [self.named(name) for name in names]
        for at, column in enumerate(columns):
            if any(column.field is other.field for other in columns[:at]):
                raise invalid_batch(f"Field name is duplicated : {names[at]}")
        return columns

    def of_parent(self, relationship: str, key: str, *, kind: str | None) -> Column:
        """The column that finds another record by its field `key`.
        Raises: ApiError InvalidBatch if there is no such relationship or key, or a type is named where there is only one.
        """
        shown = f"{kind}:{relationship}.{key}" if kind else f"{relationship}.{key}"
        lookup = self.sobject.relationship(relationship)
        if lookup is None:
            raise field_not_found(shown)
        if kind and len(lookup.reference_to) == 1 and kind.lower() != lookup.reference_to[0].lower():
            raise field_not_found(shown)
        if kind and len(lookup.reference_to) == 1:  # words observed
            raise invalid_batch(f"type is not needed for non polymorphic foreign key references: {relationship}")
        return Column(lookup, self._key(lookup, key, kind=kind, shown=shown), kind)

    def _key(self, lookup: Field, key: str, *, kind: str | None, shown: str) -> str:
        wanted = kind or lookup.reference_to[0]
        parent = self.catalog.get(wanted) if wanted in lookup.reference_to or kind is None else None
        field = parent.field(key) if parent else None
        if field is None or not (field.external_id or field.type == "id" or field.overrides.get("idLookup") is True):
            raise field_not_found(shown)
        return field.name
