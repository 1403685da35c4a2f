"""Laws of files: checked as a whole before a row is handed out, exact, and clear about what is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from tests.rows.reading import all_of

from halocline.errors import FixConfig, NotFound, StorageFailed
from halocline.push.order import Nulls
from halocline.rows.files import FileOptions, file_rows
from halocline.rows.of import rows_of
from halocline.rows.rows import Rows
from halocline.testing.faults import Operations, Way, When, watching_files

CELLS = st.text(st.sampled_from('ab,"\n\r\té☃#') | st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


def opened(folder: Path, data: bytes, *, name: str = "a.csv", **options: Any) -> Rows:
    """The rows of a file with these bytes; a failure leaves nothing in the folder of the run."""
    (folder / name).write_bytes(data)
    run = folder / "run"
    before = set(run.glob("*"))
    try:
        return rows_of(folder / name, folder=run, options=FileOptions(**options))
    except BaseException:
        assert set(run.glob("*")) == before
        raise


# ---- CSV


def test_csv_columns_are_text_and_empty_is_null(tmp_path: Path) -> None:
    """No number, date or word for null is guessed; an empty cell leaves the field and #N/A clears it."""
    rows = opened(tmp_path, b'id,n,t\n007,1.10,NULL\n8,,""\n9,#N/A,nan\n')
    told = [{"id": "007", "n": "1.10", "t": "NULL"}, {"id": "8", "n": None, "t": None}, {"id": "9", "n": "#N/A", "t": "nan"}]
    assert all_of(rows) == told
    assert (rows.name, rows.nulls, rows.clears) == ("a.csv", Nulls.KEEP, "#N/A")


@given(cells=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=8), ends=st.sampled_from(["\n", "\r\n"]))
def test_csv_cells_come_back_exactly(cells: list[list[str]], ends: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Quotes, delimiters and line ends inside quotes included, whatever ends the lines."""
    out = io.StringIO()
    csv.writer(out, lineterminator=ends, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *cells])
    rows = opened(tmp_path_factory.mktemp("csv"), out.getvalue().encode())
    assert all_of(rows) == [{"a": a or None, "b": b or None} for a, b in cells]


def test_crlf_inside_quotes_is_kept_at_every_place_of_a_block(tmp_path: Path) -> None:
    """Arrow's reader alone loses a line feed where one of its blocks, of a mebibyte, ends between the two."""
    cell = "x\r\n" * 700_000
    rows = opened(tmp_path, f'a,b\r\n1,"{cell}"\r\n'.encode() + b'2,"p\r\nq"\r\n' * 120_000)
    (first,) = rows.records([0])
    assert first["b"] == cell
    assert {row["b"] for row in all_of(rows)[1:]} == {"p\r\nq"}


def test_a_cell_of_ten_megabytes(tmp_path: Path) -> None:
    """Is a cell like others."""
    big = "é" * 5_000_000
    assert all_of(opened(tmp_path, f"a,b\n1,{big}\n2,x\n".encode())) == [{"a": "1", "b": big}, {"a": "2", "b": "x"}]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a,b\n", []),
        (b"a,b", []),
        (b"\xef\xbb\xbfa,b\n1,2", [{"a": "1", "b": "2"}]),
        (b"a,b\r1,2\r3,4\r", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        (b'"a\nx",b\n\n1,2\n\n', [{"a\nx": "1", "b": "2"}]),
        (b'a,b\n5" disk,x\n', [{"a": '5" disk', "b": "x"}]),
        (b'a\n1\n\n""\n', [{"a": "1"}, {"a": None}]),
    ],
    ids=["header only", "no line end", "byte order mark", "CR", "lines in the header", "a quote inside", "one column"],
)
def test_csv_of_many_shapes(data: bytes, told: list[Any], tmp_path: Path) -> None:
    """A header alone is no rows; lines without anything are none either."""
    assert all_of(opened(tmp_path, data)) == told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\n1,2\n", "its first line is empty"),
        (b"a,b,a\n", "two columns of the header are called 'a'"),
        (b"a,,b\n", "column 2 of the header has no name"),
        (b'"a,b\n1,2\n', "the header line is no CSV"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 value, and the header has 2"),
        (b'a,b\n1,"x\ny"\n\n3,4,5\n', "line 5 has 3 values, and the header has 2"),
        (b"a,b\n" + b"1,2\n" * 300_000 + b"3\n", "line 300,002 has 1 value,"),
        (b'a,b\n1,"2\n3,4\n', "a quote is opened in the record that begins in line 2, and never closed"),
        (b'a,b\n1,"2', "a quote is opened in the record that begins in line 2, and never closed"),
        (b'a,b\n1,"2\n3,4\n5,"x\n', "line 4 has text behind a closing quote"),
        (b'a,b\n"abc"def,x\n', "line 2 has text behind a closing quote"),
        (b'a,b\n"6" x 4" board",Y\n', "line 2 has text behind a closing quote"),
        (b'a,b\nx,"y"z"\nw","v"\n', "line 2 has text behind a closing quote"),
        (b'a,b\n""x,"y"\n', "line 2 has text behind a closing quote"),
        ("a,b\n1,2\n".encode("utf-16-le"), 'perhaps encoding="utf-16-le"'),
    ],
)
def test_a_csv_file_that_is_wrong_names_the_place(data: bytes, told: str, tmp_path: Path) -> None:
    """Nothing of it is handed out, not even the rows before that place."""
    with pytest.raises(FixConfig, match=r"^Reading a\.csv: ") as caught:
        opened(tmp_path, data)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("data", "encoding", "told"),
    [
        (
            b"a,b\n1,2\n3,\xe9t\xe9\n",
            "utf-8",
            'byte 10 (0xe9, in line 3) is not utf-8. Say which encoding it has, perhaps encoding="cp1252"',
        ),
        (b"a\xe9,b\n1,2\n", "utf-8", "byte 1 (0xe9, in line 1) is not utf-8"),
        (b"a,b\n" + b"1,2\n" * 400_000 + b"\xff,2\n", "utf-8", "byte 1,600,004 (0xff, in line 400,002)"),
        ("a,b\n1,2\n".encode("utf-16"), "utf-8", 'perhaps encoding="utf-16"'),
        ("a,b\n1,é\n".encode("utf-16-le"), "utf-8", 'perhaps encoding="utf-16-le"'),
        ("a,b\n1,é\n".encode("utf-16-be"), "utf-8", 'perhaps encoding="utf-16-be"'),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "utf-8", "It is packed by gzip: end its name in .gz"),
        (b"PK\x03\x04\x14\x00\x06\x00\xe9", "utf-8", "It is a zip, as the .xlsx of Excel is"),
        (b"a,b\n1,\x81\n", "cp1252", "byte 6 (0x81, in line 2) is not cp1252"),
        (
            "a,b\n1,2\n".encode("utf-16-le"),
            "utf-16",
            'it is not text in utf-16. Say which encoding it has, perhaps encoding="utf-16-le"',
        ),
        ("a,b\n1,2\n".encode("utf-16-be"), "utf-16", 'perhaps encoding="utf-16-be"'),
        (b"a,b\n1,2\n", "utf-16", 'perhaps encoding="utf-8"'),
        ("a,é\n1,2\n".encode(), "idna", 'it is not text in idna. Say which encoding it has, perhaps encoding="utf-8"'),
        (b"a,b\n1,\\ud800\n", "unicode_escape", "it is not text in unicode_escape"),
        (b"a,b\n", "undefined", "it is not text in undefined"),
        (b"a,b\n", "klingon", "unknown encoding: klingon"),
        (b"a,b\n", "base64", "is not a text encoding"),
    ],
)
def test_a_wrong_encoding_names_the_byte(data: bytes, encoding: str, told: str, tmp_path: Path) -> None:
    """And the line that it is in, and which encoding it may be instead."""
    with pytest.raises(FixConfig) as caught:
        opened(tmp_path, data, encoding=encoding)
    assert told in str(caught.value)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A file is read more than once, and nobody writes into the pipe for the second time."""
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(FixConfig, match=r"it is a pipe or a device, and no file\. .*by `-`"):
        file_rows(tmp_path / "a.csv", tmp_path / "run")


@pytest.mark.parametrize("header", ["run,row,code,message,fields,Phone", "run,row,id,Phone"])
def test_a_report_of_ours_is_no_source(header: str, tmp_path: Path) -> None:
    """Its apostrophes, which no spreadsheet needs any more, would be written as part of the values."""
    with pytest.raises(FixConfig, match=r"is a report of a push.*--jsonl"):
        opened(tmp_path, f"{header}\n".encode())
    rows = opened(tmp_path, b"run,id,row\n1,2,3\n")
    assert len(rows) == 1
    rows.close()


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.tsv", "a.jsonl.gz"])
def test_utf_16_without_its_mark_is_told(name: str, tmp_path: Path) -> None:
    """In a file of any kind: Python then names no byte."""
    data = '[{"a": 1}]'.encode("utf-16-le")
    with pytest.raises(FixConfig, match=r"it is not text in utf-16\. .*--encoding utf-16-le"):
        opened(tmp_path, gzip.compress(data) if name.endswith(".gz") else data, name=name, encoding="utf-16")


def test_a_txt_file_is_csv_once_its_delimiter_is_said(tmp_path: Path) -> None:
    """Data Loader and databases write such; what divides its columns nobody guesses."""
    (tmp_path / "a.txt").write_text("a|b\n1|2\n")
    with pytest.raises(FixConfig, match=r"a \.txt file may have any form.*--delimiter"):
        file_rows(tmp_path / "a.txt", tmp_path / "run")
    rows = file_rows(tmp_path / "a.txt", tmp_path / "run", options=FileOptions(delimiter="|"))
    assert rows.records([0]) == [{"a": "1", "b": "2"}]
    rows.close()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-be", "utf-8-sig"])
def test_text_files_of_other_encodings(encoding: str, tmp_path: Path) -> None:
    """Read as such, CSV and JSON alike, also where a character lies across two reads."""
    text = "é" * 700_001
    assert all_of(opened(tmp_path, f"a,b\r\n1,{text}\r\n".encode(encoding), encoding=encoding)) == [{"a": "1", "b": text}]
    line = f'{{"a": "{text}"}}\n'.encode(encoding)
    assert all_of(opened(tmp_path, line, name="a.jsonl", encoding=encoding)) == [{"a": text}]


def test_delimiters(tmp_path: Path) -> None:
    """The one that is named; in .tsv files a tab. What cannot be one is refused."""
    assert all_of(opened(tmp_path, b"a;b\n1;2,5\n", delimiter=";")) == [{"a": "1", "b": "2,5"}]
    assert all_of(opened(tmp_path, b"a\tb\n1\t2\n", name="a.tsv")) == [{"a": "1", "b": "2"}]
    for mark in ("", ";;", '"', "\n", "é"):
        with pytest.raises(FixConfig, match="cannot be a delimiter"):
            FileOptions(delimiter=mark)


def test_packed_files(tmp_path: Path) -> None:
    """Are read as what is in them; a damaged one is refused."""
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 1_000)
    assert all_of(opened(tmp_path, packed, name="a.csv.gz")) == [{"a": "1", "b": "2"}] * 1_000
    assert all_of(opened(tmp_path, gzip.compress(b'{"a":1}'), name="A.JSONL.GZ")) == [{"a": 1}]
    assert all_of(opened(tmp_path, gzip.compress(b""), name="a.jsonl.gz")) == []
    for damaged in (packed[:-9], b"no gzip", packed[:15] + b"z" * 40, b""):
        for name in ("a.csv.gz", "a.jsonl.gz"):
            with pytest.raises(FixConfig, match="its compression is damaged"):
                opened(tmp_path, damaged, name=name)


def test_a_file_may_change_once_its_rows_are_there(tmp_path: Path) -> None:
    """What was checked is what is handed out."""
    rows = opened(tmp_path, b"a\n1\n")
    (tmp_path / "a.csv").write_text("b\n2\n")
    assert all_of(rows) == [{"a": "1"}]
    rows.close()
    assert list((tmp_path / "run").iterdir()) == []


# ---- JSON


def test_json_lines_are_exact(tmp_path: Path) -> None:
    """Missing and null are told apart, and no digit of a number is lost; a null clears."""
    data = b'{"a":1}\n\n{"a":null,"b":1.10,"c":12345678901234567890123,"d":"x\xe2\x80\xa8y"}\r\n'
    rows = opened(tmp_path, data, name="a.jsonl")
    told = [{"a": 1}, {"a": None, "b": Decimal("1.10"), "c": 12345678901234567890123, "d": "x\u2028y"}]
    assert str(all_of(rows)) == str(told)
    assert (rows.name, rows.nulls, rows.clears) == ("a.jsonl", Nulls.CLEAR, None)
    assert all_of(opened(tmp_path, b"", name="a.ndjson")) == []


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"a":1}\n[1]\n', "line 2 is no object"),
        (b'{"a":1}\n\n{"a":\n', "line 3 is no JSON (Expecting value"),
        (b'{"a":NaN}\n', "line 1: NaN is no number of JSON"),
        (b'{"a":1,"a":2}\n', "line 1: 'a' is given twice"),
        (b'{"a":"\xe9"}\n', "byte 6 (0xe9, in line 1) is not utf-8"),
        (b'{"a":' + b"[" * 100_000, "line 1: maximum recursion depth"),
    ],
)
def test_json_lines_that_are_wrong_name_the_line(data: bytes, told: str, tmp_path: Path) -> None:
    """The whole file is read before a row is handed out."""
    with pytest.raises(FixConfig, match=r"^Reading a\.jsonl: ") as caught:
        opened(tmp_path, data, name="a.jsonl")
    assert told in str(caught.value)


def test_a_json_list_is_read_piece_by_piece(tmp_path: Path) -> None:
    """Objects that are longer than a piece, and characters across two pieces, come back whole."""
    long = "é" * 900_000
    told = [{"n": 0}, {"t": long}, {"x": {"y": [1, Decimal("2.50")]}}, {"t": long}]
    data = f'[ {{"n": 0}},\n{{"t": "{long}"}} , {{"x": {{"y": [1, 2.50]}}}},{{"t": "{long}"}}\n]\n'.encode()
    assert all_of(opened(tmp_path, data, name="a.json")) == told
    assert all_of(opened(tmp_path, b" [ ] ", name="a.json")) == []


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "the file is empty"),
        (b'{"a":1}', "it is a single object"),
        (b'"x"', "it is no list of objects"),
        (b'[{"a":1},\n3]', "line 2: an element of the list is no object"),
        (b'[{"a":1},\n{"a":\n}]', "line 3 is no JSON"),
        (b'[{"a":1} {"a":1}]', "line 1: there is no , or ] behind an object"),
        (b'[{"a":1}', "line 1: there is no , or ] behind an object"),
        (b'[{"a":1},]', "line 1: an element of the list is no object"),
        (b'[{"a":1}]\n x', "line 2: something follows the list"),
        (b'[{"a":1,"a":1}]', "line 1: 'a' is given twice"),
    ],
)
def test_a_json_list_that_is_wrong_names_the_line(data: bytes, told: str, tmp_path: Path) -> None:
    """And a file of JSON lines is told what to be called."""
    with pytest.raises(FixConfig, match=r"^Reading a\.json: ") as caught:
        opened(tmp_path, data, name="a.json")
    assert told in str(caught.value)


# ---- Parquet, and files as such


def test_parquet_comes_as_arrow(tmp_path: Path) -> None:
    """Types as they are, nulls that clear, over several row groups."""
    told = [{"n": n, "d": Decimal(n) / 4, "t": None if n % 2 else "x"} for n in range(3_000)]
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(told), out, row_group_size=1_000)
    rows = opened(tmp_path, out.getvalue(), name="a.parquet")
    assert all_of(rows) == told
    assert (len(list(rows.batches())), rows.nulls, rows.clears) == (1, Nulls.CLEAR, None)
    for damaged in (b"", out.getvalue()[:-9], out.getvalue()[:9] + b"zzzz" * 100 + out.getvalue()[409:]):
        with pytest.raises(FixConfig, match="it is no Parquet file, or it is damaged"):
            opened(tmp_path, damaged, name="a.parquet")


def test_a_full_disk_is_no_damaged_parquet(tmp_path: Path) -> None:
    """Wherever the rows that are put aside find no more room: at the head of their file, in its midst, at its end."""
    path, aside = tmp_path / "a.parquet", tmp_path / "aside"
    parquet.write_table(pa.table({"a": ["x", "y"]}), path)
    aside.mkdir()
    counted = Operations(kinds=("write",))
    with watching_files(counted), counted:
        file_rows(path, aside).close()
    writes = len([moment for moment in counted.seen if moment.when is When.BEFORE])
    assert writes > 2
    for at in range(1, writes + 1):
        operations = Operations(at=at, way=Way.ERROR, kinds=("write",))
        with watching_files(operations), operations, pytest.raises(StorageFailed, match="Free some space"):
            file_rows(path, aside)
        assert operations.struck
    assert list(aside.iterdir()) == []


def test_a_file_that_is_not_there_is_answered_with_close_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its folder; a folder, or a kind that we do not read, is refused."""
    (tmp_path / "accounts.csv").write_text("a\n")
    with pytest.raises(NotFound, match=r"Did you mean accounts\.csv\?"):
        rows_of(str(tmp_path / "acounts.csv"), folder=tmp_path)
    with pytest.raises(NotFound, match="there is no folder"):
        rows_of(tmp_path / "no" / "a.csv", folder=tmp_path)
    with pytest.raises(FixConfig, match="it is a folder"):
        rows_of(str(tmp_path), folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FixConfig, match=r"Reading \.: it is a folder"):
        rows_of(".", folder=tmp_path)
    (tmp_path / "a.xlsx").write_text("a")
    with pytest.raises(FixConfig, match=r"Known are \.csv, \.tsv"):
        rows_of(str(tmp_path / "a.xlsx"), folder=tmp_path)
