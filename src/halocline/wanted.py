"""Wanted: what is read of a database that speaks SQL: a table or a query, of it which columns and rows, and from when on.

With a `cursor`, a column that says when a row was last written, later reads take what was written since, and some time before it
(`overlap_s`): a transaction may commit after others that stamped later. Rows without a stamp are read each time, and so are those
that an earlier run could not make rows of. Rows that were deleted are not seen by such a read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from halocline.batch import JSON, Position
from halocline.connector import OVERLAP_S, Abilities, Manifest, Plan, Survey
from halocline.errors import FixConfig, NotFound, Truncated
from halocline.mapping.near import near
from halocline.option_values import NUMBER, TEXT, TEXTS, WHOLE, refuse_others
from halocline.quantity import quantity
from halocline.schema import Column, Schema

MOST_AGAIN = 1_000  # rows that a position names, to be read again; of more it stays where it is
_AGAIN, _HELD = "again", "held"
_KINDS = {
    **dict.fromkeys(("table", "query", "filter", "cursor"), TEXT),
    **dict.fromkeys(("columns", "exclude"), TEXTS),
    "segments": WHOLE,
    "overlap_s": NUMBER,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read: a `table` (`schema.table`) or a `query`, of it `columns` (None: all) without `exclude`, rows with `filter`.

    `cursor` is the column that says when a row was last written. `segments` is the most parts that a table is cut into, where the
    database is read over several connections. `system` is what the database is called.
    """

    system: str
    table: str | None = None
    query: str | None = None
    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    filter: str | None = None
    cursor: str | None = None
    segments: int = 4
    overlap_s: float = OVERLAP_S

    def __post_init__(self) -> None:
        refuse_others({name: getattr(self, name) for name in _KINDS}, _KINDS, doing=f"Reading {self.system}")
        if (self.table is None) == (self.query is None):
            raise FixConfig(f"Reading {self.system}", "give a table or a query, one of the two")
        if self.segments < 1:
            raise FixConfig(f"Reading {self.system}", f"segments={self.segments} reads nothing", hint="Give a number from 1 up.")

    @property
    def name(self) -> str:
        """What it is called."""
        return self.table or "query"

    @property
    def subquery(self) -> str:
        """The query as something that rows are selected from; a comment at its end hides nothing that follows."""
        return f"({(self.query or '').rstrip().rstrip(';')}\n) AS q"

    def look(self, whole: Schema, since: Position | None, *, can_stamp: Callable[[Column], bool], stamp_type: str) -> Look:
        """What of `whole` is read after `since`; `can_stamp` tells columns that say when a row was written, best a `stamp_type`.

        Raises: NotFound for a column that is not there; FixConfig for a cursor of another type.
        """
        doing = f"Looking at {self.name}"
        chosen, stamp = self._chosen(whole, doing=doing), None
        if self.cursor is not None:
            stamp = _column(whole, self.cursor, doing=doing)
            if not can_stamp(stamp):
                cause = f"the cursor {stamp.name} is {stamp.source_type}, which does not say when a row was written"
                raise FixConfig(doing, cause, hint=f"Name a column of the type {stamp_type}.")
        scope = self._scope(chosen)
        low = None
        if stamp is not None and since is not None and since.get("scope") == scope and since.get("stamp") is not None:
            low = (datetime.fromisoformat(str(since["stamp"])) - timedelta(seconds=self.overlap_s)).isoformat()
        return Look(self, whole, chosen, scope, stamp=stamp, low=low, since=since or {})

    def _chosen(self, whole: Schema, *, doing: str) -> Schema:
        names = whole.names if self.columns is None else tuple(self.columns)
        for name in (*names, *self.exclude):
            _column(whole, name, doing=doing)
        out = {name.lower() for name in self.exclude}
        chosen = whole.select([name for name in names if name.lower() not in out])
        return Schema(chosen.columns, whole.key if all(chosen.column(name) is not None for name in whole.key) else ())

    def _scope(self, schema: Schema) -> str:
        """What a position is only good for."""
        told = {"table": self.table, "query": self.query, "filter": self.filter, "cursor": self.cursor}
        return json.dumps({**told, "columns": [f"{one.name} {one.source_type}" for one in schema]}, sort_keys=True)


def wanted(
    system: str,
    *,
    projection: str | Sequence[str] | None = None,
    schema: Schema | None = None,
    target: Schema | None = None,  # noqa: ARG001 - of use to sources whose columns have no types of their own
    items: bool = False,  # noqa: ARG001 - here the rows are the items
    **options: object,
) -> Wanted:
    """What the options of a copy mean to a database; `projection` is another way to name columns, the others are `Wanted`'s own.

    Raises: FixConfig for options that cannot be meant.
    """
    doing = f"Reading {system}"
    if schema is not None:
        raise FixConfig(doing, "types are declared, and its columns have their own", hint="Leave schema out, or give build.")
    if projection is not None:
        options["columns"] = [one.strip() for one in projection.split(",")] if isinstance(projection, str) else projection
    try:
        return Wanted(system, **options)  # type: ignore[arg-type]  # checked by the dataclass's own signature
    except TypeError as error:
        raise FixConfig(doing, str(error).partition(") ")[2] or str(error)) from error


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of what is wanted: all columns and those to read, the column of stamps, and from which stamp on (`low`).

    `since` is the position that was given, `scope` what one is only good for.
    """

    wanted: Wanted
    whole: Schema
    schema: Schema
    scope: str
    stamp: Column | None = None
    low: str | None = None
    since: Mapping[str, JSON] = field(default_factory=dict)

    def conditions(self, quoted: Callable[[str], str], literal: Callable[[str, Column], str]) -> tuple[str, ...]:
        """The conditions in SQL on the rows to read; `quoted` is a name, `literal` a text as a value of a column."""
        found = [f"({self.wanted.filter}\n)"] if self.wanted.filter else []
        if self.stamp is not None and self.low is not None:
            name = quoted(self.stamp.name)
            ways = [f"{name} >= {literal(self.low, self.stamp)}", f"{name} IS NULL"]
            columns = [_column(self.whole, one, doing=f"Looking at {self.wanted.name}") for one in self._again_key]
            for values in self._again:
                pairs = zip(columns, values, strict=True)
                ways.append("(" + " AND ".join(f"{quoted(one.name)} = {literal(text, one)}" for one, text in pairs) + ")")
            found.append(f"({' OR '.join(ways)})")
        return tuple(found)

    def survey(self, *, rows: int, now: str, highest: str | None, query: str, naive: Sequence[str]) -> Survey:
        """What is said before reading; `highest` is the greatest stamp that is believed, `naive` are columns without a zone."""
        position: Position = {"scope": self.scope}
        if self.stamp is not None:
            position["stamp"] = highest or (self.since.get("stamp") if self.low else None)
        return Survey(
            object=self.wanted.name,
            schema=self.schema,
            estimated_rows=rows,
            server_time=now,
            complete_until=None,
            cursor=None if self.stamp is None or self.schema.column(self.stamp.name) is None else self.stamp.name,
            delete_flag=None,
            window=(self.low, now),
            abilities=Abilities(once=True),
            next_position=position,
            query=query,
            full_reason=self._full_reason,
            notes=tuple(self._notes(naive)),
        )

    @property
    def _again_key(self) -> tuple[str, ...]:
        told = self.since.get(_AGAIN)
        return tuple(told["key"]) if isinstance(told, dict) else ()

    @property
    def _again(self) -> list[list[str]]:
        told = self.since.get(_AGAIN)
        return told["values"] if isinstance(told, dict) else []

    @property
    def _full_reason(self) -> str | None:
        if self.stamp is None or self.low is not None:
            return None
        if self.since.get("scope") == self.scope and self.since.get(_HELD):
            return f"{self.since[_HELD]:,} of what the last run read could not become rows"
        return "what is read is described in another way than before" if self.since.get("stamp") is not None else None

    def _notes(self, naive: Sequence[str]) -> Iterator[str]:
        if naive:
            yield f"Without a time zone, taken for UTC: {', '.join(naive)}."
        if self.stamp is None:
            return
        name = self.stamp.name
        yield f"Rows are found by {name}; those that are deleted are not seen until everything is read."
        if self.stamp.nullable:
            yield f"Rows whose {name} is null are read each time."
        if self.low is not None and self._again:
            yield f"{quantity(len(self._again), 'item is')} read again, for the last run could make no row of it."
        if self.low is not None and self.since.get(_HELD):
            yield f"{self.since[_HELD]:,} of what the last run read could not become rows, so the position has not moved."


def holding_back(position: Position, since: Position | None, *, key: Sequence[str], left: Sequence[Sequence[object]]) -> Position:
    """The position after a read of which some rows, `left` by their `key`, came to nothing: the next read brings them again.

    Where there are too many of them, or one has no key that can be told, it stays where it was, `since`.
    """
    if not left:
        return position
    named = all(value is not None and not isinstance(value, bytes) for one in left for value in one)
    if named and key and len(left) <= MOST_AGAIN:
        return {**position, _AGAIN: {"key": list(key), "values": [[str(value) for value in one] for one in left]}}
    earlier = since if since is not None and since.get("scope") == position.get("scope") else {}
    kept = {_AGAIN: earlier[_AGAIN]} if _AGAIN in earlier else {}
    return {**position, **kept, "stamp": earlier.get("stamp"), _HELD: len(left)}


def known_of(since: Position | None, left: Sequence[Sequence[object]]) -> int:
    """How many of those that came to nothing did so before, as a position of `holding_back` says."""
    told = (since or {}).get(_AGAIN)
    named = {tuple(one) for one in told["values"]} if isinstance(told, dict) else set()
    held = (since or {}).get(_HELD)
    known = sum(tuple(map(str, one)) in named for one in left)
    return max(known, min(len(left), held if isinstance(held, int) else 0))


def refuse_fewer(plan: Plan, manifests: Sequence[Manifest], *, sent: int) -> None:
    """Hold what was staged against what was read.

    Raises: Truncated when they differ.
    """
    staged = sum(one.rows for one in manifests)
    if staged != sent:
        cause = f"{quantity(sent, 'row was')} read, {staged:,} staged"
        raise Truncated(f"Reading {plan.object}", cause, hint="Run it again; nothing was published.", rows=staged)


def _column(schema: Schema, name: str, *, doing: str) -> Column:
    found = schema.column(name)
    if found is None:
        raise NotFound(doing, f"there is no column {name!r}", suggestions=near(name, schema.names))
    return found
