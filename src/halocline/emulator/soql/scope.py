"""Which rows a query can see: its object, and the parents that it reaches by relationship names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halocline.emulator import tables
from halocline.emulator.errors import ApiError
from halocline.emulator.objects import Catalog, Field, SObject
from halocline.emulator.soql.ast import FieldPath
from halocline.emulator.soql.refusal import refusal, unexpected

MAX_LEVELS = 5  # SOQL and SOSL Reference, "Understanding Relationship Query Limitations"
# What a polymorphic parent shows, whichever object it is. Source: Object Reference, "Name".
NAME_FIELDS = frozenset(
    {"alias", "email", "firstname", "id", "isactive", "lastname", "lastreferenceddate", "lastvieweddate", "name", "phone"}
    | {"profileid", "recordtypeid", "title", "type", "username", "userroleid"}
)


@dataclass(frozen=True, slots=True)
class Parent:
    """A row reached by a relationship; `targets` are the objects it may be of, each with its SQL alias."""

    path: tuple[str, ...]
    targets: tuple[tuple[SObject, str], ...]
    polymorphic: bool

    @property
    def id_sql(self) -> str:
        """The parent's id, null when there is none."""
        ids = [f"{alias}.Id" for _, alias in self.targets]
        return ids[0] if len(ids) == 1 else f"COALESCE({', '.join(ids)})"

    @property
    def type_sql(self) -> str:
        """The name of the parent's object."""
        cases = "".join(f" WHEN {alias}.Id IS NOT NULL THEN '{sobject.name}'" for sobject, alias in self.targets)
        return f"CASE{cases} END"


@dataclass(frozen=True, slots=True)
class Column:
    """A field found by a path: how SQL reads it, what it is, and its dotted name in canonical case."""

    sql: str
    field: Field
    sobject: SObject
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path starts: an object, the SQL alias of its row, and how it was reached."""

    sobject: SObject
    row: str
    path: tuple[str, ...] = ()


class Scope:
    """The names that one query can use. Looking up a path adds the joins it needs; `from_sql` has them all."""

    def __init__(self, catalog: Catalog, sobject: SObject, *, soql: str, alias: str | None = None, prefix: str = "t") -> None:
        self.sobject = sobject
        self.catalog = catalog
        self.soql = soql
        self.row = f"{prefix}0"
        self._alias = alias
        self._paths: dict[str, tuple[str, ...]] = {}
        self._prefix = prefix
        self._parents: dict[tuple[str, ...], Parent] = {}
        self._joins: list[str] = []
        self._used = 0

    def from_sql(self) -> str:
        """The FROM clause with every join that has been asked for."""
        return " ".join((f"{tables.quoted(self.sobject.name)} AS {self.row}", *self._joins))

    @property
    def relationships(self) -> int:
        """How many different parents have been asked for."""
        return len(self._parents)

    @property
    def joins(self) -> int:
        """How many tables the query reads beside its own."""
        return len(self._joins)

    def name(self, alias: str, path: FieldPath) -> None:
        """Let `alias` (if there is one) stand for a path of relationships, as `FROM Contact c, c.Account a` does.

        Raises: ApiError INVALID_FIELD with the place, for an unknown relationship.
        """
        parts = self._own((*path.parts, ""))[:-1]
        if not parts:
            raise unexpected(self.soql, path.at, path.text)
        self._parent(path, parts, _Place(self.sobject, self.row))
        if alias:
            self._paths[alias.lower()] = parts

    def column(self, path: FieldPath) -> Column:
        """The field that a path names.

        Raises: ApiError INVALID_FIELD with the place, for an unknown field or relationship.
        """
        return self._column(path, self._own(path.parts), _Place(self.sobject, self.row))

    def polymorphic(self, path: FieldPath) -> Parent:
        """The parent of several possible kinds that a path of relationships names.

        Raises: ApiError INVALID_FIELD for an unknown relationship; MALFORMED_QUERY (words unverified) for one of one kind.
        """
        parts = self._own((*path.parts, ""))[:-1]
        if not parts:
            raise self._no_such_relationship(path, path.text)
        parent = self._parent(path, parts, _Place(self.sobject, self.row))
        if not parent.polymorphic:
            raise refusal(self.soql, path.at, f"TYPEOF is only supported on polymorphic relationships: {path.text}")
        return parent

    def typed_column(self, path: FieldPath, parent: Parent, *, kind: str) -> Column:
        """The field that a path names on a polymorphic parent of that kind; its path goes through the kind in parentheses."""
        sobject, row = next((s, row) for s, row in parent.targets if s.name == kind)
        return self._column(path, path.parts, _Place(sobject, row, (*parent.path, f"({kind})")))

    def name_column(self, path: FieldPath, parent: Parent) -> Column:
        """The field that a path names on a polymorphic parent of any kind.

        Raises: ApiError INVALID_FIELD with the place, for a field that the Name object does not have.
        """
        if len(path.parts) > 1:
            raise self._no_such_relationship(path, path.parts[0])
        return self._polymorphic_column(path, parent, path.parts[0])

    def parent(self, path: tuple[str, ...]) -> Parent:
        """The parent that a column's canonical path went through, for a path already looked up."""
        return self._parents[tuple(p.lower() for p in path)]

    def _own(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """The path without the query's own alias or object name in front, and with other aliases written out."""
        first = parts[0].lower()
        if len(parts) == 1:
            return parts
        if first in self._paths:
            return (*self._paths[first], *parts[1:])
        if self._alias and first == self._alias.lower():
            return parts[1:]
        own = first == self.sobject.name.lower() and self.sobject.relationship(first) is None
        return parts[1:] if own else parts

    def _column(self, path: FieldPath, parts: tuple[str, ...], place: _Place) -> Column:
        *relationships, name = parts
        if not relationships:
            field = self._field(path, place.sobject, name)
            return Column(_sql(place.sobject, field, place.row), field, place.sobject, (*place.path, field.name))
        parent = self._parent(path, relationships, place)
        if parent.polymorphic:
            return self._polymorphic_column(path, parent, name)
        sobject, alias = parent.targets[0]
        field = self._field(path, sobject, name)
        return Column(_sql(sobject, field, alias), field, sobject, (*parent.path, field.name))

    def _field(self, path: FieldPath, sobject: SObject, name: str) -> Field:
        field = sobject.field(name)
        if field is None:
            raise no_such_column(self.soql, path.at, name=name, entity=sobject.name)
        return field

    def _parent(self, path: FieldPath, relationships: Sequence[str], place: _Place) -> Parent:
        walked = sum(not part.startswith("(") for part in place.path)
        if walked + len(relationships) > MAX_LEVELS:
            raise refusal(self.soql, path.at, f"SOQL relationships can be at most {MAX_LEVELS} levels deep from child to parent")
        parent: Parent | None = None
        for name in relationships:
            if parent is not None and parent.polymorphic:
                raise self._no_such_relationship(path, name)
            parent = self._step(path, place.sobject, place.row, place.path, name)
            place = _Place(*parent.targets[0], parent.path)
        assert parent is not None
        return parent

    def _step(self, path: FieldPath, sobject: SObject, row: str, walked: tuple[str, ...], name: str) -> Parent:
        key = (*(p.lower() for p in walked), name.lower())
        if key not in self._parents:
            reference = sobject.relationship(name)
            targets = [t for t in (self.catalog.get(n) for n in reference.reference_to) if t] if reference else []
            if reference is None or not targets:
                raise self._no_such_relationship(path, name)
            self._parents[key] = self._join(sobject, row, walked, reference, targets)
        return self._parents[key]

    def _join(self, sobject: SObject, row: str, walked: tuple[str, ...], reference: Field, targets: list[SObject]) -> Parent:
        placed = []
        for target in targets:
            self._used += 1
            alias = f"{self._prefix}{self._used}"
            link = tables.expression(sobject, reference, row)
            self._joins.append(f"LEFT JOIN {tables.quoted(target.name)} AS {alias} ON {alias}.Id = {link}")
            placed.append((target, alias))
        return Parent((*walked, reference.relationship_name or ""), tuple(placed), len(reference.reference_to) > 1)

    def _polymorphic_column(self, path: FieldPath, parent: Parent, name: str) -> Column:
        if name.lower() == "type":
            return Column(parent.type_sql, Field("Type", "string", "Type"), parent.targets[0][0], (*parent.path, "Type"))
        found = [(s, alias, f) for s, alias in parent.targets if (f := _name_field(s, name)) and not f.is_compound]
        common = len(found) == len(parent.targets)
        if not found or not (common or name.lower() in NAME_FIELDS):
            raise no_such_column(self.soql, path.at, name=name, entity="Name")
        pieces = [tables.expression(sobject, field, alias) for sobject, alias, field in found]
        sql = pieces[0] if len(pieces) == 1 else f"COALESCE({', '.join(pieces)})"
        sobject, _, field = found[0]
        shown = "Name" if name.lower() == "name" else field.name
        return Column(sql, field, sobject, (*parent.path, shown))

    def _no_such_relationship(self, path: FieldPath, name: str) -> ApiError:
        return no_such_relationship(self.soql, path.at, name)


def _sql(sobject: SObject, field: Field, row: str) -> str:
    return "NULL" if field.is_compound else tables.expression(sobject, field, row)


def no_such_relationship(soql: str, at: int, name: str) -> ApiError:
    """The refusal of a parent relationship that the object does not have."""
    hint = _hint("custom relationship", "__r", "custom relationship name")
    return refusal(soql, at, f"Didn't understand relationship '{name}' in field path. {hint}", code="INVALID_FIELD")


def no_such_children(soql: str, at: int, name: str) -> ApiError:
    """The refusal of a child relationship that the object does not have."""
    hint = _hint("custom relationship", "__r", "custom relationship name")
    return refusal(soql, at, f"Didn't understand relationship '{name}' in FROM part of query call. {hint}", code="INVALID_TYPE")


def no_such_column(soql: str, at: int, *, name: str, entity: str) -> ApiError:
    """The refusal of a field that the object does not have."""
    message = f"No such column '{name}' on entity '{entity}'. {_hint('custom field', '__c', 'custom field name')}"
    return refusal(soql, at, message, code="INVALID_FIELD")


def no_such_object(soql: str, at: int, name: str) -> ApiError:
    """The refusal of an object that the org does not have."""
    message = f"sObject type '{name}' is not supported. {_hint('custom object', '__c', 'entity name')}"
    return refusal(soql, at, message, code="INVALID_TYPE")


def _hint(what: str, ending: str, name: str) -> str:
    return (
        f"If you are attempting to use a {what}, be sure to append the '{ending}' after the {name}. "
        "Please reference your WSDL or the describe call for the appropriate names."
    )


def _name_field(sobject: SObject, name: str) -> Field | None:
    """The field of that name; an object without a `Name` shows the field that names its records."""
    found = sobject.field(name)
    if found is None and name.lower() == "name":
        return next((f for f in sobject.fields.values() if f.name_field), None)
    return found
