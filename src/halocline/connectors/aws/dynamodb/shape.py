"""Shape: which columns the items of a table have: as somebody declared them, or as a number of pages holds them.

Inferred columns take what all values seen fit in: an integer of 64 bits, else a decimal of 38 digits, else text; texts and
numbers together are text, any other mixture is JSON. What was widened beyond one type is told in `notes`. What a read takes of
them, matched in any case, is `Chosen`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.aws.dynamodb.columns import TAKES
from halocline.connectors.aws.dynamodb.layout import WIDEST, Layout
from halocline.connectors.aws.dynamodb.nested import check
from halocline.connectors.aws.dynamodb.reader import Frame, Page, Reader
from halocline.connectors.aws.dynamodb.values import DIGITS, malformed, number
from halocline.connectors.aws.dynamodb.wanted import Wanted
from halocline.errors import FixConfig
from halocline.quantity import quantity
from halocline.schema import Column, Kind, Schema

Path = tuple[str, ...]
V = TypeVar("V")
_PLAIN = r"^-?[0-9]+(?:\.[0-9]+)?$"
MOST_COLUMNS = 5_000
_STEP = "__"  # between the names of an attribute and of what is inside it, in a column's name
_OF_TAG = {"S": Kind.STRING, "B": Kind.BINARY, "BOOL": Kind.BOOLEAN}

_KINDS = {"S": Kind.STRING, "N": Kind.DECIMAL, "B": Kind.BINARY}


@dataclass(frozen=True, slots=True)
class Facts:
    """What values of one attribute were: their types, and of its numbers the most digits before the point and behind it.

    `long`: one of them does not fit in an integer of 64 bits, or is none. `wide`: its maps have so many names that they stay one
    column, and what is in them is not looked at.
    """

    tags: frozenset[str] = frozenset()
    before: int = 0
    behind: int = 0
    long: bool = False
    wide: bool = False

    def __or__(self, other: Facts) -> Facts:
        before, behind = max(self.before, other.before), max(self.behind, other.behind)
        return Facts(self.tags | other.tags, before, behind, self.long or other.long, self.wide or other.wide)


@dataclass(frozen=True, slots=True)
class Shape:
    """Columns, and the path in an item that each comes from.

    `paths` names what is not an attribute of the column's own name. `only`: attributes without a column are none of our business,
    and are not even looked at. An inferred shape has `facts`, and can be `widened`; `settled` are names of columns that earlier
    reads gave to paths, and that stay theirs.
    """

    schema: Schema
    paths: Mapping[str, Path] = field(default_factory=dict)
    only: bool = False
    facts: Mapping[Path, Facts] = field(default_factory=dict)
    flatten: int = 0
    notes: tuple[str, ...] = ()
    settled: Mapping[Path, str] = field(default_factory=dict)

    @classmethod
    def declared(cls, schema: Schema, *, paths: Mapping[str, Sequence[str]] | None = None, only: bool = False) -> Shape:
        """The shape with these columns; `paths` as above (`{"claim": ("claimInfo", "claimNumber")}`).

        Raises: FixConfig for a path of a column that is not there, or that is empty.
        """
        given = {name: tuple(path) for name, path in (paths or {}).items()}
        for name, path in given.items():
            if name not in schema.names or not all(path) or not path:
                raise FixConfig("Declaring columns of DynamoDB", f"{name!r} from {path!r} is no column, or no path to a value")
        return cls(schema, given, only)

    @classmethod
    def infer(cls, pages: Iterable[bytes], *, key: Sequence[str] = (), flatten: int = 0, frame: Frame = Frame.PAGE) -> Shape:
        """The shape in which everything on these pages has its place; maps down to the depth `flatten` become columns.

        Raises: Stop for what DynamoDB would not have sent.
        """
        shape = cls(Schema((), tuple(key)), flatten=flatten)
        reader = Reader(frame=frame)
        for data in pages:
            shape = shape.widened(reader.read(data))
        return shape

    @classmethod
    def known(
        cls,
        facts: Mapping[Path, Facts],
        *,
        key: Sequence[str] = (),
        flatten: int = 0,
        settled: Mapping[Path, str] | None = None,
    ) -> Shape:
        """The inferred shape with what pages of earlier days told, and the names that columns have since then."""
        return cls(Schema((), tuple(key)), flatten=flatten, settled=dict(settled or {}))._of(facts)

    @property
    def inferred(self) -> bool:
        """Whether it came from pages, and may become wider with more of them."""
        return bool(self.facts) or not self.schema.columns

    def path(self, column: str) -> Path:
        """Where in an item a column comes from."""
        return self.paths.get(column, (column,))

    def widened(self, page: Page) -> Shape:
        """The shape that holds all of this page too.

        Raises: Stop for what is no page; FixConfig for a declared shape, and for more columns than a table can be meant to have.
        """
        if not self.inferred:
            raise FixConfig("Widening columns of DynamoDB", "they were declared", hint="Change the declaration.")
        facts = dict(self.facts)
        for name in _present(page):
            for path, one in _facts(page, (name,), depth=self.flatten):
                facts[path] = facts.get(path, Facts()) | one
        facts = _narrowed(facts) if self.flatten else facts
        if len(facts) > MOST_COLUMNS:
            cause = f"items have more than {MOST_COLUMNS:,} attributes, so their names may be data"
            raise FixConfig("Inferring columns of DynamoDB", cause, hint="Declare the columns, or let a builder read the items.")
        return self if facts == self.facts else self._of(facts)

    def spelled(self, known: Iterable[Path], *, settled: Mapping[Path, str] | None = None) -> Shape:
        """This shape, its columns taken from what has their names in any case, as a table has them (`documentid`).

        `known` are the paths that lead to something. `settled` are names that earlier reads gave to paths: these come first.
        Raises: FixConfig where several attributes would fit a column.
        """
        earlier = {name.lower(): path for path, name in (settled or {}).items()}
        free = sorted(set(known) - set(earlier.values()))
        paths = dict(self.paths)
        for column in self.schema:
            found = [path for path in free if joined(path).lower() == column.name.lower()]
            if column.name in paths:
                continue
            if column.name.lower() in earlier:
                paths[column.name] = earlier[column.name.lower()]
            elif found and (column.name,) not in found:
                if len(found) > 1:
                    hint = "Say which with a path, or spell the column like one of them."
                    told = " or ".join(".".join(path) for path in found)
                    raise FixConfig("Declaring columns of DynamoDB", f"{column.name} may be {told}", hint=hint)
                paths[column.name] = found[0]
        return replace(self, paths=paths)

    def layout(self) -> Layout | None:
        """What pages are to be parsed with, where only some attributes are of interest and none of them as JSON."""
        deep = any(column.kind is Kind.JSON or len(self.path(column.name)) > 1 for column in self.schema)
        if not self.only or deep:
            return None
        # With one tag each, an attribute is seen when it comes, and so is one whose tag is another.
        nodes = {self.path(column.name)[0]: {TAKES[column.kind][0]: None} for column in self.schema}
        return Layout(nodes, only=frozenset(self.attributes))

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that columns come from."""
        return tuple(dict.fromkeys(self.path(column.name)[0] for column in self.schema))

    def _of(self, facts: Mapping[Path, Facts]) -> Shape:
        columns: list[Column] = []
        paths: dict[str, Path] = {}
        notes: list[str] = []
        leaves = _leaves(facts)
        names = self._names(leaves)
        for path in leaves:
            name, plain = names[path], joined(path)
            column, more = _column(name, facts[path], key=path == (name,) and name in self.schema.key)
            note = "" if name == plain else f"the column is {name}, because another one has that name"
            notes += [f"{'.'.join(path)}: {text}" for text in (note, more) if text]
            columns.append(column)
            if path != (name,):
                paths[name] = path
        schema = Schema(tuple(columns), self.schema.key)
        return replace(self, schema=schema, paths=paths, facts=facts, notes=tuple(notes))

    def _names(self, leaves: Sequence[Path]) -> dict[Path, str]:
        """The columns' names, whichever page came first: those that are settled, the key's, then the shorter paths'."""
        names = {path: self.settled[path] for path in leaves if path in self.settled}
        taken = {name.lower() for name in names.values()}
        rest = [path for path in leaves if path not in names]
        for path in sorted(rest, key=lambda path: (len(path) > 1 or path[0] not in self.schema.key, len(path), path)):
            names[path] = _free(joined(path), taken)
            taken.add(names[path].lower())
        return names


def joined(path: Path) -> str:
    """The name of the column that a path leads to, where no other one has it."""
    return _STEP.join(path)


def _present(page: Page) -> list[str]:
    """The attributes that items of the page have."""
    tame = [held.name for index, held in enumerate(page.items.type) if page.items.field(index).null_count < len(page.items)]
    return tame + sorted({name for item in page.tagged for name in item if name in page.layout.wild})


def _facts(page: Page, path: Path, *, depth: int) -> Iterable[tuple[Path, Facts]]:
    """What the page tells of an attribute, and of what is inside it down to that depth."""
    cells = page.cells(path)
    check(cells)
    found = Facts()
    for index, held in enumerate(cells.type):
        values = pc.struct_field(cells, [index])
        if values.null_count < len(values):
            found |= _number_facts(values) if held.name == "N" else Facts(frozenset({held.name}))
    if found.tags:
        yield path, found
    inside = page.names(path) if depth and "M" in found.tags else ()
    if len(inside) > WIDEST:
        yield path, Facts(wide=True)
        return
    for name in inside:
        yield from _facts(page, (*path, name), depth=depth - 1)


def _narrowed(facts: Mapping[Path, Facts]) -> dict[Path, Facts]:
    """The facts without those of what is in maps with too many names, whichever pages these names are on."""
    inside = Counter(path[:-1] for path in facts if len(path) > 1)
    wide = {path for path, one in facts.items() if one.wide or inside[path] > WIDEST}
    if not wide:
        return dict(facts)
    kept = {path: one for path, one in facts.items() if not any(path[:end] in wide for end in range(1, len(path)))}
    return {path: replace(one, wide=True) if path in wide else one for path, one in kept.items()}


def _is_map(facts: Facts) -> bool:
    return "M" in facts.tags and facts.tags <= {"M", "NULL"}


def _leaves(facts: Mapping[Path, Facts]) -> list[Path]:
    """The paths that columns come from: those of maps only where nothing in them has a column."""
    filled = {path[:-1] for path in facts if len(path) > 1}
    leaves = (path for path, one in facts.items() if not (path in filled and _is_map(one)))
    return [path for path in leaves if all(_is_map(facts[path[:end]]) for end in range(1, len(path)))]


def _free(name: str, taken: set[str]) -> str:
    """A column's name that is not taken in any case."""
    if name.lower() not in taken:
        return name
    number = 2
    while f"{name}_{number}".lower() in taken:
        number += 1
    return f"{name}_{number}"


def _column(name: str, facts: Facts, *, key: bool) -> tuple[Column, str]:
    tags = facts.tags - {"NULL"}
    source = "|".join(sorted(facts.tags))
    if tags == {"N"}:
        kind, note = _of_numbers(facts)
    elif not tags:
        kind, note = Kind.STRING, "holds nothing but NULL so far"
    elif len(tags) == 1:
        kind, note = _OF_TAG.get(next(iter(tags)), Kind.JSON), ""
    elif tags == {"S", "N"}:
        kind, note = Kind.STRING, "holds texts and numbers, so the numbers are text"
    else:
        kind, note = Kind.JSON, f"holds values of the types {', '.join(sorted(tags))}, so it is JSON"
    if facts.wide:
        note = f"has more than {WIDEST} names in its maps, so it is one column of JSON"
    precision, scale = (DIGITS, facts.behind) if kind is Kind.DECIMAL else (0, 0)
    return Column(name, kind, precision=precision, scale=scale, nullable=not key, source_type=source), note


def _of_numbers(facts: Facts) -> tuple[Kind, str]:
    if not facts.long:
        return Kind.INTEGER, ""
    if facts.before + facts.behind <= DIGITS:
        return Kind.DECIMAL, ""
    digits = f"{quantity(facts.before, 'digit')} before the point and {facts.behind} behind it"
    return Kind.STRING, f"holds numbers with up to {digits}, which no decimal of {DIGITS} digits does: they are text"


def _number_facts(values: pa.StringArray) -> Facts:
    """Numbers with at most 18 digits and no point, nearly all there are, are seen from their length alone."""
    plain = pc.match_substring_regex(values, _PLAIN)
    odd = values.filter(pc.invert(plain))
    found = Facts(frozenset({"N"}))
    for text in odd.drop_null().to_pylist():
        found |= _odd_facts(text)
    texts = values.filter(plain)
    points = pc.find_substring(texts, ".")
    lengths = pc.utf8_length(texts)
    if not len(texts):
        return found
    behind = pc.max(pc.if_else(pc.less(points, 0), 0, pc.subtract(pc.subtract(lengths, points), 1))).as_py()
    digits = pc.subtract(pc.if_else(pc.less(points, 0), lengths, points), pc.starts_with(texts, "-").cast(pa.int32()))
    before = pc.max(digits).as_py()
    return found | Facts(frozenset({"N"}), before, behind, bool(behind) or not _is_int64(texts, before))


def _is_int64(texts: pa.StringArray, digits: int) -> bool:
    if digits <= 18:
        return True
    try:
        texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _odd_facts(text: str) -> Facts:
    """A number with an exponent or in another unusual form."""
    try:
        value = number(text)
    except ValueError as error:
        raise malformed(str(error)) from error
    value = value.normalize() if value else Decimal(0)
    exponent = int(value.as_tuple().exponent)
    before, behind = max(value.adjusted() + 1, 1), max(-exponent, 0)
    return Facts(frozenset({"N"}), before, behind, bool(behind) or not -(1 << 63) <= int(value) < 1 << 63)


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

    @property
    def fresh(self) -> tuple[str, ...]:
        """The columns of what was seen only now, which no earlier read had; none where columns are declared."""
        if self._wanted.columns is not None:
            return ()
        return tuple(name for name in self._seen.schema.names if self._before.column(name) is None)

    def left_out(self, table: str) -> str | None:
        """Which attributes were seen and have no column, in words; None: none."""
        if self._wanted.columns is None or not self._wanted.any_case:
            return None
        shape = self.shape()
        filled = {shape.path(name) for name in shape.schema.names}
        leaves = {self._seen.path(name) for name in self._seen.schema.names}
        leaves = {leaf for leaf in leaves if not any(_is_within(leaf, path) for path in filled)}
        names = sorted(".".join(leaf) for leaf in leaves if not self._is_besides(leaf))
        told = f"Attributes of {table} that the table has no column for are left out"
        return f"{told}: {', '.join(names)}." if names else None

    def _is_besides(self, leaf: Path) -> bool:
        """Whether a column of the table that is not wanted has this in it."""
        besides = {name.lower() for name in self._wanted.besides}
        above = [leaf[:count] for count in range(1, len(leaf) + 1)]
        return any(self._settled.get(path, joined(path)).lower() in besides for path in above)

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
    """The facts that `facts` told."""
    return _read(told, lambda path, tags, *numbers: (tuple(path), Facts(frozenset(tags), *numbers)))


def _read_names(told: object) -> dict[Path, str]:
    """The names that `names` told."""
    return _read(told, lambda path, name: (tuple(path), str(name)))


def _read(told: object, entry: Callable[..., tuple[Path, V]]) -> dict[Path, V]:
    """The entries of a list of rows; none for anything else.

    Raises: FixConfig for what looks like them and is not.
    """
    if not isinstance(told, list):
        return {}
    try:
        return dict(entry(*row) for row in told)
    except (TypeError, ValueError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> FixConfig:
    return FixConfig("Reading the position of a read of DynamoDB", f"it is damaged ({error})", hint="Run a full read.")
