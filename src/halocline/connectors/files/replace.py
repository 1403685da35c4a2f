"""Replace: all staged rows become new data files, which are the whole table from the next commit on."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from halocline.connector import Plan
from halocline.connectors.files import settle
from halocline.connectors.files.buckets import buckets
from halocline.connectors.files.keys import KEY
from halocline.connectors.files.log import DataFile
from halocline.connectors.files.output import Output
from halocline.connectors.files.table import Table
from halocline.errors import NotFound
from halocline.guards import refuse_loss
from halocline.outcome import Counts
from halocline.schema import Column, Schema
from halocline.spooled import StagedFile


def replace(table: Table, output: Output, *, plan: Plan, files: Sequence[StagedFile]) -> tuple[Counts, tuple[DataFile, ...]]:
    """Write the rows in the order of keys; what is told of it, and the data files. Types may differ from the old table's.

    Columns that only the old table has are kept, with their values by key.
    Raises: SchemaConflict when live records share a key; Truncated; Refused when an empty answer would replace rows, or one
    that lacks more than the plan's share of them.
    """
    key = list(plan.schema.select(plan.key).names)
    kept, staged, stamps = 0, 0, []
    extra = table.commit.only_here(plan.schema)
    for bucket in buckets(files, plan, key=key, spool=output.spool):
        settled = settle.for_replace(bucket, plan)
        kept, staged = kept + settled.rows.num_rows, staged + settled.staged
        stamps += [settled.highest] if settled.highest is not None else []
        output.put(_with_extra(settled.rows, table, plan=plan, extra=extra))
    made = output.finish()
    refuse_loss(str(table.target), plan, old=table.commit.live, new=sum(file.live for file in made))
    return Counts(inserted=kept, unchanged=staged - kept, highest=max(stamps, default=None)), made


def _with_extra(rows: pa.Table, table: Table, *, plan: Plan, extra: Sequence[Column]) -> pa.Table:
    """The rows with the columns that only the old table has, and their values there."""
    names = [*plan.schema.names, KEY]
    if not extra:
        return rows.select(names)
    spelled = [table.commit.schema.column(name) for name in plan.key]
    if any(column is None for column in spelled):
        hint = "Rename or delete the table, and run again."
        cause = f"the table has no key column {', '.join(plan.key)} to keep its columns by"
        raise NotFound(f"Replacing {table.target}", cause, hint=hint)
    key = [column.name for column in spelled if column is not None]
    schema = Schema((*(column for column in spelled if column is not None), *extra))
    keys = rows.column(KEY).combine_chunks()
    numbers = range(len(table.commit.files))
    found = [some for number in numbers for some in table.hits_by_key(number, schema, key=key, keys=keys)]
    old = pa.concat_tables([schema.arrow.append(pa.field(KEY, pa.string())).empty_table(), *found])
    place = pc.index_in(rows.column(KEY), value_set=old.column(KEY).combine_chunks())
    kept = rows.select(names)
    for column in extra:
        kept = kept.append_column(pa.field(column.name, column.arrow), old.column(column.name).take(place))
    return kept
