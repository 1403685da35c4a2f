"""Buckets: staged rows in pieces that fit into memory, each with all rows of a range of keys, in the order of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.compute as pc

from halocline.batch import Op
from halocline.connector import Plan
from halocline.connectors.files.keys import KEY, key_of, lower
from halocline.identity import keyless
from halocline.schema import Schema
from halocline.spool import Spool, storage
from halocline.spooled import StagedFile

GONE = "_halocline_gone"  # the column that tells a deletion from a row
BUCKET_BYTES = 32 << 20  # of rows as Arrow; a few copies of it are alive at once
_MOST_BUCKETS = 256  # files open at once while rows are sorted into them
_SAMPLE = 20_000  # keys that are looked at to choose the ranges


def buckets(files: Sequence[StagedFile], plan: Plan, *, key: Sequence[str], spool: Spool) -> Iterator[pa.Table]:
    """The staged rows range by range: the plan's columns, `KEY` and `GONE`, sorted by key. Rows of one key are in one bucket.

    Raises: SchemaConflict for rows without a key.
    """
    files = [file for file in files if file.rows]
    wanted = min(sum(file.bytes for file in files) // BUCKET_BYTES + 1, _MOST_BUCKETS)
    bounds = _bounds(files, key, wanted) if wanted > 1 else []
    if not bounds:
        tables = [_whole(batch, file, plan, key) for file in files for batch in file.batches()]
        if tables:
            yield _sorted(pa.concat_tables(tables))
        return
    for number in _sort_into(files, plan, key=key, bounds=bounds, spool=spool):
        path = spool.file(f"bucket-{number}.arrow")
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            rows = stream.read_all()
            if rows.num_rows:
                yield _sorted(rows)
        path.unlink()


def _bounds(files: Sequence[StagedFile], key: Sequence[str], wanted: int) -> list[str]:
    """The keys at which a new bucket begins, so that all get about as many rows."""
    every = max(sum(file.rows for file in files) // _SAMPLE, 1)
    seen: list[str] = []
    for file in files:
        for batch in file.batches():
            some = pa.array(range(0, batch.num_rows, every))
            seen.extend(text for text in key_of(batch.take(some), key).to_pylist() if text is not None)
    seen.sort()  # by code points, which is the order of UTF-8 bytes, in which Arrow sorts
    return sorted({seen[len(seen) * number // wanted] for number in range(1, wanted)}) if seen else []


def _sort_into(files: Sequence[StagedFile], plan: Plan, *, key: Sequence[str], bounds: Sequence[str], spool: Spool) -> range:
    """Write each row to the file of its bucket; the numbers of the buckets."""
    numbers, schema = range(len(bounds) + 1), _schema(plan.schema)
    with storage("Sorting the staged rows by key"), ExitStack() as stack:
        paths = [str(spool.file(f"bucket-{number}.arrow")) for number in numbers]
        writers = [stack.enter_context(pa.ipc.new_stream(stack.enter_context(pa.OSFile(p, "wb")), schema)) for p in paths]
        for file in files:
            for batch in file.batches():
                rows = _sorted(_whole(batch, file, plan, key))
                cuts = [0, *(lower(rows.column(KEY), bound) for bound in bounds), rows.num_rows]
                for writer, start, end in zip(writers, cuts, cuts[1:], strict=False):
                    if end > start:
                        writer.write_table(rows.slice(start, end - start))
    return numbers


def _whole(batch: pa.RecordBatch, file: StagedFile, plan: Plan, key: Sequence[str]) -> pa.Table:
    """A staged batch with all of the plan's columns, its keys, and whether its rows are deletions."""
    keys = key_of(batch, key)
    if keys.null_count:
        raise keyless(plan, keys.null_count, key=key)
    gone = pa.repeat(pa.scalar(file.op is Op.DELETE), batch.num_rows)
    columns = [batch.column(c.name) if c.name in file.columns else pa.nulls(batch.num_rows, c.arrow) for c in plan.schema]
    return pa.Table.from_arrays([*columns, keys, gone], schema=_schema(plan.schema))


def _schema(schema: Schema) -> pa.Schema:
    return schema.arrow.append(pa.field(KEY, pa.string())).append(pa.field(GONE, pa.bool_()))


def _sorted(rows: pa.Table) -> pa.Table:
    keys = rows.column(KEY)
    ordered = rows.num_rows < 2 or pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py()
    return rows if ordered else rows.take(pc.sort_indices(keys))
