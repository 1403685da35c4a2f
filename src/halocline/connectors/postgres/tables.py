"""Table: a table as it stands in the database, what a plan wants of it, and where both differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halocline import standing_table
from halocline.connector import Plan, Target
from halocline.connectors.postgres.client import Cursor, Database, lowered, one, rows
from halocline.connectors.postgres.types import holds, sql_type, stored_type
from halocline.errors import FixConfig, NotFound
from halocline.mapping.near import near
from halocline.schema import Column, Schema
from halocline.standard_sql import quoted
from halocline.versions import COLUMNS, refuse_other_kind

FULL_SYNC = "Run a full sync (--full, force_full_sync=True; for a flow's table `mode: replace`), which builds the table anew."
CAPITALS = "A load writes names in lower case (docs/postgres.md, Names): rename it there, or load into a table of its own."
_INSTANT = sql_type(COLUMNS[0])
_LEDGER = frozenset({"migrations", "leases", "runs", "intents", "rejections"})  # tables that no other schema has all of
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index", "c": "a type"}


@dataclass(frozen=True, slots=True)
class Table(standing_table.OneCaseTable):
    """A table in the database: `columns` maps its names to types; None where it does not exist.

    `unique` holds, for each unique index that an `ON CONFLICT` can name, its columns.
    """

    schema: str
    name: str
    oid: int = 0
    columns: Mapping[str, str] | None = None
    unique: frozenset[frozenset[str]] = frozenset()

    @staticmethod
    def cased(name: str) -> str:
        """See `OneCaseTable.cased`."""
        return name.lower()

    @property
    def sql(self) -> str:
        """The full name, quoted."""
        return quoted(self.schema, self.name)


def find(cursor: Cursor, database: Database, *, target: Target) -> Table:
    """The table that `target` names, as it stands now. Names are looked for in lower case.

    Raises: FixConfig when the name belongs to a view or to something else that is no table, to a table when it is spelled with
    capitals, or to one of a ledger, or no schema is named.
    """
    doing = f"Looking at the table {target}"
    schema = target.schema or database.schema
    if not schema:
        raise FixConfig(doing, "it names no schema, and the search path leads to none", hint="Name a schema.")
    name = Table(lowered(schema, doing=doing), lowered(target.table, doing=doing))
    sql = (
        "SELECT c.oid, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = $2"
    )
    found = rows(cursor, sql, values=(name.schema, name.name))
    if not found:
        _refuse_twin(cursor, name, doing=doing)
        return name
    oid, kind = int(found[0][0]), str(found[0][1])
    if kind not in ("r", "p"):
        raise FixConfig(doing, f"that is {_KINDS.get(kind, 'no table')}", hint="Name another table, or drop the view.")
    _refuse_ledger(cursor, name, doing=doing)
    unique = _unique(cursor, oid) if kind == "r" else frozenset()  # of partitions no system column can be asked, see `merge`
    return Table(name.schema, name.name, oid, _columns(cursor, oid), unique)


def _refuse_ledger(cursor: Cursor, table: Table, *, doing: str) -> None:
    """See that a table that is to be written to is none of a ledger of ours: rows of somebody else would take its place.

    Raises: FixConfig.
    """
    if table.name not in _LEDGER:
        return
    found = rows(cursor, "SELECT tablename FROM pg_tables WHERE schemaname = $1", values=(table.schema,))
    if {str(name) for (name,) in found} >= _LEDGER:
        cause = f"the schema {table.schema} is a ledger of Halocline, and {table.name} one of its tables"
        raise FixConfig(doing, cause, hint="Name another schema, or keep the ledger elsewhere (HALOCLINE_LEDGER).")


def _refuse_twin(cursor: Cursor, table: Table, *, doing: str) -> None:
    """Make no second table beside one whose name differs by capitals alone: who made that one takes it for the other.

    Raises: FixConfig.
    """
    sql = (
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND lower(c.relname) = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    )
    found = rows(cursor, sql, values=(table.schema, table.name))
    if found:
        cause = f'there is a table "{found[0][0]}", spelled with capitals, and {table.name} would be another one beside it'
        raise FixConfig(doing, cause, hint=CAPITALS)


def check_names(table: Table, plan: Plan) -> None:
    """Hold a table's columns against the plan's: none may differ by capitals alone, for it would stay empty beside a new one.

    Raises: FixConfig.
    """
    for name in table.columns or ():
        if name != name.lower() and table.type_of(name) is None and plan.schema.column(name) is not None:
            cause = f'its column "{name}" is spelled with capitals, and {name.lower()} would be another one beside it'
            raise FixConfig(f"Looking at the columns of {table.label}", cause, hint=CAPITALS)


def look(cursor: Cursor, name: str, *, doing: str) -> tuple[Table, bool]:
    """The table, view or the like that `name` leads to (`table` by the search path, `schema.table`), and whether it has pages to
    read by. A name is looked for as it is spelled, then in lower case.

    Raises: NotFound, with names that are near.
    """
    schema, dot, table = name.partition(".")
    spelt = [quoted(schema, table), quoted(schema.lower(), table.lower())] if dot else [quoted(name), quoted(name.lower())]
    sql = (
        "SELECT c.oid, n.nspname, c.relname, c.relkind = 'r' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = coalesce(to_regclass($1), to_regclass($2)) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    )
    is_text = not any("\ud800" <= char <= "\udfff" for char in name)  # half of a character is in no name, and cannot be asked for
    found = rows(cursor, sql, values=spelt) if is_text else []
    if not found:
        raise NotFound(doing, f"there is no table {name!r}", suggestions=_meant(cursor, name))
    oid, in_schema, called, is_plain = found[0]
    return Table(str(in_schema), str(called), int(oid), _columns(cursor, int(oid))), bool(is_plain)


def _meant(cursor: Cursor, name: str) -> list[str]:
    """Names of tables that are near; one that the search path does not lead to is named with its schema."""
    sql = (
        "SELECT n.nspname, c.relname, pg_table_is_visible(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 3, 1"
    )
    named = dict[str, str]()
    for schema, table, is_visible in rows(cursor, sql):
        whole = f"{schema}.{table}"
        named[whole] = whole
        if "." not in name:
            named[str(table)] = str(table) if is_visible else whole
    return list(dict.fromkeys(named[one] for one in near(name, named)))


def hold(cursor: Cursor, database: Database, *, target: Target) -> Table:
    """`find`, with nobody else writing to the table, or changing it, until the transaction ends.

    It is looked at after it is locked: who held it until then may have changed its columns, or put another in its place.
    Raises: as `find`.
    """
    table = find(cursor, database, target=target)
    if not table.exists:
        return table
    cursor.execute(f"LOCK TABLE {table.sql} IN SHARE ROW EXCLUSIVE MODE")
    return find(cursor, database, target=target)


def check_types(table: Table, plan: Plan) -> None:
    """See `standing_table.check_types`."""
    standing_table.check_types(table, plan, doing=f"Merging into {table.label}", holds=holds, sql_type=sql_type, hint=FULL_SYNC)


def check_kind(table: Table, plan: Plan) -> None:
    """Hold a table that keeps history, or none, against the plan.

    Raises: Refused when they do not go together.
    """
    if table.columns is not None:
        instants = {name: kind == _INSTANT for name, kind in table.columns.items()}
        refuse_other_kind(table.label, plan, names=instants)


def create(
    cursor: Cursor, table: Table, *, schema: Schema, kind: str = "TABLE", more: str = "", like: Table | None = None
) -> None:
    """Make the table. Every column takes nulls: what a source calls required, it may still hide or lack.

    Where a column comes from `like`, it gets the type that it has there.
    """
    columns = ", ".join(defined(column, like) for column in schema)
    cursor.execute(f"CREATE {kind} {table.sql} ({columns}{more})")


def add_key(cursor: Cursor, table: Table, *, key: Sequence[str]) -> None:
    """Make the key the table's primary key; fails where rows share it or lack it."""
    if key:
        name = quoted(f"{table.name.encode()[:58].decode(errors='ignore')}_pkey")
        cursor.execute(f"ALTER TABLE {table.sql} ADD CONSTRAINT {name} PRIMARY KEY ({listed(key)})")


def make_schema(cursor: Cursor, table: Table) -> None:
    """Make the table's schema if need be; others that want to make it at the same instant wait.

    It is looked for first, because `IF NOT EXISTS` asks for the right to make schemas also where nothing has to be made.
    """
    if rows(cursor, "SELECT 1 FROM pg_namespace WHERE nspname = $1", values=(table.schema,)):
        return
    one(cursor, "SELECT pg_advisory_xact_lock(hashtext('halocline schemas'))")
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.schema)}")


def widen(cursor: Cursor, table: Table, *, schema: Schema) -> None:
    """Add the columns that the table lacks; old rows have nulls there."""
    for column in table.missing(schema):
        cursor.execute(f"ALTER TABLE {table.sql} ADD COLUMN {defined(column)}")


def is_empty(cursor: Cursor, table: Table) -> bool:
    """Whether the table holds no row."""
    return not rows(cursor, f"SELECT 1 FROM {table.sql} LIMIT 1")


def defined(column: Column, like: Table | None = None) -> str:
    """The column as a table's definition has it."""
    kind = sql_type(column) if like is None else stored_type(column, like.type_of(column.name))
    return f"{quoted(column.name.lower())} {kind}"


def listed(names: Sequence[str], side: str = "") -> str:
    """Columns by comma, as they are spelled in the database; `side` is the alias of their table."""
    return ", ".join(f"{side}.{quoted(name.lower())}" if side else quoted(name.lower()) for name in names)


def _columns(cursor: Cursor, oid: int) -> dict[str, str]:
    sql = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return {str(name): str(kind) for name, kind in rows(cursor, sql, values=(oid,))}


def _unique(cursor: Cursor, oid: int) -> frozenset[frozenset[str]]:
    sql = (
        "SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid"
        " AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL GROUP BY i.indexrelid"
    )
    return frozenset(frozenset(names) for (names,) in rows(cursor, sql, values=(oid,)))
