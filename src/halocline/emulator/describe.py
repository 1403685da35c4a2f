"""Describe: what an org says about its sObjects and their fields.

What follows from a field's type stands in one table here; what differs from it is in the schema files.
Source: "sObject Describe" and "Describe Global", REST API Developer Guide; "DescribeSObjectResult", SOAP API Developer Guide;
key names and order as real orgs answer them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halocline.emulator.objects import Catalog, ChildRelationship, Field, RecordType, SObject

UI_HOST = "https://halocline-dev-ed.my.salesforce.com"  # where the pages of an org would be; nothing listens there
MASTER_RECORD_TYPE = "012000000000000AAA"  # every org's Master
MAX_BATCH_SIZE = 200  # "maxBatchSize" of Describe Global
BYTES_PER_CHARACTER = 3  # byteLength of text is three times its length
LONG_TEXT = 255  # characters; a longer textarea can be neither filtered nor sorted by

# Versions from which a key is seen in answers of real orgs. Absent in 48.0; the releases between are unverified.
ASSOCIATE_KEYS_SINCE = 52.0
DESCRIBE_OPTION_SINCE = 59.0
SCOPING_RULES_SINCE = 52.0
DEFAULT_VALUES_URL_UNTIL = 48.0  # the "defaultValues" url is in answers of 48.0 and no later one


@dataclass(frozen=True, slots=True)
class TypeRule:
    """What a field's type implies in describe."""

    soap_type: str
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    aggregatable: bool = True


_TEXT = TypeRule("xsd:string")
_NUMBER = TypeRule("xsd:double", groupable=False)
_OPAQUE_TEXT = TypeRule("xsd:string", filterable=False, sortable=False, groupable=False, aggregatable=False)

# multipicklist, encryptedstring, time, base64, anyType and location: after the SOQL reference's tables, flags unverified.
TYPE_RULES: Mapping[str, TypeRule] = {
    "id": TypeRule("tns:ID"),
    "reference": TypeRule("tns:ID"),
    "boolean": TypeRule("xsd:boolean", aggregatable=False),
    "string": _TEXT,
    "picklist": _TEXT,
    "textarea": _TEXT,
    "url": _TEXT,
    "phone": _TEXT,
    "email": _TEXT,
    "combobox": TypeRule("xsd:string", groupable=False),
    "multipicklist": TypeRule("xsd:string", sortable=False, groupable=False, aggregatable=False),
    "encryptedstring": _OPAQUE_TEXT,
    "int": TypeRule("xsd:int"),
    "double": _NUMBER,
    "currency": _NUMBER,
    "percent": _NUMBER,
    "date": TypeRule("xsd:date"),
    "datetime": TypeRule("xsd:dateTime", groupable=False),
    "time": TypeRule("xsd:time"),
    "address": TypeRule("urn:address", sortable=False, groupable=False, aggregatable=False),
    "location": TypeRule("urn:location", sortable=False, groupable=False, aggregatable=False),
    "base64": TypeRule("xsd:base64Binary", filterable=False, sortable=False, groupable=False, aggregatable=False),
    "anyType": TypeRule("xsd:anyType", filterable=False, sortable=False, groupable=False, aggregatable=False),
}

# Booleans of an sObject that Describe Global lists, with the usual answer of a standard object with pages of its own.
OBJECT_FLAGS: Mapping[str, bool] = {
    "activateable": False,
    "createable": True,
    "customSetting": False,
    "deepCloneable": False,
    "deprecatedAndHidden": False,
    "feedEnabled": True,
    "hasSubtypes": False,
    "isInterface": False,
    "isSubtype": False,
    "layoutable": True,
    "mergeable": False,
    "mruEnabled": True,
    "retrieveable": True,
    "searchable": True,
    "triggerable": True,
    "undeletable": True,
    "updateable": True,
}
CUSTOM_OBJECT_FLAGS: Mapping[str, bool] = {"feedEnabled": False}
ASSOCIATE_KEYS: Mapping[str, object] = {"associateEntityType": None, "associateParentEntity": None}
# What only an object's own describe has, with the usual answer.
DESCRIBE_ONLY: Mapping[str, object] = {
    "actionOverrides": [],
    "compactLayoutable": True,
    "defaultImplementation": None,
    "extendedBy": None,
    "extendsInterfaces": None,
    "implementedBy": None,
    "implementsInterfaces": None,
    "listviewable": None,
    "lookupLayoutable": None,
    "namedLayoutInfos": [],
    "networkScopeFieldName": None,
    "searchLayoutable": True,
}
LISTED_URLS = {  # urls of Describe Global: key -> what follows the object's own url
    "sobject": "",
    "describe": "/describe",
    "rowTemplate": "/{ID}",
    "compactLayouts": "/describe/compactLayouts",
    "approvalLayouts": "/describe/approvalLayouts",
    "listviews": "/listviews",
    "quickActions": "/quickActions",
    "layouts": "/describe/layouts",
}


def global_describe(catalog: Catalog, *, version: str) -> dict[str, object]:
    """The answer of `GET /sobjects`: every sObject of the org with its abilities and urls; `version` as in `66.0`."""
    rows = [_listed(sobject, version) for sobject in catalog]
    return {"encoding": "UTF-8", "maxBatchSize": MAX_BATCH_SIZE, "sobjects": rows}


def sobject_describe(catalog: Catalog, sobject: SObject, *, version: str) -> dict[str, object]:
    """The answer of `GET /sobjects/X/describe`: abilities, fields, child relationships, record types; `version` as in `66.0`."""
    described = {
        **_listed(sobject, version),
        **_usual(sobject, DESCRIBE_ONLY),
        "childRelationships": _child_relationships(catalog, sobject),
        "fields": [describe_field(field) for field in sobject.fields.values()],
        "recordTypeInfos": sobject.overrides.get("recordTypeInfos", _record_type_infos(sobject, version)),
        "supportedScopes": _supported_scopes(sobject, version),
        "urls": _urls(sobject, {**_listed_urls(sobject, version), **_page_urls(sobject, version)}, version),
    }
    if _number(version) >= DESCRIBE_OPTION_SINCE:
        described["sobjectDescribeOption"] = "FULL"
    return dict(sorted(described.items()))


def describe_field(field: Field) -> dict[str, object]:
    """One entry of a describe's `fields`."""
    described = {
        **_constants(field),
        **_identity(field),
        **_sizes(field),
        **_abilities(field),
        **_reference(field),
        **field.overrides,
    }
    return dict(sorted(described.items()))


def _listed(sobject: SObject, version: str) -> dict[str, object]:
    """The sObject as Describe Global lists it."""
    listed: dict[str, object] = {
        **_usual(sobject, {**OBJECT_FLAGS, **(CUSTOM_OBJECT_FLAGS if sobject.custom else {})}),
        "custom": sobject.custom,
        "deletable": sobject.deletable,
        "queryable": sobject.queryable,
        "replicateable": sobject.replicateable,
        # An object whose records have ids of other objects, or none, has a key prefix in the store only.
        **_usual(sobject, {"keyPrefix": sobject.key_prefix}),
        "label": sobject.label,
        "labelPlural": sobject.label_plural,
        "name": sobject.name,
        "urls": _urls(sobject, _listed_urls(sobject, version), version),
    }
    if _number(version) >= ASSOCIATE_KEYS_SINCE:
        listed |= _usual(sobject, ASSOCIATE_KEYS)
    return dict(sorted(listed.items()))


def _usual(sobject: SObject, usual: Mapping[str, object]) -> dict[str, object]:
    """The usual answers, but for those that the object's schema gives otherwise."""
    return {key: sobject.overrides.get(key, value) for key, value in usual.items()}


def _number(version: str) -> float:
    return float(version.removeprefix("v"))


def _base_url(sobject: SObject, version: str) -> str:
    return f"/services/data/v{version.removeprefix('v')}/sobjects/{sobject.name}"


def _urls(sobject: SObject, usual: Mapping[str, str], version: str) -> dict[str, str]:
    """The usual urls, less those that the object does not have, and with those that it has besides."""
    base = _base_url(sobject, version)
    given: Mapping[str, str | None] = sobject.overrides.get("urls", {})
    own = {key: f"{base}/{tail}" for key, tail in given.items() if tail is not None}
    return {**{key: url for key, url in usual.items() if key not in given}, **own}


def _listed_urls(sobject: SObject, version: str) -> dict[str, str]:
    return {key: _base_url(sobject, version) + tail for key, tail in LISTED_URLS.items()}


def _page_urls(sobject: SObject, version: str) -> dict[str, str]:
    """The urls that only an object's own describe has."""
    pages = {
        "uiDetailTemplate": f"{UI_HOST}/{{ID}}",
        "uiEditTemplate": f"{UI_HOST}/{{ID}}/e",
        "uiNewRecord": f"{UI_HOST}/{sobject.key_prefix}/e",
    }
    if _number(version) <= DEFAULT_VALUES_URL_UNTIL:
        pages["defaultValues"] = f"{_base_url(sobject, version)}/defaultValues?recordTypeId&fields"
    return pages


def _record_type_infos(sobject: SObject, version: str) -> list[dict[str, object]]:
    """The object's record types and the Master, which is the default where none of them is.
    Source: SOAP API Developer Guide, "RecordTypeInfo".
    """
    usual = not any(one.default for one in sobject.record_types)
    master = RecordType(MASTER_RECORD_TYPE, "Master", "Master", default=usual)
    return [_record_type_info(sobject, one, version) for one in (*sobject.record_types, master)]


def _record_type_info(sobject: SObject, one: RecordType, version: str) -> dict[str, object]:
    return {
        "active": one.active,
        "available": one.available,
        "defaultRecordTypeMapping": one.default,
        "developerName": one.developer_name,
        "master": one.id == MASTER_RECORD_TYPE,
        "name": one.name,
        "recordTypeId": one.id,
        "urls": {"layout": f"{_base_url(sobject, version)}/describe/layouts/{one.id}"},
    }


def _supported_scopes(sobject: SObject, version: str) -> list[dict[str, str]]:
    usual = [{"label": f"All {sobject.label_plural.lower()}", "name": "everything"}]
    scopes: list[dict[str, str]] = sobject.overrides.get("supportedScopes", usual)
    return [scope for scope in scopes if scope["name"] != "scopingRule" or _number(version) >= SCOPING_RULES_SINCE]


def _child_relationships(catalog: Catalog, sobject: SObject) -> list[dict[str, object]]:
    # Real orgs do not list the losers of a merge, although MasterRecordId points at the winner.
    children = [child for child in catalog.children(sobject.name) if child.field != "MasterRecordId"]
    return [_child_relationship(child) for child in sorted(children, key=lambda child: (child.child_sobject, child.field))]


def _child_relationship(child: ChildRelationship) -> dict[str, object]:
    return {
        "cascadeDelete": child.cascade_delete,
        "childSObject": child.child_sobject,
        "deprecatedAndHidden": False,
        "field": child.field,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": child.relationship_name,
        "restrictedDelete": child.restricted_delete,
    }


def _constants(field: Field) -> dict[str, object]:
    """Keys that are the same for nearly every field; schema files override the rest."""
    never = (
        "aiPredictionField dependentPicklist deprecatedAndHidden displayLocationInDecimal encrypted formulaTreatNullNumberAsZero "
        "highScaleNumber htmlFormatted"
    )
    absent = "controllerName defaultValueFormula filteredLookupInfo inlineHelpText mask maskType referenceTargetField"
    text = {"extraTypeInfo": "plaintextarea" if field.type == "textarea" else None}
    return {**dict.fromkeys(never.split(), False), **dict.fromkeys(absent.split()), **text}


def _identity(field: Field) -> dict[str, object]:
    return {
        "autoNumber": field.auto_number is not None,
        "calculated": field.calculated,
        "calculatedFormula": field.formula,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": field.compound,
        "custom": field.custom,
        "defaultValue": field.default,
        "externalId": field.external_id,
        "label": field.label,
        "name": field.name,
        "nameField": field.name_field,
        "picklistValues": _picklist_values(field),
        "restrictedPicklist": field.restricted_picklist,
        "soapType": TYPE_RULES[field.type].soap_type,
        "type": field.type,
        "unique": field.unique,
    }


def _picklist_values(field: Field) -> list[dict[str, object]]:
    return [
        {"active": one.active, "defaultValue": one.default, "label": one.label, "validFor": one.valid_for, "value": one.value}
        for one in field.picklist
    ]


def _sizes(field: Field) -> dict[str, object]:
    of_ids = field.type in ("id", "reference")
    return {
        "length": field.length,
        "byteLength": field.length if of_ids else field.length * BYTES_PER_CHARACTER,
        "precision": field.precision,
        "scale": field.scale,
        "digits": field.digits,
    }


def _abilities(field: Field) -> dict[str, object]:
    rule = _OPAQUE_TEXT if field.type == "textarea" and field.length > LONG_TEXT else TYPE_RULES[field.type]
    return {
        "aggregatable": rule.aggregatable,
        "createable": field.createable,
        "defaultedOnCreate": field.defaulted_on_create,
        "filterable": rule.filterable,
        "groupable": rule.groupable,
        "idLookup": field.type == "id" or field.external_id,
        "nillable": field.nillable,
        "permissionable": _permissionable(field),
        "queryByDistance": field.is_compound,
        "sortable": rule.sortable,
        "updateable": field.updateable,
    }


def _permissionable(field: Field) -> bool:
    """Whether field-level security applies: not to what is required, system-made or the record's name."""
    if field.custom:
        return field.nillable or field.type == "boolean"
    return field.type == "address" or (field.nillable and field.createable and not field.name_field)


def _reference(field: Field) -> dict[str, object]:
    """Relationship keys; a master-detail field takes its children along and has an order among the masters."""
    master = field.custom and field.cascade_delete and not field.nillable
    polymorphic = len(field.reference_to) > 1
    return {
        "cascadeDelete": master,
        "namePointing": polymorphic,
        "polymorphicForeignKey": polymorphic,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship_name,
        "relationshipOrder": 0 if master else None,
        "restrictedDelete": field.custom and field.restricted_delete,
        "searchPrefilterable": field.type == "reference" and field.nillable and field.createable,
        "writeRequiresMasterRead": master,
    }
