"""A mapping held against a describe: what is wrong is found before a row is sent, with what to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from tests.connectors.salesforce.orgs import emulated

from halocline import ConditionalFieldMapper, FieldMapper, FixConfig
from halocline.mapping import UNTOUCHED, Finding
from halocline.schema import Column, Kind, Schema


def field(name: str, told: str = "string", **flags: Any) -> dict[str, Any]:
    """A field as describe tells it: it may be written and be null, unless `flags` say otherwise."""
    usual = {"createable": True, "updateable": True, "nillable": True, "defaultedOnCreate": False, "externalId": False}
    return {"name": name, "type": told, "length": 80 if told == "string" else 0, "idLookup": False, **usual, **flags}


READ_ONLY = {"createable": False, "updateable": False}
ACCOUNT = {
    "name": "Account",
    "createable": True,
    "updateable": True,
    "deletable": True,
    "fields": [
        field("Id", "id", **READ_ONLY, nillable=False, defaultedOnCreate=True, idLookup=True),
        field("Name", nillable=False),
        field(
            "OwnerId",
            "reference",
            nillable=False,
            defaultedOnCreate=True,
            relationshipName="Owner",
            referenceTo=["Group", "User"],
        ),
        field("ParentId", "reference", relationshipName="Parent", referenceTo=["Account"]),
        field("Master__c", "reference", relationshipName="Master__r", referenceTo=["Account"], updateable=False),
        field("Ext__c", externalId=True, idLookup=True),
        field("BillingAddress", "address", **READ_ONLY),
        field("BillingCity", compoundFieldName="BillingAddress"),
        field("AnnualRevenue", "currency"),
        field("Employees__c", "int"),
        field("Founded__c", "date"),
        field("Seen__c", "datetime"),
        field("Active__c", "boolean", nillable=False),
        field("Score__c", "double", **READ_ONLY, calculated=True),
        field("Number__c", **READ_ONLY, autoNumber=True),
        field("Set__c", updateable=False),
        field(
            "Rating",
            "picklist",
            restrictedPicklist=True,
            picklistValues=[{"value": "Hot", "active": True}, {"value": "Old", "active": False}],
        ),
    ],
}
USER = {"name": "User", "fields": [field("Id", "id"), field("Username", idLookup=True), field("Alias")]}
ORG: Mapping[str, Mapping[str, Any]] = {"Account": ACCOUNT, "User": USER}


def found(mapping: object, mode: str = "insert", **settings: Any) -> list[Finding]:
    """The findings of a mapping from `a`, `b`, ... that gives a new record its Name as well."""
    forms = mapping if isinstance(mapping, list) else [mapping]
    mapper = FieldMapper({"n": "Name", **{f"s{at}": form for at, form in enumerate(forms)}})
    return list(mapper.check(ACCOUNT, mode=mode, describe_of=ORG.__getitem__, **settings))


def test_a_good_mapping_has_no_findings() -> None:
    """In each mode, with names in any case."""
    assert found(["billingcity", ("Rating", None, "hot"), "Parent.EXT__c", "User:Owner.Username"]) == []
    assert found(["Id", "BillingCity"], "update") == []
    assert found(["Ext__c", "BillingCity"], "upsert", key="ext__C") == []
    assert found(["Id"], "upsert", key="Id") == []
    assert FieldMapper({"i": "Id"}).check(ACCOUNT, mode="DELETE") == ()


def test_an_unknown_field_is_found_with_near_names() -> None:
    """A misspelt name never waits for the first request."""
    (finding,) = found("AnualRevenue")
    assert (finding.target, finding.suggestions[0], finding.fatal) == ("AnualRevenue", "AnnualRevenue", True)
    assert "Did you mean AnnualRevenue" in str(finding)


@pytest.mark.parametrize(
    ("target", "mode", "told", "fatal"),
    [
        ("Score__c", "insert", "cannot be set when a record is created. It is a formula", True),
        ("Number__c", "insert", "Salesforce numbers it itself", True),
        ("BillingAddress", "insert", "Write its parts instead: BillingCity", True),
        ("Id", "insert", "cannot be set when a record is created", True),
        ("Set__c", "update", "cannot be changed in a record that is there", True),
        ("Master__r.Ext__c", "update", "Master__c cannot be changed", True),
        ("Set__c", "upsert", "cannot be changed in a record that is there", False),
        ("Score__c", "upsert", "set when a record is created or changed in a record", True),
    ],
)
def test_a_field_that_the_mode_cannot_write_is_found(target: str, mode: str, told: str, fatal: bool) -> None:
    """Insert asks for createable, update for updateable; an upsert may get along with one of the two."""
    keys = {"insert": [], "update": ["Id"], "upsert": ["Ext__c"]}[mode]
    (finding,) = found([*keys, target], mode, key="Ext__c")
    assert told in str(finding)
    assert finding.fatal is fatal


def test_a_required_field_that_nothing_gives_is_found() -> None:
    """Fatal for an insert; an upsert that only changes records does without; a boolean or a defaulted field is not asked for."""
    mapper = FieldMapper({"e": "Ext__c"})
    (finding,) = mapper.check(ACCOUNT, mode="insert")
    assert (finding.target, finding.fatal) == ("Name", True)
    (finding,) = mapper.check(ACCOUNT, mode="upsert", key="Ext__c")
    assert (finding.target, finding.fatal) == ("Name", False)
    assert FieldMapper({"i": "Id", "c": "BillingCity"}).check(ACCOUNT, mode="update") == ()


def test_a_required_lookup_is_given_by_its_key_or_by_a_condition() -> None:
    """`Account.Ext__c` gives AccountId, and conditions count as targets."""
    child = {
        "name": "Child__c",
        "fields": [field("A__c", "reference", nillable=False, relationshipName="A__r", referenceTo=["Account"])],
    }
    assert FieldMapper({"a": "A__r.Ext__c"}).check(child, mode="insert", describe_of=ORG.__getitem__) == ()
    assert ConditionalFieldMapper({}, {"A__c": lambda row: "001"}).check(child, mode="insert") == ()


@pytest.mark.parametrize(
    ("mode", "key", "targets", "told"),
    [
        ("update", None, ["BillingCity"], "Id: nothing is mapped to it"),
        ("delete", None, ["Ext__c"], "Id: nothing is mapped to it"),
        ("upsert", "Ext__c", ["BillingCity"], "Ext__c: nothing is mapped to it"),
        ("upsert", None, ["Ext__c"], "key: an upsert needs the field"),
        (
            "upsert",
            "BillingCity",
            ["BillingCity"],
            "it is no external id, so no record can be found by it. Keys of Account: Id, Ext__c.",
        ),
        ("upsert", "Ext__c", ["Ext__c", "Id"], "an upsert by another key takes no Id"),
    ],
)
def test_the_key_of_a_mode_is_looked_at(mode: str, key: str | None, targets: list[str], told: str) -> None:
    """Each mode says which record is meant in its own way."""
    fatal = [str(finding) for finding in found(targets, mode, key=key) if finding.fatal]
    assert len(fatal) == 1
    assert told in fatal[0]


def test_a_delete_says_what_it_does_not_read() -> None:
    """Only the Id is sent."""
    findings = FieldMapper({"i": "Id", "n": "Name"}).check(ACCOUNT, mode="delete")
    assert [(finding.target, finding.fatal) for finding in findings] == [("Name", False)]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("Parent.Name", "Account.Name is no external id, so no record can be found by it. Keys of Account: Id, Ext__c."),
        ("Parent.Ex__c", "Account has no field 'Ex__c'. Did you mean Ext__c"),
        ("Parnt.Ext__c", "Account has no relationship 'Parnt'. Did you mean Parent?"),
        ("ParentId.Ext__c", "Account has no relationship 'ParentId'"),
        ("Parent.Parent.Ext__c", "a lookup reaches one level up"),
        ("Owner.Username", "OwnerId may point at Group, User. Say which one, as in Group:Owner.Username."),
        ("Lead:Owner.Username", "OwnerId does not point at Lead. It points at Group, User."),
        ("User:Owner.Alias", "User.Alias is no external id"),
    ],
)
def test_a_lookup_that_finds_nothing_is_found(target: str, told: str) -> None:
    """The parent's field has to be an external id, on the parent itself, of a type that is said where there are several."""
    (finding,) = found(target)
    assert finding.fatal
    assert told in str(finding)


def test_an_unchecked_key_is_said() -> None:
    """Without other objects' describes nobody can say; that is no fault, and no silence."""
    (finding,) = FieldMapper({"n": "Name", "p": "Parent.Whatever"}).check(ACCOUNT, mode="insert")
    assert not finding.fatal
    assert "was not checked" in finding.problem


@pytest.mark.parametrize("targets", [["ParentId", "Parent.Ext__c"], ["Parent.Ext__c", "Parent.Id"]])
def test_a_lookup_that_is_set_twice_is_found(targets: list[str]) -> None:
    """By its id and by a key, or by two keys."""
    (finding,) = found(targets)
    assert "sets the same field, ParentId" in finding.problem


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (("AnnualRevenue", None, "much"), "is no number"),
        (("AnnualRevenue", None, "NaN"), "is no number"),
        (("Employees__c", None, 1.5), "is no whole number"),
        (("Founded__c", None, "1.2.2026"), "is no date"),
        (("Founded__c", None, 5), "is no date"),
        (("Active__c", None, "maybe"), "is neither true nor false"),
        (("Active__c", None, None), "would clear a field that must have a value"),
        (("Rating", None, "Old"), "is not among the choices of Rating (Hot)"),
        (("BillingCity", None, "x" * 81), "has 81 characters, and BillingCity holds 80"),
        (("Active__c", float), "values of kind double do not fit a field of type boolean"),
        (("Founded__c", "bool"), "values of kind boolean do not fit a field of type date"),
        (("ParentId", int), "values of kind integer do not fit a field of type reference"),
    ],
)
def test_a_value_of_the_wrong_type_is_found(form: object, told: str) -> None:
    """Defaults by their value, functions by what they are known to give."""
    (finding,) = found(form)
    assert finding.fatal
    assert told in finding.problem


@pytest.mark.parametrize(
    "form",
    [
        ("AnnualRevenue", None, "1.5"),
        ("Employees__c", None, 3),
        ("Founded__c", None, date(2026, 1, 2)),
        ("Founded__c", None, "2026-01-02"),
        ("Active__c", None, False),
        ("Rating", None, None),
        ("AnnualRevenue", None, UNTOUCHED),
        ("Rating", str.upper, "hot"),
        ("AnnualRevenue", float),
        ("AnnualRevenue", lambda x: x),
    ],
)
def test_a_value_that_can_fit_is_not_found(form: object) -> None:
    """No false alarms."""
    assert found(form) == []


SOURCE = Schema((Column("n", Kind.STRING), Column("s0", Kind.BOOLEAN), Column("s1", Kind.DATETIME), Column("address", Kind.JSON)))


def test_columns_of_the_source_are_held_against_their_fields() -> None:
    """A boolean for a number can never be right; a datetime for a date loses its time."""
    wrong, cut = found(["AnnualRevenue", "Founded__c"], source=SOURCE)
    assert (wrong.target, wrong.fatal) == ("AnnualRevenue", True)
    assert (cut.target, cut.fatal) == ("Founded__c", False)
    assert found([("AnnualRevenue", "float"), "Seen__c"], source=SOURCE) == []


def test_a_source_that_is_not_there_is_found_with_near_names() -> None:
    """Not fatal, for a field may come and go; a path below a column is there."""
    mapper = FieldMapper({"n": "Name", "adress": "BillingCity", "address.city": "Ext__c", "zz": ("Rating", None, "Hot")})
    near, default = mapper.check(ACCOUNT, mode="insert", source=SOURCE)
    assert (near.suggestions, near.fatal) == (("address",), False)
    assert "its default is sent in every row" in default.problem


def test_an_object_that_cannot_be_written_is_found() -> None:
    """And a mode that there is not."""
    (finding,) = FieldMapper({"n": "Name"}).check({**ACCOUNT, "createable": False}, mode="insert")
    assert "Account: records of it are not createable" in str(finding)
    by_key = FieldMapper({"n": "Name", "e": "Ext__c"})
    (finding,) = by_key.check({**ACCOUNT, "createable": False}, mode="upsert", key="Ext__c")
    assert (finding.fatal, "are not createable" in str(finding)) == (False, True), "it may only ever change records"
    (finding,) = by_key.check({**ACCOUNT, "createable": False, "updateable": False}, mode="upsert", key="Ext__c")
    assert (finding.fatal, "not createable and not updateable" in str(finding)) == (True, True)
    with pytest.raises(FixConfig, match="mode 'merge' is unknown"):
        FieldMapper({"n": "Name"}).check(ACCOUNT, mode="merge")


def test_validate_tells_all_that_is_fatal_at_once() -> None:
    """One error with everything to mend; what is not fatal is returned."""
    mapper = FieldMapper({"a": "Nam", "b": "Score__c"})
    with pytest.raises(
        FixConfig, match=r"Checking the mapping for Account: Nam: .*Did you mean Name.*Score__c.*Name: a new"
    ) as caught:
        mapper.validate(ACCOUNT, mode="insert")
    assert len(caught.value.facts["findings"]) == 3  # type: ignore[arg-type]  # a tuple of findings
    (kept,) = FieldMapper({"e": "Ext__c"}).validate(ACCOUNT, mode="upsert", key="Ext__c")
    assert not kept.fatal


# ---- a whole describe


@pytest.fixture(scope="module")
def org() -> Iterator[Any]:
    with emulated() as (_, client):
        yield client


def test_the_documents_mappings_against_an_org(org: Any) -> None:
    """`Account.Name` is no lookup, Contact has no field `External_Id__c` there; the standard fields raise no alarm."""
    mapper = FieldMapper(
        {
            "external_id": "External_Id__c",
            "first_name": "FirstName",
            "last_name": "LastName",
            "email": ("Email", lambda x: x.lower()),
            "company_name": "Account.Name",
        }
    )
    findings = mapper.check(org.describe("Contact"), mode="insert", describe_of=org.describe)
    assert [finding.target for finding in findings if finding.fatal] == ["External_Id__c", "Account.Name"]


def test_standard_fields_of_an_org_raise_no_alarm(org: Any) -> None:
    """An insert of an Account with the document's fields."""
    mapper = FieldMapper({"c": "Name", "p": "Phone", "i": "Industry", "r": ("AnnualRevenue", float), "o": "Parent.Id"})
    assert mapper.check(org.describe("Account"), mode="insert", describe_of=org.describe) == ()
