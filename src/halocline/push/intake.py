"""Intake: rows of a source, mapped, sifted and staged; what cannot be sent is told on the way."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from halocline.errors import FixConfig, NotSupported
from halocline.mapping.mapper import FieldMapper
from halocline.outcome import Fate, Rejection, RowResult
from halocline.push.destination import RowBatch, RowLoad, Told
from halocline.push.marks import Marks
from halocline.push.run import NOT_ATTEMPTED
from halocline.push.sieve import Sieve
from halocline.rows.rows import Rows

STAGING = "staging"
"""The chunk of rows that are told before anything is sent."""
_LATER = "an earlier row was refused, and the push stops at the first error"


@dataclass(slots=True)
class Intake:
    """Stages rows in `load`, and notes in `marks` which.

    `trial` is there where the push stops on errors: a second load that sees each batch first, so that no row behind the first
    refused one is staged. `hear` gets what is refused, `unchanged` the numbers that the sieve holds back.
    """

    load: RowLoad
    hear: Callable[[Told], None]
    marks: Marks = field(default_factory=Marks)
    mapper: FieldMapper | None = None
    strict: bool = False
    sieve: Sieve | None = None
    trial: RowLoad | None = None
    unchanged: int = 0
    _stopped: bool = False
    _piece: int = 0
    _clears: str | None = None

    def take_all(self, rows: Rows, *, looked: Callable[[int], None]) -> None:
        """Stage all rows; `looked` hears how many were looked at.

        Raises: FixConfig for columns that cannot be sent at all, StorageFailed, and whatever the source raises.
        """
        self._clears = rows.clears
        for batch in rows.batches():
            if len(batch.numbers):
                self._tell(_not_attempted(batch.numbers) if self._stopped else self._take(batch))
                looked(len(batch.numbers))

    def _take(self, batch: RowBatch) -> list[RowResult]:
        """Stage a batch, and answer the rows that will never be sent."""
        mapped, refused = self._mapped(batch)
        if self.trial is not None:
            mapped, refused = _until_first(mapped, [*refused, *self._tried(mapped)])
        sifted, same = (mapped, ()) if self.sieve is None else self.sieve.sift(mapped)
        answers = self.load.stage(sifted) if len(sifted.numbers) else ()
        self.marks.stage(_without(sifted.numbers, answers))
        self.unchanged += len(same)
        refused = sorted([*refused, *answers], key=_number)
        if self.trial is not None and refused:
            self._stopped = True
            refused.extend(_not_attempted([n for n in batch.numbers if n > _number(refused[0])]))
        return refused

    def _tried(self, mapped: RowBatch) -> Sequence[RowResult]:
        return self.trial.stage(mapped) if self.trial is not None and len(mapped.numbers) else ()

    def _mapped(self, batch: RowBatch) -> tuple[RowBatch, list[RowResult]]:
        if self.mapper is None:
            return batch, []
        if not isinstance(batch.rows, Sequence) and self.mapper.vectorised and not self.strict:
            from halocline.mapping.columns import mapped  # loads Arrow, which dicts do not need here

            try:
                return RowBatch(batch.numbers, mapped(batch.rows, self.mapper.steps)), []
            except NotSupported as refusal:
                if refusal.ability != "columns":
                    raise
        return self._one_by_one(batch, self.mapper)

    def _one_by_one(self, batch: RowBatch, mapper: FieldMapper) -> tuple[RowBatch, list[RowResult]]:
        numbers, rows, refused = [], [], []
        for number, told in zip(batch.numbers, mapper.each(_dicts(batch), strict=self.strict, clears=self._clears), strict=True):
            if isinstance(told, Rejection):
                refused.append(RowResult(number, Fate.NOT_SENT, code=told.code, message=told.message, fields=told.fields))
            else:
                numbers.append(number)
                rows.append(told)
        return RowBatch(numbers, rows), refused

    def _tell(self, refused: Sequence[RowResult]) -> None:
        if refused:
            self.hear(Told(STAGING, self._piece, others=tuple(refused)))
            self._piece += 1


def _dicts(batch: RowBatch) -> Sequence[object]:
    if isinstance(batch.rows, Sequence):
        return batch.rows
    names = batch.rows.schema.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FixConfig("Mapping rows", f"the source has several columns named {twice!r}", hint="Name them apart.")
    from halocline.moments import rows_of  # loads Arrow, which dicts do not need here

    return rows_of(batch.rows)


def _until_first(mapped: RowBatch, refused: Sequence[RowResult]) -> tuple[RowBatch, list[RowResult]]:
    """The rows before the first refused one, and that one."""
    if not refused:
        return mapped, []
    first = min(refused, key=_number)
    at = bisect_left(mapped.numbers, _number(first))
    rows = mapped.rows[:at] if isinstance(mapped.rows, Sequence) else mapped.rows.slice(0, at)
    return RowBatch(mapped.numbers[:at], rows), [first]


def _without(numbers: Sequence[int], answers: Sequence[RowResult]) -> Sequence[int]:
    refused = {answer.row for answer in answers}
    return [number for number in numbers if number not in refused] if refused else numbers


def _not_attempted(numbers: Sequence[int]) -> list[RowResult]:
    return [RowResult(number, Fate.NOT_SENT, code=NOT_ATTEMPTED, message=_LATER) for number in numbers]


def _number(row: RowResult) -> int:
    assert row.row is not None, "a row that is refused here has a number"
    return row.row
