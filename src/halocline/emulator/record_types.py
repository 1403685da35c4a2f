"""The RecordType rows of an org: one for each record type that its schemas name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halocline.emulator.standing import BORN

if TYPE_CHECKING:
    from halocline.emulator.objects import RecordType, SObject
    from halocline.emulator.store import Store

_SETUP_USER = "005000000000000AAA"  # whoever set the org up; no user of it


def ensure_record_types(store: Store) -> None:
    """Make sure that every record type of the catalog has its row; rows that exist stay as they are."""
    rows = store.catalog.get("RecordType")
    if rows is None:
        return
    for sobject in store.catalog:
        for one in sobject.record_types:
            if store.presence(rows, one.id) is None:
                store.insert(rows, _row(sobject, one), user_id=_SETUP_USER, stamp=BORN)


def _row(sobject: SObject, one: RecordType) -> dict[str, object]:
    names = {"Name": one.name, "DeveloperName": one.developer_name, "Description": one.description}
    return {"Id": one.id, **names, "SobjectType": sobject.name, "IsActive": one.active}
