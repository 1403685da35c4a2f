"""Schemas from YAML: the packaged standard objects, and the custom objects and fields that a user adds.

A file holds one or more YAML documents, one per sObject:

    object: Invoice__c            # an object that exists already gains the fields; a new one is made
    label: Invoice
    plural: Invoices
    prefix: a07                   # optional for custom objects: the next free one from a00
    name: {label: Invoice Number, auto_number: "INV-{0000}"}     # the Name field of a new custom object; default text(80)
    flags: -feedEnabled bulkQueryable                            # booleans of the object's describe; a minus clears one
    scopes: {everything: All invoices}                           # supportedScopes
    urls: {fancy: "{ID}/fancy", listviews: null}                 # urls besides the usual ones; null leaves one out
    record_types: false                                          # no recordTypeInfos; otherwise the Master
    fields:
      Amount__c: currency(16,2) required                         # type(length or precision,scale) and flags
      Account__c: {type: reference, to: Account, children: Invoices, on_delete: restrict}
      Status__c: {type: picklist restricted, default: Draft, values: [Draft, {sent: Sent to customer}]}
      Total__c: {type: "currency(16,2)", formula: "Amount__c * 1.2", describe: {calculatedFormula: Amount__c * 1.2}}

Types are those of describe, with their sizes: `string(80)`, `double(18,2)`, `int(9)`. `address` and `location` stand for the
compound field and its components, `audit` for the five audit fields, `viewed` for the two "last viewed" fields.
Flags: `required readonly createonly updateonly defaulted unique external case_sensitive name restricted master owner`, or
any boolean key of describe (`idLookup`, `-permissionable`). Further keys: `label`, `to` (object or objects of a reference),
`as` (relationship name; default: the name without `Id`, or `__r`), `children` (relationship name seen from the parent),
`on_delete` (`cascade`, `restrict`, `clear`), `compound`, `values` (a list, or `$name` of `_values.yaml`), `default`,
`formula` (an SQL expression over the same row), `auto_number`, `describe` (describe keys that differ from what the type implies).
A custom object gains Id, OwnerId (unless it has a master), IsDeleted, Name, audit and "last viewed" fields of itself.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from halocline.emulator.field_specs import Spec, fields_of, label_of, refuse_unknown_keys
from halocline.emulator.objects import Catalog, Field, SObject

OBJECT_KEYS = frozenset(["object", "label", "plural", "prefix", "name", "flags", "scopes", "urls", "record_types", "fields"])
OBJECT_ATTRIBUTES = {
    "queryable": "queryable",
    "replicateable": "replicateable",
    "deletable": "deletable",
    "bulkQueryable": "bulk_queryable",
}


def load_catalog(extra: Sequence[Path] = ()) -> Catalog:
    """The packaged standard objects with the custom objects and fields of the `extra` YAML files, in order of name.

    Raises: ValueError naming file, object and field when a file says something that no org could hold.
    """
    sobjects = dict(_standard_objects())
    for path in extra:
        _add_file(sobjects, path.read_text(encoding="utf-8"), str(path))
    return Catalog([sobjects[name] for name in sorted(sobjects)])


@functools.cache
def _standard_objects() -> Mapping[str, SObject]:
    # Cached: parsing the packaged files takes longer than most tests, and the values are frozen.
    sobjects: dict[str, SObject] = {}
    folder = resources.files("halocline.emulator") / "schemas"
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml") and not entry.name.startswith("_"):
            _add_file(sobjects, entry.read_text(encoding="utf-8"), entry.name)
    return sobjects


@functools.cache
def _shared_picklists() -> Mapping[str, list[object]]:
    text = (resources.files("halocline.emulator") / "schemas" / "_values.yaml").read_text(encoding="utf-8")
    return _documents(text)[0]


def _add_file(sobjects: dict[str, SObject], text: str, source: str) -> None:
    """Add every document of one file to `sobjects`; errors gain the file's name."""
    try:
        for spec in _documents(text):
            _add_object(sobjects, spec)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{source}: {error}") from error


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, where a key given twice is an error and not the last one's victory."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"line {node.start_mark.line + 1}: {twice} is given twice")
        return super().construct_mapping(node, deep=deep)


def _documents(text: str) -> list[dict[str, Any]]:
    documents = [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    if not all(isinstance(document, dict) for document in documents):
        raise ValueError("every document must be a mapping")
    return documents


def _add_object(sobjects: dict[str, SObject], spec: Spec) -> None:
    name = str(spec.get("object") or "")
    if not name:
        raise ValueError("a document without `object: Name`")
    refuse_unknown_keys(spec, OBJECT_KEYS, name)
    known = next((key for key in sobjects if key.lower() == name.lower()), None)
    if known is None:
        sobjects[name] = _new_object(name, spec, _used_prefixes(sobjects))
    else:
        sobjects[known] = _extended(sobjects[known], spec)


def _used_prefixes(sobjects: Mapping[str, SObject]) -> frozenset[str]:
    return frozenset(sobject.key_prefix for sobject in sobjects.values())


def _new_object(name: str, spec: Spec, used: frozenset[str]) -> SObject:
    custom = name.endswith("__c")
    label = str(spec.get("label") or label_of(name))
    specs = _custom_field_specs(spec, label) if custom else spec.get("fields") or {}
    attributes, overrides = _object_flags(str(spec.get("flags") or ""), name)
    return SObject(
        name=name,
        label=label,
        label_plural=str(spec.get("plural") or f"{label}s"),
        key_prefix=_prefix(spec.get("prefix"), name, used),
        fields=_fields(name, specs),
        custom=custom,
        overrides={**overrides, **_object_extras(spec)},
        **attributes,
    )


def _extended(sobject: SObject, spec: Spec) -> SObject:
    """The object with the fields of `spec` behind its own."""
    allowed = frozenset({"object", "fields"})
    refuse_unknown_keys(spec, allowed, f"{sobject.name} exists already and can only gain fields")
    added = _fields(sobject.name, spec.get("fields") or {})
    for key, field in added.items():
        if key in sobject.fields:
            raise ValueError(f"{sobject.name}.{field.name}: the field exists already")
        if not field.custom:
            raise ValueError(f"{sobject.name}.{field.name}: the name of an added field ends in __c")
    return replace(sobject, fields={**sobject.fields, **added})


def _prefix(given: object, name: str, used: frozenset[str]) -> str:
    if given is None and not name.endswith("__c"):
        raise ValueError(f"{name}: a standard object needs its key `prefix`")
    prefix = str(given) if given is not None else _free_prefix(used)
    if not re.fullmatch(r"[0-9A-Za-z]{3}", prefix):
        raise ValueError(f"{name}: prefix {prefix!r} is not three letters or digits")
    if prefix in used:
        raise ValueError(f"{name}: prefix {prefix!r} is taken")
    return prefix


def _free_prefix(used: frozenset[str]) -> str:
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    pairs = itertools.product(alphabet, repeat=2)
    return next(prefix for first, second in pairs if (prefix := f"a{first}{second}") not in used)


def _object_flags(words: str, name: str) -> tuple[dict[str, bool], dict[str, bool]]:
    """Attributes of SObject, and describe keys that differ from the usual."""
    attributes: dict[str, bool] = {}
    overrides: dict[str, bool] = {}
    for word in words.split():
        key = word.lstrip("-")
        if not re.fullmatch(r"[a-z]\w+", key):
            raise ValueError(f"{name}: flag {word!r} is no key of describe")
        target = attributes if key in OBJECT_ATTRIBUTES else overrides
        target[OBJECT_ATTRIBUTES.get(key, key)] = not word.startswith("-")
    return attributes, overrides


def _object_extras(spec: Spec) -> dict[str, object]:
    extras: dict[str, object] = {}
    if "scopes" in spec:
        extras["supportedScopes"] = [{"label": label, "name": name} for name, label in spec["scopes"].items()]
    if spec.get("record_types", True) is False:
        extras["recordTypeInfos"] = []
    if "urls" in spec:
        extras["urls"] = dict(spec["urls"])
    return extras


def _custom_field_specs(spec: Spec, label: str) -> dict[str, object]:
    """The fields that every custom object has, around those of its file."""
    own = dict(spec.get("fields") or {})
    has_master = any("master" in _type_words(field) for field in own.values())
    owner = {} if has_master else {"OwnerId": {"type": "reference owner", "to": ["Group", "User"]}}
    return {
        "Id": {"type": "id", "label": "Record ID"},
        **owner,
        "IsDeleted": {"type": "boolean readonly", "label": "Deleted"},
        "Name": _custom_name_spec(spec.get("name") or {}, label),
        "Audit": "audit",
        "Viewed": "viewed",
        **own,
    }


def _type_words(field: object) -> list[str]:
    return str(field.get("type") if isinstance(field, dict) else field).split()


def _custom_name_spec(given: Spec, label: str) -> dict[str, object]:
    words = "name idLookup" if "auto_number" in given else "name idLookup defaulted"
    return {"type": f"string(80) {words}", "label": f"{label} Name", **given}


def _fields(sobject: str, specs: Mapping[str, object]) -> dict[str, Field]:
    return fields_of(sobject, {name: _with_shared_values(sobject, name, spec) for name, spec in specs.items()})


def _with_shared_values(sobject: str, name: str, spec: object) -> object:
    """The spec with `values: $name` replaced by the shared picklist of that name."""
    values = spec.get("values") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(values, str):
        return spec
    shared = _shared_picklists().get(values.removeprefix("$"))
    if shared is None or not values.startswith("$"):
        raise ValueError(f"{sobject}.{name}: values {values!r} is neither a list nor the $name of a shared picklist")
    return {**spec, "values": shared}
