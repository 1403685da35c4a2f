"""Flows of the kind `tables`: tables of one database into tables of another, built by functions, published together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import normpath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from halocline.errors import FixConfig
from halocline.flows.connected import Connected
from halocline.flows.connections import uri_of
from halocline.flows.functions import FunctionName
from halocline.flows.model import Model
from halocline.refresh import LONGEST_S

if TYPE_CHECKING:
    from halocline.connector import Plan, Survey
    from halocline.run import Run
    from halocline.tables import TableCopy, Tables


class OneTable(Model):
    """One table of the source, or a query to it, into one table."""

    MAY_BE_BLANK = frozenset({"options"})

    source: str | None = Field(None, alias="from")
    """The table that is read: schema.table, or what the source calls it."""
    query: str | None = None
    """In the place of `from`: what the source is asked."""
    to: str | None = None
    """The table that is filled, schema.table; without it, one of the same name."""
    build: FunctionName | None = None
    """module:function, which makes of each item a row, several, or None; the module is looked for beside this file."""
    declared: dict[str, str] | None = Field(None, alias="schema")
    """Column -> type (`text not null`, `decimal(18,2)`) of what `build` makes; without it, as the table there has them."""
    columns: list[str] | None = None
    """The columns to load; without it, all."""
    exclude: list[str] = Field(default_factory=list)
    """The columns to leave out."""
    mode: Literal["replace", "merge"] = "replace"
    """Replace the rows that are there, or merge by `key`."""
    key: str | list[str] = Field(default_factory=list)
    """The columns that tell rows apart (without it the source's own primary key); a merge goes by them."""
    cursor: str | None = None
    """The column that says when a row was last written: a merge then reads only what is newer."""
    overlap: Annotated[float, Field(ge=0, le=LONGEST_S)] | None = None
    """Seconds before the last position to read again."""
    filter: str | None = None
    """Which rows are read, in the source's own words."""
    projection: str | list[str] | None = None
    """What is read of each, for `build`."""
    segments: Annotated[int, Field(ge=1)] | None = None
    """The most parts that are read side by side."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What else the source takes."""
    adopt: bool = False
    """Replace rows that this flow never put there."""
    allow_empty: bool = False
    """Let an emptied source empty the table."""
    max_delete_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share of the table's rows that may be missing or deleted; more is refused."""
    max_rejected: int | float = 0.1
    """How many of what is read may be refused: a whole number counts, a fraction is a share."""
    csv: str | None = None
    """A file that gets the same rows; the path starts from this file's folder."""

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        try:
            self.copy_of()
        except FixConfig as error:
            raise ValueError(f"{error.cause}. {error.hint}".rstrip(". ")) from None
        return self

    def copy_of(self) -> TableCopy:
        """What is asked for, as `halocline.copy` takes it.

        Raises: FixConfig for what does not go together.
        """
        from halocline.tables import TableCopy

        told = self.model_dump(exclude={"declared", "overlap", "key"})
        key = [self.key] if isinstance(self.key, str) else self.key
        return TableCopy(**told, schema=self.declared, overlap_s=self.overlap, key=key)


class TablesFlow(Model):
    """Tables of a database into tables of another: all of them become visible together, or none."""

    kind: Literal["tables"]
    """Tables of one database into tables of another."""
    source: str = Field(alias="from")
    """The connection that is read, or its URI."""
    to: str
    """The connection of the database or folder, or its URI."""
    tables: Annotated[list[OneTable], Field(min_length=1)]
    """What is copied where."""
    together: bool = True
    """All tables by one commit; else each by its own."""
    wait: Annotated[float, Field(ge=0)] = 0.0
    """Seconds to wait for another run of this flow to end."""
    schedule: str | None = None
    """The name of the EventBridge rule that starts it in Lambda."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        targets = [str(one.copy_of().target).lower() for one in self.tables]
        twice = next((name for at, name in enumerate(targets) if name in targets[:at]), None)
        if twice is not None:
            raise ValueError(
                f"two of its tables go to {twice}; bring the rows of both in one, by a query, or load into two tables"
            )
        files = [normpath(one.csv) for one in self.tables if one.csv is not None]
        if len(set(files)) < len(files):
            raise ValueError("two of its tables have the same CSV file; name a file for each")
        return self

    def copying(self, name: str, around: Connected) -> Tables:
        """The copy that this flow is; nothing is connected yet.

        Raises: FixConfig for a secret that is not there.
        """
        from halocline.tables import Tables

        return Tables(
            uri_of(around.connection(self.source)),
            uri_of(around.connection(self.to)),
            tables=[one.copy_of() for one in self.tables],
            name=f"tables:{name}",
            together=self.together,
            folder=around.folder,
            ledger=around.ledger,
            settings=around.settings,
            sink=around.sink,
            wait_s=self.wait,
            halt=around.halt,
        )

    def run(self, name: str, around: Connected) -> Iterator[TablesDone]:
        """Copy the tables, and yield what became of all of them, or of each that goes by itself."""
        from halocline.run import Run

        copying = self.copying(name, around)
        if not self.together:
            for table, run, failure in copying.run_each():
                yield TablesDone(name, (table,), run, failure)
            return
        run = Run.new()
        try:
            copying.run(run)
        except Exception as error:  # noqa: BLE001 - the caller is told, as with every flow
            yield TablesDone(name, copying.tables, run, error)
        else:
            yield TablesDone(name, copying.tables, run)

    def plan(self, name: str, around: Connected) -> list[tuple[TableCopy, Survey, Plan]]:
        """What `run` would do now with each table; nothing is read or changed.

        Raises: an error of `halocline.errors`.
        """
        return self.copying(name, around).plan()


@dataclass(frozen=True, slots=True)
class TablesDone:
    """Tables of a flow that went together, copied or not."""

    flow: str
    tables: Sequence[TableCopy]
    run: Run
    error: Exception | None = None

    @property
    def legs(self) -> list[tuple[TableCopy, Run]]:
        """Each table, and what became of it."""
        return list(zip(self.tables, self.run.tables or [self.run] * len(self.tables), strict=True))

    @property
    def is_whole(self) -> bool:
        """Whether every item is where it belongs."""
        return self.error is None and (self.run.counts is None or not self.run.counts.rejected)

    def to_json(self) -> dict[str, object]:
        """What is told to programs."""
        from halocline.outcome import Counts
        from halocline.tables import told_of

        told: dict[str, object] = {"flow": self.flow, "run": self.run.id, "success": self.is_whole}
        told |= {"tables": [told_of(table, run, error=self.error) for table, run in self.legs]}
        counts = self.run.counts or Counts()
        told |= {"rows_read": self.run.rows_read, "counts": counts.to_json(), "api_calls": self.run.api_calls}
        told |= {"elapsed_seconds": round(self.run.elapsed_s, 3)}
        return told if self.error is None else {**told, "error": str(self.error) or type(self.error).__name__}
