"""Callbacks: what a caller's functions hear of rows and batches while a push goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from halocline.errors import FixConfig, RejectRecord
from halocline.mapping.near import near
from halocline.outcome import RowResult
from halocline.push.destination import Told, WritePlan
from halocline.push.result import SyncResult
from halocline.push.run import NOT_ATTEMPTED
from halocline.quantity import quantity
from halocline.rows.rows import Rows

NAMES = ("on_record_start", "on_record_success", "on_record_error", "on_batch_complete")
FAULTS_KEPT = 1_000  # a function that raises for each of a million rows says nothing new after this many
_AT_ONCE = 2_000  # source records held for functions, beside those that the source itself holds

Function = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Unit:
    """How a caller counts: `batch_size` rows are a batch; `refresh` brings the running result up to the moment."""

    batch_size: int
    refresh: Callable[[], None]


class Callbacks:
    """The Watch of a SyncResult and of the caller's functions, by the names of `NAMES`.

    `on_record_start(record)` is called when the record is about to be sent, or just before its error where it never is;
    `on_record_success(record, id)` and `on_record_error(record, error)` as results become known;
    `on_batch_complete(number, of, result)` for every `batch_size` rows that are known, with the result as it is then. Rows that
    nobody tried are in no batch and call nothing. What a function raises is kept in `faults`, changes nothing of what is
    recorded, and does not end the push.
    """

    def __init__(self, functions: Mapping[str, Function | None], *, rows: Rows, result: SyncResult, unit: Unit) -> None:
        self.faults: list[str] = []
        self.faults_count = 0
        self._functions = {name: function for name, function in functions.items() if function is not None}
        self._rows = rows
        self._result = result
        self._unit = unit
        self._started = bytearray(len(rows))
        self._known = 0

    def begun(self, total: int) -> None:
        """See `Watch`."""

    def planned(self, plan: WritePlan) -> None:
        """See `Watch`."""
        self._result.metadata["api"] = plan.api.value

    def sending(self, numbers: Sequence[int]) -> None:
        """See `Watch`."""
        if "on_record_start" in self._functions:
            for first in range(0, len(numbers), _AT_ONCE):
                some = [int(number) for number in numbers[first : first + _AT_ONCE]]
                for number, record in zip(some, self._rows.records(some), strict=True):
                    self._start(number, record)

    def told(self, told: Told) -> None:
        """See `Watch`."""
        for part in self._parts(told):
            self._result.add(part)
            if self._functions.keys() & set(NAMES[:3]):
                self._tell_records(part)
            self._known += _tried(part)
            if _tried(part) and self._known % self._unit.batch_size == 0:
                self._tell_batch()

    def finish(self) -> None:
        """Tell of the last batch, where it is not a whole one."""
        if self._known % self._unit.batch_size:
            self._tell_batch()

    def blame(self) -> str:
        """What the functions raised, in a sentence that names the first."""
        more = "" if self.faults_count == 1 else f"; callbacks raised {quantity(self.faults_count, 'time')} in all"
        return f"{self.faults[0]}{more}. What is recorded of the rows does not depend on it."

    def _parts(self, told: Told) -> Iterator[Told]:
        """The Told in parts that cross no border of a batch; rows that nobody tried come last, by themselves."""
        if "on_batch_complete" not in self._functions and told.rows <= _AT_ONCE:
            yield told
            return
        written = told.written
        others = tuple(row for row in told.others if row.code != NOT_ATTEMPTED)
        while (written is not None and written.num_rows) or others:
            room = min(self._unit.batch_size - self._known % self._unit.batch_size, _AT_ONCE)
            part = None if written is None else written.slice(0, room)
            left = room - (0 if part is None else part.num_rows)
            yield replace(told, written=part, others=others[:left])
            written, others = None if written is None else written.slice(room), others[left:]
        if len(told.others) > sum(row.code != NOT_ATTEMPTED for row in told.others):
            yield replace(told, written=None, others=tuple(row for row in told.others if row.code == NOT_ATTEMPTED))

    def _tell_records(self, part: Told) -> None:
        """The rows of a part in the order of the source."""
        fates: list[tuple[int, str | None, RowResult | None]] = []
        if part.written is not None:
            rows, ids = part.written.column("row").to_pylist(), part.written.column("id").to_pylist()
            fates += [(row, record_id, None) for row, record_id in zip(rows, ids, strict=True)]
        fates += [(-1 if one.row is None else one.row, None, one) for one in part.others if one.code != NOT_ATTEMPTED]
        fates.sort(key=lambda fate: fate[0])
        records = iter(self._rows.records([row for row, _, _ in fates if row >= 0]))
        for row, record_id, refused in fates:
            record = next(records) if row >= 0 else None if refused is None else refused.record
            self._start(row, record)
            if refused is None:
                self._call("on_record_success", row, record, record_id)
            else:
                self._call("on_record_error", row, record, refusal(refused))

    def _start(self, row: int, record: object) -> None:
        if row >= 0 and not self._started[row]:
            self._started[row] = 1
            self._call("on_record_start", row, record)

    def _tell_batch(self) -> None:
        number, batches = math.ceil(self._known / self._unit.batch_size), math.ceil(len(self._rows) / self._unit.batch_size)
        self._unit.refresh()
        self._call("on_batch_complete", None, number, batches, self._result)

    def _call(self, name: str, row: int | None, *arguments: object) -> None:
        function = self._functions.get(name)
        if function is None:
            return
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - the caller's function may raise anything; the rows' fates are what they are
            self.faults_count += 1
            if len(self.faults) < FAULTS_KEPT:
                place = f"batch {arguments[0]}" if row is None else f"row {row}"
                self.faults.append(f"{name} of {place} raised {type(error).__name__}: {error}")


def known_functions(functions: Mapping[str, Function | None] | None) -> dict[str, Function | None]:
    """The caller's functions.

    Raises: FixConfig for a name that nobody calls, or for what cannot be called.
    """
    given = dict(functions or {})
    for name, function in given.items():
        if name not in NAMES:
            meant = near(str(name), NAMES)
            hint = f"Did you mean {' or '.join(meant)}?" if meant else f"There are {', '.join(NAMES)}."
            raise FixConfig("Reading the callbacks", f"nothing calls {name!r}", hint=hint)
        if function is not None and not callable(function):
            raise FixConfig("Reading the callbacks", f"{name} is {function!r}, which cannot be called", hint="Give a function.")
    return given


def refusal(row: RowResult) -> RejectRecord:
    """The error of one row, as functions get it: its text is the code and the message, its facts hold the fields."""
    return RejectRecord(row.code, row.message, row=-1 if row.row is None else row.row, code=row.code, fields=row.fields)


def _tried(part: Told) -> int:
    return part.rows - sum(row.code == NOT_ATTEMPTED for row in part.others)
