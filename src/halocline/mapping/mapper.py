"""FieldMapper: rows of the source as rows of the destination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from halocline.errors import FixConfig, RejectRecord
from halocline.mapping import document
from halocline.mapping.check import Describe, Question, examine
from halocline.mapping.finding import Finding, refuse_fatal
from halocline.mapping.paths import MISSING, UNTOUCHED, Absent, nested, value_at
from halocline.mapping.steps import Step, steps_of
from halocline.mapping.transforms import Function
from halocline.outcome import Rejection

if TYPE_CHECKING:
    import pyarrow as pa

    from halocline.schema import Schema

Row = dict[str, object]

_SHOWN = 160  # characters of a value or a user's error in a message


class FieldMapper:
    """A mapping at work; `halocline.mapping.steps` shows its forms.

    What a row of the source has, and what becomes of it:

        no such field    nothing: the target is left untouched       (strict: the row is refused)
        None             None, which clears the target               (skip_none: nothing)
        the empty text   the empty text, through the function
        a value          what the function makes of it; where that is UNTOUCHED, nothing

    A default that the mapping states takes the place of the first three, and goes through the function as well; functions never
    see None; a default of UNTOUCHED leaves the target as it is. A function that raises refuses its row, and no other.
    """

    def __init__(self, mapping: Mapping[str, object], *, transforms: Mapping[str, Function] | None = None) -> None:
        self._steps = steps_of(mapping, transforms)
        if not self._targets:
            raise FixConfig(
                "Reading a mapping", "it maps nothing", hint="Every row would be empty; name a source and its target."
            )

    @classmethod
    def from_yaml(cls, path: str | Path, *, transforms: Mapping[str, Function] | None = None) -> Self:
        """The mapper of the YAML file's `mapping`; `transforms` adds functions that it may name.

        Raises: FixConfig for a file that cannot be read or says a name twice, and as the constructor.
        """
        return cls(document.read(Path(path)), transforms=transforms)

    @property
    def vectorised(self) -> bool:
        """Whether `columns` can do the work: no Python function takes part."""
        return all(step.function is None for step in self._steps)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is done for each target, in order."""
        return self._steps

    def transform(self, source: Mapping[str, Any], skip_none: bool = True, strict: bool = False) -> Row:  # noqa: FBT001, FBT002 - the documented signature
        """One row mapped, dotted targets as nested dicts. By default nulls are left out; `skip_none=False` keeps them.

        Raises: RejectRecord for a function that raises, and in strict mode for a source field that is not there.
        """
        return nested(self._row(source, row=0, skip_none=skip_none, strict=strict))

    def transform_batch(
        self,
        sources: Iterable[Mapping[str, Any]],
        skip_none: bool = True,  # noqa: FBT001, FBT002 - the documented signature
        strict: bool = False,  # noqa: FBT001, FBT002 - the same
    ) -> list[Row]:
        """All rows mapped as by `transform`, one for each source in order.

        Raises: RejectRecord for the first row that cannot be mapped, with its number; `each` goes on instead.
        """
        return [nested(self._row(one, row=row, skip_none=skip_none, strict=strict)) for row, one in enumerate(sources)]

    def each(
        self,
        sources: Iterable[object],
        *,
        skip_none: bool = False,
        strict: bool = False,
        first_row: int = 0,
        part: str = "",
        clears: str | None = None,
    ) -> Iterator[Row | Rejection]:
        """For each source in order either its row, dotted targets as dotted names, or its rejection with the source untouched.

        Nulls are kept: a load clears the fields that are null. Rows are counted from `first_row`. The text `clears` (`#N/A` of a
        CSV file) is the order to clear a field and no value: no function of the mapping sees it.
        """
        for row, source in enumerate(sources, first_row):
            try:
                told: Row | Rejection = self._row(source, row=row, skip_none=skip_none, strict=strict, clears=clears)
            except RejectRecord as refused:
                told = _rejection(refused, source, part=part)
            yield told

    def columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch mapped without a Python object per value; its rows equal those of `each`.

        A target whose source is not in the batch is no column of the result: it is left untouched.
        Raises: NotSupported (`ability="columns"`) where only `each` can do it: a function takes part, a default is of another
        type than its column, or no column would be left.
        """
        from halocline.mapping.columns import mapped

        return mapped(batch, self._steps if self.vectorised else None)

    def check(
        self,
        describe: Describe,
        *,
        mode: str,
        key: str | None = None,
        describe_of: Callable[[str], Describe] | None = None,
        source: Schema | None = None,
    ) -> tuple[Finding, ...]:
        """What is wrong with this mapping for writes to the object of `describe` (a describe's JSON); nothing is sent.

        `mode` is insert, update, upsert or delete; `key` the external id of an upsert. `describe_of` gives the describe of
        another object by name: without it nobody can say whether the key of a lookup is one. `source` adds a look at names and
        types.
        Raises: FixConfig for a mode that is none of these.
        """
        return examine(self._steps, self._targets, question=Question(describe, mode.lower(), key, describe_of, source))

    def validate(
        self,
        describe: Describe,
        *,
        mode: str,
        key: str | None = None,
        describe_of: Callable[[str], Describe] | None = None,
        source: Schema | None = None,
    ) -> tuple[Finding, ...]:
        """The findings of `check` that some rows may survive.

        Raises: FixConfig telling all that no row can survive.
        """
        findings = self.check(describe, mode=mode, key=key, describe_of=describe_of, source=source)
        return refuse_fatal(findings, str(describe["name"]))

    @property
    def _targets(self) -> tuple[str, ...]:
        return tuple(step.target for step in self._steps)

    def _row(self, source: object, *, row: int, skip_none: bool, strict: bool, clears: str | None = None) -> Row:
        if not isinstance(source, Mapping):
            cause = f"a {type(source).__name__} is no record"
            raise RejectRecord(
                "Mapping a row", cause, row=row, code="NOT_A_RECORD", hint="A record is a dict of names and values."
            )
        told: Row = {}
        for step in self._steps:
            value = _value(source, step, row=row, strict=strict)
            if isinstance(value, Absent) or (value is None and skip_none):
                continue
            if step.function is not None and value is not None and (clears is None or value != clears):
                value = _applied(step, value, row=row)
            if value is not UNTOUCHED:
                told[step.target] = value
        return told


def called(function: Function, value: object, *, row: int, doing: str, target: str) -> object:
    """What a user's function makes of a value.

    Raises: RejectRecord from whatever it raises, for only this row is in question.
    """
    try:
        return function(value)
    except (Exception, SystemExit) as error:  # a user's function may raise anything, and one row must not end the load
        cause = f"{_shown(repr(value))} was refused with {_shown(f'{type(error).__name__}: {error}')}"
        raise RejectRecord(doing, cause, row=row, code="MAPPING_FAILED", target=target) from error


def _value(source: Mapping[str, Any], step: Step, *, row: int, strict: bool) -> object:
    """The source's value, or the default in place of nothing, null or empty text."""
    name = step.source
    value = source[name] if name in source else value_at(source, name)
    if value is MISSING and strict:
        cause = f"the row has no field {name!r}"
        hint = "Without strict mode the target would be left untouched, or get its default."
        doing = f"Mapping {name} to {step.target}"
        raise RejectRecord(doing, cause, row=row, hint=hint, code="SOURCE_FIELD_MISSING", target=step.target)
    if step.default is not MISSING and (value is MISSING or value is None or (isinstance(value, str) and not value)):
        return step.default
    return value


def _applied(step: Step, value: object, *, row: int) -> object:
    assert step.function is not None
    doing = f"Mapping {step.source} to {step.target}"
    return called(step.function, value, row=row, doing=doing, target=step.target)


def _shown(text: str) -> str:
    """The text as a message can hold it; Python's own conversions quote values of any length."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _rejection(refused: RejectRecord, source: object, *, part: str) -> Rejection:
    target = refused.facts.get("target")
    return Rejection(
        part,
        refused.row,
        refused.code or "MAPPING_FAILED",
        str(refused),
        () if target is None else (str(target),),
        source if isinstance(source, Mapping) else None,
    )
