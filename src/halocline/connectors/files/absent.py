"""Absent: the rows of a table that a read of everything lacks. They stay, and get their flag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connector import Deletes, Plan
from halocline.connectors.files.judge import HOME, Judged
from halocline.connectors.files.keys import KEY, key_of
from halocline.connectors.files.log import DataFile
from halocline.connectors.files.settle import flagged, with_columns
from halocline.connectors.files.table import Table
from halocline.schema import Schema
from halocline.verdicts import Tally


@dataclass(slots=True)
class Absent:
    """Told of all staged keys, range by range in their order; finds the rows in between. `schema` has the table's columns."""

    table: Table
    plan: Plan
    schema: Schema
    _above: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether such rows are to be flagged at all."""
        return self.plan.complete and self.plan.deletes is Deletes.SOFT and bool(self.plan.flag_columns)

    def upto(self, keys: pa.ChunkedArray) -> Iterator[Judged]:
        """What becomes of rows whose keys are behind those told of before, and not behind the last of these sorted ones."""
        if self.is_asked and len(keys):
            yield from self._between(keys.combine_chunks(), high=keys[-1].as_py())
            self._above = keys[-1].as_py()

    def behind(self) -> Iterator[Judged]:
        """Likewise of all rows behind the last key of all."""
        if self.is_asked:
            yield from self._between(pa.array([], pa.string()), high=None)

    def _between(self, keys: pa.Array, *, high: str | None) -> Iterator[Judged]:
        for number, file in enumerate(self.table.commit.files):
            if self._may_hold(file, high):
                lacking = self._lacking(file, keys, high=high)
                for rows in self.table.hits(file, self.schema, key=self._key, keys=lacking):
                    yield _flagged(rows, number, self.plan)

    def _may_hold(self, file: DataFile, high: str | None) -> bool:
        """Whether a data file may hold a key of the range; one that was written by another key may hold any."""
        if [name.lower() for name in file.key] != [name.lower() for name in self._key]:
            return True
        return (self._above is None or file.high > self._above) and (high is None or file.low <= high)

    def _lacking(self, file: DataFile, keys: pa.Array, *, high: str | None) -> pa.Array:
        """The keys of the range, sorted, whose rows are not flagged yet and were not staged."""
        looked = self.schema.select([*self._key, *self.plan.flag_columns])
        found = [pa.array([], pa.string())]
        for batch in self.table.batches(file, looked):
            rows = pa.Table.from_batches([batch])
            own = key_of(rows, self._key)
            there = pc.or_(pc.is_in(own, value_set=keys), flagged(rows, self.plan))
            if self._above is not None:
                there = pc.or_(there, pc.less_equal(own, self._above))
            if high is not None:
                there = pc.or_(there, pc.greater(own, high))
            found.append(own.filter(pc.invert(there)).combine_chunks())
        lacking = pa.concat_arrays(found)
        return lacking.take(pc.sort_indices(lacking))

    @property
    def _key(self) -> list[str]:
        return list(self.plan.schema.select(self.plan.key).names)


def _flagged(rows: pa.Table, home: int, plan: Plan) -> Judged:
    """The rows with their flag set; when they went is not known, so their stamp stays."""
    rows = rows.append_column(HOME, pa.repeat(pa.scalar(home, pa.int32()), rows.num_rows))
    flags = pa.chunked_array([pa.repeat(pa.scalar(value=True), rows.num_rows)])
    return Judged(
        Tally(absent=rows.num_rows), rows.select([KEY, HOME]), with_columns(rows, dict.fromkeys(plan.flag_columns, flags))
    )
