"""Columns under other names, and columns whose values nobody is to see: a source in a coat.

    ShapedSource.survey    the inner source's survey, in new names
    ShapedSource.parts     the inner source is handed its own plan, in its own names
    ShapedSource.read      its rows, renamed and masked before anybody else has them

`hash` is HMAC-SHA-256 in hex with a secret: the same value gives the same text, so masked columns still join and count, and
without the secret nobody finds the value by trying. Source: RFC 2104. `null` leaves nothing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pyarrow as pa

from halocline.batch import JSON, Batch, Position
from halocline.connector import Journal, Manifest, Part, Plan, Source, Survey, Unfinished, again_of_all, survey_of_all
from halocline.errors import FixConfig, NotFound, SchemaConflict, Stop, Truncated
from halocline.mapping.near import near
from halocline.schema import Column, Kind, Schema

MASKS = ("hash", "null")
_DIGEST_CHARS = 64
_MASKED = {None: "not masked", "hash": "hashed", "null": "nulled"}
_LESS = {(None, "hash"), (None, "null"), ("hash", "null")}  # before and now, where what was loaded before shows more
_DOING = "Reading the options"
_WITHHELD = "what came is withheld here, because columns are masked"


@dataclass(frozen=True, slots=True)
class Shaping:
    """Which columns get other names (`renames`: old -> new), and which are masked (`masks`: column -> hash or null).

    Columns are named as the source names them, in any case. `secret` is what hashes are made with. `key` is the column that
    rows are matched by. A name that holds a dot becomes one with underscores.
    Raises: FixConfig for a mask that we do not have, a name that is none, or a hash without a secret.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for names in (self.renames, self.masks):
            _refuse_twice(names)
        for old, new in self.renames.items():
            if not new.strip() or "\0" in new:
                raise FixConfig(_DOING, f"{old} cannot be renamed to {new!r}", hint="Write old=new: Name=account_name.")
        for name, mask in self.masks.items():
            if mask not in MASKS:
                raise FixConfig(_DOING, f"the mask {mask!r} of {name} is unknown", hint="Use hash or null: Email=hash.")
        if "hash" in self.masks.values() and not self.secret:
            hint = "Set HALOCLINE_MASK_KEY to a long random text that you keep; with another one all hashes change."
            raise FixConfig(_DOING, f"hashing {', '.join(self.masks)} needs a secret, and there is none", hint=hint)

    def __bool__(self) -> bool:
        return bool(self.renames or self.masks)

    @property
    def scope(self) -> str | None:
        """What a position is only good for: names, masks, and a mark of the secret that does not give it away."""
        if not self:
            return None
        told: dict[str, object] = {"rename": _lowered(self.renames), "mask": _lowered(self.masks)}
        if "hash" in self.masks.values():
            told["secret"] = self.hashed("halocline: which secret this is")[:16]
        return json.dumps(told, sort_keys=True)

    def renamed(self, name: str) -> str:
        """The new name of a column; `name` itself where it keeps its own."""
        return _lowered(self.renames).get(name.lower(), name)

    def hashed(self, text: str) -> str:
        """The text that stands for `text`."""
        return hmac.digest((self.secret or "").encode(), text.encode("utf-8", "surrogatepass"), "sha256").hex()

    def masked(self, values: pa.Array, mask: str | None, *, to: pa.DataType) -> pa.Array:
        """The column's values as they may be seen; nulls stay null."""
        if mask is None:
            return values
        if mask == "null":
            return pa.nulls(len(values), to)
        coded = values.cast(pa.string()).dictionary_encode()
        hashes = pa.array([None if text is None else self.hashed(text) for text in coded.dictionary.to_pylist()], pa.string())
        return hashes.take(coded.indices)


@dataclass(frozen=True, slots=True)
class Shape:
    """What `Shaping.scope` wrote of names and masks, as a position keeps it: columns in lower case."""

    names: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, scope: object) -> Shape:
        """The shape in a scope; of none, and of one that cannot be read, that nothing was shaped."""
        try:
            told = json.loads(scope) if isinstance(scope, str) else {}
            return cls(dict(told.get("rename", {})), dict(told.get("mask", {})))
        except (ValueError, AttributeError, TypeError):
            return cls()

    def name(self, column: str) -> str:
        """What a column of the source is called in the table, but for a number that another's name may cost it."""
        return self.names.get(column.lower()) or column.replace(".", "_")

    def mask(self, column: str) -> str | None:
        """How it is masked."""
        return self.masks.get(column.lower())

    def other_names(self, before: Shape, columns: Sequence[str]) -> tuple[str, ...]:
        """In words, which of these columns had other names."""
        told = ((name, before.name(name), self.name(name)) for name in columns)
        return tuple(f"{name} was called {was} and is called {now}" for name, was, now in told if was.lower() != now.lower())

    def other_masks(self, before: Shape, columns: Sequence[str]) -> tuple[str, ...]:
        """In words, which of these columns were masked in another way."""
        told = ((name, before.mask(name), self.mask(name)) for name in columns)
        return tuple(
            f"{name} was {_MASKED.get(was, was)} and is {_MASKED.get(now, now)}" for name, was, now in told if was != now
        )

    def hidden(self, before: Shape, columns: Sequence[str]) -> tuple[str, ...]:
        """Which of these columns are to show less than before."""
        return tuple(name for name in columns if (before.mask(name), self.mask(name)) in _LESS)

    def exposed(self, before: Shape, columns: Sequence[str]) -> tuple[str, ...]:
        """Which of them do so under another name, where no other fills the column that had their values: they would stay."""
        filled = {self.name(name).lower() for name in columns}
        return tuple(name for name in self.hidden(before, columns) if before.name(name).lower() not in filled)


def _refuse_twice(names: Mapping[str, str]) -> None:
    if len(_lowered(names)) != len(names):
        raise FixConfig(_DOING, f"a column is named twice in {', '.join(names)}", hint="Names are the same in any case.")


def _lowered(names: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in names.items()}


@dataclass(frozen=True, slots=True)
class _Shapes:
    """The columns of one survey: as the source has them, and what becomes of each."""

    inner: Survey
    names: Mapping[str, str]
    masks: Mapping[str, str]

    def new(self, name: str) -> str:
        return self.names.get(name.lower(), name)

    def old(self, name: str) -> str:
        return next((c.name for c in self.inner.schema if self.new(c.name).lower() == name.lower()), name)

    def mask(self, name: str) -> str | None:
        return self.masks.get(name.lower())

    def column(self, column: Column) -> Column:
        """The column as it will be."""
        named, mask = replace(column, name=self.new(column.name)), self.mask(column.name)
        if mask == "hash":
            return replace(named, length=_DIGEST_CHARS, source_type="hash")
        return replace(named, nullable=True) if mask == "null" else named

    @property
    def read(self) -> Schema:
        """What the source is to read: a column that will be null is taken for text, which no value of it can fail to be."""
        columns = (replace(c, kind=Kind.STRING) if self.mask(c.name) == "null" else c for c in self.inner.schema)
        return Schema(tuple(columns), self.inner.schema.key)


class ShapedSource:
    """`inner`, with columns renamed and masked. Implements `connector.Source`; pages as received are parsed here."""

    def __init__(self, inner: Source, shaping: Shaping) -> None:
        self._inner = inner
        self._shaping = shaping
        self._shapes: _Shapes | None = None

    @property
    def calls(self) -> int:
        """Calls made to the other side so far."""
        return self._inner.calls

    def survey(self, since: Position | None) -> Survey:
        """The inner source's survey, in new names.

        Raises: FixConfig for a column that is not read, two columns of one name, or a mask that its column cannot bear.
        """
        return self._renamed(self._inner.survey(since))

    def survey_of_all(self, since: Position) -> Survey:
        """See `connector.survey_of_all`.

        Raises: as `survey`.
        """
        return self._renamed(survey_of_all(self._inner, since))

    def _renamed(self, found: Survey) -> Survey:
        """A survey of the inner source in new names, by which rows are shaped from now on."""
        shapes = self._shapes = _shapes(found, self._shaping)
        return replace(
            found,
            schema=Schema(tuple(map(shapes.column, found.schema)), tuple(map(shapes.new, found.schema.key))),
            cursor=shapes.new(found.cursor) if found.cursor else None,
            delete_flag=shapes.new(found.delete_flag) if found.delete_flag else None,
            notes=(*found.notes, *_notes(shapes)),
            fresh=tuple(map(shapes.new, found.fresh)),
            masked_anew={shapes.new(name): own for name, own in found.masked_anew.items()},
        )

    def take_up(self, plan: Plan, *, journal: Journal, left: Sequence[Unfinished]) -> Plan:
        """See `Source.take_up`."""
        own = self._own(plan)
        taken = self._inner.take_up(own, journal=journal, left=[self._own_work(work, plan) for work in left])
        if taken is own:
            return plan
        changed = {name: getattr(taken, name) for name in Plan.__slots__ if getattr(taken, name) != getattr(own, name)}
        return replace(plan, **changed)

    def parts(self, plan: Plan) -> Iterator[Part]:
        """See `Source.parts`."""
        return self._inner.parts(self._own(plan))

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        """See `Source.read`. A page that was parsed is deleted at once where it holds what is masked."""
        batches = self._inner.read(part, resume)
        try:
            with self._discreet():
                for batch in batches:
                    yield from self._dressed(batch)
        finally:
            if isinstance(batches, Generator):
                batches.close()

    def again(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch]:
        """See `Source.again`.

        Raises: also FixConfig for a key that is masked: nobody can tell the records behind it.
        """
        return self._all_dressed(self._inner.again(self._unmasked(plan), keys))

    def again_of_all(self, plan: Plan, keys: Sequence[JSON]) -> Iterator[Batch] | None:
        """See `connector.again_of_all`.

        Raises: as `again`.
        """
        found = again_of_all(self._inner, self._unmasked(plan), keys=keys)
        return None if found is None else self._all_dressed(found)

    def _all_dressed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        with self._discreet():
            for batch in batches:
                yield from self._dressed(batch)

    def _unmasked(self, plan: Plan) -> Plan:
        """The plan in the inner source's names, by whose key records can be asked for."""
        own = self._own(plan)
        masked = [name for name in own.key if self._surveyed().mask(name)]
        if masked:
            hint = "`verify --full` compares all values without it, and `sync --full` sets right what differs."
            raise FixConfig(f"Reading rows of {plan.object} again", f"the key {', '.join(masked)} is masked", hint=hint)
        return own

    def check(self, plan: Plan, manifests: Sequence[Manifest]) -> None:
        """See `Source.check`."""
        self._inner.check(self._own(plan), manifests)

    def ack(self, receipts: Sequence[JSON]) -> None:
        """See `Source.ack`."""
        self._inner.ack(receipts)

    def _own(self, plan: Plan) -> Plan:
        """The plan in the inner source's names."""
        shapes = self._surveyed()
        return replace(
            plan,
            schema=shapes.read.select([shapes.old(name) for name in plan.schema.names]),
            key=tuple(map(shapes.old, plan.key)),
            cursor=shapes.old(plan.cursor) if plan.cursor else None,
            delete_flag=shapes.old(plan.delete_flag) if plan.delete_flag else None,
        )

    def _own_work(self, work: Unfinished, plan: Plan) -> Unfinished:
        """Work of an earlier run in the inner source's names; without its plan, where that had other columns."""
        then = work.plan
        return replace(work, plan=self._own(then) if then is not None and then.schema == plan.schema else None)

    def _surveyed(self) -> _Shapes:
        if self._shapes is None:
            raise ValueError("a source is surveyed before it is read")
        return self._shapes

    def _dressed(self, batch: Batch) -> Iterator[Batch]:
        """The rows of a batch, renamed and masked, in one batch at least, so that receipts arrive."""
        first, shapes, empty = batch.first_row, self._surveyed(), True
        try:
            for rows in batch.arrow():
                empty = False
                yield replace(batch, rows=self._shaped(rows, shapes), raw=None, first_row=first)
                first += rows.num_rows
            if empty:
                none = pa.RecordBatch.from_pylist([], schema=shapes.read.arrow)
                yield replace(batch, rows=self._shaped(none, shapes), raw=None)
        finally:
            if batch.raw is not None and self._shaping.masks:
                batch.raw.path.unlink(missing_ok=True)

    def _shaped(self, rows: pa.RecordBatch, shapes: _Shapes) -> pa.RecordBatch:
        arrays, names = [], []
        for name, values in zip(rows.schema.names, rows.columns, strict=True):
            column = shapes.inner.schema.column(name)
            to = values.type if column is None else column.arrow
            arrays.append(self._shaping.masked(values, shapes.mask(name), to=to))
            names.append(shapes.new(name))
        return pa.RecordBatch.from_arrays(arrays, names=names)

    @contextmanager
    def _discreet(self) -> Iterator[None]:
        """Errors that may quote a damaged page or a value, without the quotation where columns are masked."""
        try:
            yield
        except (SchemaConflict, Truncated) as error:
            if not self._shaping.masks:
                raise
            raise type(error)(error.doing, f"it could not be read ({_WITHHELD})", hint=error.hint) from None
        except (pa.ArrowException, ValueError) as error:
            if not self._shaping.masks:
                raise
            raise Stop("Masking what was read", f"{type(error).__name__} ({_WITHHELD})") from None


def _shapes(found: Survey, shaping: Shaping) -> _Shapes:
    """What becomes of the columns of a survey.

    Raises: as `ShapedSource.survey`.
    """
    doing = f"Shaping the columns of {found.object}"
    for name in (*shaping.renames, *shaping.masks):
        if found.schema.column(name) is None:
            hint = "Name a column that is read, as the source names it."
            raise NotFound(doing, f"there is no column {name!r}", suggestions=near(name, found.schema.names), hint=hint)
    masks = _lowered(shaping.masks)
    for name, mask in shaping.masks.items():
        _refuse_mask(found, name, mask, key=shaping.key, doing=doing)
    return _Shapes(found, _names(found.schema, shaping, doing=doing), masks)


def _refuse_mask(found: Survey, name: str, mask: str, *, key: str | None, doing: str) -> None:
    column = found.schema.column(name)
    assert column is not None, "the caller has looked"
    needed = {(other or "").lower(): why for other, why in _needed(found, key)}
    if mask == "null" and name.lower() in needed:
        raise FixConfig(doing, f"{column.name} is {needed[name.lower()]}, and cannot be nulled", hint="A key can be hashed.")
    if mask == "hash" and column.kind is not Kind.STRING:
        hint = "Only texts and ids can be hashed; mask it with null, or leave it out (exclude)."
        raise FixConfig(doing, f"{column.name} is {column.kind}, and cannot be hashed", hint=hint)


def _needed(found: Survey, key: str | None) -> Iterator[tuple[str | None, str]]:
    yield found.delete_flag, "the flag of deleted rows"
    yield found.cursor, "the stamp by which changes are found"
    for name in (*found.schema.key, key):
        yield name, "a key"


def _names(schema: Schema, shaping: Shaping, *, doing: str) -> dict[str, str]:
    """Old names in lower case -> new ones, all different in any case.

    Raises: FixConfig when a new name that was asked for is another column's.
    """
    asked = _lowered(shaping.renames)
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for column in sorted(schema, key=lambda column: ("." in column.name, column.name.lower() not in asked)):
        new = asked.get(column.name.lower()) or _undotted(column.name, taken)
        if new.lower() in taken:
            cause = f"{column.name} and {taken[new.lower()]} would both be called {new!r}"
            raise FixConfig(doing, cause, hint="Choose another name, or leave one of them out (exclude).")
        taken[new.lower()] = column.name
        names[column.name.lower()] = new
    return names


def _undotted(name: str, taken: Mapping[str, str]) -> str:
    if "." not in name:
        return name
    plain, number = name.replace(".", "_"), 2
    new = plain
    while new.lower() in taken:
        new, number = f"{plain}_{number}", number + 1
    return new


def _notes(shapes: _Shapes) -> Iterator[str]:
    told = [f"{shapes.new(c.name)} ({mask})" for c in shapes.inner.schema if (mask := shapes.mask(c.name))]
    if told:
        yield f"Masked: {', '.join(told)}."
