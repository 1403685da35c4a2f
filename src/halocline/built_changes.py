"""BuiltChanges: built rows of what changed. An item becomes its row or none, also where it was another one before.

Which rows were built of an item earlier is known where each has one at most, under the item's own key: then the row of an item
that is to become none goes, and items that could not be built are read again until they can be.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from halocline.batch import JSON, Batch, Items, Op, Position
from halocline.builders import Builder, BuiltSource, Item
from halocline.connector import Ending, Part, Plan, Source, Survey
from halocline.errors import FixConfig
from halocline.fitting import Misfit, arrays, fitted
from halocline.making import making_of
from halocline.schema import Column, Schema
from halocline.wanted import holding_back, known_of

_BUILT = "built"
_ROW = "a row that is found by a cursor"
_Key = tuple[object, ...]


class BuiltChanges(BuiltSource):
    """As `BuiltSource`, of a source that finds by a cursor what changed; rows are matched by `key`.

    What is built in another way than before, by another builder or into other columns, is built of everything anew.
    """

    def __init__(self, inner: Source, builder: Builder, schema: Schema, *, key: Sequence[str]) -> None:
        super().__init__(inner, builder, schema)
        self._told = described(builder, schema)
        self._unseen = making_of(builder).unseen
        self._takes_along = False
        self._named = tuple(key)
        self._key = [column for name in key if (column := schema.column(name)) is not None]
        self._item_key: list[str] = []  # the same columns as the items spell them
        self._since: Position | None = None
        self._gone: dict[str, list[_Key]] = {}  # by part: of items that became none
        self._left: dict[str, list[_Key]] = {}  # by part: of items that could not be built

    def survey(self, since: Position | None) -> Survey:
        """See `BuiltSource.survey`.

        Raises: FixConfig where rows are matched by another key than the items have.
        """
        found, self._since = super().survey(since), since
        if since is not None and since.get(_BUILT) != self._told and found.window[0] is not None:
            found, self._since = super().survey(None), None
            found = replace(found, full_reason="its rows are built in another way than before")
        self._item_key = self._own_key(found.object)
        self._takes_along = found.window[0] is not None  # a read of everything comes upon items that never were its own rows
        return replace(found, next_position={**found.next_position, _BUILT: self._told}, notes=(*found.notes, *self._notes()))

    def read(self, part: Part, resume: Position | None = None) -> Iterator[Batch]:
        """See `BuiltSource.read`; of items that become none the deletions of what they were before."""
        self._gone[part.id], self._left[part.id] = [], []
        return super().read(part, resume)

    def ending(self, plan: Plan) -> Ending:
        """What could not be built is behind the position all the same."""
        left = [key for part in self._left.values() for key in part]
        position = holding_back(plan.next_position, self._since, key=self._item_key, left=left)
        return Ending(position, known_of(self._since, left))

    def _notes(self) -> Iterator[str]:
        if self._unseen:
            held = ", ".join(self._unseen)
            yield f"Changes of what the builder holds are not seen ({held}): after one, run once with mode=replace."

    def _own_key(self, named: str) -> list[str]:
        """The columns of the key as the items have them; none where there is no key, which whoever plans will tell."""
        if not self._key or len(self._key) < len(self._named):
            return []
        doing, wanted = f"Planning the changes of {named}", ", ".join(one.name for one in self._key)
        assert self._read is not None, "it has just been surveyed"
        found = [column.name for one in self._key if (column := self._read.column(one.name)) is not None]
        own = self._read.key or tuple(found)
        if len(found) < len(self._key) or set(found) != set(own):
            cause = f"its rows are matched by {wanted}, and its items by {', '.join(own) or 'another key'}"
            hint = (
                "Which rows an item had before nobody knows then, so that they would stay. Name the item's own key, and give it"
                " to its row under the same name; or leave out the cursor, and say mode=replace."
            )
            raise FixConfig(doing, cause, hint=hint)
        return found

    def _builder_of(self, part: Part) -> Builder:
        return partial(self._one, gone=self._gone[part.id])

    def _one(self, item: Item, *, gone: list[_Key]) -> object:
        """What the builder makes of an item, held to its key as it is drawn; of one that becomes none the key is in `gone`."""
        key = tuple(fitted(item[name], column) for name, column in zip(self._item_key, self._key, strict=True))
        answer = self._builder(item)
        if isinstance(answer, (Mapping, str, bytes)) or (answer is not None and not isinstance(answer, Iterable)):
            _refuse_other(answer, self._key, key)
            return answer
        return self._drawn(() if answer is None else answer, key, gone)

    def _drawn(self, answer: Iterable[object], key: _Key, gone: list[_Key]) -> Iterator[object]:
        number = 0
        for row in answer:
            number += 1
            if number > 1:
                message = f"the builder made several rows, and {_ROW} is the only one of its item; say mode=replace"
                raise Misfit(message, code="SEVERAL_ROWS")
            _refuse_other(row, self._key, key)
            yield row
        if not number:
            gone.append(key)

    def _built(self, batch: Batch | Items, part: Part) -> Iterator[Batch]:
        gone, left = self._gone[part.id], self._left[part.id]
        for made in super()._built(batch, part):
            left += [_key_at(batch, one.row - batch.first_row, self._item_key) for one in made.rejections]
            went = gone[:] if self._takes_along else []
            gone.clear()
            yield replace(made, filtered=made.filtered - len(went))
            if went:
                yield self._deletions(went, first=made.first_row)

    def _deletions(self, keys: Sequence[_Key], *, first: int) -> Batch:
        schema = Schema(tuple(self._key), tuple(column.name for column in self._key))
        names = [column.name.lower() for column in self._key]
        columns, odd = arrays([dict(zip(names, key, strict=True)) for key in keys], schema)
        assert not odd, "each of them was fitted when it was read"
        return Batch(pa.RecordBatch.from_arrays(columns, schema=schema.arrow), op=Op.DELETE, first_row=first)


def described(builder: Builder, schema: Schema) -> JSON:
    """What tells one way of building from another: the columns, the function, and what it does."""
    function = inspect.unwrap(builder.func if isinstance(builder, partial) else builder)
    named = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', type(function).__qualname__)}"
    columns = [f"{one.name} {one.kind} {one.source_type} {one.length} {one.precision} {one.scale}" for one in schema]
    return {"by": named, "does": making_of(builder).digest, "columns": columns}


def _refuse_other(row: object, key: Sequence[Column], wanted: _Key) -> None:
    """Raises: Misfit for a row of another key than its item's; what is no row is refused elsewhere."""
    if not isinstance(row, Mapping):
        return
    told = {str(name).lower(): value for name, value in row.items()}
    for column, value in zip(key, wanted, strict=True):
        name = column.name.lower()
        if name in told and fitted(told[name], column) != value:
            message = f"its {column.name} is not the item's, and {_ROW} has the key of its item; say mode=replace"
            raise Misfit(message, code="OTHER_KEY", fields=(column.name,))


def _key_at(batch: Batch | Items, at: int, names: Sequence[str]) -> _Key:
    """The key of an item of a batch."""
    if isinstance(batch, Items) or batch.rows is None:
        return (None,) * len(names)  # nothing is told, so that everything is read again
    return tuple(batch.rows.column(name)[at].as_py() for name in names)
