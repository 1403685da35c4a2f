"""Column, Schema, the neutral types and their Arrow types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class Kind(StrEnum):
    """The neutral types: what a value means, whatever a system calls it."""

    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    BINARY = "binary"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `name` as the source spells it, its neutral `kind`, and what the source said of it.

    `length` counts characters (0: unlimited); `precision` and `scale` count decimal digits (DECIMAL only).
    `source_type` is the source's own word (`currency`); `calculated` marks values that change without a stamp.
    """

    name: str
    kind: Kind
    length: int = 0
    precision: int = 0
    scale: int = 0
    nullable: bool = True
    source_type: str = ""
    calculated: bool = False

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that carries this column: instants are UTC microseconds, JSON is text."""
        import pyarrow as pa

        if self.kind is Kind.DECIMAL:
            return pa.decimal128(self.precision, self.scale)
        return _ARROW[self.kind](pa)

    def to_json(self) -> dict[str, object]:
        """This column as plain JSON data; `from_json` reads it back."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Column:
        """The column that `to_json` wrote."""
        return cls(**{**data, "kind": Kind(str(data["kind"]))})  # type: ignore[arg-type]  # the keys are our own slots


_ARROW = {
    Kind.STRING: lambda pa: pa.string(),
    Kind.JSON: lambda pa: pa.string(),
    Kind.BOOLEAN: lambda pa: pa.bool_(),
    Kind.INTEGER: lambda pa: pa.int64(),
    Kind.DOUBLE: lambda pa: pa.float64(),
    Kind.DATE: lambda pa: pa.date32(),
    Kind.TIME: lambda pa: pa.time64("us"),
    Kind.DATETIME: lambda pa: pa.timestamp("us", "UTC"),
    Kind.BINARY: lambda pa: pa.binary(),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a source or a table, in order, and its key columns. Names are matched in any case."""

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column | None:
        """The column of that name in any case, or None."""
        wanted = name.lower()
        return next((c for c in self.columns if c.name.lower() == wanted), None)

    def select(self, names: Sequence[str]) -> Schema:
        """The schema with just these columns, in the order given; unknown names are left out."""
        chosen = (self.column(name) for name in names)
        return Schema(tuple(c for c in chosen if c is not None), self.key)

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema of these columns."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, c.arrow) for c in self.columns])

    def to_json(self) -> dict[str, object]:
        """This schema as plain JSON data; `from_json` reads it back."""
        return {"columns": [c.to_json() for c in self.columns], "key": list(self.key)}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Schema:
        """The schema that `to_json` wrote."""
        columns: list[dict[str, object]] = data["columns"]  # type: ignore[assignment]  # JSON of our own making
        key: list[str] = data["key"]  # type: ignore[assignment]  # likewise
        return cls(tuple(Column.from_json(c) for c in columns), tuple(key))
