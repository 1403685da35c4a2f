"""Fill an org: the rows that every org has, and any number of believable records, the same for the same number.

Rows are made in blocks as Arrow columns and go straight into the store, so memory stays flat and a million Accounts take
seconds. What a record looks like stands in `seeding/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from halocline.emulator.objects import Field, SObject
from halocline.emulator.seeding.block import (
    Block,
    Columns,
    Parents,
    audit_columns,
    created_seconds,
    modified_seconds,
    seconds_of,
)
from halocline.emulator.seeding.custom import columns_of, custom_columns, fitting, record_types
from halocline.emulator.seeding.dice import Dice, constant
from halocline.emulator.seeding.recipes import RECIPES
from halocline.emulator.seeding.words import load_words
from halocline.emulator.standing import ensure_org, known_object
from halocline.emulator.starting import missing_parents
from halocline.emulator.store import Store
from halocline.emulator.tables import columns

BLOCK_ROWS = 10_000  # as fast as larger blocks, and the least memory
MOST_LISTED = 100_000  # records of earlier seedings that new ones may point at
ARROW_TYPES: Mapping[str, pa.DataType] = {
    # SQLite keeps booleans as 0 and 1.
    "boolean": pa.int64(),
    "int": pa.int64(),
    "double": pa.float64(),
    "currency": pa.float64(),
    "percent": pa.float64(),
}


def seed(
    store: Store, counts: Mapping[str, int], *, number: int = 0, until: datetime | None = None, years: float = 2.0
) -> dict[str, int]:
    """Add so many records of each sObject and return how many were added, by canonical name.

    The same `number`, `until` and counts make the same records in a fresh org. Records are created evenly over the `years`
    before `until` (default: the store's now) and last changed between then and `until`; references point at records of this
    seeding, or else at those that the org has. Fields without a recipe stay null or take their default.
    Raises: ValueError for an unknown sObject, a negative count, or a required reference to an object without records.
    """
    ensure_org(store)
    wanted = _ordered({known_object(store.catalog, name).name: count for name, count in counts.items() if _checked(name, count)})
    for name in wanted:
        _check_parents(store, known_object(store.catalog, name), wanted=wanted)
    end = until or store.clock.now()
    setting = _Setting(
        store=store,
        number=number,
        start=seconds_of(end - timedelta(days=365.25 * years)),
        until=seconds_of(end),
        pricebook_id=_standard_pricebook_id(store),
        parents=_parents(store, wanted),
    )
    return {name: _seed_object(setting, known_object(store.catalog, name)) for name in wanted}


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all blocks of one seeding share."""

    store: Store
    number: int
    start: int
    until: int
    pricebook_id: str
    parents: Mapping[str, Parents]


def _checked(name: str, count: int) -> bool:
    """Whether there is anything to seed."""
    if count < 0:
        raise ValueError(f"{name}: a count of {count} is negative")
    if name.lower() == "organization" and count:
        raise ValueError("an org has one Organization, it cannot be seeded")
    return count > 0


def _check_parents(store: Store, sobject: SObject, *, wanted: Mapping[str, int]) -> None:
    """Refuse before anything is written what a recipe could not make: records without those they must point at."""
    for parent in missing_parents(store, sobject, wanted=wanted):
        raise ValueError(f"{sobject.name} points at {parent}, of which there is none: seed some first")


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    """Users first, because they own the others; then the order of the recipes; custom objects last."""
    names = [*(name for name in RECIPES if name in counts), *(name for name in counts if name not in RECIPES)]
    return {name: counts[name] for name in names}


def _parents(store: Store, counts: Mapping[str, int]) -> dict[str, Parents]:
    """Whom references may point at; serials of the records to be made are taken here, once and for all."""
    parents: dict[str, Parents] = {}
    for sobject in store.catalog:
        if sobject.name in counts:
            count = counts[sobject.name]
            parents[sobject.name] = Parents(sobject.key_prefix, count, first_serial=store.next_serial(sobject, count))
        elif store.count(sobject):
            listed = _listed_ids(store, sobject)
            parents[sobject.name] = Parents(sobject.key_prefix, len(listed), listed=listed)
    return parents


def _listed_ids(store: Store, sobject: SObject) -> pa.Array:
    live = "WHERE IsDeleted = 0" if sobject.field("IsDeleted") else ""
    rows = store.read(f'SELECT Id FROM "{sobject.name}" {live} ORDER BY Id LIMIT ?', (MOST_LISTED,))
    return pa.array([row[0] for row in rows], pa.string())


def _standard_pricebook_id(store: Store) -> str:
    found = store.find(known_object(store.catalog, "Pricebook2"), "IsStandard", value=True)
    return str(found[0]["Id"])


def _seed_object(setting: _Setting, sobject: SObject) -> int:
    users = _listed_ids(setting.store, known_object(setting.store.catalog, "User"))
    return setting.store.bulk_insert(sobject, _batches(setting, sobject, users=users))


def _batches(setting: _Setting, sobject: SObject, *, users: pa.Array) -> Iterator[pa.RecordBatch]:
    for first in range(0, setting.parents[sobject.name].count, BLOCK_ROWS):
        yield _batch(_block(setting, sobject, first=first, users=users))


def _block(setting: _Setting, sobject: SObject, *, first: int, users: pa.Array) -> Block:
    own = setting.parents[sobject.name]
    rows = min(BLOCK_ROWS, own.count - first)
    dice = Dice(f"{setting.number}/{sobject.name}/{first}", rows)
    positions = pa.array(range(first, first + rows), pa.int64())
    created = created_seconds(dice, positions, total=own.count, start=setting.start, until=setting.until)
    return Block(
        sobject=sobject,
        rows=rows,
        total=own.count,
        first_serial=own.first_serial,
        until=setting.until,
        users=users,
        pricebook_id=setting.pricebook_id,
        parents=setting.parents,
        dice=dice,
        words=load_words(),
        positions=positions,
        created=created,
        modified=modified_seconds(dice, created, until=setting.until),
    )


def _batch(block: Block) -> pa.RecordBatch:
    """The block's columns in describe order, in the types of the store."""
    recipe = RECIPES.get(block.sobject.name)
    believed = _suiting(block.sobject, recipe(block)) if recipe else {}
    made: Columns = {**audit_columns(block), **record_types(block), **believed, **custom_columns(block)}
    left = [field for field in columns(block.sobject) if field.name not in made]
    made |= columns_of(block, [field for field in left if (_is_needed(field) if recipe else _is_due(field))])
    found = {field.name: _stored(block, field, made) for field in columns(block.sobject)}
    present = {name: column for name, column in found.items() if column is not None}
    return pa.RecordBatch.from_pydict(present)


def _suiting(sobject: SObject, made: Columns) -> Columns:
    """The columns of a recipe without texts for fields that are numbers in this org, whatever they are in the packaged schema."""
    numbers = {field.name for field in columns(sobject) if field.type in ARROW_TYPES}
    return {name: column for name, column in made.items() if name not in numbers or not pa.types.is_string(column.type)}


def _is_due(field: Field) -> bool:
    """Whether a record of an object without a recipe shows a value here."""
    return ((field.createable or field.calculated) and field.type != "boolean") or _is_needed(field)


def _is_needed(field: Field) -> bool:
    """Whether no record can be without a value here, and none comes by itself."""
    required = field.createable and not field.nillable and field.default is None and field.type not in ("boolean", "id")
    return required or field.auto_number is not None


def _stored(block: Block, field: Field, made: Columns) -> pa.Array | None:
    """The field's column as made, or its default in every row, or None for a field that stays null."""
    column = made.get(field.name)
    if column is None:
        default = False if field.type == "boolean" and field.default is None else field.default
        if not isinstance(default, (str, int, float)):
            return None
        column = constant(default, block.rows)
    return fitting(block, field, column=column.cast(ARROW_TYPES.get(field.type, pa.string())))
