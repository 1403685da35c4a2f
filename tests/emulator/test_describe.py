"""Laws of describe: what follows from a field, and that it agrees with what real orgs answer."""

from pathlib import Path
from typing import Any

import pytest
from tests.emulator.recorded_describes import OBJECTS, check_explained, differences, global_differences, recording, version_of

from halocline.emulator.describe import TYPE_RULES, describe_field, global_describe, sobject_describe
from halocline.emulator.field_specs import TYPES
from halocline.emulator.objects import Catalog, SObject
from halocline.emulator.schema_files import load_catalog

INVOICE = Path(__file__).with_name("invoice.yaml")
CATALOG = load_catalog([INVOICE])
FIELD_KEYS = {
    *[
        "aggregatable",
        "aiPredictionField",
        "autoNumber",
        "byteLength",
        "calculated",
        "calculatedFormula",
        "cascadeDelete",
        "caseSensitive",
    ],
    *["compoundFieldName", "controllerName", "createable", "custom", "defaultValue", "defaultValueFormula", "defaultedOnCreate"],
    *[
        "dependentPicklist",
        "deprecatedAndHidden",
        "digits",
        "displayLocationInDecimal",
        "encrypted",
        "externalId",
        "extraTypeInfo",
        "filterable",
    ],
    *[
        "filteredLookupInfo",
        "formulaTreatNullNumberAsZero",
        "groupable",
        "highScaleNumber",
        "htmlFormatted",
        "idLookup",
        "inlineHelpText",
    ],
    *["label", "length", "mask", "maskType", "name", "nameField", "namePointing", "nillable", "permissionable", "picklistValues"],
    *["polymorphicForeignKey", "precision", "queryByDistance", "referenceTargetField", "referenceTo", "relationshipName"],
    *[
        "relationshipOrder",
        "restrictedDelete",
        "restrictedPicklist",
        "scale",
        "searchPrefilterable",
        "soapType",
        "sortable",
        "type",
        "unique",
    ],
    *["updateable", "writeRequiresMasterRead"],
}
# An excerpt written by hand: type, soapType, length, byteLength, precision, scale, digits; then which flags are true.
EXCERPT = {
    "Id": ("id", "tns:ID", 18, 18, 0, 0, 0, "aggregatable defaultedOnCreate filterable groupable idLookup sortable"),
    "IsDeleted": ("boolean", "xsd:boolean", 0, 0, 0, 0, 0, "defaultedOnCreate filterable groupable sortable"),
    "Name": (
        *("string", "xsd:string", 255, 765, 0, 0, 0),
        "aggregatable createable filterable groupable nameField sortable updateable",
    ),
    "Industry": (
        *("picklist", "xsd:string", 40, 120, 0, 0, 0),
        "aggregatable createable filterable groupable nillable permissionable sortable updateable",
    ),
    "AnnualRevenue": (
        *("currency", "xsd:double", 0, 0, 18, 0, 0),
        "aggregatable createable filterable nillable permissionable sortable updateable",
    ),
    "NumberOfEmployees": (
        *("int", "xsd:int", 0, 0, 0, 0, 8),
        "aggregatable createable filterable groupable nillable permissionable sortable updateable",
    ),
    "Description": ("textarea", "xsd:string", 32000, 96000, 0, 0, 0, "createable nillable permissionable updateable"),
    "BillingLatitude": (
        *("double", "xsd:double", 0, 0, 18, 15, 0),
        "aggregatable createable filterable nillable permissionable sortable updateable",
    ),
    "BillingAddress": ("address", "urn:address", 0, 0, 0, 0, 0, "filterable nillable permissionable queryByDistance"),
    "ParentId": (
        *("reference", "tns:ID", 18, 18, 0, 0, 0),
        "aggregatable createable filterable groupable nillable permissionable searchPrefilterable sortable updateable",
    ),
    "OwnerId": (
        *("reference", "tns:ID", 18, 18, 0, 0, 0),
        "aggregatable createable defaultedOnCreate filterable groupable sortable updateable",
    ),
    "CreatedDate": ("datetime", "xsd:dateTime", 0, 0, 0, 0, 0, "aggregatable defaultedOnCreate filterable sortable"),
    "LastActivityDate": ("date", "xsd:date", 0, 0, 0, 0, 0, "aggregatable filterable groupable nillable sortable"),
    "CleanStatus": (
        *("picklist", "xsd:string", 40, 120, 0, 0, 0),
        "aggregatable createable filterable groupable nillable permissionable restrictedPicklist sortable updateable",
    ),
}
SIZES = ("type", "soapType", "length", "byteLength", "precision", "scale", "digits")


def sobject_of(catalog: Catalog, name: str) -> SObject:
    found = catalog.get(name)
    assert found is not None
    return found


def sobject(name: str) -> SObject:
    return sobject_of(CATALOG, name)


def described(name: str, version: str = "66.0") -> dict[str, Any]:
    return sobject_describe(CATALOG, sobject(name), version=version)


def fields(name: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in described(name)["fields"]}


def test_every_type_of_a_schema_file_is_described() -> None:
    """What a schema file may say, describe has a rule for, and nothing else."""
    assert set(TYPE_RULES) == TYPES


@pytest.mark.parametrize("name", EXCERPT)
def test_account_fields_are_as_in_a_real_org(name: str) -> None:
    """Sizes and flags of an excerpt of Account agree with those that real orgs answer."""
    *sizes, flags = EXCERPT[name]
    found = fields("Account")[name]
    assert [found[key] for key in SIZES] == sizes
    assert {key for key, value in found.items() if value is True} == set(str(flags).split())


def test_references_say_where_they_point() -> None:
    """References have targets and relationship names; those with several targets are polymorphic."""
    owner = fields("Lead")["OwnerId"]
    assert (owner["referenceTo"], owner["relationshipName"]) == (["Group", "User"], "Owner")
    assert (owner["polymorphicForeignKey"], owner["namePointing"]) == (True, True)
    parent = fields("Account")["ParentId"]
    assert (parent["referenceTo"], parent["relationshipName"], parent["polymorphicForeignKey"]) == (["Account"], "Parent", False)


@pytest.mark.parametrize("name", [entry.name for entry in CATALOG])
def test_every_field_has_the_same_keys(name: str) -> None:
    """Each field of each object is described by the same 57 keys, in alphabetical order."""
    for entry in described(name)["fields"]:
        assert set(entry) == FIELD_KEYS, entry["name"]
        assert list(entry) == sorted(entry)


@pytest.mark.parametrize(("version", "keys", "listed"), [("48.0", 42, 26), ("59.0", 45, 28), ("v66.0", 45, 28)])
def test_the_number_of_keys_depends_on_the_version(version: str, keys: int, listed: int) -> None:
    """An object's describe has 42 keys in 48.0 and 45 now, its line in the global describe 26 and 28."""
    assert len(described("Account", version)) == keys
    lines: Any = global_describe(CATALOG, version=version)["sobjects"]
    assert {len(line) for line in lines} == {listed}


def test_urls_are_paths_of_the_version_asked_for() -> None:
    """Urls start at the version of the request, and an object's own describe adds those of pages."""
    urls = described("Case")["urls"]
    assert urls["sobject"] == "/services/data/v66.0/sobjects/Case"
    assert urls["rowTemplate"] == "/services/data/v66.0/sobjects/Case/{ID}"
    assert urls["caseRowArticleSuggestions"] == "/services/data/v66.0/sobjects/Case/{ID}/suggestedArticles"
    lines: Any = global_describe(CATALOG, version="66.0")["sobjects"]
    listed = next(line for line in lines if line["name"] == "Case")["urls"]
    assert set(urls) - set(listed) == {"uiDetailTemplate", "uiEditTemplate", "uiNewRecord"}


def test_child_relationships_are_the_references_of_the_catalog() -> None:
    """Each reference to the object is listed once, by child and field, with what becomes of the child."""
    children = {(c["childSObject"], c["field"]): c for c in described("Account")["childRelationships"]}
    assert list(children) == sorted(children)
    assert children["Contact", "AccountId"]["relationshipName"] == "Contacts"
    assert children["Contact", "AccountId"]["cascadeDelete"] is True
    assert children["Case", "AccountId"]["restrictedDelete"] is True
    assert children["Invoice__c", "Account__c"]["relationshipName"] == "Invoices__r"
    assert ("Account", "MasterRecordId") not in children


def test_the_scoping_rule_is_a_later_scope() -> None:
    """The scope of scoping rules is missing in old versions and there in new ones."""
    assert "scopingRule" not in {scope["name"] for scope in described("Contact", "48.0")["supportedScopes"]}
    assert "scopingRule" in {scope["name"] for scope in described("Contact", "66.0")["supportedScopes"]}


def test_a_custom_object_is_described_as_custom() -> None:
    """Custom objects and fields say so, external ids are keys, formulas are shown, a master takes its details along."""
    invoice, found = described("Invoice__c"), fields("Invoice__c")
    assert (invoice["custom"], invoice["keyPrefix"], invoice["labelPlural"]) == (True, "a00", "Invoices")
    assert found["Name"]["autoNumber"] is True
    key = found["External_Key__c"]
    assert (key["custom"], key["externalId"], key["idLookup"], key["unique"], key["caseSensitive"]) == (True,) * 5
    total = found["Total__c"]
    assert (total["calculated"], total["createable"]) == (True, False)
    assert total["calculatedFormula"].startswith("Amount__c")
    master = fields("Invoice_Line__c")["Invoice__c"]
    assert (master["cascadeDelete"], master["relationshipOrder"], master["writeRequiresMasterRead"]) == (True, 0, True)


def test_what_a_schema_file_overrides_wins() -> None:
    """A describe key given in the schema file replaces what the type implies."""
    fiscal = sobject("Opportunity").field("Fiscal")
    assert fiscal is not None
    assert describe_field(fiscal)["byteLength"] == 6


@pytest.fixture(scope="module")
def packaged() -> list[str]:
    """Where the packaged schemas are described otherwise than the recorded orgs."""
    catalog = load_catalog()
    objects = {entry.name for entry in catalog}
    found: list[str] = []
    for name in OBJECTS:
        recorded = recording(name)
        ours = sobject_describe(catalog, sobject_of(catalog, name), version=version_of(recorded))
        assert list(ours) == list(recorded), "another order of keys"
        found += differences(recorded, ours, objects=objects)
    return found


def test_every_key_of_every_field_agrees_with_the_recorded_orgs(packaged: list[str]) -> None:
    """Keys, types, flags, picklists, relationships, urls: what differs from the recordings is listed with its reason."""
    check_explained(packaged, "packaged")


def test_the_global_describe_agrees_with_the_recorded_one() -> None:
    """Each object that both orgs have is listed with the same keys and values, what differs aside, which is listed."""
    recorded = recording("Global")
    ours = global_describe(load_catalog(), version=version_of(recorded["sobjects"][0]))
    assert list(ours) == list(recorded)
    check_explained(list(global_differences(recorded, ours)), "global")
    orders = {tuple(line) for line in [*ours["sobjects"], *recorded["sobjects"]]}
    assert len(orders) == 1, "another order of keys"


def test_the_master_record_type_agrees_with_the_recorded_org() -> None:
    """The Master record type is described as in the recording, its default aside: there another type is the default."""
    recorded = recording("Account")
    theirs = next(entry for entry in recorded["recordTypeInfos"] if entry["master"])
    [ours] = described("Account", version_of(recorded))["recordTypeInfos"]
    assert {**ours, "defaultRecordTypeMapping": False} == theirs


def test_a_custom_object_has_the_keys_of_a_recorded_one() -> None:
    """A custom object and its fields are described by the same keys as the recorded custom object."""
    recorded = recording("Custom__c")
    ours = described("Invoice__c", "59.0")
    assert list(ours) == list(recorded)
    assert {frozenset(entry) for entry in recorded["fields"]} == {frozenset(FIELD_KEYS)}
    for name in ("Id", "Name"):
        theirs = next(entry for entry in recorded["fields"] if entry["name"] == name)
        # A Name of text, as the recorded one; the invoice's is an auto-number.
        mine = fields("Invoice_Line__c")[name]
        assert {k: v for k, v in mine.items() if k != "label"} == {k: v for k, v in theirs.items() if k != "label"}
