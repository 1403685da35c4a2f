"""How many records an org starts with, by its schema files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from halocline.emulator.objects import SObject
from halocline.emulator.standing import ensure_org, known_object
from halocline.emulator.store import Store


def starting_counts(
    store: Store, defined: Mapping[str, int], *, records: int | None = None, named: Mapping[str, int] | None = None
) -> dict[str, int]:
    """How many records to make of the objects that schema files define: `records` of each, or as many as each asks for.

    None of objects that have records already, or whose records no client can make. Objects that they must point at, and of which
    there are none, come along. Of objects that are `named`, in any case, as many as that says.
    """
    counts = _by_schemas(store, defined, records)
    given = {name.lower() for name in named or {}}
    return {**{name: count for name, count in counts.items() if name.lower() not in given}, **(named or {})}


def _by_schemas(store: Store, defined: Mapping[str, int], records: int | None) -> dict[str, int]:
    ensure_org(store)
    counts: dict[str, int] = {}
    for name, asked in defined.items():
        sobject = known_object(store.catalog, name)
        count = asked if records is None else records
        if count and sobject.overrides.get("createable") is not False and not store.count(sobject):
            counts[sobject.name] = count
    pending = list(counts)
    while pending:
        name = pending.pop()
        missing = list(missing_parents(store, known_object(store.catalog, name), wanted=counts))
        counts |= dict.fromkeys(missing, counts[name])
        pending += missing
    return counts


def missing_parents(store: Store, sobject: SObject, *, wanted: Mapping[str, int]) -> Iterator[str]:
    """Objects of this org that the object's records must point at, and of which there are none and none are `wanted`."""
    for field in sobject.fields.values():
        targets = [target.name for name in field.reference_to if (target := store.catalog.get(name))]
        if (
            targets
            and not field.nillable
            and not any(name in wanted or store.count(known_object(store.catalog, name)) for name in targets)
        ):
            yield targets[0]
