"""What many records have: a company's name, a person's, an address, a sum of money."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from halocline.emulator.seeding.block import Block, Columns
from halocline.emulator.seeding.dice import joined, only_where, rounded


def picklist_of(block: Block, field: str) -> pa.Array:
    """What the field's picklist offers; null where there is nothing to choose."""
    found = block.sobject.field(field)
    offered: list[str | None] = [value.value for value in found.picklist if value.active] if found else []
    return pa.array(offered or [None], pa.string())


def company_and_domain(block: Block) -> tuple[pa.Array, pa.Array]:
    """A company's name and its domain."""
    dice, words = block.dice, block.words
    root = dice.numbers(len(words.lists["company_roots"]))
    trade = dice.numbers(len(words.lists["company_trades"]))
    form = block.word("company_forms")
    plain = joined(words.lists["company_roots"].take(root), " ", words.lists["company_trades"].take(trade))
    name = pc.if_else(pc.is_valid(form), joined(plain, " ", pc.fill_null(form, "")), plain)
    domain = joined(words.slugs["company_roots"].take(root), "-", words.slugs["company_trades"].take(trade), ".example")
    return pc.if_else(dice.chance(0.06), block.word("companies_as_they_are"), name), domain


def name_positions(block: Block) -> tuple[pa.Array, pa.Array]:
    """Which first name and which last name."""
    lists = block.words.lists
    return block.dice.numbers(len(lists["first_names"])), block.dice.numbers(len(lists["last_names"]))


def full_name(block: Block, first: pa.Array, last: pa.Array) -> Columns:
    """First, last and full name; one in thirty people is known by the last name only."""
    first_name = block.dice.sometimes(block.words.lists["first_names"].take(first), 29 / 30)
    last_name = block.words.lists["last_names"].take(last)
    full = pc.if_else(pc.is_valid(first_name), joined(pc.fill_null(first_name, ""), " ", last_name), last_name)
    return {"FirstName": first_name, "LastName": last_name, "Name": full}


def person(block: Block) -> Columns:
    """Salutation, names and mail address."""
    first, last = name_positions(block)
    return {
        "Salutation": block.dice.sometimes(block.dice.weighted({"Mr.": 44, "Ms.": 38, "Mrs.": 8, "Dr.": 8, "Prof.": 2}), 0.7),
        **full_name(block, first, last),
        "Email": block.dice.sometimes(email(block, first, last), 0.9),
    }


def email(block: Block, first: pa.Array, last: pa.Array) -> pa.Array:
    """An address that no other row has."""
    slugs = block.words.slugs
    person = joined(slugs["first_names"].take(first), ".", slugs["last_names"].take(last), pc.cast(block.serials, pa.string()))
    return joined(person, "@", block.dice.pick(slugs["company_roots"]), "-", block.dice.pick(slugs["company_trades"]), ".example")


def phone(block: Block) -> pa.Array:
    """A telephone number of some place."""
    return joined(block.dice.pick(block.words.places["dial"]), " ", block.dice.digits(7))


def address(block: Block, prefix: str) -> Columns:
    """The components of an address; one in eleven records has none, of the others half are on the map."""
    dice = block.dice
    place = dice.sometimes(dice.numbers(len(block.words.places)), 10 / 11)
    mapped = pc.and_(pc.is_valid(place), dice.chance(0.5))
    where = {
        name: block.words.places[name].take(place) for name in ("city", "state", "postcode", "country", "latitude", "longitude")
    }
    street = joined(block.word("streets"), " ", pc.cast(pc.add(dice.numbers(180), 1), pa.string()))
    second = joined(street, "\n", dice.weighted({"2nd floor": 50, 'Building "B"': 30, "c/o Empfang": 20}))
    return {
        f"{prefix}Street": only_where(pc.is_valid(place), pc.if_else(dice.chance(0.12), second, street)),
        f"{prefix}City": where["city"],
        f"{prefix}State": where["state"],
        f"{prefix}PostalCode": where["postcode"],
        f"{prefix}Country": where["country"],
        f"{prefix}Latitude": only_where(mapped, where["latitude"]),
        f"{prefix}Longitude": only_where(mapped, where["longitude"]),
        f"{prefix}GeocodeAccuracy": only_where(mapped, block.constant("Zip")),
    }


def shipping_like(block: Block, billing: Columns) -> Columns:
    """Goods go to the billing address if anywhere."""
    same = block.dice.chance(0.55)
    return {name.replace("Billing", "Shipping"): only_where(same, column) for name, column in billing.items()}


def magnitude(block: Block, *, low: float, high: float) -> pa.Array:
    """Whole numbers from 10**low to 10**high, small ones as common as large ones."""
    exponents = pc.add(pc.multiply(block.dice.fractions(), high - low), low)
    return pc.cast(pc.floor(pc.power(10.0, exponents)), pa.int64())


def sum_of_money(block: Block, *, low: float, high: float) -> pa.Array:
    """Sums of money with two decimals from 10**low to 10**high."""
    exponents = pc.add(pc.multiply(block.dice.fractions(), high - low), low)
    return rounded(pc.power(10.0, exponents), 2)


def letters(block: Block, count: int) -> pa.Array:
    """So many capital letters."""
    alphabet = pa.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), pa.string())
    return joined(*(block.dice.pick(alphabet) for _ in range(count)))


def year_of(seconds: pa.Array) -> pa.Array:
    """The year of seconds since 1970."""
    return pc.year(pc.cast(seconds, pa.timestamp("s")))
