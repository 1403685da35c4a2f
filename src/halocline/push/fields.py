"""Fields: what a push writes, held against the object's describe before anything is sent.

One name that the object does not have makes Salesforce refuse a whole call, and fail a whole Bulk job. A value for a field that
nobody may write has its row refused, and a column of them every row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import pyarrow as pa

from halocline.errors import FixConfig
from halocline.mapping import FieldMapper, Finding, lookups
from halocline.mapping.check import Question, missing, of_object, of_writing
from halocline.mapping.near import near
from halocline.mapping.unknown import unknown_field
from halocline.push.destination import RowBatch, RowDestination
from halocline.push.order import DELETES, Nulls, SyncMode, WriteOrder
from halocline.push.sendable import sends
from halocline.rows.rows import Rows
from halocline.schema import Column, Kind, Schema

_ATTRIBUTES = "attributes"  # what Salesforce puts into the rows of a query; it is not sent back
_LONGER = "csv.DictReader puts there what a line has beyond its header; give the file's path, and the line is told."
_DELIMITERS = (";", "\t", "|", ",")  # what divides columns, where nothing else was said


def checked(
    rows: Rows, order: WriteOrder, *, mapper: FieldMapper | None, destination: RowDestination
) -> tuple[Rows, tuple[Finding, ...]]:
    """The rows, and what some of them may not survive.

    With a mapper its targets are looked at now. Without one the rows are looked at while they are read: they raise FixConfig for
    a name that the object does not have, and for a value of a field that the mode cannot write.
    Raises: NotFound for an unknown object; FixConfig telling all that no row can survive.
    """
    question = _question(order, destination)
    if mapper is None:
        fields = _Fields(order, question)
        fields.refuse([*of_object(question), *fields.of_key()])
        looked_at = CheckedRows(rows, fields)
        looked_at.look_at_first()
        return looked_at, tuple(fields.notices)
    told = mapper.validate(
        question.describe, mode=question.mode, key=order.key, describe_of=destination.describe, source=_columns(rows)
    )
    return rows, told


def _question(order: WriteOrder, destination: RowDestination) -> Question:
    mode = SyncMode.DELETE if order.mode in DELETES else order.mode
    return Question(destination.describe(order.sobject), str(mode), order.key, destination.describe)


def _columns(rows: Rows) -> Schema | None:
    """The names of a table's columns, each a text: that fits any field, and the rows will tell what does not.

    Records have none, for each may hold other names.
    """
    first = next(iter(rows.batches()), None)
    if first is None or isinstance(first.rows, Sequence):
        return None
    return Schema(tuple(Column(name, Kind.STRING) for name in first.rows.schema.names))


class _Fields:
    """The fields of one object, as a push without a mapper needs them. `notices` are what some rows may not survive."""

    def __init__(self, order: WriteOrder, question: Question) -> None:
        self.notices: list[Finding] = []
        self._order = order
        self._question = question
        self._describe = question.describe
        self._fields = question.fields
        self._parents = {
            str(field["relationshipName"]).lower() for field in self._fields.values() if field.get("relationshipName")
        }
        self._good: set[object] = {_ATTRIBUTES}
        self._denied: dict[object, tuple[Finding, ...]] = {}  # names of fields that the mode cannot write, or only some rows

    def look_at_first(self, batch: RowBatch) -> None:
        """As `look`; of columns it is known as well what no row will have."""
        self.look(batch)
        if self._order.mode is SyncMode.INSERT and not isinstance(batch.rows, Sequence):
            problem = f"a new {self._order.sobject} needs it, and there is no such column"
            hint = "Add it, unless the org fills it itself."
            names = [str(field["name"]) for field in missing(batch.rows.schema.names, self._question)]
            self.notices += [Finding(name, problem, hint=hint, fatal=False) for name in names]

    def look(self, batch: RowBatch) -> None:
        """Raises: FixConfig for names that the object does not have, values that the mode cannot write, and columns without the
        one that tells rows apart.
        """
        if not isinstance(batch.rows, Sequence):
            self.refuse([*self._without_key(batch.rows.schema.names)])
        names = _names(batch) - self._good
        if self._order.mode in DELETES or not names:
            return
        inner = {name for name in names if isinstance(name, str) and self._is_parent(name.lower()) and _may_nest(batch, name)}
        spelled = (names - inner - self._denied.keys()) | _keys(batch, inner)
        self._denied |= {name: told for name in names - self._denied.keys() if (told := tuple(self._of_writing(name)))}
        found = [finding for name in sorted(spelled, key=str) for finding in self._of(name)]
        for name in sorted(names & self._denied.keys(), key=str):
            found += self._denied[name] if sends(batch, str(name), order=self._order) else ()
        self.refuse(found)
        self._good |= names - inner - self._denied.keys()

    def of_key(self) -> Iterator[Finding]:
        """What is wrong with the key of an upsert."""
        key = self._order.key if self._order.mode is SyncMode.UPSERT else None
        field = self._fields.get((key or "").lower())
        if key and field is None:
            yield from self._of(key)
        elif field is not None and not lookups.finds(field):
            keys = ", ".join(str(one["name"]) for one in self._fields.values() if lookups.finds(one))
            yield Finding(str(key), "it is no external id, so no record can be found by it", hint=f"Keys: {keys}.")

    def refuse(self, findings: Sequence[Finding]) -> None:
        """Keep those that are not fatal as notices, each once.

        Raises: FixConfig telling all the fatal ones, where there are any.
        """
        fatal = tuple(finding for finding in findings if finding.fatal)
        if fatal:
            raise FixConfig(f"Checking the fields for {self._order.sobject}", "; ".join(map(str, fatal)), findings=fatal)
        self.notices += [finding for finding in findings if finding not in self.notices]

    def _of(self, name: object) -> Iterator[Finding]:
        if name is None:
            yield Finding("None", "a field's name is a text", hint=_LONGER)
        elif not isinstance(name, str):
            yield Finding(repr(name), "a field's name is a text")
        elif "." in name:
            yield from lookups.examine(name, self._describe, describe_of=self._question.describe_of)
        elif name.lower() not in self._fields:
            yield unknown_field(name, self._describe, sobject=self._order.sobject, or_else="Map it, leave it out")

    def _of_writing(self, name: object) -> Iterator[Finding]:
        """What is wrong with a value for the field that a name sets, be it by its own name or by a lookup's."""
        if isinstance(name, str):
            field = self._fields.get(name.lower()) or lookups.reference(name, self._describe)
            if field is not None:
                yield from of_writing(name, field, question=self._question)

    def _is_parent(self, name: str) -> bool:
        return name in self._parents and name not in self._fields

    def _without_key(self, columns: Sequence[str]) -> Iterator[Finding]:
        needed = self._order.needed
        if needed and needed.lower() not in {name.lower() for name in columns}:
            told = f"there is no such column, and mode {self._order.mode} needs it in every row"
            yield Finding(needed, told, tuple(near(needed, columns)), _undivided(columns) or self._renamed(needed, columns))

    def _renamed(self, needed: str, columns: Sequence[str]) -> str:
        """What to try where the header has the field by its label, or with spaces around its name."""
        label = str(self._fields.get(needed.lower(), {}).get("label") or needed).lower()
        found = next((name for name in columns if name.strip().lower() in (needed.lower(), label)), None)
        return "" if found is None else f"The column {found!r} seems to be it: name it {needed}, or map it."


class CheckedRows:
    """Rows that look at their names while they are read."""

    def __init__(self, rows: Rows, fields: _Fields) -> None:
        self._rows = rows
        self._fields = fields

    @property
    def name(self) -> str:
        """See `Rows`."""
        return self._rows.name

    @property
    def nulls(self) -> Nulls:
        """See `Rows`."""
        return self._rows.nulls

    @property
    def clears(self) -> str | None:
        """See `Rows`."""
        return self._rows.clears

    def __len__(self) -> int:
        return len(self._rows)

    def look_at_first(self) -> None:
        """Look at the names of the first rows: most mistakes show there, before a run is booked. Raises: FixConfig."""
        for batch in islice(self._rows.batches(), 1):
            self._fields.look_at_first(batch)

    def batches(self) -> Iterator[RowBatch]:
        """See `Rows`. Raises: FixConfig for a name that the object does not have, or a value that the mode cannot write."""
        for batch in self._rows.batches():
            self._fields.look(batch)
            yield batch

    def records(self, numbers: Sequence[int]) -> list[Mapping[str, object]]:
        """See `Rows`."""
        return self._rows.records(numbers)

    def close(self) -> None:
        """See `Rows`."""
        self._rows.close()


def _undivided(columns: Sequence[str]) -> str:
    """What to try where all columns seem to be one: the file has another delimiter."""
    only = columns[0] if len(columns) == 1 else ""
    found = next((one for one in _DELIMITERS if one in only), None)
    return f"The only column is {only!r}: say what divides it, perhaps delimiter={found!r} (--delimiter)." if found else ""


def _names(batch: RowBatch) -> set[object]:
    """All names of a batch; rows that are no records are refused elsewhere, one by one."""
    if not isinstance(batch.rows, Sequence):
        return set(batch.rows.schema.names)
    return set().union(*(row for row in batch.rows if isinstance(row, Mapping)))


def _may_nest(batch: RowBatch, name: str) -> bool:
    """Whether a parent's record may stand there: in dicts it is seen row by row, in columns of texts it cannot."""
    return isinstance(batch.rows, Sequence) or pa.types.is_struct(batch.rows.schema.field(name).type)


def _keys(batch: RowBatch, parents: Iterable[str]) -> set[object]:
    """The dotted names of records in a lookup's place: {"Account": {"Ext__c": ...}}; a null there clears the lookup."""
    if not isinstance(batch.rows, Sequence):
        return {f"{name}.{one.name}" for name in parents for one in batch.rows.schema.field(name).type}
    rows = [row for row in batch.rows if isinstance(row, Mapping)]
    values = ((name, row.get(name)) for name in parents for row in rows)
    return {
        _dotted(name, key, value) for name, value in values if isinstance(value, Mapping) for key in value if key != _ATTRIBUTES
    }


def _dotted(name: str, key: object, value: Mapping[object, object]) -> str:
    """`Owner.Username`, or `User:Owner.Username` of a record that says what it is."""
    attributes = value.get(_ATTRIBUTES)
    kind = attributes.get("type") if isinstance(attributes, Mapping) else None
    return f"{f'{kind}:' if kind else ''}{name}.{key}"
