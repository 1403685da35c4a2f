"""An org whose schema has rules, record types, master and detail, formulas and roll-ups, for the tests of a record's life."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from halocline.emulator.errors import ApiError
from halocline.emulator.objects import SObject
from halocline.emulator.query import prepare
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.emulator.writing import Writer

SCHEMA = """
object: Deal__c
label: Deal
plural: Deals
record_types:
  - {name: Big Deal, default: true, description: Worth a meeting}
  - {name: Small}
  - {name: Old, active: false}
validation_rules:
  - {name: Discount, condition: "Discount__c > 50 AND Account__r.Name <> 'Acme'", message: Too cheap., field: Discount__c}
  - {name: Sign, condition: "Discount__c < 0 OR Discount__c > 90", message: No such discount.}
duplicate_rules:
  - {name: Same_mail, fields: [Mail__c], action: allow}
  - {name: Same_place, fields: [City__c, Street__c], action: block, message: We were there.}
fields:
  Account__c: {type: reference, to: Account, children: Deals}
  Other__c: {type: reference, to: Account, children: OtherDeals, on_delete: restrict}
  Who__c: {type: reference, to: [Contact, Account], children: WhoDeals}
  Discount__c: double(5,2)
  Mail__c: email
  City__c: string(40)
  Street__c: string(40)
  Code__c: string(20) external unique
  Exact__c: string(20) unique case_sensitive
  Stage__c: {type: picklist restricted, values: [Open, Won], inactive: [Lost]}
  Tags__c: {type: multipicklist restricted, values: [Red, Green]}
  Secret__c: encryptedstring(20)
  Site__c: url
  AccountName__c: {type: string(255), formula: "Account__r.Name"}
  OwnerOfAccount__c: {type: string(255), formula: "UPPER(Account__r.Owner.Username)"}
  WhoName__c: {type: string(255), formula: "Who__r.Name"}
  Lines__c: {type: "double(18,0)", rollup: {of: Line__c, relationship: Deal__c, function: COUNT}}
  Total__c: {type: "currency(18,2)",
    rollup: {of: Line__c, relationship: Deal__c, function: SUM, field: Amount__c, where: "Open__c = 1"}}
  Least__c: {type: "currency(18,2)", rollup: {of: Line__c, relationship: Deal__c, function: MIN, field: Amount__c}}
  Most__c: {type: "currency(18,2)", rollup: {of: Line__c, relationship: Deal__c, function: MAX, field: Twice__c}}
---
object: Line__c
label: Line
plural: Lines
fields:
  Deal__c: {type: reference master, to: Deal__c, children: Lines}
  Amount__c: currency(18,2)
  Key__c: string(20) unique
  Open__c: boolean
  Twice__c: {type: "currency(18,2)", formula: "Amount__c * 2"}
  DealTotal__c: {type: "currency(18,2)", formula: "Deal__r.Total__c"}
---
object: Account
fields:
  Batch__c: string(20) external
"""


class Life:
    """An org that does not listen, and a writer of its API user."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.org = emulator.org
        self.writer = Writer(self.org, self.org.api_user_id)

    def kind(self, name: str) -> SObject:
        return self.org.sobject(name)

    def insert(self, sobject: str, **values: object) -> str:
        return self.writer.insert(self.kind(sobject), values)

    def update(self, sobject: str, record_id: str, **values: object) -> None:
        self.writer.update(self.kind(sobject), record_id, values)

    def delete(self, sobject: str, record_id: str) -> None:
        self.writer.delete(self.kind(sobject), record_id)

    def row(self, sobject: str, record_id: str) -> Mapping[str, object]:
        found = self.org.store.get(self.kind(sobject), record_id)
        assert found is not None
        return found

    def query(self, soql: str) -> list[dict[str, object]]:
        records = prepare(self.org.view, soql, all_rows=False).records("66.0", 0, 100)
        return [{key: value for key, value in record.items() if key != "attributes"} for record in records]


@contextmanager
def life(tmp_path: Path, schema: str = SCHEMA, **settings: object) -> Iterator[Life]:
    path = tmp_path / "life.yaml"
    path.write_text(schema, encoding="utf-8")
    emulator = Emulator(EmulatorConfig(schemas=(path,), **settings))  # type: ignore[arg-type]
    try:
        yield Life(emulator)
    finally:
        emulator.stop()


@contextmanager
def refused(code: str, *, message: str | None = None, fields: tuple[str, ...] | None = None) -> Iterator[None]:
    """What the block raises is this refusal."""
    with pytest.raises(ApiError) as caught:
        yield
    assert (caught.value.status, caught.value.code) == (400, code)
    assert message in (None, caught.value.message)
    assert fields in (None, caught.value.fields)
