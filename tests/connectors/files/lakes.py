"""Small tables of files for the tests of this folder, and short ways to load and to look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from halocline.batch import Batch, Op
from halocline.connector import Deletes, Lease, Mode, Part, Plan, Target
from halocline.connectors.files import open_destination, read_table
from halocline.connectors.files.destination import FilesDestination, FilesUnit
from halocline.outcome import Counts
from halocline.schema import Column, Kind, Schema
from halocline.spool import Spool
from halocline.testing.destinations import NoJournal

FLOW = "flow"
TARGET = Target("raw", "page")
SCHEMA = Schema((Column("Id", Kind.STRING), Column("Text", Kind.STRING)), ("Id",))


def plan(**changes: Any) -> Plan:
    """A full load of a key and a text."""
    values: dict[str, Any] = {"mode": Mode.REPLACE, "key": ("Id",), "cursor": None, "deletes": Deletes.HARD, "delete_flag": None}
    return Plan(
        **{
            **values,
            "flow": FLOW,
            "object": "Page",
            "method": "bulk_api_full",
            "reasons": (),
            "query": "",
            "window": (None, ""),
            "next_position": {},
            "schema": SCHEMA,
            "expected_rows": 0,
            **changes,
        }
    )


def rows(texts: dict[str, str], schema: Schema = SCHEMA) -> Batch:
    """A batch of ids and texts."""
    return Batch(rows=pa.RecordBatch.from_pylist([{"Id": key, "Text": text} for key, text in texts.items()], schema=schema.arrow))


def gone(*ids: str) -> Batch:
    """A batch of deletions."""
    return Batch(rows=pa.RecordBatch.from_pylist([{"Id": key} for key in ids]), op=Op.DELETE)


def opened(uri: str, folder: Path, **options: str) -> FilesDestination:
    """A destination with a spool of its own below `folder`."""
    return open_destination(uri, spool=Spool(f"test-{len(list(folder.iterdir()))}", folder), **options)


def ready(destination: FilesDestination, lease: Lease, batches: Sequence[Batch], target: Target = TARGET, **changes: Any) -> Any:
    """A unit with its batches staged, and what commits it."""
    unit: FilesUnit = destination.begin(lease)
    load = unit.open(target, plan(**{"flow": lease.flow, **changes}), NoJournal())
    manifests = [load.stage(Part(f"p{i}"), iter([batch])) for i, batch in enumerate(batches)]

    def commit(position: object = "new") -> Counts:
        try:
            return unit.commit({lease.flow: {"at": position}}, manifests)
        finally:
            unit.close()

    return commit


def load(destination: FilesDestination, *batches: Batch, position: object = "new", **changes: Any) -> Counts:
    """Load the batches, each as a part."""
    flow = str(changes.get("flow", FLOW))
    counts: Counts = ready(destination, destination.claim(flow, "test"), batches, **changes)(position)
    return counts


def merge(destination: FilesDestination, *batches: Batch, **changes: Any) -> Counts:
    """As `load`, by key."""
    return load(destination, *batches, mode=Mode.MERGE, **changes)


def texts(uri: str, target: Target = TARGET) -> dict[str, str]:
    """The table as a reader of the log sees it."""
    found = read_table(uri, target.table, schema=target.schema).read_all().to_pylist()
    assert len({row["Id"] for row in found}) == len(found)
    return {row["Id"]: row["Text"] for row in sorted(found, key=lambda row: str(row["Id"]))}


def data_files(folder: Path) -> set[str]:
    """The names of all files of rows below a folder, hidden ones too."""
    return {
        path.name for path in folder.rglob("*") if path.is_file() and "_halocline" not in path.parts and "spool" not in str(path)
    }
