"""Changes in a CSV file meet a table of PostgreSQL by key: our destination, or SQL as one writes it by hand.

Started by postgres.py with one JSON argument; answers with one JSON line. By hand: COPY into a temporary table, one statement,
the position's row, one commit; nothing is checked or counted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

PIECE_BYTES = 1 << 18


def main() -> None:
    """`{uri, csv, rows, fields: {name: type}, how: ours | on conflict | merge}`."""
    wanted = json.loads(sys.argv[1])
    began = time.monotonic()
    told = _ours(wanted) if wanted["how"] == "ours" else _by_hand(wanted)
    print(json.dumps({**told, "wall_s": time.monotonic() - began}), flush=True)


def _ours(wanted: dict[str, Any]) -> dict[str, Any]:
    from halocline.batch import Batch
    from halocline.connector import Deletes, Mode, Part, Plan, Target
    from halocline.connectors.postgres.destination import PostgresDestination
    from halocline.connectors.salesforce.pages import Page
    from halocline.schema import Column, Kind, Schema
    from halocline.testing.destinations import NoJournal

    kinds = {"boolean": Kind.BOOLEAN, "int": Kind.INTEGER, "date": Kind.DATE, "datetime": Kind.DATETIME}
    columns = [
        Column(name, Kind.DECIMAL, precision=18, scale=0) if kind == "currency" else Column(name, kinds.get(kind, Kind.STRING))
        for name, kind in wanted["fields"].items()
    ]
    schema = Schema(tuple(columns), key=("Id",))
    flow, target = "Account -> raw.accounts", Target("raw", "accounts")
    plan = Plan(
        flow=flow,
        object="Account",
        method="bulk_api_incremental",
        reasons=(),
        query="SELECT Id FROM Account",
        window=(None, "2026-03-02T00:00:00Z"),
        next_position={},
        mode=Mode.MERGE,
        key=("Id",),
        schema=schema,
        cursor="SystemModstamp",
        deletes=Deletes.SOFT,
        delete_flag="IsDeleted",
        expected_rows=wanted["rows"],
    )
    destination = PostgresDestination(wanted["uri"])
    unit = destination.begin(destination.claim(flow, "bench"))
    load = unit.open(target, plan, NoJournal())
    page = Page(Path(wanted["csv"]), wanted["rows"], tuple(wanted["fields"]), schema, "Account")
    counts = unit.commit({flow: {"stamp": "2026-03-02"}}, [load.stage(Part("all"), iter([Batch(raw=page)]))])
    unit.close()
    destination.close()
    return {"counts": counts.to_json()}


def _by_hand(wanted: dict[str, Any]) -> dict[str, Any]:
    names = [name.lower() for name in wanted["fields"]]
    listed, others = ", ".join(names), [name for name in names if name != "id"]
    with psycopg.connect(wanted["uri"]) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE staged (LIKE raw.accounts)")
        with (
            Path(wanted["csv"]).open("rb") as file,
            cursor.copy(f"COPY staged ({listed}) FROM STDIN (FORMAT csv, HEADER true, FORCE_NULL ({listed}))") as copy,
        ):
            while piece := file.read(PIECE_BYTES):
                copy.write(piece)
        if wanted["how"] == "merge":
            cursor.execute("ANALYZE staged (id)")
            sets, values = (", ".join(f"{name} = s.{name}" for name in others), ", ".join(f"s.{name}" for name in names))
            cursor.execute(
                "MERGE INTO raw.accounts t USING staged s ON t.id = s.id"
                f" WHEN MATCHED THEN UPDATE SET {sets} WHEN NOT MATCHED THEN INSERT ({listed}) VALUES ({values})"
            )
        else:
            sets = ", ".join(f"{name} = excluded.{name}" for name in others)
            cursor.execute(f"INSERT INTO raw.accounts SELECT * FROM staged ON CONFLICT (id) DO UPDATE SET {sets}")
        rows = cursor.rowcount
        cursor.execute("CREATE TABLE IF NOT EXISTS raw.positions (flow text PRIMARY KEY, position jsonb)")
        cursor.execute(
            "INSERT INTO raw.positions VALUES ('accounts', %s) ON CONFLICT (flow) DO UPDATE SET position = excluded.position",
            (json.dumps({"stamp": "2026-03-02"}),),
        )
    return {"rows": rows}


if __name__ == "__main__":
    main()
