"""Partition: which folder of a table a row goes to, by a column's value or the year or month of a date."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connectors.files.layout import step
from halocline.errors import FixConfig
from halocline.moments import refuse_misfits
from halocline.schema import Column, Kind, Schema

MOST = 2_000  # partitions of one commit; more make files so small that nobody wants to read them
_SPEC = re.compile(r"(?:(year|month)\()?([^(),\s]+?)\)?")
_NULL = "__HIVE_DEFAULT_PARTITION__"  # Hive's folder of nulls, which readers of its layout know
_BY_VALUE = {Kind.STRING, Kind.BOOLEAN, Kind.INTEGER, Kind.DATE}
_FORMATS = {"year": "%Y", "month": "%Y-%m"}
_DOING = "Reading partition_by"
_HINT = "Partition by another column, or correct it at the source; nothing was published."


@dataclass(frozen=True, slots=True)
class Partition:
    """One level of folders: `column`'s value, or its year or month (`unit`)."""

    column: Column
    unit: str = ""

    @property
    def name(self) -> str:
        """What stands before the equals sign: `Country`, `CreatedDate_year`. The column itself is in the files as well."""
        return f"{self.column.name}_{self.unit}" if self.unit else self.column.name

    def steps(self, rows: pa.Table) -> pa.ChunkedArray:
        """The folder of each row at this level.

        Raises: SchemaConflict for a day or an instant whose year is no name of a folder.
        """
        values = rows.column(self.column.name)
        refuse_misfits(rows.select([self.column.name]), doing="Writing the partitions", hint=_HINT)
        texts = pc.strftime(values, format=_FORMATS[self.unit]) if self.unit else pc.cast(values, pa.string())
        distinct = texts.unique()
        name = step(self.name, of="a partition")
        named = pa.array([f"{name}={self._value(value)}" for value in distinct.to_pylist()], pa.string())
        return named.take(pc.index_in(texts, value_set=distinct))

    def _value(self, text: str | None) -> str:
        if text is None:
            return _NULL
        return step(text, of=f"a partition by {self.name}") if text else ""


def partitions(wanted: Sequence[str], schema: Schema) -> tuple[Partition, ...]:
    """What `partition_by` asks for, held against the columns.

    Raises: FixConfig for an unknown column, or one whose values make no good folders.
    """
    return tuple(_partition(text, schema) for text in wanted)


def _partition(text: str, schema: Schema) -> Partition:
    found = _SPEC.fullmatch(text)
    column = schema.column(found[2]) if found else None
    if found is None or column is None or ("(" in text) != (")" in text):
        raise FixConfig(_DOING, f"{text[:80]!r} is no column of this table", hint="Write column, year(column) or month(column).")
    unit = found[1] or ""
    if unit and column.kind not in (Kind.DATE, Kind.DATETIME):
        raise FixConfig(_DOING, f"{column.name} is no date", hint="Only dates have a year and a month.")
    if not unit and column.kind not in _BY_VALUE:
        hint = f"Use year({column.name}) or month({column.name})." if column.kind is Kind.DATETIME else "Choose another column."
        raise FixConfig(_DOING, f"{column.name} is a {column.kind}, whose values make no good folders", hint=hint)
    return Partition(column, unit)


def folders(rows: pa.Table, by: Sequence[Partition]) -> pa.ChunkedArray | pa.Array:
    """The folder of each row; empty where the table has no partitions."""
    if not by:
        return pa.repeat(pa.scalar("", pa.string()), rows.num_rows)
    levels = [one.steps(rows) for one in by]
    return levels[0] if len(levels) == 1 else pc.binary_join_element_wise(*levels, "/")


def split(rows: pa.Table, by: Sequence[Partition]) -> Iterator[tuple[str, pa.Table]]:
    """The rows folder by folder, each in the order they came.

    Raises: FixConfig for more folders than anybody wants.
    """
    if not by:
        yield "", rows
        return
    where = folders(rows, by)
    names = where.unique().to_pylist()
    if len(names) > MOST:
        cause = f"{len(names):,} different folders, of at most {MOST:,}"
        raise FixConfig("Writing the partitions", cause, hint="Partition by a column with fewer values, or by year(column).")
    for name in names:
        yield name, (rows if len(names) == 1 else rows.filter(pc.equal(where, name)))
