"""What an experienced user of boto3 writes: its client, TypeDeserializer, and a COPY of each page.

Started by dynamodb.py with one JSON argument.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import boto3
import psycopg2
from boto3.dynamodb.types import TypeDeserializer

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.dynamodb_rows import COLUMNS, TABLE, TARGET, build_tuple

_NULL = "\\N"


def _csv(rows: list[tuple[Any, ...]]) -> io.StringIO:
    text = io.StringIO()
    csv.writer(text).writerows([_written(value) for value in row] for row in rows)
    text.seek(0)
    return text


def _written(value: Any) -> Any:
    return _NULL if value is None else f"\\x{value.hex()}" if isinstance(value, bytes) else value


def main() -> None:
    """`{uri}`."""
    wanted = json.loads(sys.argv[1])
    plain, count = TypeDeserializer(), 0
    connection = psycopg2.connect(wanted["uri"])
    sql = f"COPY {TARGET} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT csv, NULL '{_NULL}')"
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TARGET}")
        for answer in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=TABLE):
            items = [{name: plain.deserialize(value) for name, value in item.items()} for item in answer["Items"]]
            cursor.copy_expert(sql, _csv([build_tuple(item) for item in items]))
            count += len(items)
    connection.close()
    print(json.dumps({"rows": count}), flush=True)


if __name__ == "__main__":
    main()
