"""The Tooling API's view of the org: its objects and fields as rows that can be queried.

They are kept in a small store of their own, made of the catalog when somebody first asks, so that the whole of SOQL works on
them. There is no Apex here: its objects exist and are empty.
Source: Tooling API Developer Guide, "EntityDefinition", "FieldDefinition", "CustomObject", "CustomField", "ApexClass"; which of
their fields are left out is visible in their describes. The `Id` of an EntityDefinition or a FieldDefinition is its durable id
here, and compared as a text, as `EntityDefinitionId` is in the examples of "SOQL Operation Limitations". What that page says of
these two (no OR, no `!=`, no COUNT(), no GROUP BY; LIMIT is ignored) is not so here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from halocline.emulator import ids, rest
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.store import Store
from halocline.emulator.wire import Answer, Ask, json_answer

if TYPE_CHECKING:
    from halocline.emulator.clock import Clock

Row = dict[str, object]
_LENGTH = 255
_TOOLS_USER = "005000000000000AAA"  # nobody made these rows
_MADE_AT = "2020-01-01T00:00:00.000Z"  # the shape of an org has no history here

# Names after a type, in describe order. `Id` comes first by itself.
_STAMPS = "CreatedDate LastModifiedDate"
_APEX = {"textarea": "Body", "double": "ApiVersion", "boolean": "IsValid", "datetime": _STAMPS}
_LAYOUT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "EntityDefinition": (
        "4ie",
        {
            "string": """DurableId QualifiedApiName DeveloperName MasterLabel Label PluralLabel KeyPrefix NamespacePrefix
                PublisherId""",
            "boolean": """IsCustomizable IsApexTriggerable IsCustomSetting IsDeprecatedAndHidden IsFeedEnabled IsLayoutable
                IsQueryable IsReplicateable IsRetrieveable IsSearchable IsSearchLayoutable IsTriggerable IsEverCreatable
                IsEverUpdatable IsEverDeletable""",
            "datetime": "LastModifiedDate",
        },
    ),
    "FieldDefinition": (
        "4fd",
        {
            "string": """DurableId QualifiedApiName DeveloperName MasterLabel Label DataType ValueTypeId RelationshipName
                NamespacePrefix""",
            "int": "Length Precision Scale",
            "boolean": """IsCalculated IsCompound IsNameField IsNillable IsIndexed IsPolymorphicForeignKey IsApiFilterable
                IsApiSortable IsApiGroupable""",
            "datetime": "LastModifiedDate",
        },
    ),
    "CustomObject": ("01I", {"string": "DeveloperName NamespacePrefix ManageableState", "datetime": _STAMPS}),
    "CustomField": (
        "00N",
        {"string": "DeveloperName TableEnumOrId EntityDefinitionId NamespacePrefix ManageableState", "datetime": _STAMPS},
    ),
    "ApexClass": ("01p", {"string": "Name NamespacePrefix Status ManageableState", "int": "LengthWithoutComments", **_APEX}),
    "ApexTrigger": ("01q", {"string": "Name NamespacePrefix Status TableEnumOrId ManageableState", **_APEX}),
}

_NAMED = ("EntityDefinition", "FieldDefinition")  # their ids are names, and longer than a record's

TOOLS = tuple(_LAYOUT)  # the objects of the Tooling API


def resources(ask: Ask) -> Answer:
    """`GET /tooling`: where its resources are."""
    root = f"/services/data/v{ask.version}/tooling"
    return json_answer({"query": f"{root}/query", "sobjects": f"{root}/sobjects"})


def query(ask: Ask) -> Answer:
    """`GET /tooling/query?q=`."""
    return rest.query(_tooling(ask))


def query_more(ask: Ask) -> Answer:
    """`GET /tooling/query/{locator}`."""
    return rest.query_more(_tooling(ask))


def describe_global(ask: Ask) -> Answer:
    """`GET /tooling/sobjects`."""
    return _at_tooling(rest.describe_global(_over_tooling(ask)))


def basic_information(ask: Ask) -> Answer:
    """`GET /tooling/sobjects/X`."""
    return _at_tooling(rest.basic_information(_over_tooling(ask)))


def describe_object(ask: Ask) -> Answer:
    """`GET /tooling/sobjects/X/describe`."""
    return _at_tooling(rest.describe_object(_over_tooling(ask)))


class Tooling:
    """The store behind the Tooling API of one org; it is made anew when the org's shape has changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._catalog: Catalog | None = None
        self._stores: list[Store] = []

    def store(self, catalog: Catalog) -> Store:
        """The rows that describe this catalog. Stores of earlier catalogs live on for those who still read them."""
        with self._lock:
            if self._catalog is not catalog or not self._stores:
                self._stores.append(_filled(Store(Catalog(list(_sobjects())), clock=self._clock), catalog))
                self._catalog = catalog
            return self._stores[-1]

    def close(self) -> None:
        """Delete the stores."""
        with self._lock:
            for store in self._stores:
                store.close()
            self._stores.clear()


def _over_tooling(ask: Ask) -> Ask:
    return replace(ask, org=ask.org.over(ask.org.tooling.store(ask.org.catalog)))


def _tooling(ask: Ask) -> Ask:
    """The same request where records and further pages have their addresses below `tooling`."""
    return replace(_over_tooling(ask), params={**ask.params, "version": f"{ask.version}/tooling"})


def _at_tooling(answer: Answer) -> Answer:
    """A describe whose addresses are below `tooling`."""
    return replace(answer, body=b"".join(answer.chunks()).replace(b"/sobjects", b"/tooling/sobjects"))


def _sobjects() -> Iterator[SObject]:
    for name, (prefix, layout) in _LAYOUT.items():
        fields = [Field("Id", "id", "Id", length=_LENGTH if name in _NAMED else ids.LONG, nillable=False), *_fields(layout)]
        if name == "FieldDefinition":
            fields.append(_ENTITY)
        yield SObject(name, name, f"{name}s", prefix, {f.name.lower(): f for f in fields}, overrides={"createable": False})


_ENTITY = Field(
    "EntityDefinitionId",
    "reference",
    "Entity Definition ID",
    length=_LENGTH,
    reference_to=("EntityDefinition",),
    relationship_name="EntityDefinition",
    child_relationship_name="Fields",
)


def _fields(layout: Mapping[str, str]) -> Iterator[Field]:
    for kind, names in layout.items():
        for name in names.split():
            length = {"string": _LENGTH, "textarea": 1_000_000}.get(kind, 0)
            yield Field(name, kind, name, length=length, createable=False, updateable=False, name_field=name == "Name")


def _filled(store: Store, catalog: Catalog) -> Store:
    with store.database.together():
        for sobject in catalog:
            for name, row in _rows(sobject):
                found = store.catalog.get(name)
                if found is not None:
                    store.insert(found, row, user_id=_TOOLS_USER, stamp=_MADE_AT)
    return store


def _rows(sobject: SObject) -> Iterator[tuple[str, Row]]:
    yield "EntityDefinition", _entity(sobject)
    if sobject.custom:
        yield "CustomObject", {"DeveloperName": _developer_name(sobject.name), **_OURS, **_MADE}
    for field in sobject.fields.values():
        yield "FieldDefinition", _field(sobject, field)
        if field.custom:
            place = {"TableEnumOrId": sobject.name, "EntityDefinitionId": sobject.name}
            yield "CustomField", {"DeveloperName": _developer_name(field.name), **place, **_OURS, **_MADE}


_OURS: Row = {"ManageableState": "unmanaged"}
_MADE: Row = {"CreatedDate": _MADE_AT, "LastModifiedDate": _MADE_AT}


def _developer_name(name: str) -> str:
    return name.removesuffix("__c")


def _entity(sobject: SObject) -> Row:
    flags = sobject.overrides
    changeable = {verb: flags.get(key) is not False for verb, key in (("Creatable", "createable"), ("Updatable", "updateable"))}
    return {
        "Id": sobject.name,
        "DurableId": sobject.name,
        "QualifiedApiName": sobject.name,
        "DeveloperName": _developer_name(sobject.name),
        "MasterLabel": sobject.label,
        "Label": sobject.label,
        "PluralLabel": sobject.label_plural,
        "KeyPrefix": sobject.key_prefix,
        "PublisherId": "<local>" if sobject.custom else "System",
        "IsCustomizable": True,
        "IsQueryable": sobject.queryable,
        "IsReplicateable": sobject.replicateable,
        "IsCustomSetting": False,
        **{f"IsEver{verb}": allowed for verb, allowed in changeable.items()},
        "IsEverDeletable": sobject.deletable,
        **{f"Is{key[0].upper()}{key[1:]}": flags.get(key) is not False for key in ("retrieveable", "searchable", "triggerable")},
        "IsApexTriggerable": flags.get("triggerable") is not False,
        "IsLayoutable": flags.get("layoutable") is not False,
        "IsSearchLayoutable": flags.get("searchLayoutable") is not False,
        "LastModifiedDate": _MADE_AT,
    }


def _field(sobject: SObject, field: Field) -> Row:
    durable_id = f"{sobject.name}.{field.name}"
    return {
        "Id": durable_id,
        "EntityDefinitionId": sobject.name,
        "DurableId": durable_id,
        "QualifiedApiName": field.name,
        "DeveloperName": _developer_name(field.name),
        "MasterLabel": field.label,
        "Label": field.label,
        "DataType": _data_type(field),
        "ValueTypeId": field.type,
        "RelationshipName": field.relationship_name,
        "Length": field.length,
        "Precision": field.precision,
        "Scale": field.scale,
        "IsCalculated": field.calculated,
        "IsCompound": field.is_compound,
        "IsNameField": field.name_field,
        "IsNillable": field.nillable,
        "IsIndexed": field.external_id or field.unique or field.type in ("id", "reference"),
        "IsPolymorphicForeignKey": len(field.reference_to) > 1,
        "IsApiFilterable": True,
        "IsApiSortable": True,
        "IsApiGroupable": True,
        "LastModifiedDate": _MADE_AT,
    }


# What Setup calls the types; the names of the rarer ones are unverified.
_CALLED = {
    "id": "Lookup()",
    "boolean": "Checkbox",
    "string": "Text({length})",
    "textarea": "Long Text Area({length})",
    "picklist": "Picklist",
    "multipicklist": "Picklist (Multi-Select)",
    "int": "Number({digits}, 0)",
    "double": "Number({whole}, {scale})",
    "currency": "Currency({whole}, {scale})",
    "percent": "Percent({whole}, {scale})",
    "date": "Date",
    "datetime": "Date/Time",
    "time": "Time",
    "email": "Email",
    "phone": "Phone",
    "url": "URL({length})",
    "address": "Address",
    "location": "Geolocation",
}


def _data_type(field: Field) -> str:
    if field.type == "reference":
        return f"Lookup({','.join(field.reference_to)})"
    whole = field.precision - field.scale
    return _CALLED.get(field.type, field.type).format(
        length=field.length, digits=field.digits or 9, whole=whole, scale=field.scale
    )
