"""A DynamoDB of prepared pages in a process of its own: it answers Scan and DescribeTable, and computes nothing meanwhile.

Started with one JSON argument, `{items, block}`: the items of one block are made, and come again under other keys until there are
`items` of them. Answers with one JSON line, and ends with its standard input. Limit, filters and projections are not heeded:
everybody asks for all of every item.
"""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from measuring.dynamodb_pages import pages
from measuring.dynamodb_rows import KEY, TABLE

_SUFFIX_DIGITS = 6  # of a key's nine; those before are the block's
_MOST = 10**_SUFFIX_DIGITS


class Table:
    """The pages, each as it is inside a segment and at its end, in whatever number of segments."""

    def __init__(self, *, items: int, block: int) -> None:
        if items % block or block > _MOST:
            raise SystemExit(f"{items:,} items are no blocks of {block:,}")
        made = [_Page(data) for data in pages("nested", block)]
        self.pages = [page.again(number) for number in range(items // block) for page in made]
        self._place = {page.last: at for at, page in enumerate(self.pages)}
        self.items = items
        self.bytes = sum(len(page.inside) for page in self.pages)

    def scan(self, wanted: Mapping[str, Any]) -> tuple[bytes, int]:
        """The answer to a Scan, and its CRC32."""
        segments = wanted.get("TotalSegments", 1)
        start = wanted.get("ExclusiveStartKey")
        at = wanted.get("Segment", 0) if start is None else self._place[start[KEY]["S"]] + segments
        if at >= len(self.pages):
            return _EMPTY, zlib.crc32(_EMPTY)
        page = self.pages[at]
        return (page.end, page.end_crc) if at + segments >= len(self.pages) else (page.inside, page.inside_crc)

    def described(self) -> bytes:
        """The answer to a DescribeTable."""
        told = {
            "TableName": TABLE,
            "TableArn": f"arn:aws:dynamodb:eu-west-1:123456789012:table/{TABLE}",
            "TableId": "7f0a2a57-0000-4000-8000-000000000008",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            "ItemCount": self.items,
            "TableSizeBytes": self.bytes,
        }
        return json.dumps({"Table": told}).encode()


class _Page:
    """A page as bytes: `inside` a segment it ends with a key, at the `end` of one it does not."""

    def __init__(self, data: bytes) -> None:
        head, _, tail = data.rpartition(b"]")
        count = tail[tail.rindex(b":") + 1 :]
        mark = f'"{KEY}":{{"S":"'.encode()
        start = head.rindex(mark) + len(mark)
        last = head[start : head.index(b'"', start)]
        units = b'],"ConsumedCapacity":{"TableName":"%b","CapacityUnits":128.5}' % TABLE.encode()
        self.end = b'%b%b,"ScannedCount":%b' % (head, units, count)
        self.inside = b'%b%b,"LastEvaluatedKey":{%b%b"}},"ScannedCount":%b' % (head, units, mark, last, count)
        self._sum(last)

    def again(self, block: int) -> _Page:
        """The same items under the keys of another block."""
        before, after = (f'"{KEY}":{{"S":"doc-{number:03d}'.encode() for number in (0, block))
        made = object.__new__(_Page)
        made.end, made.inside = (data.replace(before, after) for data in (self.end, self.inside))
        made._sum(f"doc-{block:03d}{self.last[7:]}".encode())
        return made

    def _sum(self, last: bytes) -> None:
        self.last = last.decode()
        self.end_crc, self.inside_crc = zlib.crc32(self.end), zlib.crc32(self.inside)


_EMPTY = b'{"Count":0,"Items":[],"ScannedCount":0}'


class _Handler(socketserver.StreamRequestHandler):
    """One connection, which is kept."""

    def handle(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while self.rfile.readline().strip():
            headers = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            body = json.loads(self.rfile.read(int(headers.get(b"content-length", b"0"))) or b"{}")
            self._answer(headers.get(b"x-amz-target", b"").rpartition(b".")[2], body)

    def _answer(self, operation: bytes, wanted: Mapping[str, Any]) -> None:
        table: Table = self.server.table  # type: ignore[attr-defined]  # _Server's
        if operation == b"Scan":
            data, crc = table.scan(wanted)
        else:
            data = table.described()
            crc = zlib.crc32(data)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amz-crc32: {crc}\r\nContent-Length: {len(data)}"
        self.connection.sendall(f"{head}\r\n\r\n".encode())
        self.connection.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, table: Table) -> None:
        self.table = table
        super().__init__(("127.0.0.1", 0), _Handler)


def main() -> None:
    """Serve until standard input ends."""
    table = Table(**json.loads(sys.argv[1]))
    with _Server(table) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        print(json.dumps({"url": url, "pages": len(table.pages), "bytes": table.bytes}), flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
