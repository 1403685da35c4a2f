"""Parents: the column whose rows are sent side by side, so that two requests do not wait for the lock of one parent record.

Source: Bulk API 2.0 and Bulk API Developer Guide, "Organize Data to Minimize Lock Contention" (sort records by their parent,
so that different jobs do not have children of the same one); read November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.salesforce.writing.frames import PLACE, Frames

# References that nearly all rows share, so that nothing is won by sorting. Whether a write locks these parents is unverified.
_NO_PARENTS = frozenset({"ownerid", "recordtypeid", "createdbyid", "lastmodifiedbyid"})


def parent_column(names: Sequence[str], describe: Mapping[str, Any]) -> str | None:
    """The column to sort by: a master-detail's before those of other references, then as they stand; None where there is none."""
    fields = [field for field in describe.get("fields", ()) if field.get("type") == "reference"]
    by_name = {str(field["name"]).lower(): field for field in fields}
    by_relationship = {str(field["relationshipName"]).lower(): field for field in fields if field.get("relationshipName")}
    found = []
    for place, name in enumerate(names):
        through = relationship(name)
        field = by_name.get(name.lower()) if through is None else by_relationship.get(through)
        if field is not None and str(field["name"]).lower() not in _NO_PARENTS:
            is_master = bool(field.get("cascadeDelete")) or field.get("relationshipOrder") is not None
            found.append((not is_master, place, name))
    return min(found)[2] if found else None


def targets(names: Sequence[str], describe: Mapping[str, Any]) -> dict[str, str]:
    """The field that each column sets, in lower case: `AccountId` and `Account.Ext__c` set the same one."""
    fields = describe.get("fields", ())
    known = {
        str(field["relationshipName"]).lower(): str(field["name"]).lower() for field in fields if field.get("relationshipName")
    }
    return {name: known.get(through, through) for name in names for through in [relationship(name) or name.lower()]}


def sharing(targets: Mapping[str, str]) -> list[list[str]]:
    """The columns that set the same thing, where there are several: `Owner.A` and `User:Owner.B`."""
    found: dict[str, list[str]] = {}
    for name, target in targets.items():
        found.setdefault(target, []).append(name)
    return [names for names in found.values() if len(names) > 1]


def relationship(name: str) -> str | None:
    """The relationship, in lower case, that a lookup by a key goes through; None for a plain field."""
    path, dot, _ = name.partition(".")
    return path.rpartition(":")[2].lower() if dot else None


class Nesting:
    """Where a record may stand in a field's place: under a relationship of the object; anywhere, where that has no describe."""

    def __init__(self, describe: Mapping[str, Any]) -> None:
        references = [field for field in describe.get("fields", ()) if field.get("relationshipName")]
        self._any = not describe.get("fields")
        self._relationships = {str(field["relationshipName"]).lower() for field in references}
        self._by_field = {str(field["name"]).lower(): str(field["relationshipName"]) for field in references}

    def refusal(self, name: str) -> str | None:
        """Why no record may stand under this name; None where one may. Salesforce would fail a whole Bulk job for it."""
        told = name.rpartition(":")[2].lower()
        if self._any or told in self._relationships:
            return None
        meant = self._by_field.get(told)
        return (
            f"a record is looked up by {meant}, not by {name}" if meant else f"{name} is no lookup, so no record can stand there"
        )


def hashes_of(frames: Frames, column: str) -> pa.Array:
    """A number for the parent of each row, null where it has none. Two parents with one number would be mixed, no more."""
    parts = [_hashed(batch.column(column)) for batch in frames.batches([column])]
    return pa.concat_arrays(parts) if parts else pa.nulls(0, pa.int64())


def grouped(parents: pa.Array) -> pa.Array | None:
    """The place of each row when rows of a parent stand together; None where they do. Rows without a parent come first."""
    groups = pc.fill_null(parents.dictionary_encode().indices, -1)
    order = pc.array_sort_indices(groups).cast(PLACE)  # stable: inside a parent rows keep their order
    if pc.all(pc.equal(order, pa.array(range(len(order)), PLACE))).as_py():
        return None
    return pc.inverse_permutation(order)


def _hashed(texts: pa.Array) -> pa.Array:
    return pa.array([hash(text) if text else None for text in texts.to_pylist()], pa.int64())
