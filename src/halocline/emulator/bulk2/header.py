"""What the columns of an upload mean: fields, and lookups by another object's key.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Relationship Fields in a Header Row" and "Valid CSV Header Rows".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from halocline.emulator.bulk2.csv_in import BadUploadError

if TYPE_CHECKING:
    from halocline.emulator.objects import Catalog, Field, SObject

NULL = "#N/A"
_BOOLEANS = {"1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the field that it sets and, for a lookup, the object and the key field that find the parent.

    `name` is the key of its value in a record.
    """

    name: str
    field: Field
    parent: str | None = None
    key: str | None = None

    def entry(self, text: str) -> tuple[str, object]:
        """Name and value for a record of a cell that is not empty."""
        if text == NULL:
            return self.field.name, None
        if self.parent is not None:
            return self.name, {"attributes": {"type": self.parent}, str(self.key): text}
        if self.field.type == "boolean":
            return self.name, _BOOLEANS.get(text, text)
        return self.name, text


def columns_of(names: Sequence[str], sobject: SObject, *, catalog: Catalog) -> tuple[Column, ...]:
    """The columns of a header.
    Raises: BadUploadError for a name that is no field, in the words that real orgs use; for one that comes twice, in ours.
    """
    columns = tuple(_column(name, sobject, catalog=catalog) for name in names)
    seen = set()
    for column, name in zip(columns, names, strict=True):
        if column.field.name in seen:
            raise BadUploadError(f"InvalidBatch : Field name is duplicated : {name}")
        seen.add(column.field.name)
    return columns


def _column(name: str, sobject: SObject, *, catalog: Catalog) -> Column:
    column = _lookup(name, sobject, catalog=catalog) if "." in name else _plain(name, sobject)
    if column is None:
        raise BadUploadError(f"InvalidBatch : Field name not found : {name}")
    return column


def _plain(name: str, sobject: SObject) -> Column | None:
    field = sobject.field(name)
    return None if field is None else Column(field.name, field)


def _lookup(name: str, sobject: SObject, *, catalog: Catalog) -> Column | None:
    """`Owner.Ext__c` or, where several objects may stand, `User:Owner.Ext__c`."""
    path, _, key_name = name.partition(".")
    kind, _, relationship = path.rpartition(":")
    reference = sobject.relationship(relationship)
    parent = catalog.get(_target(reference, kind)) if reference else None
    key = parent.field(key_name) if parent else None
    if reference is None or parent is None or key is None or not _finds(key):
        return None
    return Column(str(reference.relationship_name), reference, parent.name, key.name)


def _target(reference: Field, kind: str) -> str:
    if kind:
        return next((one for one in reference.reference_to if one.lower() == kind.lower()), "")
    return reference.reference_to[0] if len(reference.reference_to) == 1 else ""


def _finds(key: Field) -> bool:
    return key.external_id or key.type == "id" or key.overrides.get("idLookup") is True
