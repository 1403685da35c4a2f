"""Fields as schema files write them: `currency(16,2) required`, or a mapping with `type` and further keys.

The notation is described in `schema_files.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from typing import Any

from halocline.emulator.objects import Field, PicklistValue, RollUp

# Length when none is given; for text types as Setup proposes it.
TEXT_LENGTHS = {
    "string": 255,
    "picklist": 255,
    "multipicklist": 4099,
    "textarea": 255,
    "url": 255,
    "phone": 40,
    "email": 80,
    "combobox": 255,
    "encryptedstring": 175,
}
NUMBER_SIZES = {"double": (18, 0), "currency": (18, 2), "percent": (18, 2)}  # precision, scale when none are given
INT_DIGITS = 8
ID_LENGTH = 18
PLAIN_TYPES = ("boolean", "int", "date", "datetime", "time", "id", "reference", "base64", "anyType", "address", "location")
TYPES = frozenset((*TEXT_LENGTHS, *NUMBER_SIZES, *PLAIN_TYPES))

IMPLIED_BY_TYPE: Mapping[str, Mapping[str, object]] = {
    "boolean": {"nillable": False, "defaulted_on_create": True, "default": False},
    "id": {"nillable": False, "createable": False, "updateable": False, "defaulted_on_create": True},
    "address": {"createable": False, "updateable": False},
    "location": {"createable": False, "updateable": False},
}
FLAGS: Mapping[str, Mapping[str, object]] = {
    "required": {"nillable": False},
    "readonly": {"createable": False, "updateable": False},
    "createonly": {"updateable": False},
    "updateonly": {"createable": False},
    "defaulted": {"defaulted_on_create": True},
    "unique": {"unique": True},
    "external": {"external_id": True},
    "case_sensitive": {"case_sensitive": True},
    "name": {"name_field": True},
    "restricted": {"restricted_picklist": True},
    "master": {"nillable": False, "updateable": False, "cascade_delete": True},
    "owner": {"nillable": False, "defaulted_on_create": True},
}
DESCRIBE_FLAGS = frozenset(
    [
        "aggregatable",
        "encrypted",
        "filterable",
        "groupable",
        "htmlFormatted",
        "idLookup",
        "permissionable",
        "searchPrefilterable",
        "sortable",
        "writeRequiresMasterRead",
        "createable",
        "updateable",
    ]
)
# Keys of a field's `describe` that say what the field is, and not only how it is shown: the attribute of Field that each sets.
DESCRIBED_ATTRIBUTES: Mapping[str, str] = {
    "calculated": "calculated",
    "caseSensitive": "case_sensitive",
    "createable": "createable",
    "custom": "custom",
    "defaultedOnCreate": "defaulted_on_create",
    "digits": "digits",
    "externalId": "external_id",
    "length": "length",
    "nameField": "name_field",
    "nillable": "nillable",
    "precision": "precision",
    "restrictedPicklist": "restricted_picklist",
    "scale": "scale",
    "unique": "unique",
    "updateable": "updateable",
}
ON_DELETE: Mapping[str, Mapping[str, object]] = {
    "cascade": {"cascade_delete": True},
    "restrict": {"restricted_delete": True},
    "clear": {},
}
FIELD_KEYS = frozenset(
    [
        *["type", "label", "to", "as", "children", "on_delete", "compound", "values", "inactive", "default", "formula", "rollup"],
        *["auto_number", "describe"],
    ]
)
VALUE_KEYS = frozenset({"value", "label", "active", "default", "valid_for"})
ROLL_UP_KEYS = frozenset({"of", "relationship", "function", "field", "where"})
ROLL_UP_FUNCTIONS = ("COUNT", "SUM", "MIN", "MAX")
_COMPUTED: Mapping[str, object] = {"calculated": True, "nillable": True, "defaulted_on_create": False}
_TYPE = re.compile(r"(?P<type>\w+)(?:\((?P<first>\d+)(?:,\s*(?P<second>\d+))?\))?(?P<flags>(?:\s+-?\w+)*)")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_SPELLING = {"Id": "ID", "Url": "URL"}  # how labels write these words

GEOCODE_ACCURACY = [
    "Address",
    "NearAddress",
    "Block",
    "Street",
    "ExtendedZip",
    "Zip",
    "Neighborhood",
    "City",
    "County",
    "State",
    "Unknown",
]
_AUDIT: Mapping[str, object] = {
    "CreatedDate": "datetime readonly required defaulted",
    "CreatedById": {"type": "reference readonly required defaulted", "to": "User"},
    "LastModifiedDate": "datetime readonly required defaulted",
    "LastModifiedById": {"type": "reference readonly required defaulted", "to": "User"},
    "SystemModstamp": "datetime readonly required defaulted",
}
_VIEWED: Mapping[str, object] = {"LastViewedDate": "datetime readonly", "LastReferencedDate": "datetime readonly"}
_ADDRESS: Mapping[str, object] = {
    "Street": "textarea(255)",
    "City": "string(40)",
    "State": {"type": "string(80)", "label": "State/Province"},
    "PostalCode": {"type": "string(20)", "label": "Zip/Postal Code"},
    "Country": "string(80)",
    "Latitude": "double(18,15)",
    "Longitude": "double(18,15)",
    "GeocodeAccuracy": {"type": "picklist(40) restricted", "values": GEOCODE_ACCURACY},
}
Spec = Mapping[str, Any]


def fields_of(sobject: str, specs: Mapping[str, object]) -> dict[str, Field]:
    """Fields by lower-case name, groups like `audit` spread out.

    Raises: ValueError naming object and field for a spec that means nothing.
    """
    fields: dict[str, Field] = {}
    for name, given in specs.items():
        try:
            for field in _expand(name, spec_of(given)):
                fields[field.name.lower()] = field
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{sobject}.{name}: {error}") from error
    return fields


def exact_fields_of(sobject: str, specs: Mapping[str, object]) -> dict[str, Field]:
    """As `fields_of`, but one field for each spec: an address brings no components along.

    Raises: ValueError naming object and field for a spec that means nothing.
    """
    fields: dict[str, Field] = {}
    for name, given in specs.items():
        try:
            fields[name.lower()] = _field(name, spec_of(given))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{sobject}.{name}: {error}") from error
    return fields


def spec_of(given: object) -> dict[str, Any]:
    """The mapping form of a field as written: a bare string is its type.
    Raises: ValueError if it is neither.
    """
    if isinstance(given, str):
        return {"type": given}
    if isinstance(given, dict) and isinstance(given.get("type"), str):
        return given
    raise ValueError(f"expected a type or a mapping with `type`, not {given!r}")


def _expand(name: str, spec: dict[str, Any]) -> Iterator[Field]:
    kind = spec["type"].split()[0]
    if kind in ("audit", "viewed"):
        group = _AUDIT if kind == "audit" else _VIEWED
        yield from (_field(part, spec_of(given)) for part, given in group.items())
        return
    if kind == "address":
        yield from _address_components(name)
    if kind == "location":
        yield from _location_components(name, spec)
    yield _field(name, spec)


def _address_components(name: str) -> Iterator[Field]:
    prefix = name.removesuffix("Address")
    for part, given in _ADDRESS.items():
        spec = spec_of(given)
        label = f"{label_of(prefix)} {spec.get('label') or label_of(part)}".strip()
        yield _field(prefix + part, {**spec, "label": label, "compound": name})


def _location_components(name: str, spec: Spec) -> Iterator[Field]:
    if not name.endswith("__c"):
        raise ValueError("only custom fields can be locations")
    for part in ("Latitude", "Longitude"):
        label = f"{spec.get('label') or label_of(name)} ({part})"
        yield _field(f"{name.removesuffix('c')}{part}__s", {"type": "double(18,15)", "label": label, "compound": name})


def _field(name: str, spec: Spec) -> Field:
    refuse_unknown_keys(spec, FIELD_KEYS, "field")
    match = _TYPE.fullmatch(spec["type"])
    if match is None or match["type"] not in TYPES:
        raise ValueError(f"type {spec['type']!r} is unknown (known: {', '.join(sorted(TYPES))})")
    kind = match["type"]
    flags, describe_flags = _field_flags(match["flags"])
    attributes: dict[str, Any] = {
        "custom": name.endswith(("__c", "__s")),
        **_sizes(kind, match["first"], match["second"]),
        **IMPLIED_BY_TYPE.get(kind, {}),
        **_optional_keys(spec),
        **(_reference_keys(name, spec, match["flags"].split()) if kind == "reference" else {}),
        **flags,
    }
    if "as" in spec and kind != "reference":
        attributes["relationship_name"] = spec["as"]
    label = str(spec.get("label") or label_of(name))
    shown: dict[str, Any] = {**describe_flags, **(spec.get("describe") or {})}
    attributes |= {attribute: shown.pop(key) for key, attribute in DESCRIBED_ATTRIBUTES.items() if key in shown}
    return Field(name=name, type=kind, label=label, overrides=shown, **attributes)


def _field_flags(words: str) -> tuple[dict[str, object], dict[str, bool]]:
    """Attributes of Field, and describe keys that differ from what the type implies."""
    attributes: dict[str, object] = {}
    overrides: dict[str, bool] = {}
    for word in words.split():
        if word in FLAGS:
            attributes.update(FLAGS[word])
        elif word.lstrip("-") in DESCRIBE_FLAGS:
            key = word.lstrip("-")
            target: dict[str, Any] = attributes if key in _FIELD_ATTRIBUTES else overrides
            target[key] = not word.startswith("-")
        else:
            raise ValueError(f"flag {word!r} is unknown (known: {', '.join(sorted((*FLAGS, *DESCRIBE_FLAGS)))})")
    return attributes, overrides


_FIELD_ATTRIBUTES = frozenset(entry.name for entry in dataclass_fields(Field))


def _sizes(kind: str, first: str | None, second: str | None) -> dict[str, int]:
    if kind in TEXT_LENGTHS:
        return {"length": int(first or TEXT_LENGTHS[kind])}
    if kind in NUMBER_SIZES:
        precision, scale = NUMBER_SIZES[kind]
        return {"precision": int(first or precision), "scale": int(second or 0) if first else scale}
    if kind == "int":
        return {"digits": int(first or INT_DIGITS)}
    return {"length": ID_LENGTH} if kind in ("id", "reference") else {}


def _optional_keys(spec: Spec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if spec.get("default") is not None:
        found |= {"default": spec["default"], "defaulted_on_create": True}
    if "values" in spec:
        found["picklist"] = (*_picklist(spec["values"], spec.get("default")), *_inactive(spec.get("inactive") or []))
    if "compound" in spec:
        found["compound"] = spec["compound"]
    if "auto_number" in spec:
        found |= {"auto_number": spec["auto_number"], **FLAGS["required"], **FLAGS["readonly"], **FLAGS["defaulted"]}
    if "formula" in spec:
        found |= {"formula": spec["formula"], **FLAGS["readonly"], **_COMPUTED}
    if "rollup" in spec:
        found |= {"roll_up": _roll_up(spec["rollup"]), **FLAGS["readonly"], **_COMPUTED}
    return found


def _roll_up(given: object) -> RollUp:
    if not isinstance(given, dict):
        raise TypeError(f"rollup must be a mapping, not {given!r}")
    refuse_unknown_keys(given, ROLL_UP_KEYS, "rollup")
    function = str(given.get("function", "COUNT")).upper()
    if function not in ROLL_UP_FUNCTIONS:
        raise ValueError(f"rollup function {function} is none of {', '.join(ROLL_UP_FUNCTIONS)}")
    if (function == "COUNT") == ("field" in given):
        raise ValueError("a rollup that counts reads no field, any other reads one")
    return RollUp(str(given["of"]), str(given["relationship"]), function, given.get("field"), given.get("where"))


def _inactive(given: list[object]) -> Iterator[PicklistValue]:
    return (replace(one, active=False) for one in _picklist_values(given, None))


def _picklist(given: object, default: object) -> tuple[PicklistValue, ...]:
    if not isinstance(given, list):
        raise TypeError(f"values must be a list, not {given!r}")
    values = tuple(_picklist_values(given, default))
    if default is not None and not any(value.default for value in values):
        raise ValueError(f"default {default!r} is none of the values")
    return values


def _picklist_values(entries: list[object], default: object) -> Iterator[PicklistValue]:
    for entry in entries:
        whole = entry if isinstance(entry, dict) and len(entry) > 1 else None
        value, label = _value_and_label(entry)
        if not isinstance(value, str) or not isinstance(label, str):
            raise TypeError(f"picklist value {entry!r} must be text (quote it)")
        more = _value_attributes(whole) if whole else {}
        yield PicklistValue(value, label, **{"default": value == default, **more})


def _value_and_label(entry: object) -> tuple[object, object]:
    if not isinstance(entry, dict) or not entry:
        return entry, entry
    if len(entry) > 1:
        return entry.get("value"), entry.get("label", entry.get("value"))
    return next(iter(entry.items()))


def _value_attributes(entry: Spec) -> dict[str, Any]:
    refuse_unknown_keys(entry, VALUE_KEYS, "picklist value")
    return {key: entry[key] for key in ("active", "default", "valid_for") if key in entry}


def _reference_keys(name: str, spec: Spec, words: list[str]) -> dict[str, object]:
    targets = spec.get("to", ["User"] if "owner" in words else None)
    if targets is None:
        raise ValueError("a reference says `to` which object it points")
    on_delete = spec.get("on_delete", "clear")
    if on_delete not in ON_DELETE:
        raise ValueError(f"on_delete {on_delete!r} is none of {', '.join(ON_DELETE)}")
    return {
        "reference_to": (targets,) if isinstance(targets, str) else tuple(targets),
        "relationship_name": spec["as"] if "as" in spec else _relationship_name(name),
        "child_relationship_name": _child_relationship_name(name, spec.get("children")),
        **ON_DELETE[on_delete],
    }


def _relationship_name(name: str) -> str | None:
    if name.endswith("__c"):
        return f"{name.removesuffix('c')}r"
    return name.removesuffix("Id") if name.endswith("Id") else None


def _child_relationship_name(name: str, children: str | None) -> str | None:
    if children is None or not name.endswith("__c") or children.endswith("__r"):
        return children
    return f"{children}__r"


def label_of(name: str) -> str:
    """The label that Setup would propose: `BillingCity` -> Billing City, `AccountId` -> Account ID."""
    bare = re.sub(r"__[cs]$", "", name)
    if "_" in bare:
        return bare.replace("_", " ")
    return " ".join(_SPELLING.get(word, word) for word in _WORD.findall(bare))


def refuse_unknown_keys(spec: Spec, allowed: frozenset[str], where: str) -> None:
    """Raise ValueError if `spec` has a key that means nothing here."""
    unknown = sorted(str(key) for key in spec if key not in allowed)
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)} (known: {', '.join(sorted(allowed))})")
