"""Tables of files pass the suite of destinations, in each format, on a disk and in S3.

Parquet on a disk always in full; of the same laws every sixth in S3, and a third for each of the other shapes of a table; all
with `--long`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from tests.connectors.files.server import bucket, s3

from halocline.connector import Destination, Target
from halocline.connectors.files import open_destination, read_table
from halocline.connectors.files.layout import Folder
from halocline.errors import NotFound
from halocline.spool import Spool
from halocline.testing.complete import CompleteLaws
from halocline.testing.destinations import DestinationSuite
from halocline.testing.naming import NamingLaws
from halocline.testing.standing import StandingLaws
from halocline.testing.together import TogetherLaws


class _Suite(DestinationSuite, StandingLaws, NamingLaws, CompleteLaws):
    options: ClassVar[str]

    def uri(self, folder: Path) -> str:
        return f"file://{folder}/lake{self.options}"

    def open(self, folder: Path, spool: Spool) -> Destination:
        self.root = self.uri(folder)
        return open_destination(self.root, spool=spool)

    def read(self, destination: Destination, target: Target) -> list[dict[str, object]]:
        try:
            return list(read_table(self.root, target.table, schema=target.schema).read_all().to_pylist())
        except NotFound:
            return []

    def drop(self, destination: Destination, target: Target) -> None:
        root = self.root.removeprefix("file://").partition("?")[0]
        shutil.rmtree(Path(root, Folder.of(target).path))


class TestParquet(_Suite, TogetherLaws):
    options = "?format=parquet"


class TestPartitioned(_Suite):
    options = "?partition_by=month(SystemModstamp),IsDeleted"
    SHARE = (3, 0)


class TestCsv(_Suite):
    options = "?format=csv"
    SHARE = (3, 1)


class TestJsonLines(_Suite):
    options = "?format=jsonl"
    SHARE = (3, 2)


class _InS3(_Suite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def running(cls) -> Iterator[None]:
        with s3():
            yield

    @pytest.fixture(autouse=True)
    def buckets(self) -> None:
        self.made: dict[Path, str] = {}

    def uri(self, folder: Path) -> str:
        return self.made.setdefault(folder, bucket()) + f"/some/lake{self.options}"

    def drop(self, destination: Destination, target: Target) -> None:
        place = next(iter(self.made.values()))
        for key in place.names():
            if key.startswith(f"some/lake/{Folder.of(target).path}/"):
                place.client.delete_object(Bucket=place.name, Key=key)


class TestParquetInS3(_InS3):
    options = "?format=parquet"
    SHARE = (6, 2)


@pytest.mark.long  # format and storage know nothing of each other: each is in a suite that always runs
class TestCsvInS3(_InS3):
    options = "?format=csv"


@pytest.mark.long
class TestJsonLinesInS3(_InS3):
    options = "?format=jsonl"
