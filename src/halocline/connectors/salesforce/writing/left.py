"""Left: the rows of a load that were refused or not sent, kept for another try when all else in the folder goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from halocline.connectors.salesforce.writing.cargo import PLAN_FILE, Prepared
from halocline.connectors.salesforce.writing.frames import ROW, Frames
from halocline.push.destination import RowBatch
from halocline.spool import IN_HOME, arriving, storage, to_disk

LEFT_FILE, DOUBT_FILE = "left.arrow", "doubt.arrow"


def keep_left(prepared: Prepared, numbers: Sequence[int], *, doubtful: Sequence[int] = (), folder: Path) -> Path:
    """Put these rows in a file of their own, the doubtful ones in another, and delete all else in the folder.

    Raises: StorageFailed.
    """
    path, doubt = folder / LEFT_FILE, folder / DOUBT_FILE
    if doubtful:
        _keep(prepared, doubtful, path=doubt)
    _keep(prepared, numbers, path=path)
    with storage(f"Tidying {folder}"):
        to_disk(folder)  # the names of what is kept; else a power cut might leave neither them nor the plan
        (folder / PLAN_FILE).unlink(missing_ok=True)  # first: without it the rest is nothing
        for other in folder.iterdir():
            if other.is_dir():
                shutil.rmtree(other)
            elif other not in {path, doubt}:
                other.unlink()
    return path


def _keep(prepared: Prepared, numbers: Sequence[int], *, path: Path) -> None:
    with storage(f"Writing {path}", room=IN_HOME), arriving(path) as partial, Frames(partial) as frames:
        for batch in prepared.rows(numbers):
            assert isinstance(batch.rows, pa.RecordBatch)
            columns, names = [pa.array(batch.numbers, pa.int64()), *batch.rows.columns], [ROW, *batch.rows.schema.names]
            schema = pa.RecordBatch.from_arrays(columns, names=names)
            frames.append(schema.replace_schema_metadata(batch.rows.schema.metadata))
        frames.finish()


def read_left(path: Path) -> Iterator[RowBatch]:
    """The rows that `keep_left` put there, with their numbers, some at a time; `Staging.stage` takes them as they are.

    Raises: StorageFailed.
    """
    with storage(f"Reading {path}"), pa.memory_map(str(path)) as file:
        size = file.size()
        while file.tell() < size:
            with pa.ipc.open_stream(file) as stream:
                batch = stream.read_next_batch()
                for _ in stream:
                    raise OSError("it holds more than it should")
            names = [name for name in batch.schema.names if name != ROW]
            rows = batch.select(names).replace_schema_metadata(batch.schema.metadata)
            yield RowBatch(batch.column(ROW).to_pylist(), rows)
