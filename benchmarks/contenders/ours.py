"""Halocline's own sync, through its documented front.

Started by extract.py with one JSON argument; answers with one JSON line for each sync.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from halocline import events
from halocline.config import Settings
from halocline.run import Run
from halocline.sync import IntelligentSync, SobjectSync


def main() -> None:
    """`{url, token, home, database, memory_limit, later}`; `later` asks for one more sync after a line on stdin."""
    wanted = json.loads(sys.argv[1])
    print(json.dumps(_sync(wanted)), flush=True)
    if wanted.get("later") and sys.stdin.readline():
        print(json.dumps(_sync(wanted)), flush=True)


def _sync(wanted: dict[str, str]) -> dict[str, object]:
    moments: dict[str, float] = {}
    began, cpu = time.monotonic(), time.process_time()

    def sink(event: events.Event) -> None:
        mark = event.state if isinstance(event, events.JobProgress) else type(event).__name__
        moments[mark] = time.monotonic() - began

    home = Path(wanted["home"])
    settings = Settings(home, home / "spool", wanted["memory_limit"])
    login = {"access_token": wanted["token"], "instance_url": wanted["url"]}
    run = Run.new()
    IntelligentSync(f"duckdb:///{wanted['database']}", login, settings=settings, sink=sink).run(
        SobjectSync("Account", "main", "accounts"), run
    )
    assert run.plan is not None
    assert run.counts is not None
    return {
        "wall_s": time.monotonic() - began,
        "cpu_s": time.process_time() - cpu,
        "waited_s": moments.get("JobComplete", 0.0) - moments["Planned"] if "JobComplete" in moments else 0.0,
        "phases": moments,
        "method": run.plan.method,
        "rows_read": run.rows_read,
        "counts": run.counts.to_json(),
        "api_calls": run.api_calls,
    }


if __name__ == "__main__":
    main()
