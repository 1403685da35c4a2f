"""How an uploaded CSV is read: quotes, line ends, sizes, and where one batch ends and the next begins."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.bulk2_load import load
from tests.examples import examples

from halocline.emulator.bulk2 import csv_in
from halocline.emulator.bulk2.csv_in import BadUploadError, Batch, Sheet, is_well_quoted
from halocline.emulator.bulk2.jobs import DELIMITERS

UNESCAPED = "Failed to parse CSV. Found unescaped quote. A value with quote should be within a quote"


def read(path: Path, content: str | bytes, delimiter: str = ",", line_ending: str = "LF") -> tuple[list[str], list[Batch]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with Sheet(path, delimiter=delimiter, line_ending=line_ending) as sheet:
        return sheet.header, list(sheet.batches())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload.csv"


@pytest.mark.parametrize(("name", "mark"), DELIMITERS.items())
@pytest.mark.parametrize(("ending", "end"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_every_delimiter_and_line_end_comes_back_in_the_results(
    client: httpx2.Client, name: str, mark: str, ending: str, end: str
) -> None:
    """Results are written as the upload was ordered."""
    content = end.join((f"Name{mark}Phone", f'"a{mark}b"{mark}1', f'"two\nlines"{mark}2', ""))
    job = load(client, content, columnDelimiter=name, lineEnding=ending)
    first, second = (line.split(mark)[0].strip('"') for line in job.success.split(end)[1:3])
    expected = [f'"sf__Id"{mark}"sf__Created"{mark}Name{mark}Phone']
    expected += [f'"{first}"{mark}"true"{mark}"a{mark}b"{mark}"1"', f'"{second}"{mark}"true"{mark}"two\nlines"{mark}"2"', ""]
    assert job.success == end.join(expected)
    assert job.unprocessed == f"Name{mark}Phone{end}"


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        ("Name\r\na\r\n", "LF"),
        ("Name\na\n", "CRLF"),
        ("Name\na\nb\r\n", "LF"),
        ("Name\r\na\r\nb\n", "CRLF"),
        ("Name\na\rb\n", "LF"),
        ('Name\r\n"a\nb"\r\nc\n', "CRLF"),
    ],
)
def test_line_ends_are_those_of_the_job(client: httpx2.Client, content: str, ending: str) -> None:
    """One other is enough: nothing is written, and the message names the setting."""
    job = load(client, content, lineEnding=ending)
    message = f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {ending}"
    assert (job.counts, job.info["errorMessage"]) == (("Failed", 0, 0), message)


@pytest.mark.parametrize("ending", ["LF", "CRLF"])
def test_line_ends_inside_quotes_are_values(path: Path, ending: str) -> None:
    """Whatever they are; the last record needs none."""
    end = {"LF": "\n", "CRLF": "\r\n"}[ending]
    values = ["a\nb", "a\r\nb", "a\rb", "\n", "\r\n"]
    content = f"Name{end}" + end.join(f'"{value}"' for value in values)
    _, (batch,) = read(path, content, line_ending=ending)
    assert ([row[0] for row in batch.rows], batch.errors) == (values, {})
    assert batch.lines == content.count("\n") if ending == "LF" else True


def test_a_quote_out_of_place_fails_its_row_alone(path: Path) -> None:
    """Spaces beside quotes are such a case; the rows around are read."""
    content = 'A,B\n1,"x"\n"2" ,x\n3, "x"\n4,x"\n"5","x ""y"""\n6,"x\ny"\n'
    _, (batch,) = read(path, content)
    assert batch.errors == dict.fromkeys((1, 2, 3), UNESCAPED)
    assert [batch.rows[at] for at in (0, 4, 5)] == [["1", "x"], ["5", 'x "y"'], ["6", "x\ny"]]


def test_rows_of_another_width_are_errors(path: Path) -> None:
    """Too long or too short, with both numbers; lines with nothing are no rows."""
    _, (batch,) = read(path, "A,B\n\n1,2,3\n\n1\n1,2\n\n")
    words = "Number of fields in header is different from the row. header = 2 row = {}"
    assert batch.errors == {0: words.format(3), 1: words.format(1)}
    assert (len(batch.rows), batch.lines) == (3, 6)


def test_a_byte_order_mark_before_a_plain_header_is_no_part_of_it(client: httpx2.Client) -> None:
    """Neither of the name nor of the result files."""
    job = load(client, "\ufeffName\na\n")
    assert job.counts == ("JobComplete", 1, 0)
    assert job.unprocessed == "Name\n"


def test_what_is_no_utf8_is_replaced(path: Path) -> None:
    """As decoders do that report nothing."""
    _, (batch,) = read(path, b"A\n\xff\xc3\xa4\n")
    assert batch.rows == [["\ufffdä"]]


def test_sizes_are_limited(path: Path) -> None:
    """131,072 characters a field, 400,000 a record; a header of 32,000 or 5,000 columns."""
    rest = ",".join(["y" * 131_072] * 3)
    _, (batch,) = read(path, f"A,B,C,D\nx,{rest}\n{'x' * 6_784},{rest}\n{'x' * 6_785},{rest}\n")
    assert batch.errors == {2: "Record size over the limit of 400000 characters"}
    with pytest.raises(BadUploadError, match=r"^InvalidBatch : Failed to parse CSV\. field larger than field limit"):
        read(path, f'A,B\n"\r",{"y" * 131_073}\n')
    for header in ("A" * 32_001, ",".join(["A"] * 5_001)):
        with pytest.raises(BadUploadError, match=r"^InvalidBatch : Failed to parse CSV header$"):
            read(path, header + "\n")


@pytest.mark.parametrize("content", ["", "\n", ",,\n"])
def test_a_header_must_say_something(path: Path, content: str) -> None:
    """Else the whole job fails."""
    with pytest.raises(BadUploadError, match=r"^InvalidBatch : Failed to parse CSV header$"):
        read(path, content)


cells = st.text(alphabet=st.sampled_from('ab "\n\r,;ä'), max_size=6)


@settings(max_examples=examples(150), deadline=None)
@given(
    table=st.lists(st.tuples(cells, cells, st.booleans()), max_size=12),
    size=st.integers(1, 5),
    ending=st.sampled_from(["LF", "CRLF"]),
)
def test_any_well_written_file_is_read_exactly(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str, bool]], size: int, ending: str
) -> None:
    """Whatever the values, however they are quoted, wherever batches end; the lines add up to those of the file."""
    end = {"LF": "\n", "CRLF": "\r\n"}[ending]

    def cell(value: str, quoted: bool) -> str:
        plain = not quoted and value and not set(value) & set('",\n\r')
        return value if plain else '"' + value.replace('"', '""') + '"'

    content = f"A,B{end}" + "".join(f"{cell(a, quoted)},{cell(b, quoted)}{end}" for a, b, quoted in table)
    path = tmp_path_factory.mktemp("csv") / "upload.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_in, "BATCH_ROWS", size)
        patch.setattr(csv_in, "_CHUNK_BYTES", size)
        _, batches = read(path, content, line_ending=ending)
    assert [row for batch in batches for row in batch.rows] == [[a, b] for a, b, _ in table]
    assert [batch.errors for batch in batches] == [{}] * len(batches)
    assert all(len(batch.rows) == size for batch in batches[:-1])
    assert 1 + sum(batch.lines for batch in batches) == content.count("\n")


@settings(max_examples=examples(300), deadline=None)
@given(text=st.text(alphabet=st.sampled_from('a",\n '), max_size=12))
def test_quotes_are_judged_as_a_strict_reader_judges_them(text: str) -> None:
    """Well quoted is what another program would have written: read and written again it is the same values."""
    text += "\n"
    if not is_well_quoted(text, ","):
        return
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(rows)
    assert list(csv.reader(io.StringIO(written.getvalue(), newline=""), strict=True)) == rows
    assert all('"' not in cell or '"' in text for row in rows for cell in row)
