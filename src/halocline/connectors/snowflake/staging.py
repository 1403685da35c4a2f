"""Stage: where a run's rows lie, unseen by readers of the target, and what is found there.

place    a folder of a stage, named by flow and run, into which the parts are put as gzipped files; only the commit says which of
         them count, so a part that was put twice does no harm. The stage is temporary, or the user's own
rows     a temporary table into which the commit copies the files: what was read
gone     likewise deletions: key and stamp
settled  likewise one row of each key, where keys repeated

The warehouse works once, for the commit. Snowflake drops temporary stages and tables when the session ends, however it ends.
Source: "Temporary and transient tables", https://docs.snowflake.com/en/user-guide/tables-temp-transient, read November 2026.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from halocline.batch import Op
from halocline.connector import Lease, Manifest, Plan
from halocline.connectors.snowflake.client import Cursor, Database, plain, rows, told
from halocline.connectors.snowflake.pages import file_format
from halocline.connectors.snowflake.tables import Table, listed
from halocline.connectors.snowflake.types import staged_type
from halocline.errors import FixConfig, Truncated
from halocline.identity import keyless
from halocline.quantity import quantity
from halocline.schema import Schema
from halocline.staged import Found, pieces_of
from halocline.standard_sql import quoted

GONE = "_HALOCLINE_DELETE"
_PREFIX = "_HALOCLINE_"
_FOLDER = "halocline"
_NAME = r'(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+")'
_STAGE = re.compile(rf"@?((?:{_NAME}\.){{0,2}}{_NAME})((?:/[\w=.-]+)*)/?")
_AGAIN = "Run it again; nothing was published."


@dataclass(frozen=True, slots=True)
class Piece:
    """One file as put: whose load, rows or deletions, its name, its rows, its columns, and whether it is as received."""

    load: str
    op: Op
    file: str
    rows: int
    columns: tuple[str, ...]
    as_received: bool

    @classmethod
    def new(cls, load: str, op: Op, *, part: str, columns: Sequence[str], as_received: bool) -> Piece:
        """A piece with a name of its own, whose rows are not counted yet."""
        name = re.sub(r"[^\w-]", "_", part, flags=re.ASCII)[:80]
        return cls(load, op, f"{name}-{uuid.uuid4().hex[:12]}.csv.gz", 0, tuple(columns), as_received)

    @property
    def folder(self) -> str:
        """The folder of all pieces that one COPY can take."""
        kind = hashlib.sha256(json.dumps([self.columns, self.as_received]).encode()).hexdigest()[:8]
        return f"{self.op}-{kind}"

    def to_text(self) -> str:
        """This value as the text that a manifest carries; `from_text` reads it back."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_text(cls, text: str) -> Piece:
        """The value that `to_text` wrote."""
        data: dict[str, Any] = json.loads(text)
        return cls(**{**data, "op": Op(data["op"]), "columns": tuple(data["columns"])})


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a stage: `stage` as SQL, `above` it the folder of all runs of the flow, `temporary` when the stage is ours."""

    stage: str
    above: str
    run: str
    temporary: bool

    @classmethod
    def of(cls, database: Database, table: Table, *, lease: Lease, stage_name: str | None) -> Place:
        """The place of a load into `table`; another with every call. A stage of ours is made in the current schema.

        Raises: FixConfig when `stage_name` names no stage.
        """
        digest, run = _digest(table, lease.flow), f"{lease.fence}-{uuid.uuid4().hex[:8]}"
        if stage_name is None:
            name = f"{_PREFIX}{digest}_{run}".replace("-", "_").upper()
            return cls(plain(database.name, database.schema, name), "", run, temporary=True)
        found = _STAGE.fullmatch(stage_name.strip())
        if found is None:
            hint = "Write the stage's name, as in @SALESFORCE_STAGE or MY_DB.RAW.SALESFORCE_STAGE, perhaps with a folder."
            raise FixConfig("Choosing the stage", f"{stage_name!r} names no stage", hint=hint)
        return cls(found.group(1), f"{found.group(2)}/{_FOLDER}/{digest}".lstrip("/"), run, temporary=False)

    def folder(self, name: str) -> str:
        """A folder of this run, as SQL after the `@`."""
        return "/".join(part for part in (self.stage, self.above, self.run, name) if part) + "/"

    def make(self, cursor: Cursor) -> None:
        """Make the stage if it is ours; else take away what dead runs of the flow left in the user's."""
        if self.temporary:
            cursor.execute(f"CREATE TEMPORARY STAGE {self.stage}")
        else:
            cursor.execute(f"REMOVE @{self.stage}/{self.above}/")

    def drop(self, cursor: Cursor) -> None:
        """Take away all that this run put there."""
        if self.temporary:
            cursor.execute(f"DROP STAGE IF EXISTS {self.stage}")
        else:
            cursor.execute(f"REMOVE @{self.folder('')}")


@dataclass(frozen=True, slots=True)
class Stage:
    """The temporary tables of a load, named by its place; `made` are those that were asked for so far, to be dropped."""

    rows: Table
    gone: Table
    settled: Table
    made: list[Table] = field(default_factory=list)

    @classmethod
    def of(cls, table: Table, place: Place) -> Stage:
        """The tables of a load into `table`."""
        name = f"{_PREFIX}{_digest(table, place.stage)}_{place.run}".replace("-", "_").upper()
        rows, gone, settled = (replace(table, name=f"{name}{end}", columns=None) for end in ("", "_GONE", "_SETTLED"))
        return cls(rows, gone, settled)

    def make(self, cursor: Cursor, plan: Plan, *, pieces: Sequence[Piece]) -> None:
        """Make the tables that take the pieces, empty."""
        self._make(cursor, self.rows, f"({_columns(plan.schema)}, {quoted(GONE)} BOOLEAN DEFAULT FALSE)")
        if deleting(pieces):
            self._make(cursor, self.gone, f"({_columns(deletion_schema(plan))})")

    def settle(self, cursor: Cursor, plan: Plan) -> None:
        """Make a table of one row of each key: the newest stamp stays; at equal ones rows before deletions, live ones first."""
        order = [f"{listed([name])} DESC NULLS LAST" for name in plan.cursor_columns] + [quoted(GONE)]
        order += [f"COALESCE({listed([name])}, FALSE)" for name in plan.flag_columns]
        rank = f"ROW_NUMBER() OVER (PARTITION BY {listed(plan.key)} ORDER BY {', '.join(order)})"
        self._make(cursor, self.settled, f"AS SELECT * FROM {self.rows.sql} QUALIFY {rank} = 1")

    def drop(self, cursor: Cursor) -> None:
        """Drop the tables where they are still there."""
        for table in self.made:
            cursor.execute(f"DROP TABLE IF EXISTS {table.sql}")

    def _make(self, cursor: Cursor, table: Table, rest: str) -> None:
        self.made.append(table)
        cursor.execute(f"CREATE TEMPORARY TABLE {table.sql} {rest}")


def staged_pieces(manifests: Iterable[Manifest]) -> list[Piece]:
    """The pieces that the manifests name; of a part staged more than once, those of its last manifest.

    Raises: Truncated when a manifest counts other rows than its pieces.
    """
    return pieces_of(manifests, Piece.from_text, doing="Loading the staged rows", called="pieces")


def fill(cursor: Cursor, table: Table, *, place: Place, pieces: Sequence[Piece]) -> int:
    """Copy just these pieces into a temporary table, in the cursor's transaction, and return how many rows they are.

    A folder is one COPY, which Snowflake spreads over its warehouse; where other files lie beside the pieces (an attempt that
    failed), all is taken back and each piece is copied for itself.
    Raises: Truncated when a file is not there, or has other rows than announced.
    """
    wanted = {piece.file: piece.rows for piece in pieces if piece.rows}
    groups = {piece.folder: piece for piece in pieces if piece.rows}
    found: dict[str, int] = {}
    for folder, piece in groups.items():
        found |= copied(cursor, table, piece=piece, source=place.folder(folder))
    if set(found) - set(wanted):
        cursor.execute(f"DELETE FROM {table.sql}")
        found = {}
        for piece in pieces:
            if piece.rows:
                found |= copied(cursor, table, piece=piece, source=place.folder(piece.folder) + piece.file)
    wrong = [name for name, count in wanted.items() if found.get(name) != count]
    if wrong:
        loaded, announced = quantity(sum(found.values()), "row was"), sum(wanted.values())
        cause = f"{loaded} loaded, {announced:,} announced; {quantity(len(wrong), 'file differs')}"
        raise Truncated("Loading the staged rows", cause, hint=_AGAIN, files=wrong[:5])
    return sum(found.values())


def copied(cursor: Cursor, table: Table, *, piece: Piece, source: str) -> dict[str, int]:
    """The files that a COPY loaded, and the rows of each.

    Source: "COPY INTO <table>" (output), https://docs.snowflake.com/en/sql-reference/sql/copy-into-table (unverified).
    """
    sql = f"COPY INTO {table.sql} ({listed(piece.columns)}) FROM @{source}"
    options = f"FILE_FORMAT = ({file_format(as_received=piece.as_received)}) ON_ERROR = ABORT_STATEMENT FORCE = TRUE"
    cursor.execute(f"{sql} {options}")
    return {str(line["file"]).rpartition("/")[2]: int(line["rows_loaded"]) for line in told(cursor) if line.get("file")}


def examine(cursor: Cursor, table: Table, *, plan: Plan) -> Found:
    """Look at staged rows; the cursor values of deletions do not count as loaded.

    Raises: SchemaConflict for rows without a key.
    """
    whole = " AND ".join(f"{listed([name])} IS NOT NULL" for name in plan.key) or "TRUE"
    flagged = " OR ".join(listed([name]) for name in plan.flag_columns) or "FALSE"
    stamp = next((f"max(CASE WHEN NOT {quoted(GONE)} THEN {listed([name])} END)" for name in plan.cursor_columns), "NULL")
    keys = f"count(DISTINCT {listed(plan.key)})" if plan.key else "count(*)"
    sql = f"SELECT count(*), COUNT_IF({whole}), COUNT_IF({flagged}), {stamp}, {keys} FROM {table.sql}"
    total, keyed, marked, highest, distinct = rows(cursor, sql)[0]
    if int(keyed or 0) != int(total):
        raise keyless(plan, int(total) - int(keyed or 0))
    return Found(int(total), int(marked or 0), int(distinct) != int(total), _text(highest))


def deletion_schema(plan: Plan) -> Schema:
    """What is kept of a deletion: its key, and its stamp where there is one."""
    wanted = {name.lower() for name in (*plan.key, *plan.cursor_columns)}
    return plan.schema.select([name for name in plan.schema.names if name.lower() in wanted])


def deleting(pieces: Sequence[Piece]) -> list[Piece]:
    """Those of the pieces that bring deletions."""
    return [piece for piece in pieces if piece.op is Op.DELETE and piece.rows]


def _columns(schema: Schema) -> str:
    return ", ".join(f"{listed([column.name])} {staged_type(column)}" for column in schema)


def _text(value: Any) -> str | None:
    """A cursor value as ISO 8601, in UTC where it is an instant."""
    if value is None:
        return None
    if hasattr(value, "astimezone"):
        from datetime import UTC

        return str(value.astimezone(UTC).isoformat())
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _digest(table: Table, flow: str) -> str:
    return hashlib.sha256(f"{table.label}\0{flow}".encode()).hexdigest()[:16]
