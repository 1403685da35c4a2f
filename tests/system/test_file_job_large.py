"""A file that is far larger than the memory that a job may take: streamed from bucket to org, reported on and archived."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from halocline.emulator.server import Emulator, EmulatorConfig
from halocline.testing.aws import FakeAWS
from tests.system.file_world import SCHEMA, Say
from tests.system.shell import ROOT, plain_env

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the memory of a process"),
]

MB = 1 << 20
MOST_MB = 300
BAD_EVERY = 10_000


def write(path: Path, *, size: int, row_bytes: int) -> tuple[int, int]:
    """A CSV file of about so many bytes, one row in ten thousand without a name: its rows, and how many of them are bad."""
    pad, rows, bad = "x" * (row_bytes - 40), 0, 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("Key,Company,Note\n")
        while file.tell() < size:
            lines = []
            for number in range(rows, rows + BAD_EVERY):
                name = "" if number % BAD_EVERY == 7 else f"Company {number}"
                lines.append(f'K{number},"{name}",{pad}\n')
            file.write("".join(lines))
            rows, bad = rows + BAD_EVERY, bad + 1
    return rows, bad


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[dict[str, str]]:
    with FakeAWS(folder=tmp_path) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        yield running.environment()


def carried(folder: Path, env: dict[str, str], *, size: int, row_bytes: int, little: bool = False) -> dict[str, Any]:
    """What a program of its own makes of such a file, and how much memory it took."""
    path, schema = folder / "large.csv", folder / "schema.yaml"
    schema.write_text(SCHEMA, encoding="utf-8")
    rows, bad = write(path, size=size, row_bytes=row_bytes)
    bytes_there = path.stat().st_size
    client = boto3.client("s3")
    client.create_bucket(Bucket="large")
    client.upload_file(str(path), "large", "in/large.csv")
    path.unlink()
    etag = client.head_object(Bucket="large", Key="in/large.csv")["ETag"].strip('"')
    with Emulator(EmulatorConfig(schemas=(schema,), path=folder / "org.db")) as emulator:
        order = {"home": str(folder / "home"), "bucket": "large", "key": "in/large.csv", "etag": etag, "url": emulator.url}
        order |= {"keys": [emulator.config.consumer_key, emulator.config.consumer_secret]}
        order |= {"mapping": {"Key": "Ext__c", "Company": "Name"}, "little": little}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.system.file_peak", json.dumps(order)],
            capture_output=True,
            text=True,
            check=False,
            env=plain_env() | env | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        told |= {"seconds": time.monotonic() - began, "mb": bytes_there / MB}
        assert (told["rows"], told["errors"], told["written"]) == (rows, bad, rows - bad)
        assert int(emulator.query("SELECT COUNT(Id) n FROM Account")[0]["n"]) == rows - bad  # type: ignore[call-overload]  # a number
    names = {one["Key"]: one["Size"] for one in client.list_objects_v2(Bucket="large")["Contents"]}
    assert names[told["archive_key"]] == bytes_there
    assert set(names) == {told["archive_key"], told["error_key"]}
    return told


def say(told: dict[str, Any], record: Say) -> None:
    size = f"{told['mb']:,.0f} MB, {told['rows']:,} rows"
    peak = f"peak {told['peak_mb']:.0f} MB ({told['before_mb']:.0f} before)"
    record("says", f"file job, {size}: {peak}, {told['seconds']:.0f} s, {told['errors']:,} rows in the report")


@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, aws: dict[str, str], record_property: Say) -> None:
    """A file of some thirty thousand wide rows takes less than the two gigabytes below may take."""
    told = carried(tmp_path, aws, size=96 * MB, row_bytes=4_000, little=True)
    say(told, record_property)
    assert told["peak_mb"] < MOST_MB


@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_two_gigabytes_in_under_300_megabytes(tmp_path: Path, aws: dict[str, str], record_property: Say) -> None:
    """Fetched, checked, spooled, mapped, staged, sent, reported on, archived."""
    told = carried(tmp_path, aws, size=2_048 * MB, row_bytes=2_000)
    say(told, record_property)
    assert told["peak_mb"] < MOST_MB
