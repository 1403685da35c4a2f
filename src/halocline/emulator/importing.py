"""Schemas from describes: what a real org answers to `sobjects/X/describe`, written as schema files that `load_catalog` accepts.

Each object becomes one document marked `complete`. What the notation has words for is written so; every key of describe that
would still differ stands in a `describe` mapping, so that describing the loaded object gives the answer that was imported.

What describe does not tell, and what is done about it:

- The pattern of an auto-number: it counts with eight digits.
- The rows behind a roll-up, and formulas that `formula_language.py` cannot read: the field keeps a stored stand-in value that is
  calculated and read-only to clients, and that seeding fills by its type.
- Relationships to objects that were not imported are taken from the packaged schema of the object, if there is one.
Source: "sObject Describe", REST API Developer Guide; "DescribeSObjectResult", SOAP API Developer Guide.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from halocline.emulator import describe
from halocline.emulator.field_specs import (
    DESCRIBE_FLAGS,
    DESCRIBED_ATTRIBUTES,
    IMPLIED_BY_TYPE,
    NUMBER_SIZES,
    TEXT_LENGTHS,
    TYPES,
    exact_fields_of,
    label_of,
)
from halocline.emulator.formula_language import sql_of
from halocline.emulator.ids import ALPHABET, is_valid
from halocline.emulator.objects import Catalog, SObject
from halocline.emulator.schema_files import OBJECT_ATTRIBUTES, load_catalog

AUTO_NUMBER = "{00000000}"  # as Salesforce numbers cases
LINE = 130
NEWEST = "67.0"  # has every key that an answer may have

Described = Mapping[str, Any]
Document = dict[str, Any]

# Types of describe that schema files have no word for, with the one whose values are kept alike.
_KEPT_AS = {"long": "int", "complexvalue": "textarea", "json": "textarea"}
# Words of the notation, with the attributes of describe that they stand for.
_WORDS = {
    "required": {"nillable": False},
    "defaulted": {"defaultedOnCreate": True},
    "unique": {"unique": True},
    "external": {"externalId": True},
    "case_sensitive": {"caseSensitive": True},
    "name": {"nameField": True},
    "restricted": {"restrictedPicklist": True},
}
_FLAGS = DESCRIBE_FLAGS - DESCRIBED_ATTRIBUTES.keys()
_NUMBERED = {"nillable": False, "createable": False, "updateable": False, "defaulted_on_create": True}  # what auto_number implies
_ACCESS = {(False, False): "readonly", (True, False): "createonly", (False, True): "updateonly"}  # createable, updateable
# Keys of an object's describe that have words of their own in a document.
_SAID_ELSEWHERE = frozenset(
    [
        *["childRelationships", "custom", "fields", "keyPrefix", "label", "labelPlural", "name", "recordTypeInfos"],
        *["sobjectDescribeOption", "supportedScopes", "urls"],
    ]
)
_BELOW_OBJECT = re.compile(r"/services/data/v[^/]+/sobjects/[^/]+/(?P<tail>.*)")


@dataclass(frozen=True, slots=True)
class Imported:
    """Documents of schema files by the object's name; `replaced` are packaged objects that they take the place of.

    `notes` say in a sentence each what could not be taken over.
    """

    documents: Mapping[str, Document]
    replaced: tuple[str, ...]
    notes: tuple[str, ...]


def imported(describes: Iterable[Described], *, records: int = 0) -> Imported:
    """The schema of an org whose objects were described so; each asks for `records` records to start with.

    Raises: ValueError for what is no describe of an object.
    """
    given = {str(one["name"]): one for one in map(_checked, describes)}
    packaged = load_catalog()
    importer = _Importer(packaged, _Children.of(given.values()))
    prefixes = _free_prefixes(given.values(), packaged)
    documents = {name: importer.document(one, prefixes) for name, one in sorted(given.items())}
    if records:
        documents = {name: _with_records(one, given[name], records) for name, one in documents.items()}
    replaced = tuple(name for name in documents if packaged.get(name))
    return Imported(documents, replaced, tuple(importer.notes))


def text_of(document: Document) -> str:
    """The document as YAML, a line for most fields."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=LINE, default_flow_style=None)
    return text


def _checked(one: object) -> Described:
    named = isinstance(one, Mapping) and re.fullmatch(r"[A-Za-z]\w*", str(one.get("name")))
    if not named or not isinstance(one, Mapping) or not isinstance(one.get("fields"), list):
        raise ValueError("an answer without `name` and `fields` is no describe of an object")
    return one


def _free_prefixes(describes: Iterable[Described], packaged: Catalog) -> Iterator[str]:
    """Key prefixes that no object has, for those that come without one. Orgs deal out `a00` and on; these start far off."""
    used = {one.get("keyPrefix") for one in describes} | {sobject.key_prefix for sobject in packaged}
    letters = ALPHABET[::-1]
    every = map("".join, itertools.product("zyx", letters, letters))
    return (prefix for prefix in every if prefix not in used)


def _with_records(document: Document, described: Described, records: int) -> Document:
    """Records are made of objects whose records clients can make."""
    if not described.get("createable"):
        return document
    fields = document["fields"]
    return {**{key: value for key, value in document.items() if key != "fields"}, "records": records, "fields": fields}


@dataclass(frozen=True, slots=True)
class _Child:
    """A reference as the describe of an object that it points at lists it."""

    parent: str
    relationship: str | None
    cascade: bool
    restricted: bool


@dataclass(frozen=True, slots=True)
class _Children:
    """Who lists which reference: by child object and field."""

    parents: frozenset[str]
    listed: Mapping[tuple[str, str], Sequence[_Child]]

    @classmethod
    def of(cls, describes: Iterable[Described]) -> _Children:
        listed: dict[tuple[str, str], list[_Child]] = {}
        parents = set()
        for one in describes:
            parents.add(str(one["name"]))
            for child in one.get("childRelationships") or ():
                found = _Child(one["name"], child["relationshipName"], child["cascadeDelete"], child["restrictedDelete"])
                listed.setdefault((child["childSObject"], child["field"]), []).append(found)
        return cls(frozenset(parents), listed)


class _Importer:
    """Writes one org's objects as documents, and keeps the notes."""

    def __init__(self, packaged: Catalog, children: _Children) -> None:
        self._packaged = packaged
        self._children = children
        self.notes: list[str] = []

    def document(self, one: Described, prefixes: Iterator[str]) -> Document:
        """The document of one object."""
        document: Document = {"object": one["name"], "complete": True, **_labels(one)}
        shown: dict[str, Any] = {}
        document["prefix"] = one.get("keyPrefix") or next(prefixes)
        if not one.get("keyPrefix"):
            shown["keyPrefix"] = None
        flags, differing = _object_keys(one)
        shown |= differing
        document |= {key: value for key, value in (("flags", " ".join(flags)), ("describe", shown)) if value}
        document |= {"scopes": {scope["name"]: scope["label"] for scope in one.get("supportedScopes") or ()}, **self._urls(one)}
        document |= self._record_types(one)
        document["fields"] = {field["name"]: self._field(one, field) for field in one["fields"]}
        return document

    def _urls(self, one: Described) -> dict[str, object]:
        usual = describe.sobject_describe(Catalog([]), _bare(one), version=NEWEST)["urls"]
        assert isinstance(usual, dict)
        given = {key: url for key, url in (one.get("urls") or {}).items() if key != "defaultValues"}
        urls: dict[str, str | None] = {key: None for key in usual if key not in given}
        for key, url in given.items():
            tail = _BELOW_OBJECT.fullmatch(url)
            if key not in usual and tail is not None:
                urls[key] = tail["tail"]
            elif key not in usual:
                self.notes.append(f"{one['name']}: the url {key} leads elsewhere and is left out")
        return {"urls": urls} if urls else {}

    def _record_types(self, one: Described) -> dict[str, object]:
        given = one.get("recordTypeInfos") or []
        if not given:
            return {"record_types": False}
        wanted = [info for info in given if not info.get("master") and info["recordTypeId"] != describe.MASTER_RECORD_TYPE]
        good = [info for info in wanted if is_valid(info["recordTypeId"])]
        self.notes += [f"{one['name']}: record type {info['name']} has no valid id" for info in wanted if info not in good]
        return {"record_types": [_record_type(info) for info in good]} if good else {}

    def _field(self, one: Described, field: Described) -> object:
        kind = _kept_type(field)
        spec: Document = {"type": f"{kind}{_size(kind, field)}"}
        if field["label"] != label_of(field["name"]):
            spec["label"] = field["label"]
        if field.get("compoundFieldName"):
            spec["compound"] = field["compoundFieldName"]
        if field.get("relationshipName") and kind != "reference":
            spec["as"] = field["relationshipName"]
        spec |= self._reference(one, field) if kind == "reference" else {}
        spec |= _values(field)
        spec |= _origin(one, field)
        spec["type"] = " ".join([spec["type"], *_words(kind, field, spec)])
        shown = _differing(field, spec)
        flags = [key for key, value in shown.items() if isinstance(value, bool) and key in _FLAGS]
        spec["type"] = " ".join([spec["type"], *(_flag(key, shown.pop(key)) for key in flags)])
        spec |= {"describe": shown} if shown else {}
        return spec["type"] if spec.keys() == {"type"} else spec

    def _reference(self, one: Described, field: Described) -> Document:
        targets = field.get("referenceTo") or []
        spec: Document = {"to": targets[0] if len(targets) == 1 else list(targets), "as": field.get("relationshipName")}
        found = [*self._listed(one, field), *self._packaged_children(one, field)]
        if not found:
            return spec | _on_delete(cascade=bool(field.get("cascadeDelete")), restricted=bool(field.get("restrictedDelete")))
        name = next((child.relationship for child in found if child.relationship), None)
        if name:
            spec["children"] = name
        self._note_different(one, field, found)
        cascade = any(child.cascade for child in found)
        return spec | _on_delete(cascade=cascade, restricted=any(child.restricted for child in found))

    def _listed(self, one: Described, field: Described) -> Sequence[_Child]:
        return self._children.listed.get((one["name"], field["name"]), ())

    def _packaged_children(self, one: Described, field: Described) -> Iterator[_Child]:
        """What the packaged schema says, where the parents were not imported."""
        sobject = self._packaged.get(one["name"])
        known = sobject.field(field["name"]) if sobject else None
        if known and known.reference_to and self._children.parents.isdisjoint(field.get("referenceTo") or ()):
            yield _Child(known.reference_to[0], known.child_relationship_name, known.cascade_delete, known.restricted_delete)

    def _note_different(self, one: Described, field: Described, found: Sequence[_Child]) -> None:
        if len({(child.relationship, child.cascade, child.restricted) for child in found}) > 1:
            parents = ", ".join(child.parent for child in found)
            self.notes.append(f"{one['name']}.{field['name']}: its parents {parents} list it differently")


def _labels(one: Described) -> Document:
    return {"label": one["label"], "plural": one["labelPlural"]}


def _bare(one: Described) -> SObject:
    """The object without any field, as it is described when nothing special is said of it."""
    custom = bool(one.get("custom"))
    return SObject(str(one["name"]), str(one["label"]), str(one["labelPlural"]), one.get("keyPrefix") or "", {}, custom=custom)


def _object_keys(one: Described) -> tuple[list[str], dict[str, Any]]:
    """Flags that differ from the usual ones, and further keys that do."""
    usual = describe.sobject_describe(Catalog([]), _bare(one), version=NEWEST)
    flags = [] if bool(one.get("custom")) == str(one["name"]).endswith("__c") else [_flag("custom", bool(one.get("custom")))]
    shown: dict[str, Any] = {}
    for key, value in one.items():
        if key in _SAID_ELSEWHERE or (key in usual and usual[key] == value):
            continue
        if isinstance(value, bool) and (isinstance(usual.get(key), bool) or key in OBJECT_ATTRIBUTES):
            flags.append(_flag(key, value))
        elif key in usual:
            shown[key] = value
    return flags, shown


def _flag(key: str, value: bool) -> str:  # noqa: FBT001 - a value like the others
    return key if value else f"-{key}"


def _record_type(info: Described) -> Document:
    spec: Document = {"name": info["name"], "developer_name": info.get("developerName"), "id": info["recordTypeId"]}
    differs = {"active": (info.get("active", True), True), "available": (info["available"], info.get("active", True))}
    differs["default"] = (info["defaultRecordTypeMapping"], False)
    spec |= {key: value for key, (value, usual) in differs.items() if value != usual}
    return {key: value for key, value in spec.items() if value is not None}


def _kept_type(field: Described) -> str:
    kind = str(field["type"])
    if kind in TYPES:
        return kind
    return _KEPT_AS.get(kind, "string" if field.get("length") else "anyType")


def _size(kind: str, field: Described) -> str:
    if kind in TEXT_LENGTHS:
        return f"({field['length']})"
    if kind in NUMBER_SIZES:
        return f"({field['precision']},{field['scale']})"
    return f"({field['digits']})" if kind == "int" else ""


def _words(kind: str, field: Described, spec: Document) -> Iterator[str]:
    """The flags of the notation, as far as the type, a formula or an auto-number does not imply them."""
    if "formula" in spec:
        return
    implied = {**IMPLIED_BY_TYPE.get(kind, {}), **(_NUMBERED if "auto_number" in spec else {})}
    if field.get("relationshipOrder") is not None and field.get("cascadeDelete"):
        yield "master"
    for word, meaning in _WORDS.items():
        said = any(implied.get(DESCRIBED_ATTRIBUTES[key]) == value for key, value in meaning.items())
        if not said and all(field.get(key) == value for key, value in meaning.items()):
            yield word
    access = (bool(field["createable"]), bool(field["updateable"]))
    if "createable" not in implied and access in _ACCESS:
        yield _ACCESS[access]


def _values(field: Described) -> Document:
    values = field.get("picklistValues") or []
    default = field.get("defaultValue")
    if not values:
        return {}
    found: Document = {"values": [_value(value, default) for value in values]}
    return {**found, "default": default} if default in [value["value"] for value in values] else found


def _value(value: Described, default: object) -> object:
    name, label = value["value"], value["label"] if value["label"] is not None else value["value"]
    more = {"active": (value["active"], True), "default": (value["defaultValue"], name == default)}
    more["valid_for"] = (value.get("validFor"), None)
    said = {key: given for key, (given, usual) in more.items() if given != usual}
    if said:
        return {"value": name, **({"label": label} if label != name else {}), **said}
    return name if name == label else {name: label}


def _on_delete(*, cascade: bool, restricted: bool) -> Document:
    if cascade:
        return {"on_delete": "cascade"}
    return {"on_delete": "restrict"} if restricted else {}


def _origin(one: Described, field: Described) -> Document:
    """Where the value comes from when no client sends it: a number, a formula, a default."""
    if field.get("autoNumber"):
        return {"auto_number": AUTO_NUMBER}
    if field.get("calculated"):
        translated = sql_of(field, one["fields"])
        return {"formula": translated} if translated else {}
    default = field.get("defaultValue")
    if default is None:
        default = _literal(field)
    usual = default is None or (default is False and field["type"] == "boolean")
    return {} if usual or field.get("picklistValues") or not isinstance(default, (str, int, float)) else {"default": default}


def _literal(field: Described) -> object:
    """The value of a default formula that is a mere text, number or truth; None for any other."""
    formula = str(field.get("defaultValueFormula") or "").strip()
    quoted = re.fullmatch(r'"([^"\\]*)"', formula)
    if quoted and field["type"] in TEXT_LENGTHS:
        return quoted[1]
    if field["type"] == "boolean":
        return True if formula.upper() == "TRUE" else None
    return float(formula) if field["type"] in NUMBER_SIZES and re.fullmatch(r"-?\d+(\.\d+)?", formula) else None


def _differing(field: Described, spec: Document) -> dict[str, Any]:
    """The keys of describe that the spec alone would answer otherwise.

    Those that are attributes of the field come first: others follow from them.
    """
    attributes = {key: value for key, value in _told(field, spec).items() if key in DESCRIBED_ATTRIBUTES}
    if field.get("calculated") and "formula" not in spec:
        attributes["calculated"] = True
    return {**attributes, **_told(field, {**spec, "describe": attributes})}


_MISSING = object()


def _told(field: Described, spec: Document) -> dict[str, Any]:
    [made] = exact_fields_of("", {str(field["name"]): spec}).values()
    shown = describe.describe_field(made)
    return {key: value for key, value in field.items() if shown.get(key, _MISSING) != value}
