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
    describe: {associateEntityType: Share}                       # other keys of the object's describe
    record_types: false                                          # no recordTypeInfos; otherwise the Master and those listed
    records: 100                                                 # made when an emulator starts that has none of the object yet
    complete: true                                               # `fields` are all there are; an object of that name is replaced
    validation_rules: [...]                                      # these and `duplicate_rules`: see `rule_specs.py`
    fields:
      Amount__c: currency(16,2) required                         # type(length or precision,scale) and flags
      Account__c: {type: reference, to: Account, children: Invoices, on_delete: restrict}
      Status__c: {type: picklist restricted, default: Draft, values: [Draft, {sent: Sent to customer}]}
      Old__c: {type: picklist restricted, values: [Yes, No], inactive: [Perhaps]}
      Lines__c: {type: "double(18,0)", rollup: {of: Line__c, relationship: Invoice__c, function: COUNT, where: "Amount__c > 0"}}
      Total__c: {type: "currency(16,2)", formula: "Amount__c * 1.2", describe: {calculatedFormula: Amount__c * 1.2}}

Types are those of describe, with their sizes: `string(80)`, `double(18,2)`, `int(9)`. `address` and `location` stand for the
compound field and its components, `audit` for the five audit fields, `viewed` for the two "last viewed" fields.
Flags: `required readonly createonly updateonly defaulted unique external case_sensitive name restricted master owner`, or
any boolean key of describe (`idLookup`, `-permissionable`). Further keys: `label`, `to` (object or objects of a reference),
`as` (relationship name; default: the name without `Id`, or `__r`), `children` (relationship name seen from the parent),
`on_delete` (`cascade`, `restrict`, `clear`), `compound`, `values` (a list, or `$name` of `_values.yaml`), `inactive` (picklist
values that are no longer offered; in `values` itself such a one is `{value: a, label: A, active: false}`, and `default: true`
or `valid_for: gAAA`, the values of the controlling field, may stand there as well), `default`, `formula` (an SQL expression
over the row and its parents, as in `Qty__c * Item__r.Price__c`), `rollup` (COUNT, SUM, MIN or MAX over detail records, of the
`field` named), `auto_number`, `describe` (describe keys that differ from what the type implies). An object with record types
gains RecordTypeId. A custom object gains Id, OwnerId (unless it has a master), IsDeleted, Name, audit and "last viewed" fields
of itself.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from halocline.emulator.field_specs import Spec, exact_fields_of, fields_of, label_of, refuse_unknown_keys
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.rule_specs import RULE_KEYS, rules_of

_SHOWN_KEYS = frozenset({"label", "plural", "prefix", "name", "flags", "scopes", "urls", "describe"})
_KEYS = frozenset({"object", "fields", "records", *RULE_KEYS})  # what may be said of an object that exists already
OBJECT_KEYS = frozenset({"complete", *_SHOWN_KEYS, *_KEYS})
OBJECT_ATTRIBUTES = {
    "queryable": "queryable",
    "replicateable": "replicateable",
    "deletable": "deletable",
    "bulkQueryable": "bulk_queryable",
    "custom": "custom",
}


def load_catalog(extra: Sequence[Path] = ()) -> Catalog:
    """The packaged standard objects with the objects and fields of the `extra` YAML files, in order of name.

    A folder stands for the `*.yaml` files in it.

    Raises: ValueError naming file, object and field when a file says something that no org could hold.
    """
    sobjects = dict(_standard_objects())
    for path in _files(extra):
        _add_file(sobjects, path.read_text(encoding="utf-8"), str(path))
    return Catalog([sobjects[name] for name in sorted(sobjects)])


def objects_of(extra: Sequence[Path]) -> dict[str, int]:
    """The objects that the `extra` files define or add to, as written there, and how many records each starts with.

    The files must be good for `load_catalog`. Where they say nothing, it is none.
    """
    found: dict[str, int] = {}
    for path in _files(extra):
        for spec in _documents(path.read_text(encoding="utf-8")):
            name = str(spec["object"])
            found[name] = int(spec.get("records", found.get(name, 0)))
    return found


def _files(extra: Sequence[Path]) -> Iterator[Path]:
    """The files themselves, and for a folder the YAML files in it, by name. Raises: ValueError for a folder without any."""
    for path in extra:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"{path}: there is no *.yaml file in this folder")
        yield from files


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


# Written in C where PyYAML has it: an imported org may have a thousand files.
_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SAFE):  # type: ignore[misc]  # which of the two is known at run time only
    """YAML's safe subset, where a key given twice is an error and not the last one's victory."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"line {node.start_mark.line + 1}: {twice} is given twice")
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


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
    _check_records(name, spec.get("records", 0))
    if not isinstance(spec.get("complete", False), bool):
        raise ValueError(f"{name}: complete is true or false, not {spec['complete']!r}")  # noqa: TRY004  # a mistake in a file
    known = next((key for key in sobjects if key.lower() == name.lower()), None)
    if spec.get("complete") is True and known is not None:
        del sobjects[known]
        known = None
    if known is None:
        sobjects[name] = _new_object(name, spec, _used_prefixes(sobjects))
    else:
        sobjects[known] = _extended(sobjects[known], spec)


def _check_records(name: str, given: object) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError(f"{name}: records {given!r} is not a number from 0 up")


def _used_prefixes(sobjects: Mapping[str, SObject]) -> frozenset[str]:
    return frozenset(sobject.key_prefix for sobject in sobjects.values())


def _new_object(name: str, spec: Spec, used: frozenset[str]) -> SObject:
    label = str(spec.get("label") or label_of(name))
    attributes, overrides = _object_flags(str(spec.get("flags") or ""), name)
    fields = _new_fields(name, spec, label)
    return SObject(
        name=name,
        label=label,
        label_plural=str(spec.get("plural") or f"{label}s"),
        key_prefix=_prefix(spec.get("prefix"), name, used),
        fields=fields,
        overrides={**overrides, **_object_extras(spec)},
        **rules_of(name, spec, fields=fields),
        **{"custom": name.endswith("__c"), **attributes},
    )


def _new_fields(name: str, spec: Spec, label: str) -> dict[str, Field]:
    specs = spec.get("fields") or {}
    if spec.get("complete") is True:
        fields = exact_fields_of(name, specs)
        if "id" not in fields:
            raise ValueError(f"{name}: a complete object has a field Id")
        return fields
    specs = _custom_field_specs(spec, label) if name.endswith("__c") else specs
    return {**_fields(name, specs), **_record_type_field(name, spec, specs)}


def _extended(sobject: SObject, spec: Spec) -> SObject:
    """The object with the fields, rules and record types of `spec` behind its own."""
    refuse_unknown_keys(spec, _KEYS, f"{sobject.name} exists already and can only gain fields, rules and record types")
    added = _fields(sobject.name, spec.get("fields") or {})
    for key, field in added.items():
        if key in sobject.fields:
            raise ValueError(f"{sobject.name}.{field.name}: the field exists already")
        if not field.custom:
            raise ValueError(f"{sobject.name}.{field.name}: the name of an added field ends in __c")
    fields = {**sobject.fields, **added, **_record_type_field(sobject.name, spec, sobject.fields)}
    gained: dict[str, Any] = rules_of(sobject.name, spec, fields=fields)
    together: dict[str, Any] = {key: (*getattr(sobject, key), *more) for key, more in gained.items()}
    return replace(sobject, fields=fields, **together)


def _record_type_field(sobject: str, spec: Spec, present: Mapping[str, object]) -> dict[str, Field]:
    """The reference that an object gains with its first record type."""
    wanted = isinstance(spec.get("record_types"), list) and "recordtypeid" not in {name.lower() for name in present}
    field = {"RecordTypeId": {"type": "reference", "label": "Record Type ID", "to": "RecordType"}}
    return _fields(sobject, field) if wanted else {}


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


def _object_flags(words: str, name: str) -> tuple[dict[str, Any], dict[str, bool]]:
    """Attributes of SObject, and describe keys that differ from the usual."""
    attributes: dict[str, Any] = {}
    overrides: dict[str, bool] = {}
    for word in words.split():
        key = word.lstrip("-")
        if not re.fullmatch(r"[a-z]\w+", key):
            raise ValueError(f"{name}: flag {word!r} is no key of describe")
        target = attributes if key in OBJECT_ATTRIBUTES else overrides
        target[OBJECT_ATTRIBUTES.get(key, key)] = not word.startswith("-")
    return attributes, overrides


def _object_extras(spec: Spec) -> dict[str, object]:
    extras: dict[str, object] = dict(spec.get("describe") or {})
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
