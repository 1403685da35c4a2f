"""What a whole record must satisfy before it is saved: validation rules, duplicate rules, unique values."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from halocline.emulator import formulas, tables
from halocline.emulator.errors import ApiError, duplicate_value
from halocline.emulator.tables import quoted

if TYPE_CHECKING:
    from halocline.emulator.objects import DuplicateRule, Field, SObject, ValidationRule
    from halocline.emulator.store import Check, Store

Row: TypeAlias = Mapping[str, object]


class RuleErrors(ApiError):
    """The validation rules that a record breaks: REST lists them all, APIs with one error a record the first."""

    def __init__(self, broken: Sequence[ValidationRule]) -> None:
        first = broken[0]
        super().__init__(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", first.message, fields=_fields_of(first))
        self._broken = tuple(broken)

    def body(self) -> list[dict[str, object]]:
        """One entry for each rule."""
        return [{"message": r.message, "errorCode": self.code, "fields": list(_fields_of(r))} for r in self._broken]


class DuplicatesDetected(ApiError):
    """A duplicate rule found records like this one; the REST answer says which.
    Source: SOAP API Developer Guide, "DuplicateResult"; shape as in public recordings of REST answers.
    """

    def __init__(self, sobject: SObject, rule: DuplicateRule, *, record_ids: Sequence[str], version: str) -> None:
        super().__init__(400, "DUPLICATES_DETECTED", rule.message, fields=())
        self._result: dict[str, object] = {
            "allowSave": rule.allow_save,
            "duplicateRule": rule.name,
            "duplicateRuleEntityType": sobject.name,
            "errorMessage": rule.message,
            "matchResults": [_match_result(sobject, rule, record_ids, version)],
        }

    def body(self) -> list[dict[str, object]]:
        """The error with its `duplicateResult`."""
        return [{"duplicateResult": self._result, "errorCode": self.code, "message": self.message}]


@dataclass(frozen=True, slots=True)
class Insistence:
    """How a writer treats duplicates: whether it saves what a rule allows to be saved, and the version its answers are in.
    Source: REST API Developer Guide, "Duplicate Rule Header", `allowSave`.
    """

    allow_save: bool = False
    version: str = "67.0"


@dataclass(frozen=True, slots=True)
class _Guard:
    """An object's rules, ready to run; `conditions` is the SELECT of all validation rules over one row of parameters."""

    sobject: SObject
    columns: tuple[str, ...]
    conditions: str
    unique: tuple[Field, ...]


class Rules:
    """The rules of every object of one store. `unique` and `duplicates` False switch these kinds off.

    Raises: ValueError for a validation rule whose condition SQLite does not understand.
    """

    def __init__(self, store: Store, *, unique: bool = True, duplicates: bool = True) -> None:
        self._store = store
        self._duplicates = duplicates
        found = ((sobject.name, _guard(store, sobject, unique=unique)) for sobject in store.catalog)
        self._guards = {name: guard for name, guard in found if guard is not None}
        self._saved: set[object] | None = None  # the records of the save under way that duplicate rules have looked at

    def check(self, sobject: SObject, *, record_id: str | None, insistence: Insistence) -> Check | None:
        """What looks at the row of a record before it is written (`record_id` None for a new one); None if nothing has to.

        It raises RuleErrors, DuplicatesDetected, or ApiError(400, DUPLICATE_VALUE), in this order.
        Source: Apex Developer Guide, "Triggers and Order of Execution": validation rules, then duplicate rules, then the save.
        """
        guard = self._guards.get(sobject.name)
        if guard is None:
            return None

        def checked(row: Row, changed: Collection[str]) -> None:
            if guard.conditions:
                self._validate(guard, row)
            if self._duplicates:
                self._deduplicate(guard, row, changed=changed, record_id=record_id, insistence=insistence)
                if self._saved is not None:
                    self._saved.add(row["Id"])
            for field in guard.unique:
                if field.name in changed or record_id is None:
                    self._check_unique(guard.sobject, field, row.get(field.name), record_id)

        return checked

    @contextmanager
    def one_save(self) -> Iterator[None]:
        """What is written until the block ends is saved at once. Nobody else writes meanwhile.

        Source: Salesforce Help, "Things to Know About Duplicate Rules": records within the same save are not compared with each
        other, only with those already in Salesforce; quoted in salesforce.stackexchange.com/questions/118979.
        """
        before, self._saved = self._saved, set()
        try:
            yield
        finally:
            self._saved = before

    def check_return(self, sobject: SObject, record_id: str) -> None:
        """Look at a record that is about to leave the recycle bin.
        Raises: ApiError(400, DUPLICATE_VALUE) if a live one has its unique value by now (unverified).
        """
        guard = self._guards.get(sobject.name)
        row = self._store.get(sobject, record_id) or {}
        for field in guard.unique if guard else ():
            self._check_unique(sobject, field, row.get(field.name), record_id)

    def _validate(self, guard: _Guard, row: Row) -> None:
        results = self._store.read(guard.conditions, [row.get(name) for name in guard.columns])[0]
        broken = [rule for rule, wrong in zip(guard.sobject.validation_rules, results, strict=True) if wrong]
        if broken:
            raise RuleErrors(broken)

    def _deduplicate(
        self, guard: _Guard, row: Row, *, changed: Collection[str], record_id: str | None, insistence: Insistence
    ) -> None:
        for rule in guard.sobject.duplicate_rules:
            looked_at = record_id is None or any(name in changed for name in rule.fields)
            if looked_at and not (rule.allow_save and insistence.allow_save):
                found = self._alike(guard.sobject, rule, row, record_id)
                if found:
                    raise DuplicatesDetected(guard.sobject, rule, record_ids=found, version=insistence.version)

    def _alike(self, sobject: SObject, rule: DuplicateRule, row: Row, record_id: str | None) -> list[str]:
        values = [row.get(name) for name in rule.fields]
        if any(value is None for value in values):
            return []
        live = " AND IsDeleted = 0" if sobject.field("IsDeleted") else ""
        alike = " AND ".join(f"{quoted(name)} = ?" for name in rule.fields)
        sql = f"SELECT Id FROM {quoted(sobject.name)} WHERE {alike}{live} AND Id IS NOT ? ORDER BY rowid"
        found = (one for (one,) in self._store.read(sql, (*values, record_id)))
        return [one for one in found if one not in (self._saved or ())]

    def _check_unique(self, sobject: SObject, field: Field, value: object, record_id: str | None) -> None:
        """Records in the recycle bin do not count (unverified), nor does the record itself, whoever writes it just then: in
        Salesforce the second write waits for the first one's lock, and is made. The id in the message has 15 characters in
        public recordings.
        """
        if value is None:
            return
        holders = [
            *self._store.ids_with(sobject, field, value=value),
            self._store.transactions.holder(sobject, field, value=value),
        ]
        other = next((one for one in holders if one not in (None, record_id)), None)
        if other is not None:
            raise duplicate_value(field.name, other[:15])


def _guard(store: Store, sobject: SObject, *, unique: bool) -> _Guard | None:
    fields = tuple(f for f in tables.columns(sobject) if f.unique) if unique else ()
    if not (fields or sobject.validation_rules or sobject.duplicate_rules):
        return None
    for name in sorted({name for rule in sobject.duplicate_rules for name in rule.fields}):
        field = sobject.field(name)
        if field is not None and tables.has_column(field):
            store.ensure_index(sobject, field)
    columns = tuple(f.name for f in tables.columns(sobject))
    return _Guard(sobject, columns, _conditions(store, sobject, columns), fields)


def _conditions(store: Store, sobject: SObject, columns: tuple[str, ...]) -> str:
    """One SELECT of every rule's condition over a row of parameters, so that a rule sees the record before it is written."""
    if not sobject.validation_rules:
        return ""
    row = ", ".join(f"? AS {quoted(name)}" for name in columns)
    found = []
    for rule in sobject.validation_rules:
        try:
            condition = formulas.expression(store.catalog, sobject, text=rule.condition, row="t")
            store.read(f"SELECT {condition} FROM (SELECT {row}) AS t", [None] * len(columns))
        except (ValueError, sqlite3.Error) as reason:
            raise ValueError(f"{sobject.name}: validation rule {rule.name}: {reason}") from reason
        found.append(condition)
    return f"SELECT {', '.join(found)} FROM (SELECT {row}) AS t"


def _fields_of(rule: ValidationRule) -> tuple[str, ...]:
    return () if rule.field is None else (rule.field,)


def _match_result(sobject: SObject, rule: DuplicateRule, record_ids: Sequence[str], version: str) -> dict[str, object]:
    def match(record_id: str) -> dict[str, object]:
        url = f"/services/data/v{version}/sobjects/{sobject.name}/{record_id}"
        record = {"attributes": {"type": sobject.name, "url": url}, "Id": record_id}
        return {"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": record}

    return {
        "entityType": sobject.name,
        "errors": [],
        "matchEngine": "ExactMatchEngine",
        "matchRecords": [match(one) for one in record_ids],
        "rule": rule.name,
        "size": len(record_ids),
        "success": True,
    }
