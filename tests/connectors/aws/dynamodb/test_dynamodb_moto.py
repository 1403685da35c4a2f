"""Moto judges what our own fake may have wrong in the same way as we do: a scan, and what its stream tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.connectors.aws import servers
from tests.connectors.aws.dynamodb.desk import Desk, loaded, made

KINDS = {"pk": "S", "sk": "N"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Moto's server."""
    with servers.moto() as url:
        yield url


@pytest.fixture
def desk(server: str, tmp_path: Path) -> Desk:
    """A desk with a table of moto's, which has a stream."""
    assert server
    found = Desk(_Moto(), tmp_path)  # type: ignore[arg-type]  # of the fake, its clock alone is asked for
    found.table, found.key = servers.new_name("table"), ("pk", "sk")
    found.client.create_table(
        TableName=found.table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in KINDS.items()],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return found


class _Moto:
    """What a desk asks of a fake: its clock."""

    clock = SimpleNamespace(now=time.time)


def _versions(desk: Desk) -> list[tuple[Any, ...]]:
    return [(row["pk"], int(row["sk"]), int(row["version"])) for row in loaded(desk.rows("pk, sk, version"))]


@pytest.mark.system
def test_a_scan_and_its_stream_as_moto_has_them(desk: Desk) -> None:
    """In segments, then what changed: equal each time, and nothing is read twice."""
    items = [made(number) for number in range(12)]
    for one in items:
        desk.put(one)
    first = desk.run(segments=4, streams=True)
    assert first.counts is not None
    assert first.counts.inserted == 12
    for one in items[:4]:
        desk.put({**one, "version": 7})
    desk.delete(items[9])
    desk.run(streams=True)
    wanted = sorted((one["pk"], one["sk"], 7 if one["sk"] < 4 else 0) for one in items if one["sk"] != 9)
    assert _versions(desk) == wanted
    assert desk.run(streams=True).rows_read == 0
