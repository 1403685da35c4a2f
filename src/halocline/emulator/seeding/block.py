"""A block of rows in the making: where it stands in the seeding, whom it may point at, and when its rows were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from halocline.emulator.objects import SObject
from halocline.emulator.seeding.dice import Dice, constant, only_where
from halocline.emulator.seeding.id_columns import record_ids
from halocline.emulator.seeding.words import Words

DAY_S = 86_400
_UNTOUCHED = 0.4  # share of records that nobody changed since they were made; a guess
_SCATTER = 2_654_435_761  # Knuth's multiplicative hash: neighbours land far apart
_HASH_BITS = 32
_ONE_ALONE_IN = 32  # one contact in so many belongs to no account

Columns = dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class Parents:
    """Records that a reference may point at: `listed` ids, or else `count` consecutive serials from `first_serial` on.

    Consecutive ones were made in the same seeding, evenly over its time, so that a position tells the age.
    """

    prefix: str
    count: int
    first_serial: int = 0
    listed: pa.Array | None = None

    def ids(self, positions: pa.Array) -> pa.Array:
        """The ids at those positions (from 0)."""
        if self.listed is not None:
            return self.listed.take(positions)
        return record_ids(self.prefix, pc.add(positions, self.first_serial))


@dataclass(frozen=True, slots=True)
class Block:
    """`rows` rows of one sObject, at `positions` of a seeding of `total` rows that ends at `until` (seconds since 1970).

    `users` own and change the rows; `pricebook_id` is the standard price book. `created` and `modified` are each row's stamps
    in seconds since 1970.
    """

    sobject: SObject
    rows: int
    total: int
    first_serial: int
    until: int
    users: pa.Array
    pricebook_id: str
    parents: Mapping[str, Parents]
    dice: Dice
    words: Words
    positions: pa.Array
    created: pa.Array
    modified: pa.Array

    @property
    def serials(self) -> pa.Array:
        """The serials of the rows' ids."""
        return pc.add(self.positions, self.first_serial)

    def word(self, name: str) -> pa.Array:
        """A word of that list in every row."""
        return self.dice.pick(self.words.lists[name])

    def constant(self, value: str | float | bool) -> pa.Array:  # noqa: FBT001 - a value like the others
        """The same value in every row."""
        return constant(value, self.rows)

    def required(self, parent: str) -> Parents:
        """The records of `parent`.

        Raises: ValueError if there is none.
        """
        found = self.parents.get(parent)
        if found is None:
            raise ValueError(f"{self.sobject.name} points at {parent}, of which there is none: seed some first")
        return found

    def positions_in(self, parent: str) -> pa.Array:
        """For each row the position of a `parent` record that is older than the row; see `required`."""
        parents = self.required(parent)
        if parents.listed is not None:
            return self.dice.numbers(parents.count)
        return self.dice.numbers_below(self._older(parents, self.positions, self.total))

    def reference(self, parent: str) -> pa.Array:
        """For each row the id of a `parent` record that is older than the row; see `required`."""
        return self.required(parent).ids(self.positions_in(parent))

    def optional_reference(self, parent: str, share: float) -> pa.Array:
        """As `reference` in that share of the rows; null elsewhere, and everywhere if there is no `parent` record."""
        if parent not in self.parents:
            return pa.nulls(self.rows, pa.string())
        return self.dice.sometimes(self.reference(parent), share)

    def accounts_of(self, contacts: pa.Array) -> pa.Array:
        """The accounts of the contacts at those positions; the same for every object that asks. Some have none."""
        accounts, all_contacts = self.parents.get("Account"), self.parents["Contact"]
        if accounts is None or accounts.listed is not None or all_contacts.listed is not None:
            return self.optional_reference("Account", 0.95)
        positions = scattered(contacts, self._older(accounts, contacts, all_contacts.count))
        alone = pc.equal(scattered(pc.add(contacts, 1), _ONE_ALONE_IN), 0)
        return only_where(pc.invert(alone), accounts.ids(positions))

    def _older(self, parents: Parents, positions: pa.Array, total: int) -> pa.Array:
        """How many of the parents were made before the rows at `positions` out of `total`."""
        return pc.divide(pc.multiply(positions, parents.count), total)


def scattered(numbers: pa.Array, below: pa.Array | int) -> pa.Array:
    """For each number one from 0 to `below` - 1 that looks random and is always the same."""
    hashed = pc.bit_wise_and(pc.multiply(numbers, _SCATTER), (1 << _HASH_BITS) - 1)
    return pc.shift_right(pc.multiply(hashed, below), _HASH_BITS)


def stamps(seconds: pa.Array) -> pa.Array:
    """Seconds since 1970 as an org keeps datetimes: `2026-11-20T08:30:00.000Z`."""
    return pc.strftime(pc.cast(seconds, pa.timestamp("s")), "%Y-%m-%dT%H:%M:%S.000Z")


def dates(seconds: pa.Array) -> pa.Array:
    """Seconds since 1970 as an org keeps dates: `2026-11-20`."""
    return pc.strftime(pc.cast(seconds, pa.timestamp("s")), "%Y-%m-%d")


def seconds_of(moment: datetime) -> int:
    """Whole seconds since 1970 of an aware datetime."""
    return int(moment.astimezone(UTC).timestamp())


def created_seconds(dice: Dice, positions: pa.Array, *, total: int, start: int, until: int) -> pa.Array:
    """When the rows at those positions were made: evenly from `start` to `until`, each somewhere in its own share of the time."""
    place = pc.add(pc.cast(positions, pa.float64()), dice.fractions())
    return pc.cast(pc.floor(pc.add(pc.multiply(place, (until - start) / total), float(start))), pa.int64())


def modified_seconds(dice: Dice, created: pa.Array, *, until: int) -> pa.Array:
    """When the rows were last changed: some never, the others at any time from then until `until`."""
    later = pc.multiply(pc.cast(pc.subtract(until, created), pa.float64()), dice.fractions())
    changed = pc.add(created, pc.cast(pc.floor(later), pa.int64()))
    return pc.if_else(dice.chance(_UNTOUCHED), created, changed)


def audit_columns(block: Block) -> Columns:
    """Id, owner, deletion flag and audit fields of the block's rows, as far as the object has them."""
    creators = block.dice.pick(block.users)
    modified = stamps(block.modified)
    # Whoever made a record that was never changed changed it last.
    untouched = pc.equal(block.created, block.modified)
    columns = {
        "Id": record_ids(block.sobject.key_prefix, block.serials),
        "IsDeleted": block.constant(value=False),
        "OwnerId": block.dice.pick(block.users),
        "CreatedDate": stamps(block.created),
        "CreatedById": creators,
        "LastModifiedDate": modified,
        "LastModifiedById": pc.if_else(untouched, creators, block.dice.pick(block.users)),
        "SystemModstamp": modified,
    }
    return {name: column for name, column in columns.items() if block.sobject.field(name)}
