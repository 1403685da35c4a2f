"""Loads in any order against a model of ten lines, with pieces so small that every way of cutting rows is taken."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.files.lakes import load, opened
from tests.examples import examples

from halocline.batch import Batch, Op
from halocline.connector import Deletes, Mode
from halocline.connectors.files import buckets, merge, output, parquet, read_table
from halocline.connectors.files.log import Commit
from halocline.errors import StorageFailed
from halocline.schema import Column, Kind, Schema

SCHEMA = Schema(
    (Column("Id", Kind.STRING), Column("Text", Kind.STRING), Column("IsDeleted", Kind.BOOLEAN), Column("Stamp", Kind.DATETIME)),
    ("Id",),
)
SCATTERED = Schema((Column("Id", Kind.STRING), Column("C", Kind.STRING)), ("Id",))
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Change:
    """A row as read, or a deletion; the text follows from the rest, so that two rows that tie in all are equal."""

    key: int
    stamp: int
    flagged: bool
    gone: bool

    @property
    def row(self) -> dict[str, Any]:
        stamp = START + dt.timedelta(days=20 * self.stamp)
        return {"Id": f"{self.key}", "Text": f"{self.key} at {self.stamp}", "IsDeleted": self.flagged, "Stamp": stamp}


def model(
    known: dict[str, dict[str, Any]], changes: list[Change], deletes: Deletes, *, complete: bool
) -> dict[str, dict[str, Any]]:
    """The rows after a merge, one key at a time."""
    absent = set(known) - {str(change.key) for change in changes} if complete and deletes is Deletes.SOFT else set()
    after = {key: {**row, "IsDeleted": row["IsDeleted"] or key in absent} for key, row in known.items()}
    for key in {change.key for change in changes}:
        mine = [change for change in changes if change.key == key]
        if any(change.flagged and not change.gone for change in mine):
            mine = [change for change in mine if not change.gone]
        last = max(mine, key=lambda change: (change.stamp, not change.gone, not change.flagged))
        row, old = last.row, known.get(str(key))
        if not last.gone and not (last.flagged and deletes is not Deletes.SOFT):
            after[str(key)] = row
        elif old is None or deletes is Deletes.IGNORE or (last.gone and row["Stamp"] < old["Stamp"]):
            continue
        elif deletes is Deletes.HARD:
            del after[str(key)]
        elif not old["IsDeleted"]:
            after[str(key)] = {**old, "IsDeleted": True, "Stamp": row["Stamp"]}
    return after


def batches(changes: list[Change]) -> list[Batch]:
    rows = [change.row for change in changes if not change.gone]
    gone = [{"Id": f"{change.key}", "Stamp": change.row["Stamp"]} for change in changes if change.gone]
    return [
        Batch(rows=pa.RecordBatch.from_pylist(rows, schema=SCHEMA.arrow)),
        Batch(rows=pa.RecordBatch.from_pylist(gone, schema=SCHEMA.select(["Id", "Stamp"]).arrow), op=Op.DELETE),
    ]


def scattered(count: int) -> Batch:
    """Rows of which neighbours belong to other partitions."""
    rows = [{"Id": f"{n:03}", "C": f"{n % 6}"} for n in range(count)]
    return Batch(rows=pa.RecordBatch.from_pylist(rows, schema=SCATTERED.arrow))


CHANGES = st.builds(Change, key=st.integers(0, 12), stamp=st.integers(0, 3), flagged=st.booleans(), gone=st.booleans())


@pytest.mark.parametrize("deletes", list(Deletes))
@pytest.mark.parametrize("by", ["", "month(Stamp)", "IsDeleted,year(Stamp)"])
@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(st.tuples(st.lists(CHANGES, max_size=14), st.booleans()), min_size=1, max_size=4), whole=st.booleans())
def test_any_merges_leave_the_table_of_the_model(
    by: str,
    deletes: Deletes,
    loads: list[tuple[list[Change], bool]],
    whole: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For any sequence of merges of rows, flagged rows and deletions, of what changed or of all there is, the table equals the
    model's after each.
    """
    if not whole:  # one row a data file, a few in a bucket, three small files a partition at most
        monkeypatch.setattr(output, "TARGET_BYTES", 1)
        monkeypatch.setattr(buckets, "BUCKET_BYTES", 600)
    monkeypatch.setattr(merge, "SMALL_BYTES", 1_000 if whole else 10**9)
    monkeypatch.setattr(merge, "MOST_SMALL", 3)
    folder = tmp_path / f"{next(NUMBERS)}"
    folder.mkdir()
    uri = f"file://{folder}/lake?partition_by={by}"
    destination = opened(uri, folder)
    known: dict[str, dict[str, Any]] = {}
    for changes, every in loads:
        complete = every and deletes is not Deletes.HARD
        flags = {"cursor": "Stamp", "delete_flag": "IsDeleted", "deletes": deletes, "schema": SCHEMA}
        counts = load(destination, *batches(changes), mode=Mode.MERGE, complete=complete, allow_empty=True, **flags)
        known = model(known, changes, deletes, complete=complete)
        found = read_table(uri, "page", schema="raw").read_all().to_pylist()
        assert sorted(found, key=lambda row: row["Id"]) == [known[key] for key in sorted(known)]
        assert counts.accounted == len(changes)


def test_a_refresh_in_many_pieces_is_sorted_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that come in any order are cut by ranges of keys: data files do not overlap, and each key is there once."""
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 4_000)
    monkeypatch.setattr(output, "TARGET_BYTES", 1)
    uri = f"file://{tmp_path}/lake"
    destination = opened(uri, tmp_path)
    order = [(n * 7_919) % 2_000 for n in range(2_000)]
    changes = [[Change(key, 1, False, False) for key in order[start::4]] for start in range(4)]
    counts = load(destination, *(one for some in changes for one in batches(some)), cursor="Stamp", schema=SCHEMA)
    assert counts.inserted == 2_000
    manifest = destination._storage.read("raw/page/_halocline/00000001.json")
    assert manifest is not None
    files = Commit.from_bytes(manifest, name="x").files
    assert len(files) > 10
    assert all(one.high < other.low for one, other in itertools.pairwise(files))
    found = [row["Id"] for row in read_table(uri, "page", schema="raw").read_all().to_pylist()]
    assert found == sorted(f"{n}" for n in range(2_000))


def test_a_large_data_file_is_rewritten_with_few_of_its_changes_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all rows of a file change, each piece of the changes is read once, and beside a few neighbours only."""
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 4_000)
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 50)
    read, held = merge._Kept.read, merge._News.between
    pieces: list[Path] = []
    at_once: list[int] = []

    def reading(self: merge._Kept) -> pa.Table:
        pieces.append(self.path)
        return read(self)

    def holding(self: merge._News, low: str, high: str) -> list[pa.Table]:
        found = held(self, low, high)
        at_once.append(len(found))
        return found

    monkeypatch.setattr(merge._Kept, "read", reading)
    monkeypatch.setattr(merge._News, "between", holding)
    destination = opened(f"file://{tmp_path}/lake", tmp_path)
    for stamp in (1, 2):
        changes = [[Change(key, stamp, False, False) for key in range(start, 2_000, 4)] for start in range(4)]
        counts = load(
            destination,
            *(one for some in changes for one in batches(some)),
            mode=Mode.REPLACE if stamp == 1 else Mode.MERGE,
            cursor="Stamp",
            schema=SCHEMA,
        )
    assert counts.updated == 2_000
    assert len(pieces) == len(set(pieces)) > 10
    assert max(at_once) <= 4
    found = read_table(f"file://{tmp_path}/lake", "page", schema="raw").read_all().to_pylist()
    assert {row["Text"] for row in found} == {f"{n} at 2" for n in range(2_000)}


@pytest.mark.parametrize("mode", list(Mode))
def test_partitions_that_wait_for_their_turn_lose_no_row(mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More partitions than are written at once, in more than one piece each: every row arrives, and nothing stays behind."""
    monkeypatch.setattr(buckets, "BUCKET_BYTES", 2_000)
    uri = f"file://{tmp_path}/lake?partition_by=C"
    destination = opened(uri, tmp_path)
    assert load(destination, scattered(300), mode=mode, schema=SCATTERED).inserted == 300
    found = read_table(uri, "page", schema="raw").read_all().to_pylist()
    assert [(row["Id"], row["C"]) for row in sorted(found, key=lambda row: str(row["Id"]))] == [
        (f"{n:03}", f"{n % 6}") for n in range(300)
    ]
    assert not [path for path in destination._spool.path.rglob("*") if path.is_file()]


def test_rows_that_wait_and_cannot_be_read_again_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone from the spool folder is a trouble of storage, and nothing is published."""
    wait = output.Output._wait

    def losing(self: output.Output, partition: str, rows: pa.Table) -> None:
        wait(self, partition, rows)
        self._waiting[partition][-1].unlink()

    monkeypatch.setattr(output.Output, "_wait", losing)
    destination = opened(f"file://{tmp_path}/lake?partition_by=C", tmp_path)
    with pytest.raises(StorageFailed, match="Reading rows that wait in the spool folder"):
        load(destination, scattered(6), schema=SCATTERED)
    assert destination._storage.read("raw/page/_halocline/00000001.json") is None


def test_several_columns_make_a_key(tmp_path: Path) -> None:
    """Keys of several columns, of any kind, are told apart whatever their texts hold."""
    columns = (Column("A", Kind.STRING), Column("B", Kind.STRING), Column("N", Kind.INTEGER), Column("V", Kind.STRING))
    schema = Schema(columns, ("A", "B", "N"))
    keys = [("a\x1f", "b", 1), ("a", "\x1fb", 1), ("a\x1e1", "b", 1), ("a", "b", 11), ("a", "b", 1)]
    rows = [dict(zip("ABNV", (*key, "old"), strict=True)) for key in keys]
    uri = f"file://{tmp_path}/lake"
    destination = opened(uri, tmp_path)
    plan = {"schema": schema, "key": ("A", "b", "N")}
    load(destination, Batch(rows=pa.RecordBatch.from_pylist(rows, schema=schema.arrow)), **plan)
    new = [{**rows[3], "V": "new"}, {**rows[0], "N": 7}]
    counts = load(destination, Batch(rows=pa.RecordBatch.from_pylist(new, schema=schema.arrow)), mode=Mode.MERGE, **plan)
    assert (counts.inserted, counts.updated) == (1, 1)
    found = read_table(uri, "page", schema="raw").read_all().to_pylist()
    order = [(row["A"], row["B"], row["N"], row["V"]) for row in found]
    assert sorted(order) == sorted(
        [*((*key, "old") for key in keys if key != keys[3]), (*keys[3], "new"), ("a\x1f", "b", 7, "old")]
    )
