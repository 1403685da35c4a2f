"""How an sObject is laid out in SQLite: its columns, their affinity and collation, its indexes."""

from __future__ import annotations

from collections.abc import Iterator

from halocline.emulator.objects import Field, SObject

INTEGER_TYPES = frozenset({"int", "long", "boolean"})
REAL_TYPES = frozenset({"double", "currency", "percent"})
# Text that is compared letter by letter; all other text is compared without regard to case.
EXACT_TYPES = frozenset({"id", "reference", "date", "datetime", "time", "base64"})
# Salesforce indexes these on every object. CreatedDate and LastModifiedDate are indexed on first use here, to keep seeding fast.
# Source: Salesforce "Best Practices for Deployments with Large Data Volumes", section "Indexes".
LAZY_INDEXES = frozenset({"CreatedDate", "LastModifiedDate"})

ROW = "\x1f"  # stands in `Field.sql` for the alias of the row that is read


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def has_column(field: Field) -> bool:
    """Whether the field's value is kept; compounds are made of others, formulas and roll-ups are computed when read."""
    return not field.is_compound and not (field.calculated and field.formula) and field.roll_up is None


def columns(sobject: SObject) -> list[Field]:
    """The fields that have a column, in describe order."""
    return [f for f in sobject.stored_fields() if has_column(f)]


def affinity(field: Field) -> str:
    """The SQLite type that keeps the field's values as they are."""
    if field.type in INTEGER_TYPES:
        return "INTEGER"
    return "REAL" if field.type in REAL_TYPES else "TEXT"


def is_caseless(field: Field) -> bool:
    """Whether the field's text is compared without regard to case.

    Source: SOQL and SOSL Reference, "Comparison Operators": case-sensitive only for unique case-sensitive fields.
    """
    return affinity(field) == "TEXT" and field.type not in EXACT_TYPES and not field.case_sensitive


def is_caseless_key(field: Field) -> bool:
    """Whether a value finds the records that have it in any case of letters, where the field is the key of an upsert or a lookup.

    Source: SOAP API Developer Guide, upsert(): "Matching by external ID is case-insensitive only if the external ID field has the
    Unique attribute" and treats "ABC" and "abc" as duplicate values; Apex Developer Guide, "Upserting Records", says the same of
    custom fields. Standard fields, and lookups by such a key, are said nothing of: unverified. Read November 2026.
    """
    return is_caseless(field) and (field.unique or not (field.external_id and field.custom))


def key_condition(field: Field, column: str, *, value: str) -> str:
    """The SQL that is true where a key finds the record; both comparisons, for the index knows no case."""
    found = f"{column} = {value}"
    return found if is_caseless_key(field) or not is_caseless(field) else f"{found} AND {found} COLLATE BINARY"


def column_definition(field: Field) -> str:
    """The column's part of CREATE TABLE or ALTER TABLE."""
    definition = f"{quoted(field.name)} {affinity(field)}"
    return definition + " COLLATE NOCASE" if is_caseless(field) else definition


def stamp_field(sobject: SObject) -> str | None:
    """The column that moves whenever a record is changed or deleted; None if the object has no such field."""
    return next((name for name in ("SystemModstamp", "LastModifiedDate", "CreatedDate") if sobject.field(name)), None)


def table_statement(sobject: SObject) -> str:
    """The CREATE TABLE of an sObject."""
    return f"CREATE TABLE {quoted(sobject.name)} ({', '.join(column_definition(f) for f in columns(sobject))})"


def index_statements(sobject: SObject) -> Iterator[tuple[str, str]]:
    """Name and CREATE INDEX of every index that exists from the start."""
    yield _index(sobject, ("Id",), unique=True)
    if sobject.field("SystemModstamp"):
        # IsDeleted rides along, so that counting a window never touches the table.
        deleted = ("IsDeleted",) if sobject.field("IsDeleted") else ()
        yield _index(sobject, ("SystemModstamp", *deleted))
    for field in columns(sobject):
        looked_up = field.external_id or field.unique or field.overrides.get("idLookup") is True
        if looked_up and field.name != "Id":
            yield _index(sobject, (field.name,))


def lazy_index_statement(sobject: SObject, field: Field) -> tuple[str, str]:
    """Name and CREATE INDEX of an index that is made when a query first needs it."""
    return _index(sobject, (field.name,))


def expression(sobject: SObject, field: Field, alias: str) -> str:
    """The SQL that reads the field from the row called `alias`; formulas and roll-ups are written out.

    Raises: ValueError for a computed field of an object that no store holds.
    """
    if has_column(field):
        return f"{alias}.{quoted(field.name)}"
    if field.sql is None:
        raise ValueError(f"{sobject.name}.{field.name} is computed, and its object is in no store")
    return field.sql.replace(ROW, alias)


def _index(sobject: SObject, names: tuple[str, ...], *, unique: bool = False) -> tuple[str, str]:
    name = f"{sobject.name}_by_{'_'.join(names)}"
    kind = "UNIQUE INDEX" if unique else "INDEX"
    listed = ", ".join(quoted(n) for n in names)
    return name, f"CREATE {kind} IF NOT EXISTS {quoted(name)} ON {quoted(sobject.name)} ({listed})"
