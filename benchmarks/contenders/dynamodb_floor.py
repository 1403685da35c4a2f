"""The floor: the raw bytes of all pages over HTTP, four at a time and thrown away, and a COPY of CSV that is ready. Started by
dynamodb.py with one JSON argument.
"""

from __future__ import annotations

import http.client
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.dynamodb_rows import COLUMNS, TABLE, TARGET

_SEGMENTS, _BLOCK_BYTES = 4, 1 << 18
_HEADERS = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.Scan"}
_MARK = b'"LastEvaluatedKey":'


def _segment(url: str, number: int) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    asked: dict[str, Any] = {"TableName": TABLE, "Segment": number, "TotalSegments": _SEGMENTS}
    read = 0
    while True:
        connection.request("POST", "/", json.dumps(asked), _HEADERS)
        data = connection.getresponse().read()
        read += len(data)
        at = data.rfind(_MARK, -300)
        if at < 0:
            connection.close()
            return read
        asked["ExclusiveStartKey"] = json.loads(data[at + len(_MARK) : data.rindex(b"}},") + 2])


def main() -> None:
    """`{uri, url, csv}`."""
    wanted = json.loads(sys.argv[1])
    with ThreadPoolExecutor(_SEGMENTS) as executor:
        read = executor.map(partial(_segment, wanted["url"]), range(_SEGMENTS))
        with psycopg.connect(wanted["uri"]) as connection, connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {TARGET}")
            sql = f"COPY {TARGET} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT csv)"
            with cursor.copy(sql) as copy, Path(wanted["csv"]).open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    copy.write(block)
            rows = cursor.rowcount
        total = sum(read)
    if total < wanted["bytes"] * 0.99:  # the last page of each segment has no key
        raise SystemExit(f"it read {total:,} bytes, and the pages have {wanted['bytes']:,}")
    print(json.dumps({"rows": rows}), flush=True)


if __name__ == "__main__":
    main()
