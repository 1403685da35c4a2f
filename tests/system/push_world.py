"""A world of people, a few of them bad: rows of which it is known beforehand which Salesforce refuses, and why."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halocline.connectors.salesforce.auth import ClientCredentialsAuthenticator
from halocline.connectors.salesforce.client import SalesforceClient
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.mapping import FieldMapper
from halocline.retry import Pace, Policy

SCHEMA = """
object: Contact
fields:
  Ext__c: {type: string(40) external unique}
  Badge__c: {type: string(20) unique}
  Level__c: {type: picklist restricted, values: [low, high]}
  Score__c: "double(6,2)"
"""
SHARE = 100  # one row of so many is bad
ACCOUNTS = 40
TAKEN = "taken"  # the badge of somebody who is there already
NOBODY = "001000000000999AAA"  # the id of no account

Told = tuple[str, tuple[str, ...]]  # a code, and the fields that it names


@dataclass(frozen=True, slots=True)
class Kind:
    """What is wrong with a row, and what then is told of it."""

    wrong: dict[str, Any]
    told: Told
    by_collections: Told | None = None

    def by(self, api: str) -> Told:
        """What is told on this path: a date that is none makes a whole call unreadable, where its parser names no field."""
        return self.by_collections or self.told if api == "collections" else self.told


KINDS = {
    "no name": Kind({"last": None}, ("REQUIRED_FIELD_MISSING", ("LastName",))),
    "no date": Kind(
        {"born": "2026-13-45"}, ("INVALID_TYPE_ON_FIELD_IN_RECORD", ("Birthdate",)), by_collections=("JSON_PARSER_ERROR", ())
    ),
    "too long": Kind({"section": "x" * 81}, ("STRING_TOO_LONG", ("Department",))),
    "no such level": Kind({"level": "middling"}, ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ("Level__c",))),
    "not unique": Kind({"badge": TAKEN}, ("DUPLICATE_VALUE", ())),
    "nobody's": Kind({"account": NOBODY}, ("INVALID_CROSS_REFERENCE_KEY", ())),
    "a function raises": Kind({"score": "n/a"}, ("MAPPING_FAILED", ("Score__c",))),
}


@dataclass(frozen=True, slots=True)
class People:
    """Rows as a source has them, and what is wrong with which (by number)."""

    rows: list[dict[str, Any]]
    bad: dict[int, str]

    @property
    def sendable(self) -> list[int]:
        """The rows that nothing is wrong with."""
        return [row for row in range(len(self.rows)) if row not in self.bad]


@dataclass(frozen=True, slots=True)
class World:
    """An org with accounts, and a client whose waits are short."""

    emulator: Emulator
    client: SalesforceClient
    accounts: list[str]

    def people(self, count: int) -> People:
        """So many rows, every hundredth of them bad, in all ways; parents are mixed."""
        chance = random.Random(count)
        kinds = list(KINDS)
        numbers = chance.sample(range(count), count // SHARE)
        bad = {row: kinds[place % len(kinds)] for place, row in enumerate(sorted(numbers))}
        rows = [{**self._good(row), **(KINDS[bad[row]].wrong if row in bad else {})} for row in range(count)]
        return People(rows, bad)

    def _good(self, row: int) -> dict[str, Any]:
        parent = self.accounts[row * 7 % len(self.accounts)]
        good = {"key": f"k{row}", "last": f"Öst, {row}", "born": "1990-02-28", "section": "A", "level": "low", "score": "1.5"}
        return {**good, "badge": f"b{row}", "account": parent, "note": "not mapped"}


MAPPING = FieldMapper(
    {
        "key": "Ext__c",
        "last": "LastName",
        "born": "Birthdate",
        "section": "Department",
        "level": "Level__c",
        "badge": "Badge__c",
        "account": "AccountId",
        "score": ("Score__c", float),
    }
)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A running org, with a checkpoint."""
    schema = folder / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    with Emulator(EmulatorConfig(schemas=(schema,))) as emulator:
        accounts = [emulator.create("Account", {"Name": f"a{number}"}) for number in range(ACCOUNTS)]
        emulator.create("Contact", {"LastName": "First", "Badge__c": TAKEN})
        emulator.checkpoint()
        config = emulator.config
        login = ClientCredentialsAuthenticator(config.consumer_key, config.consumer_secret, login_url=emulator.url)
        hasty = Pace(sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
        with SalesforceClient(login, pace=hasty, retry=Policy(attempts=6)) as client:
            yield World(emulator, client, accounts)
