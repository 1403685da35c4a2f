"""Laws of limits: a file that would fill the memory or the disk is refused before it does, and says why."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyarrow import parquet

from halocline.buckets import Stored
from halocline.errors import FixConfig
from halocline.filejob.intake import Intake, Unreadable
from halocline.filejob.limits import Limits, _Records, check, check_packed

MB = 1 << 20


def packed(path: Path, piece: bytes, times: int) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(times):
            file.write(piece)
    return path


def plain(path: Path, piece: bytes, times: int, *, head: bytes = b"", tail: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(head)
        for _ in range(times):
            file.write(piece)
        file.write(tail)
    return path


def test_a_file_that_expands_without_end_is_refused(tmp_path: Path) -> None:
    """A few hundred kilobytes that would be a hundred megabytes: no more is unpacked than the limits say."""
    bomb = packed(tmp_path / "bomb.csv.gz", b"a,b\n" * (MB // 4), 100)
    with pytest.raises(FixConfig, match="over 200 times as many") as caught:
        check(bomb, Limits())
    assert caught.value.facts["limit"] == "ratio"
    check(bomb, Limits(ratio=2_000))
    with pytest.raises(FixConfig, match=r"larger than 8,388,608 bytes"):
        check(bomb, Limits(ratio=2_000, unpacked_bytes=8 * MB))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("one_line.csv", lambda path: plain(path, b"x" * MB, 40, head=b"a\n")),
        ("one_line.jsonl", lambda path: plain(path, b"x" * MB, 40, head=b'{"a": "')),
        ("open_quote.csv", lambda path: plain(path, b"x,y\n" * (MB // 4), 40, head=b'a,b\n1,"')),
        ("many_quotes.csv", lambda path: plain(path, b'""' * (MB // 2), 40, head=b'a\n"')),
        ("packed.csv.gz", lambda path: packed(path, b"x" * MB, 40)),
    ],
)
def test_a_record_without_end_is_refused(tmp_path: Path, name: str, make: Callable[[Path], Path]) -> None:
    """One line, or a quote that never closes: it is not read as a whole to find that out."""
    path = make(tmp_path / name)
    tracemalloc.start()
    try:
        with pytest.raises(FixConfig, match=r"record \S+ is longer than 16,777,216 bytes"):
            check(path, Limits())
        assert tracemalloc.get_traced_memory()[1] < 64 * MB
    finally:
        tracemalloc.stop()


def test_cells_of_many_lines_are_no_long_records(tmp_path: Path) -> None:
    """Records end where they end: line ends in quotes belong to a cell, and many records may be longer than one may be."""
    path = plain(tmp_path / "cells.csv", b'"one\ntwo ""three""\n",2\n' * 50_000, 20, head=b"a,b\n")
    assert path.stat().st_size > 16 * MB
    check(path, Limits())
    check(plain(tmp_path / "lines.jsonl", b'{"a": "\\""}\n' * 50_000, 40), Limits())


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_quote_inside_of_a_field_opens_nothing(tmp_path: Path, delimiter: str) -> None:
    """As the reader has it: of inches and nicknames the file may have as many as it likes, and any number of rows after them."""
    line = b'1,5" pipe\n"2,5"" pipe ",x"\n'.replace(b",", delimiter.encode())
    check(plain(tmp_path / "inches.csv", b"1,plain\n" * (MB // 8), 20, head=b"a,b\n" + line), Limits(), delimiter=delimiter)
    opened = plain(tmp_path / "open.csv", b"1\n" * MB, 10, head=b'a,b\n1,"x'.replace(b",", delimiter.encode()))
    with pytest.raises(FixConfig, match="is longer than"):
        check(opened, Limits(), delimiter=delimiter)


@given(st.lists(st.sampled_from(['"', '""', ",", "\n", "x"]), max_size=30).map("".join), st.integers(1, 7))
def test_records_end_where_the_reader_ends_them(text: str, size: int) -> None:
    """Wherever the pieces of the file are cut, as long as it is a file that the reader takes."""
    data = f"{text}\n"
    try:
        rows = len(list(csv.reader(io.StringIO(data, newline=""), strict=True)))
    except csv.Error:
        assume(False)
    counted = _Records(",")
    for at in range(0, len(data), size):
        counted.longest(data.encode()[at : at + size])
    assert counted.ended == rows


def test_a_json_file_is_read_as_a_whole_and_so_is_bounded(tmp_path: Path) -> None:
    """The error names the form that is not."""
    with pytest.raises(FixConfig, match="JSON Lines"):
        check(plain(tmp_path / "large.json", b" " * MB, 3), Limits(json_bytes=2 * MB))


def test_a_limit_is_a_number_of_bytes() -> None:
    """Nothing would be let through by a limit of zero."""
    with pytest.raises(FixConfig, match="ratio is 0"):
        Limits(ratio=0)


_TEXT = "x" * MB
BOMBS: dict[str, Callable[[], pa.Table]] = {  # made by the test: they are hundreds of megabytes
    "a text of a megabyte, in each row": lambda: pa.table({"a": pa.DictionaryArray.from_arrays([0] * 5_000, [_TEXT])}),
    "bytes": lambda: pa.table({"a": pa.DictionaryArray.from_arrays([0] * 5_000, pa.array([_TEXT.encode()]))}),
    "a text in a list": lambda: pa.table({"a": pa.array([["y" * 5_000] * 20] * 800)}),
    "a text in a struct": lambda: pa.table({"a": pa.array([{"b": "y" * 5_000}] * 16_000)}),
    "a text in a map": lambda: pa.table({"a": pa.array([[("k", "y" * 5_000)]] * 16_000, pa.map_(pa.string(), pa.string()))}),
    "nulls without end": lambda: pa.table({"a": pa.nulls(80 * MB, pa.bool_())}),
    "numbers without end": lambda: pa.table({"a": pa.array([7]).take(pa.array(np.zeros(12 * MB, np.int32)))}),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_parquet_file_that_expands_is_refused(what: str, tmp_path: Path) -> None:
    """What stands in it once is measured as often as it stands in a row, and is not unfolded for that."""
    path = tmp_path / "bomb.parquet"
    parquet.write_table(BOMBS[what](), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 2 * MB
    before = pa.total_allocated_bytes()
    with pytest.raises(FixConfig, match="over 200 times as many") as caught:
        check(path, Limits())
    assert caught.value.facts["limit"] == "ratio"
    assert pa.total_allocated_bytes() - before < 64 * MB


def test_a_parquet_file_is_held_to_every_limit(tmp_path: Path) -> None:
    """Its rows in all, the texts of one of them, and what it says itself; an ordinary one passes."""
    path = tmp_path / "a.parquet"
    rows = pa.table({"a": [f"n{number}" for number in range(5_000)], "b": ["same"] * 5_000, "c": [{"d": [1.5, None]}] * 5_000})
    parquet.write_table(rows, path)
    check(path, Limits())
    with pytest.raises(FixConfig, match=r"larger than 100,000 bytes"):
        check(path, Limits(unpacked_bytes=100_000))
    with pytest.raises(FixConfig, match=r"larger than 1,000 bytes"):
        check(path, Limits(unpacked_bytes=1_000))
    parquet.write_table(pa.table({"a": ["x", "y" * (MB // 2)], "b": [None, "y" * MB]}), path)
    with pytest.raises(FixConfig, match=r"a record after the first 0 is longer than 1,048,576 bytes"):
        check(path, Limits(record_bytes=MB))
    path.write_bytes(b"PAR1 and then none PAR1")
    with pytest.raises(FixConfig, match="no Parquet file"):
        check(path, Limits())


def test_a_file_that_is_too_large_is_not_fetched() -> None:
    """Its own size is looked at first: else it would fill the disk before anybody looked into it."""
    check_packed("a.csv", 20 << 30, limits=Limits())
    with pytest.raises(FixConfig, match=r"Reading a.csv.gz: it is larger than 21,474,836,480 bytes"):
        check_packed("a.csv.gz", (20 << 30) + 1, limits=Limits())
    job: Any = SimpleNamespace(limits=Limits(unpacked_bytes=10))
    none: Any = None  # whoever asks the bucket, or for the spool, fails
    with pytest.raises(Unreadable, match="larger than 10 bytes"):
        Intake(job, none, none).rows(Stored("bucket", "a.csv", 11, "etag"))
