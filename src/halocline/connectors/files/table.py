"""Table: a table of files as its newest commit says it is, and what a plan wants of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from halocline.connector import Plan, Target
from halocline.connectors.files.format import Format, format_of
from halocline.connectors.files.keys import between
from halocline.connectors.files.layout import Folder, is_data, is_in_partition, maker_of
from halocline.connectors.files.log import Commit, DataFile, Log
from halocline.connectors.files.storage import Entry, Storage
from halocline.errors import FixConfig, NotFound, SchemaConflict
from halocline.schema import Column, Kind, Schema

FULL_SYNC = "Run a full sync (--full, force_full_sync=True; for a flow's table `mode: replace`), which builds the table anew."


@dataclass(frozen=True, slots=True)
class Table:
    """A table in a storage: where it lies, and what its newest commit was when it was looked at."""

    storage: Storage
    target: Target
    folder: Folder
    commit: Commit

    @classmethod
    def find(cls, storage: Storage, target: Target) -> Table:
        """The table as it stands now, which may not exist."""
        folder = Folder.of(target)
        return cls(storage, target, folder, Log(storage, folder).newest())

    @property
    def log(self) -> Log:
        """Its commits."""
        return Log(self.storage, self.folder)

    @property
    def format(self) -> Format:
        """How its files are read."""
        return format_of(self.commit.format)

    def entries(self) -> Iterator[Entry]:
        """The files in the table's folder and its partitions, their names below it; neither its log nor tables further below."""
        prefix = f"{self.folder.path}/"
        for entry in self.storage.entries(self.folder.path):
            name = entry.name.removeprefix(prefix)
            if is_in_partition(name):
                yield replace(entry, name=name)

    def is_whole(self) -> bool:
        """Whether all its data files are there."""
        return self.commit.paths <= {entry.name for entry in self.entries()}

    def name_of(self, path: str) -> str:
        """A data file's name in the storage."""
        return f"{self.folder.path}/{path}"

    def batches(self, file: DataFile, schema: Schema) -> Iterator[pa.RecordBatch]:
        """The rows of a data file in these columns.

        Raises: Truncated for a damaged file, NotFound for one that is gone.
        """
        with self.storage.at_hand(self.name_of(file.path)) as path:
            yield from self.format.batches(path, schema)

    def hits(self, file: DataFile, schema: Schema, *, key: Sequence[str], keys: pa.Array) -> Iterator[pa.Table]:
        """The rows of a data file whose key is among the sorted `keys`, with that key as the column `keys.KEY`."""
        if len(keys):
            with self.storage.at_hand(self.name_of(file.path)) as path:
                yield from self.format.hits(path, schema, key=key, keys=keys)

    def hits_by_key(self, number: int, schema: Schema, *, key: Sequence[str], keys: pa.Array) -> Iterator[pa.Table]:
        """Likewise in the data file of that number, which is not opened when it was written by this key, with others of it."""
        file = self.commit.files[number]
        if [name.lower() for name in file.key] == [name.lower() for name in key]:
            keys = between(keys, low=file.low, high=file.high)
        yield from self.hits(file, schema, key=key, keys=keys)

    def widened(self, schema: Schema) -> Schema:
        """The table's columns, and those that only `schema` has."""
        more = tuple(column for column in schema if self.commit.schema.column(column.name) is None)
        return Schema((*self.commit.schema.columns, *more), schema.key)

    def respelled(self, plan: Plan) -> Plan:
        """The plan with its columns spelled as the table spells them."""
        known = {column.name.lower(): column.name for column in self.commit.schema}
        columns = tuple(replace(column, name=known.get(column.name.lower(), column.name)) for column in plan.schema)
        return replace(plan, schema=Schema(columns, plan.schema.key))

    def refuse_strangers(self) -> None:
        """Hold the folder against files of somebody else, which readers would take for rows of this table.

        Raises: FixConfig when there are some.
        """
        for entry in self.entries():
            if is_data(entry.name) and maker_of(entry.name) is None:
                uri = self.storage.uri(self.name_of(entry.name))
                hint = "Name another table or folder, or move the files away."
                raise FixConfig(f"Opening a load into {self.target}", f"{uri} is not a file of Halocline's", hint=hint)


def check_types(table: Table, plan: Plan, *, doing: str) -> None:
    """Hold a table's types against the plan's, before rows are merged into it, or compared with the source's.

    Raises: SchemaConflict for a column of another type, NotFound for a table without its key column.
    """
    for column in plan.schema:
        there = table.commit.schema.column(column.name)
        if there is not None and type_of(there) != type_of(column):
            cause = f"the column {column.name} is {type_of(there)} there, and would have to be {type_of(column)} now"
            raise SchemaConflict(doing, cause, hint=FULL_SYNC, column=column.name)
    for name in plan.key if table.commit.exists else ():
        if table.commit.schema.column(name) is None:
            raise NotFound(doing, f"the table has no key column {name!r}", hint=FULL_SYNC)


def type_of(column: Column) -> str:
    """The type of a column in files."""
    return f"decimal({column.precision},{column.scale})" if column.kind is Kind.DECIMAL else str(column.kind)
