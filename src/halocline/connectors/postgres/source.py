"""PostgresSource: a table or a query of a PostgreSQL as Arrow, with exact types, of one instant, in parts where it is large.

A table is cut by its pages (`ctid`); each part is one COPY.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halocline.batch import JSON, Batch, Position
from halocline.connector import Part, Plan, Survey
from halocline.connectors.postgres.client import Cursor, number, one, rows
from halocline.connectors.postgres.described import NAIVE, answered, schema_of
from halocline.connectors.postgres.query import asking
from halocline.connectors.postgres.reading import copied, literals, spelled
from halocline.connectors.postgres.snapshot import Snapshot
from halocline.connectors.postgres.tables import look
from halocline.schema import Column, Kind, Schema
from halocline.snapshot_source import SnapshotSource, one_key, refuse_twins
from halocline.standard_sql import quoted
from halocline.wanted import Wanted, wanted

_AS_TEXT = (
    "A day outside of the years 1 to 9999, or without end (infinity), has no form here. Read it as text, by a query: SELECT"
    " day::text ...; or leave out such rows (filter), or the column (exclude)."
)
_PART_PAGES = 4_096  # of 8 KB: below, a second connection costs more than it brings
_CURSORS = ("timestamp with time zone", NAIVE, "date")
_AHEAD = {"timestamp with time zone": "now()", NAIVE: "(now() AT TIME ZONE 'UTC') + interval '15 hours'"}
"""Up to where a stamp is believed: one of the far future would hide all that follows. A clock without a zone may be ahead."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found: where rows come from, the conditions, and the pages that there are of a table (0: it is not cut)."""

    schema: Schema
    base: str
    conditions: tuple[str, ...] = ()
    pages: int = 0


class PostgresSource(SnapshotSource[Snapshot]):
    """Reads what is `wanted` of a snapshot. Implements `connector.Source`."""

    def __init__(self, snapshot: Snapshot, wanted: Wanted) -> None:
        super().__init__(snapshot, wanted)
        self._seen: _Seen | None = None

    def survey(self, since: Position | None) -> Survey:
        """See `Source.survey`.

        Raises: NotFound for a table or column that is not there; BadQuery; AccessDenied; FixConfig for a cursor of another type.
        """
        doing = f"Looking at {self._wanted.name}"
        with self._snapshot.cursor() as cursor, asking(doing):
            self._calls += 1
            whole, base, pages = self._described(cursor, doing=doing)
            look = self._wanted.look(whole, since, can_stamp=_can_stamp, stamp_type="timestamp with time zone")
            conditions = look.conditions(quoted, lambda text, _: literals(cursor, [text]))
            seen = self._seen = _Seen(look.schema, base, conditions, 0 if look.low else pages)
            where = _where(seen.conditions)
            counted = (
                f"SELECT count(*), to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM {base}{where}"
            )
            estimated, now = rows(cursor, counted)[0]
            highest = None if look.stamp is None else _highest(cursor, base, look.stamp)
        naive = [column.name for column in look.schema if column.source_type == NAIVE]
        return look.survey(rows=int(estimated), now=str(now), highest=highest, query=self._select(seen), naive=naive)

    def parts(self, plan: Plan) -> Iterator[Part]:  # noqa: ARG002 - it was seen when it was surveyed
        """Ranges of a table's pages, or all of a query."""
        pages = self._surveyed().pages
        cut = max(1, min(self._wanted.segments, pages // _PART_PAGES)) if self._snapshot.is_shared else 1
        bounds = [pages * number // cut for number in range(cut)]
        for at, low in enumerate(bounds):
            yield Part(f"pages-{at}", {"low": low, "high": bounds[at + 1] if at + 1 < cut else None} if cut > 1 else {})

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:  # noqa: ARG002 - a part begins at its beginning
        """The rows of a part, as they are in the snapshot.

        Raises: also SchemaConflict for a value that its type does not hold (an infinite instant).
        """
        seen, doing = self._surveyed(), f"Reading {self._wanted.name}"
        first = 0
        with self._snapshot.cursor() as cursor, asking(doing):
            for batch in copied(cursor, self._select(seen, part), schema=seen.schema, what=self._wanted.name, hint=_AS_TEXT):
                yield Batch(rows=batch, first_row=first)
                first += batch.num_rows
        self._was_read(part, rows=first)

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`."""
        key = one_key(plan)
        seen = self._surveyed()
        with self._snapshot.cursor() as cursor, asking(f"Reading rows of {plan.object} again"):
            wanted = f"{quoted(_spelled_as(seen.schema, key))} IN ({literals(cursor, keys)})" if keys else "false"
            for batch in copied(
                cursor, self._select(seen, more=(wanted,)), schema=seen.schema, what=self._wanted.name, hint=_AS_TEXT
            ):
                yield Batch(rows=batch)

    def _surveyed(self) -> _Seen:
        if self._seen is None:
            raise ValueError("a source is surveyed before it is read")
        return self._seen

    def _described(self, cursor: Cursor, *, doing: str) -> tuple[Schema, str, int]:
        """The columns, where they come from in SQL, and how many pages a table has."""
        if self._wanted.query is not None:
            base = self._wanted.subquery
            cursor.execute(f"SELECT * FROM {base} LIMIT 0")
            names, result = [column.name for column in cursor.description or []], cursor.pgresult
            assert result is not None, "it was answered"
            refuse_twins(names, doing=doing)
            types = [(result.ftype(at), result.fmod(at)) for at in range(len(names))]
            return answered(cursor, names, types=types), base, 0
        table, is_plain = look(cursor, self._wanted.table or "", doing=doing)
        size = f"SELECT pg_relation_size({table.oid}) / current_setting('block_size')::int"
        return schema_of(cursor, table), table.sql, number(cursor, size) if is_plain else 0

    def _select(self, seen: _Seen, part: Part | None = None, *, more: Sequence[str] = ()) -> str:
        columns = ", ".join(spelled(column, column.source_type, name=quoted(column.name)) for column in seen.schema)
        spec = part.spec if part is not None else {}
        pages = [f"ctid >= '({spec['low']},0)'::tid"] if spec.get("low") else []
        pages += [f"ctid < '({spec['high']},0)'::tid"] if spec.get("high") is not None else []
        return f"SELECT {columns or 'NULL'} FROM {seen.base}{_where((*seen.conditions, *pages, *more))}"


def open_source(snapshot: Snapshot, *, spool: object = None, **options: object) -> PostgresSource:  # noqa: ARG001 - nothing is put aside
    """A source on a snapshot; the options are those of `wanted.wanted`.

    Raises: FixConfig for options that cannot be meant.
    """
    return PostgresSource(snapshot, wanted("PostgreSQL", **options))  # type: ignore[arg-type]  # checked by its own signature


def _can_stamp(column: Column) -> bool:
    return column.source_type in _CURSORS


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _spelled_as(schema: Schema, name: str) -> str:
    column = schema.column(name)
    return name if column is None else column.name


def _highest(cursor: Cursor, base: str, stamp: Column) -> str | None:
    """The greatest stamp that is believed, as ISO 8601: everything up to it was seen, but for what commits late."""
    name = quoted(stamp.name)
    if stamp.kind is Kind.DATE:
        found = one(cursor, f"SELECT max({name})::text FROM {base} WHERE {name} <= current_date + 1")
    else:
        value = f"max({name})" if stamp.source_type == NAIVE else f"max({name}) AT TIME ZONE 'UTC'"
        zone = "" if stamp.source_type == NAIVE else "+00:00"
        text = f'to_char({value}, \'YYYY-MM-DD"T"HH24:MI:SS.US"{zone}"\')'
        found = one(cursor, f"SELECT {text} FROM {base} WHERE {name} <= {_AHEAD[stamp.source_type]}")
    return None if found is None else str(found)
