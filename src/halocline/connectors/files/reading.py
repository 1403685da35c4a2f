"""Reading: a table of files as its newest commit says it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import JSON
from halocline.connector import Plan, Target
from halocline.connectors.files.format import fitted
from halocline.connectors.files.keys import KEY, key_of
from halocline.connectors.files.table import Table, check_types
from halocline.connectors.files.uri import open_storage
from halocline.errors import NotFound, RetryLater
from halocline.schema import Schema
from halocline.spool import Spool


def table_files(uri: str, table: str, *, schema: str | None) -> list[str]:
    """The addresses of the files that hold a table; see the package."""
    with ExitStack() as stack:
        found = _find(uri, Target(schema, table), stack)
        return [found.storage.uri(found.name_of(file.path)) for file in found.commit.files]


def read_table(uri: str, table: str, *, schema: str | None) -> pa.RecordBatchReader:
    """The rows of a table; see the package."""
    stack = ExitStack()
    try:
        found = _find(uri, Target(schema, table), stack)
    except BaseException:
        stack.close()
        raise
    return pa.RecordBatchReader.from_batches(found.commit.schema.arrow, _batches(found, stack))


def read_rows(table: Table, *, plan: Plan, keys: Sequence[JSON] | None) -> Iterator[pa.RecordBatch]:
    """See `Destination.rows`."""
    doing = f"Reading {table.target}"
    if not table.commit.exists:
        raise NotFound(doing, "there is no such table", hint="Run `halocline sync` first.")
    check_types(table, plan, doing=doing)
    spelled = table.respelled(plan).schema
    for batch in _all(table, spelled) if keys is None else _chosen(table, plan, spelled, keys=keys):
        yield pa.RecordBatch.from_arrays(batch.columns, schema=plan.schema.arrow)


def _all(table: Table, schema: Schema) -> Iterator[pa.RecordBatch]:
    for file in table.commit.files:
        yield from table.batches(file, schema)


def _chosen(table: Table, plan: Plan, schema: Schema, *, keys: Sequence[JSON]) -> Iterator[pa.RecordBatch]:
    """The rows of some keys; all of them where the key has several columns."""
    key = list(schema.select(plan.key).names)
    if len(key) > 1:
        yield from _all(table, schema)
        return
    wanted = key_of(pa.table({KEY: pa.array(keys, schema.select(key).columns[0].arrow)}), [KEY]).combine_chunks()
    wanted = wanted.take(pc.sort_indices(wanted))
    for number in range(len(table.commit.files)):
        for found in table.hits_by_key(number, schema, key=key, keys=wanted):
            yield from fitted(found, schema).to_batches()


def _batches(table: Table, stack: ExitStack) -> Iterator[pa.RecordBatch]:
    """The rows of a commit; of the one after it, where its files are gone before the first row was handed out."""
    schema = table.commit.schema
    with stack:
        begun = False
        while True:
            try:
                for file in table.commit.files:
                    for batch in table.batches(file, schema):
                        begun = True
                        yield batch
            except NotFound as error:
                newest = Table.find(table.storage, table.target)
                if newest.commit.number == table.commit.number:
                    raise
                if begun or newest.commit.schema != schema:
                    cause = "another commit replaced the table while it was read"
                    hint = (
                        "Read it again; with ?keep=1 in the address that it is written by, the files of one more commit are kept."
                    )
                    raise RetryLater(f"Reading the table {table.target}", cause, hint=hint) from error
                table = newest
            else:
                return


def _find(uri: str, target: Target, stack: ExitStack) -> Table:
    spool = Spool(f"reading-{uuid4().hex}")
    stack.callback(spool.close)
    storage, _ = open_storage(uri, spool=spool, given={})
    stack.callback(storage.close)
    table = Table.find(storage, target)
    if not table.commit.exists:
        hint = "Look at the folder, the schema and the table's name."
        raise NotFound(f"Reading the table {target}", "there is none", hint=hint)
    return table
