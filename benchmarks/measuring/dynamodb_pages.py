"""DynamoDB pages: answers to Scan as they come over the wire, made through botocore's own model of the service. Deterministic.

Two kinds of items: "nested" has 16 attributes of every type that tables have in practice, among them a map, a list and a set;
"flat" has 16 attributes of texts, numbers and flags. Text beyond Latin, quotes and line breaks are in both.
"""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from botocore.serialize import create_serializer
from botocore.session import get_session

# DynamoDB ends a page at 1 MiB of data; https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html
PAGE_BYTES = 1 << 20
KINDS = ("nested", "flat")
_CITIES = ("Zürich", "Αθήνα", "Seattle", "上海", "San José")
_NOTES = ('said "yes", then\nleft', "came by twice", "", "wants a call; budget 12%")


def pages(kind: str, items: int, *, seed: int = 8) -> list[bytes]:
    """Pages that hold so many items of a kind, each of them up to 1 MiB."""
    chance = random.Random(seed)
    made = _Wire()
    found: list[bytes] = []
    texts: list[str] = []
    size = 0
    for number in range(items):
        text = made.item(item(kind, number, chance))
        texts.append(text)
        size += len(text)
        if size >= PAGE_BYTES or number == items - 1:
            last = None if number == items - 1 else made.item({"documentId": _key(number)})
            found.append(_page(texts, last))
            texts, size = [], 0
    return found


def item(kind: str, number: int, chance: random.Random) -> dict[str, Any]:
    """One item as boto3's users write it. Not every attribute is in every item."""
    made = _flat(number, chance) if kind == "flat" else _nested(number, chance)
    return {name: value for name, value in made.items() if value is not ...}


def _flat(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "documentId": _key(number),
        "name": f"Customer number {number}",
        "city": chance.choice(_CITIES),
        "notes": chance.choice(_NOTES),
        "status": chance.choice(("OPEN", "CLOSED", "ARCHIVED")),
        "owner": f"user-{chance.randrange(500)}@example.com",
        "reference": f"{chance.getrandbits(128):032x}",
        "phone": f"+41 44 {number % 10_000_000:07d}",
        "createdTs": 1_700_000_000_000 + number * 977,
        "version": 1 + number % 7,
        "amount": Decimal(chance.randrange(10**9)) / 100,
        "rate": Decimal(chance.randrange(10**6)) / 10**4,
        "total": Decimal(chance.randrange(10**18)).scaleb(-6),
        "active": number % 3 != 0,
        "pinned": number % 11 == 0 if number % 4 else ...,
        "closedTs": 1_700_000_000_000 + number * 991 if number % 5 else ...,
    }


def _nested(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "documentId": _key(number),
        "name": f"Customer number {number}",
        "city": chance.choice(_CITIES),
        "notes": chance.choice(_NOTES),
        "status": chance.choice(("OPEN", "CLOSED", "ARCHIVED")),
        "createdTs": 1_700_000_000_000 + number * 977,
        "version": 1 + number % 7,
        "amount": Decimal(chance.randrange(10**9)) / 100,
        "total": Decimal(chance.randrange(10**18)).scaleb(-6),
        "active": number % 3 != 0,
        "deletedBy": None if number % 2 else ...,
        "reference": chance.randbytes(16),
        "claimInfo": {
            "claimNumber": f"CL-{number:08d}",
            "coverage": {"type": "auto", "limit": Decimal(chance.randrange(10**8)) / 100, "active": True},
            "adjuster": {"name": chance.choice(_CITIES), "email": f"adjuster{number % 97}@example.com"},
        },
        "attachments": [
            {"fileName": f"scan-{number}-{n}.pdf", "pages": n + 1, "size": chance.randrange(10**7), "kept": n % 2 == 0}
            for n in range(number % 4)
        ],
        "tags": {f"tag-{chance.randrange(50)}" for _ in range(3)},
        "scores": {chance.randrange(1000) for _ in range(3)} if number % 3 else ...,
    }


def _key(number: int) -> str:
    return f"doc-{number:09d}"


def _page(texts: list[str], last: str | None) -> bytes:
    count = len(texts)
    tail = "" if last is None else f'"LastEvaluatedKey":{last},'
    return f'{{"Count":{count},"Items":[{",".join(texts)}],{tail}"ScannedCount":{count}}}'.encode()


class _Wire:
    """Items as JSON text: what botocore would send for PutItem, and DynamoDB sends back."""

    def __init__(self) -> None:
        self._operation = get_session().get_service_model("dynamodb").operation_model("PutItem")
        self._serializer = create_serializer("json", include_validation=False)
        self._tagger = TypeSerializer()

    def item(self, values: dict[str, Any]) -> str:
        tagged = {name: _sorted(self._tagger.serialize(value)) for name, value in values.items()}
        sent = self._serializer.serialize_to_request({"TableName": "t", "Item": tagged}, self._operation)
        return json.dumps(json.loads(sent["body"])["Item"], separators=(",", ":"), ensure_ascii=False)


def _sorted(tagged: dict[str, Any]) -> dict[str, Any]:
    """Sets in the order of their members, so that the pages are the same in every process."""
    return {tag: sorted(value) if tag in ("SS", "NS", "BS") else value for tag, value in tagged.items()}


def baseline() -> Any:
    """What boto3's users have: botocore's parser of an answer to Scan, then TypeDeserializer on each attribute."""
    from boto3.dynamodb.types import TypeDeserializer
    from botocore.parsers import create_parser

    shape = get_session().get_service_model("dynamodb").operation_model("Scan").output_shape
    parser, plain = create_parser("json"), TypeDeserializer()

    def read(page: bytes) -> list[dict[str, Any]]:
        answer = parser.parse({"status_code": 200, "headers": {}, "body": page}, shape)
        return [{name: plain.deserialize(value) for name, value in one.items()} for one in answer["Items"]]

    return read
