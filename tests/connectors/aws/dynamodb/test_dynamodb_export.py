"""Laws of exports: every file is what its manifest tells, and full and incremental ones together are the table."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from tests.connectors.aws import servers
from tests.connectors.aws.dynamodb.desk import KEY, Desk, expected, loaded, made, versions
from tests.connectors.aws.dynamodb.test_dynamodb_source import DECLARED

from halocline.builders import BuiltSource
from halocline.connector import Mode
from halocline.connectors.aws.dynamodb.export import Export, chain
from halocline.errors import FixConfig, NotFound, SchemaConflict, Stop, Truncated
from halocline.plan import Wish
from halocline.schema import Column, Kind, Schema

START = datetime(2026, 11, 1, tzinfo=UTC)


class Exporter:
    """Exports of a desk's table into a bucket of their own."""

    def __init__(self, desk: Desk, prefix: str = "some/where") -> None:
        self.desk, self.prefix = desk, prefix
        self.s3 = servers.beside("s3")
        self.bucket = servers.new_name("bucket")
        self.s3.create_bucket(Bucket=self.bucket)
        self.keep()
        self.arn = desk.client.describe_table(TableName=desk.table)["Table"]["TableArn"]
        self.reached = self.now

    @property
    def place(self) -> str:
        """Where they are."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def now(self) -> datetime:
        """The instant by the clock of AWS, a whole second."""
        return datetime.fromtimestamp(int(self.desk.fake.clock.now()), UTC)

    def keep(self) -> None:
        """Have DynamoDB keep what an export is made of."""
        told = {"PointInTimeRecoveryEnabled": True}
        self.desk.client.update_continuous_backups(TableName=self.desk.table, PointInTimeRecoverySpecification=told)

    def wait(self, minutes: float = 20) -> None:
        """Time passes."""
        self.desk.fake.clock.advance(minutes * 60)

    def full(self) -> str:
        """Export the table as it is."""
        self.wait(1)
        self.reached = self.now
        return self._export(ExportTime=self.reached)

    def incremental(self, view: str = "NEW_AND_OLD_IMAGES") -> str:
        """Export what changed since the last one."""
        self.wait()
        start, self.reached = self.reached, self.now
        told = {"ExportFromTime": start, "ExportToTime": self.reached, "ExportViewType": view}
        return self._export(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=told)

    def change(self, ending: str, how: Callable[[bytes], bytes], *, least: int = 0) -> None:
        """Put another object in the place of the first that ends so."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]
        key = next(one["Key"] for one in listed if one["Key"].endswith(ending) and one["Size"] > least)
        data = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=how(data))

    def remove(self, ending: str) -> None:
        """Delete all objects that end so."""
        for one in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]:
            if one["Key"].endswith(ending):
                self.s3.delete_object(Bucket=self.bucket, Key=one["Key"])

    def _export(self, **more: Any) -> str:
        asked = {"TableArn": self.arn, "S3Bucket": self.bucket, "S3Prefix": self.prefix, "ExportFormat": "DYNAMODB_JSON"}
        arn: str = self.desk.client.export_table_to_point_in_time(**asked, **more)["ExportDescription"]["ExportArn"]
        self.wait(1)
        return arn


@pytest.mark.parametrize("options", [{}, {"columns": DECLARED}], ids=["inferred", "declared"])
def test_a_full_export_is_the_table(desk: Desk, options: dict[str, Any]) -> None:
    """Every type, exactly; and nothing was scanned."""
    desk.make([made(number) for number in range(60)])
    exports = Exporter(desk)
    exports.full()
    desk.put(made(999))
    desk.fake.faults.add("refuse", service="dynamodb", operation="Scan", times=0)
    run = desk.run(from_export=exports.place, **options)
    assert run.counts is not None
    assert (run.counts.inserted, run.rows_read) == (60, 60)
    there = [one for one in desk.there() if one["sk"] != 999]
    if not options:
        assert loaded(desk.rows()) == expected(there)
    assert versions(desk.rows()) == versions(there)


BOTH, NEW = "NEW_AND_OLD_IMAGES", "NEW_IMAGE"


@pytest.mark.parametrize(
    "views",
    [(BOTH, NEW), pytest.param((BOTH, BOTH), marks=pytest.mark.long), pytest.param((NEW, NEW), marks=pytest.mark.long)],
    ids=str,
)
def test_incremental_exports_follow_the_full_one(desk: Desk, views: tuple[str, str]) -> None:
    """Several at once, in their order; read twice, they change nothing."""
    desk.make([made(number) for number in range(40)])
    exports = Exporter(desk)
    exports.full()
    desk.run(from_export=exports.place)
    for round_, view in enumerate(views, 1):
        for number in range(round_, 12):
            desk.put(made(number, version=round_))
        desk.put({**made(100 + round_), "new": "column"})
        desk.delete(made(20 + round_))
        exports.incremental(view)
    run = desk.run(from_export=exports.place)
    assert run.plan is not None
    assert run.counts is not None
    assert (run.plan.full, run.counts.deleted, run.counts.filtered) == (False, 2, 10)
    assert loaded(desk.rows()) == expected(desk.there())
    again = desk.run(from_export=exports.place)
    assert again.rows_read == 0
    assert versions(desk.rows()) == versions(desk.there())


def test_a_gap_between_exports_is_refused_and_a_newer_full_one_mends_it(desk: Desk) -> None:
    """What changed in the gap would be lost."""
    desk.make([made(number) for number in range(5)])
    exports = Exporter(desk)
    exports.full()
    desk.run(from_export=exports.place)
    desk.put(made(50))
    exports.wait()
    exports.reached = exports.now
    desk.put(made(51))
    exports.incremental()
    with pytest.raises(FixConfig, match="the next export begins at"):
        desk.run(from_export=exports.place)
    exports.full()
    run = desk.run(from_export=exports.place)
    assert run.plan is not None
    assert run.plan.full
    assert versions(desk.rows()) == versions(desk.there())


DAMAGES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    (".json.gz", lambda data: data[:-9] + b"123456789", "its MD5 is another"),
    ("manifest-files.json", lambda data: data.replace(b'"itemCount":', b'"itemCount": 1'), "not what its checksum says"),
    ("manifest-summary.json", lambda data: data.replace(b"2020", b"2021"), "not what its checksum says"),
]


@pytest.mark.parametrize(("ending", "how", "told"), DAMAGES, ids=["data", "files", "summary"])
def test_a_damaged_export_is_refused(desk: Desk, ending: str, how: Callable[[bytes], bytes], told: str) -> None:
    """Whichever of its files it is; the table is not touched."""
    desk.make([made(number) for number in range(30)])
    exports = Exporter(desk)
    exports.full()
    exports.change(ending, how, least=60)
    with pytest.raises(Truncated, match=told):
        desk.run(from_export=exports.place, columns=DECLARED)


def test_manifests_that_do_not_fit_together_are_refused(desk: Desk) -> None:
    """Items of the files against the summary, lines against their file; and another format."""
    desk.make([made(number) for number in range(30)])
    exports = Exporter(desk)
    exports.full()
    exports.remove(".checksum")
    exports.change("manifest-files.json", lambda data: b"\n".join(data.splitlines()[1:]))
    with pytest.raises(Truncated, match="and its summary tells of 30"):
        desk.run(from_export=exports.place, columns=DECLARED)
    exports.change("manifest-summary.json", lambda data: data.replace(b"DYNAMODB_JSON", b"ION"))
    with pytest.raises(FixConfig, match="its format is ION"):
        desk.run(from_export=exports.place, columns=DECLARED)
    exports.change("manifest-summary.json", lambda data: data[:30])
    with pytest.raises(Stop, match="its manifest cannot be read"):
        desk.run(from_export=exports.place, columns=DECLARED)


def test_a_file_with_fewer_lines_than_told_is_refused(desk: Desk) -> None:
    """Although its MD5 is the one of the manifest."""
    desk.make([made(1)])
    exports = Exporter(desk)
    exports.full()
    exports.remove(".checksum")

    def one_more(data: bytes) -> bytes:
        rows = [json.loads(line) for line in data.splitlines()]
        return b"\n".join(json.dumps({**row, "itemCount": row["itemCount"] * 2}).encode() for row in rows)

    exports.change("manifest-files.json", one_more)
    exports.change("manifest-summary.json", lambda data: json.dumps({**json.loads(data), "itemCount": 2}).encode())
    with pytest.raises(Truncated, match="it has 1 line, and the manifest tells of 2"):
        desk.run(from_export=exports.place, columns=DECLARED)


def test_exports_of_nothing_and_of_another_table_are_refused(desk: Desk) -> None:
    """With what to look at."""
    desk.make([made(1)])
    exports = Exporter(desk)
    with pytest.raises(NotFound, match=r"there is no manifest-summary\.json"):
        desk.run(from_export=exports.place)
    with pytest.raises(FixConfig, match="no address in a bucket"):
        desk.run(from_export="/some/folder")
    exports.full()
    desk.make([made(1)])
    with pytest.raises(FixConfig, match="is of another table"):
        desk.run(from_export=exports.place)


def test_exports_of_an_earlier_table_of_the_name_are_left_out(desk: Desk) -> None:
    """A table that was made anew is another one: its warehouse does not go back to what the one before was."""
    desk.make([made(1), made(2)])
    exports = Exporter(desk)
    exports.full()
    desk.run(from_export=exports.place)
    desk.put(made(1, version=2))
    exports.incremental()
    desk.run(from_export=exports.place)
    before = desk.rows()
    told = desk.client.describe_table(TableName=desk.table)["Table"]
    desk.client.delete_table(TableName=desk.table)
    desk.client.create_table(
        TableName=desk.table,
        BillingMode="PAY_PER_REQUEST",
        **{name: told[name] for name in ("KeySchema", "AttributeDefinitions")},
    )
    exports.keep()
    desk.put(made(7))
    with pytest.raises(FixConfig, match="2 exports are there, of an earlier table of this name"):
        desk.run(from_export=exports.place)
    assert desk.rows() == before
    exports.full()
    run = desk.run(from_export=exports.place)
    assert run.plan is not None
    assert "Left out: 2 exports of an earlier table of this name." in run.plan.reasons
    assert versions(desk.rows()) == versions(desk.there()) == {("item-007", 7): 0}


def test_builders_take_items_of_an_export_and_no_changes(desk: Desk) -> None:
    """Which rows they made of what is gone, nobody knows."""
    desk.make([made(number) for number in range(10)])
    exports = Exporter(desk)
    exports.full()
    schema = Schema((*DECLARED.columns, Column("size", Kind.INTEGER)), ("pk", "sk"))

    def build(item: Any) -> dict[str, Any]:
        return {"pk": item["pk"], "sk": int(item["sk"]), "version": 0, "size": len(item["map"])}

    options: dict[str, Any] = {"infer": False, "wrap": lambda source: BuiltSource(source, build, schema)}
    assert desk.run(from_export=exports.place, **options).rows_read == 10
    desk.put(made(3, version=1))
    exports.incremental()
    with pytest.raises(FixConfig, match="nobody knows"):
        desk.run(from_export=exports.place, **options)


def test_a_type_that_changed_asks_for_a_newer_full_export(desk: Desk) -> None:
    """A number that became a text cannot be merged."""
    desk.make([made(number) for number in range(10)])
    exports = Exporter(desk)
    exports.full()
    desk.run(from_export=exports.place)
    desk.put({**made(3), "version": "three"})
    exports.incremental()
    with pytest.raises(SchemaConflict, match="version was integer"):
        desk.run(from_export=exports.place)
    exports.full()
    run = desk.run(from_export=exports.place, fresh=True)
    assert run.counts is not None
    assert [row["version"] for row in desk.rows("pk, sk, version")].count("three") == 1


def test_asked_for_everything_the_newest_full_export_replaces_the_table(desk: Desk) -> None:
    """Although only an incremental one was due; what that tells comes with the next run. Without a full one it is refused."""
    desk.make([made(number) for number in range(10)])
    exports = Exporter(desk)
    full = exports.full()
    desk.run(from_export=exports.place)
    with duckdb.connect(f"{desk.home}/lake.duckdb") as lake:
        lake.execute("DELETE FROM raw.documents WHERE sk < 5")
    desk.put(made(50))
    exports.incremental()
    run = desk.run(from_export=exports.place, wish=Wish("documents", key=KEY, force_full=True))
    assert run.plan is not None
    assert (run.plan.full, run.plan.mode, run.rows_read) == (True, Mode.REPLACE, 10)
    assert "what later ones tell is for the next run" in run.plan.reasons[-1]
    assert desk.run(from_export=exports.place).rows_read == 1
    assert versions(desk.rows()) == versions(desk.there())
    folder = full.rpartition("/")[2]
    for one in exports.s3.list_objects_v2(Bucket=exports.bucket)["Contents"]:
        if f"/{folder}/" in one["Key"]:
            exports.s3.delete_object(Bucket=exports.bucket, Key=one["Key"])
    desk.put(made(51))
    exports.incremental()
    with pytest.raises(FixConfig, match="only incremental exports"):
        desk.run(from_export=exports.place, wish=Wish("documents", key=KEY, force_full=True))


def test_attributes_that_the_table_has_no_column_for_are_told_of_exports(desk: Desk) -> None:
    """Of full ones, and of what followed them."""
    desk.make([{"pk": "a", "sk": 1, "version": 0, "one": "x"}])
    exports = Exporter(desk)
    exports.full()
    options: dict[str, Any] = {"from_export": exports.place, "columns": DECLARED, "any_case": True}
    desk.run(**options)
    desk.put({"pk": "b", "sk": 2, "version": 0, "two": "y"})
    exports.incremental()
    desk.run(**options)
    told = f"Attributes of {desk.table} that the table has no column for are left out"
    assert desk.told == [f"{told}: one.", f"{told}: two."]
    assert len(desk.rows()) == 2


def _one(start: int | None, end: int) -> Export:
    begins = None if start is None else START + timedelta(hours=start)
    return Export(f"{start}-{end}", "t", "b", begins, START + timedelta(hours=end), 0, ())


@pytest.mark.parametrize(
    ("there", "until", "read"),
    [
        ([_one(None, 1), _one(1, 2)], None, ["None-1"]),
        ([_one(None, 1), _one(None, 5)], None, ["None-5"]),
        ([_one(None, 1), _one(1, 2), _one(2, 4)], 1, ["1-2", "2-4"]),
        ([_one(None, 1), _one(1, 3), _one(2, 4)], 1, ["1-3", "2-4"]),
        ([_one(None, 1), _one(1, 2)], 2, []),
        ([_one(None, 1), _one(None, 6)], 2, ["None-6"]),
        ([_one(None, 1), _one(3, 4), _one(None, 6)], 2, ["None-6"]),
    ],
    ids=str,
)
def test_exports_are_read_as_a_chain(there: list[Export], until: int | None, read: list[str]) -> None:
    """The newest full one at first; then what begins where the last one ended, overlaps or not."""
    found, _ = chain(there, until=None if until is None else START + timedelta(hours=until))
    assert [one.arn for one in found] == read


def test_an_empty_file_of_an_export_is_read(desk: Desk) -> None:
    """DynamoDB writes one for each partition."""
    desk.make([{"pk": "only", "sk": 1}])
    exports = Exporter(desk)
    exports.full()
    keys = [one["Key"] for one in exports.s3.list_objects_v2(Bucket=exports.bucket)["Contents"] if "/data/" in one["Key"]]
    data = [exports.s3.get_object(Bucket=exports.bucket, Key=key)["Body"].read() for key in keys]
    assert b"" in [gzip.decompress(one) for one in data]
    assert desk.run(from_export=exports.place).rows_read == 1
