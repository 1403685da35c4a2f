"""kinetic-core's `client.bulk.upsert` or `insert`, or its `SyncPipeline`, in the form that its document shows.

Started by push.py in the peer's own environment with one JSON argument; answers with one JSON line. Its log is switched off,
which it is the quicker for.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """`{url, token, operation, sobject, key, rows, front: bulk | pipeline, most}`: of the rows, the first `most`."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    with Path(wanted["rows"]).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][: wanted.get("most")]
    logging.disable(logging.CRITICAL)
    began, cpu = time.monotonic(), time.process_time()
    from kinetic_core import SalesforceClient, SalesforceSession

    client = SalesforceClient(SalesforceSession(wanted["url"], wanted["token"], "v62.0"))
    told = _by_pipeline(client, wanted, rows) if wanted["front"] == "pipeline" else _by_bulk(client, wanted, rows)
    print(json.dumps(told | {"wall_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu}), flush=True)


def _by_bulk(client: Any, wanted: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    keys = [wanted["key"]] if wanted["operation"] == "upsert" else []
    result = getattr(client.bulk, wanted["operation"])(wanted["sobject"], rows, *keys)
    return {"written": result.success_count, "refused": result.failed_count}


def _by_pipeline(client: Any, wanted: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    from kinetic_core import SyncMode, SyncPipeline

    key = wanted["key"] if wanted["operation"] == "upsert" else None
    pipeline = SyncPipeline(client, wanted["sobject"], mode=SyncMode(wanted["operation"]), external_id_field=key)
    result = pipeline.sync(rows)
    first = result.errors[0]["error"] if result.errors else ""
    return {"written": result.success_count, "refused": result.error_count, "why": first}


if __name__ == "__main__":
    main()
