"""An object's rules and record types as schema files write them.

    validation_rules:
      - {name: Amount_positive, condition: "Amount__c < 0", message: The amount must not be negative., field: Amount__c}
    duplicate_rules:
      - {name: Same_mail, fields: [Email], action: allow}         # allow: may be saved by those who insist; block: by nobody
    record_types:
      - {name: Partner, developer_name: Partner, default: true, active: true, description: Those who sell}
      - {name: Old, id: 012000000000001AAA, available: false}      # default: an id made of the name; what is active is available

`condition` is an SQL expression over the row, as in formulas, that is true for a wrong record.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

from halocline.emulator.field_specs import Spec, refuse_unknown_keys
from halocline.emulator.ids import is_valid, record_id, to_18
from halocline.emulator.objects import DuplicateRule, Field, RecordType, ValidationRule

RULE_KEYS = frozenset({"validation_rules", "duplicate_rules", "record_types"})
RECORD_TYPE_PREFIX = "012"
_ACTIONS = ("allow", "block")


def rules_of(name: str, spec: Spec, *, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The attributes of the object `name` that its rules and record types make.
    Raises: ValueError naming object and rule for one that means nothing.
    """
    given = spec.get("record_types")
    return {
        "validation_rules": tuple(_validation_rule(name, one, fields) for one in spec.get("validation_rules") or ()),
        "duplicate_rules": tuple(_duplicate_rule(name, one, fields) for one in spec.get("duplicate_rules") or ()),
        "record_types": _record_types(name, given if isinstance(given, list) else []),
    }


def _validation_rule(sobject: str, spec: Spec, fields: Mapping[str, Field]) -> ValidationRule:
    where = _where(sobject, spec, ("name", "condition", "message"), ("field",))
    field = spec.get("field")
    return ValidationRule(
        name=str(spec["name"]),
        condition=str(spec["condition"]),
        message=str(spec["message"]),
        field=None if field is None else _known(where, field, fields),
    )


def _duplicate_rule(sobject: str, spec: Spec, fields: Mapping[str, Field]) -> DuplicateRule:
    where = _where(sobject, spec, ("name", "fields"), ("action", "message"))
    action = spec.get("action", "allow")
    if action not in _ACTIONS:
        raise ValueError(f"{where}: action {action!r} is none of {', '.join(_ACTIONS)}")
    compared = tuple(_known(where, name, fields) for name in spec["fields"])
    message = {"message": str(spec["message"])} if "message" in spec else {}
    return DuplicateRule(str(spec["name"]), compared, allow_save=action == "allow", **message)


def _record_types(sobject: str, specs: list[Spec]) -> tuple[RecordType, ...]:
    found = tuple(_record_type(sobject, spec) for spec in specs)
    if sum(one.default for one in found) > 1:
        raise ValueError(f"{sobject}: more than one record type is the default")
    return found


def _record_type(sobject: str, spec: Spec) -> RecordType:
    where = _where(sobject, spec, ("name",), ("developer_name", "description", "active", "default", "available", "id"))
    name = str(spec["name"])
    developer_name = str(spec.get("developer_name") or re.sub(r"\W+", "_", name))
    return RecordType(
        id=_record_type_id(where, spec, f"{sobject}.{developer_name}"),
        name=name,
        developer_name=developer_name,
        description=spec.get("description"),
        active=bool(spec.get("active", True)),
        default=bool(spec.get("default", False)),
        available=bool(spec.get("available", spec.get("active", True))),
    )


def _record_type_id(where: str, spec: Spec, full_name: str) -> str:
    if "id" not in spec:
        # Made of the name, so that it stays the same whatever else the schema files say.
        return record_id(RECORD_TYPE_PREFIX, zlib.crc32(full_name.lower().encode()))
    given = str(spec["id"])
    if not is_valid(given) or not given.startswith(RECORD_TYPE_PREFIX):
        raise ValueError(f"{where}: id {given!r} is not that of a record type")
    return to_18(given)


def _where(sobject: str, spec: Spec, needed: tuple[str, ...], optional: tuple[str, ...]) -> str:
    """How errors call the rule, once it has every key that it needs and none that means nothing."""
    if not isinstance(spec, Mapping):
        raise ValueError(f"{sobject}: expected a mapping, not {spec!r}")  # noqa: TRY004  # a mistake in a file, as any other
    where = f"{sobject}: rule or record type {spec.get('name')}"
    refuse_unknown_keys(spec, frozenset((*needed, *optional)), where)
    missing = [key for key in needed if not spec.get(key)]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} is missing")
    return where


def _known(where: str, name: object, fields: Mapping[str, Field]) -> str:
    found = fields.get(str(name).lower())
    if found is None:
        raise ValueError(f"{where}: there is no field {name}")
    return found.name
