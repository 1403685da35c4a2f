"""The document's way: boto3's resource scans five segments in threads, a builder makes a tuple of each item, and DELETE and
psycopg2's `execute_values` put them there in one transaction. Started by dynamodb.py with one JSON argument.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import psycopg2
from psycopg2.extras import execute_values

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.dynamodb_rows import COLUMNS, TABLE, TARGET, build_tuple

_SEGMENTS, _LIMIT = 5, 1_000


def _segment(table: Any, number: int) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"Segment": number, "TotalSegments": _SEGMENTS, "Limit": _LIMIT}
    items: list[dict[str, Any]] = []
    while True:
        answer = table.scan(**asked)
        items += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return items
        asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def main() -> None:
    """`{uri}`."""
    wanted = json.loads(sys.argv[1])
    table = boto3.resource("dynamodb").Table(TABLE)
    with ThreadPoolExecutor(_SEGMENTS) as executor:
        items = [item for some in executor.map(partial(_segment, table), range(_SEGMENTS)) for item in some]
    rows = [build_tuple(item) for item in items]
    connection = psycopg2.connect(wanted["uri"])
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TARGET}")
        execute_values(cursor, f"INSERT INTO {TARGET} ({', '.join(COLUMNS)}) VALUES %s", rows)
    connection.close()
    print(json.dumps({"rows": len(rows)}), flush=True)


if __name__ == "__main__":
    main()
