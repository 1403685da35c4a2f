"""Wanted: what is to be read of DynamoDB, as options say it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from halocline.connectors.aws.dynamodb.values import tagged
from halocline.errors import FixConfig, RejectRecord
from halocline.option_values import NAMED, NAMED_TEXT, NAMED_TEXTS, NUMBER, TEXT, TRUTH, WHOLE, refuse_others
from halocline.schema import Schema

_DOING = "Reading DynamoDB"
_MOST_SEGMENTS = 1_000_000  # Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
_KINDS = {
    **dict.fromkeys(("table", "nested", "index", "filter", "projection", "from_export"), TEXT),
    **dict.fromkeys(("depth", "segments", "limit"), WHOLE),
    **dict.fromkeys(("any_case", "infer", "consistent", "streams"), TRUTH),
    "read_capacity": NUMBER,
    "paths": NAMED_TEXTS,
    "names": NAMED_TEXT,
    "values": NAMED,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A `table` (its name, or its ARN), and how it is read.

    Columns: `columns` are declared, each from the attribute of its name, or the one at its path in `paths` (with `any_case` the
    name may be spelled in another case, as a database does; `besides` are columns of the table that are not wanted). Without
    `columns` they are inferred from all items, unless `infer` is off (who reads items has no use for them). `nested` maps are
    columns of JSON, or (`flatten`) a column for each thing in them, down to `depth`.
    Scan: `segments` (None: by the table's size), `consistent` (None: only where a stream follows), `index`, `filter` and
    `projection` as DynamoDB's expressions with their `names` and `values` (Python values, floats too), at most `limit` items,
    `read_capacity` (up to 1 a share of what is provisioned, above that units a second).
    `streams`: what changed since the last run is read from the table's stream. `from_export` is where exports of the table are
    (`s3://bucket/prefix`), which are read in its place.
    """

    table: str
    columns: Schema | None = None
    paths: Mapping[str, Sequence[str]] = field(default_factory=dict)
    any_case: bool = False
    besides: tuple[str, ...] = ()
    infer: bool = True
    nested: str = "json"
    depth: int = 1
    segments: int | None = None
    consistent: bool | None = None
    index: str | None = None
    filter: str | None = None
    projection: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    limit: int | None = None
    read_capacity: float | None = None
    streams: bool = False
    from_export: str | None = None

    def __post_init__(self) -> None:
        refuse_others({name: getattr(self, name) for name in _KINDS}, _KINDS, doing=_DOING)
        if self.depth < 1:
            raise FixConfig(_DOING, f"depth={self.depth} opens no map", hint="It counts levels, from 1 up.", option="depth")
        if self.nested not in ("json", "flatten"):
            raise FixConfig(_DOING, f"nested={self.nested!r} is unknown", hint="Use json or flatten.", option="nested")
        if self.segments is not None and not 1 <= self.segments <= _MOST_SEGMENTS:
            hint = f"Use 1 to {_MOST_SEGMENTS:,}."
            raise FixConfig(_DOING, f"segments={self.segments} cannot be scanned", hint=hint, option="segments")
        if self.limit is not None and self.limit < 1:
            raise FixConfig(_DOING, f"limit={self.limit} reads nothing", hint="It counts items, from 1 up.", option="limit")
        if self.paths and self.columns is None:
            raise FixConfig(_DOING, "paths are given, and no columns", hint="Declare the columns that they lead to.")
        of_scan = ("filter", "projection", "index", "limit")
        _ = self.bound
        if self.streams:
            self._refuse(of_scan, "which a stream does not know", why="streams")
        if self.from_export is not None:
            more = ("segments", "consistent", "read_capacity", "streams")
            self._refuse((*of_scan, *more), "which an export does not know", why="from_export")

    @property
    def bound(self) -> dict[str, dict[str, Any]]:
        """`values` as they go over the wire; a float, all that YAML has for `9.5`, by its shortest text.

        Raises: FixConfig for what DynamoDB has no type for.
        """
        try:
            return {name: tagged(_exact(value)) for name, value in self.values.items()}
        except RejectRecord as error:
            raise FixConfig(_DOING, f"values: {error.cause}", hint=error.hint, option="values") from error

    @property
    def flatten(self) -> int:
        """How deep maps become columns."""
        return self.depth if self.nested == "flatten" else 0

    @property
    def scope(self) -> str:
        """What a position is only good for, besides the table. Columns that a table has are the same, whichever they are."""
        declared = () if self.columns is None or self.any_case else self.columns
        columns = [f"{one.name} {one.kind} {one.precision} {one.scale}" for one in declared]
        paths = {name: list(path) for name, path in self.paths.items()}
        return json.dumps([columns, paths, self.infer, self.flatten, self.from_export], sort_keys=True)

    def _refuse(self, names: Sequence[str], told: str, *, why: str) -> None:
        given = [name for name in names if getattr(self, name)]
        if given:
            raise FixConfig(_DOING, f"{why} is given, and {', '.join(given)}, {told}", hint="Leave one of them out.")


def _exact(value: object) -> object:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {name: _exact(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(map(_exact, value))
    return value
