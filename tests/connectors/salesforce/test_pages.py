"""Result pages: text arrives as it was, whatever the block borders; a damaged page is noticed and fetched again."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx2
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as pa_csv
from tests.connectors.salesforce.orgs import Timeless, scripted
from tests.examples import examples, stride

from halocline.connectors.salesforce import pages
from halocline.errors import AccessDenied, NetworkFailed, SchemaConflict, StorageFailed, Truncated
from halocline.rows.hold import Hold
from halocline.schema import Column, Kind, Schema

NAMES = ("Id", "Name", "Note__c")
SCHEMA = Schema(tuple(Column(name, Kind.STRING) for name in NAMES), ("Id",))
Row = tuple[str | None, ...]


def as_csv(rows: Sequence[Row], names: Sequence[str] = NAMES) -> bytes:
    """CSV as Salesforce writes it: every value quoted, null as the empty text, lines ended by LF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([value or "" for value in row] for row in rows)
    return text.getvalue().encode()


def parsed(path: Path, *, block_bytes: int = pages.BLOCK_BYTES) -> list[Row]:
    batches = pages.text_batches(path, NAMES, block_bytes=block_bytes)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


# ---- text arrives as it was

AWKWARD = st.one_of(
    st.none(),
    st.sampled_from(
        ["\r\n", "\r", "\n", '"', '""', '"\n"', ",", "NA", "null", "NULL", "nan", "#N/A", " ", "\r\r\r\r", "𝔘𝔫", "a\r\nb"]
    ),
    st.text(alphabet=st.sampled_from('ab\r\n",é𝔘 '), min_size=1, max_size=30),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
)
ROWS = st.lists(st.tuples(st.uuids().map(lambda some: f"001{some}") | st.uuids().map(str), AWKWARD, AWKWARD), max_size=12)


@settings(max_examples=examples(300))
@given(rows=ROWS, block_bytes=st.integers(16, 400))
def test_text_arrives_as_it_was_across_every_border(
    rows: list[Row], block_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any text in any block size equals what was written; only the empty text is null."""
    path = tmp_path_factory.mktemp("page") / "page.csv"
    path.write_bytes(as_csv(rows))
    assert parsed(path, block_bytes=block_bytes) == rows
    assert pages.exact_rows(path, block_bytes=block_bytes) == len(rows)


def test_every_border_of_an_adversarial_file(tmp_path: Path) -> None:
    """A file of CRLFs, CRs and quotes, read with every block size: each of its bytes is a border once, with `--long`."""
    odd = ["\r\n", "\r", "x\r\n\r\ny", '"\r\n"', "\r\n\r", '\r"\r\n', "\n\r", None, "𝔘\r\n"]
    rows: list[Row] = [(f"{number:03}", odd[number % len(odd)], odd[(number * 4 + 1) % len(odd)]) for number in range(27)]
    path = tmp_path / "page.csv"
    path.write_bytes(as_csv(rows))
    for block_bytes in range(20, path.stat().st_size + 2, stride(5)):
        assert parsed(path, block_bytes=block_bytes) == rows, block_bytes


def test_without_hold_the_reader_would_change_text(tmp_path: Path) -> None:
    """The trap is real: the bare reader loses a LF at some border, so the tests above would notice if Hold were gone."""
    rows: list[Row] = [(f"{number:03}", "a\r\nb" * (number % 4 + 1), "\r\n") for number in range(60)]
    path = tmp_path / "page.csv"
    path.write_bytes(as_csv(rows))
    options = pa_csv.ConvertOptions(column_types=dict.fromkeys(NAMES, pa.string()))
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    changed = 0
    for block_bytes in range(64, 400, stride(5)):
        read = pa_csv.ReadOptions(block_size=block_bytes, use_threads=False)
        bare = pa_csv.open_csv(path, read_options=read, parse_options=parse, convert_options=options).read_all().to_pylist()
        changed += [tuple(row.values()) for row in bare] != rows
        assert parsed(path, block_bytes=block_bytes) == rows
    assert changed > 0


@given(data=st.binary(max_size=60).map(lambda some: some.replace(b"x", b"\r")), size=st.integers(1, 8))
def test_no_read_of_hold_ends_in_cr(data: bytes, size: int) -> None:
    """What comes out is what went in, and no piece but the last ends in CR."""
    held = Hold(io.BytesIO(data))
    pieces = list(iter(lambda: held.read(size), b""))
    assert b"".join(pieces) == data
    assert not [piece for piece in pieces[:-1] if piece.endswith(b"\r")]


@pytest.mark.parametrize("letter", ["x", "é", "漢", "𝔘", '"', "\r\n", "\n"])
def test_the_longest_values_and_records_fit(letter: str, tmp_path: Path) -> None:
    """A value of 131,072 characters and a record of 400,000 are read in the usual block size, up to four bytes a character."""
    value = (letter * 131_072)[:131_072]
    rows: list[Row] = [("1", "a", None), ("2", value, value), ("3", value, value + value[:6_854]), ("4", None, "z")]
    path = tmp_path / "page.csv"
    path.write_bytes(as_csv(rows))
    assert parsed(path) == rows
    assert pages.exact_rows(path) == 4


def test_values_without_quotes_are_read(tmp_path: Path) -> None:
    """A bare value is as good as a quoted one; bare and quoted empties are both null."""
    path = tmp_path / "page.csv"
    path.write_bytes(b'Id,Name,Note__c\n1,,""\n2,NA,"x\r\ny"')
    assert parsed(path) == [("1", None, None), ("2", "NA", "x\r\ny")]
    assert pages.exact_rows(path) == 2


@pytest.mark.parametrize(
    "body", [b'"Id","Name","Note__c"\n"1","a"\n', b'"Id","Name"\n"1","a"\n', b'"Id","Name","Note__c"\n"\xff","a","b"\n']
)
def test_what_is_no_csv_of_these_columns_is_refused(body: bytes, tmp_path: Path) -> None:
    """Too few values, a missing column or broken UTF-8 stop the load."""
    path = tmp_path / "page.csv"
    path.write_bytes(body)
    with pytest.raises(Truncated):
        parsed(path)


# ---- downloads

GOOD: list[Row] = [("1", "a", None), ("2", "x\r\ny", '"\n"'), ("3", "𝔘", "null")]


class Salesforce:
    """Answers each request with the next of some replies, the last one for ever."""

    def __init__(self, *replies: httpx2.Response | Exception) -> None:
        self.replies = list(replies)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


ZIPPED = {"Content-Encoding": "gzip"}


def answer(
    content: bytes, headers: Mapping[str, str] | None = None, *, status: int = 200, good: int | None = None
) -> httpx2.Response:
    told = {"Content-Type": "text/csv", "Sforce-Locator": "null", **(headers or {})}
    return httpx2.Response(status, headers=told, stream=Body(content, good=good))


def page(body: bytes, *, rows: int | None = None, kind: str = "text/csv") -> httpx2.Response:
    told = {"Sforce-NumberOfRecords": str(rows)} if rows is not None else {}
    return answer(gzip.compress(body), {**ZIPPED, **told, "Content-Type": kind})


def cut(*, rows: int) -> httpx2.Response:
    return answer(gzip.compress(as_csv(GOOD)), {**ZIPPED, "Sforce-NumberOfRecords": str(rows)}, good=20)


class Body(httpx2.SyncByteStream):
    """A body that comes in small pieces and may break off after `good` bytes."""

    def __init__(self, content: bytes, *, good: int | None = None) -> None:
        self.content, self.good = content, good

    def __iter__(self) -> Iterator[bytes]:
        whole = self.content if self.good is None else self.content[: self.good]
        yield from (whole[start : start + 7] for start in range(0, len(whole), 7))
        if self.good is not None:
            raise httpx2.RemoteProtocolError("peer closed connection")


def fetched(org: Callable[[httpx2.Request], httpx2.Response], to: Path, *, schema: Schema = SCHEMA) -> pages.Page:
    return pages.fetch(scripted(org), "jobs/query/750/results", to=to, schema=schema, sobject="Account", pace=Timeless().pace)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_page_becomes_a_plain_file(zipped: bool, tmp_path: Path) -> None:
    """The file holds the bytes as Salesforce wrote them, unpacked; rows, columns, size and the way on are told."""
    body = as_csv(GOOD)
    told = {"Sforce-NumberOfRecords": "3", "Sforce-Locator": "MTAw"}
    reply = answer(gzip.compress(body), {**ZIPPED, **told}) if zipped else answer(body, told)
    got = fetched(Salesforce(reply), tmp_path / "page.csv")
    assert got.path.read_bytes() == body
    assert (got.rows, got.columns, got.bytes, got.locator) == (3, NAMES, len(body), "MTAw")
    assert pa.Table.from_batches(got.arrow()).to_pylist() == [dict(zip(NAMES, row, strict=True)) for row in GOOD]


@settings(max_examples=examples(100))
@given(rows=ROWS)
def test_rows_are_counted_right_whatever_they_hold(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A good page is never taken for a damaged one, even when its values look like the borders of records."""
    org = Salesforce(page(as_csv(rows), rows=len(rows)))
    assert fetched(org, tmp_path_factory.mktemp("page") / "page.csv").rows == len(rows)
    assert len(org.asked) == 1


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("rows missing", page(as_csv(GOOD[:2]), rows=3)),
        ("a row missing, a value like a border", page(as_csv([("1", "x", '"\n"'), ("2", "\n", '\n"')]), rows=3)),
        ("rows too many", page(as_csv(GOOD), rows=2)),
        ("last row cut", page(as_csv([("1", "a", "b"), ("2", "c", "d")])[:-6], rows=2)),
        ("last value cut", page(as_csv([("1", "a", "b"), ("2", "c", "long text")])[:-4], rows=2)),
        ("no body", page(b"", rows=3)),
        ("another header", page(as_csv(GOOD, ("Id", "Note__c", "Name")), rows=3)),
        ("JSON", page(b'[{"errorCode":"UNKNOWN_EXCEPTION"}]', rows=3, kind="application/json")),
        ("JSON that says CSV", page(b'[{"errorCode":"UNKNOWN_EXCEPTION"}]', rows=3)),
        ("gzip cut", answer(gzip.compress(as_csv(GOOD))[:-9], ZIPPED)),
        ("connection cut", cut(rows=3)),
    ],
)
def test_a_damaged_page_is_fetched_again(name: str, bad: httpx2.Response, tmp_path: Path) -> None:
    """Whatever is wrong with a page, the next good one counts, and nothing of the bad one is left."""
    org = Salesforce(bad, page(as_csv(GOOD), rows=3))
    got = fetched(org, tmp_path / "page.csv")
    assert (got.rows, len(org.asked)) == (3, 2)
    assert got.path.read_bytes() == as_csv(GOOD)
    assert [path.name for path in tmp_path.iterdir()] == ["page.csv"]


def test_a_page_that_never_comes_whole_is_truncated(tmp_path: Path) -> None:
    """After three more tries the counts are told, and no file is left."""
    replies = [page(as_csv(GOOD[:2]), rows=3) for _ in range(4)]
    org = Salesforce(*replies, AssertionError("asked too often"))
    with pytest.raises(Truncated, match="2 of 3 rows came, 4 times"):
        fetched(org, tmp_path / "page.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_always_breaks_is_a_network_failure(tmp_path: Path) -> None:
    """It is worth another run later, so it is not called truncated."""
    org = Salesforce(*[cut(rows=3) for _ in range(4)], AssertionError("asked too often"))
    with pytest.raises(NetworkFailed):
        fetched(org, tmp_path / "page.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_not_asked_for_again(tmp_path: Path) -> None:
    """What the transport calls final is final here."""
    org = Salesforce(answer(b'[{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]', status=403))
    with pytest.raises(AccessDenied):
        fetched(org, tmp_path / "page.csv")
    assert len(org.asked) == 1


@pytest.mark.parametrize("body", [b"", as_csv([])])
@pytest.mark.parametrize("rows", [0, None])
def test_an_empty_page_is_a_page(body: bytes, rows: int | None, tmp_path: Path) -> None:
    """A header alone or no body at all are no rows; the file has its header line either way."""
    got = fetched(Salesforce(page(body, rows=rows)), tmp_path / "page.csv")
    assert (got.rows, list(got.arrow())) == (0, [])
    assert got.path.read_bytes() == as_csv([])


def test_a_page_without_a_count_is_counted(tmp_path: Path) -> None:
    """Where Salesforce does not say how many rows there are, the file says it."""
    assert fetched(Salesforce(page(as_csv(GOOD))), tmp_path / "page.csv").rows == 3


def test_a_last_line_without_an_end_is_whole(tmp_path: Path) -> None:
    """Whether the last record ends with a LF is not documented; its values are counted instead."""
    body = as_csv([("1", "a", "b"), ("2", "c", "d")])[:-1]
    assert fetched(Salesforce(page(body, rows=2)), tmp_path / "page.csv").rows == 2


def test_a_value_that_does_not_fit_is_told_from_a_page(tmp_path: Path) -> None:
    """Parsing a page gives the error of the types, with object and field."""
    schema = Schema(
        (Column("Id", Kind.STRING), Column("Name", Kind.STRING), Column("Note__c", Kind.DECIMAL, precision=4, scale=1))
    )
    got = fetched(Salesforce(page(as_csv([("1", "a", "1.55")]), rows=1)), tmp_path / "page.csv", schema=schema)
    with pytest.raises(SchemaConflict, match=r"Account\.Note__c"):
        list(got.arrow())


def test_a_spool_that_cannot_be_written_is_a_storage_failure(tmp_path: Path) -> None:
    """A missing folder is told as storage, not as network."""
    with pytest.raises(StorageFailed):
        fetched(Salesforce(page(as_csv(GOOD), rows=3)), tmp_path / "gone" / "page.csv")
