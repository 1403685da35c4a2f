"""Result pages of a Bulk query: downloaded, counted, and parsed from CSV to Arrow.

    fetch -> a plain CSV file in the spool, its header and row count checked, fetched again when damaged -> Page
    Page.arrow -> text columns (CSV reader behind Hold) -> the schema's types
    Shelf.keep -> a note beside the file (address, rows, size, checksum): without it no later run believes the page

Source: Bulk API 2.0 and Bulk API Developer Guide, "Get Results for a Query Job"; read November 2026.
"""

from __future__ import annotations

import csv
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO

import pyarrow as pa

from halocline.connectors.salesforce import types
from halocline.connectors.salesforce.transport import Stream, Transport
from halocline.errors import NetworkFailed, RetryLater, Truncated
from halocline.quantity import quantity
from halocline.retry import Pace, Policy, retry
from halocline.rows.texts import TextCsv
from halocline.schema import Schema
from halocline.spool import Spool, arriving, storage

FETCHES = Policy(attempts=4, base_s=0.5, cap_s=5.0, budget_s=3_600.0)  # once, and three times again
BLOCK_BYTES = 1 << 20  # of CSV at a time: the fastest of 1 to 8 MiB as measured, and a third of the memory of the largest
MAX_BLOCK_BYTES = 1 << 26  # a record has at most 400,000 characters (Bulk API 2.0 limits), so at most a few MiB
_BORDER = b'"\n"'  # where one record ends and the next begins, as Salesforce quotes every value
_START = re.compile(rb'\n"[0-9A-Za-z]{3}')
_NO_START = b"\xff" * 5  # as long as a match of _START; no UTF-8 text holds it
_HEADER_BYTES = 1 << 16  # a header line has at most 32,000 characters (Bulk API 2.0 limits)
_TAIL_BYTES = 1 << 22  # longer than any record
_BOM = b"\xef\xbb\xbf"
_TOO_SMALL = ("straddling", "Empty CSV file or block")  # pyarrow's words for a block that holds no whole record
_QUOTED = re.compile(rb'"[^"]*"')
_SHOWN_CHARS = 200

_BLOCK_BYTES = 1 << 20
_DIGEST_CHARS = 24


@dataclass(frozen=True, slots=True)
class Page:
    """A result page as a plain CSV file with a header line, empty or `""` meaning null; implements `batch.Raw`.

    `locator` is where the next page is (None: nowhere), for orgs without a list of pages. `bytes` is the file's size, `crc`
    the CRC-32 of it as received.
    """

    path: Path
    rows: int
    columns: tuple[str, ...]
    schema: Schema
    sobject: str
    bytes: int = 0
    locator: str | None = None
    crc: int = 0

    def arrow(self) -> Iterator[pa.RecordBatch]:
        """The rows in the schema's types, in order.

        Raises: SchemaConflict for a value that its column cannot hold; Truncated when the file is no CSV of these columns.
        """
        for texts in text_batches(self.path, self.columns):
            yield types.batch_of_texts(texts, self.schema, sobject=self.sobject)


def fetch(
    transport: Transport,
    url: str,
    *,
    to: Path,
    schema: Schema,
    sobject: str,
    again: Policy = FETCHES,
    pace: Pace = Pace(),  # noqa: B008  # frozen, and holds functions only
) -> Page:
    """The page behind `url` as the file `to`, complete and counted; a damaged one is fetched again, three times at most.

    Raises: Truncated when it never came whole; NetworkFailed when the connection broke each time; StorageFailed.
    """
    try:
        return retry(lambda: _fetch(transport, url, to=to, schema=schema, sobject=sobject), again, again=_spoilt, pace=pace)
    except _SpoiltError as error:
        if isinstance(error.__cause__, NetworkFailed):
            raise error.__cause__ from error
        hint = "Run again; if it stays so, the answers are being changed on their way here."
        raise Truncated(
            error.doing,
            f"{error.cause}, {again.attempts} times",
            hint=hint,
            rows=error.facts.get("rows"),
            announced=error.facts.get("announced"),
        ) from error


class _SpoiltError(RetryLater):
    """The page came, but not as it should be."""


def _spoilt(error: RetryLater) -> bool:
    """Whether to fetch again: the transport has repeated everything else already."""
    return isinstance(error, _SpoiltError)


def _fetch(transport: Transport, url: str, *, to: Path, schema: Schema, sobject: str) -> Page:
    doing = f"Downloading a result page of {sobject}"
    with storage(f"Writing {to.name} to the spool folder"), arriving(to) as path:
        with transport.stream(url, headers={"Accept": "text/csv"}, doing=doing) as stream, path.open("wb", buffering=0) as file:
            saved = _save(_checked_chunks(stream, doing), file)
            announced = _number(stream.headers.get("sforce-numberofrecords"))
            locator = stream.headers.get("sforce-locator")
        page = Page(path, 0, schema.names, schema, sobject, saved.bytes, _way_on(locator), saved.crc)
        rows = _check(page, saved, announced=announced, doing=doing)
    return replace(page, path=to, rows=rows)


def _way_on(locator: str | None) -> str | None:
    return None if locator in (None, "", "null") else locator


def _number(header: str | None) -> int | None:
    return int(header) if header is not None and header.strip().isdecimal() else None


def _checked_chunks(stream: Stream, doing: str) -> Iterator[bytes]:
    """The stream's bytes, unless they are something else than CSV.

    Raises: _SpoiltError, also for a connection that breaks.
    """
    kind = stream.headers.get("content-type", "text/csv")
    try:
        chunks = stream.chunks()
        if not kind.lower().startswith("text/csv"):
            shown = next(iter(chunks), b"")[:_SHOWN_CHARS].decode("utf-8", "replace")
            raise _SpoiltError(doing, f"{kind} came instead of CSV: {shown}")
        yield from chunks
    except NetworkFailed as error:
        raise _SpoiltError(doing, error.cause) from error


@dataclass(frozen=True, slots=True)
class _Saved:
    """What was seen while a page was written: its size, how many records began like the first one, its CRC-32."""

    bytes: int
    starts: int
    crc: int


def _save(chunks: Iterable[bytes], file: IO[bytes]) -> _Saved:
    """Write a page and count, cheaply, the records that begin like the first: ids of an object share their first characters.

    The count is never too high: inside quotes a quote is doubled, so line end, quote and letter can only begin a record.
    """
    size, starts, tail, needle, crc = 0, 0, b"", b"", 0
    for chunk in _long_first(chunks):
        needle = needle or _start(chunk)
        around = tail + chunk[: len(needle) - 1]
        starts += chunk.count(needle) + around.count(needle)
        tail = chunk[1 - len(needle) :] if len(chunk) >= len(needle) else around[1 - len(needle) :]
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
        _write_all(file, chunk)
    return _Saved(size, starts, crc)


def _long_first(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, the first piece long enough to hold the header line and the beginning of the first record."""
    rest, first = iter(chunks), b""
    for chunk in rest:
        first += chunk
        if len(first) >= _HEADER_BYTES:
            break
    yield first
    yield from rest


def _start(first: bytes) -> bytes:
    """The end of the header line and the beginning of the first record, or something that no text holds."""
    end = first.find(b"\n")
    found = first[end : end + len(_NO_START)]
    return found if end >= 0 and _START.fullmatch(found) else _NO_START


def _write_all(file: IO[bytes], chunk: bytes) -> None:
    """An unbuffered file may take less than it is given."""
    done = file.write(chunk)
    while done < len(chunk):
        done += file.write(memoryview(chunk)[done:])


def _check(page: Page, saved: _Saved, *, announced: int | None, doing: str) -> int:
    """The page's rows, once it is sure that they are all there.

    The cheap count decides where it agrees with what was announced; values without quotes, or ids of several kinds, make it
    too low, and then an exact count decides. An empty body is a page without rows and gets its header line.
    Raises: _SpoiltError.
    """
    if not saved.bytes and not announced:
        page.path.write_bytes(_header_line(page.columns))
        return 0
    _check_header(page, doing)
    rows = saved.starts if saved.starts == announced else exact_rows(page.path)
    if announced is not None and rows != announced:
        raise _SpoiltError(doing, f"{rows:,} of {quantity(announced, 'row')} came", rows=rows, announced=announced)
    if rows and not _ends_whole(page):
        raise _SpoiltError(doing, "the last row is cut off", rows=rows, announced=announced)
    return rows


def _header_line(columns: Sequence[str]) -> bytes:
    return (",".join(f'"{name}"' for name in columns) + "\n").encode()


def _check_header(page: Page, doing: str) -> None:
    with page.path.open("rb") as file:
        line = file.readline(_TAIL_BYTES).removeprefix(_BOM).decode("utf-8", "replace")
    found = next(csv.reader([line]), [])
    if [name.lower() for name in found] != [name.lower() for name in page.columns]:
        shown = line.strip()[:_SHOWN_CHARS]
        raise _SpoiltError(
            doing, f"the first line does not name the {quantity(len(page.columns), 'column')} asked for: {shown!r}"
        )


def exact_rows(path: Path, *, block_bytes: int = BLOCK_BYTES) -> int:
    """The records of a CSV file with a header line, whatever its values hold: line ends outside of quotes, less the header's."""
    ends, rest, last = 0, b"", b"\n"
    with path.open("rb") as file:
        while block := file.read(block_bytes):
            rest, last = rest + block, block[-1:]
            closed = len(rest) if rest.count(b'"') % 2 == 0 else rest.rindex(b'"')
            ends += _QUOTED.sub(b"", rest[:closed]).count(b"\n")
            rest = rest[closed:]
    return max(ends + (last != b"\n") - 1, 0)


def _ends_whole(page: Page) -> bool:
    """Whether the file ends with its last record's end; without a line end there, the record's values are counted."""
    with page.path.open("rb") as file:
        file.seek(max(0, page.bytes - _TAIL_BYTES))
        tail = file.read()
    if tail.endswith(b"\n"):
        return True
    record = tail[tail.rfind(_BORDER) + 2 :] if _BORDER in tail else tail[tail.rfind(b"\n") + 1 :]
    values = next(csv.reader([record.decode("utf-8", "replace")]), [])
    return len(values) == len(page.columns) and record.count(b'"') % 2 == 0


def text_batches(path: Path, columns: Sequence[str], *, block_bytes: int = BLOCK_BYTES) -> Iterator[pa.RecordBatch]:
    """The rows of a CSV file with a header line as text columns, null where empty, in order and in flat memory.

    A record longer than the block makes the block larger.
    Raises: Truncated when the file is not a CSV of these columns.
    """
    done, block = 0, block_bytes
    while True:
        try:
            for batch in _batches_after(path, columns, done=done, block_bytes=block):
                done += batch.num_rows
                yield batch
            return
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            if not any(words in str(error) for words in _TOO_SMALL) or block >= MAX_BLOCK_BYTES:
                raise Truncated(f"Parsing {path.name}", f"it is not a CSV of the columns asked for ({error})") from error
            block *= 4


def _batches_after(path: Path, columns: Sequence[str], *, done: int, block_bytes: int) -> Iterator[pa.RecordBatch]:
    """The batches of a file less its first `done` rows."""
    with path.open("rb") as file, TextCsv(columns, only=True).reader(file, block_bytes=block_bytes) as reader:
        for batch in reader:
            skipped = min(done, batch.num_rows)
            done -= skipped
            if skipped < batch.num_rows:
                yield batch.slice(skipped)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The kept pages of one flow: a private folder for each job beside the run's own, swept by the age of its last use."""

    flow: str
    spool: Spool

    def file(self, job: str, name: str) -> Path:
        """Where a page of a job goes."""
        return self._folder(job).file(name)

    def keep(self, page: Page, *, url: str) -> None:
        """Note what a page that is whole holds, so that the next run can tell whether it still is.

        Raises: StorageFailed.
        """
        noted = {"url": url, "rows": page.rows, "bytes": page.bytes, "crc": page.crc, "locator": page.locator}
        note = _note_of(page.path)
        with storage(f"Writing {note.name} to the spool folder"), arriving(note) as path:
            path.write_text(json.dumps(noted))

    def find(self, job: str, name: str, *, url: str, schema: Schema, sobject: str) -> Page | None:
        """The page behind `url` as an earlier run left it; None where it is not there, or not as that run noted it."""
        path = self.file(job, name)
        try:
            os.utime(path.parent)  # what is used is not to be swept by a run that begins meanwhile
            noted = json.loads(_note_of(path).read_text())
            page = Page(path, int(noted["rows"]), schema.names, schema, sobject, noted["bytes"], noted["locator"], noted["crc"])
            whole = noted["url"] == url and path.stat().st_size == page.bytes and _crc(path) == page.crc
        except (OSError, KeyError, TypeError, ValueError):  # not there, or torn: then it is fetched
            return None
        return page if whole else None

    def clear(self, job: str) -> None:
        """Delete what is kept of a job. Idempotent."""
        self._folder(job).close()

    def _folder(self, job: str) -> Spool:
        return self.spool.beside(sha256(f"{self.flow}\0{job}".encode()).hexdigest()[:_DIGEST_CHARS])


def _note_of(page: Path) -> Path:
    return page.with_name(f"{page.name}.json")


def _crc(path: Path) -> int:
    """The CRC-32 of a file: against torn writes, not against people, whom the folder's rights keep out."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc
