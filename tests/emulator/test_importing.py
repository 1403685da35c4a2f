"""Laws of imported schemas: an org that was described, loaded and described again is the same org, and can be filled."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.emulator.recorded_describes import OBJECTS, check_explained, differences, recording, version_of

from halocline.emulator.describe import global_describe, sobject_describe
from halocline.emulator.importing import Imported, imported, text_of
from halocline.emulator.objects import Catalog, SObject
from halocline.emulator.query import prepare
from halocline.emulator.record_types import ensure_record_types
from halocline.emulator.schema_files import load_catalog, objects_of
from halocline.emulator.seed import seed
from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.emulator.starting import starting_counts
from halocline.emulator.store import Store

INVOICE = Path(__file__).with_name("invoice.yaml")
VERSION = "67.0"
RECORDED = [*OBJECTS, "Custom__c"]
TICKET = """
object: Ticket
label: Ticket
plural: Tickets
prefix: zT1
flags: -searchable
urls: {rowTemplate: null, suggestions: "{ID}/suggested"}
record_types:
  - {name: Inner, developer_name: Inner_One, id: 012000000000001AAA, default: true}
  - {name: Old, developer_name: Old, id: 012000000000002AAA, active: false, available: false}
fields:
  Id: id
  IsDeleted: boolean readonly
  Name: string(80) required name idLookup
  RecordTypeId: {type: reference, to: RecordType}
  OwnerId: {type: reference owner, to: [Group, User]}
  Audit: audit
  Number: {type: string(30), auto_number: "{0000}"}
  Short: string(3) required
  Code: string(6) required unique external
  Rank: double(6,0) external unique
  Kind: {type: picklist(40) required restricted,
    values: [{value: A, label: Alpha, active: false}, {value: B, valid_for: gAAA}, C]}
  Subkind: {type: picklist(40), values: [{value: b1, label: One, valid_for: QAAA, default: true}, "2"], default: b1}
  Marks: {type: multipicklist restricted, values: [Red, Green]}
  AccountId: {type: reference required, to: Account, children: Tickets, on_delete: cascade}
  Elsewhere: {type: reference required, to: NowhereToBeFound}
  Nothing: {type: reference, to: []}
  Twin: {type: reference, to: Ticket, children: Twins, on_delete: restrict}
  Price: currency(16,2)
  Count: int(8)
  Twice: {type: "currency(16,2)", formula: Price * 2, describe: {calculatedFormula: "IF(Price > 0, TODAY() - 1, 2)"}}
  Half: {type: "currency(16,2)", formula: Price / 2}
  Total: {type: "double(18,0) readonly", describe: {calculated: true}}
  Picture: base64 required
  Text: {type: string(255), default: said nothing, describe: {inlineHelpText: Say it, defaultValueFormula: '"said nothing"'}}
"""

Described = dict[str, Any]


def describes_of(catalog: Catalog) -> list[Described]:
    return [sobject_describe(catalog, sobject, version=VERSION) for sobject in catalog]


def written(found: Imported, folder: Path) -> Path:
    """A folder with a schema file for each object."""
    folder.mkdir(exist_ok=True)
    for name, document in found.documents.items():
        (folder / f"{name}.yaml").write_text(text_of(document), encoding="utf-8")
    return folder


def loaded(describes: Sequence[Mapping[str, Any]], folder: Path) -> Catalog:
    return load_catalog([written(imported(describes), folder)])


def known(catalog: Catalog, name: str) -> SObject:
    found = catalog.get(name)
    assert found is not None
    return found


def fields(described: Described) -> dict[str, Described]:
    return {one["name"]: one for one in described["fields"]}


@pytest.fixture
def ticket(tmp_path: Path) -> Described:
    """An object about which nothing is usual: standard, without a recipe or a key prefix of its own, with awkward fields."""
    path = tmp_path / "ticket.yaml"
    path.write_text(TICKET, encoding="utf-8")
    catalog = load_catalog([path])
    described = copy.deepcopy(sobject_describe(catalog, known(catalog, "Ticket"), version=VERSION))
    gone = {"uiNewRecord", "uiEditTemplate", "uiDetailTemplate"}
    urls: Any = described["urls"]
    return {
        **described,
        "keyPrefix": None,
        "associateEntityType": "Feed",
        "urls": {key: url for key, url in urls.items() if key not in gone},
    }


def test_an_org_of_ours_comes_back_as_it_was(tmp_path: Path) -> None:
    """Described, imported, loaded and described again, every object answers the same."""
    before = load_catalog([INVOICE])
    after = loaded(describes_of(before), tmp_path / "schemas")
    assert [one.name for one in after] == [one.name for one in before]
    for sobject in before:
        again = sobject_describe(after, known(after, sobject.name), version=VERSION)
        assert again == sobject_describe(before, sobject, version=VERSION), sobject.name
    assert global_describe(after, version=VERSION) == global_describe(before, version=VERSION)


def test_an_unusual_object_comes_back_as_it_was(ticket: Described, tmp_path: Path) -> None:
    """A missing key prefix, inactive and dependent values, unavailable record types, references to nothing, stored formulas."""
    catalog = loaded([ticket], tmp_path / "schemas")
    again = sobject_describe(catalog, known(catalog, "Ticket"), version=VERSION)
    assert again == ticket
    assert fields(again)["Kind"]["picklistValues"][1]["validFor"] == "gAAA"


@pytest.mark.parametrize("number", [0, 1, *(pytest.param(number, marks=pytest.mark.long) for number in range(2, 5))])
def test_whatever_a_field_says_comes_back(tmp_path: Path, number: int) -> None:
    """Flags, sizes and texts of fields that are changed at random: none is lost on the way."""
    dice = random.Random(number)
    describes = copy.deepcopy(describes_of(load_catalog([INVOICE])))
    for field in (one for described in describes for one in described["fields"] if one["name"] != "Id"):
        field.update({key: _other(dice, value) for key, value in field.items() if dice.random() < 0.05})
    catalog = loaded(describes, tmp_path / "schemas")
    for described in describes:
        again = sobject_describe(catalog, known(catalog, described["name"]), version=VERSION)
        assert fields(again) == fields(described)


def _other(dice: random.Random, value: object) -> object:
    """Another value of that kind; texts and lists are kept."""
    if isinstance(value, bool):
        return not value
    return dice.choice([0, 3, 40, 300]) if isinstance(value, int) else value


def test_a_recorded_org_comes_back_as_it_was(tmp_path: Path) -> None:
    """What differs after the recorded describes went through schema files is listed with its reason."""
    describes = [recording(name) for name in RECORDED]
    found = imported(describes)
    assert (found.replaced, found.notes) == (tuple(OBJECTS), ())
    catalog = load_catalog([written(found, tmp_path / "schemas")])
    objects = {one.name for one in catalog}
    places: list[str] = []
    for recorded in describes:
        ours = sobject_describe(catalog, known(catalog, recorded["name"]), version=version_of(recorded))
        assert list(ours) == list(recorded)
        places += differences(recorded, ours, objects=objects)
    check_explained(places, "imported")


def test_what_is_imported_is_what_is_kept(ticket: Described, tmp_path: Path) -> None:
    """The loaded fields have the attributes that records are checked and stored by, and not just the describe of them."""
    ticket["fields"] = [{**one, "nillable": False} if one["name"] == "Price" else one for one in ticket["fields"]]
    sobject = known(loaded([ticket], tmp_path / "schemas"), "Ticket")
    price, code, twin, kind = (sobject.fields[name] for name in ("price", "code", "twin", "kind"))
    assert (price.nillable, price.precision, price.scale) == (False, 16, 2)
    assert (code.unique, code.external_id, code.length) == (True, True, 6)
    assert (twin.reference_to, twin.child_relationship_name, twin.restricted_delete) == (("Ticket",), "Twins", True)
    values = [(one.value, one.active, one.valid_for) for one in kind.picklist]
    assert values == [("A", False, None), ("B", True, "gAAA"), ("C", True, None)]
    types = [(one.id, one.available) for one in sobject.record_types]
    assert types == [("012000000000001AAA", True), ("012000000000002AAA", False)]


def test_a_formula_is_computed_if_it_can_be_read_and_stored_if_not(ticket: Described, tmp_path: Path) -> None:
    """Arithmetic becomes SQL; anything else keeps a stand-in value that clients cannot write."""
    sobject = known(loaded([ticket], tmp_path / "schemas"), "Ticket")
    twice, half, total = (sobject.fields[name] for name in ("twice", "half", "total"))
    assert (half.formula, half.calculated, half.createable) == ("Price / 2.0", True, False)
    assert [(one.formula, one.calculated, one.createable) for one in (twice, total)] == [(None, True, False)] * 2


def test_parents_that_were_not_imported_keep_their_children(tmp_path: Path) -> None:
    """A packaged parent lists the children that an imported object had in its packaged form."""
    contact = next(one for one in describes_of(load_catalog()) if one["name"] == "Contact")
    catalog = loaded([contact], tmp_path / "schemas")
    for parent in ("Account", "Contact"):
        children = sobject_describe(catalog, known(catalog, parent), version=VERSION)["childRelationships"]
        usual = sobject_describe(load_catalog(), known(load_catalog(), parent), version=VERSION)["childRelationships"]
        assert children == usual


def test_the_packaged_objects_that_make_way_are_named(ticket: Described) -> None:
    """An imported object replaces the packaged one whole."""
    account = {**next(one for one in describes_of(load_catalog()) if one["name"] == "Account")}
    account["fields"] = [one for one in account["fields"] if one["name"] in ("Id", "Name")]
    found = imported([ticket, account])
    assert found.replaced == ("Account",)
    assert list(yaml.safe_load(text_of(found.documents["Account"]))["fields"]) == ["Id", "Name"]


def test_objects_without_a_prefix_get_one_that_nobody_has(ticket: Described) -> None:
    """Records need ids; prefixes that orgs deal out are left for them."""
    bare = {**ticket, "fields": ticket["fields"][:1]}
    others = [{**bare, "name": f"Other{number}"} for number in range(100)]
    found = imported([*others, {**bare, "keyPrefix": "zzz"}])
    prefixes = [str(one["prefix"]) for one in found.documents.values()]
    assert len(set(prefixes)) == 101
    assert not any(prefix.startswith(("0", "a")) for prefix in prefixes)


def test_what_cannot_be_taken_over_is_said(ticket: Described) -> None:
    """Urls that lead elsewhere, record types without an id, parents that disagree on a reference."""
    ticket["urls"]["odd"] = "/services/apexrest/odd"
    ticket["recordTypeInfos"][0]["recordTypeId"] = "none"
    children = {"childSObject": "Ticket", "field": "OwnerId", "cascadeDelete": False, "restrictedDelete": False}
    other = {**ticket, "name": "Other", "recordTypeInfos": [], "childRelationships": [{**children, "relationshipName": "A"}]}
    ticket["childRelationships"] = [{**children, "relationshipName": "B"}]
    notes = "\n".join(imported([ticket, other]).notes)
    assert "Ticket: the url odd" in notes
    assert "record type Inner" in notes
    assert "Ticket.OwnerId: its parents Ticket, Other" in notes


@pytest.mark.parametrize(
    "answer", [{}, {"name": "A"}, {"name": "A", "fields": None}, {"name": "../A", "fields": []}, [], "Account"]
)
def test_what_is_no_describe_is_refused(answer: Any) -> None:
    """A global describe or an error body describes no object."""
    with pytest.raises(ValueError, match="no describe"):
        imported([answer])


def test_an_imported_org_can_be_filled(ticket: Described, tmp_path: Path) -> None:
    """Every record has what its object requires: allowed values, unique keys, parents, numbers, a record type that is in use."""
    folder = written(imported([ticket], records=30), tmp_path / "schemas")
    catalog = load_catalog([folder])
    store = Store(catalog)
    ensure_record_types(store)
    counts = starting_counts(store, objects_of([folder]))
    assert counts == {"Ticket": 30, "Account": 30}
    seed(store, counts)
    tickets = known(store.catalog, "Ticket")
    rows: list[Any] = [store.get(tickets, str(row[0])) for row in store.read("SELECT Id FROM Ticket ORDER BY Id")]
    assert len({row["Code"] for row in rows}) == len({row["Rank"] for row in rows}) == len({row["Number"] for row in rows}) == 30
    assert rows[0]["Number"] == "00000001"
    assert {row["Kind"] for row in rows} <= {"B", "C"}
    assert {row["RecordTypeId"] for row in rows} == {"012000000000001AAA"}
    assert all(len(str(row["Short"])) <= 3 for row in rows)
    assert all(store.presence(known(store.catalog, "Account"), str(row["AccountId"])) for row in rows)
    assert any(row["Twin"] for row in rows)
    assert any(row["Twice"] is not None for row in rows)
    assert all(row["Half"] == row["Price"] / 2 for row in rows if row["Price"] is not None)
    assert {row["Elsewhere"] for row in rows} == {None}
    found = prepare(store, "SELECT Name, Account.Name, RecordType.Name FROM Ticket LIMIT 1", all_rows=False)
    [record] = found.records(VERSION, 0, 1)
    assert (record["Name"], record["RecordType"]["Name"]) == ("Ticket 000001", "Inner")
    assert record["Account"]["Name"]
    assert starting_counts(store, objects_of([folder])) == {}
    store.close()


def test_recipes_follow_a_changed_schema(tmp_path: Path) -> None:
    """Packaged objects with other picklists and shorter fields are filled with what these hold."""
    describes = [copy.deepcopy(one) for one in describes_of(load_catalog()) if one["name"] in ("Account", "Lead")]
    for described in describes:
        described["fields"] = [one for one in described["fields"] if one["name"] not in ("Ownership", "Rating", "Website")]
    changed = {**fields(describes[0]), **fields(describes[1])}
    new_values = [{**value, "value": f"New {value['value']}"} for value in changed["Status"]["picklistValues"]]
    changed["Status"] |= {"picklistValues": new_values, "defaultValue": None}
    fields(describes[0])["Name"] |= {"length": 5, "byteLength": 15}
    store = Store(loaded(describes, tmp_path / "schemas"))
    seed(store, {"Account": 50, "Lead": 50})
    assert store.read("SELECT MAX(LENGTH(Name)) FROM Account") == [(5,)]
    assert all(str(row[0]).startswith("New ") for row in store.read("SELECT DISTINCT Status FROM Lead"))
    store.close()


def test_an_imported_org_runs(tmp_path: Path) -> None:
    """An emulator starts on the shape of another one, its users, organization and record types included."""
    describes = describes_of(load_catalog([INVOICE]))
    for described in describes:
        described["fields"] = [one for one in described["fields"] if one["name"] not in ("Title", "UiSkin", "CommunityNickname")]
    with Emulator(EmulatorConfig(schemas=(written(imported(describes), tmp_path / "schemas"),))) as emulator:
        assert emulator.org.username(emulator.org.api_user_id) == emulator.config.users[0].username
        assert emulator.org.catalog.get("Invoice__c") is not None
