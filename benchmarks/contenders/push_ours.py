"""Halocline's own way into Salesforce, by its public API.

Started by push.py with one JSON argument; answers with one JSON line. The rows are a list of dicts that is made before the clock
starts, or a Parquet file that is read within its time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from halocline.unneeded import leave_out


def main() -> None:
    """`{url, token, operation, sobject, key, rows, form: dicts | parquet, front: pipeline | client, api}`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    leave_out()  # pandas is no requirement of ours; where it is installed, pyarrow would load it: 45 MB and half a second
    rows = Path(wanted["rows"])
    records = None if wanted["form"] == "parquet" else _records(rows)
    began, cpu = time.monotonic(), time.process_time()
    from halocline import SalesforceClient

    login = {"access_token": wanted["token"], "instance_url": wanted["url"]}
    with SalesforceClient(login) as client:
        told = _FRONTS[wanted["front"], wanted["api"] == "collections"](client, wanted, rows if records is None else records)
    print(json.dumps(told | {"wall_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu}), flush=True)


def _records(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _by_pipeline(client: Any, wanted: dict[str, Any], rows: Any) -> dict[str, Any]:
    from halocline.pipeline import SyncMode, SyncPipeline

    options = {"external_id_field": wanted["key"]} if wanted["operation"] == "upsert" else {}
    mode = SyncMode(wanted["operation"])
    result = SyncPipeline(client=client, sobject=wanted["sobject"], mode=mode, api=wanted["api"], **options).sync(rows)
    return {"written": result.success_count, "refused": result.error_count, "api": result.metadata.get("api")}


def _by_bulk(client: Any, wanted: dict[str, Any], rows: Any) -> dict[str, Any]:
    """A load, and the id of every row that was written."""
    options = {"external_id_field": wanted["key"]} if wanted["operation"] == "upsert" else {}
    load = getattr(client.bulk, wanted["operation"])
    with load(wanted["sobject"], _stream(rows) if isinstance(rows, Path) else rows, **options) as loaded:
        written = sum(batch.num_rows for batch in loaded.success_batches())
        refused = sum(1 for _ in loaded.errors())
        return {"written": written, "refused": refused, "api": "bulk"}


def _by_collections(client: Any, wanted: dict[str, Any], rows: Any) -> dict[str, Any]:
    results = client.upsert_many(wanted["sobject"], rows, external_id_field=wanted["key"])
    written = sum(1 for one in results if one.success)
    return {"written": written, "refused": len(results) - written, "api": "collections"}


def _stream(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(batch_size=16_384))


_FRONTS: dict[tuple[str, bool], Callable[..., dict[str, Any]]] = {
    ("pipeline", False): _by_pipeline,
    ("pipeline", True): _by_pipeline,
    ("client", False): _by_bulk,
    ("client", True): _by_collections,
}


if __name__ == "__main__":
    main()
