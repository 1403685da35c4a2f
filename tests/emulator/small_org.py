"""A small org for the tests of the store and of SOQL: a few objects with every kind of field, and nothing read from files."""

from __future__ import annotations

from collections.abc import Iterator

from halocline.emulator.objects import Catalog, Field, PicklistValue, SObject

USER = "0055g000000000AAAA"


def text(name: str, **more: object) -> Field:
    """A text field of 255 characters."""
    return Field(name, "string", name, length=255, **more)  # type: ignore[arg-type]


def reference(name: str, to: tuple[str, ...], relationship: str, **more: object) -> Field:
    """A lookup."""
    return Field(name, "reference", name, length=18, reference_to=to, relationship_name=relationship, **more)  # type: ignore[arg-type]


def sobject(name: str, prefix: str, *fields: Field) -> SObject:
    """An object with Id, audit fields and these fields."""
    every = [*_first(), *fields, *_audit()]
    return SObject(name, name, name + "s", prefix, {f.name.lower(): f for f in every})


def small_catalog() -> Catalog:
    """User, Account, Contact, Lead, Task (polymorphic Who), Thing__c (every type)."""
    return Catalog([_user(), _account(), _contact(), _lead(), _task(), _thing()])


def _first() -> Iterator[Field]:
    yield Field("Id", "id", "Id", length=18, nillable=False)
    yield Field("IsDeleted", "boolean", "Deleted", nillable=False)


def _audit() -> Iterator[Field]:
    yield Field("CreatedDate", "datetime", "Created Date")
    yield reference("CreatedById", ("User",), "CreatedBy")
    yield Field("LastModifiedDate", "datetime", "Last Modified Date")
    yield reference("LastModifiedById", ("User",), "LastModifiedBy")
    yield Field("SystemModstamp", "datetime", "System Modstamp")


def _person() -> Iterator[Field]:
    yield text("LastName", compound="Name", nillable=False)
    yield text("FirstName", compound="Name")
    yield text("Name", name_field=True)
    yield Field("Email", "email", "Email", length=80)


def _user() -> SObject:
    audit = [f for f in _audit() if f.name not in ("IsDeleted",)]
    fields = [next(_first()), *_person(), text("Username", overrides={"idLookup": True}), *audit]
    return SObject("User", "User", "Users", "005", {f.name.lower(): f for f in fields})


def _account() -> SObject:
    return sobject(
        "Account",
        "001",
        text("Name", name_field=True, nillable=False),
        Field(
            "Industry", "picklist", "Industry", length=255, picklist=tuple(PicklistValue(v, v + "!") for v in ("Zinc", "Apparel"))
        ),
        Field("AnnualRevenue", "currency", "Annual Revenue", precision=18),
        Field("NumberOfEmployees", "int", "Employees", digits=8),
        Field("Description", "textarea", "Description", length=32_000),
        reference("ParentId", ("Account",), "Parent", child_relationship_name="ChildAccounts"),
        reference("OwnerId", ("User",), "Owner"),
        Field("BillingAddress", "address", "Billing Address"),
        text("BillingCity", compound="BillingAddress"),
        text("BillingPostalCode", compound="BillingAddress"),
        text("Code__c", custom=True, external_id=True, unique=True),
        text("Number__c", custom=True, auto_number="A-{0000}"),
        Field(
            "RevenueEach__c",
            "double",
            "Each",
            custom=True,
            calculated=True,
            formula="AnnualRevenue / NULLIF(NumberOfEmployees, 0)",
        ),
    )


def _contact() -> SObject:
    link = reference("AccountId", ("Account",), "Account", child_relationship_name="Contacts", cascade_delete=True)
    return sobject("Contact", "003", *_person(), link, reference("OwnerId", ("User",), "Owner"))


def _lead() -> SObject:
    return sobject("Lead", "00Q", *_person(), reference("OwnerId", ("Group", "User"), "Owner"))


def _task() -> SObject:
    who = reference("WhoId", ("Contact", "Lead"), "Who")
    return sobject("Task", "00T", text("Subject"), who, Field("ActivityDate", "date", "Due Date"))


def _thing() -> SObject:
    return sobject(
        "Thing__c",
        "a00",
        text("Name", name_field=True),
        text("Text__c", custom=True),
        text("Exact__c", custom=True, case_sensitive=True),
        Field("Flag__c", "boolean", "Flag", custom=True),
        Field("Int__c", "int", "Int", custom=True),
        Field("Double__c", "double", "Double", custom=True, precision=18, scale=4),
        Field("Date__c", "date", "Date", custom=True),
        Field("Moment__c", "datetime", "Moment", custom=True),
        Field("Time__c", "time", "Time", custom=True),
        Field("Picks__c", "multipicklist", "Picks", custom=True, length=4_099),
        Field("Long__c", "textarea", "Long", custom=True, length=131_072),
        Field("Place__c", "location", "Place", custom=True),
        Field("Place__Latitude__s", "double", "Latitude", custom=True, compound="Place__c"),
        Field("Place__Longitude__s", "double", "Longitude", custom=True, compound="Place__c"),
        Field("Blob__c", "base64", "Blob", custom=True),
        reference("Account__c", ("Account",), "Account__r", custom=True, child_relationship_name="Things__r"),
    )
