"""Chosen: the columns of a read: declared, matched to attributes in any case, or inferred from all that is read."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from halocline.connectors.aws.dynamodb.reader import Frame, Page, Reader
from halocline.connectors.aws.dynamodb.shape import Facts, Path, Shape, joined
from halocline.connectors.aws.dynamodb.wanted import Wanted
from halocline.errors import FixConfig
from halocline.schema import Column, Kind, Schema

_KINDS = {"S": Kind.STRING, "N": Kind.DECIMAL, "B": Kind.BINARY}


class Chosen:
    """The columns that are wanted of items with that key. Threads may share it.

    `earlier` are the facts of earlier reads, as `facts` told them: what was seen once has its column for ever. `names` are the
    names that columns got then: no other attribute gets one of these.
    """

    def __init__(
        self, wanted: Wanted, *, key: Sequence[str], types: Mapping[str, str], earlier: object = None, names: object = None
    ) -> None:
        self._wanted = wanted
        self._key = tuple(key)
        self._types = types
        self._lock = threading.Lock()
        self._settled = _read_names(names)
        self._seen = Shape.known(_read_facts(earlier), key=self._key, flatten=wanted.flatten, settled=self._settled)
        self._before = self._seen.schema

    @property
    def needs_pages(self) -> bool:
        """Whether all pages must be seen before the columns are known."""
        return self._wanted.any_case if self._wanted.columns is not None else self._wanted.infer

    @property
    def attributes(self) -> tuple[str, ...] | None:
        """The attributes that columns come from, where that is known before; None: any."""
        if self._wanted.columns is None or self._wanted.any_case:
            return None
        return self.shape().attributes

    @property
    def facts(self) -> list[object]:
        """What was seen, as plain JSON data; nothing where columns are declared."""
        if self._wanted.columns is not None or not self._wanted.infer:
            return []
        seen = self._seen.facts.items()
        return [[list(path), sorted(one.tags), one.before, one.behind, one.long, one.wide] for path, one in seen]

    @property
    def names(self) -> list[object]:
        """The names that columns have got, as plain JSON data; nothing where columns are declared, and not a table's."""
        if self._wanted.columns is None and self._wanted.infer:
            return [[list(self._seen.path(name)), name] for name in self._seen.schema.names]
        if self._wanted.columns is None or not self._wanted.any_case:
            return []
        shape = self.shape()
        filled = {path: name for name in shape.schema.names if (path := shape.path(name)) in self._seen.facts}
        return [[list(path), name] for path, name in {**filled, **self._settled}.items()]

    def reader(self, *, frame: Frame = Frame.PAGE) -> Reader:
        """What reads pages for `see`."""
        return Reader(frame=frame)

    def see(self, page: Page) -> None:
        """Make room for what a page holds."""
        with self._lock:
            self._seen = self._seen.widened(page)

    def changed(self) -> str | None:
        """Which column is of another type than in earlier reads, in words; None: none is."""
        now = {column.name: column for column in self._seen.schema}
        for column in self._before if self._wanted.columns is None else ():
            found = now.get(column.name)
            if found is None or (found.kind, found.precision, found.scale) != (column.kind, column.precision, column.scale):
                return f"{column.name} was {column.kind}, and is {found.kind if found else 'another column'} by what it holds now"
        return None

    def left_out(self, table: str) -> str | None:
        """Which attributes were seen and have no column, in words; None: none."""
        if self._wanted.columns is None or not self._wanted.any_case:
            return None
        shape = self.shape()
        filled = {shape.path(name) for name in shape.schema.names}
        leaves = {self._seen.path(name) for name in self._seen.schema.names}
        names = sorted(".".join(leaf) for leaf in leaves if not any(_is_within(leaf, path) for path in filled))
        told = f"Attributes of {table} that the table has no column for are left out"
        return f"{told}: {', '.join(names)}." if names else None

    def shape(self) -> Shape:
        """The columns, with what was seen so far.

        Raises: FixConfig for declared columns that may come from several attributes.
        """
        wanted = self._wanted
        if wanted.columns is not None:
            found = Shape.declared(wanted.columns, paths=wanted.paths, only=True)
            if wanted.any_case:
                known = {*self._seen.facts, *((name,) for name in self._key)}
                found = found.spelled(known, settled={**self._guessed(wanted.columns), **self._settled})
            return Shape.declared(Schema(wanted.columns.columns, self._key_of(found)), paths=found.paths, only=True)
        if not wanted.infer:
            columns = [Column(name, *self._key_kind(name), nullable=False) for name in self._key]
            return Shape.declared(Schema(tuple(columns), self._key), only=True)
        names = {column.name for column in self._seen.schema}
        if not set(self._key) <= names:  # nothing was seen: an empty table has its key all the same
            empty: dict[Path, Facts] = {(name,): Facts(frozenset({self._types[name]})) for name in self._key}
            facts = {**empty, **self._seen.facts}
            return Shape.known(facts, key=self._key, flatten=wanted.flatten, settled=self._settled)
        return self._seen

    def _guessed(self, there: Schema) -> dict[Path, str]:
        """The names that an inferring read gives to paths of one spelling, where the table has all of these: one made it."""
        alike: dict[str, dict[Path, str]] = {}
        for name in self._seen.schema.names:
            path = self._seen.path(name)
            alike.setdefault(joined(path).lower(), {})[path] = name
        several = [names for names in alike.values() if len(names) > 1]
        made = [names for names in several if all(there.column(name) is not None for name in names.values())]
        return {path: name for names in made for path, name in names.items()}

    def _key_kind(self, name: str) -> tuple[Kind]:
        kind = _KINDS[self._types[name]]
        return (Kind.STRING if kind is Kind.DECIMAL else kind,)

    def _key_of(self, shape: Shape) -> tuple[str, ...]:
        by_path = {shape.path(column.name): column.name for column in shape.schema}
        key = [by_path.get((name,)) for name in self._key]
        return tuple(name for name in key if name is not None) if all(key) else ()


def _is_within(path: Path, other: Path) -> bool:
    """Whether one of both is what the other leads to, or inside of it."""
    most = min(len(path), len(other))
    return path[:most] == other[:most]


def _read_facts(told: object) -> dict[Path, Facts]:
    """The facts that `facts` told; none for anything else.

    Raises: FixConfig for what looks like them and is not.
    """
    if not isinstance(told, list):
        return {}
    try:
        rows: list[Any] = told
        return {tuple(path): Facts(frozenset(tags), *numbers) for path, tags, *numbers in rows}
    except (TypeError, ValueError) as error:
        raise _damaged(error) from error


def _read_names(told: object) -> dict[Path, str]:
    """The names that `names` told; none for anything else.

    Raises: FixConfig for what looks like them and is not.
    """
    if not isinstance(told, list):
        return {}
    try:
        rows: list[Any] = told
        return {tuple(path): str(name) for path, name in rows}
    except (TypeError, ValueError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> FixConfig:
    return FixConfig("Reading the position of a read of DynamoDB", f"it is damaged ({error})", hint="Run a full read.")
